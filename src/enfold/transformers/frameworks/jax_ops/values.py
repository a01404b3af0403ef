"""What JAX's versions of operations share: types and dimensions as ``jax.numpy`` takes them."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from enfold.transformers.frameworks.graph.program import DType

__all__ = ["as_dtype", "axes", "cast", "channels"]


def as_dtype(dtype: DType | None) -> Any:
    """Return JAX's type; 64 bits become 32 unless ``jax_enable_x64`` is set."""
    return None if dtype is None else jax.dtypes.canonicalize_dtype(jnp.dtype(dtype.name))


def cast(x: Any, dtype: DType | None) -> Any:
    """Return an array in a program's type; as it is for None."""
    return x if dtype is None else jnp.asarray(x).astype(as_dtype(dtype))


def axes(dim: Any) -> Any:
    """Return dimensions as ``axis=`` takes them; all of them for None and for an empty list."""
    if dim is None or (isinstance(dim, list | tuple) and not dim):
        return None
    return tuple(dim) if isinstance(dim, list | tuple) else dim


def channels(value: Any, rank: int) -> Any:
    """Return numbers of channels (C) so that they meet (B, C, …)."""
    return value.reshape((1, -1) + (1,) * (rank - 2))
