"""Where the result of a transform is kept, whether it is there already, and that one process alone makes it."""

from __future__ import annotations

import contextlib
import glob
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from enfold.log import get_logger

from .fingerprint import Unhashable, generate_random_fingerprint, is_caching_enabled, update_fingerprint
from .source import TableSource, chain, open_arrow
from .writer import session_folder

if TYPE_CHECKING:
    from .dataset import Dataset

__all__ = ["SUFFIX", "Place", "cache_place", "with_suffix"]

logger = get_logger(__name__)

#: how the files are named that several workers made together
SUFFIX = "_{rank:05d}_of_{num_proc:05d}"


@dataclass(frozen=True)
class Place:
    """Where one result belongs.

    Args:
        path: the file, or None for memory.
        fingerprint: what the result is; None where it need not be known.
        look: whether a result that is there already may be taken.
        suffix: what stands behind the name's stem in the files of several workers.
    """

    path: str | None
    fingerprint: Any
    look: bool
    suffix: str = SUFFIX

    def find(self) -> tuple[TableSource, pa.Schema] | None:
        """Return the result and its schema, with metadata, where it is there; a damaged file is as good as none."""
        if self.path is None or not self.look:
            return None
        files = [self.path] if os.path.exists(self.path) else _parts(self.path, self.suffix)
        if not files:
            return None
        try:
            tables = [open_arrow(file) for file in files]
            source = chain([TableSource.mapped(file, table) for file, table in zip(files, tables, strict=True)])
            assert isinstance(source, TableSource)
        except (pa.ArrowInvalid, OSError) as error:
            logger.warning("The cached result in %s cannot be read and is made again: %s", files[0], error)
            return None
        return source, tables[0].schema

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the place: another process that wants the same result waits, and then finds it."""
        if self.path is None:
            yield
            return
        from filelock import FileLock

        from .errors import CacheWriteError

        try:
            os.makedirs(os.path.dirname(self.path), exist_ok=True)
            held = FileLock(f"{self.path}.lock")
            held.acquire()
        except OSError as error:
            raise CacheWriteError(
                error.errno, f"the folder of the cache cannot be written to ({error.strerror})", self.path
            ) from error
        try:
            yield
        finally:
            # whoever waits holds the file open and does not miss its name
            with contextlib.suppress(OSError):
                os.unlink(f"{self.path}.lock")
            held.release()


def with_suffix(path: str, suffix: str, rank: int, num_proc: int) -> str:
    """Return the name of one worker's file: ``cache-1f.arrow`` becomes ``cache-1f_00000_of_00002.arrow``."""
    stem, extension = os.path.splitext(path)
    return stem + suffix.format(rank=rank, num_proc=num_proc) + extension


def _parts(path: str, suffix: str) -> list[str]:
    """Return the files of several workers where all of them are there, whatever their number."""
    stem, extension = os.path.splitext(path)
    if suffix != SUFFIX:
        return []
    for first in sorted(glob.glob(f"{glob.escape(stem)}_00000_of_*{extension}")):
        found = re.search(r"_of_(\d+)$", first[: -len(extension) or None])
        if found is None:
            continue
        files = [with_suffix(path, suffix, rank, int(found[1])) for rank in range(int(found[1]))]
        if all(os.path.exists(file) for file in files):
            return files
    return []


def cache_place(
    dataset: Dataset,
    transform: str,
    arguments: dict[str, Any],
    keep_in_memory: bool,
    load_from_cache_file: bool | None,
    cache_file_name: str | None,
    new_fingerprint: str | None,
    suffix: str = SUFFIX,
) -> Place:
    """Return where the result of a transform with some arguments belongs."""
    in_memory = keep_in_memory or (cache_file_name is None and dataset._cache_dir is None)
    if in_memory and new_fingerprint is None:
        return Place(None, None, False)
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
        return Place(None, fingerprint, False)
    caching = is_caching_enabled()
    if cache_file_name is not None:
        path = os.path.abspath(cache_file_name)
    else:
        folder = dataset._cache_dir if known and caching else session_folder()
        assert folder is not None
        name = fingerprint if caching else generate_random_fingerprint()
        path = os.path.join(folder, f"cache-{name}.arrow")
    look = caching if load_from_cache_file is None else load_from_cache_file
    return Place(path, fingerprint, look, suffix)
