"""Which rows, in which order: selections are arrays of positions; nothing is copied until rows are read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from .source import TableSource
from .writer import TableWriter

if TYPE_CHECKING:
    from .dataset import Dataset

__all__ = ["OrderMixin"]


def _generator(seed: int | None, generator: np.random.Generator | None) -> np.random.Generator:
    """Without a seed, one is taken from numpy's global state: ``np.random.seed`` decides, as in the ecosystem."""
    if generator is not None:
        if seed is not None:
            raise ValueError("give a seed or a generator, not both")
        if not isinstance(generator, np.random.Generator):
            raise ValueError("the generator must be a numpy.random.Generator")
        return generator
    if seed is None:
        drawn: Any = np.random.get_state()
        state, position = drawn[1], drawn[2]
        seed = int(state[position] if position < 624 else state[0])
        np.random.random()
    return np.random.default_rng(seed)


class OrderMixin:
    """The methods of a dataset that choose rows."""

    def _select_rows(self: Any, rows: np.ndarray, fingerprint: str | None) -> Dataset:
        rows = np.ascontiguousarray(rows, np.int64)
        made = self._with(_indices=rows if self._indices is None else self._indices[rows])
        made._identity = fingerprint if fingerprint is not None else self._step("select", rows)
        return made

    def _select_range(self: Any, start: int, stop: int) -> Dataset:
        if self._indices is None:
            made = self._with(_source=self._source.slice(start, stop))
        else:
            made = self._with(_indices=self._indices[start:stop])
        made._identity = self._step("range", start, stop)
        return made

    def select(
        self: Any,
        indices: Iterable[int],
        keep_in_memory: bool = False,
        indices_cache_file_name: str | None = None,
        writer_batch_size: int | None = 1000,
        new_fingerprint: str | None = None,
    ) -> Dataset:
        """Return the rows at some positions, in their order.

        Args:
            indices: the positions: a range, a list, an array; negative ones count from the end.
            keep_in_memory, indices_cache_file_name, writer_batch_size: accepted for compatibility; a selection is
                never written.
            new_fingerprint: what the result is, as text.

        Raises:
            IndexError: a position outside of the dataset.

        Example:
            >>> from enfold.datasets import Dataset
            >>> Dataset.from_dict({"a": [1, 2, 3]}).select([2, 0])["a"][:]
            [3, 1]
        """
        if isinstance(indices, range) and indices.step == 1 and len(indices) and indices.start >= 0:
            if indices.stop > len(self):
                raise IndexError(f"Index {indices.stop - 1} out of range for dataset of size {len(self)}.")
            return self._select_range(indices.start, indices.stop)
        try:
            rows = self._positions(indices)
        except IndexError:
            wanted = np.asarray(list(indices))
            wrong = wanted[(wanted >= len(self)) | (wanted < -len(self))][0]
            raise IndexError(f"Index {wrong} out of range for dataset of size {len(self)}.") from None
        if len(rows) and bool(np.all(np.diff(rows) == 1)):
            return self._select_range(int(rows[0]), int(rows[-1]) + 1)
        return self._select_rows(rows, new_fingerprint)

    def skip(self: Any, n: int) -> Dataset:
        """Return the rows after the first ``n``."""
        return self.select(range(min(n, len(self)), len(self)))

    def take(self: Any, n: int) -> Dataset:
        """Return the first ``n`` rows, or all where there are fewer."""
        return self.select(range(min(n, len(self))))

    def repeat(self: Any, num_times: int) -> Dataset:
        """Return the rows ``num_times`` times over."""
        return self.select(np.tile(np.arange(len(self)), max(num_times, 0)))

    def shuffle(
        self: Any,
        seed: int | None = None,
        generator: np.random.Generator | None = None,
        keep_in_memory: bool = False,
        load_from_cache_file: bool | None = None,
        indices_cache_file_name: str | None = None,
        writer_batch_size: int | None = 1000,
        new_fingerprint: str | None = None,
    ) -> Dataset:
        """Return the rows in random order.

        Args:
            seed: the same seed gives the same order; one from numpy's global state where None.
            generator: the generator to draw from instead.

        Example:
            >>> from enfold.datasets import Dataset
            >>> Dataset.from_dict({"a": [0, 1, 2, 3]}).shuffle(seed=42)["a"][:]
            [3, 2, 1, 0]
        """
        return self._select_rows(_generator(seed, generator).permutation(len(self)), new_fingerprint)

    def sort(
        self: Any,
        column_names: str | Sequence[str],
        reverse: bool | Sequence[bool] = False,
        null_placement: str = "at_end",
        keep_in_memory: bool = False,
        load_from_cache_file: bool | None = None,
        indices_cache_file_name: str | None = None,
        writer_batch_size: int | None = 1000,
        new_fingerprint: str | None = None,
    ) -> Dataset:
        """Return the rows sorted by one or more columns; equal rows keep their order.

        Args:
            column_names: the column, or columns with the most important first.
            reverse: largest first, for all columns or each.
            null_placement: ``"at_end"`` or ``"at_start"`` (also ``"last"``, ``"first"``) for missing values.

        Raises:
            ValueError: a column that is not there; a number of ``reverse`` that does not fit.
        """
        import pyarrow.compute as pc

        names = self._require(column_names)
        flags = [reverse] * len(names) if isinstance(reverse, bool) else list(reverse)
        if len(flags) != len(names):
            raise ValueError(f"reverse has {len(flags)} values for {len(names)} columns")
        placement = {"first": "at_start", "last": "at_end"}.get(null_placement, null_placement)
        if placement not in ("at_start", "at_end"):
            raise ValueError(f"null_placement must be 'at_end' or 'at_start', not {null_placement!r}")
        table = self._read(0, len(self), list(dict.fromkeys(names)))
        keys = [(name, "descending" if flag else "ascending") for name, flag in zip(names, flags, strict=False)]
        if int(pa.__version__.split(".")[0]) >= 25:  # since then, each key says where its nulls go
            found = pc.sort_indices(table, sort_keys=[(name, order, placement) for name, order in keys])
        else:
            found = pc.sort_indices(table, sort_keys=keys, null_placement=placement)
        rows = found.to_numpy().astype(np.int64)
        return self._select_rows(rows, new_fingerprint)

    def shard(
        self: Any,
        num_shards: int,
        index: int,
        contiguous: bool = True,
        keep_in_memory: bool = False,
        indices_cache_file_name: str | None = None,
        writer_batch_size: int | None = 1000,
    ) -> Dataset:
        """Return one of ``num_shards`` parts of nearly equal size.

        Args:
            num_shards: the number of parts.
            index: which one, from 0.
            contiguous: parts are runs of rows; else every ``num_shards``-th row.

        Raises:
            ValueError: an index outside of the parts.
        """
        if not 0 <= index < num_shards:
            raise ValueError(f"index must be 0 to {num_shards - 1}, not {index}")
        if not contiguous:
            return self.select(np.arange(index, len(self), num_shards))
        size, more = divmod(len(self), num_shards)
        start = index * size + min(index, more)
        return self.select(range(start, start + size + (index < more)))

    def flatten_indices(
        self: Any,
        keep_in_memory: bool = False,
        cache_file_name: str | None = None,
        writer_batch_size: int | None = 1000,
        features: Any = None,
        disable_nullable: bool = False,
        num_proc: int | None = None,
        new_fingerprint: str | None = None,
    ) -> Dataset:
        """Return the dataset with its selected rows laid out one after the other, to read them in order quickly."""
        if self._indices is None:
            return self
        path = cache_file_name
        with TableWriter(path) as writer:
            for start in range(0, max(len(self), 1), 1 << 16):
                table = self._read(start, min(start + (1 << 16), len(self)), self.column_names)
                writer.write(table.replace_schema_metadata(None))
            source: TableSource = writer.finish()
        made = self._with(_source=source, _indices=None)
        made._identity = lambda: self._fingerprint
        return made

    def train_test_split(
        self: Any,
        test_size: float | int | None = None,
        train_size: float | int | None = None,
        shuffle: bool = True,
        stratify_by_column: str | None = None,
        seed: int | None = None,
        generator: np.random.Generator | None = None,
        keep_in_memory: bool = False,
        load_from_cache_file: bool | None = None,
        train_indices_cache_file_name: str | None = None,
        test_indices_cache_file_name: str | None = None,
        writer_batch_size: int | None = 1000,
        train_new_fingerprint: str | None = None,
        test_new_fingerprint: str | None = None,
    ) -> Any:
        """Return a dict of two datasets, ``"train"`` and ``"test"``.

        Args:
            test_size: rows of the test split: a number, or a share between 0 and 1; a quarter where neither is given.
            train_size: rows of the train split; all others where None.
            shuffle: draw the rows at random; else the test rows are the last ones.
            stratify_by_column: a ClassLabel column whose labels both splits have in equal shares.
            seed: the same seed gives the same splits.
            generator: the generator to draw from instead.

        Raises:
            ValueError: sizes that do not fit the dataset; a column that cannot be stratified by.

        Example:
            >>> from enfold.datasets import Dataset
            >>> splits = Dataset.from_dict({"a": list(range(10))}).train_test_split(test_size=0.2, seed=0)
            >>> len(splits["train"]), len(splits["test"])
            (8, 2)
        """
        from .dataset_dict import DatasetDict

        total = len(self)
        n_train, n_test = _sizes(total, train_size, test_size)
        if not shuffle:
            if stratify_by_column is not None:
                raise ValueError("stratified splits are drawn at random: stratify_by_column needs shuffle=True")
            train, test = np.arange(n_train), np.arange(n_train, n_train + n_test)
        elif stratify_by_column is not None:
            labels = self._labels(stratify_by_column)
            train, test = _stratified(labels, n_train, n_test, _generator(seed, generator))
        else:
            order = _generator(seed, generator).permutation(total)
            test, train = order[:n_test], order[n_test : n_test + n_train]
        return DatasetDict(
            {
                "train": self._select_rows(train, train_new_fingerprint),
                "test": self._select_rows(test, test_new_fingerprint),
            }
        )

    def _labels(self: Any, column: str) -> np.ndarray:
        from .features.types import ClassLabel

        self._require(column)
        if not isinstance(self.features[column], ClassLabel):
            raise ValueError(
                f"stratifying needs a ClassLabel column; {column!r} is {self.features[column]!r}. "
                f"Make it one: dataset.class_encode_column({column!r})"
            )
        return self._read(0, len(self), [column]).column(0).to_numpy()


