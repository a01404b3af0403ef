"""Connections that stop speaking HTTP: after the head of an answer with the status 101 an application has the bytes.

ASGI has messages for web sockets, which a server takes apart into texts and puts together again. Who only passes them
on needs none of that: it sends ``{"type": "http.response.start", "status": 101, "headers": …}`` and takes the
connection over. Source: RFC 9110, section 7.8 (Upgrade); RFC 6455, section 4 (the opening of a web socket).
"""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import Request

from enfold.web.held import Held

__all__ = ["Tunnel", "wants_socket"]

_MOST = 1 << 18  # bytes that wait for who reads them; then the sender waits


def wants_socket(request: Request) -> bool:
    """Say whether a request asks to go on as a web socket."""
    asked = request.headers.get("connection", "").lower().split(",")
    named = request.headers.get("upgrade", "").strip().lower()
    return request.method == "GET" and named == "websocket" and "upgrade" in map(str.strip, asked)


class Tunnel(Held):
    """A connection whose bytes are read and written as they are, each way no faster than the other side takes them.

    Example:
        >>> async def app(scope, receive, send):
        ...     await send({"type": "http.response.start", "status": 101, "headers": []})
        ...     if await Held.take(receive, tunnel := Tunnel()):
        ...         while data := await tunnel.read():
        ...             await tunnel.write(data)
        ...         tunnel.end()
    """

    __slots__ = ("_ended", "_more", "_room", "_waiting")

    def __init__(self) -> None:
        super().__init__()
        self._waiting = bytearray()
        self._more, self._room = asyncio.Event(), asyncio.Event()
        self._room.set()
        self._ended = False

    @staticmethod
    def possible(receive: Any) -> bool:
        """Say whether the connection behind an application's ``receive`` can be taken over."""
        return hasattr(getattr(receive, "__self__", None), "hold")

    async def read(self) -> bytes:
        """Return what came, once something did; nothing when the other side has ended."""
        while not self._waiting and not self._ended:
            self._more.clear()
            await self._more.wait()
        data = bytes(self._waiting)
        self._waiting.clear()
        if len(data) >= _MOST and not self.transport.is_closing():
            self.transport.resume_reading()
        return data

    async def write(self, data: bytes) -> None:
        """Send bytes, once there is room for them; they are dropped when the connection is gone."""
        await self._room.wait()
        if not self.transport.is_closing():
            self.transport.write(data)

    def lost(self) -> None:
        """Let go whoever waits."""
        self._ended = True
        self._more.set()
        self._room.set()

    # What the event loop calls.

    def data_received(self, data: bytes) -> None:
        self._waiting += data
        if len(self._waiting) >= _MOST:
            self.transport.pause_reading()
        self._more.set()

    def eof_received(self) -> bool:
        self._ended = True
        self._more.set()
        return True  # what is on its way to it still arrives

    def pause_writing(self) -> None:
        self._room.clear()

    def resume_writing(self) -> None:
        self._room.set()
