"""Pieces of a stream, an Arrow table or a list of rows, and what they are shown as."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from ..access import table_rows
from ..column import Batch
from ..features.features import Features, decoder
from ..formats.base import Formatter, make_formatter
from ..values import arrow_to_list, one_array, to_arrow_array

__all__ = [
    "Piece",
    "View",
    "arrow_column",
    "batch_names",
    "cut",
    "fit",
    "frame_to_table",
    "is_frame",
    "join",
    "length",
    "pick",
    "rows_to_columns",
    "stays_arrow",
    "to_table",
]

#: rows in Arrow where nothing has looked at them, else rows as a user's function gave them
Piece: TypeAlias = "pa.Table | list[dict[str, Any]]"
# Rows that are made of a table at a time.
_AT_ONCE = 1000


def length(piece: Piece) -> int:
    """Return the number of rows."""
    return piece.num_rows if isinstance(piece, pa.Table) else len(piece)


def cut(piece: Piece, start: int, stop: int | None = None) -> Piece:
    """Return the rows from ``start`` to ``stop``."""
    if isinstance(piece, pa.Table):
        return piece.slice(start, None if stop is None else max(stop - start, 0))
    return piece[start:stop]


def pick(piece: Piece, rows: np.ndarray) -> Piece:
    """Return the rows at some positions, int64, shape (n,)."""
    if isinstance(piece, pa.Table):
        return piece.take(pa.array(rows))
    return [piece[i] for i in rows.tolist()]


def join(pieces: Sequence[Piece], view: View | None = None) -> Piece:
    """Return several pieces as one: a table where all are and their columns fit, else rows."""
    if len(pieces) == 1:
        return pieces[0]
    if all(isinstance(piece, pa.Table) for piece in pieces):
        try:
            return pa.concat_tables(pieces, promote_options="default")
        except (pa.ArrowInvalid, pa.ArrowTypeError):
            pass
    view = (view or View()).plain()
    return [row for piece in pieces for row in view.rows(piece)]


def rows_to_columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return rows as columns, in the order in which their names first appear; what a row lacks is None."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}


def to_table(piece: Piece, features: Features | None = None) -> pa.Table:
    """Return a piece as a table with the columns of ``features``, inferred where None.

    Raises:
        ValueError: values that have no Arrow form, or do not fit the features.
    """
    from ..reading import columns_to_table

    if isinstance(piece, pa.Table):
        return piece if features is None else fit(piece, features)
    columns: dict[str, Any] = rows_to_columns(piece)
    if features is not None:
        columns = {name: columns.get(name, [None] * len(piece)) for name in features}
    return columns_to_table(columns, features)


def fit(table: pa.Table, features: Features) -> pa.Table:
    """Return a table with the columns and types of features, missing columns as nulls and others left out."""
    from ..builders.fitting import fit as fit_table

    wanted = [name for name in table.column_names if name in features]
    if len(wanted) != table.num_columns:
        table = table.select(wanted)
    return fit_table(table.replace_schema_metadata(None), features, "the stream")


@dataclass
class View:
    """What pieces are shown as: the columns' kinds and the format.

    Args:
        features: the columns' kinds, where they are known.
        kind: the format's name; None for Python values.
        options: the format's options.
    """

    features: Features | None = None
    kind: str | None = None
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._decoders: dict[str, Callable[[Any], Any]] | None = None
        self._made: Formatter | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {"features": self.features, "kind": self.kind, "options": self.options}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.__post_init__()

    @property
    def decoders(self) -> dict[str, Callable[[Any], Any]]:
        """Column → from a stored value to the one that users see."""
        if self._decoders is None:
            known: dict[str, Any] = self.features or {}
            self._decoders = {name: found for name, feature in known.items() if (found := decoder(feature))}
        return self._decoders

    @property
    def formatter(self) -> Formatter | None:
        """What makes tensors and frames; None for Python values."""
        if self._made is None and self.kind is not None:
            self._made = make_formatter(self.kind, self.decoders, **self.options)
        return self._made

    def plain(self) -> View:
        """Return the view of the same columns as Python values."""
        return self if self.kind is None else View(self.features)

    def rows(self, piece: Piece) -> Iterator[Any]:
        """Yield the rows one by one."""
        formatter = self.formatter
        if isinstance(piece, pa.Table):
            for start in range(0, piece.num_rows, _AT_ONCE):
                yield from table_rows(piece.slice(start, _AT_ONCE), formatter, self.decoders)
        elif formatter is None:
            yield from piece
        elif formatter.numpy_rows is None:
            for row in piece:
                yield formatter.table_row(to_table([row], self._known(row)))
        else:
            for row in piece:
                yield formatter.row(row)

    def _known(self, names: Any) -> Features | None:
        return self.features if self.features is not None and set(names) == set(self.features) else None

    def batch(self, piece: Piece) -> Any:
        """Return the rows as a dict of columns, or as the format's frame."""
        formatter = self.formatter
        if not isinstance(piece, pa.Table):
            columns = rows_to_columns(piece)
            if formatter is None:
                return columns
            if formatter.numpy_rows is not None:
                # what a function made may have no Arrow form: an array in a row, an image
                try:
                    return formatter.batch(to_table(piece, self._known(columns)), shared=False)
                except (ValueError, TypeError, pa.ArrowException):
                    return formatter.row(columns)
            piece = to_table(piece, self._known(columns))
        if formatter is not None:
            return formatter.batch(piece, shared=True)
        out = {}
        for name in piece.column_names:
            values = arrow_to_list(one_array(piece.column(name)))
            decode = self.decoders.get(name)
            out[name] = values if decode is None else [decode(value) for value in values]
        return out

    def argument(self, piece: Piece) -> Any:
        """Return the batch that a user's function gets: columns that stay in Arrow until it looks at them."""
        formatter = self.formatter
        if isinstance(piece, pa.Table) and (formatter is None or formatter.numpy_rows is not None):
            return Batch(piece, self.decoders, formatter)
        return self.batch(piece)


def is_frame(value: Any) -> bool:
    """Return whether a value is a table of some library rather than a dict of columns."""
    if isinstance(value, (pa.Table, pa.RecordBatch)):
        return True
    return hasattr(value, "columns") and (hasattr(value, "__arrow_c_stream__") or hasattr(value, "iloc"))


def frame_to_table(value: Any) -> pa.Table:
    """Return a table of Arrow, polars or pandas as an Arrow table."""
    if isinstance(value, pa.RecordBatch):
        return pa.Table.from_batches([value])
    if isinstance(value, pa.Table):
        return value
    if hasattr(value, "iloc"):
        return pa.Table.from_pandas(value, preserve_index=False).replace_schema_metadata(None)
    return pa.table(value)


def stays_arrow(value: Any) -> bool:
    """Return whether a column is in Arrow already, so that making Python values of it would be work for nothing."""
    return hasattr(value, "__arrow_c_array__") or hasattr(value, "__arrow_c_stream__")


def arrow_column(value: Any) -> pa.Array:
    """Return a column that is in Arrow as an array."""
    return to_arrow_array(value)


def batch_names(piece: Piece) -> list[str]:
    """Return the columns of a piece."""
    return (
        piece.column_names
        if isinstance(piece, pa.Table)
        else list(dict.fromkeys(name for row in piece for name in row))
    )
