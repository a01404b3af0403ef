"""Sums, products, comparisons, truth, and choosing between values, in JAX."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import lax

from enfold.transformers.frameworks.operations import Table

__all__ = ["OPS", "scaled"]

OPS = Table()
OPS.add(
    abs=jnp.abs,
    neg=jnp.negative,
    sign=jnp.sign,
    exp=jnp.exp,
    exp2=jnp.exp2,
    expm1=jnp.expm1,
    log=jnp.log,
    log2=jnp.log2,
    log1p=jnp.log1p,
    sqrt=jnp.sqrt,
    rsqrt=lax.rsqrt,
    square=jnp.square,
    reciprocal=lambda x: 1 / x,
    sin=jnp.sin,
    cos=jnp.cos,
    tan=jnp.tan,
    atan2=jnp.arctan2,
    erf=lax.erf,
    floor=jnp.floor,
    ceil=jnp.ceil,
    round=jnp.round,
    trunc=jnp.trunc,
    isnan=jnp.isnan,
    isinf=jnp.isinf,
    isfinite=jnp.isfinite,
    mul=lambda x, y: x * y,
    floor_divide=jnp.floor_divide,
    remainder=jnp.remainder,
    fmod=jnp.fmod,
    maximum=jnp.maximum,
    minimum=jnp.minimum,
    addcmul=lambda x, a, b, *, value=1: x + value * a * b,
    lerp=lambda x, y, weight: x + weight * (y - x),
)
OPS.add(
    eq=lambda x, y: x == y,
    ne=lambda x, y: x != y,
    lt=lambda x, y: x < y,
    le=lambda x, y: x <= y,
    gt=lambda x, y: x > y,
    ge=lambda x, y: x >= y,
    logical_and=jnp.logical_and,
    logical_or=jnp.logical_or,
    logical_xor=jnp.logical_xor,
    logical_not=jnp.logical_not,
    bitwise_not=jnp.bitwise_not,
    bitwise_xor=lambda x, y: x ^ y,
    where=lambda condition, x, y: jnp.where(condition, x, y),
)
OPS.op("bitwise_and", "__and__")(lambda x, y: x & y)
OPS.op("bitwise_or", "__or__")(lambda x, y: x | y)


def scaled(x: Any, alpha: float) -> Any:
    """Return a multiple."""
    return x if alpha == 1 else x * alpha


@OPS.op("add")
def _add(x: Any, y: Any, *, alpha: float = 1) -> Any:
    if getattr(x, "dtype", None) == jnp.bool_ and getattr(y, "dtype", None) == jnp.bool_:
        return jnp.logical_or(x, y)
    return x + scaled(y, alpha)


@OPS.op("sub")
def _sub(x: Any, y: Any, alpha: float = 1) -> Any:
    return x - scaled(y, alpha)


@OPS.op("rsub")
def _rsub(x: Any, y: Any, alpha: float = 1) -> Any:
    return _sub(y, x, alpha)


@OPS.op("div")
def _div(x: Any, y: Any, *, rounding_mode: str | None = None) -> Any:
    if rounding_mode is None:
        return jnp.true_divide(x, y)
    if rounding_mode == "floor":
        return jnp.floor_divide(x, y)
    whole = jnp.issubdtype(jnp.result_type(x, y), jnp.integer)
    return lax.div(*jnp.broadcast_arrays(x, jnp.asarray(y, x.dtype))) if whole else jnp.trunc(x / y)


@OPS.op("pow")
def _pow(x: Any, y: Any) -> Any:
    return lax.integer_pow(jnp.asarray(x), y) if isinstance(y, int) else jnp.power(x, y)


@OPS.op("clamp", "clamp_min")
def _clamp(x: Any, min: Any = None, max: Any = None) -> Any:
    x = x if min is None else jnp.maximum(x, jnp.asarray(min).astype(x.dtype))
    return x if max is None else jnp.minimum(x, jnp.asarray(max).astype(x.dtype))


@OPS.op("clamp_max")
def _clamp_max(x: Any, max: Any) -> Any:
    return _clamp(x, None, max)


@OPS.op("masked_fill")
def _masked_fill(x: Any, mask: Any, value: Any) -> Any:
    return jnp.where(mask, jnp.asarray(value).astype(x.dtype), x)
