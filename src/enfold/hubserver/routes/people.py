"""People and organisations: what they have, whom they are, what they like."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, func, select
from starlette.responses import JSONResponse, Response

from enfold.hubserver import database as db
from enfold.hubserver.errors import HubServerError
from enfold.hubserver.names import KINDS
from enfold.hubserver.routes.call import PAGE, Call, Routes
from enfold.hubserver.views import timestamp

__all__ = ["fixed", "repository"]

fixed, repository = Routes(), Routes()


def _account(connection: Connection, name: str, organisation: bool) -> Row[Any]:
    table = db.account
    row = connection.execute(
        select(table).where(table.c.key == name.lower(), table.c.organisation.is_(organisation))
    ).one_or_none()
    if row is None:
        raise HubServerError(404, f"there is no {'organisation' if organisation else 'user'} {name!r}")
    return row


def _counts(call: Call, connection: Connection, row: Row[Any]) -> dict[str, int]:
    """Return how many repositories of each kind in a namespace everybody sees."""
    table = db.repo
    mine = [table.c.namespace == row.key]
    if call.viewer is None or not call.viewer.member_of(row.key):
        mine.append(table.c.private.is_(False))
    found = connection.execute(select(table.c.kind, func.count()).where(*mine).group_by(table.c.kind)).all()
    counts = {row[0]: row[1] for row in found}
    return {f"num{kind.title()}": counts.get(kind, 0) for kind in KINDS}


def _person(row: Row[Any]) -> dict[str, Any]:
    return {"user": row.name, "fullname": row.fullname or row.name, "avatarUrl": "", "type": "user", "isPro": False}


def _organisation(row: Row[Any]) -> dict[str, Any]:
    return {"name": row.name, "fullname": row.fullname or row.name, "avatarUrl": "", "type": "org"}


@fixed.add("GET", "users/overview")
def user(call: Call) -> Response:
    """Describe a user."""
    with call.hub.database.read() as connection:
        row = _account(connection, call.rest[0], False)
        member, account = db.membership, db.account
        organisations = connection.execute(
            select(account)
            .join(member, member.c.organisation_id == account.c.id)
            .where(member.c.user_id == row.id)
            .order_by(account.c.key)
        ).all()
        likes = connection.scalar(select(func.count()).where(db.liked.c.account_id == row.id))
        said = connection.scalar(select(func.count()).where(db.discussion.c.author == row.name))
        view = {
            **_person(row),
            **_counts(call, connection, row),
            "numLikes": likes,
            "numDiscussions": said,
            "numFollowers": 0,
            "numFollowing": 0,
            "createdAt": timestamp(row.created),
            "orgs": [_organisation(found) for found in organisations],
        }
    return JSONResponse(view)


@fixed.add("GET", "organizations/overview")
def organisation(call: Call) -> Response:
    """Describe an organisation."""
    with call.hub.database.read() as connection:
        row = _account(connection, call.rest[0], True)
        members = connection.scalar(select(func.count()).where(db.membership.c.organisation_id == row.id))
        view = {**_organisation(row), **_counts(call, connection, row), "numUsers": members, "numFollowers": 0}
    return JSONResponse(view)


@fixed.add("GET", "organizations/members")
def members(call: Call) -> Response:
    """List an organisation's members, by name."""
    with call.hub.database.read() as connection:
        row = _account(connection, call.rest[0], True)
        member, account = db.membership, db.account
        found = connection.execute(
            select(account)
            .join(member, member.c.user_id == account.c.id)
            .where(member.c.organisation_id == row.id, account.c.key > (call.query("cursor") or ""))
            .order_by(account.c.key)
            .limit(PAGE + 1)
        ).all()
    return call.page([_person(row) for row in found], [row.key for row in found])


@fixed.add("GET", "users/followers")
@fixed.add("GET", "users/following")
@fixed.add("GET", "organizations/followers")
def followers(call: Call) -> Response:
    """List who follows whom: nobody does on this Hub."""
    with call.hub.database.read() as connection:
        _account(connection, call.rest[0], "/organizations/" in call.request.url.path)
    return JSONResponse([])


@fixed.add("GET", "users/likes")
def likes(call: Call) -> Response:
    """List what a user likes."""
    with call.hub.database.read() as connection:
        row = _account(connection, call.rest[0], False)
        after = call.number("cursor")
        rows = call.hub.likes.of_account(connection, row.id, call.viewer, after=after, limit=PAGE + 1)
    shown = [{"createdAt": timestamp(row.liked), "repo": {"name": row.name, "type": KINDS[row.kind]}} for row in rows]
    return call.page(shown, [str(row.id) for row in rows])


@repository.add("GET", "likers")
def likers(call: Call) -> Response:
    """List who likes a repository."""
    with call.hub.database.read() as connection:
        repo = call.repo(connection)
        rows = call.hub.likes.of_repository(connection, repo.id, after=call.query("cursor") or "", limit=PAGE + 1)
    return call.page([_person(row) for row in rows], [row.key for row in rows])


@repository.add("POST DELETE", "like")
def like(call: Call) -> Response:
    """Like a repository (POST), or no longer (DELETE)."""
    call.hub.likes.set(call.kind, call.name, call.viewer, call.request.method == "POST")
    return JSONResponse({})
