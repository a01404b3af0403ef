"""Layer, root mean square, group and batch norms in JAX."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jax import lax

from enfold.transformers.frameworks.jax_ops.values import channels
from enfold.transformers.frameworks.operations import Table

__all__ = ["OPS"]

OPS = Table()


@OPS.op("layer_norm")
def _layer_norm(x: Any, shape: Sequence[int], weight: Any = None, bias: Any = None, eps: float = 1e-5, *_: Any) -> Any:
    axes = tuple(range(-len(shape), 0))
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    mean = wide.mean(axes, keepdims=True)
    y = (wide - mean) * lax.rsqrt(jnp.square(wide - mean).mean(axes, keepdims=True) + eps)
    y = (y if weight is None else y * weight) + (0 if bias is None else bias)
    return y.astype(x.dtype)


@OPS.op("rms_norm")
def _rms_norm(x: Any, shape: Sequence[int], weight: Any = None, eps: float | None = None) -> Any:
    axes = tuple(range(-len(shape), 0))
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    y = wide * lax.rsqrt(jnp.square(wide).mean(axes, keepdims=True) + (jnp.finfo(x.dtype).eps if eps is None else eps))
    return (y if weight is None else y * weight).astype(x.dtype)


@OPS.op("group_norm")
def _group_norm(x: Any, groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5, *_: Any) -> Any:
    parts = x.reshape(x.shape[0], groups, -1)
    mean, var = parts.mean(-1, keepdims=True), parts.var(-1, keepdims=True)
    y = ((parts - mean) * lax.rsqrt(var + eps)).reshape(x.shape)
    return _affine(y, weight, bias)


def _affine(y: Any, weight: Any, bias: Any) -> Any:
    """Scale and shift channels, which are the second dimension."""
    y = y if weight is None else y * channels(weight, y.ndim)
    return y if bias is None else y + channels(bias, y.ndim)


@OPS.op("_native_batch_norm_legit_functional")
def _batch_norm_parts(
    x: Any, weight: Any, bias: Any, mean: Any, var: Any, training: bool, momentum: float, eps: float
) -> tuple[Any, ...]:
    now, spread = mean, var
    if training:
        axes = (0, *range(2, x.ndim))
        now, spread = x.mean(axes), x.var(axes)
        count = x.size // x.shape[1]
        if mean is not None:
            mean = mean * (1 - momentum) + now * momentum
            var = var * (1 - momentum) + spread * momentum * count / max(count - 1, 1)
    inverse = lax.rsqrt(spread + eps)
    y = _affine((x - channels(now, x.ndim)) * channels(inverse, x.ndim), weight, bias)
    return y, now, inverse, mean, var


@OPS.op("batch_norm")
def _batch_norm(
    x: Any, weight: Any, bias: Any, mean: Any, var: Any, training: bool, momentum: float, eps: float, *_: Any
) -> Any:
    return _batch_norm_parts(x, weight, bias, mean, var, training, momentum, eps)[0]


@OPS.op("_native_batch_norm_legit_no_training")
def _batch_norm_still(x: Any, weight: Any, bias: Any, mean: Any, var: Any, momentum: float, eps: float) -> Any:
    return _batch_norm_parts(x, weight, bias, mean, var, False, momentum, eps)[:3]
