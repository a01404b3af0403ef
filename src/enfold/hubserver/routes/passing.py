"""A request on its way to a Space's program, and the answer on its way back: by HTTP, or as a web socket.

The program learns nothing of who asks: no cookie, token, origin or referrer. What it answers is put into an origin that
is nobody's, and sets no cookie. A web socket is opened in the same way and then passed on as it is, byte by byte.
"""

from __future__ import annotations

import asyncio
import html
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from starlette.responses import HTMLResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from enfold.hubserver.errors import HubServerError
from enfold.hubserver.routes.call import Call
from enfold.hubserver.spaces.running import Space
from enfold.web.held import Held
from enfold.web.tunnel import Tunnel, wants_socket

__all__ = ["apart", "pass_on", "waiting"]

_SANDBOX = "sandbox allow-scripts allow-forms allow-popups allow-downloads allow-modals"
_BODY = 200_000_000  # bytes of a request to a program
_SOCKETS = 200  # web sockets that a program has at once
_PIECE = 1 << 16  # bytes that are read from a web socket at once
_KEPT_BACK = frozenset(
    "host cookie authorization origin referer connection keep-alive te trailer transfer-encoding upgrade "
    "proxy-authorization content-length accept-encoding x-forwarded-for x-forwarded-host x-forwarded-proto "
    "sec-fetch-site sec-fetch-mode sec-fetch-dest sec-fetch-user".split()
)
_NOT_PASSED_ON = frozenset(
    "connection keep-alive transfer-encoding set-cookie content-length date server strict-transport-security "
    "access-control-allow-origin access-control-allow-credentials".split()
)


def apart(response: Response) -> Response:
    """Put a response into an origin that is nobody's, and let that one read it."""
    given = response.headers.get("content-security-policy")
    policy = f"{_SANDBOX}; frame-ancestors 'self'"
    response.headers["Content-Security-Policy"] = f"{given}, {policy}" if given else policy
    response.headers["Access-Control-Allow-Origin"] = "*"
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    return response


def waiting(space: Space) -> Response:
    """Return what a visitor sees while a program is not there."""
    if space.stage in {"BUILDING", "APP_STARTING", "SLEEPING", "STOPPED"} and not space.problem:
        text, headers = "This Space is starting …", {"Refresh": "1", "Retry-After": "1"}
    else:
        text, headers = space.problem or "This Space does not run.", {}
    body = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="color-scheme" content="light dark">'
        f"<title>Space</title><p role='status'>{html.escape(text)}</p></html>"
    )
    return HTMLResponse(body, 503, {**headers, "Cache-Control": "no-store"})


async def pass_on(call: Call, space: Space) -> Response:
    """Ask a program what a visitor asks, and return its answer.

    Raises:
        HubServerError: 413, the body is too large; 501, this server passes no web sockets on; 503, there are too many.
    """
    import httpx

    request = call.request
    socket = wants_socket(request)
    if socket:
        _check_socket(request.receive, space)
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > _BODY:
            raise HubServerError(413, f"the body is larger than the {_BODY} bytes that are accepted here")
    headers = [(name, value) for name, value in request.headers.items() if name not in _KEPT_BACK]
    headers += [("X-Forwarded-Host", call.base.partition("://")[2]), ("X-Forwarded-Proto", call.base.split(":")[0])]
    if socket:
        headers += [("Connection", "Upgrade"), ("Upgrade", "websocket")]
    client = httpx.AsyncClient(timeout=httpx.Timeout(30.0, read=None), trust_env=False)
    visit = _Visit(space, socket=socket)
    try:
        sent = client.build_request(request.method, _address(call, space), headers=headers, content=bytes(body) or None)
        answer = await client.send(sent, stream=True)
    except BaseException as error:
        visit.end()
        await client.aclose()
        if not isinstance(error, httpx.HTTPError):
            raise
        return apart(waiting(space))

    async def close() -> None:
        visit.end()
        await answer.aclose()
        await client.aclose()

    async def pieces() -> AsyncIterator[bytes]:
        try:
            async for piece in answer.aiter_raw():
                visit.now()
                yield piece
        finally:
            await close()

    passed = [(name, value) for name, value in answer.headers.multi_items() if name.lower() not in _NOT_PASSED_ON]
    response: Response
    if socket and answer.status_code == 101:
        response = _Socket(answer.extensions["network_stream"], visit, close)
        passed.append(("Connection", "Upgrade"))
    else:
        response = apart(StreamingResponse(pieces(), answer.status_code))
    for name, value in passed:
        response.headers.append(name, value)
    return response


def _address(call: Call, space: Space) -> str:
    """Return where a program is asked for what a visitor asks the Hub for."""
    raw = call.request.scope.get("raw_path") or call.request.url.path.encode()
    tail = raw.split(b"?")[0].decode("latin-1").partition("/run")[2].lstrip("/")
    if tail.startswith("~"):
        tail = tail.partition("/")[2]
    query = call.request.url.query
    return f"http://127.0.0.1:{space.port}/{tail}" + (f"?{query}" if query else "")


def _check_socket(receive: Receive, space: Space) -> None:
    if not Tunnel.possible(receive):
        raise HubServerError(501, "this Hub passes no web sockets on: its own server, enfold hub serve, does")
    if space.sockets >= _SOCKETS:
        full = f"this Space has {_SOCKETS} web sockets open, as many as it may"
        raise HubServerError(503, full, headers={"Retry-After": "30"})


class _Visit:
    """A request that is with a program: as long as there is one, the program is not stopped."""

    def __init__(self, space: Space, *, socket: bool) -> None:
        self._space, self._socket, self._ended = space, int(socket), False
        space.open += 1
        space.sockets += self._socket

    def now(self) -> None:
        self._space.used = time.monotonic()

    def end(self) -> None:
        if not self._ended:
            self._ended = True
            self._space.open -= 1
            self._space.sockets -= self._socket
            self.now()


class _Socket(Response):
    """The answer to somebody whose web socket a program opened: its head, and then what either side sends."""

    def __init__(self, program: Any, visit: _Visit, close: Callable[[], Awaitable[None]]) -> None:
        super().__init__(None, 101)
        self._program, self._visit, self._close = program, visit, close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what comes until one side ends."""
        tunnel = Tunnel()
        try:
            await send({"type": "http.response.start", "status": 101, "headers": self.raw_headers})
            if await Held.take(receive, tunnel):
                await self._relay(tunnel)
        finally:
            await self._close()

    async def _relay(self, tunnel: Tunnel) -> None:
        import httpcore

        async def up() -> None:
            while data := await tunnel.read():
                self._visit.now()
                await self._program.write(data)

        async def down() -> None:
            while data := await self._program.read(_PIECE):
                self._visit.now()
                await tunnel.write(data)

        ways = [asyncio.ensure_future(way()) for way in (up, down)]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            tunnel.end()
            for way in ways:
                way.cancel()
            for ended in await asyncio.gather(*ways, return_exceptions=True):
                if isinstance(ended, Exception) and not isinstance(ended, httpcore.NetworkError):
                    raise ended
