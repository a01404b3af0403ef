"""Files of repositories that ``HfFileSystem`` opens: read in blocks, or in one go, and written by a commit."""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fsspec.spec import AbstractBufferedFile

from enfold.hub import http
from enfold.hub.download import hf_hub_url

if TYPE_CHECKING:
    from enfold.hub.filesystem import HfFileSystem, HfFileSystemResolvedPath

__all__ = ["HfFileSystemFile", "HfFileSystemStreamFile", "address_of"]


def address_of(fs: HfFileSystem, path: HfFileSystemResolvedPath) -> str:
    """Return where a file is fetched from."""
    where = {"repo_type": path.repo_type, "revision": path.revision, "endpoint": fs.endpoint}
    return hf_hub_url(path.repo_id, path.path_in_repo, **where)


class HfFileSystemFile(AbstractBufferedFile):  # type: ignore[misc]
    """A file of a repository: read by ranges, written by one commit when it is closed."""

    def __init__(self, fs: HfFileSystem, path: str, revision: str | None = None, **kwargs: Any) -> None:
        self.resolved_path = fs.resolve_path(path, revision=revision)
        if not self.resolved_path.path_in_repo:
            raise IsADirectoryError(f"{path!r} is a repository, not a file of one")
        self._content: Any = None
        if kwargs.get("mode", "rb") == "rb":
            self.details = fs.info(self.resolved_path.unresolve())
            if self.details["type"] == "directory":
                raise IsADirectoryError(f"{path!r} is a folder")
            kwargs["size"] = self.details["size"]
        elif not fs._is_there(self.resolved_path):
            raise FileNotFoundError(f"{path!r}: there is no such repository or revision to write to")
        super().__init__(fs, self.resolved_path.unresolve(), **kwargs)

    def _fetch_range(self, start: int, end: int) -> bytes:
        if start >= end:
            return b""
        headers = {"range": f"bytes={start}-{end - 1}", "accept-encoding": "identity"}
        answer = http.request("GET", address_of(self.fs, self.resolved_path), token=self.fs._api.token, headers=headers)
        return answer.content

    def read(self, length: int = -1) -> bytes:
        """Read up to ``length`` bytes; the whole of an unread file comes in one request."""
        if self.mode == "rb" and self.tell() == 0 and length in (-1, None):
            content = http.request("GET", address_of(self.fs, self.resolved_path), token=self.fs._api.token).content
            self.loc: int = len(content)
            return content
        return super().read(length)  # type: ignore[no-any-return]

    def _initiate_upload(self) -> None:
        self._content = tempfile.TemporaryFile()  # noqa: SIM115 (closed when the file is)

    def _upload_chunk(self, final: bool = False) -> bool:
        self.buffer.seek(0)
        self._content.write(self.buffer.read())
        if final:
            with self._content:
                self._content.seek(0, io.SEEK_SET)
                message = self.kwargs.get("commit_message") or f"Upload {self.resolved_path.path_in_repo}"
                self.fs._upload(self.resolved_path, self._content, message)
            self.fs.invalidate_cache(self.resolved_path.unresolve())
        return True

    def __exit__(self, kind: type[BaseException] | None, *args: Any) -> None:
        if kind is not None and self.mode != "rb":
            self.forced = True  # nothing half written: what failed is not uploaded
        self.close()

    def url(self) -> str:
        """Return the file's address."""
        return str(self.fs.url(self.path))


class HfFileSystemStreamFile(io.RawIOBase):
    """A file of a repository, read once from the beginning to the end in one request (``block_size=0``).

    A connection that breaks is taken up where it broke.
    """

    def __init__(
        self, fs: HfFileSystem, path: str, mode: str = "rb", revision: str | None = None, **kwargs: Any
    ) -> None:
        if mode != "rb":
            raise ValueError(f"a file that is not read in blocks is for reading alone (mode 'rb'), not {mode!r}")
        self.fs, self.mode = fs, mode
        self.resolved_path = fs.resolve_path(path, revision=revision)
        self.path = self.resolved_path.unresolve()
        self.details = fs.info(self.path)
        self.size, self.loc = int(self.details["size"]), 0
        self._open: contextlib.ExitStack | None = None
        self._pieces: Iterator[bytes] = iter(())
        self._rest = b""

    def readable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """Return how far it was read."""
        return self.loc

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Stay where it is: any other place is a ValueError."""
        if (offset, whence) not in {(self.loc, 0), (0, 1)}:
            raise ValueError("a file that is not read in blocks cannot be read from another place")
        return self.loc

    def read(self, size: int | None = -1, /) -> bytes:
        """Return up to ``size`` bytes, or all that is left."""
        left = self.size - self.loc if size is None or size < 0 else min(size, self.size - self.loc)
        found = []
        while left > 0:
            if not self._rest:
                self._rest = self._next()
            piece, self._rest = self._rest[:left], self._rest[left:]
            found.append(piece)
            left -= len(piece)
            self.loc += len(piece)
        return b"".join(found)

    def readinto(self, buffer: Any, /) -> int:
        """Fill ``buffer`` and return how many bytes there were."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def _next(self) -> bytes:
        for attempt in range(3):
            try:
                if self._open is None:
                    self._open = contextlib.ExitStack()
                    headers = {"range": f"bytes={self.loc}-"} if self.loc else {}
                    address = address_of(self.fs, self.resolved_path)
                    answer = self._open.enter_context(http.stream(address, token=self.fs._api.token, headers=headers))
                    self._pieces = answer.iter_bytes(1 << 16)
                piece = next(self._pieces, b"")
                if not piece:
                    raise ConnectionError(f"{self.path} ended after {self.loc} of {self.size} bytes")
                return piece
            except Exception as error:
                self._hang_up()
                if attempt == 2 or not http.transient(error):
                    raise
        raise AssertionError("unreachable")

    def _hang_up(self) -> None:
        if self._open is not None:
            self._open.close()
        self._open, self._rest = None, b""

    def close(self) -> None:
        """End the request."""
        self._hang_up()
        super().close()
