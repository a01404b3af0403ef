"""Which files a dataset is made of: trees of files (a folder, a repository), patterns in them, splits by name."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from enfold.errors import nearest
from enfold.log import get_logger

from .errors import DataFilesNotFoundError, DatasetNotFoundError, FileNotFoundDatasetsError, HubUnreachableError

__all__ = ["DataFile", "HubTree", "LocalTree", "Tree", "infer_splits", "match", "resolve"]

_IGNORED = {
    "README.md",
    "config.json",
    "dataset_info.json",
    "dataset_infos.json",
    "dummy_data.zip",
    "dataset_dict.json",
    "state.json",
}
_KEYWORDS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "dev", "val"),
    "test": ("test", "testing", "eval", "evaluation"),
}
_SHARDED = re.compile(r"(?:^|/)data/(?P<split>\w+(?:\.\w+)*)-\d{5}-of-\d{5}[^/]*\.[^/]*$")


@dataclass(frozen=True)
class DataFile:
    """A file that rows are read from.

    Args:
        name: how the user knows it: a path, or a path in a repository.
        identity: changes when the content changes.
        fetch: returns its path on this machine.
        storage: arguments of the file system behind its name, where that is an address.
    """

    name: str
    identity: str
    fetch: Callable[[], str]
    storage: dict[str, Any] | None = field(default=None, kw_only=True)


class Tree:
    """Files below one place."""

    def names(self) -> list[str]:
        """Return the files' paths relative to the place, with ``/``, sorted."""
        raise NotImplementedError

    def file(self, name: str) -> DataFile:
        """Return one of the files."""
        raise NotImplementedError

    def text(self, name: str) -> str | None:
        """Return the content of a small text file, or None where there is none of that name."""
        raise NotImplementedError


def _local_file(path: str) -> DataFile:
    found = os.stat(path)
    return DataFile(path, f"{os.path.realpath(path)}:{found.st_size}:{found.st_mtime_ns}", partial(str, path))


class LocalTree(Tree):
    """The files of a folder.

    Args:
        folder: the folder.
    """

    def __init__(self, folder: str) -> None:
        self.folder = os.path.abspath(folder)
        self._names: list[str] | None = None

    def names(self) -> list[str]:
        if self._names is None:
            out = []
            for place, folders, files in os.walk(self.folder):
                folders[:] = sorted(name for name in folders if not name.startswith((".", "__")))
                base = os.path.relpath(place, self.folder).replace(os.sep, "/")
                out += [name if base == "." else f"{base}/{name}" for name in files if not name.startswith(".")]
            self._names = sorted(out)
        return self._names

    def file(self, name: str) -> DataFile:
        return _local_file(os.path.join(self.folder, *name.split("/")))

    def text(self, name: str) -> str | None:
        path = os.path.join(self.folder, name)
        if not os.path.isfile(path):
            return None
        with open(path, encoding="utf-8") as file:
            return file.read()


class HubTree(Tree):
    """The files of a dataset repository at one commit; a file is downloaded when it is read.

    Args:
        repo_id: ``owner/name``.
        revision: a branch, tag or commit; the main branch where None.
        token: the token; the stored one where None.

    Raises:
        DatasetNotFoundError: there is no such repository, or it may not be read with this token.
    """

    def __init__(self, repo_id: str, revision: str | None = None, token: str | bool | None = None) -> None:
        from enfold.hub import HfApi
        from enfold.hub.errors import (
            GatedRepoError,
            HFValidationError,
            RepositoryNotFoundError,
            RevisionNotFoundError,
        )

        self.repo_id = repo_id
        self.token = token
        try:
            info = HfApi(token=token).dataset_info(repo_id, revision=revision)
        except GatedRepoError as error:
            raise DatasetNotFoundError(
                f"the dataset {repo_id!r} is gated: ask for access on its page. {error}"
            ) from error
        except RevisionNotFoundError as error:
            raise DatasetNotFoundError(f"the dataset {repo_id!r} has no revision {revision!r}. {error}") from error
        except (RepositoryNotFoundError, HFValidationError) as error:
            raise DatasetNotFoundError(
                f"there is no dataset {repo_id!r}: neither a folder here nor a repository on the Hub "
                f"(or it is private and the token does not open it). {error}"
            ) from error
        self.commit: str = info.sha or "main"
        self._revision = revision or "main"
        self._names = sorted(item.rfilename for item in info.siblings or [])

    def names(self) -> list[str]:
        return [name for name in self._names if not any(part.startswith(".") for part in name.split("/"))]

    def file(self, name: str) -> DataFile:
        return DataFile(
            f"hf://datasets/{self.repo_id}@{self.commit}/{name}", f"{self.commit}/{name}", partial(self._download, name)
        )

    def _download(self, name: str) -> str:
        from enfold.hub import hf_hub_download
        from enfold.hub.cache import RepoCache

        path = hf_hub_download(self.repo_id, name, repo_type="dataset", revision=self.commit, token=self.token)
        # the commit is asked for, so that all files are of one; its name is noted for the day the Hub is out of reach
        RepoCache(self.repo_id, "dataset").remember(self._revision, self.commit)
        return path

    def text(self, name: str) -> str | None:
        if name not in self._names:
            return None
        with open(self._download(name), encoding="utf-8") as file:
            return file.read()


