"""Trusted publishers over HTTP: those of a repository, and those of the caller's account."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Connection, Row
from starlette.responses import JSONResponse, Response

from enfold.hubserver.accounts import Viewer
from enfold.hubserver.errors import HubServerError
from enfold.hubserver.routes.call import Call, Routes
from enfold.hubserver.views import timestamp

__all__ = ["fixed", "repository"]

fixed, repository = Routes(), Routes()


def _place(call: Call, connection: Connection) -> tuple[Viewer, Row[Any] | None]:
    """Return the viewer, and the repository where the address names one."""
    row = call.repo(connection, write=True) if call.name else None
    if call.viewer is None:
        raise HubServerError(401, "Invalid username or password.")
    if call.viewer.role != "write":  # a publisher's own token must not name further publishers
        raise HubServerError(403, "trusted publishers are seen and named with a token of the role 'write' alone")
    return call.viewer, row


def _view(row: Row[Any]) -> dict[str, Any]:
    return {
        "id": row.id,
        "issuer": row.issuer,
        "claims": json.loads(row.claims),
        "readOnly": row.read_only,
        "createdAt": timestamp(row.created),
        "createdBy": row.maker,
        "lastUsedAt": None if row.used is None else timestamp(row.used),
    }


@fixed.add("GET", "settings/trusted-publishers")
@repository.add("GET", "trusted-publishers")
def read(call: Call) -> Response:
    """List the trusted publishers of a repository, or of the caller's account."""
    with call.hub.database.read() as connection:
        return JSONResponse([_view(row) for row in call.hub.publishers.of(connection, *_place(call, connection))])


@fixed.add("POST", "settings/trusted-publishers")
@repository.add("POST", "trusted-publishers")
def write(call: Call) -> Response:
    """Trust what an issuer's identity tokens claim."""
    body = call.json()
    issuer, claims, read_only = body.get("issuer"), body.get("claims"), body.get("readOnly", False)
    if not isinstance(issuer, str) or not isinstance(claims, dict) or not isinstance(read_only, bool):
        raise HubServerError(400, '{"issuer": "https://…", "claims": {"sub": …, …}, "readOnly": false} is expected')
    with call.hub.database.read() as connection:
        _place(call, connection)
    call.hub.publishers.check(issuer, claims)  # before the transaction that all others wait for
    with call.hub.database.write() as connection:
        place = _place(call, connection)
        made = call.hub.publishers.create(connection, *place, issuer=issuer, claims=claims, read_only=read_only)
        (found,) = (row for row in call.hub.publishers.of(connection, *place) if row.id == made)
        return JSONResponse(_view(found))


@fixed.add("DELETE", "settings/trusted-publishers")
@repository.add("DELETE", "trusted-publishers")
def remove(call: Call) -> Response:
    """Trust a publisher no longer."""
    with call.hub.database.write() as connection:
        call.hub.publishers.remove(connection, *_place(call, connection), "/".join(call.rest))
    return JSONResponse({})
