"""Discussions and pull requests as the Hub describes them."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping
from typing import Any, ClassVar

from enfold.hub import constants
from enfold.hub.types import parse_datetime

__all__ = [
    "Discussion",
    "DiscussionComment",
    "DiscussionCommit",
    "DiscussionEvent",
    "DiscussionStatusChange",
    "DiscussionTitleChange",
    "DiscussionWithDetails",
    "deserialize_event",
]


@dataclasses.dataclass
class Discussion:
    """A discussion or a pull request.

    Args:
        title: its title.
        status: "open", "closed", and for pull requests also "draft" and "merged".
        num: its number in the repository.
        repo_id: ``namespace/name``.
        repo_type: "model", "dataset" or "space".
        author: who opened it; "deleted" when the account is gone.
        is_pull_request: whether it proposes changes.
        created_at: when, in UTC.
        endpoint: the Hub's address.
    """

    title: str
    status: str
    num: int
    repo_id: str
    repo_type: str
    author: str
    is_pull_request: bool
    created_at: datetime.datetime
    endpoint: str

    @property
    def git_reference(self) -> str | None:
        """The revision of a pull request's changes, to which more can be committed; None for a discussion."""
        return f"refs/pr/{self.num}" if self.is_pull_request else None

    @property
    def url(self) -> str:
        """The address of its page."""
        prefix = constants.REPO_TYPES_URL_PREFIXES.get(self.repo_type, "")
        return f"{self.endpoint}/{prefix}{self.repo_id}/discussions/{self.num}"

    @classmethod
    def told(cls, answer: Mapping[str, Any], endpoint: str, **more: Any) -> Any:
        """Return what an answer of the Hub describes."""
        return cls(
            title=answer["title"],
            status=answer["status"],
            num=answer["num"],
            repo_id=answer["repo"]["name"],
            repo_type=answer["repo"]["type"],
            author=(answer.get("author") or {}).get("name", "deleted"),
            is_pull_request=answer["isPullRequest"],
            created_at=parse_datetime(answer["createdAt"]),
            endpoint=endpoint,
            **more,
        )


@dataclasses.dataclass
class DiscussionWithDetails(Discussion):
    """A discussion with all that happened in it.

    Args:
        events: comments, commits and changes of title and status, in order.
        conflicting_files: the files that the branch changed as well; None for a discussion.
        target_branch: the reference that a pull request is for.
        merge_commit_oid: the commit that took it in.
        diff: what it changes, as git writes it.
    """

    events: list[DiscussionEvent]
    conflicting_files: list[str] | bool | None
    target_branch: str | None
    merge_commit_oid: str | None
    diff: str | None


@dataclasses.dataclass
class DiscussionEvent:
    """Something that happened in a discussion.

    Args:
        id: its id.
        type: "comment", "commit", "status-change" or "title-change"; the Hub may know others.
        created_at: when, in UTC.
        author: who did it.
    """

    id: str
    type: str
    created_at: datetime.datetime
    author: str
    _event: dict[str, Any] = dataclasses.field(repr=False)

    kind: ClassVar[str] = ""


@dataclasses.dataclass
class DiscussionComment(DiscussionEvent):
    """A comment: its Markdown, and whether it was changed or hidden."""

    content: str
    edited: bool
    hidden: bool

    kind = "comment"

    @property
    def rendered(self) -> str:
        """The comment as HTML."""
        return str(self._event["data"]["latest"]["html"])

    @property
    def last_edited_at(self) -> datetime.datetime:
        """When it got its present text."""
        return parse_datetime(self._event["data"]["latest"]["updatedAt"])

    @property
    def last_edited_by(self) -> str:
        """Who gave it its present text."""
        return str((self._event["data"]["latest"].get("author") or {}).get("name", "deleted"))

    @property
    def edit_history(self) -> list[dict[str, Any]]:
        """Its earlier texts."""
        return list(self._event["data"]["history"])

    @property
    def number_of_edits(self) -> int:
        """How often it was changed."""
        return len(self.edit_history)


@dataclasses.dataclass
class DiscussionStatusChange(DiscussionEvent):
    """It was opened, closed or merged."""

    new_status: str

    kind = "status-change"


@dataclasses.dataclass
class DiscussionCommit(DiscussionEvent):
    """A commit was added to a pull request."""

    summary: str
    oid: str

    kind = "commit"


@dataclasses.dataclass
class DiscussionTitleChange(DiscussionEvent):
    """The title was changed."""

    old_title: str
    new_title: str

    kind = "title-change"


#: event → the fields of its class, each with the member of the event's ``data`` that it comes from
_FIELDS: dict[type[DiscussionEvent], dict[str, str]] = {
    DiscussionComment: {"content": "latest.raw", "edited": "edited", "hidden": "hidden"},
    DiscussionStatusChange: {"new_status": "status"},
    DiscussionCommit: {"summary": "subject", "oid": "oid"},
    DiscussionTitleChange: {"old_title": "from", "new_title": "to"},
}


def deserialize_event(event: dict[str, Any]) -> DiscussionEvent:
    """Return the event that an answer of the Hub describes; of a kind that is not known, a plain one."""
    kind = next((kind for kind in _FIELDS if kind.kind == event["type"]), DiscussionEvent)
    values: dict[str, Any] = {}
    for name, place in _FIELDS.get(kind, {}).items():
        value: Any = event["data"]
        for member in place.split("."):
            value = value[member]
        values[name] = value
    return kind(
        id=event["id"],
        type=event["type"],
        created_at=parse_datetime(event["createdAt"]),
        author=(event.get("author") or {}).get("name", "deleted"),
        _event=event,
        **values,
    )
