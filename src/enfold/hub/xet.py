"""Uploads as chunks, where the ``hf_xet`` package is installed: what the Hub has of a file is not sent again."""

from __future__ import annotations

import importlib.util
import os
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from enfold.hub import constants, http
from enfold.hub.errors import HfHubHTTPError
from enfold.progress import Progress

if TYPE_CHECKING:
    from enfold.hub.commit import CommitOperationAdd

__all__ = ["upload_chunks"]

_lock = threading.Lock()
_session: tuple[int, Any] | None = None


def is_available() -> bool:
    """Say whether ``hf_xet`` is installed and ``HF_HUB_DISABLE_XET`` does not forbid it."""
    return not constants.flag("HF_HUB_DISABLE_XET") and importlib.util.find_spec("hf_xet") is not None


def upload_chunks(
    api_url: str,
    revision: str,
    additions: Sequence[CommitOperationAdd],
    *,
    token: bool | str | None,
    create_pr: bool = False,
) -> bool:
    """Upload the contents of "lfs" operations as chunks; their SHA-256 is known afterwards.

    Args:
        api_url: the repository's address in the API.
        revision: the branch to commit to.
        additions: the files.
        token: as everywhere.
        create_pr: whether the commit will open a pull request.

    Returns:
        whether they were uploaded; False without ``hf_xet``, or where the Hub has no Xet store.
    """
    waiting = [item for item in additions if not item._is_uploaded]
    if not waiting or not is_available():
        return False
    address = f"{api_url}/xet-write-token/{quote(revision, safe='')}" + ("?create_pr=1" if create_pr else "")
    try:
        right = http.request("GET", address, token=token).json()
    except HfHubHTTPError as error:
        if error.response is None or error.response.status_code != 404 or error.response.headers.get("x-error-code"):
            raise
        return False
    total = sum(item.size for item in waiting)
    label = waiting[0].path_in_repo.rsplit("/", 1)[-1] if len(waiting) == 1 else f"{len(waiting)} files"
    with Progress(total, f"upload {label}", unit="B", quiet=total < 1_000_000) as bar:
        _upload(right, address, waiting, token, bar)
    return True


def _upload(
    right: dict[str, Any], address: str, waiting: Sequence[CommitOperationAdd], token: bool | str | None, bar: Progress
) -> None:
    import hf_xet

    def report(group: Any, items: Any) -> None:
        bar.advance(int(group.total_bytes_completed) - bar.done)

    headers = http.build_hf_headers(token=token)
    done: list[tuple[CommitOperationAdd, Any]] = []  # with a function that tells what was uploaded
    try:
        with _running().new_upload_commit(
            endpoint=right["casUrl"],
            token=right["accessToken"],
            token_expiry_unix_secs=right["exp"],
            token_refresh_url=address,
            token_refresh_headers=headers,
            custom_headers={name: value for name, value in headers.items() if name != "authorization"},
            progress_callback=report,
        ) as commit:
            for item in waiting:
                known = item.__dict__.get("_sha256", hf_xet.COMPUTE_SHA256)
                source = item.path_or_fileobj
                if isinstance(source, str):
                    handle = commit.start_upload_file(source, sha256=known)
                elif isinstance(source, bytes):
                    handle = commit.start_upload_bytes(source, sha256=known)
                else:
                    handle = commit.start_upload_stream(name=item.path_in_repo, sha256=known)
                    for piece in item.chunks():
                        handle.write(piece)
                    made = handle.finish()
                    done.append((item, lambda made=made: made))
                    continue
                done.append((item, handle.result))
    except KeyboardInterrupt:
        _abort()
        raise
    for item, told in done:
        item.__dict__.setdefault("_sha256", told().xet_info.sha256)
        item._is_uploaded = True


def _running() -> Any:
    """Return the session of this process; a forked one gets its own."""
    global _session
    import hf_xet

    with _lock:
        if _session is None or _session[0] != os.getpid():
            _session = os.getpid(), hf_xet.XetSession()
        return _session[1]


def _abort() -> None:
    global _session
    with _lock:
        if _session is not None:
            _session[1].sigint_abort()
        _session = None
