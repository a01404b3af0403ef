"""The body of a request from the socket into a few buffers that are used again, while others are worked on.

A parser of HTTP copies what it hands out, and so do the layers between it and an application: for large bodies that
costs more than to hash or to write them. Our HTTP (:mod:`enfold.web.zerocopy`) lets an application take the body of a
known length itself: the kernel copies it into buffers, and the parser goes on behind its end.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

__all__ = ["LEAST", "Intake", "pour"]

LEAST = 1 << 20  #: bytes that have to be missing for this to be worth it
_SIZE, _COUNT = 2 << 20, 4  # of the buffers of a body: smaller ones change hands too often, larger ones leave the cache
_KEPT = 8  # buffers that wait for another body

_idle: list[memoryview] = []


async def pour(receive: Any, take: Callable[[memoryview], object]) -> bool:
    """Pass the body of a request on, a buffer at a time, to a worker thread; the next one is filled meanwhile.

    Args:
        receive: the application's ``receive``, of which nothing was asked yet.
        take: gets the bytes, which are others once it has returned.

    Returns:
        False, with nothing done, where the server is another one, or the body is small or of unknown length.

    Raises:
        ClientDisconnect: the client went away before the end.
    """
    begin = getattr(getattr(receive, "__self__", None), "intake", None)
    intake: Intake | None = begin() if begin is not None else None
    if intake is None:
        return False
    try:
        while (data := await intake.next()) is not None:
            try:
                await run_in_threadpool(take, data)
            finally:
                intake.give_back(data)
    finally:
        intake.leave()
    return True


class Intake(asyncio.BufferedProtocol):
    """What a connection leads to while a body comes.

    Args:
        protocol: where it led before, which hears when the connection is lost.
        flow: pauses and resumes reading.
        have: the beginning of the body, which was read already.
        left: bytes that are missing, at least one.
        done: called when the last of them was read, unless the connection was lost.
    """

    def __init__(self, protocol: Any, flow: Any, have: bytes, left: int, done: Callable[[], None]) -> None:
        self._protocol, self._flow, self._left, self._done = protocol, flow, left, done
        self._full: deque[memoryview] = deque([memoryview(have)] if have else [])
        self._free = [_idle.pop() if _idle else memoryview(bytearray(_SIZE)) for _ in range(_COUNT)]
        self._current: memoryview | None = None
        self._at = 0
        self._more = asyncio.Event()
        self._lost = self._discards = False

    async def next(self) -> memoryview | None:
        """Return the next bytes, or None behind the last."""
        while not self._full:
            if self._lost:
                raise ClientDisconnect
            if not self._left:
                return None
            self._more.clear()
            await self._more.wait()
        return self._full.popleft()

    def give_back(self, data: memoryview) -> None:
        """Let a buffer that :meth:`next` returned be filled again."""
        if len(data.obj) != _SIZE:  # type: ignore[arg-type]
            return
        self._free.append(memoryview(data.obj))
        if self._left and not self._lost:
            self._flow.resume_reading()

    def leave(self) -> None:
        """Take nothing more: the rest of the body is read and forgotten, so that the client hears the answer."""
        if self._current is not None and not self._discards:
            self._free.append(self._current)
            self._current = None
        while self._full:
            self.give_back(self._full.popleft())
        self._discards = True
        if self._left and not self._lost:
            self._current, self._at = self._free.pop(), 0
            self._flow.resume_reading()
        while self._free and len(_idle) < _KEPT:
            _idle.append(self._free.pop())

    # What the event loop calls.

    def get_buffer(self, sizehint: int) -> memoryview:
        if self._current is None:
            self._current, self._at = self._free.pop(), 0
        return self._current[self._at : self._at + self._left]

    def buffer_updated(self, nbytes: int) -> None:
        self._left -= nbytes
        if not self._discards:
            self._fill(nbytes)
        if not self._left:
            self._flow.pause_reading()
            self._done()

    def _fill(self, count: int) -> None:
        assert self._current is not None
        self._at += count
        if self._left and self._at < len(self._current):
            return
        self._full.append(self._current[: self._at])
        self._current = None
        self._more.set()
        if not self._free:
            self._flow.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self._more.set()
        self._protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        self._protocol.resume_writing()
