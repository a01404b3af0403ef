"""Putting short rows together into long ones, remembering where each begins.

A packed row carries ``seq_lengths``, the lengths of the documents in it. Training never lets one document see another:
positions begin anew with each, and each attends to itself alone.
"""

from __future__ import annotations

import bisect
from collections import deque
from typing import Any

import numpy as np
import pyarrow as pa

from enfold.errors import EnfoldError, nearest

__all__ = ["PackingError", "best_fit", "pack_dataset"]

STRATEGIES = ("bfd", "bfd_split", "wrapped")


class PackingError(ValueError, EnfoldError):
    """Rows that cannot be packed: their columns are no lists, or of different lengths."""


def best_fit(lengths: list[int], room: int) -> list[list[int]]:
    """Return which items go into which bin: longest first, each into the fullest bin that still takes it.

    Args:
        lengths: of the items, each at most ``room``.
        room: of a bin.

    Example:
        >>> best_fit([4, 2, 3, 1], 4)
        [[0], [2, 3], [1]]

    Source: https://arxiv.org/abs/2404.10830
    """
    bins: list[list[int]] = []
    waiting: dict[int, deque[list[int]]] = {}  # free room → the bins that have it, oldest first
    rooms: list[int] = []  # the keys of `waiting`, sorted
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        size = lengths[index]
        place = bisect.bisect_left(rooms, size)
        if place < len(rooms):
            free = rooms[place]
            chosen = waiting[free].popleft()
            if not waiting[free]:
                del waiting[free], rooms[place]
        else:
            free, chosen = room, []
            bins.append(chosen)
        chosen.append(index)
        left = free - size
        if left:
            if left not in waiting:
                waiting[left] = deque()
                bisect.insort(rooms, left)
            waiting[left].append(chosen)
    return bins


class _Lists:
    """The list columns of a table: flat values, and one pair of bounds for all of them."""

    def __init__(self, table: pa.Table) -> None:
        self.names = table.column_names
        self.values: list[pa.Array] = []
        self.kinds: list[Any] = []
        bounds: Any = None
        for name, column in zip(self.names, table.combine_chunks().columns, strict=True):
            chunk = column.chunks[0] if column.num_chunks else pa.array([], column.type)
            if not (pa.types.is_list(chunk.type) or pa.types.is_large_list(chunk.type)):
                raise PackingError(f"only lists can be packed; the column {name!r} holds {chunk.type}")
            offsets = chunk.offsets.to_numpy().astype(np.int64)
            self.values.append(chunk.flatten())  # a slice of a table has values of its neighbours around it
            self.kinds.append(chunk.type)
            offsets -= offsets[0]
            if bounds is not None and not np.array_equal(bounds, offsets):
                raise PackingError(f"the columns {self.names[0]!r} and {name!r} have rows of different lengths")
            bounds = offsets
        self.bounds = np.zeros(1, np.int64) if bounds is None else bounds

    def table(self, starts: Any, stops: Any, sizes: Any) -> dict[str, pa.Array]:
        """Return the columns made of the pieces from ``starts`` to ``stops``, joined into rows of ``sizes``."""
        lengths = stops - starts
        begins = np.concatenate([[0], np.cumsum(lengths)])
        index = np.arange(begins[-1]) - np.repeat(begins[:-1], lengths) + np.repeat(starts, lengths)
        offsets = np.concatenate([[0], np.cumsum(sizes)])
        made = {}
        for name, values, kind in zip(self.names, self.values, self.kinds, strict=True):
            large = pa.types.is_large_list(kind)
            array, dtype = (pa.LargeListArray, np.int64) if large else (pa.ListArray, np.int32)
            made[name] = array.from_arrays(pa.array(offsets.astype(dtype)), values.take(pa.array(index)))
        return made


def _best_fit_packed(table: pa.Table, seq_length: int, split: bool) -> pa.Table:
    lists = _Lists(table)
    starts, stops = lists.bounds[:-1], lists.bounds[1:]
    starts, stops = starts[stops > starts], stops[stops > starts]
    if split:
        counts = -(-(stops - starts) // seq_length)
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        starts = np.repeat(starts, counts) + within * seq_length
        stops = np.minimum(starts + seq_length, np.repeat(stops, counts))
    else:
        stops = np.minimum(stops, starts + seq_length)
    lengths = (stops - starts).tolist()
    bins = best_fit(lengths, seq_length)
    order = np.array([index for items in bins for index in items], dtype=np.int64)
    sizes = np.array([sum(lengths[index] for index in items) for items in bins], dtype=np.int64)
    columns = lists.table(starts[order], stops[order], sizes)
    columns["seq_lengths"] = pa.array([[lengths[i] for i in items] for items in bins], pa.list_(pa.int32()))
    return pa.table(columns)


def _wrapped(table: pa.Table, seq_length: int) -> pa.Table:
    lists = _Lists(table)
    starts = np.arange(0, lists.bounds[-1], seq_length)
    stops = np.minimum(starts + seq_length, lists.bounds[-1])
    return pa.table(lists.table(starts, stops, stops - starts))


def pack_dataset(dataset: Any, seq_length: int, strategy: str = "bfd", map_kwargs: dict[str, Any] | None = None) -> Any:
    """Return a data set with its rows packed into rows of at most ``seq_length``.

    Args:
        dataset: all of whose columns are lists, equally long in each row.
        seq_length: positions in a row.
        strategy: ``"bfd"`` keeps documents whole and cuts off what is longer than a row; ``"bfd_split"`` packs the
            rest of such a document as one of its own; ``"wrapped"`` fills every row to the end, cutting anywhere.
        map_kwargs: for the data set's ``map``.

    Returns:
        The packed data set; with ``seq_lengths``, except when wrapped.

    Raises:
        PackingError: an unknown strategy, or rows that cannot be packed.

    Example:
        >>> from enfold.datasets import Dataset
        >>> rows = Dataset.from_dict({"input_ids": [[1, 2, 3, 4, 5], [6, 7], [8, 9, 10], [11]]})
        >>> pack_dataset(rows, seq_length=4)["input_ids"][:]
        [[1, 2, 3, 4], [8, 9, 10, 11], [6, 7]]
    """
    if strategy not in STRATEGIES:
        raise PackingError(
            f"strategy is one of {', '.join(STRATEGIES)}, not {strategy!r}{nearest(strategy, STRATEGIES)}"
        )
    if seq_length < 1:
        raise PackingError(f"seq_length must be at least 1, got {seq_length}")
    first = next(iter(dataset.values())) if isinstance(dataset, dict) else dataset
    shown = dict(getattr(first, "format", None) or {})
    shown |= shown.pop("format_kwargs", None) or {}
    arguments: dict[str, Any] = {"seq_length": seq_length}
    if strategy != "wrapped":
        arguments["split"] = strategy == "bfd_split"
    packed = dataset.with_format("arrow").map(
        _wrapped if strategy == "wrapped" else _best_fit_packed, batched=True, fn_kwargs=arguments, **(map_kwargs or {})
    )
    if strategy != "wrapped" and "columns" in shown:
        shown["columns"] = [*shown["columns"], "seq_lengths"]
    return packed.with_format(**shown)
