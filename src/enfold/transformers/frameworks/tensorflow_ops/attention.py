"""Attention and dropout in TensorFlow: all that draws random numbers."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from enfold.transformers.frameworks.operations import Table
from enfold.transformers.frameworks.tensorflow_ops.indexing import grid
from enfold.transformers.frameworks.tensorflow_ops.values import cast

__all__ = ["OPS", "attend", "dropout"]

OPS = Table()


def dropout(x: Any, rate: float) -> tuple[Any, Any]:
    """Return a tensor with a share of its numbers set to zero and the others grown, and where they were kept."""
    kept = tf.random.uniform(tf.shape(x)) >= rate
    grown = x / tf.cast(1 - rate, x.dtype) if rate < 1 else tf.zeros_like(x)
    return tf.where(kept, grown, tf.zeros_like(x)), kept


@OPS.op("native_dropout")
def _native_dropout(x: Any, rate: float, train: bool | None = True) -> Any:
    return dropout(x, rate) if rate and train is not False else (x, tf.ones_like(x, tf.bool))


@OPS.op("dropout", "feature_dropout")
def _dropout(x: Any, rate: float, train: bool = True) -> Any:
    return dropout(x, rate)[0] if rate and train else x


@OPS.op("scaled_dot_product_attention")
def attend(
    q: Any,
    k: Any,
    v: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    """Return softmax(q kᵀ · scale + mask) v; a row that may look nowhere gives zeros, as in torch.

    Args:
        q: (…, T, D). k, v: (…, S, D). attn_mask: true where it may look, or numbers to add.
    """
    if enable_gqa and k.shape[-3] != q.shape[-3]:
        times = q.shape[-3] // k.shape[-3]
        k, v = tf.repeat(k, times, axis=-3), tf.repeat(v, times, axis=-3)
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    scores = tf.matmul(q * tf.cast(scale, q.dtype), k, transpose_b=True)
    lowest = tf.constant(scores.dtype.min, scores.dtype)
    seen = None
    if is_causal:
        rows, columns = grid(scores)
        seen = columns <= rows
    if attn_mask is not None:
        if attn_mask.dtype == tf.bool:
            seen = attn_mask
        else:
            scores = scores + cast(attn_mask, scores.dtype)
    if seen is not None:
        scores = tf.where(seen, scores, lowest)
    weights = tf.nn.softmax(tf.maximum(scores, lowest), -1)
    if seen is not None:
        weights = tf.where(seen, weights, tf.zeros_like(weights))
    if dropout_p:
        weights = dropout(weights, dropout_p)[0]
    return tf.matmul(weights, v)