def _sizes(total: int, train_size: float | int | None, test_size: float | int | None) -> tuple[int, int]:
    if train_size is None and test_size is None:
        test_size = 0.25
    for name, size in (("train_size", train_size), ("test_size", test_size)):
        if size is None:
            continue
        if isinstance(size, float) and not 0 < size < 1:
            raise ValueError(f"{name}={size} must be a share between 0 and 1, or a number of rows")
        if isinstance(size, (int, np.integer)) and not 0 < size < total:
            raise ValueError(f"{name}={size} must be between 1 and {total - 1}: the dataset has {total} rows")
    if isinstance(train_size, float) and isinstance(test_size, float) and train_size + test_size > 1:
        raise ValueError(f"train_size and test_size add up to {train_size + test_size}, more than 1")
    # the test share is rounded up and the train share down, so that they never overlap
    n_test = (
        None if test_size is None else int(np.ceil(test_size * total) if isinstance(test_size, float) else test_size)
    )
    n_train = (
        None
        if train_size is None
        else int(np.floor(train_size * total) if isinstance(train_size, float) else train_size)
    )
    n_test = total - n_train if n_test is None and n_train is not None else n_test
    n_train = total - n_test if n_train is None and n_test is not None else n_train
    assert n_train is not None and n_test is not None
    if n_train + n_test > total:
        raise ValueError(f"{n_train} train and {n_test} test rows are more than the {total} rows of the dataset")
    if n_train == 0:
        raise ValueError(
            f"the train split would be empty: {total} rows, test_size={test_size}, train_size={train_size}"
        )
    return n_train, n_test


