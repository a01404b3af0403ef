"""Attention and dropout in JAX: all that draws random numbers, from a key that a call brings."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from enfold.transformers.frameworks.operations import Table

__all__ = ["OPS", "drawing_from"]

OPS = Table()


def _attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
    random: Any = None,
) -> Any:
    """Attention by the explicit softmax, in single precision; a row that sees nothing gets zeros, as in torch."""
    if enable_gqa and key.shape[-3] != query.shape[-3]:
        times = query.shape[-3] // key.shape[-3]
        key, value = jnp.repeat(key, times, axis=-3), jnp.repeat(value, times, axis=-3)
    wide = jnp.promote_types(query.dtype, jnp.float32)
    scores = jnp.einsum("...td,...sd->...ts", query, key, preferred_element_type=wide)
    scores = scores * (query.shape[-1] ** -0.5 if scale is None else scale)
    if is_causal:
        attn_mask = jnp.tril(jnp.ones(scores.shape[-2:], jnp.bool_))
    if attn_mask is not None and attn_mask.dtype == jnp.bool_:
        # a finite floor keeps gradients of hidden rows finite
        scores = jnp.where(attn_mask, scores, jnp.finfo(wide).min)
        shares = jnp.where(attn_mask.any(-1, keepdims=True), jax.nn.softmax(scores, axis=-1), 0)
    else:
        shares = jax.nn.softmax(scores if attn_mask is None else scores + attn_mask, axis=-1)
    shares = shares.astype(query.dtype)
    if dropout_p:
        shares = random(shares, dropout_p)
    return jnp.einsum("...ts,...sd->...td", shares, value)


def _no_generator(*_: Any, **__: Any) -> Any:
    raise ValueError("train=True needs dropout_rng=jax.random.key(…), from which dropout draws")


@OPS.op("scaled_dot_product_attention")
def _still_attention(*args: Any, **kwargs: Any) -> Any:
    return _attention(*args, **kwargs, random=_no_generator)


@OPS.op("native_dropout")
def _no_dropout(x: Any, p: float, train: bool = True) -> Any:
    return (x, jnp.ones(x.shape, jnp.bool_)) if not train or not p else _no_generator()


def drawing_from(key: Any) -> Table:
    """Return the operations that draw, drawing from a key of ``jax.random``; each draw takes a key of its own."""
    drawn = 0
    ops = Table()

    def dropout(x: Any, p: float) -> Any:
        nonlocal drawn
        drawn += 1
        kept = jax.random.bernoulli(jax.random.fold_in(key, drawn), 1 - p, x.shape)
        return jnp.where(kept, x / (1 - p), 0).astype(x.dtype), kept

    @ops.op("native_dropout")
    def native(x: Any, p: float, train: bool = True) -> Any:
        return dropout(x, p) if train and p else (x, jnp.ones(x.shape, jnp.bool_))

    @ops.op("scaled_dot_product_attention")
    def attention(*args: Any, **kwargs: Any) -> Any:
        return _attention(*args, **kwargs, random=lambda shares, p: dropout(shares, p)[0])

    return ops
