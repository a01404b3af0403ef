"""People, organisations and requests for access, as the Hub describes them."""

from __future__ import annotations

import dataclasses
import datetime
from typing import Any

from enfold.hub.types import parse_datetime

__all__ = ["AccessRequest", "Organization", "User", "UserLikes"]


@dataclasses.dataclass(init=False)
class Organization:
    """An organisation; what the Hub does not tell is None.

    Args:
        name: its name in addresses.
        fullname: the name shown to people.
        avatar_url: its picture.
    """

    name: str
    fullname: str
    avatar_url: str
    details: str | None = None
    is_verified: bool | None = None
    is_following: bool | None = None
    num_users: int | None = None
    num_models: int | None = None
    num_spaces: int | None = None
    num_datasets: int | None = None
    num_followers: int | None = None
    num_papers: int | None = None
    plan: str | None = None

    def __init__(self, **told: Any) -> None:
        _take(self, {"name": "", "fullname": "", "avatar_url": ""}, told)


@dataclasses.dataclass(init=False)
class User:
    """A user; what the Hub does not tell is None.

    Args:
        username: the name in addresses.
        fullname: the name shown to people.
        avatar_url: the picture.
        orgs: the organisations that the user belongs to.
    """

    username: str
    fullname: str
    avatar_url: str
    details: str | None = None
    is_following: bool | None = None
    is_pro: bool | None = None
    num_models: int | None = None
    num_datasets: int | None = None
    num_spaces: int | None = None
    num_discussions: int | None = None
    num_papers: int | None = None
    num_upvotes: int | None = None
    num_likes: int | None = None
    num_following: int | None = None
    num_followers: int | None = None
    orgs: list[Organization] = dataclasses.field(default_factory=list)

    def __init__(self, **told: Any) -> None:
        told = {**told, "username": told.pop("user", ""), "user_type": told.pop("type", None)}
        self.orgs = [Organization(**item) for item in told.pop("orgs", [])]
        _take(self, {"username": "", "fullname": "", "avatar_url": ""}, told)


def _take(made: Any, defaults: dict[str, str], told: dict[str, Any]) -> None:
    """Set attributes from an answer, whose names are in camel case; members that are not known are kept as they are."""
    fields = {field.name: field for field in dataclasses.fields(made)}
    known = {_camel(name): name for name in fields}
    for name in fields.keys() - {"orgs"}:
        setattr(made, name, defaults.get(name))
    for name, value in told.items():
        setattr(made, known.get(name, name), value)


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.title() for word in rest)


@dataclasses.dataclass
class UserLikes:
    """What a user likes: the ids of repositories by kind, and how many they are."""

    user: str
    total: int
    datasets: list[str]
    kernels: list[str]
    models: list[str]
    spaces: list[str]


@dataclasses.dataclass
class AccessRequest:
    """Somebody's request for the files of a gated repository.

    Args:
        username: who asks; None where the repository hides names.
        request_id: the request's own id.
        fullname: the name shown to people.
        email: may be None.
        timestamp: when, in UTC.
        status: "pending", "accepted" or "rejected".
        fields: the answers to the repository's form.
    """

    username: str | None
    request_id: str
    fullname: str | None
    email: str | None
    timestamp: datetime.datetime
    status: str
    fields: dict[str, Any] | None = None

    @classmethod
    def told(cls, answer: dict[str, Any]) -> AccessRequest:
        """Return what an answer of the Hub describes."""
        user = answer.get("user") or {}
        return cls(
            username=user.get("user"),
            request_id=answer["requestId"],
            fullname=user.get("fullname"),
            email=user.get("email"),
            timestamp=parse_datetime(answer["timestamp"]),
            status=answer["status"],
            fields=answer.get("fields"),
        )
