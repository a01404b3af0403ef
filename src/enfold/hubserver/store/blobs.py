"""File contents by their SHA-256, in a folder: written once, never changed."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NamedTuple

from enfold.hubserver.errors import HubServerError

__all__ = ["BlobStore", "BlobWriter", "StoredBlob", "sweep", "sync_folder"]

CHUNK = 1 << 20


class StoredBlob(NamedTuple):
    """A content in the store."""

    sha256: str
    size: int


class BlobStore:
    """A folder of contents under ``aa/bb/<sha256>``.

    A content is written to ``tmp/``, flushed, and renamed into place: a file under its hash is always whole.

    Args:
        folder: where the contents are.
        durable: whether a stored content has reached the disk before its hash is returned.

    Example:
        >>> import tempfile
        >>> store = BlobStore(Path(tempfile.mkdtemp()))
        >>> store.put(b"hello").size
        5
    """

    def __init__(self, folder: Path, *, durable: bool = True) -> None:
        self.folder, self.durable = folder, durable
        self.temporary = folder / "tmp"
        self.temporary.mkdir(parents=True, exist_ok=True)

    def path(self, sha256: str) -> Path:
        """Return where a content is or would be."""
        if len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef"):
            raise HubServerError(400, f"Invalid SHA-256: {sha256!r}")
        return self.folder / sha256[:2] / sha256[2:4] / sha256

    def has(self, sha256: str) -> bool:
        """Say whether a content is in the store."""
        return self.path(sha256).exists()

    def read(self, sha256: str) -> bytes:
        """Return a whole content; for small ones."""
        return self.path(sha256).read_bytes()

    def chunks(self, sha256: str) -> Iterator[bytes]:
        """Yield a content in pieces of a megabyte."""
        with self.path(sha256).open("rb") as file:
            while piece := file.read(CHUNK):
                yield piece

    def put(self, data: bytes) -> StoredBlob:
        """Store ``data`` and return its hash and size."""
        with self.writer() as writer:
            writer.write(data)
            return writer.finish()

    def writer(self, *, limit: int | None = None, what: str = "the file") -> BlobWriter:
        """Return a context manager that takes a content piece by piece; ``limit`` bytes at most."""
        return BlobWriter(self, self.temporary / secrets.token_hex(16), limit, what)


class BlobWriter:
    """A content on its way into the store; leaving the block without :meth:`finish` discards it."""

    def __init__(self, store: BlobStore, path: Path, limit: int | None, what: str) -> None:
        self._store, self._path, self._limit, self._what = store, path, limit, what
        self._file: BinaryIO | None = None
        self._hash = hashlib.sha256()
        self.size = 0

    def __enter__(self) -> BlobWriter:
        self._file = self._path.open("wb")
        return self

    def write(self, data: bytes) -> None:
        """Add a piece; raises a 413 past the limit."""
        assert self._file is not None
        self.size += len(data)
        if self._limit is not None and self.size > self._limit:
            raise HubServerError(413, f"{self._what} is larger than the {self._limit} bytes that this Hub accepts here")
        self._hash.update(data)
        self._file.write(data)

    def finish(self, *, sha256: str | None = None, size: int | None = None) -> StoredBlob:
        """Put the content into the store; a 422 when it is not the one that was announced."""
        assert self._file is not None
        digest = self._hash.hexdigest()
        if size is not None and size != self.size:
            raise HubServerError(422, f"{self._what} has {self.size} bytes, {size} were announced")
        if sha256 is not None and sha256 != digest:
            raise HubServerError(422, f"{self._what} has the SHA-256 {digest}, {sha256} was announced")
        target = self._store.path(digest)
        if not target.exists():
            self._file.flush()
            if self._store.durable:
                os.fsync(self._file.fileno())
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(self._path, target)
            if self._store.durable:
                sync_folder(target.parent)
        return StoredBlob(digest, self.size)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
        self._path.unlink(missing_ok=True)


def sweep(folder: Path, older_than: float) -> int:
    """Delete unfinished writes last touched before ``older_than`` (seconds since 1970); return how many."""
    count = 0
    for file in folder.iterdir():
        try:
            if file.stat().st_mtime < older_than:
                file.unlink()
                count += 1
        except FileNotFoundError:
            pass
    return count


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder have reached the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
