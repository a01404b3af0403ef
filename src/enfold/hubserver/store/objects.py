"""Where bytes are kept: a folder, or a bucket of S3 (or of what speaks its protocol). Written once, never changed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from enfold.errors import EnfoldError
from enfold.hubserver.files import Reader

__all__ = [
    "LEASE",
    "Bucket",
    "Folder",
    "Listed",
    "NewFile",
    "Objects",
    "keep_fresh",
    "open_source",
    "sweep",
    "write_and_hash",
]

LEASE = 86_400  # seconds for which an object stays, though nothing refers to it yet

_SOON = 8 << 20  # bytes of a new file after which the disk is given work
_BOTH = 1 << 18  # bytes that are worth another thread
_AHEAD = 8 << 20  # bytes of an object of a bucket that are read at once


class Listed(NamedTuple):
    """An object of a listing: its name, its bytes, and when it was written (seconds since 1970)."""

    name: str
    size: int
    modified: float


class Objects(Protocol):
    """A place for bytes by name.

    A new object is a file in ``temporary`` first; :meth:`keep` puts it under its name as a whole.
    """

    temporary: Path

    def keep(self, name: str, file: Path) -> None:
        """Take a finished file in as ``name``; it may be gone from its place afterwards."""

    def source(self, name: str) -> Path | Callable[[], Reader]:
        """Return the file of an object, or what opens it for reading."""

    def find(self, name: str) -> Listed | None:
        """Return the size and time of an object, or None when there is none."""

    def delete(self, name: str) -> None:
        """Delete an object, if it is there."""

    def list(self) -> Iterator[Listed]:
        """Yield every object."""


class NewFile:
    """A file that is being written, of which the disk gets each part soon, not all of it in the end.

    Args:
        path: where it is made.

    Example:
        >>> import tempfile
        >>> with NewFile(Path(tempfile.mkdtemp()) / "new") as file:
        ...     file.write(b"hello")
        >>> file.tell()
        5
    """

    def __init__(self, path: Path) -> None:
        self._file = open(path, "wb", buffering=0)  # noqa: SIM115 (closed by the block that this object is for)
        self._written = self._told = 0

    def write(self, data: bytes | memoryview) -> None:
        """Add bytes at the end; they are the kernel's when this returns."""
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]
        self._written += len(data)
        if self._written - self._told >= _SOON and hasattr(os, "posix_fadvise"):
            # On Linux this begins to write what is new, and drops only what is on the disk already. Waiting for all
            # of a large file at its end takes as long as everything before.
            part = self._written - self._told
            os.posix_fadvise(self._file.fileno(), self._told, part, os.POSIX_FADV_DONTNEED)
            self._told = self._written

    def tell(self) -> int:
        """Return how many bytes were written."""
        return self._written

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> NewFile:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def write_and_hash(file: NewFile, digest: Any, data: bytes | memoryview) -> None:
    """Add bytes to a new file and to its hash, both at once where there are enough of them to be worth it."""
    if len(data) < _BOTH:
        digest.update(data)
        file.write(data)
        return
    written = _writers().submit(file.write, data)
    try:
        digest.update(data)
    finally:
        written.result()


@lru_cache(maxsize=1)
def _writers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(8, thread_name_prefix="enfold-hub-write")


def open_source(source: Path | Callable[[], Reader]) -> Reader:
    """Open what :meth:`Objects.source` returned."""
    return source.open("rb") if isinstance(source, Path) else source()


