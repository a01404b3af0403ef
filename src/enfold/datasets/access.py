"""Reading a dataset: rows, batches and columns, in its format."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from .column import Column
from .features.features import decoder
from .features.storage import is_heavy
from .formats.base import Formatter, decoded_values, make_formatter
from .values import arrow_to_list, one_array, rows_of_columns, to_arrow_array

__all__ = ["AccessMixin", "table_rows"]

# Rows that iteration reads at a time.
_READ_AHEAD = 1000
# … and those whose images and recordings it decodes at a time, in several threads.
_DECODE_AHEAD = 32


def table_rows(
    table: pa.Table, formatter: Formatter | None, decoders: Mapping[str, Callable[[Any], Any]]
) -> list[dict[str, Any]]:
    """Return the rows of a table one by one, in a format."""
    if formatter is None:
        names = table.column_names
        if not names:
            return [{} for _ in range(table.num_rows)]
        columns = []
        for name in names:
            array, decode = one_array(table.column(name)), decoders.get(name)
            columns.append(arrow_to_list(array) if decode is None else decoded_values(array, decode))
        return rows_of_columns(names, columns)
    if formatter.numpy_rows is None:
        return [formatter.table_row(table.slice(i, 1)) for i in range(table.num_rows)]
    batch = formatter.batch(table, shared=True)
    names = list(batch)
    return [{name: batch[name][i] for name in names} for i in range(table.num_rows)]


class AccessMixin:
    """The methods of a dataset that give its values."""

    # the features, and what was made of them
    _made_decoders: tuple[Any, dict[str, Callable[[Any], Any]]] | None = None

    def _decoders(self: Any) -> dict[str, Callable[[Any], Any]]:
        made, features = self._made_decoders, self._info.features
        if made is None or made[0] is not features:
            found = {name: change for name, feature in features.items() if (change := decoder(feature))}
            made = self._made_decoders = (features, found)
        return made[1]

    def _formatter(self: Any) -> Formatter | None:
        kind, options, _, _ = self._format
        if kind is None:
            return None
        if self._made_formatter is None:
            self._made_formatter = make_formatter(kind, self._decoders(), **options)
        return self._made_formatter

    def _visible_columns(self: Any) -> list[str]:
        columns = self._format[2]
        return self.column_names if columns is None or self._format[3] else columns

    def _read(self: Any, start: int, stop: int, columns: Sequence[str] | None) -> pa.Table:
        if self._indices is None:
            return self._source.read(start, stop, columns)
        return self._source.take(self._indices[start:stop], columns)

    def _gather(self: Any, rows: np.ndarray, columns: Sequence[str] | None) -> pa.Table:
        return self._source.take(rows if self._indices is None else self._indices[rows], columns)

    def _present(self: Any, table: pa.Table, *, shared: bool = True) -> Any:
        """Return a table in the dataset's format; columns outside of the format stay Python where they are wanted."""
        _, _, columns, everything = self._format
        formatter = self._formatter()
        if formatter is None:
            return self._python(table)
        if columns is not None and everything and (formatter.numpy_rows is not None or formatter.is_transform):
            inside = [name for name in columns if name in table.column_names]
            out = formatter.batch(table.select(inside), shared=shared)
            if not isinstance(out, Mapping):
                raise TypeError(
                    f"a transform must return a dict, to which output_all_columns=True adds the other columns, not a "
                    f"{type(out).__name__}"
                )
            rest = [name for name in table.column_names if name not in inside]
            return {**out, **self._python(table.select(rest))}
        return formatter.batch(table, shared=shared)

    def _python(self: Any, table: pa.Table) -> dict[str, list[Any]]:
        out = {}
        for name in table.column_names:
            array, decode = one_array(table.column(name)), decoder(self.features[name])
            out[name] = arrow_to_list(array) if decode is None else decoded_values(array, decode)
        return out

    def _python_row(self: Any, row: int, names: list[str]) -> dict[str, Any]:
        values = self._source.row(row, names)
        for name, decode in self._decoders().items():
            if name in values:
                values[name] = decode(values[name])
        return values

    def _row(self: Any, position: int) -> Any:
        formatter = self._formatter()
        names = self._visible_columns()
        row = position if self._indices is None else int(self._indices[position])
        if formatter is None:
            return self._python_row(row, names)
        if formatter.numpy_rows is None:
            return self._table_row(self._gather(np.array([position]), names))
        columns = self._format[2]
        if columns is not None and self._format[3]:
            rest = [name for name in names if name not in columns]
            return {**formatter.row(self._source.row(row, columns, True)), **self._python_row(row, rest)}
        return formatter.row(self._source.row(row, names, True))

    def _table_row(self: Any, table: pa.Table) -> Any:
        formatter = self._formatter()
        if formatter.is_transform and self._format[2] is not None and self._format[3]:
            return {name: values[0] for name, values in self._present(table).items()}
        return formatter.table_row(table)

    def __getitem__(self: Any, key: Any) -> Any:
        """Return a row (an integer), rows as a dict of columns (a slice or several integers), or a column (a name)."""
        if isinstance(key, str):
            return self._column(key)
        if isinstance(key, (int, np.integer)) and not isinstance(key, bool):
            position = int(key)
            rows = len(self)
            if not -rows <= position < rows:
                raise IndexError(f"Invalid key: {key} is out of bounds for size {rows}")
            return self._row(position + rows if position < 0 else position)
        names = self._visible_columns()
        if isinstance(key, (slice, range)):
            if isinstance(key, slice):
                found = range(*key.indices(len(self)))
            else:
                found = key
                for end in (found[0], found[-1]) if len(found) else ():
                    if not -len(self) <= end < len(self):
                        raise IndexError(f"Invalid key: {end} is out of bounds for size {len(self)}")
            if found.step == 1 and (not len(found) or found.start >= 0):
                table = self._read(found.start, max(found.stop, found.start), names)
                return self._present(table, shared=self._indices is None)
            key = list(found)
        if hasattr(key, "__iter__"):
            return self._present(self._gather(self._positions(key), names), shared=False)
        raise TypeError(f"a dataset is indexed by integers, slices, lists of integers and names, not {key!r}")

    def _positions(self: Any, key: Any) -> np.ndarray:
        if isinstance(key, (pa.Array, pa.ChunkedArray)) or hasattr(key, "__array__"):
            rows = np.asarray(key)
        else:
            rows = np.asarray(list(key))
        if not len(rows):
            return np.zeros(0, np.int64)
        if rows.dtype == bool:
            if len(rows) != len(self):
                raise IndexError(f"a mask needs one value for each of the {len(self)} rows, not {len(rows)}")
            return np.flatnonzero(rows)
        if rows.dtype.kind not in "iu":
            raise TypeError(f"a dataset is indexed by integers, not by {rows.dtype}")
        rows = rows.astype(np.int64, copy=False)
        low, high = int(rows.min()), int(rows.max())
        if low < -len(self) or high >= len(self):
            wrong = high if high >= len(self) else low
            raise IndexError(f"Invalid key: {wrong} is out of bounds for size {len(self)}")
        return np.where(rows < 0, rows + len(self), rows) if low < 0 else rows

    def __getitems__(self: Any, keys: list[int]) -> list[Any]:
        """Return several rows at once; torch's DataLoader calls this for a batch."""
        table = self._gather(self._positions(keys), self._visible_columns())
        return self._table_rows(table)

    def _table_rows(self: Any, table: pa.Table) -> list[Any]:
        _, _, columns, everything = self._format
        formatter = self._formatter()
        if formatter is not None and columns is not None and everything and formatter.numpy_rows is not None:
            batch = self._present(table)
            return [{name: batch[name][i] for name in batch} for i in range(table.num_rows)]
        if formatter is not None and formatter.is_transform:
            return [self._table_row(table.slice(i, 1)) for i in range(table.num_rows)]
        return table_rows(table, formatter, self._decoders())

    def _column(self: Any, name: str) -> Column:
        self._require(name)
        formatter: Formatter | None = self._formatter()
        transformed = formatter is not None and formatter.is_transform
        outside = not transformed and self._format[2] is not None and name not in self._format[2]
        whole = formatter is not None and formatter.numpy_rows is None and not outside
        column: Column

        def load() -> pa.Array:
            if transformed:
                return to_arrow_array(column.tolist())
            return one_array(self._read(0, len(self), [name]).column(0))

        def peek(rows: np.ndarray) -> pa.Array:
            if len(rows) and rows[-1] - rows[0] == len(rows) - 1 and bool(np.all(np.diff(rows) == 1)):
                return one_array(self._read(int(rows[0]), int(rows[-1]) + 1, [name]).column(0))
            return one_array(self._gather(rows, [name]).column(0))

        def view(rows: np.ndarray) -> Any:
            return (self[rows] if transformed else self._present(self._gather(rows, [name]), shared=False))[name]

        column = Column(
            load,
            len(self),
            decoder(self.features[name]),
            None if whole or outside else formatter,
            peek,
            view if whole else None,
            transformed,
        )
        return column

    def __iter__(self: Any) -> Iterator[Any]:
        names = self._visible_columns()
        step = _DECODE_AHEAD if any(is_heavy(self.features[name]) for name in names) else _READ_AHEAD
        for start in range(0, len(self), step):
            yield from self._table_rows(self._read(start, min(start + step, len(self)), names))

    def iter(self: Any, batch_size: int, drop_last_batch: bool = False) -> Iterator[Any]:
        """Yield batches of rows in the dataset's format.

        Args:
            batch_size: rows of a batch.
            drop_last_batch: leave out the last one where it is smaller.

        Example:
            >>> from enfold.datasets import Dataset
            >>> [batch["a"] for batch in Dataset.from_dict({"a": [1, 2, 3]}).iter(2)]
            [[1, 2], [3]]
        """
        names = self._visible_columns()
        for start in range(0, len(self), batch_size):
            stop = min(start + batch_size, len(self))
            if drop_last_batch and stop - start < batch_size:
                return
            yield self._present(self._read(start, stop, names), shared=self._indices is None)

    def __arrow_c_stream__(self: Any, requested_schema: object | None = None) -> object:
        """Hand the rows to any library that reads Arrow streams (polars, duckdb, pyarrow), a piece at a time."""
        schema = self.features.arrow_schema.remove_metadata()
        batches = (
            batch
            for start in range(0, len(self), 1 << 16)
            for batch in self._read(start, min(start + (1 << 16), len(self)), self.column_names).to_batches()
        )
        return pa.RecordBatchReader.from_batches(schema, batches).__arrow_c_stream__(requested_schema)
