"""Products of matrices in TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from enfold.transformers.frameworks.operations import Table
from enfold.transformers.frameworks.tensorflow_ops.values import dims, shape_of

__all__ = ["OPS"]

OPS = Table()


@OPS.op("linear")
def _linear(x: Any, weight: Any, bias: Any = None) -> Any:
    sizes = shape_of(x)
    flat = x if len(sizes) == 2 else tf.reshape(x, [-1, weight.shape[1]])
    made = tf.matmul(flat, weight, transpose_b=True)
    made = made if bias is None else made + bias
    return made if len(sizes) == 2 else tf.reshape(made, dims([*sizes[:-1], weight.shape[0]]))


@OPS.op("matmul", "mm", "bmm", "mv", "dot")
def _matmul(a: Any, b: Any) -> Any:
    if len(a.shape) == 1 or len(b.shape) == 1:
        return tf.tensordot(a, b, [[-1], [max(len(b.shape) - 2, 0)]])
    return tf.matmul(a, b)


@OPS.op("addmm", "baddbmm")
def _addmm(x: Any, a: Any, b: Any, beta: Any = 1, alpha: Any = 1) -> Any:
    made = tf.matmul(a, b)
    return (x if beta == 1 else x * beta) + (made if alpha == 1 else made * alpha)


@OPS.op("einsum")
def _einsum(equation: str, values: Sequence[Any], path: Any = None) -> Any:
    return tf.einsum(equation, *values)


@OPS.op("outer")
def _outer(a: Any, b: Any) -> Any:
    return a[:, None] * b[None, :]
