"""Collections of repositories, as the Hub describes them."""

from __future__ import annotations

import dataclasses
import datetime
from typing import Any

from enfold.hub.types import parse_datetime

__all__ = ["Collection", "CollectionItem"]


@dataclasses.dataclass
class CollectionItem:
    """Something in a collection.

    Args:
        item_object_id: what it is called inside the collection, for changing and deleting it.
        item_id: the repository's id.
        item_type: "model", "dataset", "space", …
        position: its place, from 0.
        note: what the collection says of it.
    """

    item_object_id: str
    item_id: str
    item_type: str
    position: int
    note: str | None = None


@dataclasses.dataclass
class Collection:
    """Repositories that somebody chose.

    Args:
        slug: ``namespace/title-id``, which stays valid when the title changes.
        title: its title.
        owner: the namespace.
        items: what is in it; the first four in lists.
        last_updated: when it changed, in UTC.
        position: its place among the owner's.
        private: whether only members of the namespace see it.
        theme: a colour.
        upvotes: how many like it.
        description: more about it.
        endpoint: the Hub's address.
    """

    slug: str
    title: str
    owner: str
    items: list[CollectionItem]
    last_updated: datetime.datetime
    position: int
    private: bool
    theme: str
    upvotes: int
    description: str | None
    endpoint: str = dataclasses.field(repr=False)

    @property
    def url(self) -> str:
        """The address of its page."""
        return f"{self.endpoint}/collections/{self.slug}"

    @classmethod
    def told(cls, answer: dict[str, Any], endpoint: str, position: int | None = None) -> Collection:
        """Return what an answer of the Hub describes."""
        owner = answer["owner"]
        return cls(
            slug=answer["slug"],
            title=answer["title"],
            owner=owner["name"] if isinstance(owner, dict) else owner,
            items=[_item(item) for item in answer["items"]],
            last_updated=parse_datetime(answer["lastUpdated"]),
            position=answer.get("position", 0) if position is None else position,
            private=answer["private"],
            theme=answer["theme"],
            upvotes=answer["upvotes"],
            description=answer.get("description"),
            endpoint=endpoint,
        )


def _item(answer: dict[str, Any]) -> CollectionItem:
    note = answer.get("note") or {}
    return CollectionItem(
        answer["_id"], answer.get("slug") or answer["id"], answer["type"], answer["position"], note.get("text")
    )
