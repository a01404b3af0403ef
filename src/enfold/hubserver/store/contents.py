"""Where a content is, by its SHA-256: a file of its own, or chunks in the Xet store."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from enfold.hubserver.files import Reader
from enfold.hubserver.store.blobs import BlobStore
from enfold.hubserver.xet.store import XetStore

__all__ = ["Contents"]


class Contents:
    """Every content of a Hub, however it came.

    Args:
        blobs: contents that are files of their own.
        xet: contents that are made of chunks.
    """

    def __init__(self, blobs: BlobStore, xet: XetStore) -> None:
        self.blobs, self.xet = blobs, xet

    def source(self, sha256: str) -> Path | Callable[[], Reader]:
        """Return the file of a content, or what opens it for reading."""
        path = self.blobs.path(sha256)
        if not path.exists():
            file = self.xet.find(sha256=sha256)
            if file is not None:
                return partial(self.xet.open, file)
        return path

    def read(self, sha256: str) -> bytes:
        """Return a whole content; for small ones."""
        source = self.source(sha256)
        if isinstance(source, Path):
            return source.read_bytes()
        with source() as reader:
            return reader.read(1 << 62)
