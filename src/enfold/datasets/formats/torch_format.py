"""The torch format: integers as int64, floats as float32, lists of one length stacked; text stays Python."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pyarrow as pa

from ..features.image import is_image
from ..values import arrow_to_list, arrow_to_numpy
from .base import Formatter
from .rooms import Rooms

__all__ = ["Format"]

_NUMPY_TO_TORCH = {
    name: name for name in ("uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64", "bool")
}
_UNKNOWN: Any = object()


class Format(Formatter):
    """Values as torch tensors.

    A tensor never shares memory with the dataset, so that writing into it is safe: rows that were gathered for it
    alone are used without a copy, a view of the dataset's memory is copied once.

    Args:
        options: arguments of ``torch.tensor``, such as ``dtype`` and ``device``.
    """

    numpy_rows = True

    def __init__(self, decoders: Any = None, **options: Any) -> None:
        super().__init__(decoders, **options)
        self._rooms = Rooms()
        self._targets: dict[np.dtype, np.dtype | None] = {}

    def column(self, array: pa.Array, *, shared: bool = True) -> Any:
        if pa.types.is_struct(array.type):
            return [self._value(value) for value in arrow_to_list(array)]
        made = arrow_to_numpy(array)
        if made.dtype == object:
            return [self._value(value) for value in made]
        return self._tensor(made, shared)

    def _tensor(self, values: np.ndarray, shared: bool) -> Any:
        import torch

        target = self._targets.get(values.dtype, _UNKNOWN)
        if target is _UNKNOWN:
            target = self._targets[values.dtype] = self._target(values.dtype)
        if target is not None:
            made = torch.from_numpy(self._rooms.convert(values, target))
            device = self.options.get("device")
            return made if device is None else made.to(device)
        wanted = self._wanted(values.dtype)
        if values.dtype.kind == "u" and values.dtype != np.uint8:
            values, shared = values.astype(np.int64), False
        if values.dtype.kind == "M":
            return values.tolist()
        converts = wanted is not None and str(wanted) != f"torch.{_NUMPY_TO_TORCH.get(values.dtype.name)}"
        if not values.flags.writeable:
            # a conversion copies anyway; so does the exchange below never need to, when the rows are ours alone
            if shared and not converts:
                values = values.copy()
            else:
                with warnings.catch_warnings():
                    warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
                    return torch.from_numpy(values).to(device=self.options.get("device"), dtype=wanted)
        elif shared and not converts:
            values = values.copy()
        made = torch.from_numpy(values)
        return made.to(device=self.options.get("device"), dtype=wanted)

    def _wanted(self, dtype: np.dtype) -> Any:
        """Return the dtype of tensors of numbers of a dtype, or None where it is their own."""
        import torch

        wanted = self.options.get("dtype")
        return (
            wanted if wanted is not None else {"i": torch.int64, "u": torch.int64, "f": torch.float32}.get(dtype.kind)
        )

    def _target(self, dtype: np.dtype) -> np.dtype | None:
        """Return the dtype that numpy converts such numbers to for torch, or None where there is nothing to convert."""
        name = str(self._wanted(dtype)).removeprefix("torch.")
        same = name == dtype.name or dtype.kind not in "iuf" or name not in _NUMPY_TO_TORCH
        return None if same else np.dtype(name)

    def _value(self, value: Any) -> Any:
        import torch

        if isinstance(value, dict):
            return {name: self._value(item) for name, item in value.items()}
        if isinstance(value, list):
            items = [self._value(item) for item in value]
            if items and all(
                isinstance(item, torch.Tensor) and item.shape == items[0].shape and item.dtype == items[0].dtype
                for item in items
            ):
                return torch.stack(items)
            return items
        if isinstance(value, np.ndarray):
            if value.dtype == object:
                return self._value(value.tolist())
            return self._tensor(value, shared=True)
        if isinstance(value, (np.generic, bool, int, float)):
            return self._scalar(value)
        if is_image(value):  # channels first
            pixels = np.asarray(value)
            pixels = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
            return torch.tensor(np.ascontiguousarray(pixels), **self.options)
        return value

    def _scalar(self, value: Any) -> Any:
        import torch

        if isinstance(value, np.datetime64):
            return value.item()
        kind = value.dtype.kind if isinstance(value, np.generic) else {bool: "b", int: "i"}.get(type(value), "f")
        wanted = self.options.get("dtype") or {"i": torch.int64, "u": torch.int64, "f": torch.float32}.get(kind)
        plain = value.item() if isinstance(value, np.generic) else value
        return torch.tensor(plain, dtype=wanted, device=self.options.get("device"))

    value = _value

    def objects(self, values: list[Any]) -> Any:
        return self._value(values)
