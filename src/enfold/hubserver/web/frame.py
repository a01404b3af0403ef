"""What the pages of one repository share: its name, its tags, the ways to its parts, and what stands beside them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, func, select
from starlette.responses import Response

from enfold.hubserver import database as db
from enfold.hubserver.routes.call import Call
from enfold.hubserver.web.layout import address_of, page

__all__ = ["repo_page"]


def repo_page(
    call: Call, connection: Connection, row: Row[Any], template: str, *, tab: str, frames: str = "", **values: Any
) -> Response:
    """Return a page of a repository.

    Args:
        call: the request.
        connection: a transaction.
        row: the repository.
        template: its file; it extends ``repo.html``.
        tab: which of the parts it belongs to.
        frames: an address that the page shows in a frame.
        values: what the template fills in.
    """
    table = db.discussion
    discussions = connection.scalar(
        select(func.count()).select_from(table).where(table.c.repo_id == row.id, table.c.status.in_(("draft", "open")))
    )
    base = address_of(row)
    tabs = [
        ("card", "Card", base),
        ("files", "Files", f"{base}/tree/main"),
        ("history", "History", f"{base}/commits/main"),
    ]
    if row.kind == "datasets":
        tabs.insert(1, ("viewer", "Viewer", f"{base}/viewer"))
    if row.kind == "spaces":
        tabs.insert(0, ("app", "App", f"{base}/app"))
    tabs.append(
        ("discussions", f"Discussions ({discussions})" if discussions else "Discussions", f"{base}/discussions")
    )
    viewer = call.viewer
    may_write = viewer is not None and viewer.may_write(row.namespace)
    if may_write:
        tabs.append(("settings", "Settings", f"{base}/settings"))
    liked = viewer is not None and connection.scalar(
        select(db.liked.c.repo_id).where(db.liked.c.repo_id == row.id, db.liked.c.account_id == viewer.account_id)
    )
    return page(
        template,
        frames=frames,
        row=row,
        name=row.name,
        kind=row.kind,
        page=base,
        tabs=tabs,
        tab=tab,
        likes=row.likes,
        liked=bool(liked),
        may_write=may_write,
        tags=call.hub.repositories.tags(connection, [row.id])[row.id],
        **values,
    )
