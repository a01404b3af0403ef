"""What the cache holds, and how to make room in it."""

from __future__ import annotations

import dataclasses
import os
import shutil
from pathlib import Path

from enfold.hub import constants
from enfold.hub.errors import CacheNotFound, CorruptedCacheException

__all__ = [
    "CachedFileInfo",
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
    def refs(self) -> dict[str, CachedRevisionInfo]:
        """Branch or tag → its revision."""
        return {name: revision for revision in self.revisions for name in revision.refs}


@dataclasses.dataclass(frozen=True)
class DeleteCacheStrategy:
    """What a deletion would remove; nothing happens before :meth:`execute`."""

    expected_freed_size: int
    blobs: frozenset[Path]
    refs: frozenset[Path]
    repos: frozenset[Path]
    snapshots: frozenset[Path]

    @property
    def expected_freed_size_str(self) -> str:
        """The room that it makes, for people."""
        return _size(self.expected_freed_size)

    def execute(self) -> None:
        """Delete."""
        for folder in (*self.repos, *self.snapshots):
            shutil.rmtree(folder, ignore_errors=True)
        for file in (*self.refs, *self.blobs):
            file.unlink(missing_ok=True)


@dataclasses.dataclass(frozen=True)
class HFCacheInfo(_Sized):
    """The repositories of a cache, and what in it could not be read."""

    size_on_disk: int
    repos: frozenset[CachedRepoInfo]
    warnings: list[CorruptedCacheException]
    folder: Path

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
                freed += repo.size_on_disk
                continue
            kept = {file.blob_path for item in repo.revisions - gone for file in item.files}
            for item in gone:
                snapshots.add(item.snapshot_path)
                refs.update(repo.repo_path / "refs" / name for name in item.refs)
                for file in item.files:
                    if file.blob_path not in kept and file.blob_path not in blobs:
                        blobs.add(file.blob_path)
                        freed += file.size_on_disk
        return DeleteCacheStrategy(freed, frozenset(blobs), frozenset(refs), frozenset(repos), frozenset(snapshots))


def scan_cache_dir(cache_dir: str | os.PathLike[str] | None = None) -> HFCacheInfo:
    """Look through the cache.

    Args:
        cache_dir: the cache; ``HF_HUB_CACHE`` by default.

    Raises:
        CacheNotFound: there is no such folder.

    Example:
        >>> scan_cache_dir().size_on_disk_str  # doctest: +SKIP
        '4.8G'
    """
    folder = Path(os.path.expanduser(cache_dir if cache_dir is not None else constants.hub_cache())).resolve()
    if not folder.is_dir():
        raise CacheNotFound(f"there is no cache folder {folder}; it is made by the first download", str(folder))
    repos, warnings = set(), []
    for path in sorted(folder.iterdir()):
        # Hidden folders hold locks; "blobs" is a store that newer clients share between repositories.
        if not path.is_dir() or path.name.startswith(".") or path.name == "blobs":
            continue
        try:
            repos.add(_scan_repo(path))
        except CorruptedCacheException as error:
            warnings.append(error)
    return HFCacheInfo(sum(repo.size_on_disk for repo in repos), frozenset(repos), warnings, folder)


def _scan_repo(path: Path) -> CachedRepoInfo:
    kind, _, rest = path.name.partition("--")
    if kind not in constants.REPO_TYPES_MAPPING or not rest:
        raise CorruptedCacheException(f"{path} is not named like a repository")
    snapshots = path / "snapshots"
    if not snapshots.is_dir():
        raise CorruptedCacheException(f"{path} has no snapshots")
    by_commit: dict[str, set[str]] = {}
    for ref in (path / "refs").rglob("*"):
        if ref.is_file():
            by_commit.setdefault(ref.read_text().strip(), set()).add(ref.relative_to(path / "refs").as_posix())
    revisions, contents = set(), {}
    for snapshot in snapshots.iterdir():
        if not snapshot.is_dir():
            raise CorruptedCacheException(f"{snapshot} is not a folder")
        files = set()
        for file in snapshot.rglob("*"):
            if file.is_dir():
                continue
            blob = file.resolve()
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
