"""Several readers of one stream, in processes and on machines: every row is read by one of them.

Shards go to readers whole as long as there is one for each; the rows of the shards that are left are dealt one by one,
so that no reader is idle beside a few large files, and none is left out.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .pieces import Piece, length, pick
from .steps import Place, Step

__all__ = ["Deal"]


class Deal(Step):
    """Every ``count``-th row, for steps whose rows cannot be told without those before them.

    Args:
        inner: the step below, which every reader reads.
        index: which of the readers this is, from 0.
        count: the number of readers.
    """

    def __init__(self, inner: Step, index: int, count: int) -> None:
        self.inner: Step = inner
        self.index, self.count = index, count

    @property
    def num_shards(self) -> int:
        return 1

    def over(self, inner: Step) -> Deal:
        return Deal(inner, self.index, self.count)

    def pieces(self, place: Place = None) -> Iterator[tuple[Place, Piece]]:
        begin, number = place or (None, 0)
        for at, piece in self.inner.pieces(begin):
            rows = length(piece)
            mine = dealt(number, rows, self.index, self.count)
            if len(mine):
                yield [at, number], pick(piece, mine)
            number = (number + rows) % self.count


def dealt(number: int, rows: int, index: int, count: int) -> np.ndarray:
    """Return which of ``rows`` rows, of which the first has the number ``number``, are a reader's."""
    return np.arange((index - number) % count, rows, count)
