"""Convolutions, forwards and transposed, in JAX."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import lax

from enfold.transformers.frameworks.jax_ops.values import channels
from enfold.transformers.frameworks.operations import Table, each, sides

__all__ = ["OPS"]

OPS = Table()


@OPS.op("conv1d", "conv2d", "conv3d")
def _convolution(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: Any = 1,
) -> Any:
    places = weight.ndim - 2
    wide = each(dilation, places)
    letters = "DHW"[3 - places :]
    y = lax.conv_general_dilated(
        x,
        weight,
        each(stride, places),
        sides(padding, weight.shape[2:], wide),
        rhs_dilation=wide,
        dimension_numbers=("NC" + letters, "OI" + letters, "NC" + letters),
        feature_group_count=groups,
    )
    return y if bias is None else y + channels(bias, places + 2)


@OPS.op("conv_transpose1d", "conv_transpose2d")
def _transposed(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    places = weight.ndim - 2
    steps, pads, more, wide = (each(given, places) for given in (stride, padding, output_padding, dilation))
    # the gradient of a convolution: kernels turned round, gaps between inputs
    inward, outward = weight.shape[:2]
    kernel = jnp.flip(weight, tuple(range(2, weight.ndim))).reshape(groups, inward // groups, *weight.shape[1:])
    kernel = jnp.moveaxis(kernel, 2, 1).reshape(groups * outward, inward // groups, *weight.shape[2:])
    reach = [wide[at] * (weight.shape[2 + at] - 1) - pads[at] for at in range(places)]
    letters = "DHW"[3 - places :]
    y = lax.conv_general_dilated(
        x,
        kernel,
        [1] * places,
        [(reach[at], reach[at] + more[at]) for at in range(places)],
        lhs_dilation=steps,
        rhs_dilation=wide,
        dimension_numbers=("NC" + letters, "OI" + letters, "NC" + letters),
        feature_group_count=groups,
    )
    return y if bias is None else y + channels(bias, places + 2)


@OPS.op("convolution")
def _either(
    x: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: bool,
    output_padding: Any,
    groups: int,
) -> Any:
    if transposed:
        return _transposed(x, weight, bias, stride, padding, output_padding, groups, dilation)
    return _convolution(x, weight, bias, stride, padding, dilation, groups)
