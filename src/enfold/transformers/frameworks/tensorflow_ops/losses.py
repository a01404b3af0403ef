"""Losses in TensorFlow."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from enfold.transformers.frameworks.operations import Table
from enfold.transformers.frameworks.tensorflow_ops.arithmetic import subtract
from enfold.transformers.frameworks.tensorflow_ops.indexing import gather
from enfold.transformers.frameworks.tensorflow_ops.values import channels, common

__all__ = ["OPS"]

OPS = Table()


def _reduced(loss: Any, reduction: Any) -> Any:
    return tf.reduce_mean(loss) if reduction in (1, "mean") else tf.reduce_sum(loss) if reduction == 2 else loss


@OPS.op("mse_loss")
def _mse(a: Any, b: Any, reduction: int = 1) -> Any:
    return _reduced(tf.math.squared_difference(*common(a, b)), reduction)


@OPS.op("l1_loss")
def _l1(a: Any, b: Any, reduction: int = 1) -> Any:
    return _reduced(tf.abs(subtract(a, b)), reduction)


@OPS.op("smooth_l1_loss", "huber_loss")
def _smooth_l1(a: Any, b: Any, reduction: int = 1, beta: float = 1.0) -> Any:
    gap = tf.abs(subtract(a, b))
    return _reduced(tf.where(gap < beta, 0.5 * gap * gap / beta, gap - 0.5 * beta), reduction)


@OPS.op("nll_loss_forward", "nll_loss2d_forward")
def _nll(x: Any, target: Any, weight: Any, reduction: int = 1, ignored: int = -100) -> Any:
    at = 1 if len(x.shape) > 1 else 0
    kept = target != ignored
    safe = tf.where(kept, target, tf.zeros_like(target))
    picked = tf.squeeze(gather(x, at, tf.expand_dims(safe, at)), at)
    each = tf.cast(kept, x.dtype) if weight is None else tf.gather(weight, safe) * tf.cast(kept, x.dtype)
    loss, total = -picked * each, tf.reduce_sum(each)
    if reduction == 1:
        loss = tf.reduce_sum(loss) / total
    return (tf.reduce_sum(loss) if reduction == 2 else loss), total


@OPS.op("nll_loss", "nll_loss_nd", "nll_loss2d")
def _plain_nll(x: Any, target: Any, weight: Any = None, reduction: int = 1, ignored: int = -100) -> Any:
    return _nll(x, target, weight, reduction, ignored)[0]


@OPS.op("cross_entropy_loss")
def _cross_entropy(
    x: Any, target: Any, weight: Any = None, reduction: int = 1, ignored: int = -100, smoothing: float = 0.0
) -> Any:
    at = 1 if len(x.shape) > 1 else 0
    logs = tf.nn.log_softmax(x, at)
    if target.dtype.is_floating:
        target = target * (1 - smoothing) + smoothing / x.shape[at]
        weighed = logs if weight is None else logs * channels(weight, len(x.shape))
        loss = -tf.reduce_sum(weighed * target, at)
        return _reduced(loss, reduction)
    plain = _nll(logs, target, weight, reduction, ignored)[0]
    if not smoothing:
        return plain
    kept = target != ignored
    weighed = logs if weight is None else logs * channels(weight, len(x.shape))
    spread = tf.where(kept, -tf.reduce_sum(weighed, at), 0.0)
    if reduction == 1:
        safe = tf.where(kept, target, 0)
        each = tf.cast(kept, x.dtype) if weight is None else tf.gather(weight, safe) * tf.cast(kept, x.dtype)
        spread = tf.reduce_sum(spread) / tf.reduce_sum(each)
    elif reduction == 2:
        spread = tf.reduce_sum(spread)
    return (1 - smoothing) * plain + smoothing / x.shape[at] * spread


@OPS.op("binary_cross_entropy_with_logits")
def _binary(x: Any, target: Any, weight: Any = None, pos_weight: Any = None, reduction: int = 1) -> Any:
    loss = (1 - target) * x + (1 if pos_weight is None else 1 + (pos_weight - 1) * target) * tf.nn.softplus(-x)
    return _reduced(loss if weight is None else loss * weight, reduction)


@OPS.op("kl_div")
def _kl(x: Any, target: Any, reduction: int = 1, log_target: bool = False) -> Any:
    loss = tf.exp(target) * (target - x) if log_target else tf.math.xlogy(target, target) - target * x
    return _reduced(loss, reduction)


@OPS.op("_ctc_loss")
def _ctc(
    logs: Any, targets: Any, lengths: Any, target_lengths: Any, blank: int = 0, zero_infinity: bool = False, **_: Any
) -> Any:
    """Connectionist temporal classification. logs: (T, B, C) log-probabilities; targets: (B, S) or all in a row."""
    lengths, target_lengths = (tf.cast(tf.convert_to_tensor(one), tf.int32) for one in (lengths, target_lengths))
    targets = tf.cast(targets, tf.int32)
    if len(targets.shape) == 1:
        targets = tf.RaggedTensor.from_row_lengths(targets, target_lengths).to_tensor()
    loss = tf.nn.ctc_loss(targets, logs, target_lengths, lengths, logits_time_major=True, blank_index=blank)
    return loss, logs


@OPS.op("ctc_loss")
def _plain_ctc(
    logs: Any, targets: Any, lengths: Any, target_lengths: Any, blank: int = 0, reduction: int = 1, zero: bool = False
) -> Any:
    loss, _ = _ctc(logs, targets, lengths, target_lengths, blank)
    loss = tf.where(tf.math.is_finite(loss), loss, tf.zeros_like(loss)) if zero else loss
    if reduction == 1:
        loss = loss / tf.cast(tf.maximum(tf.cast(target_lengths, tf.int64), 1), loss.dtype)
    return _reduced(loss, reduction)
