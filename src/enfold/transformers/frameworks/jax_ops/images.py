"""Pools and resizing in JAX: channels come first."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax import lax

from enfold.transformers.frameworks.operations import Table, each, windows
from enfold.transformers.frameworks.resampling import nearest, requested, weights

__all__ = ["OPS"]

OPS = Table()


def _pool(x: Any, start: Any, step: Callable[..., Any], kernel: Any, stride: Any, padding: Any, places: int) -> Any:
    window = each(kernel, places)
    steps = each(stride, places) if stride else window
    sides = [(0, 0)] * (x.ndim - places) + [(size, size) for size in each(padding, places)]
    lead = (1,) * (x.ndim - places)
    return lax.reduce_window(x, start, step, (*lead, *window), (*lead, *steps), sides)


@OPS.op("max_pool2d")
def _max_pool(x: Any, kernel: Any, stride: Any = (), padding: Any = 0, *_: Any) -> Any:
    places = 2 if not isinstance(kernel, list | tuple) else len(kernel)
    return _pool(x, -jnp.inf, lax.max, kernel, stride, padding, places)


def _avg_pool(places: int) -> Callable[..., Any]:
    def pooled(
        x: Any, kernel: Any, stride: Any = (), padding: Any = 0, ceil: bool = False, counted: bool = True, *_: Any
    ) -> Any:
        total = _pool(x, 0.0, lax.add, kernel, stride, padding, places)
        if counted or not any(each(padding, places)):
            return total / math.prod(each(kernel, places))
        return total / _pool(jnp.ones_like(x), 0.0, lax.add, kernel, stride, padding, places)

    return pooled


def _adaptive(places: int) -> Callable[..., Any]:
    def pooled(x: Any, size: Any) -> Any:
        for at, wanted in enumerate(each(size, places)):
            axis = x.ndim - places + at
            cuts = windows(x.shape[axis], wanted)
            parts = [lax.slice_in_dim(x, a, b, axis=axis).mean(axis, keepdims=True) for a, b in cuts]
            x = jnp.concatenate(parts, axis=axis)
        return x

    return pooled


def _resize(kind: str) -> Callable[..., Any]:
    def resize(x: Any, sizes: Any = None, *rest: Any, **named: Any) -> Any:
        request = requested(kind, sizes, rest, named)
        for at, old in enumerate(x.shape[2:]):
            new, scale = request.of(at, old)
            if old == new and scale in (None, 1):
                continue
            if kind == "nearest":
                x = jnp.take(x, nearest(old, new, scale), axis=2 + at)
                continue
            matrix = jnp.asarray(weights(old, new, kind, request.corners, scale), x.dtype)
            x = jnp.moveaxis(jnp.tensordot(x, matrix, [[2 + at], [1]]), -1, 2 + at)
        return x

    return resize


OPS.add(
    avg_pool1d=_avg_pool(1),
    avg_pool2d=_avg_pool(2),
    adaptive_avg_pool1d=_adaptive(1),
    adaptive_avg_pool2d=_adaptive(2),
    upsample_nearest2d=_resize("nearest"),
    upsample_bilinear2d=_resize("linear"),
    upsample_bicubic2d=_resize("cubic"),
)
