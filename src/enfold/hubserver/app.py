"""The ASGI application: finds the function for an address, and puts what every response needs around it."""

from __future__ import annotations

import errno
import inspect
import os
import re
import secrets
from collections.abc import Awaitable
from pathlib import Path
from typing import cast
from urllib.parse import quote, unquote, urlsplit

from sqlalchemy.exc import DataError, OperationalError
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from enfold.hubserver.audit import Actor, acting
from enfold.hubserver.errors import HubServerError
from enfold.hubserver.hub import Hub
from enfold.hubserver.names import KINDS, RESERVED
from enfold.hubserver.rates import kind_of
from enfold.hubserver.repositories import Redirected
from enfold.hubserver.routes import (
    access,
    accounts,
    collections,
    content,
    description,
    discussions,
    git,
    oauth,
    people,
    publishers,
    refs,
    repos,
    spaces,
    storage,
    uploads,
    viewer,
    webhooks,
    xet,
)
from enfold.hubserver.routes.call import Call, Handler, Routes, current
from enfold.hubserver.settings import Settings
from enfold.hubserver.viewers import Viewer
from enfold.hubserver.web import account, admin, pages
from enfold.hubserver.webhooks import Delivery
from enfold.log import get_logger

__all__ = ["create_app"]

_log = get_logger(__name__)


def _join(*tables: Routes) -> Routes:
    joined = Routes()
    for table in tables:
        joined.table.update(table.table)
    return joined


_FIXED = _join(
    accounts.fixed,
    collections.fixed,
    people.fixed,
    publishers.fixed,
    repos.fixed,
    storage.fixed,
    uploads.fixed,
    webhooks.fixed,
)
_API = _join(
    repos.repository,
    refs.repository,
    content.repository,
    uploads.repository,
    xet.repository,
    discussions.repository,
    access.repository,
    people.repository,
    publishers.repository,
    storage.repository,
    viewer.repository,
    spaces.repository,
)
_PAGES = _join(content.pages, access.pages, spaces.pages, pages.repository)


#: actions whose addresses name a revision
_REQUEST_ID = re.compile(r"[\w:;=.-]{1,128}", re.ASCII)  # what a caller may call its request, in logs and answers
_KIND = re.compile(r"/api(?:/resolve-cache)?/\w+|/(?:models|datasets|spaces)(?=/)")  # what an address begins with
_AT_REVISION = frozenset("resolve raw tree blob revision commits paths-info xet-read-token".split())


def create_app(hub: Hub | Settings | str | os.PathLike[str]) -> ASGIApp:
    """Return the ASGI application of a Hub.

    Args:
        hub: a :class:`~enfold.hubserver.hub.Hub`, settings to open one with, or just its data folder.

    Example:
        >>> app = create_app("hub-data")  # doctest: +SKIP
    """
    if isinstance(hub, Hub):
        return _App(hub)
    return _App(Hub(hub if isinstance(hub, Settings) else Settings(Path(hub).absolute())))


