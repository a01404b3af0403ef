"""What the cache holds, and how to make room in it."""

from __future__ import annotations

import dataclasses
import datetime
import fnmatch
import os
import shutil
from pathlib import Path

from enfold.hub import constants
from enfold.hub.errors import CacheNotFound, CorruptedCacheException
from enfold.hub.shared import SharedStore

__all__ = [
    "CachedFileInfo",
    "CachedIncompleteFileInfo",
    "CachedRepoInfo",
    "CachedRevisionInfo",
    "DeleteCacheStrategy",
    "HFCacheInfo",
    "scan_cache_dir",
]


def _size(count: float) -> str:
    for unit in ("", "K", "M", "G", "T"):
        if count < 1000:
            return f"{count:.0f}{unit}" if not unit or count >= 100 else f"{count:.1f}{unit}"
        count /= 1000
    return f"{count:.1f}P"


_SPANS = {"year": 31_536_000, "month": 2_592_000, "week": 604_800, "day": 86_400, "hour": 3600, "minute": 60}


def _ago(moment: float) -> str:
    """Return how long ago a moment was, in the largest unit that fits."""
    seconds = max(datetime.datetime.now().timestamp() - moment, 0)
    for unit, length in _SPANS.items():
        if seconds >= length:
            count = int(seconds // length)
            return f"{count} {unit}{'s' if count != 1 else ''} ago"
    return "a few seconds ago"


class _Sized:
    size_on_disk: int

    @property
    def size_on_disk_str(self) -> str:
        """The size for people, in powers of 1000."""
        return _size(self.size_on_disk)


@dataclasses.dataclass(frozen=True)
class CachedFileInfo(_Sized):
    """A file of a revision: its name, its place among the files, its content and size in bytes."""

    file_name: str
    file_path: Path
    blob_path: Path
    size_on_disk: int
    blob_last_accessed: float
    blob_last_modified: float

    @property
    def blob_last_accessed_str(self) -> str:
        """When the content was last read, for people."""
        return _ago(self.blob_last_accessed)

    @property
    def blob_last_modified_str(self) -> str:
        """When the content came, for people."""
        return _ago(self.blob_last_modified)


@dataclasses.dataclass(frozen=True)
class CachedRevisionInfo(_Sized):
    """A commit in the cache: its files, and the branches and tags that lead to it."""

    commit_hash: str
    snapshot_path: Path
    size_on_disk: int
    files: frozenset[CachedFileInfo]
    refs: frozenset[str]
    last_modified: float

    @property
    def last_modified_str(self) -> str:
        """When its newest content came, for people."""
        return _ago(self.last_modified)

    @property
    def nb_files(self) -> int:
        """How many files there are."""
        return len(self.files)


@dataclasses.dataclass(frozen=True)
class CachedRepoInfo(_Sized):
    """A repository in the cache; ``size_on_disk`` counts a content once, however many revisions share it."""

    repo_id: str
    repo_type: str
    repo_path: Path
    size_on_disk: int
    nb_files: int
    revisions: frozenset[CachedRevisionInfo]
    last_accessed: float
    last_modified: float

    @property
    def cache_id(self) -> str:
        """What commands call the repository: ``model/namespace/name``."""
        return f"{self.repo_type}/{self.repo_id}"

    @property
    def last_accessed_str(self) -> str:
        """When a file was last read, for people."""
        return _ago(self.last_accessed)

    @property
    def last_modified_str(self) -> str:
        """When a file last came, for people."""
        return _ago(self.last_modified)

    @property
    def refs(self) -> dict[str, CachedRevisionInfo]:
        """Branch or tag → its revision."""
        return {name: revision for revision in self.revisions for name in revision.refs}


@dataclasses.dataclass(frozen=True)
class CachedIncompleteFileInfo(_Sized):
    """What a download left that did not end; the next download goes on from it."""

    file_path: Path
    size_on_disk: int


@dataclasses.dataclass(frozen=True)
class DeleteCacheStrategy:
    """What a deletion would remove; nothing happens before :meth:`execute`."""

    expected_freed_size: int
    blobs: frozenset[Path]
    refs: frozenset[Path]
    repos: frozenset[Path]
    snapshots: frozenset[Path]
    files: frozenset[Path] = frozenset()
    cache_dir: Path | None = None

    @property
    def expected_freed_size_str(self) -> str:
        """The room that it makes, for people."""
        return _size(self.expected_freed_size)

    def execute(self) -> None:
        """Delete; a content that repositories share goes with the last of them."""
        blobs = {blob for repo in self.repos for blob in (repo / "blobs").glob("*")} | self.blobs
        store = SharedStore(self.cache_dir) if self.cache_dir is not None else None
        shared = {found for blob in blobs if store and (found := store.target(blob))}
        for folder in (*self.repos, *self.snapshots):
            shutil.rmtree(folder, ignore_errors=True)
        for file in (*self.refs, *self.files, *self.blobs):
            file.unlink(missing_ok=True)
        for content in shared:
            assert store is not None
            store.sweep(content)


@dataclasses.dataclass(frozen=True)
class HFCacheInfo(_Sized):
    """The repositories of a cache, downloads that did not end, and what in it could not be read.

    ``size_on_disk`` is what the disk holds: a content that repositories share counts once here, and in each of them.
    """

    size_on_disk: int
    repos: frozenset[CachedRepoInfo]
    warnings: list[CorruptedCacheException]
    cache_dir: Path
    incomplete_files: frozenset[CachedIncompleteFileInfo] = frozenset()

    @property
    def incomplete_size_on_disk(self) -> int:
        """What downloads that did not end take up."""
        return sum(file.size_on_disk for file in self.incomplete_files)

    def delete_files(self, *patterns: str, repo_id: str | None = None) -> DeleteCacheStrategy:
        """Return what would be deleted with the files whose names match a shell pattern, in every revision."""
        gone: set[Path] = set()
        blobs: set[Path] = set()
        freed = 0
        for repo in (item for item in self.repos if repo_id in (None, item.repo_id)):
            files = [file for revision in repo.revisions for file in revision.files]
            chosen = {
                file.file_path: file
                for file in files
                if any(fnmatch.fnmatch(file.file_name, pattern) for pattern in patterns)
            }
            kept = {file.blob_path for file in files if file.file_path not in chosen}
            gone |= chosen.keys()
            for file in chosen.values():
                if file.blob_path not in kept and file.blob_path not in blobs:
                    blobs.add(file.blob_path)
                    freed += _freed(file, self.cache_dir)
        none: frozenset[Path] = frozenset()
        return DeleteCacheStrategy(freed, frozenset(blobs), none, none, none, frozenset(gone), self.cache_dir)

    def export_as_table(self, *, verbosity: int = 0) -> str:
        """Return the cache as a table for people: repositories, and with ``verbosity=1`` their revisions."""
        header = ["REPO ID", "REPO TYPE", "SIZE ON DISK", "NB FILES", "REFS", "LOCAL PATH"]
        if verbosity:
            header.insert(2, "REVISION")
        rows = [header]
        for repo in sorted(self.repos, key=lambda item: item.repo_path):
            first = [repo.repo_id, repo.repo_type]
            if not verbosity:
                refs = ", ".join(sorted(repo.refs))
                rows.append([*first, repo.size_on_disk_str, str(repo.nb_files), refs, str(repo.repo_path)])
                continue
            for item in sorted(repo.revisions, key=lambda item: item.commit_hash):
                refs, where = ", ".join(sorted(item.refs)), str(item.snapshot_path)
                rows.append([*first, item.commit_hash, item.size_on_disk_str, str(item.nb_files), refs, where])
        return table(rows)

    def delete_revisions(self, *revisions: str) -> DeleteCacheStrategy:
        """Return what would be deleted with these commits: contents that no other revision shares."""
        blobs: set[Path] = set()
        refs: set[Path] = set()
        repos: set[Path] = set()
        snapshots: set[Path] = set()
        freed = 0
        for repo in self.repos:
            gone = {item for item in repo.revisions if item.commit_hash in revisions}
            if not gone:
                continue
            if gone == repo.revisions:
                repos.add(repo.repo_path)
                every = {file.blob_path: file for item in gone for file in item.files}
                freed += sum(_freed(file, self.cache_dir) for file in every.values())
                continue
            kept = {file.blob_path for item in repo.revisions - gone for file in item.files}
            for item in gone:
                snapshots.add(item.snapshot_path)
                refs.update(repo.repo_path / "refs" / name for name in item.refs)
                for file in item.files:
                    if file.blob_path not in kept and file.blob_path not in blobs:
                        blobs.add(file.blob_path)
                        freed += _freed(file, self.cache_dir)
        kinds = frozenset(blobs), frozenset(refs), frozenset(repos), frozenset(snapshots)
        return DeleteCacheStrategy(freed, *kinds, cache_dir=self.cache_dir)


def _freed(file: CachedFileInfo, cache: Path) -> int:
    """Return what deleting a content frees: nothing while another repository leads to it."""
    store = SharedStore(cache)
    content = store.target(file.blob_path)
    if content is None:
        return file.size_on_disk
    try:
        return file.size_on_disk if store.references(content) <= {file.blob_path} else 0
    except OSError:
        return 0


def table(rows: list[list[str]]) -> str:
    """Return rows, the first of them a header, as columns of text."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [rows[0], ["-" * width for width in widths], *rows[1:]]
    return "\n".join(
        " ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


_SYSTEMS = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})  # files that operating systems put anywhere


def scan_cache_dir(cache_dir: str | os.PathLike[str] | None = None) -> HFCacheInfo:
    """Look through the cache.

    Args:
        cache_dir: the cache; ``HF_HUB_CACHE`` by default.

    Raises:
        CacheNotFound: there is no such folder.
        ValueError: it is a file.

    Example:
        >>> scan_cache_dir().size_on_disk_str  # doctest: +SKIP
        '4.8G'
    """
    folder = Path(os.path.expanduser(cache_dir if cache_dir is not None else constants.hub_cache())).resolve()
    if folder.is_file():
        raise ValueError(f"{folder} is a file: cache_dir is the folder of the cache")
    if not folder.is_dir():
        raise CacheNotFound(f"there is no cache folder {folder}; it is made by the first download", str(folder))
    repos, warnings = set(), []
    for path in sorted(folder.iterdir()):
        # Hidden folders hold locks; "blobs" is a store that newer clients share between repositories.
        if not path.is_dir() or path.name.startswith(".") or path == SharedStore(folder).folder:
            continue
        try:
            repos.add(_scan_repo(path))
        except CorruptedCacheException as error:
            warnings.append(error)
    store = SharedStore(folder)
    own = {file.blob_path: file for repo in repos for item in repo.revisions for file in item.files}
    size = sum(file.size_on_disk for blob, file in own.items() if store.target(blob) is None)
    size += sum(content.stat().st_size for content in store.contents())
    partial = [CachedIncompleteFileInfo(path, path.stat().st_size) for path in folder.glob("*/blobs/*.incomplete")]
    return HFCacheInfo(size, frozenset(repos), warnings, folder, frozenset(partial))


def _scan_repo(path: Path) -> CachedRepoInfo:
    kind, _, rest = path.name.partition("--")
    if kind not in constants.REPO_TYPES_MAPPING or not rest:
        raise CorruptedCacheException(f"{path} is not named like a repository")
    snapshots = path / "snapshots"
    if not snapshots.is_dir():
        raise CorruptedCacheException(f"{path} has no snapshots")
    by_commit: dict[str, set[str]] = {}
    for ref in (path / "refs").rglob("*"):
        if ref.is_file() and ref.name not in _SYSTEMS:
            by_commit.setdefault(ref.read_text().strip(), set()).add(ref.relative_to(path / "refs").as_posix())
    revisions, contents = set(), {}
    for snapshot in snapshots.iterdir():
        if snapshot.name in _SYSTEMS:
            continue
        if not snapshot.is_dir():
            raise CorruptedCacheException(f"{snapshot} is not a folder")
        files = set()
        for file in snapshot.rglob("*"):
            if file.is_dir():
                continue
            # One step of the link: a blob may itself lead to a content that repositories share.
            blob = Path(os.path.normpath(file.parent / os.readlink(file))) if file.is_symlink() else file
            try:
                known = blob.stat()
            except FileNotFoundError:
                raise CorruptedCacheException(f"{file} leads to a content that is not there") from None
            contents[blob] = known
            name = file.relative_to(snapshot).as_posix()
            files.add(CachedFileInfo(name, file, blob, known.st_size, known.st_atime, known.st_mtime))
        size = sum({file.blob_path: file.size_on_disk for file in files}.values())
        modified = max((file.blob_last_modified for file in files), default=snapshot.stat().st_mtime)
        refs = frozenset(by_commit.get(snapshot.name, ()))
        revisions.add(CachedRevisionInfo(snapshot.name, snapshot, size, frozenset(files), refs, modified))
    return CachedRepoInfo(
        repo_id="/".join(rest.split("--", 1)),
        repo_type=constants.REPO_TYPES_MAPPING[kind],
        repo_path=path,
        size_on_disk=sum(known.st_size for known in contents.values()),
        nb_files=len(contents),
        revisions=frozenset(revisions),
        last_accessed=max((known.st_atime for known in contents.values()), default=path.stat().st_atime),
        last_modified=max((known.st_mtime for known in contents.values()), default=path.stat().st_mtime),
    )
