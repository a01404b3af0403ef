"""Large uploads in parts: each part is kept as it comes, and when all are there they become one content."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Sequence
from types import TracebackType

from blake3 import blake3

from enfold.hubserver.errors import HubServerError
from enfold.hubserver.store.blobs import BlobStore, StoredBlob
from enfold.hubserver.store.objects import NewFile, open_source, write_and_hash

__all__ = ["PartWriter", "Parts", "part_sizes"]

_PIECE = 1 << 20


def part_sizes(size: int, part: int) -> list[int]:
    """Return the sizes of the parts of a content.

    Example:
        >>> part_sizes(10, 4)
        [4, 4, 2]
    """
    return [min(part, size - start) for start in range(0, size, part)]


class Parts:
    """The parts of uploads that are not whole yet.

    They are objects beside the contents, called ``pa/rt/<repository>-<sha256>-<number>``: whatever server a part comes
    to, the one that puts them together finds it. What is never put together is swept with other objects that nothing
    refers to.

    Args:
        blobs: where contents are kept.
    """

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs
        #: held while parts are put together
        self.turn = threading.Lock()

    @staticmethod
    def name(repo_id: int, sha256: str, number: int) -> str:
        """Return what the object of a part is called; a 400 for what is no SHA-256."""
        BlobStore.name(sha256)
        return f"pa/rt/{repo_id}-{sha256}-{number}"

    def writer(self, repo_id: int, sha256: str, number: int, size: int) -> PartWriter:
        """Return a context manager that takes a part of ``size`` bytes, piece by piece."""
        return PartWriter(self._blobs, self.name(repo_id, sha256, number), number, size)

    def join(self, repo_id: int, sha256: str, sizes: Sequence[int], tags: Sequence[str]) -> StoredBlob:
        """Put the parts together as one content and forget them.

        Args:
            repo_id: for which repository they came.
            sha256: of the whole.
            sizes: of each part.
            tags: what :meth:`PartWriter.finish` said of each.

        Raises:
            HubServerError: 400, another number of parts; 422, a part is missing or another one than was acknowledged,
                or the whole has another hash.
        """
        if len(tags) != len(sizes):
            raise HubServerError(400, f"the object {sha256} has {len(sizes)} parts, {len(tags)} were named")
        names = [self.name(repo_id, sha256, number) for number in range(1, len(sizes) + 1)]
        with self._blobs.writer(limit=sum(sizes), what=f"the object {sha256}") as writer:
            for number, (name, size, tag) in enumerate(zip(names, sizes, tags, strict=True), 1):
                found = self._blobs.objects.find(name)
                if found is None or found.size != size:
                    raise HubServerError(422, f"part {number} of the object {sha256} is not there: upload it again")
                digest = blake3()
                with open_source(self._blobs.objects.source(name)) as reader:
                    while piece := reader.read(_PIECE):
                        digest.update(piece)
                        writer.write(piece)
                if digest.hexdigest() != tag.strip('"'):
                    raise HubServerError(422, f"part {number} of the object {sha256} is another one than {tag}")
            stored = writer.finish(sha256=sha256, size=sum(sizes))
        for name in names:
            self._blobs.objects.delete(name)
        return stored


class PartWriter:
    """A part on its way in; leaving the block without :meth:`finish` discards it."""

    def __init__(self, blobs: BlobStore, name: str, number: int, size: int) -> None:
        self._objects, self._name, self._number, self._size = blobs.objects, name, number, size
        self._path = blobs.objects.temporary / secrets.token_hex(16)
        self._file: NewFile | None = None
        self._hash = blake3()  # of the whole, clients want the SHA-256; what names a part is up to us, and quicker

    def __enter__(self) -> PartWriter:
        self._file = NewFile(self._path)
        return self

    def write(self, data: bytes | memoryview) -> None:
        """Add a piece; a 413 when the part grows larger than it was to be."""
        assert self._file is not None
        if self._file.tell() + len(data) > self._size:
            raise HubServerError(413, f"part {self._number} is larger than the {self._size} bytes that it should have")
        write_and_hash(self._file, self._hash, data)

    def finish(self) -> str:
        """Keep the part, and return the tag by which the client names it afterwards."""
        assert self._file is not None
        size = self._file.tell()
        if size != self._size:
            raise HubServerError(422, f"part {self._number} has {size} bytes, not {self._size}")
        self._objects.keep(self._name, self._path)
        return self._hash.hexdigest()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._file is not None:
                self._file.close()
        finally:  # what waits to be written may find the disk full
            self._path.unlink(missing_ok=True)
