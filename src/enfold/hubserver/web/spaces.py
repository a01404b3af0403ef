"""The page of a Space: what it shows, in a frame, and what its program says."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row
from starlette.responses import Response

from enfold.hubserver import trees
from enfold.hubserver.errors import HubServerError
from enfold.hubserver.routes.call import Call, Routes
from enfold.hubserver.routes.spaces import run_address, space_card
from enfold.hubserver.web.frame import repo_page
from enfold.hubserver.web.layout import address_of, form, see

__all__ = ["repository"]

repository = Routes()

_RUNS = ("gradio", "static")


@repository.add("GET HEAD", "app")
def app(call: Call) -> Response:
    """Show a Space."""
    if call.kind != "spaces":
        raise HubServerError(404, "only Spaces have an app")
    with call.hub.database.read() as connection:
        row = call.readable(connection)
        card = space_card(row)
        problem = None
        if card["sdk"] not in _RUNS:
            problem = f"This Hub runs Spaces with the SDK gradio and static ones, not {card['sdk']}."
        elif card["sdk"] == "gradio":
            problem = call.hub.spaces.why_not()
        space = call.hub.spaces.find(row.id)
        may_write = call.viewer is not None and call.viewer.may_write(row.namespace)
        log = space.lines_after(0)[1] if space is not None and may_write else None
        return repo_page(
            call,
            connection,
            row,
            "space.html",
            tab="app",
            frames="'self'",
            source=None if problem else run_address(call, row),
            problem=problem,
            space=space,
            runs=card["sdk"] == "gradio",
            lacks_packages=_lacks_packages(call, connection, row),
            log=log,
        )


def _lacks_packages(call: Call, connection: Connection, row: Row[Any]) -> bool:
    """Say whether a Space asks for packages that this Hub does not install."""
    if call.hub.spaces.packages.allowed:
        return False
    head = call.hub.repositories.revision(connection, row.id, "main")
    return trees.find(connection, head.tree, "requirements.txt") is not None


@repository.add("POST", "app")
def change(call: Call) -> Response:
    """Start a Space's program anew, or stop it."""
    said = form(call)
    with call.hub.database.read() as connection:
        row = call.repo(connection, write=True)
    if said.get("do") == "stop":
        call.hub.spaces.stop(row.id)
    else:
        call.hub.spaces.restart(row.id)
    return see(f"{address_of(row)}/app")
