"""GELU and its kin, and softmax, in TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from enfold.transformers.frameworks.operations import Table, softmax_type
from enfold.transformers.frameworks.tensorflow_ops.values import as_dtype, cast, floating

__all__ = ["OPS"]

OPS = Table()


def _on_reals(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x: function(floating(x))


OPS.add(
    tanh=_on_reals(tf.tanh),
    sigmoid=_on_reals(tf.sigmoid),
    log_sigmoid=_on_reals(tf.math.log_sigmoid),
    silu=_on_reals(tf.nn.silu),
    relu=lambda x: tf.nn.relu(tf.convert_to_tensor(x)),
    relu6=tf.nn.relu6,
    mish=lambda x: x * tf.tanh(tf.nn.softplus(x)),
    hardsigmoid=lambda x: tf.nn.relu6(x + 3) / 6,
    hardswish=lambda x: x * tf.nn.relu6(x + 3) / 6,
    hardtanh=lambda x, low=-1.0, high=1.0: tf.clip_by_value(x, low, high),
    leaky_relu=lambda x, slope=0.01: tf.nn.leaky_relu(x, slope),
    gelu=lambda x, approximate="none": tf.nn.gelu(x, approximate=approximate == "tanh"),
    softplus=lambda x, beta=1, threshold=20: tf.where(x * beta > threshold, x, tf.nn.softplus(x * beta) / beta),
)


@OPS.op("elu")
def _elu(x: Any, alpha: float = 1, scale: float = 1, input_scale: float = 1) -> Any:
    return scale * tf.where(x > 0, x, alpha * tf.math.expm1(tf.minimum(x, 0) * input_scale))


@OPS.op("glu")
def _glu(x: Any, dim: int = -1) -> Any:
    a, b = tf.split(x, 2, axis=dim)
    return a * tf.sigmoid(b)


@OPS.op("softmax", "_softmax", "_safe_softmax")
def _softmax(x: Any, dim: int, third: Any = None, dtype: Any = None) -> Any:
    return tf.nn.softmax(cast(x, as_dtype(softmax_type(third, dtype), x.dtype)), axis=dim)


@OPS.op("log_softmax", "_log_softmax")
def _log_softmax(x: Any, dim: int, third: Any = None, dtype: Any = None) -> Any:
    return tf.nn.log_softmax(cast(x, as_dtype(softmax_type(third, dtype), x.dtype)), axis=dim)
