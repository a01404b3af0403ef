"""Discussions and pull requests: listed, read, opened, commented, closed and merged."""

from __future__ import annotations

import json
from typing import Any

from markupsafe import Markup
from sqlalchemy import Row
from starlette.responses import Response

from enfold.hubserver.errors import HubServerError
from enfold.hubserver.routes.call import Call, Routes
from enfold.hubserver.web.frame import repo_page
from enfold.hubserver.web.history import changes_between
from enfold.hubserver.web.layout import address_of, form, see, whole_number
from enfold.hubserver.web.markdown import render

__all__ = ["repository"]

repository = Routes()

_PAGE = 30


@repository.add("GET HEAD", "discussions")
def read(call: Call) -> Response:
    """List discussions, show one, or the form for a new one."""
    if call.rest == ("new",):
        return _new(call)
    if call.rest:
        return _show(call, "")
    status = call.query("status") or "open"
    kind = call.query("type") or "all"
    if status not in ("open", "closed", "all") or kind not in ("all", "discussion", "pull_request"):
        raise HubServerError(404, "there is no such list of discussions")
    start = whole_number(call, "p") * _PAGE
    with call.hub.database.read() as connection:
        row = call.repo(connection)
        count, rows = call.hub.discussions.page(connection, row.id, kind=kind, status=status, start=start, limit=_PAGE)
        return repo_page(
            call,
            connection,
            row,
            "discussions.html",
            tab="discussions",
            count=count,
            discussions=rows,
            only=status,
            type=kind,
            page_number=start // _PAGE,
            more=count > start + _PAGE,
        )


def _new(call: Call) -> Response:
    with call.hub.database.read() as connection:
        row = call.repo(connection)
        return repo_page(call, connection, row, "discussion_new.html", tab="discussions")


def _number(call: Call) -> int:
    text = call.rest[0]
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise HubServerError(404, f"there is no discussion {text!r} here")
    return int(text)


def _show(call: Call, problem: str, *, written: str = "") -> Response:
    with call.hub.database.read() as connection:
        row = call.repo(connection)
        found = call.hub.discussions.find(connection, row.id, _number(call))
        events = [_event(event) for event in call.hub.discussions.events(connection, row.id, found.num)]
        values: dict[str, Any] = {"files": None, "cut": False, "conflicts": [], "hidden": None}
        if found.base is not None:
            if found.merged is None:
                values["conflicts"] = call.hub.discussions.merge_of(connection, found).conflicts
            try:
                call.hub.access.require(connection, row, call.viewer)
                before, after = (
                    call.hub.repositories.revision(connection, row.id, end).tree
                    for end in (found.start, f"refs/pr/{found.num}")
                )
                values["files"], values["cut"] = changes_between(
                    call, connection, row, before, after, f"refs/pr/{found.num}"
                )
            except HubServerError as error:
                values["hidden"] = error.message
        viewer = call.viewer
        return repo_page(
            call,
            connection,
            row,
            "discussion.html",
            tab="discussions",
            discussion=found,
            events=events,
            problem=problem,
            written=written,
            may_say=viewer is not None and (viewer.name == found.author or viewer.may_write(row.namespace)),
            **values,
        )


def _event(event: Row[Any]) -> dict[str, Any]:
    data = json.loads(event.data)
    shown = {"kind": event.kind, "author": event.author, "created": event.created, "id": event.id, "data": data}
    if event.kind == "comment":
        shown["html"] = Markup(render(data["latest"]["raw"], lambda target, image: None))
    return shown


@repository.add("POST", "discussions")
def write(call: Call) -> Response:
    """Open a discussion, or take part in one."""
    said = form(call)
    text = said.get("text", "")
    who = (call.kind, call.name, call.viewer)
    discussions = call.hub.discussions
    with call.hub.database.read() as connection:
        base = f"{address_of(call.repo(connection))}/discussions"
    if not call.rest:
        asked = said.get("type") == "pull_request"
        _, num = discussions.open(*who, title=said.get("title", ""), text=text, pull_request=asked)
        return see(f"{base}/{num}")
    num, action = _number(call), call.rest[1:]
    try:
        if action == ("comment",):
            if said.get("do") == "close":
                discussions.set_status(*who, num, "closed", text)
            elif said.get("do") == "open":
                discussions.set_status(*who, num, "open", text)
            elif said.get("do") == "merge":
                discussions.merge(*who, num, text)
            else:
                discussions.comment(*who, num, text)
        elif action == ("title",):
            discussions.rename(*who, num, said.get("title", ""))
        elif len(action) == 3 and action[0] == "comment" and action[2] in {"edit", "hide"}:
            discussions.edit(*who, num, action[1], text if action[2] == "edit" else None)
        else:
            raise HubServerError(404, "there is no such address")
    except HubServerError as error:
        if error.status not in {400, 409}:
            raise
        response = _show(call, error.message, written=text)
        response.status_code = error.status
        return response
    return see(f"{base}/{num}")
