"""Token columns and lists to padded lists, arrays and tensors. Each library is imported on demand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from enfold.errors import MissingExtra

__all__ = ["PaddedColumn", "is_column", "is_tensor", "pad_rows", "rectangle", "to_lists", "to_tensor"]


def is_column(value: Any) -> bool:
    """Whether ``value`` is a column of token lists on flat buffers."""
    return hasattr(value, "offsets") and hasattr(value, "values") and hasattr(value, "__arrow_c_array__")


def is_tensor(value: Any) -> bool:
    """Whether ``value`` is an array of torch, numpy, tensorflow or jax, without importing any of them."""
    return hasattr(value, "shape") and hasattr(value, "dtype")


def to_lists(value: Any) -> Any:
    """Return ``value`` with arrays and token columns turned into Python lists."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if hasattr(value, "numpy"):
        return value.numpy().tolist()
    return value


def pad_rows(rows: Sequence[Sequence[Any]], length: int, value: Any, side: str) -> list[list[Any]]:
    """Return the rows as lists of at least ``length`` items, filled with ``value`` on ``side``."""
    if side == "right":
        return [[*row, *[value] * (length - len(row))] for row in rows]
    return [[*[value] * (length - len(row)), *row] for row in rows]


def rectangle(column: Any, length: int, value: int, side: str) -> Any:
    """Return a token column as a numpy int64 array [rows, length], straight from its buffers.

    Args:
        column: a token column; no row is longer than ``length``.
        length: tokens a row.
        value: what fills the rest of a row.
        side: where the filling goes, "left" or "right".
    """
    import numpy as np

    offsets = np.asarray(column.offsets)
    values = np.asarray(column.values)[offsets[0] : offsets[-1]] if len(offsets) else np.empty(0, np.int32)
    lengths = np.diff(offsets)
    rows = len(lengths)
    if rows and (lengths == length).all():
        return values.astype(np.int64).reshape(rows, length)
    array = np.full((rows, length), value, dtype=np.int64)
    places = np.arange(length)
    array[places < lengths[:, None] if side == "right" else places >= length - lengths[:, None]] = values
    return array


def to_tensor(value: Any, kind: str, batch_axis: bool = False) -> Any:
    """Return nested lists, an array or a column as a tensor of the library ``kind`` ("pt", "np", "tf" or "jax").

    Raises:
        ValueError: rows of unequal length.
        MissingExtra: the library is not installed.
    """
    if is_column(value):
        import numpy as np

        lengths = np.diff(np.asarray(value.offsets))
        if len(set(lengths.tolist())) > 1:
            value = value.tolist()
        else:
            value = rectangle(value, int(lengths[0]) if len(lengths) else 0, 0, "right")
    if batch_axis:
        value = value[None] if is_tensor(value) else [value]
    if kind == "pt":
        try:
            import torch
        except ImportError:
            raise MissingExtra("return_tensors='pt'", "torch") from None
        if isinstance(value, torch.Tensor):
            return value
        if isinstance(value, list) and value and isinstance(value[0], torch.Tensor):
            return torch.stack(value)
        if hasattr(value, "__array__"):
            return torch.as_tensor(value.__array__())
        if isinstance(value, list) and value and hasattr(value[0], "__array__"):
            import numpy as np

            return torch.from_numpy(np.array(value))
        return torch.tensor(value)
    if kind == "np":
        import numpy as np

        if isinstance(value, np.ndarray):
            return value
        rows = value if isinstance(value, list) else to_lists(value)
        if len({len(row) for row in rows if isinstance(row, list | tuple)}) > 1:
            return np.array([np.array(row) for row in rows], dtype=object)  # ragged rows: an array of arrays
        return np.array(rows)
    if kind == "tf":
        try:
            import tensorflow  # type: ignore[import-not-found,unused-ignore]
        except ImportError:
            raise MissingExtra("return_tensors='tf'", "tf") from None
        if is_tensor(value) or (isinstance(value, list) and value and is_tensor(value[0])):
            import numpy as np

            if tensorflow.is_tensor(value):
                return value
            value = np.asarray(value)
        if getattr(value, "dtype", None) == "int64":  # TensorFlow's models count in 32 bits
            value = value.astype("int32")
        return tensorflow.constant(value)
    if kind == "jax":
        try:
            import jax.numpy  # type: ignore[import-not-found,unused-ignore]
        except ImportError:
            raise MissingExtra("return_tensors='jax'", "jax") from None
        return jax.numpy.asarray(value)
    raise ValueError(f"return_tensors is one of pt, np, tf, jax, not {kind!r}")


class PaddedColumn(Sequence[list[int]]):
    """Rows of one length on one array, for data sets: list-like, and written to Arrow without Python lists.

    Args:
        array: numpy integers [rows, length].
    """

    def __init__(self, array: Any) -> None:
        self._array = array

    def __len__(self) -> int:
        return len(self._array)

    def __getitem__(self, index: Any) -> Any:
        return PaddedColumn(self._array[index]) if isinstance(index, slice) else self._array[index].tolist()

    def tolist(self) -> list[list[int]]:
        """Return the rows as lists."""
        return self._array.tolist()

    def __arrow_c_array__(self, requested_schema: Any = None) -> Any:
        import numpy as np
        import pyarrow as pa

        rows, length = self._array.shape
        offsets = pa.array(np.arange(rows + 1, dtype=np.int32) * np.int32(length))
        values = pa.array(np.ascontiguousarray(self._array, dtype=np.int32).reshape(-1))
        return pa.ListArray.from_arrays(offsets, values).__arrow_c_array__(requested_schema)

    def __repr__(self) -> str:
        return f"PaddedColumn({len(self)} rows of {self._array.shape[1]})"