def _share(counts: np.ndarray, draws: int, generator: np.random.Generator) -> np.ndarray:
    """Return how many to draw of each class: the expected numbers, rounded so that they sum to ``draws``.

    The largest remainders are rounded up; where they are equal, which of them is drawn at random (the mode of the
    multivariate hypergeometric distribution, as scikit-learn's StratifiedShuffleSplit takes it).
    """
    expected = counts / counts.sum() * draws
    share = np.floor(expected)
    missing = int(draws - share.sum())
    if missing > 0:
        rest = expected - share
        for value in np.sort(np.unique(rest))[::-1]:
            (places,) = np.where(rest == value)
            count = min(len(places), missing)
            share[generator.choice(places, size=count, replace=False)] += 1
            missing -= count
            if missing == 0:
                break
    return share.astype(np.int64)


def _stratified(
    labels: np.ndarray, n_train: int, n_test: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of both splits, drawn in scikit-learn's order: a seed gives the ecosystem's splits."""
    _, numbers = np.unique(labels, return_inverse=True)
    counts = np.bincount(numbers)
    if counts.min() < 2:
        raise ValueError("stratifying needs at least two rows of every label")
    for name, size in (("train", n_train), ("test", n_test)):
        if size < len(counts):
            raise ValueError(f"the {name} split of {size} rows is too small for {len(counts)} labels")
    of_class = np.split(np.argsort(numbers, kind="mergesort"), np.cumsum(counts)[:-1])
    take_train = _share(counts, n_train, generator)
    take_test = _share(counts - take_train, n_test, generator)
    train, test = [], []
    for rows, first, second in zip(of_class, take_train, take_test, strict=False):
        shuffled = rows[generator.permutation(len(rows))]
        train.append(shuffled[:first])
        test.append(shuffled[first : first + second])
    return generator.permutation(np.concatenate(train)), generator.permutation(np.concatenate(test))
