"""Answers over HTTP: as a whole or as an event stream, and given up when nobody reads any more."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from enfold.log import get_logger
from enfold.serving.answers import Answers
from enfold.serving.errors import ServingError, openai_shape
from enfold.web.sse import HEADERS

__all__ = ["DONE", "JSON", "EventStream", "data", "unless_gone"]

logger = get_logger(__name__)
T = TypeVar("T")

DONE = b"data: [DONE]\n\n"
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def data(value: Any) -> bytes:
    """Return one frame of an event stream.

    Example:
        >>> data({"a": "é"})
        b'data: {"a":"\\xc3\\xa9"}\\n\\n'
    """
    return b"data: " + _encode(value).encode("utf-8", "backslashreplace") + b"\n\n"


class JSON(Response):
    """A JSON answer."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Return its bytes."""
        return _encode(content).encode("utf-8", "backslashreplace")


class EventStream:
    """An ASGI answer of frames. The answers behind it are cancelled when the reader goes away or takes nothing.

    Args:
        frames: of the stream; the first is awaited before anything is sent, so that an error still has its status.
        answers: that the frames are made of.
        shape: makes an error's JSON for errors that come once the stream has begun.
        seconds: a reader who takes nothing that long is given up.
    """

    def __init__(
        self,
        frames: AsyncIterator[bytes],
        answers: Answers,
        seconds: float = 60.0,
        shape: Callable[[ServingError], dict[str, Any]] = openai_shape,
    ) -> None:
        self.frames, self.answers, self.seconds, self.shape = frames, answers, seconds, shape
        self._since: float | None = None  # when the frame that is being sent was begun

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        writing = asyncio.ensure_future(self._write(send))
        gone = asyncio.ensure_future(_gone(receive))
        try:
            while not writing.done():
                await asyncio.wait({writing, gone}, timeout=self.seconds / 2, return_when=asyncio.FIRST_COMPLETED)
                if gone.done() and not writing.done():
                    return
                if self._since is not None and time.monotonic() - self._since > self.seconds:
                    logger.warning("a reader took nothing for %g s and was given up", self.seconds)
                    raise ClientDisconnect
            await writing
        finally:
            self.answers.cancel()
            for task in (writing, gone):
                task.cancel()
            await asyncio.gather(writing, gone, return_exceptions=True)

    async def _write(self, send: Send) -> None:
        frames = self.frames.__aiter__()
        first = await anext(frames, None)
        headers = {"Content-Type": "text/event-stream; charset=utf-8", **HEADERS}
        raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": 200, "headers": raw})
        if first is not None:
            await self._send(send, first)
            try:
                async for frame in frames:
                    await self._send(send, frame)
            except ServingError as error:
                await self._send(send, data(self.shape(error)))
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send(self, send: Send, frame: bytes) -> None:
        self._since = time.monotonic()
        await send({"type": "http.response.body", "body": frame, "more_body": True})
        self._since = None


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def unless_gone(request: Request, answers: Answers, work: Coroutine[Any, Any, T] | Awaitable[T]) -> T:
    """Return what ``work`` does; when the client goes away meanwhile, cancel the answers.

    Raises:
        ClientDisconnect: the client has gone.
    """
    working = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_gone(request.receive))
    try:
        await asyncio.wait({working, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return await working
    finally:
        answers.cancel()
        for task in (working, gone):
            task.cancel()
        await asyncio.gather(working, gone, return_exceptions=True)
