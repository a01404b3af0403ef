"""Copies from other repositories of the same Hub: it shares large files itself; small ones come here and go again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING

from enfold.hub.commit import CommitOperationAdd, CommitOperationCopy, Operation
from enfold.hub.download import hf_hub_url
from enfold.hub.errors import EntryNotFoundError, HfHubHTTPError
from enfold.hub.types import RepoFile
from enfold.hub.validation import check_repo_type

if TYPE_CHECKING:
    from enfold.hub.api_commits import CommitCalls

__all__ = ["bring_from_elsewhere"]

_BATCH = 500  # files that one request asks for

Source = tuple[str, str, str]  # a repository, its kind, a revision


def bring_from_elsewhere(
    api: CommitCalls,
    operations: Iterable[Operation],
    repo_id: str,
    repo_type: str | None,
    token: bool | str | None,
) -> list[Operation]:
    """Return the operations with those that copy from other repositories as what adds their contents.

    Args:
        api: asks the Hub.
        operations: of a commit.
        repo_id: the repository that it is for.
        repo_type: its kind.
        token: a token that reads there and writes here.

    Raises:
        EntryNotFoundError: another repository has no such file.
        HfHubHTTPError: it does not give one away.
    """
    chosen = list(operations)
    wanted: dict[Source, list[CommitOperationCopy]] = defaultdict(list)
    for item in chosen:
        if isinstance(item, CommitOperationCopy) and item.src_repo_id is not None:
            wanted[item.src_repo_id, check_repo_type(item.src_repo_type), item.src_revision or "main"].append(item)
    brought: dict[int, CommitOperationAdd] = {}
    for source, copies in wanted.items():
        found = _described(api, source, sorted({item.src_path_in_repo for item in copies}), token)
        _share(api, source, found, (repo_id, check_repo_type(repo_type)), token)
        for item in copies:
            brought[id(item)] = _added(api, source, found[item.src_path_in_repo], item.path_in_repo, token)
    return [brought.get(id(item), item) for item in chosen]


def _described(api: CommitCalls, source: Source, paths: list[str], token: bool | str | None) -> dict[str, RepoFile]:
    repo_id, kind, revision = source
    found: dict[str, RepoFile] = {}
    for start in range(0, len(paths), _BATCH):
        part = paths[start : start + _BATCH]
        told = api.get_paths_info(repo_id, part, repo_type=kind, revision=revision, token=token)
        found |= {entry.path: entry for entry in told if isinstance(entry, RepoFile)}
    for path in paths:
        if path not in found:
            raise EntryNotFoundError(f"the {kind} {repo_id} has no file {path!r} at {revision!r}")
    return found


def _share(
    api: CommitCalls,
    source: Source,
    found: dict[str, RepoFile],
    target: tuple[str, str],
    token: bool | str | None,
) -> None:
    large = {file.lfs.sha256: file for file in found.values() if file.lfs is not None}
    listed = [{"xetHash": file.xet_hash, "sha256": sha256, "filename": file.path} for sha256, file in large.items()]
    url = f"{api._api(source[0], source[1])}/lfs-files/duplicate"
    for start in range(0, len(listed), _BATCH):
        body = {"target": {"type": target[1], "name": target[0]}, "files": listed[start : start + _BATCH]}
        failed = api._send("POST", url, token, json=body).json().get("failed") or []
        if failed:
            names = ", ".join(f"{large[item['sha256']].path} ({item.get('error')})" for item in failed[:5])
            raise HfHubHTTPError(f"{len(failed)} files of {source[0]} cannot be copied to {target[0]}: {names}")


def _added(api: CommitCalls, source: Source, file: RepoFile, path: str, token: bool | str | None) -> CommitOperationAdd:
    if file.lfs is not None:
        return CommitOperationAdd.uploaded(path, file.lfs.sha256, file.size)
    repo_id, kind, revision = source
    url = hf_hub_url(repo_id, file.path, repo_type=kind, revision=revision, endpoint=api.endpoint)
    return CommitOperationAdd(path, bytes(api._send("GET", url, token).content))
