"""Columns and batches that stay in Arrow until somebody looks at the values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, MutableMapping, MutableSequence
from typing import Any

import numpy as np
import pyarrow as pa

from enfold.errors import nearest

from .errors import ColumnNotFoundError
from .formats.base import Formatter, decoded_values
from .values import arrow_to_list, one_array, to_arrow_array

__all__ = ["Batch", "Column", "Row", "unknown_column"]


def unknown_column(name: Any, known: Iterable[str]) -> ColumnNotFoundError:
    """Return the error for a column that is not there."""
    known = list(known)
    return ColumnNotFoundError(f"Column {name!r} doesn't exist{nearest(str(name), known) or '.'} Columns: {known}")


class Column(MutableSequence):
    """One column, as a list of values that are made from Arrow when they are asked for.

    It behaves as a list: iteration, length, indices, slices (which are lists), ``+``, ``*``, ``==``, ``in``,
    ``append`` and its siblings, and ``isinstance(column, list)``. Libraries that know Arrow take its data without a
    Python list, through ``__arrow_c_array__`` and ``__arrow_c_stream__``. Changing it changes neither the dataset
    nor another column.

    Args:
        load: the column's array, or a function that reads it when it is first needed.
        length: the number of values.
        decode: from a stored value to the one that users see, where they differ.
        formatter: what makes tensors of values, in a dataset with such a format.
        peek: reads a few positions without loading the whole column.
        view: gives the values at positions as what slices are given as, where that is no list: a pandas Series.
        each: whether single values, too, come out of ``view``, as those of a transform do.

    Example:
        >>> column = Column(pa.array(["a", "b"]), 2)
        >>> column[0], column[-1:], column + ["c"], column == ["a", "b"]
        ('a', ['b'], ['a', 'b', 'c'], True)
    """

    __slots__ = ("_array", "_decode", "_each", "_formatter", "_length", "_load", "_peek", "_values", "_view")

    def __init__(
        self,
        load: pa.Array | pa.ChunkedArray | Callable[[], pa.Array | pa.ChunkedArray],
        length: int,
        decode: Callable[[Any], Any] | None = None,
        formatter: Formatter | None = None,
        peek: Callable[[np.ndarray], pa.Array] | None = None,
        view: Callable[[np.ndarray], Any] | None = None,
        each: bool = False,
    ) -> None:
        self._load: Any = load
        self._array: pa.Array | None = None
        self._length = length
        self._decode = decode
        self._formatter = formatter
        self._peek = peek
        self._view, self._each = view, each
        self._values: list[Any] | None = None

    # Code that asks isinstance(values, list) before it iterates accepts a column; C code that reads a list's memory
    # asks for the type itself and is not misled.
    @property
    def __class__(self) -> type:  # type: ignore[override]
        return list

    @__class__.setter
    def __class__(self, kind: type) -> None:
        raise TypeError("a column's class cannot be changed")

    # ---- Arrow

    @property
    def arrow(self) -> pa.Array:
        """The stored values as one Arrow array."""
        if self._values is not None and self._array is None:
            return to_arrow_array(self._values)
        if self._array is None:
            self._array = one_array(self._load() if callable(self._load) else self._load)
        return self._array

    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]:
        return self.arrow.__arrow_c_array__(requested_schema)

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return pa.chunked_array([self.arrow]).__arrow_c_stream__(requested_schema)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        from .values import arrow_to_numpy

        if self._values is not None or self._decode is not None:
            return np.array(self.tolist(), dtype=dtype)
        made = arrow_to_numpy(self.arrow)
        return made.astype(dtype) if dtype is not None and made.dtype != dtype else made

    # ---- reading

    def _list(self) -> list[Any]:
        if self._values is None:
            if self._each and self._view is not None:
                starts = range(0, self._length, 32)
                parts = [self._view(np.arange(start, min(start + 32, self._length))) for start in starts]
                self._values = [value for part in parts for value in part]
            elif self._formatter is not None:
                self._values = list(self._formatter.decoded(self.arrow, self._decode))
            else:
                self._values = self._part(self.arrow)
        return self._values

    def tolist(self) -> list[Any]:
        """Return the values as a list of its own."""
        return list(self._list())

    to_pylist = tolist

    def __len__(self) -> int:
        return self._length if self._values is None else len(self._values)

    def __iter__(self) -> Iterator[Any]:
        if self._values is None and self._decode is not None and not self._each and pa.types.is_nested(self.arrow.type):
            # images and recordings: a few at a time, as all of them may be more than memory holds
            return (value for start in range(0, self._length, 32) for value in self._part(self.arrow.slice(start, 32)))
        return iter(self._list())

    def _part(self, array: pa.Array) -> Any:
        if self._formatter is not None:
            return self._formatter.decoded(array, self._decode)
        return arrow_to_list(array) if self._decode is None else decoded_values(array, self._decode)

    def _field(self, name: str) -> Any:
        """Return a field of every value, where the values are structs."""
        import pyarrow.compute as pc

        if self._decode is not None or self._each or self._load is None:
            return [None if value is None else value[name] for value in self]
        kind = self.arrow.type
        if not pa.types.is_struct(kind):
            raise TypeError(f"the column holds {kind}, which has no field {name!r}")
        if kind.get_field_index(name) < 0:
            raise unknown_column(name, [field.name for field in kind])
        return Column(pc.struct_field(self.arrow, name), self._length, None, self._formatter)

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            return self._field(key)
        if self._values is not None and self._formatter is None and self._view is None:
            if isinstance(key, (list, np.ndarray, tuple)):
                return [self._values[i] for i in key]
            return self._values[key]
        if isinstance(key, slice):
            rows = np.arange(*key.indices(self._length))
            if self._view is not None:
                return self._view(rows)
            if self._array is None and self._peek is not None:
                return self._part(self._peek(rows))
            if key.step in (None, 1):
                return self._part(self.arrow.slice(int(rows[0]) if len(rows) else 0, len(rows)))
            return self._part(self.arrow.take(pa.array(rows)))
        if hasattr(key, "__iter__"):
            rows = np.asarray(list(key), np.int64)
            rows = np.where(rows < 0, rows + self._length, rows)
            if len(rows) and (rows.min() < 0 or rows.max() >= self._length):
                raise IndexError(f"column index out of range: the column has {self._length} values")
            if self._view is not None:
                return self._view(rows)
            return self._part(self._peek(rows) if self._peek is not None else self.arrow.take(pa.array(rows)))
        position = key.__index__()
        if position < 0:
            position += self._length
        if not 0 <= position < self._length:
            raise IndexError(f"column index {key} is out of range: the column has {self._length} values")
        if self._each and self._view is not None:
            return self._view(np.array([position]))[0]
        if self._array is None and self._peek is not None:
            return self._part(self._peek(np.array([position])))[0]
        return self._part(self.arrow.slice(position, 1))[0]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, (list, tuple)):
            return self._list() == list(other)
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __add__(self, other: Any) -> list[Any]:
        return self._list() + list(other)

    def __radd__(self, other: Any) -> list[Any]:
        return list(other) + self._list()

    def __mul__(self, times: int) -> list[Any]:
        return self._list() * times

    __rmul__ = __mul__

    def __lt__(self, other: Any) -> bool:
        return self._list() < list(other)

    def __repr__(self) -> str:
        shown = self[:5]
        text = repr(list(shown) if not isinstance(shown, list) else shown)
        return f"Column({text[:-1]}, ...])" if len(self) > 5 else f"Column({text})"

    def __reduce__(self) -> Any:
        return (list, (self.tolist(),))

    def __copy__(self) -> list[Any]:
        return self.tolist()

    def __deepcopy__(self, memo: dict[int, Any]) -> list[Any]:
        import copy

        return copy.deepcopy(self.tolist(), memo)

    def copy(self) -> list[Any]:
        """Return the values as a list of its own."""
        return self.tolist()

    @property
    def pristine(self) -> bool:
        """Whether the values are still those that the column was made of."""
        if self._load is None:
            return False
        return self._values is None or not pa.types.is_nested(self.arrow.type)

    # ---- changing: the column becomes an ordinary list of its own

    def _own(self) -> list[Any]:
        values = list(self._list())
        self._values, self._array, self._load, self._peek, self._formatter = values, None, None, None, None
        self._view, self._each = None, False
        return values

    def __setitem__(self, key: Any, value: Any) -> None:
        self._own()[key] = value

    def __delitem__(self, key: Any) -> None:
        del self._own()[key]

    def insert(self, index: int, value: Any) -> None:
        """Insert a value before a position."""
        self._own().insert(index, value)

    def sort(self, *, key: Callable[[Any], Any] | None = None, reverse: bool = False) -> None:
        """Sort the values in place."""
        self._own().sort(key=key, reverse=reverse)


class Batch(MutableMapping):
    """Rows of a dataset as a dict of columns, each made when it is asked for.

    Args:
        table: the rows.
        decoders: column → from a stored value to the one that users see.
        formatter: makes tensors of columns, in a dataset with such a format.
        columns: the columns to show; all of the table where None.
    """

    def __init__(
        self,
        table: pa.Table,
        decoders: dict[str, Callable[[Any], Any]] | None = None,
        formatter: Formatter | None = None,
        columns: list[str] | None = None,
    ) -> None:
        self._table = table
        self._decoders = decoders or {}
        self._formatter = formatter
        self._made: dict[str, Column] = {}
        self._deleted: set[str] = set()
        self._columns: dict[str, Any] = dict.fromkeys(columns if columns is not None else table.column_names, _UNREAD)

    def __getitem__(self, name: str) -> Any:
        found = self._columns.get(name, _ABSENT)
        if found is _UNREAD:
            found = self._columns[name] = self._read(name)
        elif found is _ABSENT:
            raise unknown_column(name, self._columns)
        return found

    def _read(self, name: str) -> Any:
        column = self._table.column(name)
        if self._formatter is not None:
            return self._formatter.decoded(one_array(column), self._decoders.get(name))
        made = self._made[name] = Column(column, len(column), self._decoders.get(name))
        return made

    def untouched(self, name: str, value: Any) -> bool:
        """Return whether ``value`` is this batch's own column of that name, and nobody can have changed it."""
        return type(value) is Column and value is self._made.get(name) and value.pristine

    def changes(self) -> dict[str, Any]:
        """Return the columns that were read or set; the others are still what they were."""
        return {name: value for name, value in self._columns.items() if value is not _UNREAD}

    def __setitem__(self, name: str, value: Any) -> None:
        self._columns[name] = value
        self._deleted.discard(name)

    def __delitem__(self, name: str) -> None:
        del self._columns[name]
        self._deleted.add(name)

    def deleted(self) -> set[str]:
        """Return the columns that were deleted."""
        return set(self._deleted)

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def __contains__(self, name: object) -> bool:
        return name in self._columns

    def __repr__(self) -> str:
        return repr({name: self[name] for name in self})

    def copy(self) -> dict[str, Any]:
        """Return a dict of the columns."""
        return dict(self)

    def __or__(self, other: Any) -> dict[str, Any]:
        return {**self, **other}

    def __ror__(self, other: Any) -> dict[str, Any]:
        return {**other, **self}


