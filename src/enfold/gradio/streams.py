"""Streams of a page: the messages of its calls, and the signs of life between visitors and server."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from starlette.requests import Request as HTTPRequest
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from enfold.gradio.encoding import encode
from enfold.gradio.request import Request
from enfold.gradio.sessions import Session
from enfold.web.sse import HEADERS, frame

if TYPE_CHECKING:
    from enfold.gradio.routes import App

__all__ = ["BEAT", "Streams", "event_stream"]

BEAT = 15.0  # seconds between two signs of life on a stream
# Seconds a page's stream stays open for the next call after its last one ended. Other clients' streams close with the
# last message: the Python client takes the stream of a session it has left for the one of its new session.
LINGER = 0.15
GRACE = 5.0  # seconds a visitor has to come back before unread work is stopped
CLOSE = frame(b'{"msg":"close_stream","event_id":null}')


class Streams:
    """The routes of a page that stay open.

    Args:
        app: the page's application.
    """

    def __init__(self, app: App) -> None:
        self.app = app
        self._over: asyncio.Future[Any] | None = None

    async def data(self, request: HTTPRequest) -> Response:
        session = self.app.sessions.get(request.query_params.get("session_hash", ""))
        after = request.query_params.get("after", "")
        return event_stream(self._messages(session, int(after) if after.isdigit() else None))

    async def _messages(self, session: Session | None, after: int | None) -> AsyncIterator[bytes]:
        if session is None:
            message = {"msg": "unexpected_error", "message": "Session not found.", "session_not_found": True}
            yield frame(encode({**message, "success": False, "event_id": None}))
            return
        session.reader += 1
        session.connections += 1
        number, box = session.reader, session.mailbox
        box.wake()  # the stream before this one ends
        position = box.seen if after is None else after
        quiet = time.monotonic()
        try:
            while session.reader == number:
                frames = box.take(position)
                if frames:
                    position = box.last
                    quiet = time.monotonic()
                    if not session.lingers and not session.pending:
                        yield b"".join([*frames, CLOSE])
                        return
                    yield b"".join(frames)
                    continue
                if self.app.ended or not session.pending:
                    if not self.app.ended and session.lingers and await box.wait(LINGER):
                        if box.last > position or session.pending or session.reader != number:
                            continue
                        if time.monotonic() - quiet < LINGER:
                            continue
                    if box.last == position and session.reader == number and (self.app.ended or not session.pending):
                        yield CLOSE
                        return
                elif not await box.wait(BEAT):
                    yield frame(b'{"msg":"heartbeat","event_id":null}')
        finally:
            session.connections -= 1
            session.seen = time.monotonic()
            if session.pending and session.reader == number and not self.app.ended:
                asyncio.get_running_loop().call_later(GRACE, self._abandon, session, number)

    def _abandon(self, session: Session, number: int) -> None:
        if session.reader == number and session.connections == 0:
            for job in list(session.pending.values()):
                if job.sink is session.mailbox:
                    self.app.engine.cancel(job)

    async def heartbeat(self, request: HTTPRequest) -> Response:
        return Heartbeat(self, request)

    async def beat(self, request: HTTPRequest, receive: Receive, send: Send) -> None:
        """Tell a visitor every while that the server is there, until one of both is gone."""
        session = self.app.sessions.open(request.path_params["session"][:128])
        session.connections += 1
        if self._over is None:
            self._over = asyncio.ensure_future(self.app.over.wait())  # one for all visitors
        body = {"type": "http.response.body", "body": frame(b"ALIVE"), "more_body": True}
        gone: asyncio.Future[Any] | None = None
        try:
            while not self.app.ended:
                await send(body)
                while True:
                    gone = gone or asyncio.ensure_future(receive())
                    await asyncio.wait({gone, self._over}, timeout=BEAT, return_when=asyncio.FIRST_COMPLETED)
                    if not gone.done():
                        break
                    if gone.result()["type"] == "http.disconnect":
                        return
                    gone = None  # the request's own body, which is empty
            await send({"type": "http.response.body", "body": b""})
        finally:
            if gone is not None:
                gone.cancel()
            session.connections -= 1
            session.seen = time.monotonic()
            if not self.app.ended:
                self._unload(request, session)

    def _unload(self, request: HTTPRequest, session: Session) -> None:
        loop = asyncio.get_running_loop()
        for fn in self.app.blocks.fns.values():
            if fn.fn is None or not any(event == "unload" for _, event in fn.targets):
                continue
            call, arguments = fn.fn, fn.arguments([], Request(request, session_hash=session.hash), None, None)
            if inspect.iscoroutinefunction(call):
                task = loop.create_task(call(*arguments))
                self.app.engine._tasks.add(task)
                task.add_done_callback(self.app.engine._tasks.discard)
            else:
                loop.run_in_executor(self.app.engine.pool, call, *arguments)


class Heartbeat(Response):
    """The answer that keeps a visitor's session: most visitors have one open, so that it holds as little as it can."""

    def __init__(self, streams: Streams, request: HTTPRequest) -> None:
        super().__init__(media_type="text/event-stream", headers=HEADERS)
        del self.headers["content-length"]
        self.streams, self.request = streams, request

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        await self.streams.beat(self.request, receive, send)


def event_stream(messages: AsyncIterator[bytes]) -> StreamingResponse:
    """An answer of server-sent events."""
    return StreamingResponse(messages, media_type="text/event-stream", headers=HEADERS)
