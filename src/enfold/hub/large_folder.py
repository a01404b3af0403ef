"""Folders of very many files: in several commits, each made within seconds, and a call that is repeated goes on.

Nothing is noted on this machine. The Hub says of each file whether it is there already; the contents of large files
that came without their commit are not sent again, whichever way they came.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from enfold.hub.commit import CommitOperationAdd, preupload, upload_contents
from enfold.hub.parallel import in_order, run_all
from enfold.hub.types import CommitInfo
from enfold.hub.validation import check_repo_type
from enfold.progress import Progress

if TYPE_CHECKING:
    from enfold.hub.api_commits import CommitCalls

__all__ = ["upload_in_parts"]

_FILES = 2_000  # of a commit
_BYTES = 50_000_000  # of a commit, of files that come inside it
_ASKED = 256  # files of which one request asks how they should come
_AHEAD = 2  # parts that are prepared while another one is committed


def upload_in_parts(
    api: CommitCalls,
    repo_id: str,
    additions: Sequence[CommitOperationAdd],
    *,
    commit_message: str,
    commit_description: str | None = None,
    token: bool | str | None = None,
    repo_type: str | None = None,
    revision: str | None = None,
    workers: int = 4,
) -> CommitInfo:
    """Upload files in as many commits as they need, and return the last, or the head when all of them were there.

    Args:
        api: makes the commits.
        repo_id: the repository.
        additions: the files.
        commit_message: the title of the commits, which gets a number.
        commit_description: more about them.
        token: a token that may write.
        repo_type: "model" (the default), "dataset" or "space".
        revision: the branch; "main" by default.
        workers: how many requests and uploads run at once.
    """
    branch, secret = revision or "main", api._token(token)
    address, page = api._api(repo_id, repo_type), api._page(repo_id, check_repo_type(repo_type))
    ignores = [item for item in additions if item.path_in_repo == ".gitignore"]
    git_ignore = b"".join(ignores[0].chunks()).decode("utf-8", "replace") if ignores else None
    parts = [_Part(additions[start : start + _FILES]) for start in range(0, len(additions), _FILES)]

    def prepare(part: _Part, checkpoint: Callable[[], None]) -> None:
        def ask(batch: Sequence[CommitOperationAdd], stopping: Callable[[], None]) -> None:
            checkpoint()
            preupload(address, branch, batch, token=secret, git_ignore=git_ignore)

        run_all(ask, [part.files[at : at + _ASKED] for at in range(0, len(part.files), _ASKED)], workers)
        part.kept = [item for item in part.files if not (item._should_ignore or item.unchanged())]
        checkpoint()
        large = [item for item in part.kept if item._upload_mode == "lfs"]
        upload_contents(address, page, branch, large, token=secret, threads=workers)

    done: CommitInfo | None = None
    number = 0
    with Progress(len(additions), f"upload to {repo_id}", unit="files", quiet=len(parts) == 1) as bar:
        for part in in_order(prepare, parts, _AHEAD):
            for fitting in _fitting(part.kept):
                number += 1
                done = api.create_commit(
                    repo_id,
                    fitting,
                    commit_message=f"{commit_message} ({number})" if len(parts) > 1 else commit_message,
                    commit_description=commit_description,
                    token=token,
                    repo_type=repo_type,
                    revision=revision,
                )
            bar.advance(len(part.files))
            part.kept, part.files = [], []
    if done is None:
        return api._head(repo_id, repo_type, branch, commit_message, commit_description, secret)
    return done


class _Part:
    """Files on their way, and those of them that the Hub lacks."""

    def __init__(self, files: Sequence[CommitOperationAdd]) -> None:
        self.files, self.kept = files, list[CommitOperationAdd]()


def _fitting(files: Sequence[CommitOperationAdd]) -> Iterator[list[CommitOperationAdd]]:
    """Yield the files so many at a time that what comes inside a commit stays small."""
    group: list[CommitOperationAdd] = []
    size = 0
    for item in files:
        more = 0 if item._upload_mode == "lfs" else item.size
        if group and size + more > _BYTES:
            yield group
            group, size = [], 0
        group.append(item)
        size += more
    if group:
        yield group
