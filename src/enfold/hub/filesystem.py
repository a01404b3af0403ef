"""Repositories as a file system: for pandas, duckdb, pyarrow and everything else that opens files through fsspec.

A path is ``[datasets/ or spaces/]namespace/name[@revision]/path/in/repo``, with or without ``hf://`` before it.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import tempfile
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

import fsspec
from fsspec.callbacks import DEFAULT_CALLBACK, Callback
from fsspec.spec import AbstractFileSystem
from fsspec.utils import isfilelike

from enfold.hub import constants, http
from enfold.hub.api import HfApi
from enfold.hub.commit import CommitOperationCopy, CommitOperationDelete
from enfold.hub.download import hf_hub_url
from enfold.hub.errors import (
    EntryNotFoundError,
    HFValidationError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from enfold.hub.filesystem_files import HfFileSystemFile, HfFileSystemStreamFile, address_of
from enfold.hub.types import RepoFile, RepoFolder

__all__ = [
    "HfFileSystem",
    "HfFileSystemFile",
    "HfFileSystemResolvedPath",
    "HfFileSystemResolvedRepositoryPath",
    "HfFileSystemStreamFile",
    "hffs",  # noqa: F822 (see the end)
]

_ABSENT = (RepositoryNotFoundError, RevisionNotFoundError, EntryNotFoundError, HFValidationError)
#: revisions that have a slash of their own, and so need no quoting in a path
_SLASHED = ("refs/pr/", "refs/convert/")


@dataclass
class HfFileSystemResolvedPath:
    """A path taken apart.

    Args:
        repo_type: "model", "dataset" or "space".
        repo_id: ``namespace/name``.
        revision: a branch, tag, reference or commit.
        path_in_repo: the rest; empty for the repository itself.
    """

    repo_type: str
    repo_id: str
    revision: str
    path_in_repo: str
    _raw_revision: str | None = None

    @property
    def root(self) -> str:
        """The path of the repository, with the revision as it was written."""
        prefix = constants.REPO_TYPES_URL_PREFIXES.get(self.repo_type, "") + self.repo_id
        if self._raw_revision:
            return f"{prefix}@{self._raw_revision}"
        if self.revision != "main":
            slashed = self.revision.startswith(_SLASHED)
            return f"{prefix}@{self.revision if slashed else quote(self.revision, safe='')}"
        return prefix

    def unresolve(self) -> str:
        """Return the path that this came from."""
        return f"{self.root}/{self.path_in_repo}".rstrip("/")


#: the name since there are paths of other things than repositories
HfFileSystemResolvedRepositoryPath = HfFileSystemResolvedPath


class HfFileSystem(AbstractFileSystem):  # type: ignore[misc]
    """A Hub's repositories as a file system.

    Args:
        endpoint: the Hub's address; ``HF_ENDPOINT`` by default.
        token: as in :class:`~enfold.hub.HfApi`.
        block_size: how many bytes are read ahead (5 MB by default).
        expand_info: whether listings say which commit last changed each file; slower.

    Example:
        >>> HfFileSystem(endpoint="http://hub").resolve_path("hf://datasets/me/rows@v1/train.csv").path_in_repo
        'train.csv'
    """

    protocol = "hf"
    root_marker = ""
    cachable = False  # which Hub and whose token are the environment's, and may change

    def __init__(
        self,
        *args: Any,
        endpoint: str | None = None,
        token: bool | str | None = None,
        block_size: int | None = None,
        expand_info: bool | None = None,
        **storage_options: Any,
    ) -> None:
        super().__init__(*args, **storage_options)
        self.endpoint = (endpoint or constants.endpoint()).rstrip("/")
        self.token = token
        self.block_size = block_size
        self.expand_info = bool(expand_info)
        self._api = HfApi(endpoint=self.endpoint, token=token)
        self._known: dict[tuple[str, str, str], str | None] = {}  # (type, id, revision) → None, or why it is not there

    # ------------------------------------------------------------------ paths

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(super()._strip_protocol(path)).lstrip("/")

    def resolve_path(self, path: str, revision: str | None = None) -> HfFileSystemResolvedPath:
        """Return the parts of a path; ``revision`` is used where the path has none.

        An id of one part is tried where there is no repository of two.

        Raises:
            ValueError: the path names no repository, or two revisions.
        """
        stripped = self._strip_protocol(path)
        kind = "model"
        first, _, rest = stripped.partition("/")
        if first in constants.REPO_TYPES_MAPPING:
            kind, stripped = constants.REPO_TYPES_MAPPING[first], rest
        if not stripped:
            raise _NoRepository(f"{path!r} names no repository: expected [datasets/]namespace/name[@revision]/path")
        segments = stripped.split("/")
        readings = [made for length in (2, 1) if (made := _take_apart(kind, segments, length, revision)) is not None]
        for made in readings:
            if revision is not None:
                if made._raw_revision is not None and unquote(made._raw_revision) != revision:
                    raise ValueError(f"{path!r} has the revision {made.revision!r}, and {revision!r} was asked for")
                made.revision = revision
        certain = len(readings) == 1 or readings[0]._raw_revision is not None
        return readings[0] if certain else next(filter(self._is_there, readings), readings[0])

    def _is_there(self, path: HfFileSystemResolvedPath, *, refresh: bool = False) -> bool:
        key = (path.repo_type, path.repo_id, path.revision)
        if refresh or key not in self._known:
            try:
                self._api.repo_info(path.repo_id, repo_type=path.repo_type, revision=path.revision, expand=["sha"])
                self._known[key] = None
            except _ABSENT as error:
                self._known[key] = str(error)
        return self._known[key] is None

    def invalidate_cache(self, path: str | None = None) -> None:
        """Forget listings, of one repository or of all."""
        if path is None:
            self.dircache.clear()
            self._known.clear()
        else:
            root = self.resolve_path(path).root
            for name in [name for name in self.dircache if name == root or name.startswith(root + "/")]:
                self.dircache.pop(name, None)
            self._known.clear()
        super().invalidate_cache(path)

    # ------------------------------------------------------------------ looking

    def ls(
        self, path: str, detail: bool = True, refresh: bool = False, revision: str | None = None, **kwargs: Any
    ) -> list[Any]:
        """List a folder, or the file of that name.

        Returns:
            for each entry a dictionary (``name``, ``size``, ``type``, ``blob_id``, ``lfs``, ``xet_hash``, …), or with
            ``detail=False`` its name.

        Raises:
            FileNotFoundError: there is no such repository, revision or path.
        """
        resolved = self.resolve_path(path, revision=revision)
        name = resolved.unresolve()
        if refresh or name not in self.dircache:
            try:
                self.dircache[name] = self._list(resolved, recursive=False, expand=self._expand(kwargs))
            except FileNotFoundError:
                return [self.info(name)] if detail else [str(self.info(name)["name"])]  # some Hubs list folders alone
        found = self.dircache[name]
        return list(found) if detail else [entry["name"] for entry in found]

    def _expand(self, options: dict[str, Any]) -> bool:
        asked = options.get("expand_info")
        return self.expand_info if asked is None else bool(asked)

    def _list(self, resolved: HfFileSystemResolvedPath, *, recursive: bool, expand: bool) -> list[dict[str, Any]]:
        where = {"revision": resolved.revision, "repo_type": resolved.repo_type}
        try:
            entries = self._api.list_repo_tree(
                resolved.repo_id, resolved.path_in_repo or None, recursive=recursive, expand=expand, **where
            )
            return [_entry(resolved.root, entry) for entry in entries]
        except _ABSENT as error:
            raise FileNotFoundError(f"{resolved.unresolve()}: {error}") from error

    def info(self, path: str, refresh: bool = False, revision: str | None = None, **kwargs: Any) -> dict[str, Any]:
        """Return the entry of a file or a folder, as :meth:`ls` lists it.

        Raises:
            FileNotFoundError: there is none.
        """
        resolved = self.resolve_path(path, revision=revision)
        name = resolved.unresolve()
        if not resolved.path_in_repo:
            if not self._is_there(resolved, refresh=refresh):
                raise FileNotFoundError(
                    f"{name}: {self._known[resolved.repo_type, resolved.repo_id, resolved.revision]}"
                )
            return {"name": name, "size": 0, "type": "directory", "tree_id": None, "last_commit": None}
        expand = self._expand(kwargs)
        if not refresh and not expand:
            for entry in self.dircache.get(self._parent(name), ()):
                if entry["name"] == name:
                    return dict(entry)
        where = {"revision": resolved.revision, "repo_type": resolved.repo_type}
        try:
            found = self._api.get_paths_info(resolved.repo_id, resolved.path_in_repo, expand=expand, **where)
        except _ABSENT as error:
            raise FileNotFoundError(f"{name}: {error}") from error
        if not found:
            raise FileNotFoundError(f"{name}: the repository has no such file or folder")
        return _entry(resolved.root, found[0])

    def find(
        self,
        path: str,
        maxdepth: int | None = None,
        withdirs: bool = False,
        detail: bool = False,
        refresh: bool = False,
        revision: str | None = None,
        **kwargs: Any,
    ) -> Any:
        """List all files below a folder, in one request for every thousand of them.

        Returns:
            names in order, or with ``detail`` a dictionary from names to entries.
        """
        if maxdepth is not None and maxdepth < 1:
            raise ValueError(f"maxdepth must be at least 1, not {maxdepth}")
        resolved = self.resolve_path(path, revision=revision)
        name = resolved.unresolve()
        try:
            found = self._list(resolved, recursive=maxdepth != 1, expand=self._expand(kwargs))
        except FileNotFoundError:
            found = []
        depth = name.count("/") + (maxdepth or 1 << 30)
        kept = {
            entry["name"]: entry
            for entry in found
            if (withdirs or entry["type"] == "file") and entry["name"].count("/") <= depth
        }
        if withdirs and found and found[0]["name"] != name:
            kept[name] = {"name": name, "size": 0, "type": "directory", "tree_id": None, "last_commit": None}
        names = sorted(kept)
        return {key: kept[key] for key in names} if detail else names

    def glob(self, path: str, maxdepth: int | None = None, revision: str | None = None, **kwargs: Any) -> Any:
        """Return what matches a pattern with ``*``, ``?``, ``[…]`` and ``**``."""
        resolved = self.resolve_path(path, revision=revision)
        return super().glob(resolved.unresolve(), maxdepth=maxdepth, **kwargs)

    def exists(self, path: str, **kwargs: Any) -> bool:
        """Say whether there is such a file, folder or repository."""
        try:
            self.info(path, **kwargs)
        except (FileNotFoundError, ValueError):
            return False
        return True

    def isdir(self, path: str) -> bool:
        """Say whether a path is a folder or a repository."""
        return self.exists(path) and self.info(path)["type"] == "directory"

    def isfile(self, path: str) -> bool:
        """Say whether a path is a file."""
        return self.exists(path) and self.info(path)["type"] == "file"

    def modified(self, path: str, **kwargs: Any) -> datetime.datetime:
        """Return when a file was last changed.

        Raises:
            FileNotFoundError: there is no such file.
        """
        found = self.info(path, **{**kwargs, "expand_info": True})
        if found["last_commit"] is None:
            raise FileNotFoundError(f"{path}: only files and folders have a time of their own")
        return found["last_commit"].date  # type: ignore[no-any-return]

    def url(self, path: str) -> str:
        """Return the address of a file, or of a folder's page."""
        resolved = self.resolve_path(path)
        where = {"repo_type": resolved.repo_type, "revision": resolved.revision, "endpoint": self.endpoint}
        if self.isdir(path):
            address = hf_hub_url(resolved.repo_id, resolved.path_in_repo or "-", **where).replace(
                "/resolve/", "/tree/", 1
            )
            return address if resolved.path_in_repo else address.removesuffix("/-")
        return hf_hub_url(resolved.repo_id, resolved.path_in_repo, **where)

    # ------------------------------------------------------------------ reading

    def _open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        revision: str | None = None,
        **kwargs: Any,
    ) -> HfFileSystemFile | HfFileSystemStreamFile:
        size = block_size if block_size is not None else self.block_size
        if size == 0:
            return HfFileSystemStreamFile(self, path, mode=mode, revision=revision, **kwargs)
        options = {} if size is None else {"block_size": size}
        return HfFileSystemFile(self, path, mode=mode, revision=revision, **options, **kwargs)

    def get_file(
        self, rpath: str, lpath: Any = None, callback: Callback = DEFAULT_CALLBACK, outfile: Any = None, **kwargs: Any
    ) -> None:
        """Copy a file (or make the folder) here, in one request."""
        revision = kwargs.get("revision")
        if outfile is None and lpath is not None and not isfilelike(lpath) and self.isdir(rpath):
            os.makedirs(lpath, exist_ok=True)
            return
        if lpath is None and outfile is None:
            raise ValueError("get_file needs a path (lpath) or an open file (outfile) to write to")
        resolved = self.resolve_path(rpath, revision=revision)
        callback.set_size(self.info(rpath, revision=revision)["size"])
        with contextlib.ExitStack() as stack:
            if isfilelike(lpath) or outfile is not None:
                target = outfile if outfile is not None else lpath
            else:
                os.makedirs(os.path.dirname(os.path.abspath(lpath)), exist_ok=True)
                target = stack.enter_context(open(lpath, "wb"))
            answer = stack.enter_context(http.stream(address_of(self, resolved), token=self._api.token))
            for piece in answer.iter_bytes(1 << 20):
                target.write(piece)
                callback.relative_update(len(piece))

    # ------------------------------------------------------------------ changing

    def rm_file(self, path: str, revision: str | None = None, **kwargs: Any) -> None:
        """Delete a file, by a commit."""
        self._delete([path], revision, kwargs.get("commit_message"))

    def rm(
        self,
        path: str | list[str],
        recursive: bool = False,
        maxdepth: int | None = None,
        revision: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Delete files, and with ``recursive`` folders, by one commit for each repository."""
        self._delete(
            self.expand_path(path, recursive=recursive, maxdepth=maxdepth), revision, kwargs.get("commit_message")
        )

    def _delete(self, paths: list[str], revision: str | None, message: str | None) -> None:
        chosen: dict[tuple[str, str, str], list[CommitOperationDelete]] = {}
        for path in paths:
            if self.info(path, revision=revision)["type"] == "directory":
                continue  # a folder is gone with what it holds
            found = self.resolve_path(path, revision=revision)
            key = (found.repo_type, found.repo_id, found.revision)
            chosen.setdefault(key, []).append(CommitOperationDelete(found.path_in_repo))
        for (kind, repo_id, at), operations in chosen.items():
            title = message or f"Delete {operations[0].path_in_repo}" + (
                f" and {len(operations) - 1} more" if len(operations) > 1 else ""
            )
            self._api.create_commit(repo_id, operations, repo_type=kind, revision=at, commit_message=title)
        for path in paths:
            self.invalidate_cache(path)

    def cp_file(self, path1: str, path2: str, revision: str | None = None, **kwargs: Any) -> None:
        """Copy a file by a commit; within a repository its content is not sent again."""
        source, target = self.resolve_path(path1, revision=revision), self.resolve_path(path2)
        message = kwargs.get("commit_message") or f"Copy {source.unresolve()} to {target.unresolve()}"
        if (source.repo_type, source.repo_id) == (target.repo_type, target.repo_id):
            operation = CommitOperationCopy(source.path_in_repo, target.path_in_repo, src_revision=source.revision)
            kind, at = target.repo_type, target.revision
            self._api.create_commit(target.repo_id, [operation], commit_message=message, repo_type=kind, revision=at)
        else:
            with self.open(path1, "rb", revision=revision) as reader, tempfile.TemporaryFile() as content:
                while piece := reader.read(1 << 20):
                    content.write(piece)
                content.seek(0)
                self._upload(target, content, message)
        self.invalidate_cache(path2)

    def _upload(self, target: HfFileSystemResolvedPath, content: Any, message: str) -> None:
        self._api.upload_file(
            path_or_fileobj=content,
            path_in_repo=target.path_in_repo,
            repo_id=target.repo_id,
            repo_type=target.repo_type,
            revision=target.revision,
            commit_message=message,
        )


class _NoRepository(NotImplementedError, ValueError):
    """A path above all repositories: these are not listed as files are."""


def _take_apart(
    kind: str, segments: list[str], length: int, revision: str | None = None
) -> HfFileSystemResolvedPath | None:
    """Read the first ``length`` segments as a repository, the last of them with its revision.

    ``revision`` tells what ``@refs/pr/1`` means where a branch is called ``refs``.
    """
    if len(segments) < length:
        return None
    head, rest = segments[:length], segments[length:]
    if any("@" in segment for segment in head[:-1]):
        return None
    name, at, raw = head[-1].partition("@")
    if at and raw == "refs" != revision and len(rest) >= 2 and f"refs/{rest[0]}/" in _SLASHED:
        raw, rest = "/".join([raw, *rest[:2]]), rest[2:]
    repo_id = "/".join([*head[:-1], name])
    return HfFileSystemResolvedPath(kind, repo_id, unquote(raw) if at else "main", "/".join(rest), raw if at else None)


def _entry(root: str, entry: RepoFile | RepoFolder) -> dict[str, Any]:
    name = f"{root}/{entry.path}"
    if isinstance(entry, RepoFolder):
        made = {"name": name, "size": 0, "type": "directory", "tree_id": entry.tree_id}
    else:
        known = {"blob_id": entry.blob_id, "lfs": entry.lfs, "xet_hash": entry.xet_hash, "security": entry.security}
        made = {"name": name, "size": entry.size, "type": "file", **known}
    return {**made, "last_commit": entry.last_commit}


fsspec.register_implementation("hf", HfFileSystem, clobber=True)


def __getattr__(name: str) -> Any:
    """Make the file system of the environment's Hub when it is first asked for."""
    if name == "hffs":
        return HfFileSystem()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
