"""Convolutions, pools and resizing in TensorFlow: channels come first outside, last inside, as processors want it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from enfold.errors import EnfoldError
from enfold.transformers.frameworks.tensorflow_values import dims, is_tensor, shape_of, size

__all__ = ["IMAGES"]


def _pairs(value: Any, count: int) -> list[int]:
    return [value] * count if isinstance(value, int) else [*value] * (count if len(value) == 1 and count > 1 else 1)


def _last(x: Any) -> Any:
    return tf.transpose(x, [0, *range(2, len(x.shape)), 1])


def _first(x: Any) -> Any:
    rank = len(x.shape)
    return tf.transpose(x, [0, rank - 1, *range(1, rank - 1)])


def convolution(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    transposed: bool = False,
    output_padding: Any = 0,
    groups: int = 1,
) -> Any:
    """Convolve. x: (B, C, …); weight: (out, C / groups, …), or (C, out / groups, …) where transposed."""
    count = len(weight.shape) - 2
    stride, dilation = _pairs(stride, count), _pairs(dilation, count)
    if isinstance(padding, str):
        spread = [step * (width - 1) for step, width in zip(dilation, weight.shape[2:], strict=True)]
        pads = [(one // 2, one - one // 2) if padding == "same" else (0, 0) for one in spread]
    else:
        pads = [(one, one) for one in _pairs(padding, count)]
    if transposed:
        made = _transposed(x, weight, stride, pads, _pairs(output_padding, count), groups)
    else:
        x = tf.pad(x, [(0, 0), (0, 0), *pads]) if any(one for pair in pads for one in pair) else x
        made = _grouped(_last(x), tf.transpose(weight, [*range(2, count + 2), 1, 0]), stride, dilation, groups)
    made = _first(made)
    return made if bias is None else made + tf.reshape(bias, [1, -1, *[1] * count])


def _grouped(x: Any, kernel: Any, stride: list[int], dilation: list[int], groups: int) -> Any:
    """Convolve with channels last. Processors have no gradient for groups: each is computed by itself."""

    def one(part: Any, weights: Any) -> Any:
        return tf.nn.convolution(part, weights, stride, "VALID", dilations=dilation)

    if groups == 1:
        return one(x, kernel)
    channels, out = x.shape[-1], kernel.shape[-1]
    if groups == channels and len(stride) <= 2 and len(set(stride)) == 1:
        return _depthwise(x, kernel, stride, dilation, out // groups)
    parts = zip(tf.split(x, groups, -1), tf.split(kernel, groups, -1), strict=True)
    return tf.concat([one(part, weights) for part, weights in parts], -1)


def _depthwise(x: Any, kernel: Any, stride: list[int], dilation: list[int], times: int) -> Any:
    flat = len(stride) == 1
    if flat:
        x, kernel, stride, dilation = x[:, None], kernel[None], stride * 2, [1, *dilation]
    high, wide, _, _ = kernel.shape
    kernel = tf.reshape(kernel, [high, wide, x.shape[-1], times])
    made = tf.nn.depthwise_conv2d(x, kernel, [1, *stride, 1], "VALID", dilations=dilation)
    return made[:, 0] if flat else made


def _transposed(
    x: Any, weight: Any, stride: list[int], pads: list[tuple[int, int]], more: list[int], groups: int
) -> Any:
    count = len(stride)
    sizes = shape_of(x)
    whole = [(sizes[2 + at] - 1) * stride[at] + weight.shape[2 + at] for at in range(count)]
    kernel = tf.transpose(weight, [*range(2, count + 2), 1, 0])

    def one(part: Any, weights: Any) -> Any:
        shape = dims([sizes[0], *whole, weights.shape[-2]])
        return tf.nn.conv_transpose(part, weights, tf.cast(shape, tf.int32), stride, "VALID")

    parts = zip(tf.split(_last(x), groups, -1), tf.split(kernel, groups, -1), strict=True)
    made = tf.concat([one(part, weights) for part, weights in parts], -1)
    for at, (before, after) in enumerate(pads):
        made = tf.pad(made, [(0, more[at]) if one == at + 1 else (0, 0) for one in range(count + 2)])
        end = size(made, at + 1) - after
        made = made[(slice(None),) * (at + 1) + (slice(before, end),)]
    return made


def _pooled(
    x: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil: bool, fill: float, function: Callable[..., Any]
) -> Any:
    count = len(x.shape) - 2
    kernel = _pairs(kernel, count)
    stride = _pairs(stride, count) if stride else kernel
    pads = []
    for at, one in enumerate(_pairs(padding, count)):
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
    return _first(function(_last(x), kernel, stride))


def max_pool(x: Any, kernel: Any, stride: Any = (), padding: Any = 0, dilation: Any = 1, ceil: bool = False) -> Any:
    """Return each window's greatest number."""
    return _pooled(x, kernel, stride, padding, dilation, ceil, x.dtype.min, lambda *a: tf.nn.max_pool(*a, "VALID"))


