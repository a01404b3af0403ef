"""Pools, resizing and shuffled pixels in TensorFlow: channels come first outside, last inside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from enfold.errors import EnfoldError
from enfold.transformers.frameworks.operations import Table, each, windows
from enfold.transformers.frameworks.resampling import Request, requested, weights
from enfold.transformers.frameworks.tensorflow_ops.values import (
    channels_first,
    channels_last,
    dims,
    from_end,
    is_tensor,
    shape_of,
    size,
)

__all__ = ["OPS"]

OPS = Table()


def _pooled(
    x: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil: bool, fill: float, function: Callable[..., Any]
) -> Any:
    count = len(x.shape) - 2
    kernel = each(kernel, count)
    stride = each(stride, count) if stride else kernel
    pads = []
    for at, one in enumerate(each(padding, count)):
        after = one
        if ceil:
            whole = size(x, 2 + at) + 2 * one - kernel[at]
            steps = -(-whole // stride[at])
            if (steps * stride[at]) >= size(x, 2 + at) + one:  # a window may not begin in what is added after
                steps -= 1
            after = one + max(steps * stride[at] - whole, 0)
        pads.append((one, after))
    if any(one for pair in pads for one in pair):
        x = tf.pad(x, [(0, 0), (0, 0), *pads], constant_values=tf.cast(fill, x.dtype))
    return channels_first(function(channels_last(x), kernel, stride))


@OPS.op("max_pool1d", "max_pool2d")
def _max_pool(x: Any, kernel: Any, stride: Any = (), padding: Any = 0, dilation: Any = 1, ceil: bool = False) -> Any:
    """Return each window's greatest number."""
    return _pooled(x, kernel, stride, padding, dilation, ceil, x.dtype.min, lambda *a: tf.nn.max_pool(*a, "VALID"))


@OPS.op("max_pool2d_with_indices")
def _max_pool_and_places(*args: Any, **kwargs: Any) -> Any:
    return _max_pool(*args, **kwargs), None


@OPS.op("avg_pool1d", "avg_pool2d")
def _avg_pool(
    x: Any,
    kernel: Any,
    stride: Any = (),
    padding: Any = 0,
    ceil: bool = False,
    count_include_pad: bool = True,
    divisor: Any = None,
) -> Any:
    """Return each window's mean."""

    def pool(one: Any) -> Any:
        return _pooled(one, kernel, stride, padding, 1, ceil, 0.0, lambda *a: tf.nn.avg_pool(*a, "VALID"))

    made = pool(x)
    padded = any(each(padding, len(x.shape) - 2))
    return made / pool(tf.ones_like(x)) if padded and not count_include_pad else made


@OPS.op("adaptive_avg_pool1d", "adaptive_avg_pool2d", "_adaptive_avg_pool2d")
def _adaptive_avg_pool(x: Any, sizes: Sequence[int]) -> Any:
    """Return means of windows, as many as ``sizes`` says along each dimension."""
    count = len(sizes)
    for at, wanted in enumerate(sizes):
        axis = len(x.shape) - count + at
        have = size(x, axis)
        if wanted == 1:
            x = tf.reduce_mean(x, axis, keepdims=True)
        elif wanted is not None and wanted != have:
            matrix = np.zeros((wanted, have), np.float32)
            for row, (begin, end) in enumerate(windows(have, wanted)):
                matrix[row, begin:end] = 1 / (end - begin)
            x = _along(x, matrix, axis)
    return x


def _along(x: Any, matrix: np.ndarray, axis: int) -> Any:
    """Mix the places along a dimension: matrix is (new, old)."""
    return from_end(tf.tensordot(x, tf.constant(matrix, x.dtype), [[axis], [1]]), axis)


def _open_resize(x: Any, request: Request, kind: str) -> Any:
    """Resize to, or from, a height and width that are known when the function runs."""
    sizes = request.sizes
    if kind != "linear" or request.corners or sizes is None or len(sizes) != 2:
        raise EnfoldError("TensorFlow resizes these images only with a height and width known when it traces")
    return channels_first(tf.image.resize(channels_last(x), tf.cast(dims(sizes), tf.int32)))


def _resize(kind: str) -> Callable[..., Any]:
    def resize(x: Any, sizes: Any = None, *rest: Any, **named: Any) -> Any:
        request, before = requested(kind, sizes, rest, named), shape_of(x)[2:]
        if any(is_tensor(one) for one in [*before, *(sizes or [])]):
            return _open_resize(x, request, kind)
        for at, old in enumerate(before):
            new, scale = request.of(at, old)
            if old != new or scale not in (None, 1):
                x = _along(x, weights(old, new, kind, request.corners, scale), 2 + at)
        return x

    return resize


OPS.op("upsample_nearest1d", "upsample_nearest2d")(_resize("nearest"))
OPS.op("upsample_linear1d", "upsample_bilinear2d")(_resize("linear"))
OPS.add(upsample_bicubic2d=_resize("cubic"))


@OPS.op("pixel_shuffle")
def _pixel_shuffle(x: Any, times: int) -> Any:
    return channels_first(tf.nn.depth_to_space(_shuffled(channels_last(x), times), times))


def _shuffled(x: Any, times: int) -> Any:
    """Channels in TensorFlow's order: (row, column, channel) instead of (channel, row, column)."""
    sizes = shape_of(x)
    parts = tf.reshape(x, dims([*sizes[:3], sizes[3] // times**2, times**2]))
    return tf.reshape(tf.transpose(parts, [0, 1, 2, 4, 3]), dims(sizes))
