"""Large pages for what a runtime allocates.

A decoder reads all its weights for every token. On pages of 4 kB the processor looks up an address every few hundred
nanoseconds; on pages of 2 MB hardly ever. Linux gives large pages to who asks, and the runtimes do not ask.

Source: madvise(2), on ``MADV_HUGEPAGE`` and ``MADV_COLLAPSE`` (Linux 6.1).
"""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path
from threading import Thread
from typing import Any

__all__ = ["LargePages"]

WORTH = 64 << 20  # bytes of new memory below which weights fit the processor's caches, or nearly
SETTINGS = Path("/sys/kernel/mm/transparent_hugepage")
ASK, GATHER = 14, 25  # MADV_HUGEPAGE: of pages to come; MADV_COLLAPSE: of those that are there

Ranges = list[tuple[int, int]]  # begin and end of each


class LargePages:
    """A context: memory that is allocated inside, and stays, moves to large pages, where there is much of it.

    It moves in a thread of its own, which the first runs of a model need not wait for. Nothing but speed changes:
    contents, addresses and permissions stay, and where Linux has no large pages, nothing happens.

    Example:
        >>> with LargePages() as pages:
        ...     weights = bytearray(100)
        >>> pages.wait()
    """

    def __init__(self) -> None:
        self._size, self._before = _page_size(), Ranges()
        self._mover: Thread | None = None

    def __enter__(self) -> LargePages:
        if self._size:
            self._before = _memory()
        return self

    def __exit__(self, kind: Any, *_: Any) -> None:
        if self._size and kind is None:
            new = _without(_memory(), self._before)
            if sum(end - begin for begin, end in new) >= WORTH:
                self._mover = Thread(target=_gather, args=(new, self._size), name="large pages", daemon=True)
                self._mover.start()

    def wait(self) -> None:
        """Return when what was allocated has moved."""
        if self._mover is not None:
            self._mover.join()


def _page_size() -> int:
    """Return the bytes of a large page; 0 where there are none."""
    if sys.platform != "linux":
        return 0
    try:
        if "[never]" in (SETTINGS / "enabled").read_text():
            return 0
        return int((SETTINGS / "hpage_pmd_size").read_text())
    except (OSError, ValueError):
        return 0


def _memory() -> Ranges:
    """Return where this process has memory of its own that belongs to no file: begin and end, in order."""
    found = []
    with open("/proc/self/maps", encoding="utf-8") as lines:
        for line in lines:
            place, allowed, _, _, file, *_ = line.split()
            if allowed == "rw-p" and file == "0":
                begin, end = place.split("-")
                found.append((int(begin, 16), int(end, 16)))
    return found


def _without(ranges: Ranges, others: Ranges) -> Ranges:
    """Return what of the ranges is in none of the others; both are in order.

    Example:
        >>> _without([(0, 10), (20, 30)], [(2, 4), (8, 22)])
        [(0, 2), (4, 8), (22, 30)]
    """
    left, rest = [], iter(others)
    other = next(rest, None)
    for begin, end in ranges:
        while other is not None and other[1] <= begin:
            other = next(rest, None)
        while other is not None and other[0] < end:
            if other[0] > begin:
                left.append((begin, other[0]))
            begin = max(begin, other[1])
            if other[1] > end:
                break
            other = next(rest, None)
        if begin < end:
            left.append((begin, end))
    return left


def _gather(ranges: Ranges, size: int) -> None:
    """Ask for large pages of so many bytes. What Linux refuses, or what is free again by now, stays as it is."""
    advise = ctypes.CDLL(None).madvise
    advise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    for begin, end in ranges:
        first, last = -(-begin // size) * size, end // size * size
        if first < last and advise(first, last - first, ASK) == 0:
            for place in range(first, last, size):  # one by one: where nothing was written yet it fails, and goes on
                advise(place, size, GATHER)
