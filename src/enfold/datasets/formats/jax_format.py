"""The jax format: integers as int32, floats as float32, lists of one length stacked; text stays Python."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from enfold.errors import required

from ..features.image import is_image
from ..values import arrow_to_list, arrow_to_numpy
from .base import Formatter

__all__ = ["Format"]


def _jax() -> Any:
    return required("jax", "the jax format", "jax")


class Format(Formatter):
    """Values as jax arrays; integers become int64 where jax has been told to use 64 bits.

    Args:
        options: arguments of ``jax.numpy.array``, such as ``dtype``; ``device`` names where the arrays go, as text.
    """

    numpy_rows = True

    def __init__(self, decoders: Any = None, device: Any = None, **options: Any) -> None:
        jax = _jax()
        super().__init__(decoders, **options)
        if device is not None and not isinstance(device, str):
            raise ValueError(f"name the device as text, such as {str(jax.devices()[0])!r}: its object cannot be stored")
        known = {str(found): found for found in jax.devices()}
        if device is not None and device not in known:
            raise ValueError(f"there is no device {device!r}; expected one of {list(known)}")
        self._device = known.get(device) if device else None

    def column(self, array: pa.Array, *, shared: bool = True) -> Any:
        if pa.types.is_struct(array.type):
            return [self.value(value) for value in arrow_to_list(array)]
        made = arrow_to_numpy(array)
        return self._array(made) if made.dtype != object else self.objects(list(made))

    def _array(self, values: np.ndarray) -> Any:
        jax = _jax()
        wide = bool(jax.config.jax_enable_x64)
        kinds = {"i": "int64" if wide else "int32", "u": "int64" if wide else "int32", "f": "float32"}
        wanted = self.options.get("dtype") or (None if values.dtype == np.uint8 else kinds.get(values.dtype.kind))
        options = {name: value for name, value in self.options.items() if name != "dtype"}
        made = jax.numpy.array(values, dtype=wanted, copy=True, **options)
        return made if self._device is None else jax.device_put(made, self._device)

    def value(self, value: Any) -> Any:
        if value is None or isinstance(value, (str, bytes)):
            return value
        if isinstance(value, dict):
            return {name: self.value(item) for name, item in value.items()}
        if is_image(value):
            return self._array(np.asarray(value))
        if isinstance(value, (np.ndarray, np.generic, bool, int, float)):
            made = np.asarray(value)
            return (
                self._array(made) if made.dtype.kind in "biuf" else self.objects(made.tolist()) if made.ndim else value
            )
        return self.objects(value) if isinstance(value, list) else value

    def objects(self, values: list[Any]) -> Any:
        jax = _jax()
        made = [self.value(value) for value in values]
        arrays = [item for item in made if isinstance(item, jax.Array)]
        if made and len(arrays) == len(made) and len({(item.shape, str(item.dtype)) for item in arrays}) == 1:
            return jax.numpy.stack(made)
        return made
