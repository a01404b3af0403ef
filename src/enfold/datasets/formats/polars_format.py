"""The polars format: rows as DataFrames, columns as Series; polars takes the Arrow buffers as they are."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from .base import Formatter

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
        return require_polars().from_arrow(table)

    def table_row(self, table: pa.Table) -> Any:
        return require_polars().from_arrow(table)
