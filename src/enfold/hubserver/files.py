"""Sending a file: whole, in part, or only its headers."""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from enfold.hubserver.errors import HubServerError

__all__ = ["FileContent", "Reader", "byte_range", "open_content"]

_CHUNK = 1 << 20
# As in enfold.web.zerocopy, which only who serves imports.
EXTENSION = "http.response.zerocopysend"
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


def byte_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Return the half-open range that a Range header asks for, or None when the whole content is to be sent.

    A header with several ranges, or one that cannot be read, is ignored, as RFC 9110 (section 14.2) allows.

    Raises:
        HubServerError: 416, the range begins behind the end.

    Example:
        >>> byte_range("bytes=2-5", 100), byte_range("bytes=-10", 100), byte_range("bytes=90-", 100)
        ((2, 6), (90, 100), (90, 100))
    """
    found = _RANGE.fullmatch((header or "").replace(" ", ""))
    if found is None or found.group(0) == "bytes=-":
        return None
    first, last = found.groups()
    if first:
        start, stop = int(first), min(int(last) + 1 if last else size, size)
        if last and int(last) < start:
            return None
    else:
        start, stop = max(size - int(last), 0), size
        if int(last) == 0:
            start = size
    if start >= size:
        raise HubServerError(
            416,
            f"the range begins behind the end of the file ({size} bytes)",
            headers={"Content-Range": f"bytes */{size}"},
        )
    return start, stop


class Reader(AbstractContextManager[Any], Protocol):
    """What a content is read from, once it is open."""

    def seek(self, position: int, /) -> Any:
        """Go to a place, counted in bytes from the beginning."""

    def read(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes from here on; nothing at the end."""


class FileContent(Response):
    """A response that sends a file (bytes, or what ``source()`` opens), or the half-open ``span`` of it, a megabyte
    at a time."""

    def __init__(
        self,
        source: Path | bytes | Callable[[], Reader],
        size: int,
        *,
        span: tuple[int, int] | None,
        headers: Mapping[str, str],
        media_type: str,
    ) -> None:
        start, stop = span or (0, size)
        all_headers = {**headers, "Content-Length": str(stop - start)}
        if span is not None:
            all_headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
        super().__init__(None, 206 if span is not None else 200, all_headers, media_type)
        self._source, self._start, self._stop = source, start, stop

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the file."""
        head = scope["method"] == "HEAD"
        if isinstance(self._source, bytes) and not head:  # a small one, which is here
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": self._source[self._start : self._stop]})
            return
        file = None if head else await run_in_threadpool(open_content, self._source)
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        if file is None:
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        with file:
            count = self._stop - self._start
            if count and isinstance(self._source, Path) and EXTENSION in scope.get("extensions", {}):
                # From the disk to the socket inside the kernel.
                await send({"type": EXTENSION, "file": file, "offset": self._start, "count": count})
            else:
                await self._read(file, send)

    async def _read(self, file: Any, send: Send) -> None:
        """Send the content piece by piece; while one is sent the next is read."""
        file.seek(self._start)
        left = self._stop - self._start
        if not left:
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        reading = asyncio.ensure_future(run_in_threadpool(file.read, min(_CHUNK, left)))
        try:
            while left > 0:
                piece = await reading
                if not piece:
                    raise OSError(f"{self._source!r:.100} is shorter than the database says")
                left -= len(piece)
                if left > 0:
                    reading = asyncio.ensure_future(run_in_threadpool(file.read, min(_CHUNK, left)))
                await send({"type": "http.response.body", "body": piece, "more_body": left > 0})
        finally:
            if not reading.done():  # the client went away: the file is closed once nobody reads it
                await asyncio.wait([reading])


def open_content(source: Path | bytes | Callable[[], Reader]) -> Reader:
    """Open a content: bytes, a file, or what a function opens."""
    if isinstance(source, bytes):
        return io.BytesIO(source)
    return source.open("rb") if isinstance(source, Path) else source()
