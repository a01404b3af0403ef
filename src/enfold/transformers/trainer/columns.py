"""Columns of a data set as flat buffers, and padding them into tensors without a Python loop over rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from enfold.errors import EnfoldError

__all__ = ["ColumnTable", "Ragged", "RaggedRows", "column_of", "columns_of", "pad_ragged"]

Array = np.ndarray[Any, Any]


class RaggedRows(ValueError, EnfoldError):
    """Rows of different lengths in a column that nothing says how to pad."""


class Ragged:
    """Rows of numbers of different lengths: all values in one array, and where each row begins and ends.

    Args:
        values: all numbers, row after row.
        starts, stops: for each row, its place in ``values``.

    Example:
        >>> rows = Ragged.from_rows([[1, 2], [3]])
        >>> pad_ragged(rows, 0).tolist()
        [[1, 2], [3, 0]]
    """

    def __init__(self, values: Array, starts: Array, stops: Array) -> None:
        self.values, self.starts, self.stops = values, starts, stops

    @classmethod
    def from_rows(cls, rows: Sequence[Any]) -> Ragged:
        """Make it of a list of lists or arrays."""
        arrays = [np.asarray(row) for row in rows]
        lengths = np.fromiter((len(row) for row in arrays), np.int64, len(arrays))
        stops = np.cumsum(lengths)
        filled = [row for row in arrays if len(row)]  # an empty list would turn everything into floats
        values = np.concatenate(filled) if filled else np.zeros(0, np.int64)
        return cls(values, stops - lengths, stops)

    @property
    def lengths(self) -> Array:
        """Length of each row."""
        return self.stops - self.starts

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, index: int) -> Array:
        return self.values[self.starts[index] : self.stops[index]]

    def take(self, rows: Array) -> Ragged:
        """Return the given rows, sharing the values."""
        return Ragged(self.values, self.starts[rows], self.stops[rows])

    def constant(self, value: int) -> Ragged:
        """Return rows of the same lengths that hold ``value`` throughout."""
        stops = np.cumsum(self.lengths)
        return Ragged(np.full(int(stops[-1]) if len(stops) else 0, value, np.int64), stops - self.lengths, stops)


def pad_ragged(rows: Ragged, fill: float, *, width: int | None = None, side: str = "right") -> Array:
    """Return rows as one array of shape (rows, width), filled with ``fill`` where a row is shorter.

    Args:
        rows: the rows.
        fill: what to put into the gaps.
        width: by default the longest row's length.
        side: where the gaps are, ``"right"`` or ``"left"``.
    """
    lengths = rows.lengths
    longest = int(lengths.max()) if len(lengths) else 0
    width = longest if width is None else max(width, longest)
    kind = np.int64 if rows.values.dtype.kind in "iub" else rows.values.dtype
    out = np.full((len(rows), width), fill, dtype=kind)
    values, starts, stops = rows.values, rows.starts.tolist(), rows.stops.tolist()
    # One slice copy per row: for a batch this is faster than building an index of every position.
    if side == "left":
        for place, start, stop in zip(out, starts, stops, strict=True):
            place[width - (stop - start) :] = values[start:stop]
    else:
        for place, start, stop in zip(out, starts, stops, strict=True):
            place[: stop - start] = values[start:stop]
    return out


Column = Any  # Array of one value per row (or of equal shapes), or Ragged, or a plain list


def column_of(values: Sequence[Any]) -> Column:
    """Return a column of rows: an array where rows are alike, :class:`Ragged` for lists of numbers, else the list."""
    if isinstance(values, (np.ndarray, Ragged)):
        return values
    first = next((value for value in values if value is not None), None)
    if first is None or isinstance(first, (str, bytes, Mapping)):
        return list(values)
    if hasattr(first, "numpy") and hasattr(first, "ndim"):  # tensors, without importing torch here
        values = [value.numpy() for value in values]
        first = values[0]
    if isinstance(first, np.ndarray) and first.ndim == 0:
        return np.asarray(values)
    if isinstance(first, (list, tuple, np.ndarray)):
        if len(first) and isinstance(first[0], (list, tuple, np.ndarray, str, bytes, Mapping)):
            return _stacked(values)
        return Ragged.from_rows(values)
    if isinstance(first, (bool, int, float, np.generic)):
        return np.asarray(values)
    return list(values)


def _stacked(values: Sequence[Any]) -> Column:
    if isinstance(values[0][0], (str, bytes, Mapping)):
        return list(values)
    try:
        return np.asarray(values)
    except ValueError:
        return list(values)


def columns_of(features: Sequence[Mapping[str, Any]]) -> dict[str, Column]:
    """Return the columns of a list of rows; the first row says which there are."""
    return {name: column_of([row[name] for row in features]) for name in features[0]}


class ColumnTable:
    """A data set as columns of flat buffers, from which any batch of rows is taken without visiting each.

    Args:
        columns: name → column, all of one length.
        length: number of rows.
    """

    def __init__(self, columns: dict[str, Column], length: int) -> None:
        self.columns, self.length = columns, length

    def __len__(self) -> int:
        return self.length

    @classmethod
    def of(cls, dataset: Any, names: Sequence[str], limit: int = 2 << 30) -> ColumnTable | None:
        """Return the columns of a data set that keeps Arrow tables, or None where they are not plain numbers.

        Args:
            dataset: has ``with_format("arrow")`` and a length.
            names: the columns that are wanted.
            limit: bytes above which a data set is not held in memory.
        """
        if (
            not hasattr(dataset, "with_format")
            or not hasattr(dataset, "column_names")
            or not hasattr(dataset, "__len__")
        ):
            return None
        format_now = getattr(dataset, "format", None) or {}
        if format_now.get("type") not in (None, "torch", "numpy", "python"):
            return None  # a transform, or a type of its own: rows must be asked for one by one
        if format_now.get("format_kwargs"):
            return None
        try:
            table = dataset.with_format("arrow")[:]
        except Exception:
            return None
        if not hasattr(table, "column") or table.nbytes > limit:
            return None
        columns: dict[str, Column] = {}
        for name in names:
            column = _from_arrow(table.column(name))
            if column is None:
                return None
            columns[name] = column
        return cls(columns, len(dataset))

    def take(self, rows: Sequence[int]) -> dict[str, Column]:
        """Return the columns of the given rows."""
        index = np.asarray(rows, dtype=np.int64)
        return {
            name: column.take(index) if isinstance(column, Ragged) else column[index]
            for name, column in self.columns.items()
        }

    def lengths(self, name: str) -> Array | None:
        """Return the length of every row of a column, or None when it has no lengths."""
        column = self.columns.get(name)
        return column.lengths if isinstance(column, Ragged) else None


def _from_arrow(column: Any) -> Column | None:
    import pyarrow as pa

    if column.null_count:
        return None
    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return column.to_numpy()
    if pa.types.is_boolean(kind):
        return np.asarray(column)
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind)):
        return None
    inner = kind.value_type
    if not (pa.types.is_integer(inner) or pa.types.is_floating(inner)):
        return None
    values, starts, stops, offset = [], [], [], 0
    for chunk in column.chunks:
        flat = chunk.values
        if flat.null_count:
            return None
        array = flat.to_numpy(zero_copy_only=False)
        offsets = chunk.offsets.to_numpy(zero_copy_only=False).astype(np.int64)
        values.append(array)
        starts.append(offsets[:-1] + offset)
        stops.append(offsets[1:] + offset)
        offset += len(array)
    if not values:
        return Ragged(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64))
    joined = values[0] if len(values) == 1 else np.concatenate(values)
    return Ragged(joined, np.concatenate(starts), np.concatenate(stops))
