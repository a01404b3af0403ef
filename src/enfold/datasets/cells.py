"""Values as CSV and JSON files have them."""

from __future__ import annotations

import math
from typing import Any

import pyarrow as pa

from .values import arrow_to_list

__all__ = ["csv_cells", "finite", "json_value"]


def finite(value: Any) -> Any:
    """Return a value with None in the places of numbers that JSON has no word for: not a number, and the infinite."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: finite(item) for name, item in value.items()}
    return [finite(item) for item in value] if isinstance(value, list) else value


def csv_cells(array: pa.Array) -> list[Any]:
    """Values as the ecosystem's CSV files have them: lists as numpy prints them, missing values empty."""
    import numpy as np

    kind = array.type
    values = arrow_to_list(array)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return ["" if value is None else str(np.asarray(value)) for value in values]
    if pa.types.is_floating(kind):
        return ["" if value is None or value != value else repr(value) for value in values]
    return ["" if value is None else value for value in values]


def json_value(value: Any) -> Any:
    """Return what stands in JSON for a value that has no form there: milliseconds for a time, base64 for bytes."""
    import base64
    import datetime
    import decimal

    if isinstance(value, datetime.datetime):
        return int(value.replace(tzinfo=value.tzinfo or datetime.timezone.utc).timestamp() * 1000)
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return float(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raise TypeError(f"a {type(value).__name__} has no JSON form")
