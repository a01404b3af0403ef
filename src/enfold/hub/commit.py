"""Commits: what to add, copy and delete; large files go first, by LFS, then one request makes the commit."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import io
import itertools
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

from enfold.hub import http
from enfold.hub.errors import HfHubHTTPError, HFValidationError
from enfold.hub.parallel import run_all
from enfold.hub.validation import check_filename
from enfold.hub.xet import upload_chunks
from enfold.log import get_logger
from enfold.progress import Progress

__all__ = [
    "CommitOperationAdd",
    "CommitOperationCopy",
    "CommitOperationDelete",
    "commit_lines",
    "preupload",
    "upload_contents",
]

_log = get_logger(__name__)

_BATCH = 256
_PARTS = 4  # parts of a large file that are sent at once
_CHUNK = 1 << 20


def _path_in_repo(path: str) -> str:
    """Return where an operation writes to, without a beginning that says the same; no folder of git or of the cache.

    Raises:
        ValueError: there is no such place in a repository.
    """
    path = check_filename(path.removeprefix("/").removeprefix("./"))
    parts = path.split("/")
    if path == "." or ".git" in parts or (".cache", "huggingface") in itertools.pairwise(parts):
        raise HFValidationError(f"nothing is written to {path!r}: it is a folder's name, or git's or the cache's own")
    return path


@dataclasses.dataclass
class CommitOperationDelete:
    """Delete a file, or a folder when the path ends with a slash.

    Args:
        path_in_repo: what to delete.
        is_folder: "auto" (by the slash), True or False.
    """

    path_in_repo: str
    is_folder: bool | str = "auto"

    def __post_init__(self) -> None:
        if self.is_folder == "auto":
            self.is_folder = self.path_in_repo.endswith("/")
        if not isinstance(self.is_folder, bool):
            raise ValueError(f"is_folder is True, False or 'auto', not {self.is_folder!r}")
        self.path_in_repo = _path_in_repo(self.path_in_repo.rstrip("/")) + ("/" if self.is_folder else "")


@dataclasses.dataclass
class CommitOperationCopy:
    """Copy a file inside the repository, or from another one of the same Hub.

    Args:
        src_path_in_repo: the file to copy.
        path_in_repo: its new place.
        src_revision: where to read it; the branch committed to by default, "main" of another repository.
        src_repo_id: the other repository.
        src_repo_type: its kind: "model", "dataset" or "space"; "model" by default.
    """

    src_path_in_repo: str
    path_in_repo: str
    src_revision: str | None = None
    src_repo_id: str | None = None
    src_repo_type: str | None = None

    def __post_init__(self) -> None:
        self.src_path_in_repo = check_filename(self.src_path_in_repo)
        self.path_in_repo = _path_in_repo(self.path_in_repo)


@dataclasses.dataclass
class CommitOperationAdd:
    """Add or replace a file.

    Args:
        path_in_repo: its place in the repository.
        path_or_fileobj: a path, bytes, or a binary file that can seek.

    Raises:
        ValueError: the file does not exist, or is not opened for reading bytes.
    """

    path_in_repo: str
    path_or_fileobj: str | os.PathLike[str] | bytes | BinaryIO

    _upload_mode: str | None = dataclasses.field(default=None, repr=False)
    _should_ignore: bool = dataclasses.field(default=False, repr=False)
    _remote_oid: str | None = dataclasses.field(default=None, repr=False)
    _is_uploaded: bool = dataclasses.field(default=False, repr=False)

    def __post_init__(self) -> None:
        self.path_in_repo = _path_in_repo(self.path_in_repo)
        source = self.path_or_fileobj
        if isinstance(source, os.PathLike):
            source = self.path_or_fileobj = os.fspath(source)
        if isinstance(source, str):
            if not os.path.isfile(source):
                raise ValueError(f"there is no file {source!r} to upload to {self.path_in_repo!r}")
            self._size = os.path.getsize(source)
        elif isinstance(source, (bytes, bytearray)):
            self._size = len(source)
        elif isinstance(source, (io.RawIOBase, io.BufferedIOBase)) or hasattr(source, "read"):
            if isinstance(source, io.TextIOBase):
                raise ValueError("open the file for reading bytes, with mode 'rb'")
            position = source.tell()
            self._size = source.seek(0, os.SEEK_END) - position
            source.seek(position)
        else:
            raise ValueError(f"path_or_fileobj is a path, bytes or a binary file, not {type(source).__name__}")

    @classmethod
    def uploaded(cls, path_in_repo: str, sha256: str, size: int) -> CommitOperationAdd:
        """Return what adds a large file whose content the Hub knows to be the repository's."""
        made = cls(path_in_repo, b"", _upload_mode="lfs", _is_uploaded=True)
        made._size, made.__dict__["_sha256"] = size, sha256
        return made

    def forget(self) -> None:
        """Let go of an uploaded content; its hash and its size are all that a commit needs."""
        self.sha256()
        self.path_or_fileobj = b""

    @property
    def size(self) -> int:
        """The content's size in bytes."""
        return self._size

    @contextmanager
    def as_file(self, with_tqdm: bool = False) -> Iterator[BinaryIO]:
        """Open the content for reading; a file object is put back to where it was."""
        source = self.path_or_fileobj
        if isinstance(source, str):
            with open(source, "rb") as file:
                yield file
        elif isinstance(source, (bytes, bytearray)):
            yield io.BytesIO(source)
        else:
            position = source.tell()  # type: ignore[union-attr]
            yield source  # type: ignore[misc]
            source.seek(position)  # type: ignore[union-attr]

    def sample(self) -> bytes:
        """Return the first 512 bytes, by which the Hub sees whether a file is text."""
        with self.as_file() as file:
            return file.read(512)

    def chunks(self, size: int = _CHUNK) -> Iterator[bytes]:
        """Yield the content piece by piece."""
        with self.as_file() as file:
            while piece := _read_full(file, size):
                yield piece

    def part(self, start: int, length: int) -> Iterator[bytes]:
        """Yield ``length`` bytes from the place ``start`` on, piece by piece."""
        with self.as_file() as file:
            file.seek(start, os.SEEK_CUR if file is self.path_or_fileobj else os.SEEK_SET)
            while length and (piece := file.read(min(_CHUNK, length))):
                length -= len(piece)
                yield piece

    def sha256(self) -> str:
        """Return the content's SHA-256; computed once."""
        found = self.__dict__.get("_sha256")
        if found is None:
            digest = hashlib.sha256()
            for piece in self.chunks():
                digest.update(piece)
            found = self.__dict__["_sha256"] = digest.hexdigest()
        return str(found)

    def git_oid(self) -> str:
        """Return the id that git gives the content; computed once."""
        found = self.__dict__.get("_git_oid")
        if found is None:
            digest = hashlib.sha1(b"blob %d\0" % self.size, usedforsecurity=False)
            for piece in self.chunks():
                digest.update(piece)
            found = self.__dict__["_git_oid"] = digest.hexdigest()
        return str(found)

    def unchanged(self) -> bool:
        """Say whether the Hub has this very content at this place already."""
        if self._remote_oid is None:
            return False
        return self._remote_oid == (self.sha256() if self._upload_mode == "lfs" else self.git_oid())


