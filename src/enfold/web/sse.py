"""Event streams: frames of ``text/event-stream`` and the mailbox a reader takes them from.

Format: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import asyncio
import time
from collections import deque

__all__ = ["HEADERS", "Mailbox", "frame"]

HEADERS = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}
"""Headers that keep proxies from caching, compressing or holding back a stream."""


def frame(data: bytes, event: str | None = None) -> bytes:
    """Return one frame carrying ``data`` (JSON without line breaks), named ``event`` when given.

    Example:
        >>> frame(b"{}", "ping")
        b'event: ping\\ndata: {}\\n\\n'
    """
    return (b"event: " + event.encode() + b"\n" if event else b"") + b"data: " + data + b"\n\n"


class Mailbox:
    """The messages of one reader, numbered, kept until they are read and a little longer so that a cut stream resumes.

    It belongs to one event loop: other threads go through ``loop.call_soon_threadsafe``.

    Args:
        keep: how many messages already read are kept for a reader that comes back.
        limit: how many messages are held at most; beyond it the oldest are dropped.
        start: the number before the first; by the clock when None.
    """

    __slots__ = ("_frames", "_keep", "_limit", "_wake", "last", "seen")

    def __init__(self, keep: int = 64, limit: int = 20_000, start: int | None = None) -> None:
        self._frames: deque[tuple[int, bytes]] = deque()
        self._keep, self._limit = keep, limit
        self._wake = asyncio.Event()
        # Microseconds of the clock: a reader that comes back to a restarted server finds every number new.
        self.last = self.seen = start if start is not None else time.time_ns() // 1000

    def post(self, payload: bytes) -> None:
        """Add a JSON object; its number goes into the object as ``seq``, for clients refuse ``id:`` lines."""
        self.last += 1
        body = b'{"seq":%d%s' % (self.last, payload[1:] if payload == b"{}" else b"," + payload[1:])
        self._frames.append((self.last, frame(body)))
        while len(self._frames) > self._limit or (len(self._frames) > self._keep and self._frames[0][0] <= self.seen):
            self._frames.popleft()
        self._wake.set()

    def take(self, after: int) -> list[bytes]:
        """Return the frames whose number is greater than ``after`` and mark them as read."""
        self._wake.clear()
        if after >= self.last:
            return []
        self.seen = max(self.seen, self.last)
        return [body for number, body in self._frames if number > after]

    async def wait(self, timeout: float) -> bool:
        """Wait for a message, ``timeout`` seconds at most; whether one came."""
        try:
            await asyncio.wait_for(self._wake.wait(), timeout)
        except asyncio.TimeoutError:
            return False
        return True

    def wake(self) -> None:
        """Let the reader look around without a message, as when its session ends."""
        self._wake.set()
