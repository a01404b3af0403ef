"""Where a stream begins: shards of rows, each of which can be read from a position on."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa

from .mixing import Chain
from .pieces import Piece
from .sharing import Deal
from .steps import Place, Skip, Step, Take

__all__ = ["GeneratorShard", "RowsShard", "Shard", "Source"]

# Rows of a dataset's piece.
_ROWS = 1000


class Shard:
    """Rows that are read one after the other."""

    #: whether reading waits for a network, so that it is done ahead of the reader in a thread
    distant = False

    def read(self, position: Any = None) -> Iterator[tuple[Any, Piece]]:
        """Yield (position, piece) from a position on; from the first row where None."""
        raise NotImplementedError

    def parts(self) -> list[Shard]:
        """Return smaller shards of the same rows, where the shard is large and they are quickly told."""
        return [self]

    def split(self) -> list[Shard]:
        """Return the smallest shards of the same rows that can be read without reading the others."""
        return [self]

    def schema(self) -> Any:
        """Return the columns as an Arrow schema, or None where no beginning says them."""
        return None

    def count(self) -> int | None:
        """Return the number of rows, or None where they would have to be read."""
        return None


def ahead(items: Iterator[Any]) -> Iterator[Any]:
    """Yield what an iterator yields; while one item is used, the next is made in a thread."""
    end = object()
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(next, items, end)
        while (item := waiting.result()) is not end:
            waiting = thread.submit(next, items, end)
            yield item


class Source(Step):
    """The rows of shards, one shard behind the other.

    Args:
        shards: the shards.
    """

    def __init__(self, shards: Sequence[Shard]) -> None:
        self.shards = list(shards)

    @property
    def num_shards(self) -> int:
        return len(self.shards)

    def blocks(self) -> list[Any]:
        return [part for shard in self.shards for part in shard.parts()]

    def restrict(self, shards: list[Any]) -> Step | None:
        return Source(shards)

    def share(self, index: int, count: int) -> Step:
        whole = len(self.shards) - len(self.shards) % count
        mine = Source(self.shards[index:whole:count])
        if whole == len(self.shards):
            return mine
        rest = Deal(Source(self.shards[whole:]), index, count)
        return Chain([mine, rest]) if mine.shards else rest

    def divided(self, count: int) -> tuple[list[Step], list[Step]] | None:
        left = count
        for number, shard in enumerate(self.shards):
            rows = shard.count()
            if rows is None:
                return None
            if rows > left:
                cut = Source([shard])
                before, behind = Source(self.shards[:number]), Source(self.shards[number + 1 :])
                return [Take(cut, left), before], [Skip(cut, left), behind]
            left -= rows
        return [Source([]), self], [Source([]), Source([])]

    def pieces(self, place: Place = None) -> Iterator[tuple[Place, Piece]]:
        begin, position = place or (0, None)
        for number in range(begin, len(self.shards)):
            shard = self.shards[number]
            found = shard.read(position)
            for at, piece in ahead(found) if shard.distant else found:
                yield [number, at], piece
            position = None


class RowsShard(Shard):
    """A run of a dataset's rows.

    Args:
        dataset: the dataset.
        start: the first row.
        stop: the row behind the last one.
    """

    def __init__(self, dataset: Any, start: int, stop: int) -> None:
        self.dataset, self.start, self.stop = dataset, start, stop

    def read(self, position: Any = None) -> Iterator[tuple[Any, Piece]]:
        for start in range(self.start if position is None else position, self.stop, _ROWS):
            table: pa.Table = self.dataset._read(start, min(start + _ROWS, self.stop), self.dataset.column_names)
            yield start, table

    def count(self) -> int | None:
        return self.stop - self.start


class GeneratorShard(Shard):
    """The rows that a generator function yields.

    Args:
        function: the function; it yields dicts.
        arguments: its keyword arguments.
    """

    def __init__(self, function: Callable[..., Any], arguments: Mapping[str, Any]) -> None:
        self.function, self.arguments = function, dict(arguments)

    def read(self, position: Any = None) -> Iterator[tuple[Any, Piece]]:
        first = position or 0
        for number, row in enumerate(itertools.islice(self.function(**self.arguments), first, None), first):
            if isinstance(row, (pa.Table, pa.RecordBatch)):
                yield number, row if isinstance(row, pa.Table) else pa.Table.from_batches([row])
            else:
                yield number, [row]


def generator_shards(function: Callable[..., Any], arguments: Mapping[str, Any]) -> list[Shard]:
    """Return a shard for each item of the lists among a generator's arguments.

    Raises:
        ValueError: lists of different lengths.
    """
    lists = {name: value for name, value in arguments.items() if isinstance(value, list)}
    sizes = {name: len(value) for name, value in lists.items()}
    if len(set(sizes.values())) > 1:
        raise ValueError(
            f"the lists in gen_kwargs say how the rows are sharded, but they have different lengths: {sizes}; "
            "make those that are no shards tuples"
        )
    count = next(iter(sizes.values()), 1)
    return [
        GeneratorShard(function, {name: [value[i]] if name in lists else value for name, value in arguments.items()})
        for i in range(count)
    ]
