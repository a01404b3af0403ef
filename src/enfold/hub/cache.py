"""The folder of downloaded repositories, laid out as every tool of the ecosystem shares it.

::

    <cache>/models--ns--name/refs/<revision>                 the commit that a branch or tag stood for
    <cache>/models--ns--name/blobs/<etag>                    contents
    <cache>/models--ns--name/snapshots/<commit>/<path>       links into blobs/
    <cache>/models--ns--name/.no_exist/<commit>/<path>       files known to be absent
    <cache>/.locks/models--ns--name/<etag>.lock
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from enfold.hub import constants
from enfold.hub.validation import check_repo_type

__all__ = [
    "RepoCache",
    "cached_assets_path",
    "cached_repositories",
    "is_commit_hash",
    "repo_folder_name",
    "try_to_load_from_cache",
]

#: what :func:`try_to_load_from_cache` returns for a file that the repository is known not to have
_CACHED_NO_EXIST: Any = object()

#: what a full commit id looks like
REGEX_COMMIT_HASH = re.compile(r"[0-9a-f]{40}")


def is_commit_hash(revision: str) -> bool:
    """Say whether ``revision`` is a full commit id, which never changes its meaning."""
    return REGEX_COMMIT_HASH.fullmatch(revision) is not None


def repo_folder_name(*, repo_id: str, repo_type: str) -> str:
    """Return the name of a repository's folder in the cache.

    Example:
        >>> repo_folder_name(repo_id="openai-community/gpt2", repo_type="model")
        'models--openai-community--gpt2'
    """
    return constants.REPO_ID_SEPARATOR.join([f"{repo_type}s", *repo_id.split("/")])


class RepoCache:
    """One repository's folder in the cache.

    Args:
        repo_id: the repository.
        repo_type: "model" (also for None), "dataset" or "space".
        cache_dir: the cache; ``HF_HUB_CACHE`` by default.
    """

    def __init__(
        self, repo_id: str, repo_type: str | None = None, cache_dir: str | os.PathLike[str] | None = None
    ) -> None:
        self.root = Path(os.path.expanduser(cache_dir if cache_dir is not None else constants.hub_cache())).absolute()
        name = repo_folder_name(repo_id=repo_id, repo_type=check_repo_type(repo_type))
        self.folder = self.root / name
        self._locks = self.root / ".locks" / name

    def commit_of(self, revision: str) -> str | None:
        """Return the commit that ``revision`` stood for when it was last asked for, or None."""
        if is_commit_hash(revision):
            return revision
        if not _inside(self.folder / "refs", revision):
            return None
        try:
            return (self.folder / "refs" / revision).read_text().strip() or None
        except OSError:
            return None

    def remember(self, revision: str, commit: str) -> None:
        """Note that ``revision`` stands for ``commit`` now."""
        if revision != commit and _inside(self.folder / "refs", revision) and self.commit_of(revision) != commit:
            write_atomically(self.folder / "refs" / revision, commit.encode())

    def remember_quietly(self, revision: str, commit: str) -> None:
        """As :meth:`remember`; nothing happens in a cache that cannot be written."""
        try:
            self.remember(revision, commit)
        except OSError:
            pass

    def blob(self, etag: str) -> Path:
        """Return where the content with this ETag is or would be."""
        return self.folder / "blobs" / etag

    def snapshot(self, commit: str) -> Path:
        """Return the folder of a commit's files."""
        return self.folder / "snapshots" / commit

    def find(self, filename: str, revision: str) -> Path | None:
        """Return a cached file of a revision, or None."""
        commit = self.commit_of(revision)
        if commit is None:
            return None
        path = self.snapshot(commit) / filename
        return path if path.exists() else None

    def absent(self, filename: str, revision: str) -> bool:
        """Say whether the file is known not to be in the revision."""
        commit = self.commit_of(revision)
        return commit is not None and (self.folder / ".no_exist" / commit / filename).exists()

    def remember_absent(self, filename: str, commit: str) -> None:
        """Note that a commit does not have a file."""
        path = self.folder / ".no_exist" / commit / filename
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        except OSError:
            pass  # a cache that cannot be written saves nothing, and breaks nothing

    def link(self, filename: str, commit: str, blob: Path) -> Path:
        """Put a content into a commit's folder, by a relative link, or a copy where links cannot be made."""
        path = self.snapshot(commit) / filename
        if not constants.HF_HUB_DISABLE_SYMLINKS and self._link_new(filename, path, blob):
            return path
        if path.is_symlink() or path.exists():
            if path.exists() and (not path.is_symlink() or path.resolve() == blob.resolve()):
                return path
            path.unlink()
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.parent / f".{secrets.token_hex(6)}.tmp"
        try:
            if constants.HF_HUB_DISABLE_SYMLINKS:
                raise OSError
            os.symlink(os.path.relpath(blob, path.parent), temporary)
        except OSError:
            shutil.copyfile(blob, temporary)
        os.replace(temporary, path)
        return path

    def _link_new(self, filename: str, path: Path, blob: Path) -> bool:
        """Make a link where nothing is yet, which is most often so and then takes one call; else return False."""
        if blob.parent != self.folder / "blobs":
            return False
        target = "../" * (filename.count("/") + 2) + f"blobs/{blob.name}"
        for attempt in range(2):
            try:
                os.symlink(target, path)
                return True
            except FileNotFoundError:
                if attempt:
                    return False
                path.parent.mkdir(parents=True, exist_ok=True)
            except OSError:  # something is there, or links cannot be made
                return False
        return False

    def put(self, filename: str, commit: str, etag: str, data: bytes) -> None:
        """Put a small content that is here into the cache; two who do so at once do no harm."""
        blob = self.blob(etag)
        write_atomically(blob, data)
        self.link(filename, commit, blob)

    @contextmanager
    def lock(self, etag: str) -> Iterator[None]:
        """Hold the lock of a content, in this process and others."""
        from filelock import FileLock

        self._locks.mkdir(parents=True, exist_ok=True)
        with FileLock(str(self._locks / f"{etag}.lock"), mode=0o664):
            yield

    def prepare(self) -> None:
        """Make the cache's folder, marked so that backup tools leave it out (https://bford.info/cachedir/)."""
        self.root.mkdir(parents=True, exist_ok=True)
        tag = self.root / "CACHEDIR.TAG"
        if not tag.exists():
            write_atomically(
                tag, b"Signature: 8a477f597d28d172789f06886806bc55\n# Made by a Hub client; can be downloaded again.\n"
            )


