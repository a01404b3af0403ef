"""Make the environments under .peers/ in which tests run the ecosystem's own wheels.

Run by ``make peers`` with the project's Python: ``python tools/peers.py [NAME …]``. Every section of tests/peers.txt is
one environment; without names all are made. An environment that is up to date costs a few milliseconds: its stamp
holds the hash of everything it was made from. torch is not installed there but lent, by a .pth file that comes after
the environment's own packages, so that the peers' own versions of everything else win.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PINS = ROOT / "tests" / "peers.txt"
PEERS = ROOT / ".peers"

# torch with what only torch needs. Where torch is a CUDA build its libraries are packages of their own.
LENT = ("torch", "torchgen", "functorch", "sympy", "mpmath", "networkx", "nvidia", "triton", "cuda")


def sections(text: str) -> dict[str, list[str]]:
    """Read the pins: environment name → requirement lines."""
    found: dict[str, list[str]] = {}
    name = ""
    for line in text.splitlines():
        line = line.split("#")[0].strip()
        if line.startswith("["):
            name = line.strip("[]")
            found[name] = []
        elif line:
            if not name or "==" not in line:
                raise SystemExit(f"{PINS.name}: {line!r} is not a pin (NAME==VERSION) in a section")
            found[name].append(line)
    return found


def lenders() -> list[Path]:
    """Return the folders and metadata in the project's environment that are lent."""
    if importlib.util.find_spec("torch") is None:
        raise SystemExit("torch is missing here: run this with the project's own Python (make peers)")
    site = Path(sysconfig.get_path("purelib"))
    names = [site / name for name in LENT] + [
        path for name in LENT for path in sorted(site.glob(f"{name}-*.dist-info"))
    ]
    return [path for path in names if path.exists()]


def make(name: str, pins: list[str]) -> None:
    """Make or refresh one environment; nothing happens when its stamp is right."""
    home = PEERS / name
    lent = lenders()
    recipe = "\n".join([sys.version, *pins, *map(str, lent), Path(__file__).read_text()])
    stamp, digest = home / ".stamp", hashlib.sha256(recipe.encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == digest:
        return
    print(f"making .peers/{name}: {len(pins)} packages, torch lent from {sys.prefix}", flush=True)
    stamp.unlink(missing_ok=True)
    python = home / "bin" / "python"
    if not python.exists() or subprocess.run([python, "-c", "import pip"], capture_output=True).returncode:
        shutil.rmtree(home, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", home], check=True)
    requirements = home / "requirements.txt"
    requirements.write_text("\n".join(pins) + "\n")
    command: list[str | Path] = [
        python,
        "-m",
        "pip",
        "install",
        "-qq",
        "--disable-pip-version-check",
        "--no-deps",
        "-r",
        requirements,
    ]
    if subprocess.run(command).returncode:
        raise SystemExit(f"the packages of .peers/{name} could not be installed; the lines above say which")
    folder = home / "lent"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for path in lent:
        (folder / path.name).symlink_to(path)
    site = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True, capture_output=True, text=True,
    ).stdout.strip()  # fmt: skip
    (Path(site) / "lent.pth").write_text(f"{folder}\n")
    stamp.write_text(digest)


def main(names: list[str]) -> None:
    """Make the named environments, or all."""
    known = sections(PINS.read_text())
    for name in names or known:
        if name not in known:
            raise SystemExit(f"no environment {name!r} in {PINS.name}; it has {', '.join(known)}")
    PEERS.mkdir(exist_ok=True)
    with open(PEERS / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for name in names or known:
            make(name, known[name])


if __name__ == "__main__":
    main(sys.argv[1:])
