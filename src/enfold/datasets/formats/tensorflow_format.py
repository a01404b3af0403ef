"""The tensorflow format: integers as int64, floats as float32, ragged lists as ragged tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from enfold.errors import required

from ..features.image import is_image
from ..values import arrow_to_list, arrow_to_numpy
from .base import Formatter

__all__ = ["Format", "require_tensorflow"]


def require_tensorflow(feature: str = "the tensorflow format") -> Any:
    """Return TensorFlow.

    Raises:
        MissingExtra: it is not installed; the message names the feature that needs it.
    """
    return required("tensorflow", feature, "tf")


class Format(Formatter):
    """Values as tensorflow tensors; text becomes tensors of strings.

    Args:
        options: arguments of ``tf.convert_to_tensor``, such as ``dtype``.
    """

    numpy_rows = True

    def __init__(self, decoders: Any = None, **options: Any) -> None:
        require_tensorflow()
        super().__init__(decoders, **options)

    def column(self, array: pa.Array, *, shared: bool = True) -> Any:
        if pa.types.is_struct(array.type):
            return [self.value(value) for value in arrow_to_list(array)]
        made = arrow_to_numpy(array)
        return self._tensor(made) if made.dtype != object else self.objects(list(made))

    def _tensor(self, values: Any) -> Any:
        tf = require_tensorflow()
        options = dict(self.options)
        if "dtype" not in options and isinstance(values, np.ndarray) and values.dtype != np.uint8:
            kind = {"i": tf.int64, "u": tf.int64, "f": tf.float32}.get(values.dtype.kind)
            options = {**options, "dtype": kind} if kind is not None else options
        if isinstance(values, np.ndarray) and "dtype" in options and options["dtype"] is not None:
            values = values.astype(options["dtype"].as_numpy_dtype, copy=False)
        return tf.convert_to_tensor(values, **options)

    def value(self, value: Any) -> Any:
        if value is None:
            return value
        if isinstance(value, dict):
            return {name: self.value(item) for name, item in value.items()}
        if is_image(value):
            return self._tensor(np.asarray(value))
        if isinstance(value, (np.ndarray, np.generic, bool, int, float)):
            made = np.asarray(value)
            return self._tensor(made) if made.dtype.kind in "biuf" else self.objects(made.tolist())
        if isinstance(value, (str, bytes)):
            return require_tensorflow().convert_to_tensor(value)
        return self.objects(value) if isinstance(value, list) else value

    def objects(self, values: list[Any]) -> Any:
        tf = require_tensorflow()
        made = [self.value(value) for value in values]
        tensors = [item for item in made if isinstance(item, tf.Tensor)]
        if not made or len(tensors) != len(made):
            return made
        if len({(tuple(item.shape), item.dtype) for item in tensors}) == 1:
            return tf.stack(made)
        if len({(item.shape.rank, item.dtype) for item in tensors}) == 1 and tensors[0].shape.rank == 1:
            return tf.ragged.stack(made)
        return made
