"""The formats' names, and what each must do."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import pyarrow as pa

from enfold.errors import nearest

__all__ = ["CustomFormatter", "Formatter", "decoded_values", "format_name", "make_formatter"]

# every spelling → the format's own name; the module of that name has the class `Format`
_NAMES: dict[str | None, str | None] = {
    None: None,
    "python": None,
    "numpy": "numpy",
    "np": "numpy",
    "torch": "torch",
    "pt": "torch",
    "pytorch": "torch",
    "arrow": "arrow",
    "pa": "arrow",
    "pyarrow": "arrow",
    "pandas": "pandas",
    "pd": "pandas",
    "polars": "polars",
    "pl": "polars",
    "tensorflow": "tensorflow",
    "tf": "tensorflow",
    "jax": "jax",
    "custom": "custom",
}


class Formatter:
    """Turns Arrow into the values of one format.

    Args:
        decoders: column → from a stored value to the one that users see.
        options: what the format was set with, such as ``dtype``.
    """

    #: whether a row is made from numpy values (else from Python values), or from a table of one row where None
    numpy_rows: bool | None = False
    #: whether what comes out is up to a user's function
    is_transform = False

    def __init__(self, decoders: dict[str, Callable[[Any], Any]] | None = None, **options: Any) -> None:
        self.decoders = decoders or {}
        self.options = options

    def column(self, array: pa.Array, *, shared: bool = True) -> Any:
        """Return a column; ``shared``: others read the array's memory, so it must not be handed out writable."""
        raise NotImplementedError

    def batch(self, table: pa.Table, *, shared: bool = True) -> Any:
        """Return rows as a dict of columns."""
        from ..values import one_array

        return {
            name: self.decoded(one_array(table.column(name)), self.decoders.get(name), shared=shared)
            for name in table.column_names
        }

    def decoded(self, array: pa.Array, decode: Callable[[Any], Any] | None, *, shared: bool = True) -> Any:
        """Return a column whose stored values are decoded first, where there is a function for that."""
        if decode is None or self.numpy_rows is None:
            return self.column(array, shared=shared)
        return self.objects(decoded_values(array, decode))

    def objects(self, values: list[Any]) -> Any:
        """Return a column of decoded values: images, recordings, whatever a JSON text says."""
        raise NotImplementedError

    def value(self, value: Any) -> Any:
        """Return one value."""
        return value

    def row(self, values: dict[str, Any]) -> Any:
        """Return a row from its stored values."""
        decoders = self.decoders
        return {
            name: self.value(decoders[name](_plain(value)) if name in decoders else value)
            for name, value in values.items()
        }

    def table_row(self, table: pa.Table) -> Any:
        """Return a row from a table of one row."""
        raise NotImplementedError


def decoded_values(array: pa.Array, decode: Callable[[Any], Any]) -> list[Any]:
    """Return the decoded values of a column, made in several threads."""
    from ..features.storage import decode_all
    from ..values import arrow_to_list

    return decode_all(decode, arrow_to_list(array), pa.types.is_nested(array.type))


def _plain(value: Any) -> Any:
    """Replace the numpy scalars and arrays that a row is read as by what decoders take."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if type(value).__module__ == "numpy":
        return _plain(value.tolist())
    return value


class CustomFormatter(Formatter):
    """A user's function from a batch (a dict of lists) to whatever it returns.

    Args:
        transform: the function.
    """

    numpy_rows = None
    is_transform = True

    def __init__(self, decoders: Any = None, transform: Callable[[Any], Any] | None = None, **options: Any) -> None:
        super().__init__(decoders, **options)
        if not callable(transform):
            raise ValueError("a custom format needs a function: set_transform(function)")
        self.transform = transform

    def batch(self, table: pa.Table, *, shared: bool = True) -> Any:
        from ..values import arrow_to_list, one_array

        columns = {}
        for name in table.column_names:
            array, decode = one_array(table.column(name)), self.decoders.get(name)
            columns[name] = arrow_to_list(array) if decode is None else decoded_values(array, decode)
        return self.transform(columns)

    def table_row(self, table: pa.Table) -> Any:
        made = self.batch(table)
        try:
            return {name: values[0] for name, values in made.items()}
        except (AttributeError, TypeError, IndexError, KeyError) as error:
            raise TypeError(f"a transform must return a dict of lists, with one value for each row: {error}") from error

    def column(self, array: pa.Array, *, shared: bool = True) -> Any:
        from ..values import arrow_to_list

        return arrow_to_list(array)


def format_name(name: str | None) -> str | None:
    """Return a format's own name for any of its spellings (None for Python).

    Raises:
        ValueError: no such format; the nearest one is named.
    """
    if name not in _NAMES:
        known = [key for key in _NAMES if key]
        raise ValueError(f"unknown format {name!r}{nearest(str(name), known)}; expected one of {known}")
    return _NAMES[name]


def make_formatter(
    name: str | None, decoders: dict[str, Callable[[Any], Any]] | None = None, **options: Any
) -> Formatter | None:
    """Return the formatter of a name, or None for plain Python values."""
    name = format_name(name)
    if name is None:
        return None
    if name == "custom":
        return CustomFormatter(decoders, **options)
    module = importlib.import_module(f"{__package__}.{name}_format")
    return module.Format(decoders, **options)
