"""What a Hub tells a webhook, as objects."""

from __future__ import annotations

from dataclasses import dataclass

from enfold.hub.inference.shape import BaseInferenceType

__all__ = [
    "WebhookPayload",
    "WebhookPayloadComment",
    "WebhookPayloadDiscussion",
    "WebhookPayloadDiscussionChanges",
    "WebhookPayloadEvent",
    "WebhookPayloadMovedTo",
    "WebhookPayloadRepo",
    "WebhookPayloadUrl",
    "WebhookPayloadWebhook",
]


@dataclass(eq=False)
class ObjectId(BaseInferenceType):
    """Something that has an id."""

    id: str


@dataclass(eq=False)
class WebhookPayloadUrl(BaseInferenceType):
    """Where something is: its page, and its address in the API."""

    web: str
    api: str | None = None


@dataclass(eq=False)
class WebhookPayloadMovedTo(BaseInferenceType):
    """A repository's new name, and whose it is."""

    name: str
    owner: ObjectId


@dataclass(eq=False)
class WebhookPayloadWebhook(BaseInferenceType):
    """The webhook, and the version of what it is told."""

    id: str
    version: int


@dataclass(eq=False)
class WebhookPayloadEvent(BaseInferenceType):
    """What happened: "create", "delete", "move" or "update", and to what ("repo.content", "discussion", …)."""

    action: str
    scope: str


@dataclass(eq=False)
class WebhookPayloadDiscussionChanges(BaseInferenceType):
    """What a pull request changes: the branch, and the commit that merged it."""

    base: str
    mergeCommitId: str | None = None


@dataclass(eq=False)
class WebhookPayloadComment(BaseInferenceType):
    """A comment."""

    id: str
    author: ObjectId
    hidden: bool
    content: str | None = None
    url: WebhookPayloadUrl | None = None


@dataclass(eq=False)
class WebhookPayloadDiscussion(BaseInferenceType):
    """A discussion or a pull request."""

    id: str
    num: int
    author: ObjectId
    url: WebhookPayloadUrl
    title: str
    isPullRequest: bool
    status: str
    changes: WebhookPayloadDiscussionChanges | None = None
    pinned: bool | None = None


@dataclass(eq=False)
class WebhookPayloadRepo(BaseInferenceType):
    """The repository."""

    id: str
    owner: ObjectId
    name: str
    private: bool
    type: str
    url: WebhookPayloadUrl
    head_sha: str | None = None
    subdomain: str | None = None
    tags: list[str] | None = None


@dataclass(eq=False)
class WebhookPayloadUpdatedRef(BaseInferenceType):
    """A branch or tag that moved."""

    ref: str
    oldSha: str | None = None
    newSha: str | None = None


@dataclass(eq=False)
class WebhookPayload(BaseInferenceType):
    """All that a webhook is told.

    Example:
        >>> payload = WebhookPayload.parse_obj_as_instance('{"event": {"action": "update", "scope": "repo.content"}}')
        >>> payload.event.action
        'update'
    """

    event: WebhookPayloadEvent
    repo: WebhookPayloadRepo
    webhook: WebhookPayloadWebhook
    discussion: WebhookPayloadDiscussion | None = None
    comment: WebhookPayloadComment | None = None
    movedTo: WebhookPayloadMovedTo | None = None
    updatedRefs: list[WebhookPayloadUpdatedRef] | None = None
