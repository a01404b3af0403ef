"""File contents by their SHA-256."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from enfold.hubserver.errors import HubServerError
from enfold.hubserver.files import Reader
from enfold.hubserver.store.objects import NewFile, Objects, keep_fresh, write_and_hash

__all__ = ["BlobStore", "BlobWriter", "StoredBlob"]


class StoredBlob(NamedTuple):
    """A content in the store."""

    sha256: str
    size: int


class BlobStore:
    """Contents as objects called ``aa/bb/<sha256>``.

    Args:
        objects: where they are kept.

    Example:
        >>> import tempfile
        >>> from enfold.hubserver.store.objects import Folder
        >>> store = BlobStore(Folder(Path(tempfile.mkdtemp())))
        >>> store.put(b"hello").size
        5
    """

    def __init__(self, objects: Objects) -> None:
        self.objects = objects

    @staticmethod
    def name(sha256: str) -> str:
        """Return what the object of a content is called; a 400 for what is no SHA-256."""
        if len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef"):
            raise HubServerError(400, f"Invalid SHA-256: {sha256!r}")
        return f"{sha256[:2]}/{sha256[2:4]}/{sha256}"

    def has(self, sha256: str) -> bool:
        """Say whether a content is in the store."""
        return self.objects.find(self.name(sha256)) is not None

    def source(self, sha256: str) -> Path | Callable[[], Reader]:
        """Return the file of a content, or what opens it for reading."""
        return self.objects.source(self.name(sha256))

    def put(self, data: bytes) -> StoredBlob:
        """Store ``data`` and return its hash and size."""
        with self.writer() as writer:
            writer.write(data)
            return writer.finish()

    def writer(self, *, limit: int | None = None, what: str = "the file") -> BlobWriter:
        """Return a context manager that takes a content piece by piece; ``limit`` bytes at most."""
        return BlobWriter(self, self.objects.temporary / secrets.token_hex(16), limit, what)


class BlobWriter:
    """A content on its way into the store; leaving the block without :meth:`finish` discards it."""

    def __init__(self, store: BlobStore, path: Path, limit: int | None, what: str) -> None:
        self._store, self._path, self._limit, self._what = store, path, limit, what
        self._file: NewFile | None = None
        self._hash = hashlib.sha256()
        self.size = 0

    def __enter__(self) -> BlobWriter:
        self._file = NewFile(self._path)
        return self

    def write(self, data: bytes | memoryview) -> None:
        """Add a piece; raises a 413 past the limit."""
        assert self._file is not None
        self.size += len(data)
        if self._limit is not None and self.size > self._limit:
            raise HubServerError(413, f"{self._what} is larger than the {self._limit} bytes that this Hub accepts here")
        write_and_hash(self._file, self._hash, data)

    def finish(self, *, sha256: str | None = None, size: int | None = None) -> StoredBlob:
        """Put the content into the store; a 422 when it is not the one that was announced."""
        assert self._file is not None
        digest = self._hash.hexdigest()
        if size is not None and size != self.size:
            raise HubServerError(422, f"{self._what} has {self.size} bytes, {size} were announced")
        if sha256 is not None and sha256 != digest:
            raise HubServerError(422, f"{self._what} has the SHA-256 {digest}, {sha256} was announced")
        keep_fresh(self._store.objects, self._store.name(digest), self._path)
        return StoredBlob(digest, self.size)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._file is not None:
                self._file.close()
        finally:  # what waits to be written may find the disk full
            self._path.unlink(missing_ok=True)
