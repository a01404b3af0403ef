"""Files from the disk to a socket without passing through Python: ASGI's extension ``http.response.zerocopysend``.

An application that finds the extension in its scope sends, in place of a body, ``{"type":
"http.response.zerocopysend", "file": file, "offset": 0, "count": bytes, "more_body": False}``; the response has to have
a Content-Length. Source: ASGI specification, "Zero Copy Send".
"""

from __future__ import annotations

import asyncio
from typing import Any

from httptools import HttpRequestParser
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from enfold.web.held import Held
from enfold.web.intake import LEAST, Intake

__all__ = ["EXTENSION", "ZeroCopyProtocol"]

EXTENSION = "http.response.zerocopysend"


class _Cycle(RequestResponseCycle):
    """One request and its response."""

    _asked = False  # whether the application was given any of the body

    async def receive(self) -> Any:
        """Return the next message to the application."""
        self._asked = True
        return await super().receive()

    def intake(self) -> Intake | None:
        """Begin to read the body around the parser; None where it is small, of unknown length, or begun."""
        protocol: Any = self.transport.get_protocol()
        headers = dict(self.scope["headers"])
        length = headers.get(b"content-length", b"")
        if self._asked or self.disconnected or protocol.cycle is not self or b"transfer-encoding" in headers:
            return None
        left = int(length) - len(self.body) if length.isdigit() else 0
        if not self.more_body or left < LEAST:
            return None
        if self.waiting_for_100_continue:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.waiting_for_100_continue = False

        def done() -> None:
            protocol.read_anew()
            self.more_body = False
            self.message_event.set()
            self.transport.set_protocol(protocol)
            self.flow.resume_reading()

        taken = Intake(protocol, self.flow, bytes(self.body), left, done)
        self.body.clear()
        self._asked = True
        self.transport.set_protocol(taken)
        self.flow.resume_reading()
        return taken

    async def send(self, message: Any) -> None:
        """Send a message of the application."""
        if message["type"] == "http.response.start" and message["status"] == 101:
            self.chunked_encoding, self.keep_alive = False, True  # nothing of HTTP follows
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
            if self.parser.should_upgrade():
                value.keep_alive = False  # the parser reads nothing that follows
        self._cycle = value

    def read_anew(self) -> None:
        """Expect the beginning of a request: the body of the last one was read by somebody else."""
        self.parser = HttpRequestParser(self)
        if hasattr(self.parser, "set_dangerous_leniencies"):
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)

    def _unsupported_upgrade_warning(self) -> None:
        """Whether a connection goes on as something else is up to the application (:mod:`enfold.web.tunnel`)."""
