"""What TensorFlow's versions of operations share: sizes that may be open, and torch's rules for types."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from enfold.transformers.frameworks.graph.program import DType

__all__ = [
    "as_dtype",
    "axes",
    "cast",
    "channels",
    "channels_first",
    "channels_last",
    "common",
    "dims",
    "floating",
    "from_end",
    "is_tensor",
    "movedim",
    "scalar_type",
    "shape_of",
    "size",
    "sum_type",
    "to_end",
]

_WIDTHS = [
    tf.bool, tf.uint8, tf.int8, tf.int16, tf.int32, tf.int64, tf.bfloat16, tf.float16, tf.float32, tf.float64,
]  # fmt: skip


def is_tensor(value: Any) -> bool:
    """Return whether a value is a tensor or an array rather than a Python number."""
    return tf.is_tensor(value) or isinstance(value, np.ndarray | tf.Variable)


def as_dtype(kind: DType | None, default: Any = tf.float32) -> Any:
    """Return TensorFlow's type for a program's."""
    return default if kind is None else tf.as_dtype(kind.name)


def size(x: Any, at: int) -> Any:
    """Return a dimension's size: a number where it is known, else a scalar tensor of int64."""
    x = tf.convert_to_tensor(x)
    known = x.shape[at]
    return known if known is not None else tf.shape(x, out_type=tf.int64)[at]


def dims(sizes: Sequence[Any]) -> Any:
    """Return sizes as what ``tf.reshape`` takes: a list of numbers, or one tensor where some are open."""
    if not any(is_tensor(one) for one in sizes):
        return [int(one) for one in sizes]
    return tf.stack([tf.cast(one, tf.int64) for one in sizes])


def shape_of(x: Any) -> list[Any]:
    """Return all sizes of a tensor, each a number where it is known."""
    return [size(x, at) for at in range(len(x.shape))]


def axes(at: int | Sequence[int] | None, rank: int) -> list[int]:
    """Return dimensions as numbers from 0; all of them for None and for an empty list."""
    if at is None or (not isinstance(at, int) and not len(at)):
        return list(range(rank))
    return [one % rank if rank else 0 for one in ([at] if isinstance(at, int) else at)]


def cast(x: Any, dtype: Any) -> Any:
    """Return a tensor in a type; what is not finite keeps what torch would give."""
    x = tf.convert_to_tensor(x)
    return x if x.dtype == dtype else tf.cast(x, dtype)


def scalar_type(value: Any) -> Any:
    """Return the type of a Python number as torch has it."""
    return tf.bool if isinstance(value, bool) else tf.int64 if isinstance(value, int) else tf.float32


def sum_type(x: Any) -> Any:
    """Return the type that torch adds up in: whole numbers and truth in int64."""
    return tf.int64 if x.dtype == tf.bool or x.dtype.is_integer else x.dtype


def floating(x: Any) -> Any:
    """Return a tensor of real numbers, in float32 where they were whole."""
    x = tf.convert_to_tensor(x)
    return x if x.dtype.is_floating else tf.cast(x, tf.float32)


def movedim(x: Any, source: Any, target: Any) -> Any:
    """Return a tensor with dimensions moved from places to places."""
    rank = len(x.shape)
    moved = dict(zip(axes(target, rank), axes(source, rank), strict=True))
    rest = iter([at for at in range(rank) if at not in moved.values()])
    order = [moved[at] if at in moved else next(rest) for at in range(rank)]
    return x if order == list(range(rank)) else tf.transpose(x, order)


def to_end(x: Any, dim: int) -> Any:
    """Return a tensor with a dimension moved to the end."""
    return movedim(x, dim, -1)


def from_end(x: Any, dim: int) -> Any:
    """Return a tensor with its last dimension moved to where ``to_end`` took it from."""
    return movedim(x, -1, dim)


def channels(value: Any, rank: int) -> Any:
    """Return numbers of channels (C) so that they meet (B, C, …)."""
    return tf.reshape(value, [1, -1, *[1] * (rank - 2)])


def channels_last(x: Any) -> Any:
    """Return (B, …, C) of (B, C, …)."""
    return tf.transpose(x, [0, *range(2, len(x.shape)), 1])


def channels_first(x: Any) -> Any:
    """Return (B, C, …) of (B, …, C)."""
    rank = len(x.shape)
    return tf.transpose(x, [0, rank - 1, *range(1, rank - 1)])


def _category(dtype: Any) -> int:
    return 0 if dtype == tf.bool else 1 if dtype.is_integer else 2


def common(*values: Any) -> list[Any]:
    """Return values as tensors of the type in which torch computes with them.

    Tensors with dimensions decide; a tensor without, and after it a Python number, counts only where it is of a higher
    kind (truth, whole number, real number).

    Source: https://docs.pytorch.org/docs/stable/tensor_attributes.html#torch.dtype
    """
    given: list[list[Any]] = [[], [], []]
    for value in values:
        if is_tensor(value):
            given[0 if len(value.shape) else 1].append(tf.as_dtype(value.dtype))
        else:
            given[2].append(scalar_type(value))
    chosen: Any = None
    for group in given:
        if group:
            widest = max(group, key=_WIDTHS.index)
            if chosen is None or _category(widest) > _category(chosen):
                chosen = widest
    return [cast(value, chosen) if is_tensor(value) else tf.constant(value, chosen) for value in values]
