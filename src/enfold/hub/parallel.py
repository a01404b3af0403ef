"""Several transfers at once, that stop together: after an error or Ctrl-C none goes on in the background."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

__all__ = ["Stopped", "in_order", "run_all"]

T = TypeVar("T")


class Stopped(BaseException):
    """Raised inside a transfer that is to end because another one failed or the user pressed Ctrl-C."""


def run_all(work: Callable[[T, Callable[[], None]], None], items: Sequence[T], threads: int) -> None:
    """Call ``work(item, checkpoint)`` for every item, ``threads`` at a time.

    ``work`` calls ``checkpoint()`` now and then; it raises :class:`Stopped` when the work is to end. The first error of
    any item, or KeyboardInterrupt, is raised here after all transfers have ended.
    """
    for _ in in_order(work, items, threads):
        pass


def in_order(work: Callable[[T, Callable[[], None]], None], items: Sequence[T], threads: int) -> Iterator[T]:
    """Do the same, and yield each item, in order, once the work for it is done."""
    stopping = threading.Event()

    def checkpoint() -> None:
        if stopping.is_set():
            raise Stopped

    if not items:
        return
    pool = ThreadPoolExecutor(max(1, min(threads, len(items))), thread_name_prefix="enfold-hub")
    try:
        futures = [pool.submit(work, item, checkpoint) for item in items]
        for item, future in zip(items, futures, strict=True):
            future.result()
            yield item
    except BaseException:
        stopping.set()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
