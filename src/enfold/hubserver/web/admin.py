"""Pages for administrators: accounts and what they hold, what was done, and how the data are."""

from __future__ import annotations

import json
import time
from typing import Any

from sqlalchemy import Connection, func, null, select
from starlette.responses import Response

from enfold.hubserver import database as db
from enfold.hubserver.errors import HubServerError
from enfold.hubserver.routes.call import Call, Routes
from enfold.hubserver.upkeep import WORKS
from enfold.hubserver.viewers import Viewer
from enfold.hubserver.web.layout import form, page, see, whole_number

__all__ = ["pages"]

pages = Routes()

_PAGE = 100
_UNITS = {"": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}


def _administrator(call: Call) -> Viewer:
    viewer = call.signed_in()
    if not viewer.admin:
        raise HubServerError(403, "This page is for administrators.")
    return viewer


@pages.add("GET HEAD", "admin")
def accounts(call: Call) -> Response:
    """List people and organisations, and what they hold."""
    return _accounts(call)


def _accounts(call: Call, problem: str = "", status: int = 200) -> Response:
    _administrator(call)
    table = db.account
    words = (call.query("search") or "").strip().lower()
    query = select(table).where(table.c.key > (call.query("after") or ""))
    if words:
        query = query.where(table.c.key.contains(words, autoescape=True))
    with call.hub.database.read() as connection:
        rows = connection.execute(query.order_by(table.c.key).limit(_PAGE + 1)).all()
        shown = [(row, call.hub.repositories.quota.usage(connection, row.key)) for row in rows[:_PAGE]]
    more = rows[_PAGE - 1].key if len(rows) > _PAGE else None
    return page("admin.html", status, tab="accounts", accounts=shown, more=more, words=words, problem=problem)


@pages.add("POST", "admin")
def change(call: Call) -> Response:
    """Lock an account, or let it in again, or say how much it may hold."""
    viewer = _administrator(call)
    said = form(call)
    name, what = said.get("account", ""), said.get("do", "")
    try:
        if what in {"lock", "unlock"}:
            if name.lower() == viewer.name.lower():
                raise HubServerError(400, "You would lock yourself out.")
            call.hub.accounts.change_user(name, {"locked": what == "lock"})
        elif what == "quota":
            call.hub.accounts.change_user(name, {"quota": _bytes(said.get("quota", ""))})
        else:
            raise HubServerError(400, "there is no such change")
    except HubServerError as error:
        return _accounts(call, error.message, error.status)
    return see("/admin")


def _bytes(text: str) -> int | None:
    """Return a size such as "20 GB"; None for nothing."""
    text = text.strip().lower().replace(" ", "").replace(",", "")
    if not text:
        return None
    number = text.rstrip("bkmgt")
    try:
        return int(float(number) * _UNITS[text[len(number) :].removeprefix("b") or ""])
    except (KeyError, ValueError):
        raise HubServerError(400, f"{text!r} is no size: write it like 20 GB") from None


@pages.add("GET HEAD", "admin/audit")
def audit(call: Call) -> Response:
    """Show what was done, newest first."""
    _administrator(call)
    account, subject, action = (call.query(name) or None for name in ("account", "subject", "action"))
    before = whole_number(call, "before") or None
    with call.hub.database.read() as connection:
        rows = call.hub.audit.page(
            connection, account=account, subject=subject, action=action, before=before, limit=_PAGE + 1
        )
    shown = [(row, json.loads(row.details)) for row in rows[:_PAGE]]
    asked = {"account": account or "", "subject": subject or "", "action": action or ""}
    more = rows[_PAGE - 1].id if len(rows) > _PAGE else None
    return page("admin.html", tab="audit", rows=shown, asked=asked, more=more)


@pages.add("GET HEAD", "admin/state")
def state(call: Call) -> Response:
    """Show how large everything is, what runs, and what the last checks found."""
    _administrator(call)
    with call.hub.database.read() as connection:
        counts = _counts(connection)
    upkeep = call.hub.upkeep
    response = page(
        "admin.html",
        tab="state",
        counts=counts,
        works=[(work, upkeep.done.get(work)) for work in WORKS],
        running=upkeep.running,
        spaces=call.hub.spaces.all(),
        now=time.time(),
    )
    if upkeep.running is not None:
        response.headers["Refresh"] = "3"
    return response


def _counts(connection: Connection) -> list[tuple[str, int, int | None]]:
    """Return what there is: a name, how many, and how many bytes."""
    repo = db.repo
    kinds = connection.execute(select(repo.c.kind, func.count()).group_by(repo.c.kind)).all()
    found: list[tuple[str, int, int | None]] = [(str(kind), int(count), None) for kind, count in kinds]
    for name, table, column in (
        ("accounts", db.account, None),
        ("commits", db.commit, None),
        ("folders", db.tree, None),
        ("files", db.blob, db.blob.c.size),
        ("chunk packs", db.xorb, db.xorb.c.size),
    ):
        size: Any = func.sum(column) if column is not None else null()
        count, total = connection.execute(select(func.count(), size).select_from(table)).one()
        found.append((name, int(count), None if total is None else int(total)))
    return found


@pages.add("POST", "admin/state")
def work(call: Call) -> Response:
    """Begin a check or a collection."""
    _administrator(call)
    call.hub.upkeep.start(form(call).get("do", ""))
    return see("/admin/state")