def _read_full(file: BinaryIO, size: int) -> bytes:
    """Read ``size`` bytes unless the end comes first; a raw file may give less in one go."""
    piece = file.read(size)
    while piece and len(piece) < size and (more := file.read(size - len(piece))):
        piece += more
    return piece


Operation = CommitOperationAdd | CommitOperationCopy | CommitOperationDelete


def preupload(
    api_url: str,
    revision: str,
    additions: Sequence[CommitOperationAdd],
    *,
    token: bool | str | None,
    git_ignore: str | None = None,
    create_pr: bool = False,
) -> None:
    """Ask the Hub how each file should come, and note its answer on the operations.

    Args:
        api_url: the repository's address in the API.
        revision: the branch to commit to.
        additions: the files.
        token: as everywhere.
        git_ignore: the content of a ``.gitignore`` that the Hub is to respect.
        create_pr: whether the commit will open a pull request, for which reading is right enough.
    """
    for start in range(0, len(additions), _BATCH):
        part = additions[start : start + _BATCH]
        files = [
            {"path": item.path_in_repo, "size": item.size, "sample": base64.b64encode(item.sample()).decode()}
            for item in part
        ]
        body: dict[str, Any] = {"files": files}
        if git_ignore is not None:
            body["gitIgnore"] = git_ignore
        address = f"{api_url}/preupload/{quote(revision, safe='')}"
        query = {"create_pr": "1"} if create_pr else None
        answer = http.request("POST", address, token=token, json=body, params=query).json()
        told = {file["path"]: file for file in answer["files"]}
        for item in part:
            file = told[item.path_in_repo]
            # An empty file has no content to store elsewhere.
            item._upload_mode = "regular" if item.size == 0 else file["uploadMode"]
            item._should_ignore = bool(file.get("shouldIgnore"))
            item._remote_oid = file.get("oid")


