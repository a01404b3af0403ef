"""Calls that change a repository's files, each by one commit."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Sequence
from typing import Any, BinaryIO
from urllib.parse import quote

from enfold.hub import constants, http
from enfold.hub.api_base import Patterns, Token
from enfold.hub.api_files import FileCalls
from enfold.hub.api_repos import RepositoryCalls
from enfold.hub.commit import (
    CommitOperationAdd,
    CommitOperationDelete,
    Operation,
    commit_lines,
    files_below,
    preupload,
    upload_contents,
)
from enfold.hub.copies import bring_from_elsewhere
from enfold.hub.large_folder import upload_in_parts
from enfold.hub.snapshot import filter_repo_objects
from enfold.hub.types import (
    CommitInfo,
    RepoUrl,
)
from enfold.hub.validation import check_repo_type, check_retired
from enfold.log import get_logger

__all__ = ["CommitCalls"]


_log = get_logger(__name__)


_ATTRIBUTES = ".gitattributes"  # says which files are large; no pattern deletes it
_TOGETHER = 20_000  # files that go in one commit


def _additions(
    folder_path: str | os.PathLike[str], prefix: str, allowed: Patterns, ignored: Patterns
) -> list[CommitOperationAdd]:
    """Return what adds the files of a folder that match."""
    folder = os.path.expanduser(folder_path)
    if not os.path.isdir(folder):
        raise ValueError(f"there is no folder {str(folder_path)!r} to upload")
    files = filter_repo_objects(
        files_below(folder), allow_patterns=allowed, ignore_patterns=ignored, key=lambda item: item[0]
    )
    return [CommitOperationAdd(prefix + name, path) for name, path in files]


class CommitCalls(RepositoryCalls, FileCalls):
    """Calls that make commits."""

    def create_commit(
        self,
        repo_id: str,
        operations: Iterable[Operation],
        *,
        commit_message: str,
        commit_description: str | None = None,
        token: Token = None,
        repo_type: str | None = None,
        revision: str | None = None,
        create_pr: bool | None = None,
        num_threads: int = 4,
        parent_commit: str | None = None,
        run_as_future: bool = False,
        hot_reload: bool = False,
    ) -> Any:
        """Make one commit of several operations, all of them or none, and return a ``CommitInfo``.

        Args:
            repo_id: the repository.
            operations: CommitOperationAdd, CommitOperationDelete, CommitOperationCopy.
            commit_message: the commit's title.
            commit_description: more about it.
            token: a token that may write.
            repo_type: "model" (the default), "dataset" or "space".
            revision: the branch; "main" by default.
            create_pr: open a pull request instead (the Hub has to offer them).
            num_threads: how many large files are uploaded at once (4).
            parent_commit: fail with 412 unless this is the branch's head.
            run_as_future: commit in the background and return a ``concurrent.futures.Future``.
            hot_reload: accepted; for Spaces that run.

        Raises:
            ValueError: the message is empty, two operations add the same path, or a card's metadata is invalid.
            RepositoryNotFoundError, RevisionNotFoundError, HfHubHTTPError
        """
        if run_as_future:
            given = {name: value for name, value in locals().items() if name not in {"self", "run_as_future"}}
            return self.run_as_future(self.create_commit, **given)
        if not commit_message or not commit_message.strip():
            raise ValueError("commit_message must not be empty")
        api_url = self._api(repo_id, repo_type)
        branch = revision or constants.DEFAULT_REVISION
        secret = self._token(token)
        chosen = bring_from_elsewhere(self, operations, repo_id, repo_type, secret)
        additions = [item for item in chosen if isinstance(item, CommitOperationAdd)]
        paths = [item.path_in_repo for item in additions]
        twice = {path for path in paths if paths.count(path) > 1} if len(set(paths)) < len(paths) else set()
        if twice:
            raise ValueError(f"{sorted(twice)[0]!r} is added twice in one commit")
        self._check_card(additions, repo_type, secret)
        ignores = [item for item in additions if item.path_in_repo == ".gitignore"]
        fresh = [item for item in additions if item._upload_mode is None]
        git_ignore = b"".join(ignores[0].chunks()).decode("utf-8", "replace") if ignores else None
        preupload(api_url, branch, fresh, token=secret, git_ignore=git_ignore, create_pr=bool(create_pr))
        upload_contents(
            api_url,
            self._page(repo_id, check_repo_type(repo_type)),
            branch,
            [
                item
                for item in additions
                if item._upload_mode == "lfs" and not item._should_ignore and not item.unchanged()
            ],
            token=secret,
            threads=num_threads,
            create_pr=bool(create_pr),
        )
        kept = [
            item
            for item in chosen
            if not (isinstance(item, CommitOperationAdd) and (item._should_ignore or item.unchanged()))
        ]
        if chosen and not kept:
            _log.info("No files have been modified since the last commit of %s; no commit is made", repo_id)
            return self._head(repo_id, repo_type, branch, commit_message, commit_description, secret)
        response = http.request(
            "POST",
            f"{api_url}/commit/{quote(branch, safe='')}",
            token=secret,
            params={"create_pr": "1"} if create_pr else None,
            headers={"content-type": "application/x-ndjson"},
            content=lambda: commit_lines(kept, commit_message, commit_description or "", parent_commit),
            timeout=600,
        )
        answer = response.json()
        return CommitInfo(
            commit_url=answer["commitUrl"],
            commit_message=commit_message,
            commit_description=commit_description or "",
            oid=answer["commitOid"],
            pr_url=answer.get("pullRequestUrl"),
            repo_url=RepoUrl(self._page(repo_id, check_repo_type(repo_type)), endpoint=self.endpoint),
        )

    def _head(
        self, repo_id: str, repo_type: str | None, branch: str, message: str, description: str | None, token: Token
    ) -> CommitInfo:
        oid = str(self.repo_info(repo_id, repo_type=repo_type, revision=branch, token=token, expand=["sha"]).sha)
        page = self._page(repo_id, check_repo_type(repo_type))
        return CommitInfo(
            commit_url=f"{page}/commit/{oid}",
            commit_message=message,
            commit_description=description or "",
            oid=oid,
            repo_url=RepoUrl(page, endpoint=self.endpoint),
        )

    def _check_card(self, additions: Sequence[CommitOperationAdd], repo_type: str | None, token: Token) -> None:
        for item in additions:
            if item.path_in_repo == constants.REPOCARD_NAME:
                content = b"".join(item.chunks()).decode("utf-8", "replace")
                body = {"content": content, "repoType": check_repo_type(repo_type)}
                response = self._send("POST", f"{self.endpoint}/api/validate-yaml", token, json=body, check=False)
                if response.status_code == 404:  # a Hub without the check
                    return
                answer = response.json() if response.status_code in {200, 400, 422} else {}
                if answer.get("errors"):
                    found = "\n".join(f"- {error['message']}" for error in answer["errors"])
                    raise ValueError(f"Invalid metadata in README.md.\n{found}")
                http.hf_raise_for_status(response)
                if answer.get("warnings"):
                    found = "\n".join(f"- {warning['message']}" for warning in answer["warnings"])
                    warnings.warn(f"Warnings while validating metadata in README.md:\n{found}", stacklevel=3)

    def preupload_lfs_files(
        self,
        repo_id: str,
        additions: Iterable[CommitOperationAdd],
        *,
        token: Token = None,
        repo_type: str | None = None,
        revision: str | None = None,
        create_pr: bool | None = None,
        num_threads: int = 4,
        free_memory: bool = True,
        gitignore_content: str | None = None,
    ) -> None:
        """Upload the large files of a later :meth:`create_commit` now, and forget what they hold (``free_memory``)."""
        chosen = [item for item in additions if not item._is_uploaded]
        secret = self._token(token)
        preupload(self._api(repo_id, repo_type), revision or "main", chosen, token=secret, git_ignore=gitignore_content)
        large = [item for item in chosen if item._upload_mode == "lfs" and not item._should_ignore]
        upload_contents(
            self._api(repo_id, repo_type),
            self._page(repo_id, check_repo_type(repo_type)),
            revision or "main",
            large,
            token=secret,
            threads=num_threads,
        )
        for item in large if free_memory else ():
            item.forget()

    def upload_file(
        self,
        *,
        path_or_fileobj: str | os.PathLike[str] | bytes | BinaryIO,
        path_in_repo: str,
        repo_id: str,
        token: Token = None,
        repo_type: str | None = None,
        revision: str | None = None,
        commit_message: str | None = None,
        commit_description: str | None = None,
        create_pr: bool | None = None,
        parent_commit: str | None = None,
        run_as_future: bool = False,
    ) -> Any:
        """Add or replace one file in one commit and return a ``CommitInfo``; arguments as in :meth:`create_commit`.

        Example:
            >>> HfApi().upload_file(path_or_fileobj=b"hello", path_in_repo="a.txt", repo_id="me/x")  # doctest: +SKIP
        """
        return self.create_commit(
            repo_id,
            [CommitOperationAdd(path_in_repo, path_or_fileobj)],
            commit_message=commit_message or f"Upload {path_in_repo} with enfold",
            commit_description=commit_description,
            token=token,
            repo_type=repo_type,
            revision=revision,
            create_pr=create_pr,
            parent_commit=parent_commit,
            run_as_future=run_as_future,
        )

    def upload_folder(
        self,
        *,
        repo_id: str,
        folder_path: str | os.PathLike[str],
        path_in_repo: str | None = None,
        commit_message: str | None = None,
        commit_description: str | None = None,
        token: Token = None,
        repo_type: str | None = None,
        revision: str | None = None,
        create_pr: bool | None = None,
        parent_commit: str | None = None,
        allow_patterns: Patterns = None,
        ignore_patterns: Patterns = None,
        delete_patterns: Patterns = None,
        run_as_future: bool = False,
        **ignored: Any,
    ) -> Any:
        """Upload a folder in one commit and return a ``CommitInfo``.

        More than 20,000 new files go in several commits, of which the last is returned, unless they are for a pull
        request or a certain parent.

        Args:
            repo_id: the repository.
            folder_path: the folder; ``.git`` and ``.cache/huggingface`` in it are left out.
            path_in_repo: where it goes; the repository's root by default.
            commit_message: the commit's title.
            commit_description: more about it.
            token: a token that may write.
            repo_type: "model" (the default), "dataset" or "space".
            revision: the branch; "main" by default.
            create_pr: open a pull request instead.
            parent_commit: fail unless this is the branch's head.
            allow_patterns: shell patterns; only files that match one are uploaded.
            ignore_patterns: files that match one are not.
            delete_patterns: files of the repository that match one and are not uploaded are deleted.
            run_as_future: commit in the background and return a ``concurrent.futures.Future``.
            ignored: retired arguments.

        Raises:
            ValueError: the folder does not exist.
        """
        check_retired("upload_folder", ignored)
        prefix = f"{path_in_repo.strip('/')}/" if path_in_repo and path_in_repo.strip("/.") else ""
        additions = _additions(folder_path, prefix, allow_patterns, ignore_patterns)
        title = commit_message or "Upload folder with enfold"
        if len(additions) > _TOGETHER and not (create_pr or parent_commit or delete_patterns):
            where: dict[str, Any] = {"token": token, "repo_type": repo_type, "revision": revision}
            where |= {"commit_message": title, "commit_description": commit_description}
            if run_as_future:
                return self.run_as_future(upload_in_parts, self, repo_id, additions, **where)
            return upload_in_parts(self, repo_id, additions, **where)
        deletions: list[Operation] = []
        if delete_patterns is not None:
            there = self.list_repo_files(repo_id, revision=revision, repo_type=repo_type, token=token)
            below = [path.removeprefix(prefix) for path in there if path.startswith(prefix)]
            kept = {item.path_in_repo for item in additions} | {_ATTRIBUTES}
            gone = filter_repo_objects(below, allow_patterns=delete_patterns)
            deletions = [CommitOperationDelete(prefix + name, False) for name in gone if prefix + name not in kept]
        return self.create_commit(
            repo_id,
            [*deletions, *additions],
            commit_message=title,
            commit_description=commit_description,
            token=token,
            repo_type=repo_type,
            revision=revision,
            create_pr=create_pr,
            parent_commit=parent_commit,
            run_as_future=run_as_future,
        )

    def upload_large_folder(
        self,
        repo_id: str,
        folder_path: str | os.PathLike[str],
        *,
        repo_type: str | None = None,
        revision: str | None = None,
        private: bool | None = None,
        allow_patterns: Patterns = None,
        ignore_patterns: Patterns = None,
        num_workers: int | None = None,
        print_report: bool = True,
        print_report_every: int = 60,
        token: Token = None,
    ) -> None:
        """Upload a folder of any number of files, in several commits, making the repository if needed.

        When the call ends early, the same call goes on: what the Hub has is not sent again.

        Args:
            repo_id: the repository.
            folder_path: the folder; ``.git`` and ``.cache/huggingface`` in it are left out.
            repo_type: "model" (the default), "dataset" or "space".
            revision: the branch; "main" by default.
            private: whether the repository, if it is made now, is private.
            allow_patterns: shell patterns; only files that match one are uploaded.
            ignore_patterns: files that match one are not.
            num_workers: how many requests and uploads run at once (4).
            print_report, print_report_every: accepted; a progress bar says how far it is.
            token: a token that may write.

        Raises:
            ValueError: the folder does not exist.
        """
        self.create_repo(repo_id, repo_type=repo_type, private=private, exist_ok=True, token=token)
        upload_in_parts(
            self,
            repo_id,
            _additions(folder_path, "", allow_patterns, ignore_patterns),
            commit_message="Upload folder with enfold",
            token=token,
            repo_type=repo_type,
            revision=revision,
            workers=num_workers or 4,
        )

    def delete_file(
        self, path_in_repo: str, repo_id: str, *, commit_message: str | None = None, **options: Any
    ) -> CommitInfo:
        """Delete a file; options as in :meth:`create_commit`."""
        message = commit_message or f"Delete {path_in_repo} with enfold"
        return self.create_commit(
            repo_id, [CommitOperationDelete(path_in_repo, False)], commit_message=message, **options
        )

    def delete_files(
        self, repo_id: str, delete_patterns: list[str], *, commit_message: str | None = None, **options: Any
    ) -> CommitInfo:
        """Delete the files that match shell patterns, but for ``.gitattributes``; options as in
        :meth:`create_commit`."""
        where = {name: options[name] for name in ("token", "repo_type", "revision") if name in options}
        found = filter_repo_objects(self.list_repo_files(repo_id, **where), allow_patterns=delete_patterns)
        gone = [path for path in found if path != _ATTRIBUTES]
        message = commit_message or f"Delete files {' '.join(delete_patterns)} with enfold"
        operations = [CommitOperationDelete(path, False) for path in gone]
        return self.create_commit(repo_id, operations, commit_message=message, **options)

    def delete_folder(
        self, path_in_repo: str, repo_id: str, *, commit_message: str | None = None, **options: Any
    ) -> CommitInfo:
        """Delete a folder; options as in :meth:`create_commit`."""
        message = commit_message or f"Delete folder {path_in_repo} with enfold"
        return self.create_commit(
            repo_id, [CommitOperationDelete(path_in_repo, True)], commit_message=message, **options
        )
