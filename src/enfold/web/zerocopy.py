"""Files from the disk to a socket without passing through Python: ASGI's extension ``http.response.zerocopysend``.

An application that finds the extension in its scope sends, in place of a body, ``{"type":
"http.response.zerocopysend", "file": file, "offset": 0, "count": bytes, "more_body": False}``; the response has to have
a Content-Length. Source: ASGI specification, "Zero Copy Send".
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

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


class ZeroCopyProtocol(HttpToolsProtocol):
    """uvicorn's HTTP with the extension."""

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
