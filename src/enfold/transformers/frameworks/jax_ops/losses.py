"""Losses in JAX."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from enfold.transformers.frameworks.jax_ops.values import channels
from enfold.transformers.frameworks.operations import Table

__all__ = ["OPS"]

OPS = Table()


def _reduced(losses: Any, reduction: int) -> Any:
    return losses.mean() if reduction == 1 else losses.sum() if reduction == 2 else losses


@OPS.op("cross_entropy_loss")
def _cross_entropy(
    x: Any, target: Any, weight: Any = None, reduction: int = 1, ignore_index: int = -100, smooth: float = 0.0
) -> Any:
    logs = jax.nn.log_softmax(x, axis=1)
    if jnp.issubdtype(target.dtype, jnp.floating):
        losses = -(logs * target).sum(1)
        return _reduced(losses, reduction)
    kept = target != ignore_index
    chosen = jnp.where(kept, target, 0)
    shares = jnp.ones(chosen.shape, x.dtype) if weight is None else weight[chosen]
    shares = jnp.where(kept, shares, 0)
    losses = -jnp.take_along_axis(logs, chosen[:, None], axis=1)[:, 0] * shares
    if smooth:
        each = -(logs if weight is None else logs * channels(weight, x.ndim)).sum(1)
        losses = (1 - smooth) * losses + smooth / x.shape[1] * jnp.where(kept, each, 0)
    return losses.sum() / shares.sum() if reduction == 1 else losses.sum() if reduction == 2 else losses


@OPS.op("mse_loss")
def _mse(x: Any, target: Any, reduction: int = 1) -> Any:
    return _reduced(jnp.square(x - target), reduction)


@OPS.op("binary_cross_entropy_with_logits")
def _binary(x: Any, target: Any, weight: Any = None, pos_weight: Any = None, reduction: int = 1) -> Any:
    positive = -jax.nn.log_sigmoid(x) * target * (1 if pos_weight is None else pos_weight)
    losses = positive - jax.nn.log_sigmoid(-x) * (1 - target)
    return _reduced(losses if weight is None else losses * weight, reduction)
