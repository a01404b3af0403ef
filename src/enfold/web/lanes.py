"""Queue lanes: first come, first served, so many at a time, and nothing that polls."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

__all__ = ["Lane"]

T = TypeVar("T")


class Lane(Generic[T]):
    """Hold work until one of a limited number of places is free, then hand it to ``start``.

    Everything happens in the caller's thread: ``push`` starts the work at once when a place is free, ``done`` starts
    the next. Both are O(1), and so is ``remove``.

    Args:
        start: receives the items that may run now: one, or a batch. Each call takes one place until :meth:`done`.
        limit: places, or None for as many as come.
        batch: how many waiting items may join an item, and which: ``batch(first, other)``; None for one at a time.

    Example:
        >>> lane = Lane(lambda items: print("start", items), limit=1)
        >>> lane.push("a", 1); lane.push("b", 2)
        start [1]
        >>> lane.done()
        start [2]
    """

    def __init__(
        self,
        start: Callable[[list[T]], None],
        limit: int | None = 1,
        *,
        size: Callable[[T], int] | None = None,
        joins: Callable[[T, T], bool] | None = None,
    ) -> None:
        self._start = start
        self.limit = limit
        self._size, self._joins = size, joins
        self.waiting: OrderedDict[str, T] = OrderedDict()
        self.running = 0

    def push(self, key: str, item: T) -> None:
        """Queue an item under a key of its own; it may be started before the call returns."""
        self.waiting[key] = item
        self._pump()

    def remove(self, key: str) -> T | None:
        """Take an item that still waits out of the lane; None when it does not wait here."""
        return self.waiting.pop(key, None)

    def done(self) -> None:
        """Free the place of a piece of work that ended, and start what can now run."""
        self.running -= 1
        self._pump()

    def __len__(self) -> int:
        return len(self.waiting)

    def __iter__(self) -> Iterator[T]:
        return iter(list(self.waiting.values()))

    def _pump(self) -> None:
        while self.waiting and (self.limit is None or self.running < self.limit):
            _, first = self.waiting.popitem(last=False)
            items = [first]
            room = self._size(first) - 1 if self._size else 0
            if room > 0 and self._joins:
                for key, other in list(self.waiting.items()):
                    if room == 0:
                        break
                    if self._joins(first, other):
                        items.append(self.waiting.pop(key))
                        room -= 1
            self.running += 1
            self._start(items)
