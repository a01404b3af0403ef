"""Files from the disk to a socket without passing through Python: ASGI's extension ``http.response.zerocopysend``.

An application that finds the extension in its scope sends, in place of a body, ``{"type":
"http.response.zerocopysend", "file": file, "offset": 0, "count": bytes, "more_body": False}``; the response has to have
a Content-Length. Source: ASGI specification, "Zero Copy Send".
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from enfold.web.held import Held

__all__ = ["EXTENSION", "ZeroCopyProtocol"]

EXTENSION = "http.response.zerocopysend"


class _Cycle(RequestResponseCycle):
    """One request and its response."""

    async def send(self, message: Any) -> None:
        """Send a message of the application."""
        if message["type"] != EXTENSION:
            await super().send(message)
            return
        if self.disconnected or self.transport.is_closing():
            return
        count = message["count"]
        try:
            await asyncio.get_running_loop().sendfile(self.transport, message["file"], message["offset"], count)
        except (ConnectionError, RuntimeError):  # the client went away, before or meanwhile
            self.transport.close()
            return
        self.expected_content_length -= count
        await super().send({"type": "http.response.body", "body": b"", "more_body": message.get("more_body", False)})

    async def hold(self, held: Held) -> bool:
        """Give the connection away, whose answer has begun; nothing of this request is kept."""
        if not self.response_started or self.response_complete:
            raise RuntimeError("a connection is taken over between the head of an answer and its end")
        if self.disconnected or self.transport.is_closing():
            return False
        protocol: Any = self.transport.get_protocol()
        protocol.connections.discard(protocol)
        protocol.parser = None  # they hold each other
        held.held(self.transport, protocol.connections, bool(self.chunked_encoding))
        self.flow.resume_reading()
        self.transport.set_protocol(held)
        self.disconnected = True  # as far as this request is concerned
        return True


class ZeroCopyProtocol(HttpToolsProtocol):
    """uvicorn's HTTP with the extension, and with connections that can be taken over (:mod:`enfold.web.held`)."""

    _cycle: Any = None

    @property
    def cycle(self) -> Any:
        """The request that is being answered."""
        return self._cycle

    @cycle.setter
    def cycle(self, value: Any) -> None:
        if value is not None:
            value.__class__ = _Cycle
            value.scope.setdefault("extensions", {})[EXTENSION] = {}
        self._cycle = value
