"""Downloads: one file into the shared cache or a folder, resumed where it stopped, checked before it is put there."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urljoin, urlsplit

from enfold.hub import constants, http
from enfold.hub.cache import RepoCache, is_commit_hash, write_atomically
from enfold.hub.errors import (
    EntryNotFoundError,
    FileMetadataError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from enfold.hub.ranges import download_parts, forget
from enfold.hub.revisions import pinned
from enfold.hub.shared import SharedStore
from enfold.hub.validation import check_filename, check_repo_type, check_retired, validate_repo_id
from enfold.log import get_logger
from enfold.progress import Progress

__all__ = ["DryRunFileInfo", "HfFileMetadata", "get_hf_file_metadata", "hf_hub_download", "hf_hub_url"]

_log = get_logger(__name__)

_ATTEMPTS = 5
_ARGUMENTS = "subfolder repo_type revision cache_dir local_dir force_download token local_files_only endpoint".split()


@dataclasses.dataclass(frozen=True)
class HfFileMetadata:
    """What the Hub says about a file.

    Args:
        commit_hash: the commit that the file was found in.
        etag: the content's id, without quotes.
        location: where the content is.
        size: bytes.
        xet_hash: the content's hash in the Xet store, where the Hub keeps it there.
    """

    commit_hash: str | None
    etag: str | None
    location: str
    size: int | None
    xet_hash: str | None = None


@dataclasses.dataclass(frozen=True)
class DryRunFileInfo:
    """What a download would do.

    Args:
        commit_hash: the commit that the file was found in.
        file_size: bytes.
        filename: the file's path in the repository.
        local_path: where it is or would be.
        is_cached: whether it is there.
        will_download: whether it would be downloaded.
    """

    commit_hash: str
    file_size: int | None
    filename: str
    local_path: str
    is_cached: bool
    will_download: bool


def hf_hub_url(
    repo_id: str,
    filename: str,
    *,
    subfolder: str | None = None,
    repo_type: str | None = None,
    revision: str | None = None,
    endpoint: str | None = None,
) -> str:
    """Return the address of a file.

    Example:
        >>> hf_hub_url("openai-community/gpt2", "config.json", endpoint="http://hub")
        'http://hub/openai-community/gpt2/resolve/main/config.json'
    """
    validate_repo_id(repo_id)
    path = check_filename(filename, subfolder)
    prefix = constants.REPO_TYPES_URL_PREFIXES.get(check_repo_type(repo_type), "")
    base = (endpoint or constants.endpoint()).rstrip("/")
    return f"{base}/{prefix}{repo_id}/resolve/{quote(revision or 'main', safe='')}/{quote(path)}"


def get_hf_file_metadata(
    url: str,
    token: bool | str | None = None,
    timeout: float | None = None,
    *,
    headers: Mapping[str, str] | None = None,
    user_agent: Any = None,
    library_name: str | None = None,
    library_version: str | None = None,
    endpoint: str | None = None,
    proxies: Any = None,
    retry_on_errors: bool = True,
) -> HfFileMetadata:
    """Ask the Hub about the file at ``url`` without downloading it.

    Redirects that stay on the Hub (a renamed repository) are followed; one that leads elsewhere is where the content
    is, and is returned as ``location``.

    Raises:
        HfHubHTTPError: or one of its kinds: no such repository, revision or file.
    """
    asked = {"accept-encoding": "identity", **(headers or {})}
    wait = timeout if timeout is not None else float(constants.HF_HUB_ETAG_TIMEOUT)
    for _ in range(5):
        response = http.request(
            "HEAD", url, token=token, headers=asked, timeout=wait, follow=False, attempts=5 if retry_on_errors else 1
        )
        location = response.headers.get("location")
        if not 300 <= response.status_code < 400 or not location:
            break
        target = urljoin(url, location)
        if urlsplit(target)[:2] != urlsplit(url)[:2]:
            url = target
            break
        url = target
    found = response.headers
    size = found.get("x-linked-size") or (found.get("content-length") if response.status_code < 300 else None)
    return HfFileMetadata(
        commit_hash=found.get("x-repo-commit"),
        etag=_plain(found.get("x-linked-etag") or found.get("etag")),
        location=url,
        size=int(size) if size is not None else None,
        xet_hash=found.get("x-xet-hash"),
    )


def _plain(etag: str | None) -> str | None:
    """Return an ETag without its quotes, and only if it can name a file."""
    plain = (etag or "").removeprefix("W/").strip('"')
    return plain if re.fullmatch(r"[\w.+=-]+", plain) and ".." not in plain else None


def hf_hub_download(
    repo_id: str,
    filename: str = "",
    *,
    subfolder: str | None = None,
    repo_type: str | None = None,
    revision: str | None = None,
    library_name: str | None = None,
    library_version: str | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    local_dir: str | os.PathLike[str] | None = None,
    user_agent: Any = None,
    force_download: bool = False,
    etag_timeout: float | None = None,
    token: bool | str | None = None,
    local_files_only: bool = False,
    headers: Mapping[str, str] | None = None,
    endpoint: str | None = None,
    dry_run: bool = False,
    **ignored: Any,
) -> Any:
    """Return the path of a repository's file on this machine, downloading it when it is not there yet.

    Args:
        repo_id: the repository.
        filename: the file's path inside it.
        subfolder: a folder to look in.
        repo_type: "model" (the default), "dataset" or "space".
        revision: a branch, tag or commit; "main" by default.
        library_name: who asks, for the Hub's log.
        library_version: its version.
        cache_dir: the cache; ``HF_HUB_CACHE`` by default.
        local_dir: put the file into this folder, as a file of its own, instead of the cache.
        user_agent: more for the Hub's log.
        force_download: download even if it is there.
        etag_timeout: seconds to wait for the Hub's answer before the cache is used (10).
        token: a token; True requires the saved one, False sends none.
        local_files_only: do not ask the Hub.
        headers: further headers of the requests.
        endpoint: the Hub's address; ``HF_ENDPOINT`` by default.
        dry_run: download nothing and return a :class:`DryRunFileInfo`.
        ignored: ``resume_download``, ``proxies``, ``local_dir_use_symlinks`` and other retired arguments.

    Raises:
        RepositoryNotFoundError, RevisionNotFoundError, EntryNotFoundError: the Hub has no such thing.
        LocalEntryNotFoundError: the file is not cached, and the Hub could not be (or was not to be) asked.
        HFValidationError: the id or the file name is not well formed.

    Example:
        >>> hf_hub_download("openai-community/gpt2", "config.json")  # doctest: +SKIP
        '…/models--openai-community--gpt2/snapshots/607a30d7…/config.json'
    """
    check_retired("hf_hub_download", ignored, _ARGUMENTS)
    token = ignored.get("use_auth_token") if token is None else token
    validate_repo_id(repo_id)
    path = check_filename(filename, subfolder)
    kind = check_repo_type(repo_type)
    revision = pinned(revision, repo_id, repo_type)
    cache = RepoCache(repo_id, kind, cache_dir)
    target = Path(local_dir) if local_dir is not None else None

    if target is None and is_commit_hash(revision) and not force_download and not dry_run:
        found = cache.find(path, revision)
        if found is not None:
            return str(found)
    if local_files_only or constants.is_offline():
        why = "local_files_only=True" if local_files_only else "offline mode is enabled (HF_HUB_OFFLINE)"
        return _from_disk(cache, target, path, revision, f"{repo_id}: {path!r} is not in the cache, and {why}")
    extra = _agent(library_name, library_version, user_agent) | dict(headers or {})
    url = hf_hub_url(repo_id, path, repo_type=kind, revision=revision, endpoint=endpoint)
    try:
        found_at = get_hf_file_metadata(url, token, etag_timeout, headers=extra)
    except RemoteEntryNotFoundError as error:
        commit = error.response.headers.get("x-repo-commit") if error.response is not None else None
        if commit and is_commit_hash(commit):
            cache.remember_absent(path, commit)
            cache.remember(revision, commit)
        error.append_to_message(f"\n{repo_id!r} has no file {path!r} at revision {revision!r}")
        raise
    except (RepositoryNotFoundError, RevisionNotFoundError, EntryNotFoundError):
        raise
    except Exception as error:
        if not (http.transient(error) or isinstance(error, OfflineModeIsEnabled)):
            raise
        if force_download:
            raise LocalEntryNotFoundError(f"cannot download {path!r} of {repo_id!r}: {error}") from error
        base = endpoint or constants.endpoint()
        reason = f"{repo_id}: {path!r} is not in the cache, and {base} cannot be reached ({_reason(error)})"
        return _from_disk(cache, target, path, revision, reason, error)
    commit, etag, size = found_at.commit_hash, found_at.etag, found_at.size
    if not commit or not etag or size is None or not is_commit_hash(commit):
        missing = "commit" if not commit else "ETag" if not etag else "size"
        raise FileMetadataError(f"{url} answered without the file's {missing}: is this the address of a Hub?")
    if dry_run:
        return would_download(cache, target, path, commit, etag, size, force=force_download)
    send = token if urlsplit(found_at.location)[:2] == urlsplit(url)[:2] else False

    def fetch(place: Path) -> None:
        _fetch(found_at.location, place, etag, size, token=send, headers=extra, label=path, force=force_download)

    if target is not None:
        return str(place_in_folder(target, path, commit, etag, fetch, force=force_download))
    shared = Shared(found_at.xet_hash, size)
    return str(place_in_cache(cache, path, revision, commit, etag, fetch, force=force_download, shared=shared))


def would_download(
    cache: RepoCache, folder: Path | None, path: str, commit: str, etag: str, size: int, *, force: bool
) -> DryRunFileInfo:
    """Return what a download would do."""
    place = folder / path if folder is not None else cache.snapshot(commit) / path
    there = place.exists() or (folder is None and cache.blob(etag).exists())
    return DryRunFileInfo(commit, size, path, str(place), there, force or not there)


def _agent(library_name: str | None, library_version: str | None, user_agent: Any) -> dict[str, str]:
    if not (library_name or user_agent):
        return {}
    built = http.build_hf_headers(
        token=False, library_name=library_name, library_version=library_version, user_agent=user_agent
    )
    return {"user-agent": built["user-agent"]}


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no answer'}"


def _from_disk(
    cache: RepoCache, target: Path | None, path: str, revision: str, reason: str, cause: BaseException | None = None
) -> str:
    found = target / path if target is not None and (target / path).is_file() else cache.find(path, revision)
    if found is None:
        if cache.absent(path, revision):
            reason = f"{path!r} is not in the repository, by what was learnt when the Hub was last asked; {reason}"
        raise LocalEntryNotFoundError(reason) from cause
    return str(found)


class Shared(NamedTuple):
    """By what name a content may be shared between repositories, and its size in bytes."""

    name: str | None
    size: int


def place_in_cache(
    cache: RepoCache,
    path: str,
    revision: str,
    commit: str,
    etag: str,
    fetch: Callable[[Path], None],
    *,
    force: bool = False,
    shared: Shared | None = None,
) -> Path:
    """Return a file in the cache, calling ``fetch(where)`` when its content is not there."""
    there = cache.snapshot(commit) / path
    if not force and there.exists():  # also in a cache that cannot be written
        cache.remember_quietly(revision, commit)
        return there
    cache.prepare()
    blob = cache.blob(etag)
    if force or not blob.exists():
        with cache.lock(etag):
            if force or not blob.exists():  # another process may have fetched it while this one waited
                blob.parent.mkdir(parents=True, exist_ok=True)
                store, name = SharedStore(cache.root), shared.name if shared else None
                if force or name is None or shared is None or not store.take(name, etag, shared.size, blob):
                    fetch(blob)
                    if name is not None:
                        store.put(name, blob)
    found = cache.link(path, commit, blob)
    cache.remember(revision, commit)
    return found


def place_in_folder(
    folder: Path, path: str, commit: str, etag: str, fetch: Callable[[Path], None], *, force: bool = False
) -> Path:
    """Return a file in a folder of the user's, calling ``fetch(where)`` when it is not there or is another version.

    What version a file is of is kept beside it in ``.cache/huggingface/download/<path>.metadata``.
    """
    target = folder / path
    note = folder / ".cache" / "huggingface" / "download" / f"{path}.metadata"
    if target.is_file() and not force:
        try:
            known_commit, known_etag, noted = note.read_text().splitlines()[:3]
            unchanged = target.stat().st_mtime <= float(noted) + 1
            if known_etag == etag and unchanged:
                if known_commit != commit:
                    write_atomically(note, f"{commit}\n{etag}\n{time.time()}\n".encode())
                return target
        except (OSError, ValueError):
            pass
    from filelock import FileLock

    note.parent.mkdir(parents=True, exist_ok=True)
    ignore = folder / ".cache" / "huggingface" / ".gitignore"
    if not ignore.exists():
        write_atomically(ignore, b"*\n")
    with FileLock(str(note.with_suffix(".lock"))):
        content = note.with_name(f"{note.name.removesuffix('.metadata')}.{etag}")
        if not content.exists() or force:
            fetch(content)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.replace(content, target)
        except OSError:
            shutil.move(str(content), str(target))
        write_atomically(note, f"{commit}\n{etag}\n{time.time()}\n".encode())
    return target


class _Check:
    """The hash that an ETag promises: SHA-256 (64 digits) or git's blob id (40 digits); other ETags promise none."""

    def __init__(self, etag: str, size: int) -> None:
        self.etag = etag
        self._hash: Any = None
        if re.fullmatch("[0-9a-f]{64}", etag):
            self._hash = hashlib.sha256()
        elif re.fullmatch("[0-9a-f]{40}", etag):
            self._hash = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)

    def update(self, data: bytes) -> None:
        if self._hash is not None:
            self._hash.update(data)

    def passes(self) -> bool:
        return self._hash is None or self._hash.hexdigest() == self.etag


