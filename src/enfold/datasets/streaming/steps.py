"""The steps of a stream: each gives the rows of the one below it, changed, in pieces with their places.

``step.pieces(place)`` yields pairs of a place and a piece. A place is made of numbers, lists and None, and
``step.pieces(place)`` yields from that same piece on: to resume is to begin at a place and to leave out the rows of the
first piece that were given already. Nothing else of a step ever changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from ..column import unknown_column
from ..values import one_array
from .pieces import Piece, View, batch_names, cut, join, length, rows_to_columns, to_table

__all__ = ["Group", "Place", "Repeat", "Skip", "Step", "Tables", "Take", "regroup"]

Place = Any


class Step:
    """One step of a stream.

    Attributes:
        inner: the step below; None for a source.
        rowwise: every row of this step comes of one row of the inner one, or none does, whatever stands beside it.
    """

    inner: Step | None = None
    rowwise = False

    def pieces(self, place: Place = None) -> Iterator[tuple[Place, Piece]]:
        """Yield (place, piece) from a place on; from the beginning where None."""
        raise NotImplementedError

    @property
    def num_shards(self) -> int:
        """The number of parts that can be read without reading the others."""
        return self.inner.num_shards if self.inner is not None else 1

    def over(self, inner: Step) -> Step:
        """Return this step over another one."""
        raise NotImplementedError

    def restrict(self, shards: list[Any]) -> Step | None:
        """Return the stream of some shards alone, in their order; None where they depend on each other."""
        if not self.rowwise or self.inner is None:
            return None
        inner = self.inner.restrict(shards)
        return None if inner is None else self.over(inner)

    def blocks(self) -> list[Any]:
        """Return what ``restrict`` takes: the shards, large ones in parts where that costs nothing."""
        return self.inner.blocks() if self.inner is not None else [0]

    def share(self, index: int, count: int) -> Step:
        """Return the rows of one of ``count`` readers: every row is one reader's.

        Readers take shards each as long as there are enough for all; the rows of the last shards are dealt.
        """
        from .sharing import Deal

        if count == 1:
            return self
        if self.rowwise and self.inner is not None:
            return self.over(self.inner.share(index, count))
        return Deal(self, index, count)

    def divided(self, count: int) -> tuple[list[Step], list[Step]] | None:
        """Return the first ``count`` rows and those behind, as steps of whole shards and one of a cut shard each.

        None where the shards do not say how many rows they have.
        """
        return None

    def stirred(self, key: tuple[int, ...]) -> Step:
        """Return the stream with its shards in a random order that the key decides."""
        blocks = self.blocks()
        order = np.random.default_rng(key).permutation(len(blocks)).tolist()
        made = self.restrict([blocks[i] for i in order])
        return self if made is None else made

    def at_epoch(self, epoch: int) -> Step:
        """Return the stream as it is in an epoch."""
        return self if self.inner is None else self.over(self.inner.at_epoch(epoch))

    def resumed(self, place: Place, offset: int) -> Iterator[tuple[Place, int, Piece]]:
        """Yield (place, first row, rows) from ``offset`` rows behind the beginning of the piece at a place on."""
        for at, piece in self.pieces(place):
            rows = length(piece)
            if offset >= rows:
                offset -= rows
            elif offset:
                yield at, offset, cut(piece, offset)
                offset = 0
            else:
                yield at, 0, piece


def regroup(
    inner: Step, place: Place, offset: int, size: int | None, view: View | None = None
) -> Iterator[tuple[Place, int, Piece]]:
    """Yield (place, offset, rows) with ``size`` rows each, the last one with fewer; all rows at once where None.

    Rows before an error are given before it is raised.
    """
    waiting: list[Piece] = []
    count, start = 0, (place, offset)
    try:
        for at, first, piece in inner.resumed(place, offset):
            done, rows = 0, length(piece)
            while done < rows:
                if not waiting:
                    start = (at, first + done)
                upto = rows if size is None else min(rows, done + size - count)
                waiting.append(piece if upto - done == rows else cut(piece, done, upto))
                count += upto - done
                done = upto
                if count == size:
                    yield (*start, join(waiting, view))
                    waiting, count = [], 0
    except GeneratorExit:
        raise
    except Exception:
        if waiting:
            yield (*start, join(waiting, view))
        raise
    if waiting:
        yield (*start, join(waiting, view))


class Tables(Step):
    """A change of columns that needs no other row: names, kinds, a selection of them.

    Args:
        inner: the step below.
        change: what is done, by name: ``"rename"`` (a dict), ``"remove"``, ``"select"`` (lists), ``"cast"`` (features).
        argument: what it is done with.
        view: the columns before the change.
    """

    rowwise = True

    def __init__(self, inner: Step, change: str, argument: Any, view: View) -> None:
        self.inner: Step = inner
        self.change, self.argument, self.view = change, argument, view

    def over(self, inner: Step) -> Tables:
        return Tables(inner, self.change, self.argument, self.view)

    def divided(self, count: int) -> tuple[list[Step], list[Step]] | None:
        found = self.inner.divided(count)
        return None if found is None else ([self.over(one) for one in found[0]], [self.over(one) for one in found[1]])

    def pieces(self, place: Place = None) -> Iterator[tuple[Place, Piece]]:
        change: Callable[[Piece], Piece] = getattr(self, f"_{self.change}")
        for at, piece in self.inner.pieces(place):
            yield at, change(piece)

    def _names(self, piece: Piece, names: Any) -> None:
        known = batch_names(piece)
        for name in names:
            if name not in known and length(piece):
                raise unknown_column(name, known)

    def _rename(self, piece: Piece) -> Piece:
        names: dict[str, str] = self.argument
        self._names(piece, names)
        if isinstance(piece, pa.Table):
            return piece.rename_columns([names.get(name, name) for name in piece.column_names])
        return [{names.get(name, name): value for name, value in row.items()} for row in piece]

    def _remove(self, piece: Piece) -> Piece:
        gone = set(self.argument)
        if isinstance(piece, pa.Table):
            return piece.select([name for name in piece.column_names if name not in gone])
        return [{name: value for name, value in row.items() if name not in gone} for row in piece]

    def _select(self, piece: Piece) -> Piece:
        self._names(piece, self.argument)
        if isinstance(piece, pa.Table):
            return piece.select(self.argument)
        return [{name: row[name] for name in self.argument} for row in piece]

    def _cast(self, piece: Piece) -> Piece:
        return to_table(piece, self.argument)


def _shared(parts: list[Step], index: int, count: int) -> Step:
    """Return a reader's rows of a cut shard, whose rows are dealt, and of whole ones."""
    from .mixing import Chain
    from .sharing import Deal

    cut, whole = parts
    return Chain([Deal(cut, index, count), whole.share(index, count)])


