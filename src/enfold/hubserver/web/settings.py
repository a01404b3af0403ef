"""The settings of a repository: who sees it, who asked for its files, its name, its end."""

from __future__ import annotations

import json
from typing import Any

from starlette.responses import Response

from enfold.hubserver.errors import HubServerError
from enfold.hubserver.routes.call import Call, Routes
from enfold.hubserver.web.frame import repo_page
from enfold.hubserver.web.layout import address_of, form, see

__all__ = ["repository"]

repository = Routes()

_REQUESTS = 100


@repository.add("GET HEAD", "settings")
def read(call: Call) -> Response:
    """Show the settings to somebody who may change them."""
    return _show(call)


def _show(call: Call, problem: str = "") -> Response:
    with call.hub.database.read() as connection:
        row = call.repo(connection, write=True)
        requests: dict[str, list[Any]] = {}
        for status in ("pending", "accepted", "rejected"):
            found = call.hub.access.requests(connection, row, status, limit=_REQUESTS)
            requests[status] = [(one, json.loads(one.fields)) for one in found]
        return repo_page(
            call, connection, row, "repo_settings.html", tab="settings", requests=requests, problem=problem
        )


@repository.add("POST", "settings")
def write(call: Call) -> Response:
    """Change what a form of the page says."""
    said = form(call)
    who = (call.kind, call.name, call.viewer)
    with call.hub.database.read() as connection:
        row = call.repo(connection, write=True)
    base, what = address_of(row), "/".join(call.rest)
    try:
        if what == "visibility":
            gated = said.get("gated", "false")
            if gated not in {"auto", "manual", "false"}:
                raise HubServerError(400, '"gated" is "auto", "manual" or "false"')
            values = {"private": said.get("private") == "yes", "gated": gated}
            call.hub.repositories.change_settings(*who, values)
        elif what == "name":
            target = said.get("target", "").strip()
            if target.count("/") != 1:
                raise HubServerError(400, "a repository's id is namespace/name")
            call.hub.repositories.move(call.kind, call.name, target, call.viewer)
            base = base.removesuffix(row.name) + target
        elif what == "access":
            status = said.get("status", "")
            call.hub.access.handle(*who, request_id=said.get("request"), status=status)
        elif what == "grant":
            call.hub.access.grant(*who, said.get("user", "").strip())
        elif what == "delete":
            if said.get("name") != row.name:
                raise HubServerError(400, f"to delete the repository, type its id: {row.name}")
            call.hub.repositories.delete(*who)
            return see("/" if call.kind == "models" else f"/{call.kind}")
        else:
            raise HubServerError(404, "there is no such setting")
    except HubServerError as error:
        if error.status not in {400, 404, 409}:
            raise
        response = _show(call, error.message)
        response.status_code = error.status
        return response
    return see(f"{base}/settings")
