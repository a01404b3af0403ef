"""What a commit holds, kept beside its files in ``trees/<commit>.json``; a commit never changes."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from enfold.hub.cache import RepoCache, write_atomically
from enfold.hub.errors import CachedRepoTreeNotFoundError
from enfold.hub.types import RepoFile, parse_entry

__all__ = ["get_cached_repo_tree", "read_tree", "write_tree"]

_VERSION = 1


def write_tree(folder: Path, commit: str, files: Iterable[RepoFile]) -> None:
    """Keep the list of a commit's files in ``folder``; a folder that cannot be written keeps nothing."""
    listed = {file.path: _written(file) for file in sorted(files, key=lambda file: file.path)}
    try:
        text = json.dumps({"format_version": _VERSION, "files": listed}, indent=1)
        write_atomically(folder / "trees" / f"{commit}.json", text.encode())
    except OSError:
        pass


def _written(file: RepoFile) -> dict[str, Any]:
    found: dict[str, Any] = {"size": file.size, "blob_id": file.blob_id}
    if file.lfs is not None:
        found |= {"lfs_sha256": file.lfs.sha256, "lfs_size": file.lfs.size}
    if file.xet_hash is not None:
        found["xet_hash"] = file.xet_hash
    return found


def read_tree(folder: Path, commit: str) -> list[RepoFile] | None:
    """Return the list of a commit's files that is kept in ``folder``, or None."""
    try:
        kept = json.loads((folder / "trees" / f"{commit}.json").read_text())
        if kept["format_version"] != _VERSION:
            return None
        return [_read(path, file) for path, file in kept["files"].items()]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _read(path: str, file: dict[str, Any]) -> RepoFile:
    raw: dict[str, Any] = {"type": "file", "path": path, "size": file["size"], "oid": file["blob_id"]}
    if file.get("lfs_sha256"):
        raw["lfs"] = {"oid": file["lfs_sha256"], "size": file["lfs_size"], "pointerSize": None}
    found = parse_entry({**raw, "xetHash": file.get("xet_hash")})
    assert isinstance(found, RepoFile)
    return found


def get_cached_repo_tree(
    repo_id: str,
    *,
    repo_type: str | None = None,
    revision: str | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    local_dir: str | os.PathLike[str] | None = None,
) -> list[RepoFile]:
    """Return the files of a revision as :func:`snapshot_download` found them, without asking the Hub.

    Args:
        repo_id: the repository.
        repo_type: "model" (the default), "dataset" or "space".
        revision: a branch, tag or commit; "main" by default.
        cache_dir: the cache; ``HF_HUB_CACHE`` by default.
        local_dir: the folder that the files were downloaded to instead.

    Raises:
        CachedRepoTreeNotFoundError: that revision was not downloaded as a whole.
    """
    cache = RepoCache(repo_id, repo_type, cache_dir)
    commit = cache.commit_of(revision or "main")
    folder = cache.folder if local_dir is None else Path(local_dir) / ".cache" / "huggingface"
    found = read_tree(folder, commit) if commit is not None else None
    if found is None:
        raise CachedRepoTreeNotFoundError(
            f"no list of the files of {repo_id!r} at {revision or 'main'!r} is kept in {folder}; snapshot_download "
            "keeps one"
        )
    return found
