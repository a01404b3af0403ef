"""Sums, means and extremes over dimensions, sorting and running totals, in JAX."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from enfold.transformers.frameworks.graph.program import DType
from enfold.transformers.frameworks.jax_ops.values import as_dtype, axes, cast
from enfold.transformers.frameworks.operations import Table, correction

__all__ = ["OPS"]

OPS = Table()


def _over(function: Callable[..., Any]) -> Callable[..., Any]:
    def reduced(x: Any, dim: Any = None, keepdim: bool = False, *, dtype: DType | None = None) -> Any:
        return function(cast(x, dtype), axis=axes(dim), keepdims=keepdim)

    return reduced


OPS.add(
    mean=_over(jnp.mean),
    prod=_over(jnp.prod),
    amax=_over(jnp.max),
    amin=_over(jnp.min),
    any=_over(jnp.any),
    all=_over(jnp.all),
    argmax=lambda x, dim=None, keepdim=False: jnp.argmax(x, axis=dim, keepdims=keepdim),
    argmin=lambda x, dim=None, keepdim=False: jnp.argmin(x, axis=dim, keepdims=keepdim),
    logsumexp=lambda x, dim, keepdim=False: jax.nn.logsumexp(x, axis=axes(dim), keepdims=keepdim),
    cumsum=lambda x, dim, *, dtype=None: jnp.cumsum(cast(x, dtype), axis=dim),
    argsort=lambda x, dim=-1, descending=False: jnp.argsort(x, axis=dim, descending=descending),
)


@OPS.op("sum")
def _sum(x: Any, dim: Any = None, keepdim: bool = False, *, dtype: DType | None = None) -> Any:
    x = x.astype(as_dtype(DType("int64"))) if x.dtype == jnp.bool_ else cast(x, dtype)
    return jnp.sum(x, axis=axes(dim), keepdims=keepdim)


@OPS.op("var")
def _var(x: Any, dim: Any = None, less: Any = None, keepdim: bool = False, **named: Any) -> Any:
    dim, less = correction(dim, named.get("correction", less), named.get("unbiased"))
    return jnp.var(x, axis=axes(dim), ddof=less, keepdims=keepdim)


@OPS.op("std")
def _std(*args: Any, **kwargs: Any) -> Any:
    return jnp.sqrt(_var(*args, **kwargs))


def _extreme(of_two: Callable[..., Any], values: Callable[..., Any], places: Callable[..., Any]) -> Callable[..., Any]:
    def extreme(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
        if dim is None:
            return values(x)
        if getattr(dim, "ndim", None) is not None:
            return of_two(x, dim)
        return values(x, axis=dim, keepdims=keepdim), places(x, axis=dim, keepdims=keepdim)

    return extreme


OPS.add(max=_extreme(jnp.maximum, jnp.max, jnp.argmax), min=_extreme(jnp.minimum, jnp.min, jnp.argmin))


@OPS.op("topk")
def _topk(x: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
    moved = jnp.moveaxis(x if largest else -x, dim, -1)
    values, places = lax.top_k(moved, k)
    values = values if largest else -values
    return jnp.moveaxis(values, -1, dim), jnp.moveaxis(places, -1, dim)


@OPS.op("sort")
def _sort(x: Any, dim: int = -1, descending: bool = False, **_: Any) -> Any:
    places = jnp.argsort(x, axis=dim, descending=descending, stable=True)
    return jnp.take_along_axis(x, places, axis=dim), places


@OPS.op("linalg_vector_norm", "norm")
def _norm(x: Any, p: Any = 2, dim: Any = None, keepdim: bool = False, *, dtype: DType | None = None) -> Any:
    x, at = cast(x, dtype), axes(dim)
    if p in (2, None):
        return jnp.sqrt(jnp.sum(jnp.square(x), axis=at, keepdims=keepdim))
    if p in (math.inf, "inf"):
        return jnp.max(jnp.abs(x), axis=at, keepdims=keepdim)
    return jnp.sum(jnp.abs(x) ** p, axis=at, keepdims=keepdim) ** (1 / p)
