"""Sums, means and extremes over dimensions, sorting and running totals, in TensorFlow."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from enfold.transformers.frameworks.graph.program import DType
from enfold.transformers.frameworks.operations import Table, correction
from enfold.transformers.frameworks.tensorflow_ops.arithmetic import maximum, minimum
from enfold.transformers.frameworks.tensorflow_ops.indexing import gather
from enfold.transformers.frameworks.tensorflow_ops.values import (
    as_dtype,
    axes,
    cast,
    from_end,
    is_tensor,
    size,
    sum_type,
    to_end,
)

__all__ = ["OPS"]

OPS = Table()


def _over(function: Callable[..., Any], kind_of: Callable[[Any], Any]) -> Callable[..., Any]:
    def reduced(x: Any, dim: Any = None, keepdim: bool = False, dtype: DType | None = None) -> Any:
        return function(cast(x, as_dtype(dtype, kind_of(x))), axes(dim, len(x.shape)), keepdim)

    return reduced


_mean = _over(tf.reduce_mean, lambda x: x.dtype)
_amax = _over(tf.reduce_max, lambda x: x.dtype)
_amin = _over(tf.reduce_min, lambda x: x.dtype)
OPS.add(
    sum=_over(tf.reduce_sum, sum_type),
    prod=_over(tf.reduce_prod, sum_type),
    mean=_mean,
    amax=_amax,
    amin=_amin,
    any=_over(tf.reduce_any, lambda x: tf.bool),
    all=_over(tf.reduce_all, lambda x: tf.bool),
    logsumexp=_over(tf.reduce_logsumexp, lambda x: x.dtype),
    cumsum=lambda x, dim, dtype=None: tf.cumsum(cast(x, as_dtype(dtype, sum_type(x))), dim),
    cumprod=lambda x, dim, dtype=None: tf.math.cumprod(cast(x, as_dtype(dtype, x.dtype)), dim),
)


@OPS.op("var")
def _var(x: Any, dim: Any = None, less: Any = None, keepdim: bool = False, **named: Any) -> Any:
    dim, less = correction(dim, named.get("correction", less), named.get("unbiased"))
    at = axes(dim, len(x.shape))
    count = tf.cast(math.prod(size(x, one) for one in at), x.dtype)
    return tf.math.reduce_variance(x, at, keepdim) * count / (count - tf.cast(less, x.dtype))


@OPS.op("std")
def _std(*args: Any, **kwargs: Any) -> Any:
    return tf.sqrt(_var(*args, **kwargs))


@OPS.op("var_mean")
def _var_mean(x: Any, dim: Any = None, **named: Any) -> Any:
    return _var(x, dim, **named), _mean(x, dim, named.get("keepdim", False))


@OPS.op("argmax")
def _argmax(x: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    if x.dtype == tf.bool:
        x = tf.cast(x, tf.int32)
    found = tf.argmax(tf.reshape(x, [-1]) if dim is None else x, 0 if dim is None else dim, tf.int64)
    return tf.expand_dims(found, dim) if keepdim and dim is not None else found


@OPS.op("argmin")
def _argmin(x: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    return _argmax(-x, dim, keepdim)


def _extreme(of_two: Callable[..., Any], values: Callable[..., Any], places: Callable[..., Any]) -> Callable[..., Any]:
    def extreme(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
        if is_tensor(dim):
            return of_two(x, dim)
        return values(x) if dim is None else (values(x, dim, keepdim), places(x, dim, keepdim))

    return extreme


OPS.add(max=_extreme(maximum, _amax, _argmax), min=_extreme(minimum, _amin, _argmin))


@OPS.op("linalg_vector_norm", "norm")
def _norm(x: Any, ord: float = 2, dim: Any = None, keepdim: bool = False, dtype: DType | None = None) -> Any:
    x, at = cast(x, as_dtype(dtype, x.dtype)), axes(dim, len(x.shape))
    if ord == 2:
        return (
            tf.norm(x, axis=at if len(at) < len(x.shape) else None, keepdims=keepdim)
            if len(at) < 3
            else tf.sqrt(tf.reduce_sum(x * x, at, keepdim))
        )
    if math.isinf(ord):
        return tf.reduce_max(tf.abs(x), at, keepdim)
    return tf.reduce_sum(tf.abs(x) ** ord, at, keepdim) ** (1 / ord)


@OPS.op("sort")
def _sort(x: Any, dim: int = -1, descending: bool = False, stable: bool = False) -> Any:
    order = tf.argsort(x, dim, "DESCENDING" if descending else "ASCENDING", stable=True)
    return gather(x, dim, order), tf.cast(order, tf.int64)


@OPS.op("argsort")
def _argsort(x: Any, dim: int = -1, descending: bool = False, stable: bool = False) -> Any:
    return _sort(x, dim, descending)[1]


@OPS.op("topk")
def _topk(x: Any, k: Any, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
    moved = to_end(x, dim)
    values, order = tf.math.top_k(moved if largest else -moved, tf.cast(k, tf.int32))
    values = values if largest else -values
    return from_end(values, dim), from_end(tf.cast(order, tf.int64), dim)
