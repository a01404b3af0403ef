"""Layer, root mean square, group and batch norms in TensorFlow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from enfold.transformers.frameworks.operations import Table
from enfold.transformers.frameworks.tensorflow_ops.values import channels, dims, shape_of, size

__all__ = ["OPS"]

OPS = Table()


@OPS.op("native_layer_norm")
def _native_layer_norm(x: Any, shape: Sequence[int], weight: Any, bias: Any, eps: float) -> Any:
    at = list(range(len(x.shape) - len(shape), len(x.shape)))
    mean = tf.reduce_mean(x, at, True)
    centred = x - mean
    scale = tf.math.rsqrt(tf.reduce_mean(centred * centred, at, True) + eps)
    made = centred * scale
    made = made if weight is None else made * weight
    return made if bias is None else made + bias, mean, scale


@OPS.op("layer_norm")
def _layer_norm(
    x: Any, shape: Sequence[int], weight: Any = None, bias: Any = None, eps: float = 1e-5, enable: bool = True
) -> Any:
    return _native_layer_norm(x, shape, weight, bias, eps)[0]


@OPS.op("rms_norm")
def _rms_norm(x: Any, shape: Sequence[int], weight: Any = None, eps: float | None = None) -> Any:
    at = list(range(len(x.shape) - len(shape), len(x.shape)))
    eps = x.dtype.as_numpy_dtype(0).dtype.type(1.1920929e-07) if eps is None else eps
    made = x * tf.math.rsqrt(tf.reduce_mean(x * x, at, True) + eps)
    return made if weight is None else made * weight


@OPS.op("group_norm")
def _group_norm(
    x: Any, groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5, enable: bool = True
) -> Any:
    sizes, rank = shape_of(x), len(x.shape)
    flat = tf.reshape(x, dims([sizes[0], groups, -1]))
    made = tf.reshape(_native_layer_norm(flat, [1], None, None, eps)[0], dims(sizes))
    made = made if weight is None else made * channels(weight, rank)
    return made if bias is None else made + channels(bias, rank)


@OPS.op("native_group_norm")
def _native_group_norm(x: Any, weight: Any, bias: Any, n: Any, c: Any, hw: Any, groups: int, eps: float) -> Any:
    return _group_norm(x, groups, weight, bias, eps), None, None


@OPS.op("_native_batch_norm_legit_no_training")
def _batch_norm(x: Any, weight: Any, bias: Any, mean: Any, var: Any, momentum: float, eps: float) -> Any:
    rank = len(x.shape)
    made = (x - channels(mean, rank)) * tf.math.rsqrt(channels(var, rank) + eps)
    made = made if weight is None else made * channels(weight, rank)
    return made if bias is None else made + channels(bias, rank), None, None


@OPS.op("_native_batch_norm_legit_functional")
def _batch_norm_training(
    x: Any, weight: Any, bias: Any, mean: Any, var: Any, training: bool, momentum: float, eps: float
) -> Any:
    if not training:
        return *_batch_norm(x, weight, bias, mean, var, momentum, eps), mean, var
    rank = len(x.shape)
    at = [one for one in range(rank) if one != 1]
    own, spread = tf.reduce_mean(x, at), tf.math.reduce_variance(x, at)
    count = tf.cast(math.prod(size(x, one) for one in at), x.dtype)
    new_mean = mean * (1 - momentum) + own * momentum
    new_var = var * (1 - momentum) + spread * count / (count - 1) * momentum
    made = _batch_norm(x, weight, bias, own, spread, momentum, eps)[0]
    return made, own, tf.math.rsqrt(spread + eps), new_mean, new_var


@OPS.op("_native_batch_norm_legit.no_stats")
def _batch_norm_of_the_batch(x: Any, weight: Any, bias: Any, training: bool, momentum: float, eps: float) -> Any:
    at = [one for one in range(len(x.shape)) if one != 1]
    mean, spread = tf.reduce_mean(x, at), tf.math.reduce_variance(x, at)
    return _batch_norm(x, weight, bias, mean, spread, momentum, eps)[0], mean, tf.math.rsqrt(spread + eps)


@OPS.op("batch_norm")
def _plain_batch_norm(
    x: Any, weight: Any, bias: Any, mean: Any, var: Any, training: bool, momentum: float, eps: float, fast: bool = True
) -> Any:
    return _batch_norm_training(x, weight, bias, mean, var, training, momentum, eps)[0]
