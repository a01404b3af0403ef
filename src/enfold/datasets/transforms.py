"""What a dataset does with functions over its rows: ``map``, ``filter``, ``batch``."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from .distributing import map_on_ray
from .features.features import Features
from .features.types import List
from .filtering import filter_dataset
from .fingerprint import combine
from .mapping import map_dataset
from .source import TableSource
from .values import one_array

if TYPE_CHECKING:
    from .dataset import Dataset

__all__ = ["TransformMixin"]

# Rows that `batch` groups at a time.
_GROUPED = 10_000


class TransformMixin:
    """The methods of a dataset that run functions over its rows."""

    def map(
        self: Any,
        function: Callable[..., Any] | None = None,
        with_indices: bool = False,
        with_rank: bool = False,
        input_columns: str | list[str] | None = None,
        batched: bool = False,
        batch_size: int | None = 1000,
        drop_last_batch: bool = False,
        remove_columns: str | list[str] | None = None,
        keep_in_memory: bool = False,
        load_from_cache_file: bool | None = None,
        cache_file_name: str | None = None,
        writer_batch_size: int | None = 1000,
        features: Features | None = None,
        disable_nullable: bool = False,
        fn_kwargs: dict[str, Any] | None = None,
        num_proc: int | None = None,
        suffix_template: str = "_{rank:05d}_of_{num_proc:05d}",
        new_fingerprint: str | None = None,
        desc: str | None = None,
        try_original_type: bool | None = True,
        on_mixed_types: str | None = "use_json",
        *,
        executor: str | None = None,
    ) -> Dataset:
        """Return the dataset that a function makes of the rows.

        The function gets a row (a dict) or, with ``batched``, a dict of columns that behave as lists and stay in
        Arrow until they are looked at; what it returns is added to the rows, in place of columns of the same name.
        Values with ``__arrow_c_array__``, numpy arrays and tensors are written without Python lists. The result of a
        dataset on disk is an Arrow file that later calls and other processes find again.

        Args:
            function: row → dict (or None: the rows stay), batch → dict of columns, or a table.
            with_indices: also give it the row's number, or the list of them.
            with_rank: also give it the number of the worker.
            input_columns: give it these columns as arguments instead of the dict.
            batched: call it with batches.
            batch_size: rows of a batch; all rows where None or not positive.
            drop_last_batch: leave out a last batch that is smaller.
            remove_columns: columns of the input that the result does not keep.
            keep_in_memory: write no file.
            load_from_cache_file: take a result that is there already (the default, unless caching is disabled).
            cache_file_name: the file to write instead of one named by fingerprint.
            features: the features of the result.
            fn_kwargs: more keyword arguments for the function.
            num_proc: how many workers run the function at the same time: threads where it is an object of ours or
                calls one (a tokenizer, a processor), processes for other functions. A coroutine function needs none:
                it is awaited for many rows at once.
            suffix_template: what stands behind the stem of the name of each of the files of several workers.
            disable_nullable: missing values in the result are an error.
            new_fingerprint: what the result is, as text, in place of what is computed from the function.
            desc: what the progress bar says.
            try_original_type: keep the type of a replaced column where the new values fit it.
            on_mixed_types: ``"use_json"`` keeps values without a common type as JSON; None makes them an error.
            executor: ``"ray"`` runs the function on a Ray cluster, a Parquet fragment at a time.

        Raises:
            MapOutputError: what the function returned cannot become columns.
            WorkerDiedError: a worker process ended; the message names its rows.
            CacheWriteError: the disk is full; nothing half-written stays.

        Example:
            >>> from enfold.datasets import Dataset
            >>> dataset = Dataset.from_dict({"a": [1, 2]})
            >>> dataset.map(lambda row: {"b": row["a"] * 2})[:]
            {'a': [1, 2], 'b': [2, 4]}
        """
        if executor is not None:
            if executor != "ray":
                raise ValueError(f"executor must be 'ray' or None, not {executor!r}")
            return map_on_ray(
                self,
                {
                    "function": function,
                    "with_indices": with_indices,
                    "with_rank": with_rank,
                    "input_columns": input_columns,
                    "batched": batched,
                    "batch_size": batch_size,
                    "drop_last_batch": drop_last_batch,
                    "remove_columns": remove_columns,
                    "features": features,
                    "disable_nullable": disable_nullable,
                    "fn_kwargs": fn_kwargs,
                    "try_original_type": try_original_type,
                    "on_mixed_types": on_mixed_types,
                },
            )
        return map_dataset(
            self,
            function,
            with_indices=with_indices,
            with_rank=with_rank,
            input_columns=input_columns,
            batched=batched,
            batch_size=batch_size,
            drop_last_batch=drop_last_batch,
            remove_columns=remove_columns,
            keep_in_memory=keep_in_memory,
            load_from_cache_file=load_from_cache_file,
            cache_file_name=cache_file_name,
            features=features,
            fn_kwargs=fn_kwargs,
            num_proc=num_proc,
            new_fingerprint=new_fingerprint,
            desc=desc,
            try_original_type=try_original_type,
            disable_nullable=disable_nullable,
            suffix_template=suffix_template,
            on_mixed_types=on_mixed_types,
            writer_batch_size=writer_batch_size,
        )

    def filter(
        self: Any,
        function: Any = None,
        with_indices: bool = False,
        with_rank: bool = False,
        input_columns: str | list[str] | None = None,
        batched: bool = False,
        batch_size: int | None = 1000,
        keep_in_memory: bool = False,
        load_from_cache_file: bool | None = None,
        cache_file_name: str | None = None,
        writer_batch_size: int | None = 1000,
        fn_kwargs: dict[str, Any] | None = None,
        num_proc: int | None = None,
        suffix_template: str = "_{rank:05d}_of_{num_proc:05d}",
        new_fingerprint: str | None = None,
        desc: str | None = None,
    ) -> Dataset:
        """Return the rows for which a function is true.

        Args:
            function: row → truth value, batch → one for each row, or a ``pyarrow.compute`` expression, which is
                evaluated without Python values. The other arguments are those of :meth:`map`.

        Example:
            >>> from enfold.datasets import Dataset
            >>> dataset = Dataset.from_dict({"a": [1, 2, 3]})
            >>> dataset.filter(lambda row: row["a"] > 1)["a"][:]
            [2, 3]
        """
        return filter_dataset(
            self,
            function,
            with_indices=with_indices,
            with_rank=with_rank,
            input_columns=input_columns,
            batched=batched,
            batch_size=batch_size,
            keep_in_memory=keep_in_memory,
            load_from_cache_file=load_from_cache_file,
            cache_file_name=cache_file_name,
            fn_kwargs=fn_kwargs,
            num_proc=num_proc,
            new_fingerprint=new_fingerprint,
            desc=desc,
            suffix_template=suffix_template,
        )

    def batch(
        self: Any,
        batch_size: int | None = None,
        by_column: str | list[str] | None = None,
        drop_last_batch: bool = False,
        num_proc: int | None = None,
        new_fingerprint: str | None = None,
    ) -> Dataset:
        """Return the dataset with several rows as one row of lists.

        Args:
            batch_size: how many rows each.
            by_column: put following rows with equal values in these columns together instead.
            drop_last_batch: leave out a last batch that is smaller; with ``by_column``, the last one.
            num_proc: how many threads work at the same time.

        Example:
            >>> from enfold.datasets import Dataset
            >>> Dataset.from_dict({"a": [1, 1, 2]}).batch(by_column="a")["a"][:]
            [[1, 1], [2]]
        """
        if batch_size is None and by_column is None:
            raise ValueError("say which rows belong together: batch_size or by_column")
        if by_column is not None:
            edges = self._edges(by_column)
            partial = True
        else:
            step = batch_size or 1
            edges = np.minimum(np.arange(0, len(self) + step, step), len(self)).astype(np.int64)
            partial = len(self) % step != 0
        if drop_last_batch and partial and len(edges) > 1:
            edges = edges[:-1]
        features = Features({name: List(feature) for name, feature in self.features.items()})

        def group(table: pa.Table, numbers: list[int]) -> pa.Table:
            bounds = edges[numbers[0] : numbers[-1] + 2]
            rows = self._read(int(bounds[0]), int(bounds[-1]), self.column_names)
            offsets = pa.array((bounds - bounds[0]).astype(np.int32))
            arrays = [pa.ListArray.from_arrays(offsets, one_array(rows.column(name))) for name in rows.column_names]
            return pa.table(arrays, names=rows.column_names)

        from .dataset import Dataset

        count = max(len(edges) - 1, 0)
        if not count:
            return self._derived(TableSource(features.arrow_schema.remove_metadata().empty_table()), features, None)
        given = Dataset(pa.table({"batch": np.arange(count)}), cache_dir=self._cache_dir)
        size = max(1, _GROUPED * count // max(len(self), 1))
        made = given.with_format("arrow").map(
            group,
            with_indices=True,
            batched=True,
            batch_size=size,
            remove_columns=["batch"],
            features=features,
            num_proc=num_proc if num_proc and num_proc > 1 else None,
            new_fingerprint=new_fingerprint or combine(self._fingerprint, "batch", edges) if self._cache_dir else None,
            desc="Batching examples",
        )
        return self._derived(made._source, features, made._identity)

    def _edges(self: Any, by_column: str | list[str]) -> np.ndarray:
        """Return the rows at which a run of equal values begins, and the number of rows."""
        import pyarrow.compute as pc

        begins = np.zeros(max(len(self), 1), bool)
        begins[0] = True
        for name in self._require(by_column):
            column = one_array(self._read(0, len(self), [name]).column(0))
            if pa.types.is_nested(column.type):
                column = pa.array([repr(value) for value in column.to_pylist()])
            codes = pc.dictionary_encode(column, null_encoding="encode").indices.to_numpy(zero_copy_only=False)
            begins[1:] |= codes[1:] != codes[:-1]
        return np.append(np.flatnonzero(begins), len(self)) if len(self) else np.zeros(1, np.int64)

    def cleanup_cache_files(self: Any) -> int:
        """Remove the results of earlier ``map`` and ``filter`` calls beside the files; return their number."""
        if self._cache_dir is None or not os.path.isdir(self._cache_dir):
            return 0
        mine = {os.path.abspath(file["filename"]) for file in self.cache_files}
        removed = 0
        for name in os.listdir(self._cache_dir):
            path = os.path.join(self._cache_dir, name)
            if name.startswith("cache-") and name.endswith(".arrow") and os.path.abspath(path) not in mine:
                os.unlink(path)
                removed += 1
        return removed
