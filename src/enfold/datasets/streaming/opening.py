"""Opening data files where they lie: on this machine, on the Hub, behind an address; nothing is written to disk."""

from __future__ import annotations

import bz2
import contextlib
import io
import lzma
import os
import random
import time
import zipfile
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from enfold.log import get_logger

from ..data_files import DataFile
from ..errors import DatasetGenerationError, FileNotFoundDatasetsError, HubUnreachableError

__all__ = ["Member", "RangeFile", "is_packed", "local_path", "members", "open_file", "unpacked"]

logger = get_logger(__name__)

_CODECS = {".gz": "gzip", ".zst": "zstd", ".lz4": "lz4"}
_ATTEMPTS = 6
_AHEAD = 1 << 20


@dataclass(frozen=True)
class Member(DataFile):
    """A file inside of a zip archive, which is read where it lies.

    Args:
        archive: the archive.
        path: the file's path in it.
    """

    archive: DataFile
    path: str


def members(archive: DataFile, token: str | bool | None) -> list[Member]:
    """Return the files inside of a zip archive.

    Raises:
        DatasetGenerationError: the archive is broken.
    """
    with open_file(archive, token) as file:
        try:
            names = [item.filename for item in zipfile.ZipFile(file).infolist() if not item.is_dir()]
        except zipfile.BadZipFile as error:
            raise DatasetGenerationError(f"{archive.name}: no zip archive: {error}") from error
    return [
        Member(f"{archive.name}::{name}", f"{archive.identity}::{name}", archive.fetch, archive, name)
        for name in sorted(names)
    ]


def local_path(file: DataFile) -> str | None:
    """Return the path of a file of this machine, or None where it is somewhere else."""
    return None if "://" in file.name or isinstance(file, Member) else file.fetch()


def open_file(file: DataFile, token: str | bool | None = None) -> Any:
    """Return a file open for reading bytes at any position.

    Args:
        file: the file: a path, ``hf://…``, ``https://…`` or any address that fsspec knows.
        token: the token for the Hub.

    Raises:
        FileNotFoundError: there is no such file.
    """
    if isinstance(file, Member):
        return zipfile.ZipFile(open_file(file.archive, token)).open(file.path)
    name = file.name
    if name.startswith("hf://datasets/"):
        from enfold.hub.download import hf_hub_url
        from enfold.hub.http import build_hf_headers

        repo, _, rest = name[len("hf://datasets/") :].partition("@")
        revision, _, path = rest.partition("/")
        url = hf_hub_url(repo, path, repo_type="dataset", revision=revision)
        return RangeFile(url, name, build_hf_headers(token=token))
    if name.startswith(("http://", "https://")):
        return RangeFile(name, name, {})
    if "://" in name:
        from fsspec.core import url_to_fs

        system, path = url_to_fs(name, **(file.storage or {}))
        opened: Any = system.open(path, "rb")
        with contextlib.suppress(AttributeError):
            opened.system = system  # an archive closes its members when nobody holds it
        return opened
    return open(file.fetch(), "rb")


def is_packed(name: str) -> bool:
    """Return whether a file's name says that it is compressed."""
    return name.lower().endswith((*_CODECS, ".bz2", ".xz"))


def unpacked(file: Any, name: str) -> Any:
    """Return a stream of a file's content, unpacked where its name or its first bytes say that it is compressed."""
    # fsspec names a member of an archive before the archive
    lower = (name.split("::")[0] if "://" in name.split("::")[0] else name).lower()
    if lower.endswith(".xz"):
        return lzma.open(file)
    if lower.endswith(".bz2"):  # gives what stands before a break, which Arrow's reader does not
        return bz2.open(file)
    codec = next((found for end, found in _CODECS.items() if lower.endswith(end)), None)
    if codec is None:
        head = file.read(2)
        file.seek(0)
        codec = "gzip" if head == b"\x1f\x8b" else None
    if codec is None:
        return io.BufferedReader(file, _AHEAD) if isinstance(file, RangeFile) else file
    plain = io.BufferedReader(file, _AHEAD) if isinstance(file, RangeFile) else file
    return pa.CompressedInputStream(pa.PythonFile(plain, "r"), codec)


class RangeFile(io.RawIOBase):
    """A file behind an address, read by ranges of bytes; a read that fails is tried again.

    Args:
        url: the address.
        name: how the user knows the file.
        headers: of every request.

    Raises:
        FileNotFoundError: there is no such file.
        HubUnreachableError: the server cannot be reached, or does not give the file, after several attempts.
    """

    def __init__(self, url: str, name: str, headers: dict[str, str]) -> None:
        self.url, self.name, self.headers = url, name, headers
        self._at = 0
        self._size: int | None = None
        self._whole: bytes | None = None  # of servers that do not know ranges

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def size(self) -> int:
        """Return the number of bytes."""
        if self._size is None:
            self._fetch(0, 1)
        assert self._size is not None
        return self._size

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at}.get(whence)
        self._at = max((self.size() if base is None else base) + offset, 0)
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        if size is None or size < 0:
            size = max(self.size() - self._at, 0)
        if size == 0 or (self._size is not None and self._at >= self._size):
            return b""
        data = self._fetch(self._at, size)
        self._at += len(data)
        return data

    def readall(self) -> bytes:
        return self.read(-1)

    def readinto(self, target: Any) -> int:
        data = self.read(len(target))
        target[: len(data)] = data
        return len(data)

    def _fetch(self, start: int, size: int) -> bytes:
        import httpx

        from enfold.hub.http import get_session

        if self._whole is not None:
            return self._whole[start : start + size]
        said: Any = None
        for attempt in range(_ATTEMPTS):
            if attempt:
                logger.warning("Reading %s again: %s", self.name, said)
                time.sleep(min(0.25 * 2**attempt, 8.0) * random.uniform(0.75, 1.25))
            headers = {**self.headers, "range": f"bytes={start}-{start + size - 1}", "accept-encoding": "identity"}
            try:
                answer = get_session().get(self.url, headers=headers, follow_redirects=True)
            except httpx.TransportError as error:
                said = str(error) or type(error).__name__
                continue
            if answer.status_code == 416:  # behind the end
                total = answer.headers.get("content-range", "").rpartition("/")[2]
                self._size = int(total) if total.isdigit() else start
                return b""
            if answer.status_code in (401, 403, 404, 410):
                raise FileNotFoundDatasetsError(f"{self.name} cannot be read: the server says {answer.status_code}")
            if answer.status_code == 200:
                self._whole = answer.content
                self._size = len(self._whole)
                return self._whole[start : start + size]
            if answer.status_code == 206:
                total = answer.headers.get("content-range", "").rpartition("/")[2]
                if total.isdigit():
                    self._size = int(total)
                wanted = size if self._size is None else min(size, self._size - start)
                if len(answer.content) == wanted:
                    return answer.content
                said = f"{len(answer.content)} bytes came of {wanted}"
                continue
            said = f"the server says {answer.status_code}"
        raise HubUnreachableError(f"{self.name} cannot be read after {_ATTEMPTS} attempts: {said}")