def _inside(folder: Path, relative: str) -> bool:
    return bool(relative) and not os.path.isabs(relative) and ".." not in Path(relative).parts


def write_atomically(path: Path, data: bytes) -> None:
    """Write a small file whole or not at all."""
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f".{name}.{secrets.token_hex(6)}.tmp")
    try:
        try:
            file = open(temporary, "wb")  # noqa: SIM115 (closed below)
        except FileNotFoundError:  # the folder, most often there, has to be made
            os.makedirs(folder, exist_ok=True)
            file = open(temporary, "wb")  # noqa: SIM115
        with file:
            file.write(data)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def try_to_load_from_cache(
    repo_id: str,
    filename: str,
    cache_dir: str | os.PathLike[str] | None = None,
    revision: str | None = None,
    repo_type: str | None = None,
) -> Any:
    """Look for a file in the cache without asking the Hub.

    Returns:
        The path (str); or the marker ``_CACHED_NO_EXIST`` when the revision is known not to have the file; or None.
    """
    cache = RepoCache(repo_id, repo_type, cache_dir)
    found = cache.find(filename, revision or "main")
    if found is not None:
        return str(found)
    return _CACHED_NO_EXIST if cache.absent(filename, revision or "main") else None


def cached_repositories(repo_type: str = "model", cache_dir: str | os.PathLike[str] | None = None) -> list[str]:
    """Return the ids of the repositories in the cache."""
    root = Path(os.path.expanduser(cache_dir if cache_dir is not None else constants.hub_cache()))
    prefix = f"{repo_type}s--"
    try:
        names = os.listdir(root)
    except OSError:
        return []
    return sorted("/".join(name.removeprefix(prefix).split("--", 1)) for name in names if name.startswith(prefix))


def cached_assets_path(
    library_name: str,
    namespace: str = "default",
    subfolder: str = "default",
    *,
    assets_dir: str | os.PathLike[str] | None = None,
) -> Path:
    """Return a folder, made if needed, where a library may keep files of its own beside the cache.

    Raises:
        ValueError: a file is in its way.
    """
    root = Path(assets_dir) if assets_dir is not None else Path(constants.hf_home()) / "assets"
    parts = [re.sub(r'[\\/:*?"<>|\s]', "--", part) for part in (library_name, namespace, subfolder)]
    path = root.joinpath(*parts)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise ValueError(f"no folder can be made at {path}: a file is in its way; remove it") from None
    return path
