"""Whole repositories: every file that matches, several at a time, into the shared cache or a folder."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from enfold.hub import constants, http
from enfold.hub.cache import RepoCache, is_commit_hash, write_atomically
from enfold.hub.download import (
    Shared,
    _agent,
    _fetch,
    _reason,
    hf_hub_url,
    place_in_cache,
    place_in_folder,
    would_download,
)
from enfold.hub.errors import (
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from enfold.hub.parallel import run_all
from enfold.hub.revisions import pinned
from enfold.hub.small_files import batches, fetch_batch
from enfold.hub.trees import read_tree, write_tree
from enfold.hub.types import RepoFile
from enfold.hub.validation import check_filename, check_repo_type, check_retired, validate_repo_id
from enfold.progress import Progress

__all__ = ["filter_repo_objects", "snapshot_download"]

T = TypeVar("T")
_ARGUMENTS = (
    "repo_type revision cache_dir local_dir force_download token local_files_only endpoint "
    "allow_patterns ignore_patterns max_workers"
).split()
Patterns = Sequence[str] | str | None


def filter_repo_objects(
    items: Iterable[T],
    *,
    allow_patterns: Patterns = None,
    ignore_patterns: Patterns = None,
    key: Any = None,
) -> list[T]:
    """Return the items whose path matches an allowed pattern (if any is given) and no ignored one.

    Args:
        items: paths, or objects that ``key`` turns into paths.
        allow_patterns: shell patterns; one that ends with a slash stands for everything below the folder.
        ignore_patterns: likewise.
        key: item → path.

    Example:
        >>> filter_repo_objects(["a.txt", "b/c.bin"], allow_patterns="*.bin")
        ['b/c.bin']
    """
    allowed, ignored = _patterns(allow_patterns), _patterns(ignore_patterns)
    kept = []
    for item in items:
        if key is None and not isinstance(item, str | os.PathLike):
            raise ValueError(f"Please provide `key` argument: {item!r} is no path, so what is its path?")
        path = str(key(item) if key else item).replace("\\", "/")
        if allowed is not None and not any(fnmatch.fnmatch(path, pattern) for pattern in allowed):
            continue
        if ignored is not None and any(fnmatch.fnmatch(path, pattern) for pattern in ignored):
            continue
        kept.append(item)
    return kept


def _patterns(patterns: Patterns) -> list[str] | None:
    if patterns is None:
        return None
    given = [patterns] if isinstance(patterns, str) else patterns
    plain = [pattern.replace("\\", "/") for pattern in given]  # as Windows writes paths
    return [f"{pattern}*" if pattern.endswith("/") else pattern for pattern in plain]


def snapshot_download(
    repo_id: str,
    *,
    repo_type: str | None = None,
    revision: str | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    local_dir: str | os.PathLike[str] | None = None,
    library_name: str | None = None,
    library_version: str | None = None,
    user_agent: Any = None,
    etag_timeout: float | None = None,
    force_download: bool = False,
    token: bool | str | None = None,
    local_files_only: bool = False,
    allow_patterns: Patterns = None,
    ignore_patterns: Patterns = None,
    max_workers: int = 8,
    headers: Mapping[str, str] | None = None,
    endpoint: str | None = None,
    dry_run: bool = False,
    **ignored: Any,
) -> Any:
    """Download a repository's files and return the folder that holds them.

    Args:
        repo_id: the repository.
        repo_type: "model" (the default), "dataset" or "space".
        revision: a branch, tag or commit; "main" by default.
        cache_dir: the cache; ``HF_HUB_CACHE`` by default.
        local_dir: put the files into this folder instead of the cache.
        library_name: who asks, for the Hub's log.
        library_version: its version.
        user_agent: more for the Hub's log.
        etag_timeout: seconds to wait for the Hub's answer before the cache is used.
        force_download: download even what is there.
        token: a token; True requires the saved one, False sends none.
        local_files_only: do not ask the Hub.
        allow_patterns: shell patterns; only files that match one are downloaded.
        ignore_patterns: files that match one are not.
        max_workers: how many files are downloaded at once (8).
        headers: further headers of the requests.
        endpoint: the Hub's address; ``HF_ENDPOINT`` by default.
        dry_run: download nothing and return a list of :class:`~enfold.hub.DryRunFileInfo`.
        ignored: retired arguments such as ``resume_download``.

    Raises:
        RepositoryNotFoundError, RevisionNotFoundError: the Hub has no such thing.
        LocalEntryNotFoundError: nothing is cached, and the Hub could not be (or was not to be) asked.

    Example:
        >>> snapshot_download("openai-community/gpt2", allow_patterns="*.json")  # doctest: +SKIP
        '…/models--openai-community--gpt2/snapshots/607a30d7…'
    """
    check_retired("snapshot_download", ignored, _ARGUMENTS)
    token = ignored.get("use_auth_token") if token is None else token
    validate_repo_id(repo_id)
    kind = check_repo_type(repo_type)
    revision = pinned(revision, repo_id, repo_type)
    cache = RepoCache(repo_id, kind, cache_dir)
    folder = Path(local_dir) if local_dir is not None else None
    if local_files_only or constants.is_offline():
        why = "local_files_only=True" if local_files_only else "offline mode is enabled (HF_HUB_OFFLINE)"
        return _from_disk(cache, folder, revision, f"{repo_id!r} is not in the cache, and {why}")
    extra = _agent(library_name, library_version, user_agent) | dict(headers or {})
    try:
        commit, files = _listing(repo_id, kind, revision, token, endpoint, cache.folder)
    except (RepositoryNotFoundError, RevisionNotFoundError):
        raise
    except Exception as error:
        if not (http.transient(error) or isinstance(error, OfflineModeIsEnabled)):
            raise
        base = endpoint or constants.endpoint()
        return _from_disk(
            cache,
            folder,
            revision,
            f"{repo_id!r} is not in the cache, and {base} cannot be reached ({_reason(error)})",
            error,
        )
    wanted = filter_repo_objects(
        files, allow_patterns=allow_patterns, ignore_patterns=ignore_patterns, key=lambda file: file.path
    )
    if dry_run:
        return [
            would_download(cache, folder, file.path, commit, content_id(file), file.size, force=force_download)
            for file in wanted
        ]
    kept_in = cache.folder if folder is None else folder / ".cache" / "huggingface"
    write_tree(kept_in, commit, files)
    total = sum(file.size for file in wanted)
    with Progress(total, f"download {repo_id}", unit="B", quiet=total < 1_000_000) as bar:

        def is_there(file: RepoFile) -> bool:
            return ((cache.snapshot(commit) if folder is None else folder) / check_filename(file.path)).exists()

        def one(file: RepoFile, checkpoint: Callable[[], None]) -> None:
            # The listing tells every file's id and size, so that no file needs a question of its own.
            path = check_filename(file.path)
            etag = content_id(file)
            url = hf_hub_url(repo_id, path, repo_type=kind, revision=commit, endpoint=endpoint)
            before = bar.done

            def fetch(place: Path) -> None:
                checkpoint()
                _fetch(
                    url,
                    place,
                    etag,
                    file.size,
                    token=token,
                    headers=extra,
                    label=path,
                    force=force_download,
                    bar=bar,
                    checkpoint=checkpoint,
                )

            if folder is not None:
                place_in_folder(folder, path, commit, etag, fetch, force=force_download)
            else:
                shared = Shared(file.xet_hash, file.size)
                place_in_cache(cache, path, commit, commit, etag, fetch, force=force_download, shared=shared)
            if bar.done == before:
                bar.advance(file.size)

        done: set[str] = set()

        def several(files: list[RepoFile], checkpoint: Callable[[], None]) -> None:
            asked: Any = {"token": token, "headers": extra, "endpoint": endpoint, "checkpoint": checkpoint}
            for file, data in fetch_batch(repo_id, kind, commit, files, **asked):
                path, etag = check_filename(file.path), content_id(file)
                if folder is not None:
                    place_in_folder(folder, path, commit, etag, partial(_write, data), force=force_download)
                else:
                    cache.put(path, commit, etag, data)
                bar.advance(file.size)
                done.add(file.path)

        missing = wanted if force_download else [file for file in wanted if not is_there(file)]
        run_all(several, batches(missing), max_workers)
        run_all(one, [file for file in wanted if file.path not in done], max_workers)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        return str(folder.resolve())
    cache.prepare()
    cache.snapshot(commit).mkdir(parents=True, exist_ok=True)
    cache.remember(revision, commit)
    return str(cache.snapshot(commit))


def _write(data: bytes, place: Path) -> None:
    write_atomically(place, data)


def content_id(file: RepoFile) -> str:
    """Return what the cache calls a file's content: the ETag that the Hub would send with it."""
    return file.lfs.sha256 if file.lfs else file.blob_id


def _listing(
    repo_id: str, kind: str, revision: str, token: bool | str | None, endpoint: str | None, folder: Path
) -> tuple[str, list[RepoFile]]:
    from enfold.hub.api import HfApi

    api = HfApi(endpoint=endpoint, token=token)
    commit = revision
    if is_commit_hash(revision):
        kept = read_tree(folder, revision)
        if kept is not None:
            return revision, kept
    else:
        commit = str(api.repo_info(repo_id, repo_type=kind, revision=revision).sha)
    entries = api.list_repo_tree(repo_id, repo_type=kind, revision=commit, recursive=True)
    return commit, [entry for entry in entries if isinstance(entry, RepoFile)]


def _from_disk(
    cache: RepoCache, folder: Path | None, revision: str, reason: str, cause: BaseException | None = None
) -> str:
    if folder is not None and folder.is_dir() and any(folder.iterdir()):
        return str(folder.resolve())
    commit = cache.commit_of(revision)
    if commit is None or not cache.snapshot(commit).is_dir():
        raise LocalEntryNotFoundError(reason) from cause
    return str(cache.snapshot(commit))