class _App:
    def __init__(self, hub: Hub) -> None:
        self.hub = hub

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        if scope["type"] != "http":  # a server of another kind that takes web sockets apart
            await send({"type": "websocket.close"})
            return
        request = Request(scope, receive)
        said = request.headers.get("x-request-id") or request.headers.get("x-amzn-trace-id") or ""
        request_id = said if _REQUEST_ID.fullmatch(said) else f"Root={secrets.token_hex(12)}"
        started = False
        limits: dict[str, str] = {}

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = [
                    *message["headers"],
                    (b"x-request-id", request_id.encode()),
                    (b"x-content-type-options", b"nosniff"),
                    (b"referrer-policy", b"same-origin"),
                    *((name.lower().encode(), value.encode()) for name, value in limits.items()),
                ]
            await send(message)

        try:
            response = await self._answer(request, limits)
            await response(scope, receive, send_with_headers)
        except ClientDisconnect:
            return
        except (OperationalError, OSError) as error:
            full = _is_full(error)
            if started or not (full or isinstance(error, OperationalError)):
                _log.exception("%s %s failed (request id %s)", request.method, request.url.path, request_id)
                if started:
                    raise
                await _accident(request_id)(scope, receive, send_with_headers)
                return
            _log.warning("%s %s: nothing can be kept or read: %s", request.method, request.url.path, error)
            if full:
                message = "The Hub's disk is full: nothing was kept of this. Ask who runs it to make room."
                await JSONResponse({"error": message}, 507)(scope, receive, send_with_headers)
                return
            message = "The Hub's database cannot be reached at the moment. Please try again."
            busy = JSONResponse({"error": message}, 503, {"Retry-After": "1"})
            await busy(scope, receive, send_with_headers)
        except Exception:
            _log.exception("%s %s failed (request id %s)", request.method, request.url.path, request_id)
            if started:
                raise
            await _accident(request_id)(scope, receive, send_with_headers)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        delivery = Delivery(self.hub.webhooks, self.hub.settings.webhook_hosts)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await run_in_threadpool(delivery.stop)
        await send({"type": "lifespan.shutdown.complete"})

    async def _answer(self, request: Request, limits: dict[str, str]) -> Response:
        wants_page = "text/html" in request.headers.get("accept", "") and not request.url.path.startswith("/api/")
        try:
            call = Call(request, self.hub, None)
            current.set(call)
            done = await run_in_threadpool(self._begin, call, limits)
            if isinstance(done, Response):
                return done
            handler = done
            with acting(_actor(call)):
                if inspect.iscoroutinefunction(handler):
                    if handler is not spaces.run:  # a Space's requests reach its own program, without the viewer's name
                        _check_form(call)
                    return cast(Response, await cast(Awaitable[Response], handler(call)))
                call.body = await _read(request, self.hub.settings.limits.json_body)
                _check_form(call)
                return cast(Response, await run_in_threadpool(handler, call))
        except Redirected as other:
            return RedirectResponse(_moved(request, call.name, other.target), 307)
        except (DataError, UnicodeEncodeError):
            message = (
                "A text of the request holds what cannot be kept: half of a character, a zero, or too large a number"
            )
            return _error(HubServerError(400, message))
        except HubServerError as error:
            if wants_page:
                return pages.error_page(error)
            return _error(error)

    def _begin(self, call: Call, limits: dict[str, str]) -> Handler | Response:
        """Find out who asks for what, and return what answers it; or the answer itself where no body is to come.

        All of that is one way to a worker thread and back, which costs as much as several questions to the database.
        """
        try:
            if not call.request.url.path.startswith("/cas/"):  # the Xet store has tokens of its own
                call.viewer = self._viewer(call)
        finally:  # whoever shows a wrong token is counted too
            limits.update(self._count(call))
        handler = _find(call)
        if self.hub.upstream is not None and call.name and call.request.method in {"GET", "HEAD", "POST"}:
            self._fetch(call)
        if call.request.method not in {"GET", "HEAD"} or inspect.iscoroutinefunction(handler):
            return handler
        with acting(_actor(call)):
            return cast(Response, handler(call))

    def _count(self, call: Call) -> dict[str, str]:
        """Count a request, and return the headers that say how many more may come; a 429 when there were too many."""
        kind = kind_of(call.request.method, call.request.url.path) if self.hub.rates.limits else None
        if kind is None:
            return {}
        return self.hub.rates.take(kind, f"account {call.viewer.account_id}" if call.viewer else call.address)

    def _fetch(self, call: Call) -> None:
        """See to it that what is asked for is here, if it can be had from an upstream."""
        assert self.hub.upstream is not None
        if call.request.method == "POST" and call.action != "paths-info":
            return
        revision = "main"
        if call.action in _AT_REVISION and call.rest:
            revision = "/".join(call.rest[:3]) if call.rest[0] == "refs" else call.rest[0]
        self.hub.upstream.prepare(call.kind, call.name.removesuffix(".git"), revision)

    def _viewer(self, call: Call) -> Viewer | None:
        """Return who asks: by a token, or on pages by the cookie of a session, which opens nothing of the API."""
        secret = _bearer(call.request)
        if secret is not None or call.request.url.path.startswith("/api/"):
            return self.hub.tokens.viewer(secret)
        return self.hub.sessions.viewer(call.request.cookies.get(call.cookie))


