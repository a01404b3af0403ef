"""Products of matrices in JAX."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from enfold.transformers.frameworks.jax_ops.arithmetic import scaled
from enfold.transformers.frameworks.operations import Table

__all__ = ["OPS"]

OPS = Table()
OPS.op("matmul", "mm", "bmm")(jnp.matmul)
OPS.add(einsum=lambda equation, parts, **_: jnp.einsum(equation, *parts))


@OPS.op("linear")
def _linear(x: Any, weight: Any, bias: Any = None) -> Any:
    y = jnp.matmul(x, weight.T)
    return y if bias is None else y + bias


@OPS.op("addmm", "baddbmm")
def _addmm(bias: Any, x: Any, y: Any, *, beta: float = 1, alpha: float = 1) -> Any:
    return scaled(bias, beta) + scaled(x @ y, alpha)
