"""Convolutions, forwards and transposed, in TensorFlow: channels come last inside, as processors want it."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from enfold.transformers.frameworks.operations import Table, each, sides
from enfold.transformers.frameworks.tensorflow_ops.values import (
    channels,
    channels_first,
    channels_last,
    dims,
    shape_of,
    size,
)

__all__ = ["OPS"]

OPS = Table()


@OPS.op("convolution")
def _convolution(
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
    stride, dilation = each(stride, count), each(dilation, count)
    pads = sides(padding, weight.shape[2:], dilation)
    if transposed:
        made = _transposed(x, weight, stride, pads, each(output_padding, count), groups)
    else:
        x = tf.pad(x, [(0, 0), (0, 0), *pads]) if any(one for pair in pads for one in pair) else x
        made = _grouped(channels_last(x), tf.transpose(weight, [*range(2, count + 2), 1, 0]), stride, dilation, groups)
    made = channels_first(made)
    return made if bias is None else made + channels(bias, count + 2)


def _grouped(x: Any, kernel: Any, stride: list[int], dilation: list[int], groups: int) -> Any:
    """Convolve with channels last. Processors have no gradient for groups: each is computed by itself."""
    if max(stride) > 1 and max(dilation) > 1:  # TensorFlow does one or the other
        whole = _grouped(x, kernel, [1] * len(stride), dilation, groups)
        every = (slice(None), *(slice(None, None, step) for step in stride))
        return whole[every]

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

    parts = zip(tf.split(channels_last(x), groups, -1), tf.split(kernel, groups, -1), strict=True)
    made = tf.concat([one(part, weights) for part, weights in parts], -1)
    for at, (before, after) in enumerate(pads):
        made = tf.pad(made, [(0, more[at]) if one == at + 1 else (0, 0) for one in range(count + 2)])
        end = size(made, at + 1) - after
        made = made[(slice(None),) * (at + 1) + (slice(before, end),)]
    return made


@OPS.op("conv1d", "conv2d", "conv3d")
def _forwards(
    x: Any, w: Any, b: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: Any = 1
) -> Any:
    return _convolution(x, w, b, stride, padding, dilation, False, 0, groups)


@OPS.op("conv_transpose1d", "conv_transpose2d")
def _backwards(
    x: Any, w: Any, b: Any = None, stride: Any = 1, padding: Any = 0, more: Any = 0, groups: Any = 1, dilation: Any = 1
) -> Any:
    return _convolution(x, w, b, stride, padding, dilation, True, more, groups)
