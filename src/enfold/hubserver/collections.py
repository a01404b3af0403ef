"""Collections: repositories chosen by somebody, in an order, each with a note."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from enfold.hubserver import database as db
from enfold.hubserver.accounts import Viewer
from enfold.hubserver.errors import HubServerError
from enfold.hubserver.names import KINDS
from enfold.hubserver.repositories import Repositories

__all__ = ["Collections"]

_TITLE, _TEXT, _NOTE, _ITEMS = 60, 150, 500, 500
_KINDS = (*KINDS.values(), "collection")
_THEMES = ("orange", "blue", "green", "purple", "pink", "indigo")


class Collections:
    """The collections of all accounts.

    A private one is there for members of its namespace alone; a private repository in a public one likewise.

    Args:
        database: where they are kept.
        repositories: finds repositories with the caller's rights.
    """

    def __init__(self, database: db.Database, repositories: Repositories) -> None:
        self._database, self._repositories = database, repositories

    def find(self, connection: Connection, slug: str, viewer: Viewer | None, *, write: bool = False) -> Row[Any]:
        """Return a collection by ``namespace/title-id`` (the title may be another one by now), else raise a 404."""
        table = db.collection
        row = connection.execute(select(table).where(table.c.id == slug[-24:])).one_or_none()
        seen = row is not None and (not row.private or (viewer is not None and viewer.member_of(row.owner)))
        if row is None or not seen or slug.split("/")[0].lower() != row.owner.lower():
            raise HubServerError(404, f"there is no collection {slug!r}")
        if write:
            self._require_write(viewer, row.owner)
        return row

    def _require_write(self, viewer: Viewer | None, owner: str) -> None:
        if viewer is None:
            raise HubServerError(401, "Invalid username or password.")
        if not viewer.may_write(owner):
            raise HubServerError(403, f"You don't have the rights to write in the namespace {owner!r}")
        viewer.require("collection.write", owner)

    def page(
        self,
        connection: Connection,
        viewer: Viewer | None,
        *,
        owners: Sequence[str] = (),
        items: Sequence[str] = (),
        sort: str = "lastModified",
        start: int = 0,
        limit: int = 100,
    ) -> Sequence[Row[Any]]:
        """Return collections that the viewer may see.

        Args:
            connection: a transaction.
            viewer: who asks.
            owners: only those of one of these accounts.
            items: only those with one of these, written ``models/namespace/name``.
            sort: "lastModified", "upvotes" or "trending".
            start: how many to skip.
            limit: how many at most.
        """
        table, item = db.collection, db.collection_item
        query = select(table)
        if owners:
            query = query.where(func.lower(table.c.owner).in_([name.lower() for name in owners]))
        if items:
            keys = []
            for name in items:
                kind, _, rest = name.partition("/")
                keys.append(f"{KINDS.get(kind, kind)}/{rest}".lower())
            named = func.lower(item.c.kind + "/" + item.c.name).in_(keys)
            query = query.where(table.c.id.in_(select(item.c.collection_id).where(named)))
        if viewer is None or not viewer.admin:
            mine = [] if viewer is None else viewer.namespaces
            query = query.where(table.c.private.is_(False) | func.lower(table.c.owner).in_(mine))
        if sort not in {"lastModified", "upvotes", "trending"}:
            raise HubServerError(400, f'"sort" is "lastModified", "upvotes" or "trending", not {sort!r}')
        ordered = query.order_by(table.c.modified.desc(), table.c.id)
        return connection.execute(ordered.offset(start).limit(limit)).all()

    def items(self, connection: Connection, collection_id: str, viewer: Viewer | None) -> list[tuple[Row[Any], Any]]:
        """Return a collection's items that the viewer may see, in order, each with its repository or collection."""
        table, found = db.collection_item, []
        query = select(table).where(table.c.collection_id == collection_id).order_by(table.c.position)
        for row in connection.execute(query):
            try:
                if row.kind == "collection":
                    repo = self.find(connection, row.name, viewer)
                else:
                    repo = self._repositories.follow(connection, f"{row.kind}s", row.name, viewer)
            except HubServerError:
                continue
            found.append((row, repo))
        return found

    # ------------------------------------------------------------------ changing

    def create(self, viewer: Viewer | None, owner: str, title: str, *, text: str = "", private: bool = False) -> str:
        """Make a collection and return its slug; a 409 with the slug when the namespace has one of that title."""
        with self._database.write() as connection:
            self._require_write(viewer, owner)
            table = db.collection
            same = (func.lower(table.c.owner) == owner.lower()) & (table.c.title == title)
            known = connection.execute(select(table).where(same)).first()
            if known is not None:
                slug = slug_of(known)
                raise HubServerError(409, f"{owner} has a collection {title!r} already", body={"slug": slug})
            number = secrets.token_hex(12)
            position = connection.scalar(select(func.count()).where(func.lower(table.c.owner) == owner.lower()))
            values = {"title": _checked(title, "title", _TITLE), "text": _checked(text, "description", _TEXT, 0)}
            connection.execute(
                insert(table).values(id=number, owner=owner, private=private, position=position, theme="blue", **values)
            )
            return slug_of(connection.execute(select(table).where(table.c.id == number)).one())

    def change(self, viewer: Viewer | None, slug: str, values: dict[str, Any]) -> str:
        """Set ``title``, ``text``, ``private``, ``theme`` or ``position``; return the slug, which follows the title."""
        if "title" in values:
            _checked(values["title"], "title", _TITLE)
        if "text" in values:
            _checked(values["text"], "description", _TEXT, 0)
        if values.get("theme", "blue") not in _THEMES:
            raise HubServerError(400, f'"theme" is one of {", ".join(_THEMES)}, not {values["theme"]!r}')
        with self._database.write() as connection:
            row = self.find(connection, slug, viewer, write=True)
            table = db.collection
            connection.execute(update(table).where(table.c.id == row.id).values(**values, modified=time.time()))
            return slug_of(connection.execute(select(table).where(table.c.id == row.id)).one())

    def remove(self, viewer: Viewer | None, slug: str) -> None:
        """Delete a collection; what is in it stays."""
        with self._database.write() as connection:
            row = self.find(connection, slug, viewer, write=True)
            connection.execute(delete(db.collection).where(db.collection.c.id == row.id))

    def add(self, viewer: Viewer | None, slug: str, kind: str, name: str, note: str = "") -> None:
        """Put a repository, or another collection, at the end; 409 when it is there already."""
        if kind not in _KINDS:
            raise HubServerError(400, f'"type" of an item is one of {", ".join(_KINDS)}, not {kind!r}')
        _checked(note, "note", _NOTE, 0)
        with self._database.write() as connection:
            row = self.find(connection, slug, viewer, write=True)
            if kind == "collection":
                named = slug_of(self.find(connection, name, viewer))
            else:
                named = str(self._repositories.follow(connection, f"{kind}s", name, viewer).name)
            table = db.collection_item
            mine = table.c.collection_id == row.id
            same = mine & (table.c.kind == kind) & (func.lower(table.c.name) == named.lower())
            if connection.scalar(select(table.c.id).where(same)) is not None:
                raise HubServerError(409, f"{named} is in the collection already")
            count = connection.scalar(select(func.count()).where(mine)) or 0
            if count >= _ITEMS:
                raise HubServerError(400, f"a collection has at most {_ITEMS} items")
            values = {"id": secrets.token_hex(12), "kind": kind, "name": named, "note": note, "position": count}
            connection.execute(insert(table).values(collection_id=row.id, **values))
            self._touch(connection, row.id)

    def change_item(
        self, viewer: Viewer | None, slug: str, item_id: str, *, note: str | None = None, position: int | None = None
    ) -> None:
        """Set an item's note, or move it to a place counted from 0."""
        if note is not None:
            _checked(note, "note", _NOTE, 0)
        with self._database.write() as connection:
            row = self.find(connection, slug, viewer, write=True)
            table = db.collection_item
            order = self._order(connection, row.id)
            if item_id not in order:
                raise HubServerError(404, f"there is no item {item_id!r} in the collection")
            if note is not None:
                connection.execute(update(table).where(table.c.id == item_id).values(note=note))
            if position is not None:
                order.remove(item_id)
                order.insert(max(0, min(position, len(order))), item_id)
                self._number(connection, order)
            self._touch(connection, row.id)

    def remove_item(self, viewer: Viewer | None, slug: str, item_id: str) -> None:
        """Take an item out; 404 when there is none."""
        with self._database.write() as connection:
            row = self.find(connection, slug, viewer, write=True)
            order = self._order(connection, row.id)
            if item_id not in order:
                raise HubServerError(404, f"there is no item {item_id!r} in the collection")
            connection.execute(delete(db.collection_item).where(db.collection_item.c.id == item_id))
            order.remove(item_id)
            self._number(connection, order)
            self._touch(connection, row.id)

    def _order(self, connection: Connection, collection_id: str) -> list[str]:
        table = db.collection_item
        query = select(table.c.id).where(table.c.collection_id == collection_id).order_by(table.c.position)
        return [str(found) for found in connection.scalars(query)]

    def _number(self, connection: Connection, order: Sequence[str]) -> None:
        table = db.collection_item
        for position, item_id in enumerate(order):
            connection.execute(update(table).where(table.c.id == item_id).values(position=position))

    def _touch(self, connection: Connection, collection_id: str) -> None:
        table = db.collection
        connection.execute(update(table).where(table.c.id == collection_id).values(modified=time.time()))


def slug_of(row: Row[Any]) -> str:
    """Return what a collection is called in addresses."""
    words = re.sub(r"[^a-z0-9]+", "-", row.title.lower()).strip("-")[:_TITLE].strip("-") or "collection"
    return f"{row.owner}/{words}-{row.id}"


def _checked(text: Any, what: str, longest: int, shortest: int = 1) -> str:
    if not isinstance(text, str) or not shortest <= len(text.strip()) <= longest:
        raise HubServerError(400, f'"{what}" must be a text of {shortest} to {longest} characters')
    return text
