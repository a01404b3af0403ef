"""Slices, rows, looking up and writing at places, and triangles, in JAX."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from enfold.transformers.frameworks.graph.program import DType
from enfold.transformers.frameworks.jax_ops.values import as_dtype
from enfold.transformers.frameworks.operations import Table, is_open

__all__ = ["OPS"]

OPS = Table()
OPS.add(
    index_select=lambda x, dim, index: jnp.take(x, index, axis=dim),
    take_along_dim=lambda x, index, dim: jnp.take_along_axis(x, index, axis=dim),
    embedding=lambda weight, ids, *_, **__: jnp.take(weight, ids, axis=0, mode="clip"),
    copy=lambda x, source: jnp.broadcast_to(source, x.shape).astype(x.dtype),
    tril=lambda x, diagonal=0: jnp.tril(x, diagonal),
    triu=lambda x, diagonal=0: jnp.triu(x, diagonal),
    one_hot=lambda x, count=-1: jax.nn.one_hot(x, count, dtype=as_dtype(DType("int64"))),
)


def _part(x: Any, dim: int, start: Any, end: Any, step: int) -> tuple[slice, ...]:
    return (slice(None),) * (dim % x.ndim) + (slice(start, None if is_open(end) else end, step),)


@OPS.op("slice")
def _slice(x: Any, dim: int = 0, start: Any = None, end: Any = None, step: int = 1) -> Any:
    return x[_part(x, dim, start, end, step)]


@OPS.op("slice_scatter")
def _slice_scatter(x: Any, source: Any, dim: int = 0, start: Any = None, end: Any = None, step: int = 1) -> Any:
    return x.at[_part(x, dim, start, end, step)].set(source)


@OPS.op("select")
def _select(x: Any, dim: int, index: Any) -> Any:
    if isinstance(index, int):
        return lax.index_in_dim(x, index, dim % x.ndim, keepdims=False)
    return jnp.take(x, index, axis=dim, mode="wrap")


@OPS.op("select_scatter")
def _select_scatter(x: Any, source: Any, dim: int, index: int) -> Any:
    return x.at[(slice(None),) * (dim % x.ndim) + (index,)].set(source)


@OPS.op("index")
def _index(x: Any, indices: Sequence[Any]) -> Any:
    return x[tuple(slice(None) if index is None else index for index in indices)]


@OPS.op("index_put")
def _index_put(x: Any, indices: Sequence[Any], values: Any, accumulate: bool = False) -> Any:
    if len(indices) == 1 and indices[0].dtype == jnp.bool_ and getattr(values, "ndim", 0) == 0:
        mask = indices[0].reshape(indices[0].shape + (1,) * (x.ndim - indices[0].ndim))
        return jnp.where(mask, jnp.asarray(values, x.dtype), x)
    at = x.at[tuple(slice(None) if index is None else index for index in indices)]
    return at.add(values) if accumulate else at.set(values)


@OPS.op("gather")
def _gather(x: Any, dim: int, index: Any, *, sparse_grad: bool = False) -> Any:
    if x.ndim == 0:
        return x
    # torch lets an index be smaller than what it points into
    cut = tuple(slice(None) if at == dim % x.ndim else slice(0, index.shape[at]) for at in range(x.ndim))
    return jnp.take_along_axis(x[cut], index, axis=dim)


@OPS.op("scatter")
def _scatter(x: Any, dim: int, index: Any, source: Any) -> Any:
    places = list(jnp.meshgrid(*[jnp.arange(size) for size in index.shape], indexing="ij"))
    places[dim] = index
    given = source if getattr(source, "ndim", 0) == 0 else source[tuple(slice(0, size) for size in index.shape)]
    return x.at[tuple(places)].set(given)


@OPS.op("bucketize")
def _bucketize(x: Any, boundaries: Any, *, out_int32: bool = False, right: bool = False) -> Any:
    return jnp.searchsorted(boundaries, x, side="right" if right else "left")
