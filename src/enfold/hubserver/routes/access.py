"""Asking for a gated repository's files, and deciding on it."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Row
from starlette.responses import JSONResponse, RedirectResponse, Response

from enfold.hubserver.access import STATUSES
from enfold.hubserver.errors import HubServerError
from enfold.hubserver.routes.call import PAGE, Call, Routes
from enfold.hubserver.views import timestamp

__all__ = ["pages", "repository"]

repository, pages = Routes(), Routes()


@pages.add("POST", "ask-access")
def ask(call: Call) -> Response:
    """Ask for access with the answers of a form; a browser is led back to the repository's page."""
    fields = {name: values[0] for name, values in call.form().items()}
    status = call.hub.access.ask(call.kind, call.name, call.viewer, fields)
    if "text/html" in call.request.headers.get("accept", ""):
        return RedirectResponse(call.repo_url(call.name), 303)
    return JSONResponse({"status": status})


@repository.add("GET", "user-access-request")
def requests(call: Call) -> Response:
    """List the requests with a status, a hundred to a page."""
    status = "/".join(call.rest)
    if status not in STATUSES:
        raise HubServerError(404, f"requests are {', '.join(STATUSES)}, not {status!r}")
    with call.hub.database.read() as connection:
        repo = call.repo(connection, write=True)
        if repo.gated == "false":
            raise HubServerError(400, f"{repo.name} is not gated")
        after = call.query("cursor") or ""
        rows = call.hub.access.requests(connection, repo, status, after=after, limit=PAGE + 1)
    return call.page([_request(row) for row in rows], [row.id for row in rows])


def _request(row: Row[Any]) -> dict[str, Any]:
    view = {
        "requestId": row.id,
        "user": {"user": row.name, "fullname": row.fullname, "email": row.email or None, "type": "user"},
        "status": row.status,
        "timestamp": timestamp(row.created),
    }
    fields = json.loads(row.fields)
    return {**view, "fields": fields} if fields else view


@repository.add("POST", "user-access-request")
def decide(call: Call) -> Response:
    """Accept, reject or suspend a request (``handle``), or let somebody in who did not ask (``grant``)."""
    body, action = call.json(), "/".join(call.rest)

    def text(name: str) -> str | None:
        value = body.get(name)
        if value is not None and not isinstance(value, str):
            raise HubServerError(400, f'"{name}" must be a string')
        return value

    user, request_id = text("user"), text("requestId")
    if action == "grant" and user:
        call.hub.access.grant(call.kind, call.name, call.viewer, user)
    elif action == "handle" and bool(user) != bool(request_id):
        decision = {"status": text("status") or "", "reason": text("rejectionReason") or ""}
        call.hub.access.handle(call.kind, call.name, call.viewer, user=user, request_id=request_id, **decision)
    elif action in {"grant", "handle"}:
        raise HubServerError(400, '"user" or "requestId" must say whose request it is')
    else:
        raise HubServerError(404, f"this Hub has no address user-access-request/{action}")
    return JSONResponse({})
