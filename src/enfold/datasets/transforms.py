"""What a dataset does with functions over its rows: ``map``, ``filter``, ``batch``."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from .features.features import Features
from .filtering import filter_dataset
from .mapping import map_dataset
from .values import one_array

if TYPE_CHECKING:
    from .dataset import Dataset

__all__ = ["TransformMixin"]


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
            num_proc: the number of threads that run the function at the same time.
            new_fingerprint: what the result is, as text, in place of what is computed from the function.
            desc: what the progress bar says.
            try_original_type: keep the type of a replaced column where the new values fit it.

        Raises:
            MapOutputError: what the function returned cannot become columns.

        Example:
            >>> from enfold.datasets import Dataset
            >>> dataset = Dataset.from_dict({"a": [1, 2]})
            >>> dataset.map(lambda row: {"b": row["a"] * 2})[:]
            {'a': [1, 2], 'b': [2, 4]}
        """
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
        )

    def batch(
        self: Any,
        batch_size: int,
        drop_last_batch: bool = False,
        num_proc: int | None = None,
        new_fingerprint: str | None = None,
    ) -> Dataset:
        """Return the dataset with every ``batch_size`` rows as one row of lists."""
        from .features.types import List

        def group(table: pa.Table) -> pa.Table:
            rows = pa.array([0, table.num_rows], pa.int32())
            arrays = [pa.ListArray.from_arrays(rows, one_array(table.column(name))) for name in table.column_names]
            return pa.table(arrays, names=table.column_names)

        made = self.with_format("arrow").map(
            group,
            batched=True,
            batch_size=batch_size,
            drop_last_batch=drop_last_batch,
            remove_columns=self.column_names,
            features=Features({name: List(feature) for name, feature in self.features.items()}),
            desc="Batch",
        )
        made._format = self._format
        made._made_formatter = None
        return made

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
