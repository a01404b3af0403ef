"""New tensors, and tensors of another type, in JAX."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jax import lax

from enfold.transformers.frameworks.graph.program import DType
from enfold.transformers.frameworks.jax_ops.values import as_dtype, cast
from enfold.transformers.frameworks.operations import Table

__all__ = ["OPS"]

OPS = Table()
OPS.add(
    _to_copy=lambda x, *, dtype=None: cast(x, dtype),
    detach=lax.stop_gradient,
    fill=lambda x, value: jnp.full_like(x, value),
    scalar_tensor=lambda value, dtype=None: jnp.asarray(value, as_dtype(dtype)),
    linspace=lambda a, b, steps, dtype=None: jnp.linspace(a, b, steps, dtype=as_dtype(dtype)),
    full_like=lambda x, value, dtype=None: jnp.full_like(x, value, as_dtype(dtype)),
    ones_like=lambda x, dtype=None: jnp.ones_like(x, as_dtype(dtype)),
    new_zeros=lambda x, shape, dtype=None: jnp.zeros(shape, as_dtype(dtype) or x.dtype),
    new_ones=lambda x, shape, dtype=None: jnp.ones(shape, as_dtype(dtype) or x.dtype),
    new_full=lambda x, shape, value, dtype=None: jnp.full(shape, value, as_dtype(dtype) or x.dtype),
)


@OPS.op("zeros_like", "empty_like")
def _zeros_like(x: Any, dtype: DType | None = None) -> Any:
    return jnp.zeros_like(x, as_dtype(dtype))


@OPS.op("full")
def _full(shape: Sequence[int], value: Any, *, dtype: DType | None = None) -> Any:
    return jnp.full([int(size) for size in shape], value, as_dtype(dtype))


@OPS.op("zeros", "empty")
def _zeros(shape: Sequence[int], *, dtype: DType | None = None) -> Any:
    return _full(shape, 0, dtype=dtype or DType("float32"))


@OPS.op("ones")
def _ones(shape: Sequence[int], *, dtype: DType | None = None) -> Any:
    return _full(shape, 1, dtype=dtype or DType("float32"))


@OPS.op("arange")
def _arange(*bounds: Any, dtype: DType | None = None, **_: Any) -> Any:
    made: Any = jnp.arange(*bounds)
    return made if dtype is None else made.astype(as_dtype(dtype))
