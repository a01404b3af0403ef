"""``enfold env``: what a bug report needs."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from pathlib import Path

import typer

__all__ = ["command", "report"]

_PACKAGES = "numpy pyarrow safetensors httpx torch starlette uvicorn sqlalchemy pillow soundfile onnxruntime".split()
_FEATURES = ("avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16", "amx_int8", "asimd", "bf16")


def command(as_json: bool = typer.Option(False, "--json", help="Print JSON.")) -> None:
    """Show versions, processor, threads and caches: what a bug report needs."""
    found = report()
    if as_json:
        import json

        print(json.dumps(found, indent=2))
        return
    width = max(map(len, found))
    for key, value in found.items():
        print(f"{key:<{width}}  {value}")


def report() -> dict[str, str]:
    """Return the facts as text, in the order to show them; nothing heavy is imported and no secret is read.

    Example:
        >>> report()["enfold"] == __import__("enfold").__version__
        True
    """
    import enfold

    return {
        "enfold": enfold.__version__,
        "python": f"{platform.python_version()} ({platform.python_implementation()}, {sys.executable})",
        "platform": platform.platform(),
        "processor": f"{os.cpu_count()} × {_processor()}",
        "features": " ".join(_features()) or "unknown",
        "memory": _memory(),
        "threads": ", ".join(f"{name}={os.environ[name]}" for name in _THREADS if name in os.environ) or "not limited",
        **{name: _version(name) for name in _PACKAGES},
        **_caches(),
    }


_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS", "TOKENIZERS_PARALLELISM")


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _read(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def _processor() -> str:
    lines = [line for line in _read("/proc/cpuinfo") if line.startswith("model name")]
    return lines[0].partition(":")[2].strip() if lines else platform.processor() or platform.machine()


def _features() -> list[str]:
    flags: set[str] = set()
    for line in _read("/proc/cpuinfo"):
        if line.lower().startswith(("flags", "features")):
            flags.update(line.partition(":")[2].split())
    return [name for name in _FEATURES if name in flags]


def _memory() -> str:
    lines = dict(line.partition(":")[::2] for line in _read("/proc/meminfo"))
    try:
        total, free = (int(lines[key].split()[0]) / 2**20 for key in ("MemTotal", "MemAvailable"))
    except (KeyError, ValueError):
        return "unknown"
    return f"{total:.1f} GiB, {free:.1f} GiB available"


def _caches() -> dict[str, str]:
    home = Path(os.environ.get("HF_HOME") or Path("~/.cache/huggingface").expanduser())
    folders = {
        "hub cache": os.environ.get("HF_HUB_CACHE") or home / "hub",
        "datasets cache": os.environ.get("HF_DATASETS_CACHE") or home / "datasets",
    }
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    shown = {key: f"{folder} ({'there' if Path(folder).is_dir() else 'empty'})" for key, folder in folders.items()}
    return {**shown, "hub endpoint": endpoint, "offline": os.environ.get("HF_HUB_OFFLINE", "0")}