def _accident(request_id: str) -> Response:
    return JSONResponse({"error": f"Internal error of the Hub. Request id: {request_id}"}, 500)


def _is_full(error: Exception) -> bool:
    """Say whether an error means that a disk, or somebody's part of it, is full."""
    if isinstance(error, OSError):
        return error.errno in {errno.ENOSPC, errno.EDQUOT}
    return "disk is full" in str(error) or "No space left" in str(error)


def _actor(call: Call) -> Actor:
    viewer = call.viewer
    return Actor(viewer.name if viewer else "", viewer.token_name if viewer else "", call.address)


def _check_form(call: Call) -> None:
    """Refuse what another site made the browser of somebody who is signed in send."""
    if call.request.method in {"GET", "HEAD", "OPTIONS"} or call.request.url.path.startswith(("/api/", "/cas/")):
        return
    came = call.request.headers.get("sec-fetch-site", "same-origin")
    origin = urlsplit(call.request.headers.get("origin", call.base)).netloc
    if came not in {"same-origin", "none"} or origin != urlsplit(call.base).netloc:
        raise HubServerError(403, "this form is of another site")
    entering = call.request.url.path in {"/login", "/join"}  # maybe again, from a page that knew of no session
    if call.viewer is not None and call.viewer.session is not None and not entering:
        proof = call.request.headers.get("x-form-proof") or call.query("proof") or ""
        if not proof and "urlencoded" in call.request.headers.get("content-type", ""):
            proof = call.field("proof")
        call.hub.sessions.check_proof(call.viewer.session, proof)


def _error(error: HubServerError) -> Response:
    headers = dict(error.headers)
    if error.code:
        headers["X-Error-Code"] = error.code
    plain = "".join(character if " " <= character <= "~" else "?" for character in error.message.replace("\n", " "))
    headers.setdefault("X-Error-Message", plain)
    return JSONResponse({**error.body, "error": error.message}, error.status, headers)


async def _read(request: Request, limit: int) -> bytes:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > limit:
            raise HubServerError(413, f"the body is larger than the {limit} bytes that are accepted here")
    return bytes(body)


def _bearer(request: Request) -> str | None:
    kind, _, secret = request.headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return secret.strip()
    if kind.lower() == "basic":  # git and git-lfs send the token as the password
        import base64

        try:
            return base64.b64decode(secret).decode().partition(":")[2]
        except ValueError:
            raise HubServerError(401, "Invalid credentials in Authorization header") from None
    return None


def _segments(request: Request) -> list[str]:
    """Return the decoded segments of the address; an encoded slash stays inside its segment."""
    raw = request.scope.get("raw_path")
    path = (raw.split(b"?")[0].decode("latin-1")) if raw else quote(request.scope["path"])
    try:
        return [unquote(segment, errors="strict") for segment in path.split("/")[1:]]
    except UnicodeDecodeError:
        raise HubServerError(400, "the address is not UTF-8") from None


