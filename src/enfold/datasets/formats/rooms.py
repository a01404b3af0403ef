"""Memory for converted batches, used again once nobody holds the batch that was in it."""

from __future__ import annotations

import sys
from collections import OrderedDict, deque
from typing import Any

import numpy as np

__all__ = ["Rooms"]

# Below the first number of bytes the allocator has warm memory itself; above the second, keeping it costs too much.
_SMALL, _LARGE = 1 << 16, 1 << 24
# Arrays of one shape that are kept (a loop holds a batch while the next is made), and shapes.
_EACH, _SHAPES = 3, 8
# References to an array that nobody else holds: the variable that asks, and the argument of the question.
_UNUSED = 2


class Rooms:
    """Converts arrays into memory of earlier ones that are not in use any more.

    The first touch of fresh memory costs as much as the conversion itself. Whether an array is in use is told from its
    references: every view of it, and every tensor that shares its memory, holds one.

    Example:
        >>> rooms, values = Rooms(), np.ones((300, 100), np.int32)
        >>> first = rooms.convert(values, np.dtype("int64"))
        >>> first is rooms.convert(values, np.dtype("int64")), first.sum().item()
        (False, 30000)
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[Any, Any], deque[np.ndarray]] = OrderedDict()

    def convert(self, values: np.ndarray, dtype: np.dtype) -> np.ndarray:
        """Return the values as another dtype, in an array that nobody else has."""
        size = values.size * dtype.itemsize
        if not _SMALL <= size <= _LARGE:
            return values.astype(dtype)
        room = self._free(values.shape, dtype)
        np.copyto(room, values, casting="unsafe")
        return room

    def _free(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        kept = self._kept.get((shape, dtype))
        if kept is None:
            while len(self._kept) >= _SHAPES:
                self._kept.popitem(last=False)
            kept = self._kept[shape, dtype] = deque(maxlen=_EACH)
        for _ in range(len(kept)):
            try:
                room = kept.popleft()  # no other thread has it now
            except IndexError:
                break
            free = sys.getrefcount(room) == _UNUSED
            kept.append(room)
            if free:
                return room
        room = np.empty(shape, dtype)
        kept.append(room)
        return room
