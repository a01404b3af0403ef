"""Answers that go on for hours: a connection that is kept without a request, a parser or a task behind it.

An ASGI application that waits inside its call costs a server some 15 kB a visitor: a task, a coroutine of every layer,
the request and its parser. Our HTTP (:mod:`enfold.web.zerocopy`) lets an application take the connection over instead,
once it has sent the head of its answer, and return.
"""

from __future__ import annotations

import asyncio
from typing import Any

__all__ = ["Beats", "Held"]


class Held(asyncio.Protocol):
    """A connection that has been taken over from its request: bytes are sent on it until one side ends it.

    Example:
        >>> async def app(scope, receive, send):
        ...     await send({"type": "http.response.start", "status": 200, "headers": []})
        ...     if not await Held.take(send, held := Held()):
        ...         ...  # another server, or someone between it and us: go on as usual
        ...     held.send(b"hello")
    """

    __slots__ = ("_chunked", "_connections", "transport")

    def __init__(self) -> None:
        self.transport: Any = None

    @staticmethod
    async def take(channel: Any, held: Held) -> bool:
        """Take over the connection behind an application's ``send`` or ``receive``; False where it cannot be reached.

        It can where that is our own server's: middleware that wraps it may change what is sent.
        """
        hold = getattr(getattr(channel, "__self__", None), "hold", None)
        return hold is not None and bool(await hold(held))

    def held(self, transport: Any, connections: set[Any], chunked: bool) -> None:
        """Begin, on this connection, among the server's others."""
        self.transport, self._connections, self._chunked = transport, connections, chunked
        connections.add(self)

    def send(self, data: bytes) -> None:
        """Send a part of the answer; left out while what was sent before waits for a slow reader."""
        if not self.transport.is_closing() and not self.transport.get_write_buffer_size():
            self.transport.write(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)

    def end(self) -> None:
        """End the answer, and the connection with it."""
        if self._chunked and not self.transport.is_closing():
            self.transport.write(b"0\r\n\r\n")
        self.transport.close()

    def lost(self) -> None:
        """The connection is gone; called once."""

    # What the event loop and the server call.

    def data_received(self, data: bytes) -> None:
        """Whoever asks for more on a connection whose answer does not end would wait for ever."""
        self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)
        self.lost()

    def shutdown(self) -> None:
        """The server stops."""
        self.end()


class Beats:
    """A sign of life on every held connection at its own interval, from one task, which ends with the last of them.

    Args:
        data: what is sent.
        interval: seconds.
    """

    def __init__(self, data: bytes, interval: float) -> None:
        self.data, self.interval = data, interval
        self._due: dict[Held, float] = {}  # in the order in which they are due, since all wait equally long
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._due)

    def add(self, held: Held) -> None:
        """Send the first sign, and the next ones from now on."""
        loop = asyncio.get_running_loop()
        held.send(self.data)
        self._due[held] = loop.time() + self.interval
        if self._task is None:
            self._task = loop.create_task(self._beat(loop))

    def drop(self, held: Held) -> None:
        """Forget a connection."""
        if self._due.pop(held, None) is not None and not self._due and self._task is not None:
            self._task.cancel()
            self._task = None

    def end(self) -> None:
        """End all of them."""
        for held in list(self._due):
            held.end()

    async def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        while self._due:
            held, due = next(iter(self._due.items()))
            if due > loop.time():
                await asyncio.sleep(due - loop.time())
                continue
            del self._due[held]
            self._due[held] = loop.time() + self.interval
            held.send(self.data)
        self._task = None