def _find(call: Call) -> Handler:
    segments = [*_segments(call.request)]
    while len(segments) > 1 and not segments[-1]:
        segments.pop()
    method = call.request.method
    if segments[0] == "api":
        return _find_api(call, method, segments[1:])
    if segments[0] == "lfs-objects" and len(segments) in {3, 4} and segments[1].isdigit():
        call.rest = tuple(segments[1:])
        return _FIXED.get(method, "lfs-objects")
    if segments[0] == "cas":
        if segments[1:2] not in (["v1"], ["v2"]):  # as hf_xet before 1.3 writes the first version's addresses
            segments.insert(1, "v1")
        call.rest = tuple(segments[3:])
        return xet.cas.get(method, "/".join(segments[1:3]))
    for table in (account.pages, admin.pages, oauth.routes, description.routes):
        if (action := "/".join(segments[:2])) in table.addresses:
            call.rest = tuple(segments[2:])
            return table.get(method, action)
    if segments[0] == "datasets-server" and len(segments) == 2:
        return viewer.server.get(method, segments[1])
    if segments == [""]:
        return pages.top.get(method, "")
    if segments[0] == "static":
        call.rest = tuple(segments[1:])
        return pages.top.get(method, "static")
    call.kind = "models"
    if segments[0] in KINDS:
        call.kind, segments = segments[0], segments[1:]
        if not segments:
            return pages.top.get(method, "")
    action, rest = _split_repo(call, segments)
    if call.name.endswith(".git") or action in {"info", "git-upload-pack", "git-receive-pack"}:
        call.name = call.name.removesuffix(".git")
        if [action, *rest[:1]] == ["info", "lfs"]:
            return uploads.lfs.get(method, "/".join(rest[1:]))
        return git.git.get(method, "/".join([action, *rest]))
    call.rest = tuple(rest)
    return _PAGES.get(method, action)


def _find_api(call: Call, method: str, segments: list[str]) -> Handler:
    if not segments or segments[0] not in KINDS:
        action = "/".join(segments[:2])
        if segments[:1] == ["telemetry"]:
            action = "telemetry"
        elif segments[:2] in (["settings", "webhooks"], ["settings", "trusted-publishers"]):
            call.rest = tuple(segments[2:])
        elif segments[:1] == ["collections"]:
            action, call.rest = "collections", tuple(segments[1:])
        elif segments[:1] in (["users"], ["organizations"]) and len(segments) > 2:
            action, call.rest = "/".join([segments[0], *segments[2:]]), (segments[1],)
        return _FIXED.get(method, action)
    call.kind = segments[0]
    if len(segments) == 1:
        return repos.lists.get(method, "")
    action, rest = _split_repo(call, segments[1:])
    if not action and len(segments) == 3 and (method, "") not in _API.table and (method, segments[2]) in _API.table:
        call.name, action = segments[1], segments[2]  # a legacy id of one segment, and what is done with it
        call.action = action
    call.rest = tuple(rest)
    return _API.get(method, action)


def _split_repo(call: Call, segments: list[str]) -> tuple[str, list[str]]:
    """Set the repository that an address names (legacy ids have one segment) and return its action and the rest."""
    length = 1 if len(segments) == 1 or segments[1] in RESERVED else 2
    call.name = "/".join(segments[:length])
    rest = segments[length:]
    call.action = rest[0] if rest else ""
    return (rest[0], rest[1:]) if rest else ("", [])


def answers(method: str, path: str) -> str | None:
    """Return the first sentence of the function that answers a method and an address such as ``/api/{kind}``; None
    where there is none."""
    raw = re.sub(r"\{(\w+)\}", lambda found: "models" if found[1] == "kind" else "1", path)
    scope = {
        "type": "http",
        "method": method,
        "path": raw,
        "raw_path": raw.encode(),
        "query_string": b"",
        "headers": [],
    }
    try:
        handler = _find(Call(Request(scope), None, None))  # type: ignore[arg-type]
    except HubServerError:
        return None
    return (handler.__doc__ or "").strip().partition("\n")[0]


def _moved(request: Request, name: str, target: str) -> str:
    """Return the present address, as a path, with the repository's id exchanged."""
    raw = request.scope.get("raw_path")
    path = raw.split(b"?")[0].decode("latin-1") if raw else quote(request.scope["path"])
    written = "|".join(re.escape(text) for text in (name, quote(name, safe="")))
    start = kind.end() if (kind := _KIND.match(path)) else 0  # an id may be "model", and "/api/models" holds that too
    moved = re.sub(rf"/(?:{written})(?=/|\.git\b|$)", lambda _: f"/{target}", path[start:], count=1)
    query = request.scope.get("query_string", b"").decode("latin-1")
    return path[:start] + moved + (f"?{query}" if query else "")