def _fetch(
    url: str,
    place: Path,
    etag: str,
    size: int,
    *,
    token: bool | str | None,
    headers: Mapping[str, str],
    label: str,
    force: bool,
    bar: Progress | None = None,
    checkpoint: Callable[[], None] = lambda: None,
) -> None:
    """Download ``url`` to ``place``, continuing an earlier attempt in ``place.incomplete``; the caller holds a lock."""
    _check_space(place.parent, size)
    partial = place.with_name(f"{place.name}.incomplete")
    if force:
        partial.unlink(missing_ok=True)
        forget(partial)
    own = bar is None
    bar = bar or Progress(size, _short(label), unit="B", quiet=size < 1_000_000)
    try:
        for attempt in range(_ATTEMPTS):
            try:
                _fetch_once(url, partial, etag, size, token=token, headers=headers, bar=bar, checkpoint=checkpoint)
                break
            except Exception as error:
                if attempt + 1 == _ATTEMPTS or not (http.transient(error) or isinstance(error, _Damaged)):
                    raise
                _log.info("%s: %s; continuing", label, _reason(error))
                time.sleep(min(0.5 * 2**attempt, 8.0))
        os.replace(partial, place)
    finally:
        if own:
            bar.close()


class _Damaged(FileMetadataError):
    """What arrived is not what the ETag promises."""


