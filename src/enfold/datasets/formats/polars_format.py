"""The polars format: rows as DataFrames, columns as Series; polars takes the Arrow buffers as they are."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from ..values import one_array
from .base import Formatter, decoded_values

__all__ = ["Format", "require_polars"]


def require_polars() -> Any:
    """Return the polars module.

    Raises:
        ImportError: polars is not installed.
    """
    try:
        import polars
    except ImportError:
        raise ImportError("this needs polars, which is not installed: pip install polars") from None
    return polars


class Format(Formatter):
    """Values as polars objects."""

    numpy_rows = None

    def __init__(self, decoders: Any = None, **options: Any) -> None:
        require_polars()
        super().__init__(decoders, **options)

    def column(self, array: pa.Array, *, shared: bool = True) -> Any:
        return require_polars().from_arrow(array)

    def batch(self, table: pa.Table, *, shared: bool = True) -> Any:
        polars = require_polars()
        frame = polars.from_arrow(table)
        for name in [name for name in table.column_names if name in self.decoders]:
            values = decoded_values(one_array(table.column(name)), self.decoders[name])
            frame = frame.with_columns(polars.Series(name, values, dtype=polars.Object))
        return frame

    def table_row(self, table: pa.Table) -> Any:
        return self.batch(table)