def upload_contents(
    api_url: str,
    page: str,
    revision: str,
    additions: Sequence[CommitOperationAdd],
    *,
    token: bool | str | None,
    threads: int = 4,
    create_pr: bool = False,
) -> None:
    """Upload the contents of "lfs" operations: as chunks where ``hf_xet`` is installed, else by Git LFS.

    Args:
        api_url: the repository's address in the API.
        page: the repository's address.
        revision: the branch to commit to.
        additions: operations whose upload mode is "lfs".
        token: as everywhere.
        threads: how many LFS uploads run at once.
        create_pr: whether the commit will open a pull request.
    """
    if not upload_chunks(api_url, revision, additions, token=token, create_pr=create_pr):
        upload_large(f"{page}.git", additions, token=token, threads=threads)


def upload_large(
    lfs_url: str, additions: Sequence[CommitOperationAdd], *, token: bool | str | None, threads: int = 4
) -> None:
    """Upload the contents of "lfs" operations that the Hub does not have, a few at a time.

    Args:
        lfs_url: the repository's address with ``.git`` (without ``/info/lfs``).
        additions: operations whose upload mode is "lfs".
        token: as everywhere.
        threads: how many uploads run at once.
    """
    waiting = [item for item in additions if not item._is_uploaded]
    if not waiting:
        return
    by_hash: dict[str, CommitOperationAdd] = {}
    for item in waiting:
        by_hash.setdefault(item.sha256(), item)
    actions: list[tuple[CommitOperationAdd, dict[str, Any]]] = []
    hashes = list(by_hash)
    for start in range(0, len(hashes), _BATCH):
        objects = [{"oid": oid, "size": by_hash[oid].size} for oid in hashes[start : start + _BATCH]]
        body = {"operation": "upload", "transfers": ["basic", "multipart"], "objects": objects, "hash_algo": "sha256"}
        headers = {"accept": "application/vnd.git-lfs+json", "content-type": "application/vnd.git-lfs+json"}
        answer = http.request(
            "POST", f"{lfs_url}/info/lfs/objects/batch", token=token, headers=headers, content=json.dumps(body).encode()
        ).json()
        for found in answer["objects"]:
            if "error" in found:
                raise HfHubHTTPError(
                    f"cannot upload {by_hash[found['oid']].path_in_repo!r}: {found['error'].get('message')}"
                )
            if found.get("actions"):
                actions.append((by_hash[found["oid"]], found["actions"]))
    if actions:
        total = sum(item.size for item, _ in actions)
        label = actions[0][0].path_in_repo.rsplit("/", 1)[-1] if len(actions) == 1 else f"{len(actions)} files"
        with Progress(total, f"upload {label}", unit="B", quiet=total < 1_000_000) as bar:

            def one(pair: tuple[CommitOperationAdd, dict[str, Any]], checkpoint: Callable[[], None]) -> None:
                def advance(count: int) -> None:
                    checkpoint()
                    bar.advance(count)

                _upload_one(pair[0], pair[1], token, advance)

            run_all(one, actions, threads)
    for item in waiting:
        item._is_uploaded = True