class CachedTree(LocalTree):
    """The files of a repository that earlier calls downloaded, for use without the Hub.

    Args:
        folder: the folder of one commit in the cache; its name is the commit.
    """

    @property
    def commit(self) -> str:
        """The commit."""
        return os.path.basename(self.folder)

    def file(self, name: str) -> DataFile:
        # the same identity as with the Hub, so that tables made then are found now
        path = os.path.join(self.folder, *name.split("/"))
        return DataFile(name, f"{self.commit}/{name}", partial(str, path))


def hub_tree(repo_id: str, revision: str | None, token: str | bool | None) -> Tree:
    """Return a repository's files; where the Hub cannot be reached, those that an earlier call downloaded.

    Raises:
        DatasetNotFoundError: there is no such repository.
        HubUnreachableError: the Hub cannot be reached, and nothing of the repository was downloaded before.
    """
    from enfold.hub import snapshot_download
    from enfold.hub.errors import HubUnreachable, OfflineModeIsEnabled

    try:
        return HubTree(repo_id, revision, token)
    except (OfflineModeIsEnabled, HubUnreachable) as error:
        try:
            folder = snapshot_download(repo_id, repo_type="dataset", revision=revision, local_files_only=True)
        except (OSError, ValueError):
            raise HubUnreachableError(
                f"the dataset {repo_id!r} is not on this machine, and the Hub cannot be reached: {error}"
            ) from error
        get_logger(__name__).warning("The Hub cannot be reached; using what is cached of %s", repo_id)
        return CachedTree(folder)


# ---- patterns --------------------------------------------------------------------------------------------------------


def match(pattern: str, names: Iterable[str]) -> list[str]:
    """Return the names that a pattern stands for: ``*``, ``?``, ``[…]`` within a folder, ``**`` across folders.

    Example:
        >>> match("data/**.csv", ["data/a.csv", "data/x/b.csv", "c.csv"])
        ['data/a.csv', 'data/x/b.csv']
    """
    expression = re.compile(_to_regex(pattern))
    return [name for name in names if expression.fullmatch(name)]


def _to_regex(pattern: str) -> str:
    out, i = "", 0
    while i < len(pattern):
        if pattern.startswith("**/", i):
            out, i = out + "(?:.*/)?", i + 3
        elif pattern.startswith("**", i):
            out, i = out + ".*", i + 2
        elif pattern[i] == "*":
            out, i = out + "[^/]*", i + 1
        elif pattern[i] == "?":
            out, i = out + "[^/]", i + 1
        elif pattern[i] == "[" and "]" in pattern[i + 2 :]:
            end = pattern.index("]", i + 2)
            inside = pattern[i + 1 : end].replace("\\", "\\\\")
            out, i = out + f"[{'^' + inside[1:] if inside[:1] == '!' else inside}]", end + 1
        else:
            out, i = out + re.escape(pattern[i]), i + 1
    return out


def infer_splits(names: Iterable[str]) -> dict[str, list[str]]:
    """Return files by split, told by sharded names, then by keywords in folders, then in files; else all train.

    Example:
        >>> infer_splits(["my_train.csv", "dev.csv"])
        {'train': ['my_train.csv'], 'validation': ['dev.csv']}
    """
    usable = [name for name in names if name.rsplit("/", 1)[-1] not in _IGNORED]
    sharded: dict[str, list[str]] = {}
    for name in usable:
        if found := _SHARDED.search(name):
            sharded.setdefault(found["split"], []).append(name)
    if sharded:
        order = [split for split in _KEYWORDS if split in sharded]
        return {split: sharded[split] for split in [*order, *(s for s in sharded if s not in order)]}
    for part in ("folders", "file"):
        splits: dict[str, list[str]] = {}
        for split, words in _KEYWORDS.items():
            expression = re.compile(rf"(?:^|[-._ 0-9])(?:{'|'.join(words)})(?:$|[-._ 0-9])")
            for name in usable:
                *folders, file = name.split("/")
                if any(expression.search(text) for text in (folders if part == "folders" else [file])):
                    splits.setdefault(split, []).append(name)
        if splits:
            return splits
    return {"train": usable} if usable else {}


