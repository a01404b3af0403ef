"""Discussions and pull requests over HTTP."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Row
from starlette.responses import JSONResponse, Response

from enfold.hubserver.diffs import unified_diff
from enfold.hubserver.errors import HubServerError
from enfold.hubserver.names import KINDS
from enfold.hubserver.routes.call import Call, Routes
from enfold.hubserver.views import timestamp
from enfold.hubserver.web.markdown import render

__all__ = ["repository"]

repository = Routes()

_PAGE = 50
_TYPES, _STATES = ("all", "discussion", "pull_request"), ("all", "open", "closed")


@repository.add("GET", "discussions")
def read(call: Call) -> Response:
    """List discussions, newest first, fifty to a page; or show one, with ``diff=1`` and what it changes."""
    if call.rest:
        return _show(call)
    kind, status = call.query("type") or "all", call.query("status") or "all"
    page = min(call.number("p"), 10**9)
    if kind not in _TYPES or status not in _STATES:
        raise HubServerError(400, f'"type" is one of {", ".join(_TYPES)}, "status" one of {", ".join(_STATES)}')
    with call.hub.database.read() as connection:
        repo = call.repo(connection)
        count, rows = call.hub.discussions.page(
            connection,
            repo.id,
            kind=kind,
            status=status,
            author=call.query("author"),
            start=page * _PAGE,
            limit=_PAGE,
        )
        closed, _ = call.hub.discussions.page(connection, repo.id, kind=kind, status="closed", limit=0)
    shown = [_described(call, repo, row) for row in rows]
    return JSONResponse({"discussions": shown, "count": count, "start": page * _PAGE, "numClosedDiscussions": closed})


def _described(call: Call, repo: Row[Any], row: Row[Any]) -> dict[str, Any]:
    return {
        "num": row.num,
        "title": row.title,
        "status": row.status,
        "isPullRequest": row.base is not None,
        "author": {"name": row.author, "type": "user"},
        "createdAt": timestamp(row.created),
        "pinned": False,
        "repo": {"name": repo.name, "type": KINDS[call.kind]},
    }


def _event(row: Row[Any]) -> dict[str, Any]:
    data = json.loads(row.data)
    if row.kind == "comment":
        data["latest"] = {"updatedAt": timestamp(row.created), "author": {"name": row.author}, **data["latest"]}
        data["latest"]["html"] = render(data["latest"]["raw"], lambda target, image: None)
    return {
        "id": row.id,
        "type": row.kind,
        "author": {"name": row.author, "type": "user"},
        "createdAt": timestamp(row.created),
        "data": data,
    }


def _show(call: Call) -> Response:
    discussions = call.hub.discussions
    with call.hub.database.read() as connection:
        repo = call.readable(connection) if call.flag("diff") else call.repo(connection)
        row = discussions.find(connection, repo.id, _number(call))
        answer = _described(call, repo, row)
        answer["events"] = [_event(event) for event in discussions.events(connection, repo.id, row.num)]
        if row.base is not None:
            merge = discussions.merge_of(connection, row) if row.merged is None else None
            answer["changes"] = {"base": f"refs/heads/{row.base}", "mergeCommitId": row.merged}
            answer["filesWithConflicts"] = merge.conflicts if merge else []
            if call.flag("diff"):
                ends = [
                    call.hub.repositories.revision(connection, repo.id, end).tree
                    for end in (row.start, f"refs/pr/{row.num}")
                ]
                answer["diff"] = unified_diff(connection, call.hub.commits, *ends)
    return JSONResponse(answer)


@repository.add("POST", "discussions")
def write(call: Call) -> Response:
    """Open a discussion, or take part in one: comment, title, status, merge, comment/{id}/edit, comment/{id}/hide."""
    body = call.json()

    def text(name: str) -> str:
        value = body.get(name) or ""
        if not isinstance(value, str):
            raise HubServerError(400, f'"{name}" must be a string')
        return value

    who = (call.kind, call.name, call.viewer)
    discussions = call.hub.discussions
    if not call.rest:
        asked = bool(body.get("pullRequest"))
        name, num = discussions.open(*who, title=text("title"), text=text("description"), pull_request=asked)
        return JSONResponse({"num": num, "url": f"{call.repo_url(name)}/discussions/{num}", "pullRequest": asked})
    num, action = _number(call), call.rest[1:]
    if action == ("comment",):
        return JSONResponse({"newMessage": _event(discussions.comment(*who, num, text("comment")))})
    if action == ("title",):
        return JSONResponse({"newTitle": _event(discussions.rename(*who, num, text("title")))})
    if action == ("status",):
        return JSONResponse({"newStatus": _event(discussions.set_status(*who, num, text("status"), text("comment")))})
    if action == ("merge",):
        return JSONResponse({"mergeCommitId": discussions.merge(*who, num, text("comment"))})
    if len(action) == 3 and action[0] == "comment" and action[2] in {"edit", "hide"}:
        content = text("content") if action[2] == "edit" else None
        return JSONResponse({"updatedComment": _event(discussions.edit(*who, num, action[1], content))})
    raise HubServerError(404, f"this Hub has no address discussions/{num}/{'/'.join(action)}")


def _number(call: Call) -> int:
    if not call.rest[0].isascii() or not call.rest[0].isdigit() or len(call.rest[0]) > 9:
        raise HubServerError(404, f"there is no discussion {call.rest[0]!r} here")
    return int(call.rest[0])
