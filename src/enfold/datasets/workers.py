"""Running a task's ranges of rows, by one worker or several, with the results in order."""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from .task import Task

__all__ = ["ordered"]


def ordered(task: Task, work: Callable[[int, int, int], Any], workers: int) -> Iterator[tuple[int, int, Any]]:
    """Yield (start, stop, result) in order; several threads work ahead of the reader when asked to."""
    ranges = task.ranges()
    if workers <= 1:
        for start, stop in ranges:
            yield start, stop, work(start, stop, 0)
        return
    ranks = itertools.count()
    local = threading.local()

    def ranked(start: int, stop: int) -> Any:
        return work(start, stop, local.rank)

    def begin() -> None:
        local.rank = next(ranks)

    with ThreadPoolExecutor(workers, initializer=begin) as pool:
        waiting: deque[tuple[int, int, Any]] = deque()
        # the first batch alone decides the types that the others are written with
        for start, stop in itertools.islice(ranges, 1):
            yield start, stop, pool.submit(ranked, start, stop).result()
        try:
            for start, stop in ranges:
                waiting.append((start, stop, pool.submit(ranked, start, stop)))
                if len(waiting) > 2 * workers:
                    first, last, future = waiting.popleft()
                    yield first, last, future.result()
            while waiting:
                first, last, future = waiting.popleft()
                yield first, last, future.result()
        finally:
            for _, _, future in waiting:
                future.cancel()
