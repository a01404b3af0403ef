"""Where datasets keep their files; the environment is read at call time, so that a test or a notebook may change it."""

from __future__ import annotations

import os

__all__ = ["datasets_cache", "hf_home", "in_memory_max_size"]


def hf_home() -> str:
    """Return the folder under which every cache of the ecosystem lives (``HF_HOME``)."""
    default = os.path.join(os.environ.get("XDG_CACHE_HOME", os.path.join("~", ".cache")), "huggingface")
    return os.path.expanduser(os.environ.get("HF_HOME") or default)


def datasets_cache() -> str:
    """Return the folder for tables made from data files and for the results of ``map`` (``HF_DATASETS_CACHE``)."""
    return os.path.expanduser(os.environ.get("HF_DATASETS_CACHE") or os.path.join(hf_home(), "datasets"))


def in_memory_max_size() -> int:
    """Return up to how many bytes ``load_dataset`` keeps in memory (``HF_DATASETS_IN_MEMORY_MAX_SIZE``; 0: never)."""
    try:
        return int(float(os.environ.get("HF_DATASETS_IN_MEMORY_MAX_SIZE") or 0))
    except ValueError:
        return 0
