"""Where a content is, by its SHA-256: an object of its own, or chunks in the Xet store."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from enfold.hubserver.files import Reader
from enfold.hubserver.store.blobs import BlobStore
from enfold.hubserver.store.objects import open_source
from enfold.hubserver.xet.store import StoredFile, XetStore

__all__ = ["Contents"]


class Contents:
    """Every content of a Hub, however it came.

    Args:
        blobs: contents that are objects of their own.
        xet: contents that are made of chunks.
    """

    def __init__(self, blobs: BlobStore, xet: XetStore) -> None:
        self.blobs, self.xet = blobs, xet

    def source(self, sha256: str) -> Path | Callable[[], Reader]:
        """Return the file of a content, or what opens it for reading."""
        return self.opened(sha256, self.xet.find(sha256=sha256))

    def opened(self, sha256: str, chunked: StoredFile | None) -> Path | Callable[[], Reader]:
        """Return the same for who knows what the content's chunks are, or that it has none (None)."""
        return self.blobs.source(sha256) if chunked is None else partial(self.xet.open, chunked)

    def read(self, sha256: str) -> bytes:
        """Return a whole content; for small ones."""
        with open_source(self.source(sha256)) as reader:
            return b"".join(iter(lambda: reader.read(1 << 20), b""))
