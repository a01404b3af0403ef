"""Spaces over HTTP: their programs behind the Hub's address, static ones as files, their state and log.

Whatever a Space sends runs in somebody's browser, so it runs in an origin of its own, which is nobody's: every answer
below ``/spaces/{id}/run`` has a policy with ``sandbox``. Its scripts reach neither the Hub's pages nor its cookie; what
they ask of their own program is allowed to come from "nobody". A private Space's address carries a ticket for that.
"""

from __future__ import annotations

import asyncio
import json
import mimetypes
from collections.abc import AsyncIterator
from typing import Any

from sqlalchemy import Connection, Row, select
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response, StreamingResponse

from enfold.hubserver import database as db
from enfold.hubserver import trees
from enfold.hubserver.errors import HubServerError, entry_not_found, repo_not_found
from enfold.hubserver.files import FileContent, byte_range
from enfold.hubserver.routes.call import Call, Routes
from enfold.hubserver.routes.passing import apart, pass_on, waiting
from enfold.hubserver.spaces.running import Space, address_of_space
from enfold.hubserver.views import timestamp
from enfold.web.tunnel import wants_socket

__all__ = ["pages", "repository", "run_address", "space_card"]

pages, repository = Routes(), Routes()

_DAY = 86_400


def space_card(row: Row[Any]) -> dict[str, Any]:
    """Return the metadata of a Space, with the kind that it is of."""
    card = dict(json.loads(row.card))
    return {**card, "sdk": card.get("sdk") or row.sdk or "static"}


def run_address(call: Call, row: Row[Any]) -> str:
    """Return where a Space's page is, with a ticket where not everybody may see it."""
    address = address_of_space(row.name)
    if row.private or row.gated != "false":
        address += "/~" + call.hub.signer.token(f"space:{row.id}", seconds=_DAY)[0]
    return address + "/"


def _visited(call: Call, connection: Connection) -> tuple[Row[Any], tuple[str, ...]]:
    """Return the Space of an address and the rest of its path, for somebody whom the address or a token lets in."""
    rest = call.rest
    if rest and rest[0].startswith("~"):
        named = (db.repo.c.kind == call.kind) & (db.repo.c.key == call.name.lower())
        row = connection.execute(select(db.repo).where(named)).one_or_none()
        if row is None or call.hub.signer.words(rest[0][1:]) != f"space:{row.id}":
            raise repo_not_found(call.viewer is None)
        return row, rest[1:]
    return call.readable(connection), rest


@pages.add("OPTIONS", "run")
def allow(call: Call) -> Response:
    """Let a Space's scripts ask their own program."""
    headers = {
        "Access-Control-Allow-Methods": "GET, HEAD, POST, PUT, PATCH, DELETE",
        "Access-Control-Allow-Headers": call.request.headers.get("access-control-request-headers", "*"),
        "Access-Control-Max-Age": "600",
    }
    return apart(Response(status_code=204, headers=headers))


@pages.add("GET HEAD POST PUT PATCH DELETE", "run")
async def run(call: Call) -> Response:
    """Pass a request on to a Space's program, which is started for it; or send a file of a static Space."""

    def find() -> Response | Space:
        with call.hub.database.read() as connection:
            row, rest = _visited(call, connection)
            call.rest = rest
            head = call.hub.repositories.revision(connection, row.id, "main")
            card = space_card(row)
            if card["sdk"] == "static":
                return _static(call, connection, head, card, rest)
            return call.hub.spaces.start(connection, row, head, card)

    if call.kind != "spaces":
        raise HubServerError(404, "only Spaces run")
    if wants_socket(call.request) and call.viewer is not None and call.viewer.session is not None:
        call.viewer = None  # any site may have a browser open one, with its cookies and without asking
    found = await run_in_threadpool(find)
    if isinstance(found, Response):
        return apart(found)
    if found.stage != "RUNNING":
        return apart(waiting(found))
    return await pass_on(call, found)


def _static(
    call: Call, connection: Connection, head: Row[Any], card: dict[str, Any], rest: tuple[str, ...]
) -> Response:
    if call.request.method not in {"GET", "HEAD"}:
        raise HubServerError(405, "a static Space is only read", headers={"Allow": "GET, HEAD"})
    path = "/".join(rest) or str(card.get("app_file") or "index.html")
    entry = trees.find(connection, head.tree, path)
    if entry is not None and entry.folder:
        path = f"{path}/index.html"
        entry = trees.find(connection, head.tree, path)
    if entry is None:
        raise entry_not_found(path, head.oid)
    blob = call.hub.commits.blob(connection, entry.oid)
    etag = f'"{entry.oid}"'
    if call.request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers={"ETag": etag})
    span = byte_range(call.request.headers.get("range"), blob.size)
    source = bytes(blob.data) if blob.data is not None else call.hub.contents.source(blob.sha256)
    kind = mimetypes.guess_type(path)[0] or "application/octet-stream"
    headers = {"ETag": etag, "Cache-Control": "no-cache", "Accept-Ranges": "bytes"}
    return FileContent(source, blob.size, span=span, headers=headers, media_type=kind)


