"""Slices, rows, looking up and writing at places, and triangles, in TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from enfold.transformers.frameworks.operations import Table, is_open
from enfold.transformers.frameworks.tensorflow_ops.values import (
    cast,
    dims,
    from_end,
    is_tensor,
    movedim,
    shape_of,
    size,
    to_end,
)

__all__ = ["OPS", "gather", "grid", "slice_of"]

OPS = Table()

OPS.add(
    index_select=lambda x, dim, index: tf.gather(x, index, axis=dim),
    one_hot=lambda x, classes=-1: tf.one_hot(x, classes, dtype=tf.int64),
)


def _wrapped(index: Any, length: Any) -> Any:
    """Return indices counted from the start."""
    index = cast(index, tf.int64)
    return tf.where(index < 0, index + tf.cast(length, tf.int64), index)


@OPS.op("slice")
def slice_of(x: Any, dim: int = 0, start: Any = None, end: Any = None, step: Any = 1) -> Any:
    """Return a part of a dimension."""
    end = None if not is_tensor(end) and is_open(end) else end
    if (start is None or (not is_tensor(start) and start == 0)) and end is None and step == 1:
        return x
    at = dim % len(x.shape)
    return x[(slice(None),) * at + (slice(start, end, step),)]


@OPS.op("narrow")
def _narrow(x: Any, dim: int, start: Any, length: Any) -> Any:
    return slice_of(x, dim, start, start + length)


@OPS.op("select")
def _select(x: Any, dim: int, index: Any) -> Any:
    at = dim % len(x.shape)
    return x[(slice(None),) * at + (index,)]


@OPS.op("gather")
def gather(x: Any, dim: int, index: Any, sparse_grad: bool = False) -> Any:
    """Return what an index, which may be smaller than the tensor, points at along a dimension."""
    at = dim % len(x.shape)
    for one in range(len(x.shape)):
        if one != at and (x.shape[one] is None or x.shape[one] != index.shape[one]):
            x = slice_of(x, one, 0, size(index, one))
    moved = tf.gather(to_end(x, dim), to_end(cast(index, tf.int64), dim), batch_dims=len(x.shape) - 1, axis=-1)
    return from_end(moved, dim)


@OPS.op("embedding")
def _embedding(weight: Any, index: Any, padding_idx: int = -1, scale: bool = False, sparse: bool = False) -> Any:
    made = tf.gather(weight, index)
    if padding_idx >= 0:  # the row of the padding does not learn
        made = tf.where((index == padding_idx)[..., None], tf.stop_gradient(made), made)
    return made


def _spots(x: Any, indices: Sequence[Any]) -> tuple[Any, list[int], int]:
    """Return the indices as one tensor (…, n), the dimensions that they are of, and how many dimensions they have."""
    at = [place for place, index in enumerate(indices) if index is not None]
    given = [_wrapped(indices[place], size(x, place)) for place in at]
    shape = tf.shape(given[0], out_type=tf.int64)
    for one in given[1:]:
        shape = tf.broadcast_dynamic_shape(shape, tf.shape(one, out_type=tf.int64))
    rank = max(len(one.shape) for one in given)
    if len(given) > 1:
        total = given[0]
        for one in given[1:]:
            total = total + one * 0
        given = [one + tf.zeros_like(total) for one in given]
    return tf.stack(given, -1), at, rank


@OPS.op("index", "_unsafe_index")
def _index(x: Any, indices: Sequence[Any]) -> Any:
    if len(indices) == 1 and indices[0] is not None and tf.as_dtype(indices[0].dtype) == tf.bool:
        return tf.boolean_mask(x, indices[0])
    spots, at, rank = _spots(x, indices)
    rest = [one for one in range(len(x.shape)) if one not in at]
    made = tf.gather_nd(tf.transpose(x, at + rest), spots)
    return tf.transpose(made, _layout(at, rank, len(rest)))


def _layout(at: Sequence[int], rank: int, rest: int) -> list[int]:
    """Return the order of what is looked up: the indices' dimensions first, unless they are side by side, when they
    stay where they were."""
    before = at[0] if list(at) == list(range(at[0], at[-1] + 1)) else 0
    return [*range(rank, rank + before), *range(rank), *range(rank + before, rank + rest)]


@OPS.op("index_put")
def _index_put(x: Any, indices: Sequence[Any], values: Any, accumulate: bool = False) -> Any:
    x = tf.convert_to_tensor(x)
    values = cast(values, x.dtype)
    if len(indices) == 1 and tf.as_dtype(indices[0].dtype) == tf.bool:
        mask = indices[0]
        for _ in range(len(x.shape) - len(mask.shape)):
            mask = mask[..., None]
        return tf.where(mask, values, x)
    spots, at, rank = _spots(x, indices)
    rest = [one for one in range(len(x.shape)) if one not in at]
    moved = tf.transpose(x, at + rest)
    shape, order = tf.concat([tf.shape(spots)[:-1], tf.shape(moved)[len(at) :]], 0), _layout(at, rank, len(rest))
    values = tf.transpose(tf.broadcast_to(values, tf.gather(shape, order)), _back(order))
    update = tf.tensor_scatter_nd_add if accumulate else tf.tensor_scatter_nd_update
    return tf.transpose(update(moved, spots, values), _back(at + rest))


def _back(order: Sequence[int]) -> list[int]:
    return [order.index(place) for place in range(len(order))]


def _scatter_spots(index: Any, dim: int) -> Any:
    index = cast(index, tf.int64)
    ranges = [tf.range(tf.cast(one, tf.int64)) for one in shape_of(index)]
    grid = tf.meshgrid(*ranges, indexing="ij")
    grid[dim] = index
    return tf.stack(grid, -1)


@OPS.op("scatter")
def _scatter(x: Any, dim: int, index: Any, source: Any, reduce: str | None = None) -> Any:
    x = tf.convert_to_tensor(x)
    values = _of_size(cast(source, x.dtype), index)
    return tf.tensor_scatter_nd_update(x, _scatter_spots(index, dim % len(x.shape)), values)


@OPS.op("scatter_add")
def _scatter_add(x: Any, dim: int, index: Any, source: Any) -> Any:
    return tf.tensor_scatter_nd_add(x, _scatter_spots(index, dim % len(x.shape)), _of_size(source, index))


def _of_size(source: Any, index: Any) -> Any:
    """Return what is written to an index's places: a number everywhere, or the part of a tensor that the index has."""
    if not len(source.shape):
        return tf.broadcast_to(source, tf.shape(index))
    return source if source.shape == index.shape else source[tuple(slice(0, one) for one in shape_of(index))]


