"""New tensors, and tensors of another type, in TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from enfold.transformers.frameworks.graph.program import DType
from enfold.transformers.frameworks.operations import Table
from enfold.transformers.frameworks.tensorflow_ops.values import as_dtype, cast, dims, scalar_type, shape_of

__all__ = ["OPS"]

OPS = Table()


@OPS.op("_to_copy", "prims.convert_element_type")
def _to(x: Any, dtype: DType | None = None) -> Any:
    return tf.convert_to_tensor(x) if dtype is None else cast(x, as_dtype(dtype))


def _filled(sizes: Sequence[Any], value: Any, dtype: Any) -> Any:
    return tf.fill(dims(sizes), tf.cast(value, dtype))


OPS.add(
    detach=tf.stop_gradient,
    fill=lambda x, value: _filled(shape_of(x), value, x.dtype),
    full=lambda sizes, value, dtype=None: _filled(sizes, value, as_dtype(dtype, scalar_type(value))),
    full_like=lambda x, value, dtype=None: _filled(shape_of(x), value, as_dtype(dtype, x.dtype)),
    ones=lambda sizes, dtype=None: _filled(sizes, 1, as_dtype(dtype)),
    ones_like=lambda x, dtype=None: _filled(shape_of(x), 1, as_dtype(dtype, x.dtype)),
    new_ones=lambda x, sizes, dtype=None: _filled(sizes, 1, as_dtype(dtype, x.dtype)),
    new_full=lambda x, sizes, value, dtype=None: _filled(sizes, value, as_dtype(dtype, x.dtype)),
    eye=lambda rows, columns=None, dtype=None: tf.eye(rows, columns, dtype=as_dtype(dtype)),
)
OPS.op("zeros", "empty")(lambda sizes, dtype=None: _filled(sizes, 0, as_dtype(dtype)))
OPS.op("zeros_like", "empty_like")(lambda x, dtype=None: _filled(shape_of(x), 0, as_dtype(dtype, x.dtype)))
OPS.op("new_zeros", "new_empty")(lambda x, sizes, dtype=None: _filled(sizes, 0, as_dtype(dtype, x.dtype)))
OPS.op("scalar_tensor", "tensor")(lambda value, dtype=None: tf.cast(value, as_dtype(dtype, scalar_type(value))))


@OPS.op("arange")
def _arange(*bounds: Any, dtype: DType | None = None) -> Any:
    start, end, step = (0, bounds[0], 1) if len(bounds) == 1 else (*bounds, 1)[:3]
    whole = not any(isinstance(one, float) for one in bounds)
    kind = as_dtype(dtype, tf.int64 if whole else tf.float32)
    made = tf.range(*(tf.cast(one, tf.int64 if whole else tf.float32) for one in (start, end, step)))
    return cast(made, kind)


@OPS.op("linspace")
def _linspace(start: Any, end: Any, steps: int, dtype: DType | None = None) -> Any:
    kind = as_dtype(dtype)
    return tf.linspace(tf.cast(start, kind), tf.cast(end, kind), steps)
