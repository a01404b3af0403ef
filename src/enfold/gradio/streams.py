"""Streams of a page: the messages of its calls, and the signs of life between visitors and server."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from starlette.requests import Request as HTTPRequest
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from enfold.gradio.caching import forget
from enfold.gradio.encoding import encode
from enfold.gradio.request import Request
from enfold.gradio.sessions import Session
from enfold.web.held import Beats, Held
from enfold.web.sse import HEADERS, frame

if TYPE_CHECKING:
    from enfold.gradio.routes import App

__all__ = ["BEAT", "Streams", "event_stream"]

BEAT = 15.0  # seconds between two signs of life on a stream
# Seconds a page's stream stays open for the next call after its last one ended. Other clients' streams close with the
# last message: the Python client takes the stream of a session it has left for the one of its new session.
LINGER = 0.15
OPEN = 16  # streams of one session at a time
GRACE = 5.0  # seconds a visitor has to come back before unread work is stopped
BEGINS = StreamingResponse((), media_type="text/event-stream", headers=HEADERS).raw_headers
CLOSE = frame(b'{"msg":"close_stream","event_id":null}')


class Streams:
    """The routes of a page that stay open.

    Args:
        app: the page's application.
    """

    def __init__(self, app: App) -> None:
        self.app = app
        self.beats = Beats(frame(b"ALIVE"), BEAT)
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

    async def hold(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a visitor's heartbeat: most visitors have one open, so that it holds as little as it can."""
        session = self.app.sessions.open(unquote(scope["path"].rsplit("/", 1)[1])[:128])
        if session.connections >= OPEN:
            busy = Response("this session has too many streams open", 429, media_type="text/plain")
            await busy(scope, receive, send)
            return
        visitor = Visitor(self, session, HTTPRequest(scope) if self._unloads() else None)
        try:
            await send({"type": "http.response.start", "status": 200, "headers": BEGINS})
            if not self.app.ended and await Held.take(send, visitor):
                self.beats.add(visitor)
            else:
                await self._wait(receive, send)
        finally:
            if visitor.transport is None:
                visitor.lost()

    async def _wait(self, receive: Receive, send: Send) -> None:
        # Another server than ours, or middleware between it and us: the signs are sent from here.
        if self._over is None:
            self._over = asyncio.ensure_future(self.app.over.wait())  # one for all visitors
        body = {"type": "http.response.body", "body": self.beats.data, "more_body": True}
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

    def _unloads(self) -> list[Any]:
        fns = self.app.blocks.fns.values()
        return [fn for fn in fns if fn.fn is not None and any(event == "unload" for _, event in fn.targets)]

    def unload(self, request: HTTPRequest | None, session: Session) -> None:
        """Run what is to run when a visitor leaves."""
        loop = asyncio.get_running_loop()
        for fn in self._unloads():
            call, (arguments, _) = fn.fn, fn.arguments([], Request(request, session_hash=session.hash), None, None)
            if inspect.iscoroutinefunction(call):
                task = loop.create_task(call(*arguments))
                self.app.engine._tasks.add(task)
                task.add_done_callback(self.app.engine._tasks.discard)
            else:
                loop.run_in_executor(self.app.engine.pool, call, *arguments)


class Visitor(Held):
    """A visitor who has the page open.

    Args:
        streams: the page's streams.
        session: the visitor's session.
        request: what the visitor came with, where a function of the page asks for it at the end.
    """

    __slots__ = ("request", "session", "streams")

    def __init__(self, streams: Streams, session: Session, request: HTTPRequest | None) -> None:
        super().__init__()
        self.streams, self.session, self.request = streams, session, request
        session.connections += 1

    def lost(self) -> None:
        """The visitor has left."""
        self.streams.beats.drop(self)
        self.session.connections -= 1
        self.session.seen = time.monotonic()
        if not self.session.connections:
            forget(self.session.hash)
            self.session.runs = None
        if not self.streams.app.ended:
            self.streams.unload(self.request, self.session)


def event_stream(messages: AsyncIterator[bytes]) -> StreamingResponse:
    """An answer of server-sent events."""
    return StreamingResponse(messages, media_type="text/event-stream", headers=HEADERS)
