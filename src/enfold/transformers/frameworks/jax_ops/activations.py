"""GELU and its kin, and softmax, in JAX."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from enfold.transformers.frameworks.jax_ops.values import cast
from enfold.transformers.frameworks.operations import Table, softmax_type

__all__ = ["OPS"]

OPS = Table()
OPS.add(
    tanh=jnp.tanh,
    sigmoid=jax.nn.sigmoid,
    log_sigmoid=jax.nn.log_sigmoid,
    relu=jax.nn.relu,
    relu6=jax.nn.relu6,
    silu=jax.nn.silu,
    mish=jax.nn.mish,
    hardswish=jax.nn.hard_swish,
    hardtanh=lambda x, low=-1, high=1: jnp.clip(x, low, high),
    elu=lambda x, alpha=1, *_: jax.nn.elu(x, alpha),
    leaky_relu=lambda x, slope=0.01: jax.nn.leaky_relu(x, slope),
    glu=lambda x, dim=-1: jax.nn.glu(x, dim),
    gelu=lambda x, *, approximate="none": jax.nn.gelu(x, approximate=approximate == "tanh"),
    softplus=lambda x, beta=1, threshold=20: jnp.where(x * beta > threshold, x, jax.nn.softplus(x * beta) / beta),
)


@OPS.op("softmax", "_softmax", "_safe_softmax")
def _softmax(x: Any, dim: int, third: Any = None, dtype: Any = None) -> Any:
    return jax.nn.softmax(cast(x, softmax_type(third, dtype)), axis=dim)


@OPS.op("log_softmax", "_log_softmax")
def _log_softmax(x: Any, dim: int, third: Any = None, dtype: Any = None) -> Any:
    return jax.nn.log_softmax(cast(x, softmax_type(third, dtype)), axis=dim)