def sanitize(data_files: Any) -> dict[str, list[str]]:
    """Return the patterns that a user gave, by split.

    Raises:
        ValueError: they have none of the forms that are known.
    """
    if isinstance(data_files, (str, os.PathLike)):
        return {"train": [os.fspath(data_files)]}
    if isinstance(data_files, Mapping):
        return {
            str(split): [os.fspath(paths)] if isinstance(paths, (str, os.PathLike)) else [os.fspath(p) for p in paths]
            for split, paths in data_files.items()
        }
    entries = list(data_files)
    if any(isinstance(entry, Mapping) for entry in entries):
        out: dict[str, list[str]] = {}
        for entry in entries:
            if not isinstance(entry, Mapping) or set(entry) != {"split", "path"}:
                raise ValueError(f"data_files entries are {{split: …, path: …}}, not {entry}")
            if str(entry["split"]) in out:
                raise ValueError(f"the split {entry['split']!r} is given twice in data_files")
            paths = entry["path"]
            out[str(entry["split"])] = [paths] if isinstance(paths, str) else list(paths)
        return out
    return {"train": [os.fspath(entry) for entry in entries]}


def resolve(
    patterns: Mapping[str, list[str]],
    tree: Tree,
    prefix: str,
    token: str | bool | None,
    storage: Mapping[str, Any] | None = None,
) -> dict[str, list[DataFile]]:
    """Return the files that patterns stand for.

    Args:
        patterns: split → patterns: relative to ``prefix`` in the tree, absolute paths, or addresses.
        tree: the files that relative patterns look at.
        prefix: a folder in the tree, or ``""``.
        storage: arguments of the file systems behind addresses, also by protocol.

    Raises:
        FileNotFoundError: a pattern that no file fits.
    """
    from .addresses import file_path, fsspec_files, is_web, web_files

    web = web_files(pattern for entries in patterns.values() for pattern in entries if is_web(pattern))

    def files(pattern: str) -> list[DataFile]:
        if pattern in web:
            return [web[pattern]]
        if pattern.startswith("file://") and "::" not in pattern:
            return _expand(file_path(pattern), tree, prefix, token)
        if "://" in pattern and not pattern.startswith("hf://"):
            return fsspec_files(pattern, storage)
        return _expand(pattern, tree, prefix, token)

    return {split: [file for pattern in entries for file in files(pattern)] for split, entries in patterns.items()}


def _expand(pattern: str, tree: Tree, prefix: str, token: str | bool | None) -> list[DataFile]:
    if pattern.startswith("hf://"):
        return _hub_address(pattern, token)
    if os.path.isabs(pattern) or (isinstance(tree, LocalTree) and ".." in pattern.split("/")):
        if os.path.isfile(pattern):
            return [_local_file(pattern)]
        base = pattern
        while base and re.search(r"[*?\[]", base):
            base = os.path.dirname(base)
        if os.path.isdir(pattern):
            tree, rest = LocalTree(pattern), "**"
        elif os.path.isdir(base) and base != pattern:
            tree, rest = LocalTree(base), os.path.relpath(pattern, base).replace(os.sep, "/")
        else:
            raise FileNotFoundDatasetsError(f"Unable to find {pattern!r}{_near_file(pattern)}")
        return [tree.file(name) for name in match(rest, tree.names()) if name.rsplit("/", 1)[-1] not in _IGNORED]
    clean = pattern.replace(os.sep, "/")
    clean = clean[2:] if clean.startswith("./") else clean
    if isinstance(tree, LocalTree):
        direct = os.path.join(tree.folder, prefix, clean)
        if os.path.isfile(direct):
            return [_local_file(direct)]
        if os.path.isdir(direct):
            clean = f"{clean.rstrip('/')}/**"
    full = f"{prefix}/{clean}" if prefix else clean
    found = [name for name in match(full, tree.names()) if name == full or name.rsplit("/", 1)[-1] not in _IGNORED]
    if not found:
        where = tree.folder if isinstance(tree, LocalTree) else f"the repository {getattr(tree, 'repo_id', '')}"
        raise FileNotFoundDatasetsError(f"Unable to find {pattern!r} in {where}{nearest(full, tree.names())}")
    return [tree.file(name) for name in found]


def _near_file(path: str) -> str:
    folder = os.path.dirname(os.path.abspath(path))
    return nearest(os.path.basename(path), os.listdir(folder)) if os.path.isdir(folder) else ""


def _hub_address(address: str, token: str | bool | None) -> list[DataFile]:
    parts = address[len("hf://") :].split("/")
    if parts[0] != "datasets" or len(parts) < 4:
        raise DataFilesNotFoundError(f"{address!r} is not hf://datasets/owner/name[@revision]/path")
    name, _, revision = parts[2].partition("@")
    tree = hub_tree(f"{parts[1]}/{name}", revision or None, token)
    return _expand("/".join(parts[3:]), tree, "", token)
