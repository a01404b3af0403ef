"""Where datasets keep their files, and other settings.

The environment is read at call time, so that a test or a notebook may change it. What a program sets here, such as
``config.HF_DATASETS_CACHE = "/large"``, comes before the environment.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

__all__ = ["datasets_cache", "hf_home", "in_memory_max_size"]

DATASET_ARROW_FILENAME = "dataset.arrow"
DATASET_INDICES_FILENAME = "indices.arrow"
DATASET_INFO_FILENAME = "dataset_info.json"
DATASET_STATE_JSON_FILENAME = "state.json"
DATASETDICT_INFOS_FILENAME = "dataset_infos.json"
DATASETDICT_JSON_FILENAME = "dataset_dict.json"
DEFAULT_IN_MEMORY_MAX_SIZE = 0
DEFAULT_MAX_BATCH_SIZE = 1000
LICENSE_FILENAME = "LICENSE"
MAX_ROW_GROUP_SIZE = "100MB"
MAX_SHARD_SIZE = "500MB"
METADATA_CONFIGS_FIELD = "configs"
REPOCARD_FILENAME = "README.md"

# what ``NAME_AVAILABLE`` and ``NAME_VERSION`` ask for
_PACKAGES = {
    "FAISS": "faiss",
    "JAX": "jax",
    "PANDAS": "pandas",
    "PDFPLUMBER": "pdfplumber",
    "PIL": "PIL",
    "POLARS": "polars",
    "PYARROW": "pyarrow",
    "SOUNDFILE": "soundfile",
    "SQLALCHEMY": "sqlalchemy",
    "TF": "tensorflow",
    "TORCH": "torch",
}


def _said(name: str) -> Any:
    """Return what the program set, or else the environment."""
    found = globals().get(name)
    return os.fspath(found) if isinstance(found, os.PathLike) else found or os.environ.get(name)


def hf_home() -> str:
    """Return the folder under which every cache of the ecosystem lives (``HF_HOME``)."""
    default = os.path.join(os.environ.get("XDG_CACHE_HOME", os.path.join("~", ".cache")), "huggingface")
    return os.path.expanduser(globals().get("HF_CACHE_HOME") or _said("HF_HOME") or default)


def datasets_cache() -> str:
    """Return the folder for tables made from data files and for the results of ``map`` (``HF_DATASETS_CACHE``)."""
    return os.path.expanduser(_said("HF_DATASETS_CACHE") or os.path.join(hf_home(), "datasets"))


def in_memory_max_size() -> int:
    """Return up to how many bytes ``load_dataset`` keeps in memory (``HF_DATASETS_IN_MEMORY_MAX_SIZE``; 0: never)."""
    try:
        return int(float(globals().get("IN_MEMORY_MAX_SIZE") or _said("HF_DATASETS_IN_MEMORY_MAX_SIZE") or 0))
    except ValueError:
        return 0


def _is_offline() -> bool:
    from enfold.hub.constants import is_offline

    return is_offline()


_COMPUTED = {
    "DOWNLOADED_DATASETS_PATH": lambda: Path(datasets_cache(), "downloads"),
    "EXTRACTED_DATASETS_PATH": lambda: Path(datasets_cache(), "downloads", "extracted"),
    "HF_CACHE_HOME": hf_home,
    "HF_DATASETS_CACHE": lambda: Path(datasets_cache()),
    "HF_DATASETS_OFFLINE": _is_offline,
    "HF_ENDPOINT": lambda: os.environ.get("HF_ENDPOINT", "https://huggingface.co"),
    "HF_HUB_OFFLINE": _is_offline,
    "IN_MEMORY_MAX_SIZE": in_memory_max_size,
}


def __getattr__(name: str) -> Any:
    if name in _COMPUTED:
        return _COMPUTED[name]()
    package, _, what = name.rpartition("_")
    if package in _PACKAGES and what == "AVAILABLE":
        return importlib.util.find_spec(_PACKAGES[package]) is not None
    if package in _PACKAGES and what == "VERSION" and importlib.util.find_spec(_PACKAGES[package]):
        from importlib.metadata import version

        from packaging.version import Version

        distribution = {"PIL": "pillow", "FAISS": "faiss-cpu"}.get(package, _PACKAGES[package])
        return Version(version(distribution))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
