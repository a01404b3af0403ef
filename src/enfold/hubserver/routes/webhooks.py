"""An account's webhooks over HTTP."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Row
from starlette.responses import JSONResponse, Response

from enfold.hubserver.accounts import Viewer
from enfold.hubserver.errors import HubServerError
from enfold.hubserver.outside import check_address
from enfold.hubserver.routes.call import Call, Routes
from enfold.hubserver.webhooks import DOMAINS, WATCHED

__all__ = ["fixed"]

fixed = Routes()


def _viewer(call: Call) -> Viewer:
    if call.viewer is None:
        raise HubServerError(401, "Invalid username or password.")
    call.viewer.require("user.webhooks.read" if call.request.method == "GET" else "user.webhooks.write")
    return call.viewer


def _view(row: Row[Any]) -> dict[str, Any]:
    return {
        "id": row.id,
        "url": row.url,
        "watched": [{"type": kind, "name": name} for kind, name in json.loads(row.watched)],
        "domains": json.loads(row.domains),
        "secret": row.secret,
        "disabled": row.disabled,
    }


def _one(call: Call, webhook_id: str) -> Response:
    with call.hub.database.read() as connection:
        return JSONResponse({"webhook": _view(call.hub.webhooks.find(connection, _viewer(call), webhook_id))})


@fixed.add("GET", "settings/webhooks")
def read(call: Call) -> Response:
    """List the caller's webhooks, or show one."""
    if call.rest:
        return _one(call, call.rest[0])
    with call.hub.database.read() as connection:
        return JSONResponse([_view(row) for row in call.hub.webhooks.of(connection, _viewer(call))])


@fixed.add("POST", "settings/webhooks")
def write(call: Call) -> Response:
    """Make a webhook, change one, or switch one on or off (``enable``, ``disable``)."""
    viewer, webhooks = _viewer(call), call.hub.webhooks
    if len(call.rest) == 2 and call.rest[1] in {"enable", "disable"}:
        webhooks.change(viewer, call.rest[0], {"disabled": call.rest[1] == "disable"})
        return _one(call, call.rest[0])
    values = _values(call, call.json())
    if call.rest:
        stored = {
            name: json.dumps(value) if name in {"watched", "domains"} else value for name, value in values.items()
        }
        webhooks.change(viewer, call.rest[0], stored)
        return _one(call, call.rest[0])
    if "url" not in values or not values.get("watched"):
        raise HubServerError(400, 'a webhook needs a "url" and something to watch')
    made = webhooks.create(
        viewer,
        url=values["url"],
        watched=values["watched"],
        domains=values.get("domains", DOMAINS),
        secret=values.get("secret"),
    )
    return _one(call, made)


@fixed.add("DELETE", "settings/webhooks")
def remove(call: Call) -> Response:
    """Delete a webhook."""
    if len(call.rest) != 1:
        raise HubServerError(404, "a webhook is named by its id")
    call.hub.webhooks.remove(_viewer(call), call.rest[0])
    return JSONResponse({})


def _values(call: Call, body: dict[str, Any]) -> dict[str, Any]:
    """Return what a body sets, checked; members that are absent or empty set nothing."""
    values: dict[str, Any] = {}
    if body.get("jobSourceId"):
        raise HubServerError(400, 'this Hub runs no jobs: a webhook needs a "url"')
    if body.get("url") is not None:
        check_address(str(body["url"]), call.hub.settings.webhook_hosts)
        values["url"] = str(body["url"])
    if body.get("secret") is not None:
        if not isinstance(body["secret"], str) or not body["secret"].isascii() or len(body["secret"]) > 200:
            raise HubServerError(400, '"secret" is a text of at most 200 plain characters')
        values["secret"] = body["secret"]
    if body.get("watched"):
        try:
            values["watched"] = [(str(item["type"]), str(item["name"])) for item in body["watched"]]
        except (TypeError, KeyError):
            raise HubServerError(400, 'each of "watched" has a "type" and a "name"') from None
        if unknown := {kind for kind, _ in values["watched"]} - set(WATCHED):
            raise HubServerError(400, f"what is watched is one of {', '.join(WATCHED)}, not {min(unknown)!r}")
    if body.get("domains"):
        if not isinstance(body["domains"], list) or not set(map(str, body["domains"])) <= set(DOMAINS):
            raise HubServerError(400, f'"domains" is a list of {", ".join(DOMAINS)}')
        values["domains"] = sorted(body["domains"])
    return values