@OPS.op("index_add")
def _index_add(x: Any, dim: int, index: Any, source: Any, alpha: Any = 1) -> Any:
    moved = tf.tensor_scatter_nd_add(
        movedim(x, dim, 0), cast(index, tf.int64)[:, None], movedim(source, dim, 0) * alpha
    )
    return movedim(moved, 0, dim)


@OPS.op("index_copy")
def _index_copy(x: Any, dim: int, index: Any, source: Any) -> Any:
    moved = tf.tensor_scatter_nd_update(movedim(x, dim, 0), cast(index, tf.int64)[:, None], movedim(source, dim, 0))
    return movedim(moved, 0, dim)


@OPS.op("select_scatter")
def _select_scatter(x: Any, source: Any, dim: int, index: Any) -> Any:
    places = tf.range(tf.cast(size(x, dim), tf.int64))
    return _put(x, tf.expand_dims(source, dim), dim, places == _wrapped(index, size(x, dim)))


@OPS.op("slice_scatter")
def _slice_scatter(x: Any, source: Any, dim: int = 0, start: Any = None, end: Any = None, step: Any = 1) -> Any:
    places = slice_of(tf.range(tf.cast(size(x, dim), tf.int64)), 0, start, end, step)
    return _index_copy(x, dim, places, cast(source, x.dtype))


def _put(x: Any, source: Any, dim: int, chosen: Any) -> Any:
    at = dim % len(x.shape)
    mask = tf.reshape(chosen, [-1 if one == at else 1 for one in range(len(x.shape))])
    return tf.where(mask, cast(source, x.dtype), x)


@OPS.op("copy")
def _copy(x: Any, source: Any, non_blocking: bool = False) -> Any:
    return tf.broadcast_to(cast(source, x.dtype), dims(shape_of(x)))


@OPS.op("tril")
def _tril(x: Any, diagonal: int = 0) -> Any:
    rows, columns = grid(x)
    return tf.where(columns <= rows + diagonal, x, tf.zeros_like(x))


@OPS.op("triu")
def _triu(x: Any, diagonal: int = 0) -> Any:
    rows, columns = grid(x)
    return tf.where(columns >= rows + diagonal, x, tf.zeros_like(x))


def grid(x: Any) -> tuple[Any, Any]:
    """Return the numbers of rows and of columns of matrices, which meet: (R, 1) and (1, C)."""
    rows, columns = (tf.range(tf.cast(size(x, at), tf.int64)) for at in (-2, -1))
    return rows[:, None], columns[None, :]
