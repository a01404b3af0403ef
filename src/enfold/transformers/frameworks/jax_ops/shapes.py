"""Sizes, views, orders of dimensions, joining and splitting, and padding, in JAX."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import jax.numpy as jnp
from jax import lax

from enfold.transformers.frameworks.operations import Table, pads_by_dimension, pieces

__all__ = ["OPS"]

OPS = Table()
OPS.add(
    sym_size=lambda x, dim: x.shape[dim],
    sym_numel=lambda x: x.size,
    view=lambda x, shape: x.reshape([int(size) for size in shape]),
    unflatten=lambda x, dim, sizes: x.reshape(*x.shape[: dim % x.ndim], *sizes, *x.shape[dim % x.ndim + 1 :]),
    unsqueeze=lambda x, dim: jnp.expand_dims(x, dim),
    transpose=lambda x, a, b: jnp.swapaxes(x, a, b),
    permute=lambda x, order: jnp.transpose(x, order),
    movedim=lambda x, source, place: jnp.moveaxis(x, source, place),
    t=lambda x: x.T,
    mT=lambda x: jnp.swapaxes(x, -1, -2),
    cat=lambda parts, dim=0: jnp.concatenate(parts, axis=dim),
    stack=lambda parts, dim=0: jnp.stack(parts, axis=dim),
    unbind=lambda x, dim=0: [lax.index_in_dim(x, at, dim % x.ndim, keepdims=False) for at in range(x.shape[dim])],
    repeat=lambda x, times: jnp.tile(x, times),
    repeat_interleave=lambda x, times, dim=None, **_: jnp.repeat(x, times, axis=dim),
    flip=lambda x, dims: jnp.flip(x, tuple(dims)),
    roll=lambda x, shifts, dims=(): jnp.roll(x, shifts, dims or None),
)


@OPS.op("expand")
def _expand(x: Any, shape: Sequence[int], *, implicit: bool = False) -> Any:
    lead = len(shape) - x.ndim
    sizes = [x.shape[at - lead] if size == -1 else size for at, size in enumerate(shape)]
    return jnp.broadcast_to(x, sizes)


@OPS.op("squeeze")
def _squeeze(x: Any, dim: Any = None) -> Any:
    if dim is None:
        return jnp.squeeze(x)
    chosen = [axis for axis in (dim if isinstance(dim, list | tuple) else [dim]) if x.shape[axis] == 1]
    return jnp.squeeze(x, tuple(chosen)) if chosen else x


@OPS.op("split", "split_with_sizes")
def _split(x: Any, size: Any, dim: int = 0) -> list[Any]:
    lengths = size if isinstance(size, list | tuple) else pieces(x.shape[dim], size)
    return jnp.split(x, list(accumulate(lengths))[:-1], axis=dim)


@OPS.op("chunk")
def _chunk(x: Any, chunks: int, dim: int = 0) -> list[Any]:
    return _split(x, -(-x.shape[dim] // chunks), dim)


@OPS.op("pad")
def _pad(x: Any, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Any:
    widths = pads_by_dimension(pad, x.ndim)
    if mode == "constant":
        return lax.pad(x, jnp.asarray(0 if value is None else value, x.dtype), [(*width, 0) for width in widths])
    names = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}
    return jnp.pad(x, widths, mode=names[mode])


@OPS.op("constant_pad_nd")
def _constant_pad(x: Any, pad: Sequence[int], value: float = 0) -> Any:
    return _pad(x, pad, "constant", value)


@OPS.op("unfold")
def _unfold(x: Any, dim: int, size: int, step: int) -> Any:
    dim %= x.ndim
    starts = jnp.arange((x.shape[dim] - size) // step + 1) * step
    windows = jnp.take(x, starts[:, None] + jnp.arange(size), axis=dim)  # …, count, size, …
    return jnp.moveaxis(windows, dim + 1, -1)
