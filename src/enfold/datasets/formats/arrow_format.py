"""The Arrow format: rows as ``pyarrow.Table``, columns as ``pyarrow.Array``."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from .base import Formatter

__all__ = ["Format"]


class Format(Formatter):
    """Values as Arrow."""

    numpy_rows = None

    def column(self, array: pa.Array, *, shared: bool = True) -> Any:
        return array

    def batch(self, table: pa.Table, *, shared: bool = True) -> Any:
        return table

    def table_row(self, table: pa.Table) -> Any:
        return table
