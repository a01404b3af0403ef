"""Several streams as one: one behind the other, side by side, or in turn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from .pieces import Piece, View, cut, join, length, pick
from .steps import Place, Step, regroup

__all__ = ["STRATEGIES", "Beside", "Chain", "Interleave", "Weave"]

STRATEGIES = ("first_exhausted", "all_exhausted", "all_exhausted_without_replacement")
# Rows of an interleaved piece at most; the first ones have fewer, so that the first row is there soon.
_MIXED = 256


class _Several(Step):
    """A step over several others."""

    def __init__(self, parts: Sequence[Step]) -> None:
        self.parts = list(parts)

    def with_parts(self, parts: Sequence[Step]) -> Step:
        """Return this step over others."""
        raise NotImplementedError

    @property
    def num_shards(self) -> int:
        return sum(part.num_shards for part in self.parts)

    def at_epoch(self, epoch: int) -> Step:
        return self.with_parts([part.at_epoch(epoch) for part in self.parts])

    def stirred(self, key: tuple[int, ...]) -> Step:
        return self.with_parts([part.stirred((*key, number)) for number, part in enumerate(self.parts)])


class Chain(_Several):
    """The rows of several streams, one behind the other."""

    def with_parts(self, parts: Sequence[Step]) -> Step:
        return Chain(parts)

    def blocks(self) -> list[Any]:
        return [(number, block) for number, part in enumerate(self.parts) for block in part.blocks()]

    def restrict(self, shards: list[Any]) -> Step | None:
        chosen: list[Step] = []
        for number, block in shards:
            made = self.parts[number].restrict([block])
            if made is None:
                return None
            chosen.append(made)
        return chosen[0] if len(chosen) == 1 else Chain(chosen)

    def share(self, index: int, count: int) -> Step:
        return Chain([part.share(index, count) for part in self.parts]) if count > 1 else self

    def pieces(self, place: Place = None) -> Iterator[tuple[Place, Piece]]:
        begin, at = place or (0, None)
        for number in range(begin, len(self.parts)):
            for found, piece in self.parts[number].pieces(at):
                yield [number, found], piece
            at = None


class Weave(_Several):
    """The rows of several streams, some rows of each in turn until all are at their end."""

    def __init__(self, parts: Sequence[Step], rows: int) -> None:
        super().__init__(parts)
        self.rows = rows

    def with_parts(self, parts: Sequence[Step]) -> Step:
        return Weave(parts, self.rows)

    def pieces(self, place: Place = None) -> Iterator[tuple[Place, Piece]]:
        # of each part that has rows left: the place of a piece and the rows behind its beginning
        begun, turn = place or ([[None, 0] for _ in self.parts], 0)
        cursors: list[list[Any] | None] = list(begun)
        running = [
            None if cursor is None else regroup(part, cursor[0], cursor[1], self.rows)
            for part, cursor in zip(self.parts, cursors, strict=True)
        ]
        while any(item is not None for item in running):
            found = next(running[turn], None) if running[turn] is not None else None  # type: ignore[arg-type]
            if found is None:
                running[turn] = cursors[turn] = None
            else:
                at, offset, piece = found
                yield [list(cursors), turn], piece
                cursors[turn] = [at, offset + length(piece)]
            turn = (turn + 1) % len(self.parts)


class Beside(_Several):
    """The columns of several streams side by side; it ends with the shortest."""

    def with_parts(self, parts: Sequence[Step]) -> Step:
        return Beside(parts)

    @property
    def num_shards(self) -> int:
        return 1

    def stirred(self, key: tuple[int, ...]) -> Step:
        return self

    def pieces(self, place: Place = None) -> Iterator[tuple[Place, Piece]]:
        cursors = [
            _Cursor(part, *at) for part, at in zip(self.parts, place or [(None, 0)] * len(self.parts), strict=True)
        ]
        while all(cursor.ready() for cursor in cursors):
            rows = min(cursor.left for cursor in cursors)
            at = [cursor.position for cursor in cursors]
            yield at, _side_by_side([cursor.take(rows) for cursor in cursors])


def _side_by_side(pieces: list[Piece]) -> Piece:
    if all(isinstance(piece, pa.Table) for piece in pieces):
        columns = {name: piece.column(name) for piece in pieces for name in piece.column_names}  # type: ignore[union-attr]
        return pa.table(list(columns.values()), names=list(columns))
    rows = [list(View().rows(piece)) for piece in pieces]
    return [{name: value for row in parts for name, value in row.items()} for parts in zip(*rows, strict=True)]


class _Cursor:
    """Where a reader is in a stream, row by row."""

    def __init__(self, step: Step, place: Place = None, offset: int = 0) -> None:
        self.position: list[Any] = [place, offset]
        self._found = step.resumed(place, offset)
        self._piece: Piece = []
        self._place, self._first, self._row = place, offset, 0

    @property
    def left(self) -> int:
        """Rows of the present piece that were not taken."""
        return length(self._piece) - self._row

    def ready(self) -> bool:
        """Return whether there is a next row."""
        while not self.left:
            found = next(self._found, None)
            if found is None:
                return False
            self._place, self._first, self._piece = found
            self._row = 0
        self.position = [self._place, self._first + self._row]
        return True

    def take(self, rows: int) -> Piece:
        """Return the next rows, which the present piece has."""
        self._row += rows
        self.position = [self._place, self._first + self._row]
        return cut(self._piece, self._row - rows, self._row)


class Interleave(_Several):
    """One row of one of several streams at a time.

    Args:
        parts: the streams.
        probabilities: how likely each gives the next row; by turns where None.
        seed: of the draws.
        strategy: when to end, one of ``STRATEGIES``.
    """

    def __init__(self, parts: Sequence[Step], probabilities: Sequence[float] | None, seed: int, strategy: str) -> None:
        super().__init__(parts)
        self.probabilities = list(probabilities) if probabilities is not None else None
        self.seed, self.strategy = seed, strategy

    @property
    def num_shards(self) -> int:
        return min(part.num_shards for part in self.parts)

    def with_parts(self, parts: Sequence[Step]) -> Step:
        return Interleave(parts, self.probabilities, self.seed, self.strategy)

    def share(self, index: int, count: int) -> Step:
        if count == 1 or self.strategy != "all_exhausted_without_replacement":
            # when to end depends on rows that other readers have
            return super().share(index, count)
        # every row is given once, so that a reader can take turns among its own rows
        seed = int(np.random.default_rng((self.seed, index)).integers(0, 1 << 62))
        return Interleave([part.share(index, count) for part in self.parts], self.probabilities, seed, self.strategy)

    def pieces(self, place: Place = None) -> Iterator[tuple[Place, Piece]]:
        count = len(self.parts)
        starts, done, drawn = place or ([[None, 0]] * count, [False] * count, None)
        cursors = [_Cursor(part, *start) for part, start in zip(self.parts, starts, strict=True)]
        done = list(done)
        turns = _Turns(count, self.probabilities, self.seed, drawn)
        keeps = self.strategy != "all_exhausted_without_replacement"
        over = any if self.strategy == "first_exhausted" else all
        ahead = 1
        while not over(done):
            at = [[list(cursor.position) for cursor in cursors], list(done), turns.state]
            taken: list[tuple[int, Piece]] = []
            failure: Exception | None = None
            try:
                while len(taken) < ahead and not over(done):
                    number = turns.next()
                    if done[number] and not keeps:
                        continue
                    cursor = cursors[number]
                    if cursor.ready():
                        taken.append((number, cursor.take(1)))
                    if not cursor.ready():
                        done[number] = True
                        if keeps:
                            cursors[number] = _Cursor(self.parts[number])
            except Exception as error:
                failure = error
            if taken:
                yield at, _gathered(taken)
            if failure is not None:
                raise failure
            if not taken and all(done):
                return
            ahead = min(2 * ahead, _MIXED)


def _gathered(taken: list[tuple[int, Piece]]) -> Piece:
    """Return single rows as one piece; rows of one stream are put together first, which is one call for many."""
    if not all(isinstance(piece, pa.Table) for _, piece in taken):
        return [row for _, piece in taken for row in View().rows(piece)]
    order = np.argsort([number for number, _ in taken], kind="stable")
    back = np.empty(len(order), np.int64)
    back[order] = np.arange(len(order))
    return pick(join([taken[i][1] for i in order.tolist()]), back)


class _Turns:
    """Which stream is next."""

    def __init__(self, count: int, probabilities: list[float] | None, seed: int, state: Any) -> None:
        self.count, self.probabilities = count, probabilities
        self.number = 0
        if probabilities is None:
            self.number = state or 0
            return
        self.generator = np.random.default_rng(seed)
        if state is not None:
            self.generator.bit_generator.state, self.number = state
        self._draw()

    def _draw(self) -> None:
        self._before = self.generator.bit_generator.state
        self._drawn = self.generator.choice(self.count, size=1000, p=self.probabilities).tolist()

    @property
    def state(self) -> Any:
        """What these turns can be continued from."""
        return self.number if self.probabilities is None else [self._before, self.number]

    def next(self) -> int:
        """Return the number of the next stream."""
        if self.probabilities is None:
            found = self.number
            self.number = (self.number + 1) % self.count
            return found
        if self.number == len(self._drawn):
            self._draw()
            self.number = 0
        self.number += 1
        return self._drawn[self.number - 1]