def avg_pool(
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
    padded = any(_pairs(padding, len(x.shape) - 2))
    return made / pool(tf.ones_like(x)) if padded and not count_include_pad else made


def adaptive_avg_pool(x: Any, sizes: Sequence[int]) -> Any:
    """Return means of windows, as many as ``sizes`` says along each dimension."""
    count = len(sizes)
    for at, wanted in enumerate(sizes):
        axis = len(x.shape) - count + at
        have = size(x, axis)
        if wanted == 1:
            x = tf.reduce_mean(x, axis, keepdims=True)
        elif wanted is not None and wanted != have:
            matrix = np.zeros((wanted, have), np.float32)
            for row in range(wanted):
                begin, end = row * have // wanted, -(-(row + 1) * have // wanted)
                matrix[row, begin:end] = 1 / (end - begin)
            x = _along(x, matrix, axis)
    return x


def _along(x: Any, matrix: np.ndarray, axis: int) -> Any:
    """Mix the places along a dimension: matrix is (new, old)."""
    moved = tf.tensordot(x, tf.constant(matrix, x.dtype), [[axis], [1]])
    order = list(range(len(x.shape) - 1))
    order.insert(axis, len(x.shape) - 1)
    return tf.transpose(moved, order)


def _weights(old: int, new: int, kind: str, corners: bool, scale: float | None) -> np.ndarray:
    """Return what every new place takes of the old ones, (new, old), as torch's ``interpolate`` does.

    Source: aten/src/ATen/native/UpSample.h (torch): where a new place lies, and cubic weights with a = -0.75.
    """
    places = np.arange(new, dtype=np.float64)
    if corners:
        at = places * ((old - 1) / (new - 1) if new > 1 else 0.0)
    else:
        step = 1 / scale if scale else old / new
        at = places * step if kind == "nearest" else (places + 0.5) * step - 0.5
    matrix = np.zeros((new, old))
    rows = np.arange(new)
    if kind == "nearest":
        matrix[rows, np.minimum(np.floor(at).astype(int), old - 1)] = 1
    elif kind == "linear":
        at = np.maximum(at, 0)
        low = np.minimum(np.floor(at).astype(int), old - 1)
        share = at - low
        np.add.at(matrix, (rows, low), 1 - share)
        np.add.at(matrix, (rows, np.minimum(low + 1, old - 1)), share)
    else:
        low = np.floor(at).astype(int)
        for step_ in range(-1, 3):
            far = np.abs(at - (low + step_))
            near = (1.25 * far - 2.25) * far * far + 1
            wide = ((-0.75 * far + 3.75) * far - 6) * far + 3
            np.add.at(matrix, (rows, np.clip(low + step_, 0, old - 1)), np.where(far <= 1, near, wide))
    return matrix.astype(np.float32)


def _open_resize(x: Any, sizes: Any, kind: str, corners: bool) -> Any:
    """Resize to, or from, a height and width that are known when the function runs."""
    if kind != "linear" or corners or sizes is None or len(sizes) != 2:
        raise EnfoldError("TensorFlow resizes these images only with a height and width known when it traces")
    return _first(tf.image.resize(_last(x), tf.cast(dims(sizes), tf.int32)))


def _resize(kind: str, count: int) -> Callable[..., Any]:
    def resize(x: Any, sizes: Any = None, *rest: Any, **named: Any) -> Any:
        rest = tuple(rest)
        corners = named.get("align_corners", False)
        if kind != "nearest" and rest:
            corners, rest = rest[0], rest[1:]
        scales = named.get("scale_factors")
        each = [named.get(name) for name in ("scales", "scales_h", "scales_w")]
        if rest:
            scales = rest[0] if isinstance(rest[0], list | tuple) else [one for one in rest if one is not None]
        elif any(each):
            scales = [one for one in each if one is not None]
        wanted = [size(x, 2 + at) for at in range(count)] + list(sizes or [])
        if any(is_tensor(one) for one in wanted):
            return _open_resize(x, sizes, kind, corners)
        for at in range(count):
            axis = 2 + at
            old = size(x, axis)
            scale = scales[at] if scales and len(scales) > at else None
            new = sizes[at] if sizes is not None else math.floor(old * scale)
            if old != new or kind == "cubic":
                x = _along(x, _weights(int(old), int(new), kind, corners, scale), axis)
        return x

    return resize


def _reflection_pad(x: Any, pads: Sequence[int]) -> Any:
    rank = len(x.shape)
    pairs = [(0, 0)] * rank
    for place in range(len(pads) // 2):
        pairs[rank - 1 - place] = (pads[2 * place], pads[2 * place + 1])
    return tf.pad(x, pairs, "REFLECT")


def _pixel_shuffle(x: Any, times: int) -> Any:
    return _first(tf.nn.depth_to_space(_shuffled(_last(x), times), times))


def _shuffled(x: Any, times: int) -> Any:
    """Channels in TensorFlow's order: (row, column, channel) instead of (channel, row, column)."""
    sizes = shape_of(x)
    parts = tf.reshape(x, dims([*sizes[:3], sizes[3] // times**2, times**2]))
    return tf.reshape(tf.transpose(parts, [0, 1, 2, 4, 3]), dims(sizes))


def _simple(
    x: Any, w: Any, b: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: Any = 1
) -> Any:
    return convolution(x, w, b, stride, padding, dilation, False, 0, groups)


def _simple_transposed(
    x: Any, w: Any, b: Any = None, stride: Any = 1, padding: Any = 0, more: Any = 0, groups: Any = 1, dilation: Any = 1
) -> Any:
    return convolution(x, w, b, stride, padding, dilation, True, more, groups)


IMAGES: dict[str, Callable[..., Any]] = {
    "aten.convolution": convolution,
    "aten.conv1d": _simple,
    "aten.conv2d": _simple,
    "aten.conv3d": _simple,
    "aten.conv_transpose1d": _simple_transposed,
    "aten.conv_transpose2d": _simple_transposed,
    "aten.max_pool1d": max_pool,
    "aten.max_pool2d": max_pool,
    "aten.max_pool2d_with_indices": lambda *args, **kwargs: (max_pool(*args, **kwargs), None),
    "aten.avg_pool1d": avg_pool,
    "aten.avg_pool2d": avg_pool,
    "aten.adaptive_avg_pool1d": adaptive_avg_pool,
    "aten.adaptive_avg_pool2d": adaptive_avg_pool,
    "aten._adaptive_avg_pool2d": adaptive_avg_pool,
    "aten.upsample_nearest1d": _resize("nearest", 1),
    "aten.upsample_nearest2d": _resize("nearest", 2),
    "aten.upsample_linear1d": _resize("linear", 1),
    "aten.upsample_bilinear2d": _resize("linear", 2),
    "aten.upsample_bicubic2d": _resize("cubic", 2),
    "aten.reflection_pad1d": _reflection_pad,
    "aten.reflection_pad2d": _reflection_pad,
    "aten.pixel_shuffle": _pixel_shuffle,
}