class Skip(Step):
    """All rows but the first ones."""

    def __init__(self, inner: Step, count: int) -> None:
        self.inner: Step = inner
        self.count = max(count, 0)

    def over(self, inner: Step) -> Skip:
        return Skip(inner, self.count)

    def share(self, index: int, count: int) -> Step:
        found = self.inner.divided(self.count)
        return super().share(index, count) if found is None else _shared(found[1], index, count)

    def stirred(self, key: tuple[int, ...]) -> Step:
        return self

    def pieces(self, place: Place = None) -> Iterator[tuple[Place, Piece]]:
        begin, left = place or (None, self.count)
        for at, piece in self.inner.pieces(begin):
            rows = length(piece)
            if left < rows:
                yield [at, left], cut(piece, left) if left else piece
                left = 0
            else:
                left -= rows


class Take(Step):
    """The first rows."""

    def __init__(self, inner: Step, count: int) -> None:
        self.inner: Step = inner
        self.count = max(count, 0)

    def over(self, inner: Step) -> Take:
        return Take(inner, self.count)

    def share(self, index: int, count: int) -> Step:
        found = self.inner.divided(self.count)
        return super().share(index, count) if found is None else _shared(found[0], index, count)

    def stirred(self, key: tuple[int, ...]) -> Step:
        return self

    def pieces(self, place: Place = None) -> Iterator[tuple[Place, Piece]]:
        begin, left = place or (None, self.count)
        if left <= 0:
            return
        for at, piece in self.inner.pieces(begin):
            rows = length(piece)
            yield [at, left], piece if rows <= left else cut(piece, 0, left)
            left -= rows
            if left <= 0:
                return


