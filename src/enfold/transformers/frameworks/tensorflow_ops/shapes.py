"""Sizes, views, orders of dimensions, joining and splitting, and padding, in TensorFlow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from enfold.errors import EnfoldError
from enfold.transformers.frameworks.graph.program import DType
from enfold.transformers.frameworks.operations import Table, pads_by_dimension, pieces
from enfold.transformers.frameworks.tensorflow_ops.arithmetic import maximum, minimum
from enfold.transformers.frameworks.tensorflow_ops.indexing import slice_of
from enfold.transformers.frameworks.tensorflow_ops.values import (
    as_dtype,
    axes,
    common,
    dims,
    is_tensor,
    movedim,
    shape_of,
    size,
)

__all__ = ["OPS"]

OPS = Table()

OPS.add(
    sym_size=size,
    movedim=movedim,
    t=lambda x: tf.transpose(x),
    mT=lambda x: tf.linalg.matrix_transpose(x),
    unsqueeze=lambda x, dim: tf.expand_dims(x, dim),
    unbind=lambda x, dim=0: tf.unstack(x, axis=dim),
    repeat_interleave=lambda x, times, dim=None, **_: tf.repeat(x, times, dim),
    meshgrid=lambda values, indexing="ij": tf.meshgrid(*values, indexing=indexing),
)
OPS.op("sym_numel", "numel")(lambda x: math.prod(shape_of(x)))
OPS.op("torch.sym_float")(lambda x: tf.cast(x, tf.float32) if is_tensor(x) else float(x))
OPS.op("torch.sym_int")(lambda x: tf.cast(x, tf.int64) if is_tensor(x) else int(x))
OPS.op("torch.sym_max")(lambda a, b: maximum(a, b) if is_tensor(a) or is_tensor(b) else max(a, b))
OPS.op("torch.sym_min")(lambda a, b: minimum(a, b) if is_tensor(a) or is_tensor(b) else min(a, b))


@OPS.op("view", "view_copy", "_reshape_alias")
def _view(x: Any, sizes: Any) -> Any:
    if isinstance(sizes, DType):
        return tf.bitcast(x, as_dtype(sizes))
    return tf.reshape(x, dims(sizes))


@OPS.op("unflatten")
def _unflatten(x: Any, dim: int, sizes: Sequence[Any]) -> Any:
    old = shape_of(x)
    at = dim % len(old)
    return tf.reshape(x, dims([*old[:at], *sizes, *old[at + 1 :]]))


@OPS.op("expand")
def _expand(x: Any, sizes: Sequence[Any], implicit: bool = False) -> Any:
    old = shape_of(x)
    ahead = len(sizes) - len(old)
    wanted = [old[at - ahead] if not is_tensor(one) and one == -1 else one for at, one in enumerate(sizes)]
    return tf.broadcast_to(x, dims(wanted))


@OPS.op("permute")
def _permute(x: Any, order: Sequence[int]) -> Any:
    return tf.transpose(x, axes(order, len(x.shape)))


@OPS.op("transpose")
def _transpose(x: Any, a: int, b: int) -> Any:
    order = list(range(len(x.shape)))
    order[a], order[b] = order[b], order[a]
    return tf.transpose(x, order)


@OPS.op("squeeze")
def _squeeze(x: Any, at: Any = None) -> Any:
    chosen = [one for one in axes(at, len(x.shape)) if x.shape[one] == 1]
    return tf.squeeze(x, chosen) if chosen else x


@OPS.op("cat", "concat")
def _cat(values: Sequence[Any], dim: int = 0) -> Any:
    kept = [one for one in values if one.shape.rank != 1 or one.shape[0] != 0] or list(values[:1])
    return tf.concat(common(*kept), dim)


@OPS.op("stack")
def _stack(values: Sequence[Any], dim: int = 0) -> Any:
    return tf.stack(common(*values), dim)


@OPS.op("split", "split_with_sizes")
def _split(x: Any, sizes: Any, dim: int = 0) -> Any:
    if isinstance(sizes, list | tuple):
        return tf.split(x, dims(sizes), dim, num=len(sizes))
    whole = size(x, dim)
    if is_tensor(whole) or is_tensor(sizes):
        raise EnfoldError("TensorFlow does not split a size that is open into pieces of one size")
    return tf.split(x, pieces(int(whole), int(sizes)), dim)


@OPS.op("chunk")
def _chunk(x: Any, count: int, dim: int = 0) -> Any:
    return _split(x, -(-int(size(x, dim)) // count), dim)


@OPS.op("flip")
def _flip(x: Any, at: Sequence[int]) -> Any:
    return tf.reverse(x, axes(at, len(x.shape)) if len(at) else [])


@OPS.op("roll")
def _roll(x: Any, shifts: Any, at: Any = ()) -> Any:
    shifts = [shifts] if isinstance(shifts, int) else list(shifts)
    return tf.roll(x, shifts, axes(at, len(x.shape)))


@OPS.op("repeat")
def _repeat(x: Any, times: Sequence[Any]) -> Any:
    ahead = len(times) - len(x.shape)
    return tf.tile(tf.reshape(x, dims([*[1] * ahead, *shape_of(x)])), dims(times))


@OPS.op("tile")
def _tile(x: Any, times: Sequence[Any]) -> Any:
    return _repeat(x, [*[1] * (len(x.shape) - len(times)), *times])


@OPS.op("unfold")
def _unfold(x: Any, dim: int, length: int, step: int) -> Any:
    at = dim % len(x.shape)
    made = tf.signal.frame(x, length, step, axis=at)  # the frame comes right after the dimension
    order = [one for one in range(len(made.shape)) if one != at + 1]
    return tf.transpose(made, [*order, at + 1])


@OPS.op("constant_pad_nd")
def _constant_pad(x: Any, pads: Sequence[Any], value: Any = 0) -> Any:
    pairs = pads_by_dimension(pads, len(x.shape))
    for at, (before, after) in enumerate(pairs):  # negative ones cut
        begin = -before if not is_tensor(before) and before < 0 else 0
        end = after if not is_tensor(after) and after < 0 else None
        if begin or end is not None:
            x = slice_of(x, at, begin, end)
    grown = [[one if is_tensor(one) or one > 0 else 0 for one in pair] for pair in pairs]
    if not any(is_tensor(one) or one for pair in grown for one in pair):
        return x
    x = tf.convert_to_tensor(x)
    paddings = tf.stack([dims(pair) for pair in grown])
    return tf.pad(x, paddings, constant_values=tf.cast(value, x.dtype))


@OPS.op("reflection_pad1d", "reflection_pad2d")
def _reflection_pad(x: Any, pads: Sequence[Any]) -> Any:
    return tf.pad(x, pads_by_dimension(pads, len(x.shape)), "REFLECT")


@OPS.op("pad")
def _pad(x: Any, pads: Sequence[Any], mode: str = "constant", value: Any = None) -> Any:
    if mode == "constant":
        return _constant_pad(x, pads, value or 0)
    if mode == "reflect":
        return _reflection_pad(x, pads)
    raise EnfoldError(f"TensorFlow's table has no padding of the kind {mode!r}")


@OPS.op("diff")
def _diff(x: Any, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None) -> Any:
    x = tf.concat([one for one in (prepend, x, append) if one is not None], dim)
    for _ in range(n):
        x = slice_of(x, dim, 1) - slice_of(x, dim, 0, -1)
    return x