class Row(MutableMapping):
    """A row as a dict whose images and recordings are decoded when they are asked for.

    Args:
        values: the row, with the stored form of the columns that are decoded later.
        decoders: those columns → from the stored value to the one that users see.
    """

    def __init__(self, values: dict[str, Any], decoders: dict[str, Callable[[Any], Any]]) -> None:
        self._values = values
        self._pending = {name: decode for name, decode in decoders.items() if name in values}

    def __getitem__(self, name: str) -> Any:
        decode = self._pending.pop(name, None)
        if decode is not None:
            self._values[name] = decode(self._values[name])
        return self._values[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self._pending.pop(name, None)
        self._values[name] = value

    def __delitem__(self, name: str) -> None:
        self._pending.pop(name, None)
        del self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __repr__(self) -> str:
        return repr({name: self[name] for name in self})

    def __or__(self, other: Any) -> dict[str, Any]:
        return {**self, **other}

    def __ror__(self, other: Any) -> dict[str, Any]:
        return {**other, **self}

    def copy(self) -> dict[str, Any]:
        """Return a dict of the row."""
        return dict(self)

    def stored(self) -> dict[str, Any]:
        """Return the row's values, those that nobody asked for in their stored form."""
        return dict(self._values)

    @property
    def pending(self) -> set[str]:
        """The columns that nobody asked for yet."""
        return set(self._pending)


_UNREAD = object()
_ABSENT = object()