def _upload_one(
    item: CommitOperationAdd, actions: dict[str, Any], token: bool | str | None, advance: Callable[[int], None]
) -> None:
    upload = actions["upload"]
    header = dict(upload.get("header") or {})
    if "chunk_size" in header:
        _upload_parts(item, upload["href"], header, token, advance)
    else:

        def body() -> Iterator[bytes]:
            for piece in item.chunks():
                yield piece
                advance(len(piece))

        # The address is signed: the token stays here. The length is known, so the body need not be chunked.
        sent = {**header, "content-length": str(item.size)}
        http.request("PUT", upload["href"], token=False, headers=sent, content=body, timeout=600)
    if "verify" in actions:
        http.request("POST", actions["verify"]["href"], token=token, json={"oid": item.sha256(), "size": item.size})


def _upload_parts(
    item: CommitOperationAdd,
    completion: str,
    header: dict[str, Any],
    token: bool | str | None,
    advance: Callable[[int], None],
) -> None:
    size = int(header.pop("chunk_size"))
    addresses = [header[key] for key in sorted((key for key in header if key.isdigit()), key=int)]
    if len(addresses) != -(-item.size // size):
        raise HfHubHTTPError(f"the Hub gave {len(addresses)} addresses for {-(-item.size // size)} parts")
    tags: dict[int, str] = {}

    def send(number: int, checkpoint: Callable[[], None]) -> None:
        start = (number - 1) * size
        length = min(size, item.size - start)

        def body() -> Iterator[bytes]:
            for piece in item.part(start, length):
                checkpoint()
                yield piece

        sent = {"content-length": str(length)}
        response = http.request("PUT", addresses[number - 1], token=False, headers=sent, content=body, timeout=600)
        tags[number] = response.headers["etag"]
        advance(length)

    # A file object has one place to read from.
    several = isinstance(item.path_or_fileobj, (str, bytes, bytearray))
    run_all(send, range(1, len(addresses) + 1), _PARTS if several else 1)
    parts = [{"partNumber": number, "etag": tags[number]} for number in sorted(tags)]
    accept = {"accept": "application/vnd.git-lfs+json", "content-type": "application/vnd.git-lfs+json"}
    body = json.dumps({"oid": item.sha256(), "parts": parts}).encode()
    # The Hub hashes the whole before it answers, which takes seconds for every gigabyte.
    http.request("POST", completion, token=False, headers=accept, content=body, timeout=1800)


def commit_lines(
    operations: Iterable[Operation], message: str, description: str, parent: str | None
) -> Iterator[bytes]:
    """Yield the body of a commit, file contents in pieces."""

    def line(key: str, value: dict[str, Any]) -> bytes:
        return json.dumps({"key": key, "value": value}).encode() + b"\n"

    header = {"summary": message, "description": description}
    if parent is not None:
        header["parentCommit"] = parent
    yield line("header", header)
    for operation in operations:
        if isinstance(operation, CommitOperationDelete):
            yield line("deletedFolder" if operation.is_folder else "deletedFile", {"path": operation.path_in_repo})
        elif isinstance(operation, CommitOperationCopy):
            value = {"path": operation.path_in_repo, "srcPath": operation.src_path_in_repo}
            if operation.src_revision is not None:
                value["srcRevision"] = operation.src_revision
            yield line("copyFile", value)
        elif operation._upload_mode == "lfs":
            yield line(
                "lfsFile",
                {"path": operation.path_in_repo, "algo": "sha256", "oid": operation.sha256(), "size": operation.size},
            )
        else:
            yield b'{"key": "file", "value": {"content": "'
            for piece in operation.chunks(3 << 18):  # a multiple of three, so that the pieces' base64 can be joined
                yield base64.b64encode(piece)
            yield b'", "path": ' + json.dumps(operation.path_in_repo).encode() + b', "encoding": "base64"}}\n'


def files_below(folder: str | os.PathLike[str]) -> list[tuple[str, Path]]:
    """Return ``(path with slashes, file)`` for what is in a folder, sorted, without git's and the cache's own files."""
    root = Path(folder).expanduser().resolve()
    found: list[tuple[str, Path]] = []
    for base, folders, names in os.walk(root):
        relative = Path(base).relative_to(root)
        folders[:] = sorted(
            name for name in folders if name != ".git" and not (name == "huggingface" and Path(base).name == ".cache")
        )
        found.extend(((relative / name).as_posix(), Path(base) / name) for name in sorted(names))
    return [(name, path) for name, path in found if path.is_file()]