class Repeat(Step):
    """The rows several times over, or without end."""

    rowwise = True

    def __init__(self, inner: Step, times: int | None) -> None:
        self.inner: Step = inner
        self.times = times

    def over(self, inner: Step) -> Repeat:
        return Repeat(inner, self.times)

    def restrict(self, shards: list[Any]) -> Step | None:
        # each round has the shards in one order; a shard several times over would not be the same stream
        return None

    def stirred(self, key: tuple[int, ...]) -> Step:
        return self.over(self.inner.stirred(key))

    def pieces(self, place: Place = None) -> Iterator[tuple[Place, Piece]]:
        turn, at = place or (0, None)
        while self.times is None or turn < self.times:
            empty = True
            for found, piece in self.inner.pieces(at):
                empty = False
                yield [turn, found], piece
            if empty and at is None:
                return
            at = None
            turn += 1


class Group(Step):
    """Every ``size`` rows, or every run of rows with one value, as one row of lists."""

    rowwise = True

    def __init__(self, inner: Step, size: int | None, columns: list[str] | None, drop_last: bool, view: View) -> None:
        self.inner: Step = inner
        self.size, self.columns, self.drop_last, self.view = size, columns, drop_last, view
        self.rowwise = columns is None

    def over(self, inner: Step) -> Group:
        return Group(inner, self.size, self.columns, self.drop_last, self.view)

    def pieces(self, place: Place = None) -> Iterator[tuple[Place, Piece]]:
        begin, offset = place or (None, 0)
        if self.columns is not None:
            yield from self._runs(begin, offset)
            return
        for at, first, piece in regroup(self.inner, begin, offset, self.size, self.view):
            if self.drop_last and self.size is not None and length(piece) < self.size:
                return
            yield [at, first], self._row(piece)

    def _row(self, piece: Piece) -> Piece:
        if isinstance(piece, pa.Table):
            bounds = pa.array([0, piece.num_rows], pa.int32())
            columns = [one_array(piece.column(name)) for name in piece.column_names]
            return pa.table([pa.ListArray.from_arrays(bounds, column) for column in columns], names=piece.column_names)
        return [rows_to_columns(piece)]

    def _runs(self, begin: Place, offset: int) -> Iterator[tuple[Place, Piece]]:
        assert self.columns is not None
        waiting: list[Piece] = []
        count, value, start = 0, None, (begin, offset)
        plain = self.view.plain()
        for found, first, piece in self.inner.resumed(begin, offset):
            self._check(piece)
            shown = piece.select(self.columns) if isinstance(piece, pa.Table) else piece
            keys = [tuple(row[name] for name in self.columns) for row in plain.rows(shown)]
            low = 0
            for number, key in enumerate(keys):
                held = count + number - low
                if held and key != value:
                    if number > low:
                        start = start if waiting else (found, first + low)
                        waiting.append(cut(piece, low, number))
                    yield [*start], self._row(join(waiting, self.view))
                    waiting, count, low = [], 0, number
                value = key
            if low < len(keys):
                start = start if waiting else (found, first + low)
                waiting.append(cut(piece, low))
                count += len(keys) - low
        if waiting and not self.drop_last:
            yield [*start], self._row(join(waiting, self.view))

    def _check(self, piece: Piece) -> None:
        known = batch_names(piece)
        for name in self.columns or []:
            if name not in known:
                raise unknown_column(name, known)
