"""The numpy format: integers as int64, floats as float32, lists of one length as arrays of more dimensions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from ..features.image import is_image
from ..values import arrow_to_list, arrow_to_numpy
from .base import Formatter
from .rooms import Rooms

__all__ = ["Format"]


class Format(Formatter):
    """Values as numpy arrays.

    Args:
        options: arguments of ``numpy.asarray``, such as ``dtype``.
    """

    numpy_rows = True

    def __init__(self, decoders: Any = None, **options: Any) -> None:
        super().__init__(decoders, **options)
        self._rooms = Rooms()

    def column(self, array: pa.Array, *, shared: bool = True) -> Any:
        if pa.types.is_struct(array.type):
            return np.array([self._value(value) for value in arrow_to_list(array)] + [None], object)[:-1]
        if _is_text(array.type) and array.null_count == 0 and len(array):
            return np.array(arrow_to_list(array))
        made = arrow_to_numpy(array)
        if made.dtype == object:
            out = np.empty(len(made), object)
            for i, value in enumerate(made):
                out[i] = self._value(value)
            return out
        return self._cast(made, shared)

    def _cast(self, values: np.ndarray, shared: bool) -> np.ndarray:
        kind = self.options.get("dtype") or {"i": np.int64, "u": np.int64, "f": np.float32}.get(values.dtype.kind)
        if values.dtype == np.uint64 and "dtype" not in self.options:
            kind = np.uint64
        if kind is not None and np.dtype(kind).kind in "iuf" and values.dtype != kind:
            return self._rooms.convert(values, np.dtype(kind))
        made = values if kind is None else values.astype(kind, copy=False)
        return made.copy() if shared and np.shares_memory(made, values) else _writable(made)

    def _value(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: self._value(item) for name, item in value.items()}
        if isinstance(value, list):
            value = np.asarray(value) if not any(isinstance(item, (dict, str, type(None))) for item in value) else value
            if isinstance(value, list):
                return np.array([*[self._value(item) for item in value], None], object)[:-1]
        if isinstance(value, np.ndarray) and value.dtype != object:
            return self._cast(value, shared=True)
        if isinstance(value, (bool, int, float, str)):
            return np.asarray(value)[()]
        return np.asarray(value) if is_image(value) else value

    value = _value

    def objects(self, values: list[Any]) -> Any:
        made = [self._value(value) for value in values]
        first = made[0] if made else None
        if isinstance(first, np.ndarray) and all(
            isinstance(item, np.ndarray) and item.shape == first.shape and item.dtype == first.dtype for item in made
        ):
            return np.stack(made)
        out = np.empty(len(made), object)
        for i, item in enumerate(made):  # an assignment of all at once would look into the arrays
            out[i] = item
        return out


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _writable(values: np.ndarray) -> np.ndarray:
    return values if values.flags.writeable else values.copy()