# ---------------------------------------------------------------------- state and log


def _runtime(row: Row[Any], space: Space | None) -> dict[str, Any]:
    static = space_card(row)["sdk"] == "static"
    stage = "RUNNING" if static else space.stage if space is not None else "SLEEPING"
    hardware = {"current": None if static else "cpu-basic", "requested": None if static else "cpu-basic"}
    said: dict[str, Any] = {"stage": stage, "hardware": hardware, "storage": None}
    said |= {"gcTimeout": None, "replicas": {"current": int(stage == "RUNNING"), "requested": 1}}
    if space is not None:
        said["sha"] = space.commit
        if space.problem:
            said["errorMessage"] = space.problem
    return said


def _space(call: Call, *, write: bool = False) -> tuple[Row[Any], Space | None]:
    if call.kind != "spaces":
        raise HubServerError(404, "only Spaces run")
    with call.hub.database.read() as connection:
        row = call.repo(connection, write=write) if write else call.readable(connection)
    return row, call.hub.spaces.find(row.id)


@repository.add("GET", "runtime")
def runtime(call: Call) -> Response:
    """Say whether a Space runs."""
    return JSONResponse(_runtime(*_space(call)))


@repository.add("POST", "restart")
def restart(call: Call) -> Response:
    """Start a Space's program anew."""
    row, _ = _space(call, write=True)
    if call.flag("factory"):
        call.hub.spaces.packages.forget(row.id)
    call.hub.spaces.restart(row.id)
    with call.hub.database.read() as connection:
        head = call.hub.repositories.revision(connection, row.id, "main")
        space = None
        if space_card(row)["sdk"] != "static":
            space = call.hub.spaces.start(connection, row, head, space_card(row))
    return JSONResponse(_runtime(row, space))


@repository.add("POST", "pause")
def pause(call: Call) -> Response:
    """End a Space's program; it is started when somebody comes."""
    row, _ = _space(call, write=True)
    return JSONResponse(_runtime(row, call.hub.spaces.stop(row.id, stage="PAUSED")))


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str):
        raise HubServerError(400, f'"{name}" is a text')
    return value


@repository.add("GET POST DELETE", "variables")
def variables(call: Call) -> Response:
    """Show a Space's variables to whoever may change it, set one, or delete one; a program that runs begins anew."""
    return _values(call, secret=False)


@repository.add("GET POST DELETE", "secrets")
def secrets(call: Call) -> Response:
    """Show which secrets a Space has, without their values, set one, or delete one."""
    return _values(call, secret=True)


def _values(call: Call, *, secret: bool) -> Response:
    if call.kind != "spaces":
        raise HubServerError(404, "only Spaces have variables and secrets")
    values = call.hub.space_values
    if call.request.method != "GET":
        body = call.json()
        key, description = _text(body, "key"), body.get("description")
        if call.request.method == "DELETE":
            repo_id = values.remove(call.name, call.viewer, key, secret=secret)
        else:
            description = None if description is None else _text(body, "description")
            value = _text(body, "value")
            repo_id = values.set(call.name, call.viewer, key, value, secret=secret, description=description)
        call.hub.spaces.restart(repo_id)
    with call.hub.database.read() as connection:
        row = call.repo(connection, write=True)
        found = values.of(connection, row.id, secret=secret)
    said: dict[str, dict[str, Any]] = {}
    for one in found:
        about: dict[str, Any] = {"key": one.key, "description": one.description, "updatedAt": timestamp(one.modified)}
        said[one.key] = about if secret else {**about, "value": one.value}
    return JSONResponse(said)


@repository.add("GET", "logs")
async def logs(call: Call) -> Response:
    """Send a Space's log as events, and what is added to it, for somebody who may change the Space."""
    _, space = await run_in_threadpool(lambda: _space(call, write=True))
    if call.rest not in {("run",), ("build",)}:
        raise HubServerError(404, "a Space has the logs run and build")

    async def events() -> AsyncIterator[str]:
        number = 0
        while space is not None and call.rest == ("run",):
            ended = space.ended.is_set()
            number, lines = space.lines_after(number)
            for line in lines:
                moment, _, text = line.partition(" ")
                yield f"data: {json.dumps({'data': text + chr(10), 'timestamp': moment})}\n\n"
            if ended or await call.request.is_disconnected():
                return
            await asyncio.sleep(0.25)

    return StreamingResponse(events(), media_type="text/event-stream", headers={"Cache-Control": "no-cache"})