def _fetch_once(
    url: str,
    partial: Path,
    etag: str,
    size: int,
    *,
    token: bool | str | None,
    headers: Mapping[str, str],
    bar: Progress,
    checkpoint: Callable[[], None],
) -> None:
    check = _Check(etag, size)
    options: Any = {"token": token, "headers": headers, "checkpoint": checkpoint}
    if download_parts(url, partial, size, update=check.update, advance=bar.advance, **options):
        if not check.passes():
            partial.unlink(missing_ok=True)
            bar.advance(-size)
            raise _Damaged(f"{url}: {size} bytes arrived, and their hash is wrong")
        return
    with partial.open("ab") as file:
        have = file.tell()
        if have > size:
            file.truncate(0)
            have = 0
        if have:
            with partial.open("rb") as earlier:
                while piece := earlier.read(constants.DOWNLOAD_CHUNK_SIZE):
                    check.update(piece)
        asked = dict(headers)
        if have:
            asked |= {"range": f"bytes={have}-"}
        if have < size or size == 0:
            with http.stream(url, token=token, headers=asked) as response:
                if have and response.status_code != 206:  # the server sends everything again
                    file.truncate(0)
                    have, check = 0, _Check(etag, size)
                bar.done = max(bar.done, have) if bar.total == size else bar.done
                for piece in response.iter_bytes():  # as it arrives: nothing is lost if it breaks
                    checkpoint()
                    file.write(piece)
                    check.update(piece)
                    have += len(piece)
                    bar.advance(len(piece))
    if have != size or not check.passes():
        if have >= size:
            partial.unlink(missing_ok=True)
        raise _Damaged(f"{url}: {have} of {size} bytes arrived" + ("" if have != size else ", and their hash is wrong"))


def _check_space(folder: Path, size: int) -> None:
    try:
        free = shutil.disk_usage(folder).free
    except OSError:
        return
    if free < size:
        raise OSError(f"not enough space in {folder}: {size / 1e6:,.0f} MB are needed, {free / 1e6:,.0f} MB are free")


def _short(label: str) -> str:
    return label if len(label) <= 40 else f"…{label[-39:]}"
