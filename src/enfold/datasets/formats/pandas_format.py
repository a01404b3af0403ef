"""The pandas format: rows as DataFrames, columns as Series."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from ..values import one_array
from .base import Formatter, decoded_values

__all__ = ["Format", "require_pandas"]


def require_pandas() -> Any:
    """Return the pandas module.

    Raises:
        ImportError: pandas is not installed.
    """
    try:
        import pandas
    except ImportError:
        raise ImportError("this needs pandas, which is not installed: pip install pandas") from None
    return pandas


class Format(Formatter):
    """Values as pandas objects."""

    numpy_rows = None

    def __init__(self, decoders: Any = None, **options: Any) -> None:
        require_pandas()
        super().__init__(decoders, **options)

    def column(self, array: pa.Array, *, shared: bool = True) -> Any:
        return array.to_pandas(**self.options)

    def batch(self, table: pa.Table, *, shared: bool = True) -> Any:
        frame = table.to_pandas(**self.options)
        for name in [name for name in table.column_names if name in self.decoders]:
            values = decoded_values(one_array(table.column(name)), self.decoders[name])
            frame[name] = require_pandas().Series(values, dtype=object, index=frame.index)
        return frame

    def table_row(self, table: pa.Table) -> Any:
        return self.batch(table)
