"""Calls about discussions and pull requests."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

from enfold.hub.api_base import Caller, Token
from enfold.hub.discussions import (
    Discussion,
    DiscussionComment,
    DiscussionStatusChange,
    DiscussionTitleChange,
    DiscussionWithDetails,
    deserialize_event,
)

__all__ = ["DiscussionCalls"]

_TYPES, _STATUSES = ("all", "discussion", "pull_request"), ("all", "open", "closed")


class DiscussionCalls(Caller):
    """Calls that read, open and take part in discussions and pull requests."""

    def get_repo_discussions(
        self,
        repo_id: str,
        *,
        author: str | None = None,
        discussion_type: str | None = None,
        discussion_status: str | None = None,
        repo_type: str | None = None,
        token: Token = None,
    ) -> Iterator[Discussion]:
        """Yield the discussions and pull requests of a repository, newest first.

        Args:
            repo_id: ``namespace/name``.
            author: only those that this account opened.
            discussion_type: "discussion", "pull_request" or "all" (the default).
            discussion_status: "open", "closed" or "all" (the default).
            repo_type: "model" (the default), "dataset" or "space".
            token: a token, for a private repository.

        Raises:
            ValueError: a type or a status that there is not.
            RepositoryNotFoundError
        """
        for value, known, name in (
            (discussion_type, _TYPES, "discussion_type"),
            (discussion_status, _STATUSES, "discussion_status"),
        ):
            if value is not None and value not in known:
                raise ValueError(f"{name} is one of {', '.join(known)}, not {value!r}")
        query = {"type": discussion_type, "status": discussion_status, "author": author}
        address, seen, page = f"{self._api(repo_id, repo_type)}/discussions", 0, 0
        while True:
            params = {**{name: value for name, value in query.items() if value is not None}, "p": page}
            answer = self._send("GET", address, token, params=params).json()
            for raw in answer["discussions"]:
                yield Discussion.told(raw, self.endpoint)
            seen = answer["start"] + len(answer["discussions"])
            if seen >= answer["count"] or not answer["discussions"]:
                return
            page += 1

    def get_discussion_details(
        self, repo_id: str, discussion_num: int, *, repo_type: str | None = None, token: Token = None
    ) -> DiscussionWithDetails:
        """Return a discussion or a pull request with its events and, for the latter, what it changes.

        Raises:
            ValueError: the number is not positive.
            HfHubHTTPError: there is no such discussion.
        """
        address = self._discussion(repo_id, repo_type, discussion_num)
        answer = self._send("GET", address, token, params={"diff": "1"}).json()
        changes = answer.get("changes") or {}
        details = DiscussionWithDetails.told(
            answer,
            self.endpoint,
            events=[deserialize_event(event) for event in answer["events"]],
            conflicting_files=answer.get("filesWithConflicts") if answer["isPullRequest"] else None,
            target_branch=changes.get("base"),
            merge_commit_oid=changes.get("mergeCommitId"),
            diff=answer.get("diff"),
        )
        assert isinstance(details, DiscussionWithDetails)
        return details

    def _discussion(self, repo_id: str, repo_type: str | None, number: int) -> str:
        if not isinstance(number, int) or number <= 0:
            raise ValueError(f"discussion_num must be a positive whole number, not {number!r}")
        return f"{self._api(repo_id, repo_type)}/discussions/{number}"

    def create_discussion(
        self,
        repo_id: str,
        title: str,
        *,
        token: Token = None,
        description: str | None = None,
        repo_type: str | None = None,
        pull_request: bool = False,
    ) -> DiscussionWithDetails:
        """Open a discussion, or with ``pull_request`` a draft to which changes are committed later.

        Args:
            repo_id: ``namespace/name``.
            title: 3 to 200 characters.
            token: a token that may write.
            description: the first comment, in Markdown.
            repo_type: "model" (the default), "dataset" or "space".
            pull_request: open a pull request.
        """
        body: dict[str, Any] = {"title": title.strip(), "pullRequest": pull_request}
        body["description"] = (description or "").strip() or "Opened with enfold."
        answer = self._send("POST", f"{self._api(repo_id, repo_type)}/discussions", token, json=body).json()
        return self.get_discussion_details(repo_id, answer["num"], repo_type=repo_type, token=token)

    def create_pull_request(
        self,
        repo_id: str,
        title: str,
        *,
        token: Token = None,
        description: str | None = None,
        repo_type: str | None = None,
    ) -> DiscussionWithDetails:
        """Open a pull request without changes yet; commit to its ``git_reference``."""
        return self.create_discussion(
            repo_id, title, token=token, description=description, repo_type=repo_type, pull_request=True
        )

    def _change(
        self, repo_id: str, repo_type: str | None, number: int, action: str, token: Token, **body: Any
    ) -> dict[str, Any]:
        address = f"{self._discussion(repo_id, repo_type, number)}/{action}"
        return dict(self._send("POST", address, token, json=body).json())

    def comment_discussion(
        self, repo_id: str, discussion_num: int, comment: str, *, token: Token = None, repo_type: str | None = None
    ) -> DiscussionComment:
        """Add a comment, in Markdown."""
        answer = self._change(repo_id, repo_type, discussion_num, "comment", token, comment=comment)
        return deserialize_event(answer["newMessage"])  # type: ignore[return-value]

    def rename_discussion(
        self, repo_id: str, discussion_num: int, new_title: str, *, token: Token = None, repo_type: str | None = None
    ) -> DiscussionTitleChange:
        """Change the title."""
        answer = self._change(repo_id, repo_type, discussion_num, "title", token, title=new_title)
        return deserialize_event(answer["newTitle"])  # type: ignore[return-value]

    def change_discussion_status(
        self,
        repo_id: str,
        discussion_num: int,
        new_status: str,
        *,
        token: Token = None,
        comment: str | None = None,
        repo_type: str | None = None,
    ) -> DiscussionStatusChange:
        """Close a discussion or open it again ("closed", "open"), with a comment if there is something to say."""
        if new_status not in ("open", "closed"):
            raise ValueError(f"new_status is 'open' or 'closed', not {new_status!r}")
        more = {"comment": comment.strip()} if comment and comment.strip() else {}
        answer = self._change(repo_id, repo_type, discussion_num, "status", token, status=new_status, **more)
        return deserialize_event(answer["newStatus"])  # type: ignore[return-value]

    def merge_pull_request(
        self,
        repo_id: str,
        discussion_num: int,
        *,
        token: Token = None,
        comment: str | None = None,
        repo_type: str | None = None,
    ) -> None:
        """Take a pull request into its branch.

        Raises:
            HfHubHTTPError: 409 when the branch changed the same files, or when it is closed.
        """
        more = {"comment": comment.strip()} if comment and comment.strip() else {}
        self._change(repo_id, repo_type, discussion_num, "merge", token, **more)

    def edit_discussion_comment(
        self,
        repo_id: str,
        discussion_num: int,
        comment_id: str,
        new_content: str,
        *,
        token: Token = None,
        repo_type: str | None = None,
    ) -> DiscussionComment:
        """Change a comment of one's own."""
        action = f"comment/{comment_id.lower()}/edit"
        answer = self._change(repo_id, repo_type, discussion_num, action, token, content=new_content)
        return deserialize_event(answer["updatedComment"])  # type: ignore[return-value]

    def hide_discussion_comment(
        self, repo_id: str, discussion_num: int, comment_id: str, *, token: Token = None, repo_type: str | None = None
    ) -> DiscussionComment:
        """Hide a comment for good: its text cannot be had any more."""
        warnings.warn("hiding a comment cannot be undone: its text is gone", UserWarning, stacklevel=2)
        answer = self._change(repo_id, repo_type, discussion_num, f"comment/{comment_id.lower()}/hide", token)
        return deserialize_event(answer["updatedComment"])  # type: ignore[return-value]
