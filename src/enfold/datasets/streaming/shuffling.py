"""Shuffling: an order of the rows that the seed and the epoch decide, and nothing else.

The blocks of the stream (shards, and parts of large ones) are put in a random order and taken in units of
``max_buffer_input_shards``. The blocks of a unit are read in turn, ``buffer_size`` rows at a time go into a window, and
the rows of the window are put in a random order. The generator of a window is seeded with (seed, epoch, unit, window):
every window can be made again from its place, without the rows before it, and it is the same for any number of readers.
Readers take units each; the rows of the last units, which do not suffice for all, are dealt one by one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .functions import RowMap
from .mixing import Weave
from .pieces import Piece, length, pick
from .sharing import dealt
from .steps import Place, Step, Tables, regroup

__all__ = ["Shuffle", "shuffled"]


def shuffled(inner: Step, seed: int, size: int, together: int) -> Step:
    """Return a stream in random order; what changes rows one by one is done behind the shuffling, not before it."""
    if isinstance(inner, (Tables, RowMap)) and inner.rowwise and inner.view.kind is None:
        return inner.over(shuffled(inner.inner, seed, size, together))
    return Shuffle(inner, seed, size, together)


class Shuffle(Step):
    """The rows in random order.

    Args:
        inner: the step below.
        seed: with the epoch, decides the order.
        size: rows of a window.
        together: blocks that are read at the same time.
        epoch: the epoch.
        reader: (index, count) of the reader that these rows are for.
    """

    def __init__(
        self, inner: Step, seed: int, size: int, together: int, epoch: int = 0, reader: tuple[int, int] = (0, 1)
    ) -> None:
        if size < 1:
            raise ValueError(f"buffer_size must be positive, not {size}")
        self.inner: Step = inner
        self.seed, self.size, self.together = seed, size, max(together, 1)
        self.epoch, self.reader = epoch, reader

    def over(self, inner: Step) -> Shuffle:
        return Shuffle(inner, self.seed, self.size, self.together, self.epoch, self.reader)

    def at_epoch(self, epoch: int) -> Step:
        return Shuffle(self.inner.at_epoch(epoch), self.seed, self.size, self.together, epoch, self.reader)

    def restrict(self, shards: list[Any]) -> Step | None:
        return None

    def stirred(self, key: tuple[int, ...]) -> Step:
        return self

    def share(self, index: int, count: int) -> Step:
        mine, others = self.reader
        reader = (mine + others * index, others * count)
        return Shuffle(self.inner, self.seed, self.size, self.together, self.epoch, reader)

    def _units(self) -> list[Step]:
        key = (self.seed, self.epoch)
        blocks = self.inner.blocks()
        order = np.random.default_rng(key).permutation(len(blocks)).tolist()
        units: list[Step] = []
        for start in range(0, len(order), self.together):
            parts = [self.inner.restrict([blocks[i]]) for i in order[start : start + self.together]]
            if any(part is None for part in parts):
                return [self.inner.stirred(key)]
            steps = [part for part in parts if part is not None]
            units.append(Weave(steps, max(self.size // len(steps), 1)))
        return units

    def pieces(self, place: Place = None) -> Iterator[tuple[Place, Piece]]:
        index, count = self.reader
        units = self._units()
        whole = len(units) - len(units) % count
        numbers = [*range(index, whole, count), *range(whole, len(units))]
        begin, window, start, offset, seen = place or (0, 0, None, 0, 0)
        for turn in range(begin, len(numbers)):
            number = numbers[turn]
            for at, first, rows in regroup(units[number], start, offset, self.size):
                order = np.random.default_rng((self.seed, self.epoch, number, window)).permutation(length(rows))
                where = [turn, window, at, first, seen]
                if number >= whole:
                    order = order[dealt(seen, len(order), index, count)]
                    seen = (seen + length(rows)) % count
                if len(order):
                    yield where, pick(rows, order)
                window += 1
            window, start, offset = 0, None, 0