class Folder:
    """Objects as files of a folder.

    Args:
        folder: where they are.
        durable: whether an object has reached the disk before :meth:`keep` returns.

    Example:
        >>> import tempfile
        >>> place = Folder(Path(tempfile.mkdtemp()))
        >>> place.find("none") is None
        True
    """

    def __init__(self, folder: Path, *, durable: bool = True) -> None:
        self.folder, self.durable = folder, durable
        self.temporary = folder / "tmp"
        self.temporary.mkdir(parents=True, exist_ok=True)

    def keep(self, name: str, file: Path) -> None:
        """Rename a finished file into its place."""
        target = self.folder / name
        if self.durable:
            _sync(file)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(file, target)
        if self.durable:
            _sync(target.parent)

    def source(self, name: str) -> Path:
        """Return the file of an object."""
        return self.folder / name

    def find(self, name: str) -> Listed | None:
        """Return the size and time of an object, or None when there is none."""
        try:
            found = (self.folder / name).stat()
        except FileNotFoundError:
            return None
        return Listed(name, found.st_size, found.st_mtime)

    def delete(self, name: str) -> None:
        """Delete an object, if it is there."""
        (self.folder / name).unlink(missing_ok=True)

    def list(self) -> Iterator[Listed]:
        """Yield every object."""
        for path in self.folder.glob("??/??/*"):
            name = path.relative_to(self.folder).as_posix()
            if (found := self.find(name)) is not None:
                yield found


class Bucket:
    """Objects of a bucket.

    Args:
        url: ``s3://bucket/prefix``. Keys, region and endpoint are those of the environment: ``AWS_ACCESS_KEY_ID``,
            ``AWS_SECRET_ACCESS_KEY``, ``AWS_REGION``, ``AWS_ENDPOINT_URL``.
        temporary: a folder of this machine for objects that are being written.

    Raises:
        EnfoldError: ``obstore`` is not installed, or the address is none that it knows.
    """

    def __init__(self, url: str, temporary: Path) -> None:
        try:
            from obstore.store import from_url
        except ImportError:
            raise EnfoldError("a Hub in a bucket needs obstore: pip install 'enfold[s3]'") from None
        plain = os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://")
        options: dict[str, Any] = {"client_options": {"allow_http": True}} if plain else {}
        try:
            self._store: Any = from_url(url.rstrip("/"), **options)
        except Exception as error:
            raise EnfoldError(f"{url!r} is no address of a bucket, such as s3://bucket/prefix: {error}") from error
        self.temporary = temporary
        temporary.mkdir(parents=True, exist_ok=True)

    def keep(self, name: str, file: Path) -> None:
        """Upload a finished file; the bucket shows it when all of it is there."""
        import obstore

        obstore.put(self._store, name, file)
        file.unlink(missing_ok=True)

    def source(self, name: str) -> Callable[[], Reader]:
        """Return what opens an object for reading."""

        def start() -> Reader:
            import obstore

            return _BucketReader(obstore.open_reader(self._store, name, buffer_size=_AHEAD))

        return start

    def find(self, name: str) -> Listed | None:
        """Return the size and time of an object, or None when there is none."""
        import obstore

        try:
            found = obstore.head(self._store, name)
        except FileNotFoundError:
            return None
        return Listed(name, found["size"], found["last_modified"].timestamp())

    def delete(self, name: str) -> None:
        """Delete an object, if it is there."""
        import obstore

        obstore.delete(self._store, name)

    def list(self) -> Iterator[Listed]:
        """Yield every object."""
        import obstore

        for page in obstore.list(self._store):
            for found in page:
                yield Listed(found["path"], found["size"], found["last_modified"].timestamp())


class _BucketReader:
    def __init__(self, file: Any) -> None:
        self._file = file

    def seek(self, position: int, /) -> None:
        self._file.seek(position)

    def read(self, size: int, /) -> bytes:
        return bytes(self._file.read(size))

    def __enter__(self) -> _BucketReader:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()


def keep_fresh(objects: Objects, name: str, file: Path) -> None:
    """Take a file in unless it is there and young: then it cannot be swept before something refers to it."""
    found = objects.find(name)
    if found is None or found.modified < time.time() - LEASE / 2:
        objects.keep(name, file)


def sweep(temporary: Path, older_than: float = 86_400) -> int:
    """Delete what was being written and not touched for ``older_than`` seconds; return how many files."""
    count, limit = 0, time.time() - older_than
    for file in temporary.iterdir():
        try:
            if file.stat().st_mtime < limit:
                file.unlink()
                count += 1
        except FileNotFoundError:
            pass
    return count


def _sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, have reached the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
