"""Where the result of a transform is kept, and whether it is there already."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from enfold.log import get_logger

from .fingerprint import Unhashable, generate_random_fingerprint, is_caching_enabled, update_fingerprint
from .writer import session_folder

if TYPE_CHECKING:
    from .dataset import Dataset

__all__ = ["cache_place"]

logger = get_logger(__name__)


def cache_place(
    dataset: Dataset,
    transform: str,
    arguments: dict[str, Any],
    keep_in_memory: bool,
    load_from_cache_file: bool | None,
    cache_file_name: str | None,
    new_fingerprint: str | None,
) -> tuple[str | None, Any, str | None]:
    """Return (the file to write or None for memory, the result's fingerprint, the file that already has the result)."""
    in_memory = keep_in_memory or (cache_file_name is None and dataset._cache_dir is None)
    if in_memory and new_fingerprint is None:
        return None, None, None
    fingerprint = new_fingerprint
    known = True
    if fingerprint is None:
        try:
            fingerprint = update_fingerprint(dataset._fingerprint, transform, arguments)
        except Unhashable as error:
            known = False
            fingerprint = generate_random_fingerprint()
            logger.warning(
                "The result of %s will not be found again by another run: what it depends on cannot be told for %s. "
                "Give that object a __fingerprint__() method, or pass new_fingerprint=.",
                transform,
                error.path and str(error),
            )
    if in_memory:
        return None, fingerprint, None
    caching = is_caching_enabled()
    if cache_file_name is not None:
        path = os.path.abspath(cache_file_name)
    else:
        folder = dataset._cache_dir if known and caching else session_folder()
        assert folder is not None
        name = fingerprint if caching else generate_random_fingerprint()
        path = os.path.join(folder, f"cache-{name}.arrow")
    look = caching if load_from_cache_file is None else load_from_cache_file
    return path, fingerprint, path if look and os.path.exists(path) else None
