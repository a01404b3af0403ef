"""``to_tf_dataset``: a dataset's batches as a ``tf.data.Dataset``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..column import unknown_column
from .tensorflow_format import require_tensorflow

if TYPE_CHECKING:
    from ..dataset import Dataset

__all__ = ["tf_dataset"]

# Names that collators give labels: kept beside the columns that were asked for.
_LABELS = ("label", "label_ids", "labels")


def tf_dataset(
    dataset: Dataset,
    batch_size: int | None,
    columns: list[str],
    label_cols: list[str],
    shuffle: bool,
    collate_fn: Callable[..., Mapping[str, Any]],
    drop_remainder: bool,
    prefetch: bool,
    num_workers: int,
    num_test_batches: int,
) -> Any:
    """Return the dataset's batches for TensorFlow; see :meth:`Dataset.to_tf_dataset`.

    What a batch holds is told from ``num_test_batches`` random ones: a size that differs between them is left open.
    """
    tf = require_tensorflow("to_tf_dataset")
    if dataset.format["type"] not in ("numpy", "custom"):
        dataset = dataset.with_format("numpy")
    wanted = {*columns, *label_cols}

    def collated(rows: np.ndarray) -> dict[str, np.ndarray]:
        found = dataset[rows.tolist()]
        kept = [name for name in found if not wanted or name in wanted or name in _LABELS]
        made = collate_fn([{name: found[name][i] for name in kept} for i in range(len(rows))])
        return {name: _array(value) for name, value in made.items()}

    size = batch_size or 1
    kinds = _kinds(dataset, collated, size, num_test_batches, drop_remainder or batch_size is None)
    if "labels" in kinds:  # a collator that renames the labels renames them for whoever asked for them, too
        columns, label_cols = (_relabelled(names) for names in (columns, label_cols))
    for name in [*columns, *label_cols]:
        if name not in kinds:
            raise unknown_column(name, kinds)
    names = list(kinds)

    def orders() -> Iterator[np.ndarray]:
        # a fresh order for every pass over the rows
        rows = np.random.permutation(len(dataset)) if shuffle else np.arange(len(dataset))
        last = len(rows) - len(rows) % size if drop_remainder else len(rows)
        for start in range(0, last, size):
            yield rows[start : start + size]

    def load(rows: Any) -> list[np.ndarray]:
        batch = collated(rows)
        return [batch[name].astype(kinds[name][0], copy=False) for name in names]

    def tensors(rows: Any) -> dict[str, Any]:
        made = tf.numpy_function(load, [rows], [_dtype(tf, kinds[name][0]) for name in names])
        out = {}
        for name, tensor in zip(names, made, strict=True):
            tensor.set_shape(kinds[name][1])
            out[name] = tensor[0] if batch_size is None else tensor
        return out

    def divided(batch: dict[str, Any]) -> Any:
        inputs, labels = ({name: batch[name] for name in chosen} for chosen in (columns, label_cols))
        sides = [next(iter(side.values())) if len(side) == 1 else side for side in (inputs, labels)]
        return sides[0] if not labels else tuple(sides)

    made = tf.data.Dataset.from_generator(orders, output_signature=tf.TensorSpec([None], tf.int64))
    made = made.map(tensors, num_parallel_calls=max(num_workers, 1), deterministic=True)
    count = len(dataset) // size if drop_remainder else -(-len(dataset) // size)
    made = made.apply(tf.data.experimental.assert_cardinality(count))
    if wanted:
        made = made.map(divided)
    return made.prefetch(tf.data.AUTOTUNE) if prefetch else made


def stacked(rows: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    """Return rows as a dict of arrays, one for each column: the collator where none is given."""
    return {name: np.stack([np.asarray(row[name]) for row in rows]) for name in rows[0]}


def _relabelled(names: list[str]) -> list[str]:
    kept = [name for name in names if name not in ("label", "label_ids")]
    return kept if len(kept) == len(names) or "labels" in kept else [*kept, "labels"]


def _array(value: Any) -> np.ndarray:
    made = np.asarray(value)
    kind = {"i": np.int64, "u": np.int64, "b": np.int64, "f": np.float32, "U": np.str_, "S": np.bytes_, "O": np.str_}
    if made.dtype.kind not in kind:
        raise TypeError(f"to_tf_dataset takes numbers, truth values and text, not {made.dtype}")
    return made.astype(kind[made.dtype.kind], copy=False)


def _kinds(
    dataset: Dataset, collated: Callable[[np.ndarray], dict[str, np.ndarray]], size: int, tries: int, fixed: bool
) -> dict[str, tuple[Any, list[int | None]]]:
    """Return each column's dtype and shape; None for a size that is not the same in every batch that was tried."""
    if not len(dataset):
        raise ValueError("to_tf_dataset needs at least one row: what a batch holds is told from some")
    generator = np.random.default_rng(0)  # the rows tried do not depend on the program's own random state
    shapes: dict[str, list[tuple[int, ...]]] = {}
    dtypes: dict[str, Any] = {}
    for _ in range(tries):
        rows = generator.choice(len(dataset), min(size, len(dataset)), replace=False)
        for name, value in collated(rows).items():
            shapes.setdefault(name, []).append(value.shape)
            dtypes[name] = value.dtype if value.dtype.kind != "U" else np.dtype(np.str_)
    out: dict[str, tuple[Any, list[int | None]]] = {}
    for name, seen in shapes.items():
        if len({len(shape) for shape in seen}) > 1:
            raise ValueError(f"column {name!r} has a different number of dimensions from batch to batch")
        shape = [sizes[0] if len(set(sizes)) == 1 else None for sizes in zip(*seen, strict=True)]
        out[name] = (dtypes[name], [shape[0] if fixed else None, *shape[1:]])
    return out


def _dtype(tf: Any, kind: Any) -> Any:
    return tf.string if kind.kind in "US" else tf.as_dtype(kind)
