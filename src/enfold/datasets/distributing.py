"""Handing a dataset to other engines: Ray, Dask and Spark take Parquet fragments and read them where they compute,
TensorFlow takes batches.

There is no engine of our own here. A fragment names a run of rows of a file; a dataset whose rows are not runs of
Parquet files (a selection, a table in memory) is written as Parquet once, into a folder that the workers can reach.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from enfold.errors import required

from .parquet_source import ParquetSource
from .source import ChainSource, Source

if TYPE_CHECKING:
    from .dataset import Dataset

__all__ = ["DistributeMixin", "Fragment"]

# Rows of a fragment where the dataset has to be written first.
_ROWS = 1 << 17


@dataclass(frozen=True)
class Fragment:
    """Row groups of a Parquet file, and the rows and columns of them that belong to a dataset.

    Args:
        path: the file.
        row_groups: the numbers of its row groups.
        start, stop: the rows, counted from the first row of the first of these groups.
        columns: pairs (the dataset's name, the file's name).
    """

    path: str
    row_groups: tuple[int, ...]
    start: int
    stop: int
    columns: tuple[tuple[str, str], ...]

    @property
    def num_rows(self) -> int:
        """The number of rows."""
        return self.stop - self.start

    def read(self, schema: pa.Schema | None = None) -> pa.Table:
        """Return the fragment's rows, cast to a schema where one is given."""
        import pyarrow.parquet as pq

        from .source import cast_table

        with pq.ParquetFile(self.path) as file:
            stored = set(file.schema_arrow.names)
            table = file.read_row_groups(list(self.row_groups), [old for _, old in self.columns if old in stored])
        table = table.slice(self.start, self.stop - self.start)
        names = {old: new for new, old in self.columns}
        table = table.rename_columns([names[name] for name in table.column_names]).replace_schema_metadata(None)
        if schema is not None:
            return cast_table(table, schema.remove_metadata())
        return table.select([new for new, _ in self.columns if new in table.column_names])


def _fragments_of(source: Source) -> list[Fragment] | None:
    if isinstance(source, ChainSource):
        parts = [_fragments_of(part) for part in source.parts]
        return None if any(part is None for part in parts) else [one for part in parts for one in part or ()]
    if not isinstance(source, ParquetSource):
        return None
    store, found = source._store, []
    for number, (file, group) in enumerate(store.groups):
        base, end = int(store.starts[number]), int(store.starts[number + 1])
        first, last = max(source._start, base), min(source._stop, end)
        if first < last:
            found.append(Fragment(store.paths[file], (group,), first - base, last - base, tuple(source._columns)))
    return found


class DistributeMixin:
    """The methods of a dataset that hand it to other engines."""

    def fragments(self: Any, folder: str | None = None) -> list[Fragment]:
        """Return the dataset as fragments of Parquet files, in the order of its rows.

        Rows that are runs of Parquet files are named where they lie. Other datasets are written to ``folder`` first.

        Args:
            folder: where to write, reachable by all workers; the dataset's cache folder or a temporary one where None.

        Example:
            >>> from enfold.datasets import Dataset
            >>> [fragment.num_rows for fragment in Dataset.from_dict({"a": [1, 2]}).fragments()]
            [2]
        """
        found = _fragments_of(self._source) if self._indices is None else None
        if found is not None:
            return found
        from .writer import session_folder

        folder = os.path.join(folder or self._cache_dir or session_folder(), f"fragments-{self._fingerprint}")
        os.makedirs(folder, exist_ok=True)
        out = []
        shards = -(-max(len(self), 1) // _ROWS)
        columns = tuple((name, name) for name in self.column_names)
        for number in range(shards):
            part = self.shard(shards, number)
            path = os.path.join(folder, f"part-{number:05d}-of-{shards:05d}.parquet")
            if not os.path.exists(path):
                part.to_parquet(path, batch_size=_ROWS)
            if len(part):
                out.append(Fragment(path, (0,), 0, len(part), columns))
        return out

    def to_ray(self: Any, folder: str | None = None, override_num_blocks: int | None = None) -> Any:
        """Return the rows as a ``ray.data.Dataset`` whose workers read the fragments themselves.

        Raises:
            MissingExtra: Ray is not installed.
        """
        ray = required("ray.data", "a Ray dataset", "ray")
        schema = self.features.arrow_schema.remove_metadata()
        fragments = self.fragments(folder)
        if not fragments:
            return ray.from_arrow(schema.empty_table())
        listed = ray.from_items(
            [{"fragment": number} for number in range(len(fragments))],
            override_num_blocks=override_num_blocks or len(fragments),
        )

        def read(batch: pa.Table) -> pa.Table:
            numbers = batch.column("fragment").to_pylist()
            return pa.concat_tables([fragments[number].read(schema) for number in numbers])

        return listed.map_batches(read, batch_size=1, batch_format="pyarrow", zero_copy_batch=True)

    def to_dask(self: Any, folder: str | None = None) -> Any:
        """Return the rows as a Dask DataFrame, a partition a fragment.

        Raises:
            MissingExtra: Dask is not installed.
        """
        dask = required("dask.dataframe", "a Dask DataFrame", "dask")
        schema = self.features.arrow_schema.remove_metadata()
        meta = schema.empty_table().to_pandas()
        fragments = self.fragments(folder)
        if not fragments:
            return dask.from_pandas(meta, npartitions=1)
        return dask.from_map(_pandas_of, fragments, schema=schema, meta=meta)

    def to_spark(self: Any, session: Any = None, folder: str | None = None) -> Any:
        """Return the rows as a Spark DataFrame whose workers read the fragments.

        Args:
            session: the Spark session; the active one, or a new one, where None.
            folder: where to write rows that are in no Parquet file; it must be reachable by the workers.

        Raises:
            MissingExtra: Spark is not installed.
        """
        spark = required("pyspark.sql", "a Spark DataFrame", "spark")
        session = session or spark.SparkSession.builder.getOrCreate()
        whole = self.fragments(folder)
        paths = list(dict.fromkeys(fragment.path for fragment in whole))
        columns = [(new, old) for new, old in whole[0].columns] if whole else []
        if _covers(whole):
            frame = session.read.parquet(*paths)
            return frame.select([frame[old].alias(new) for new, old in columns])
        return session.createDataFrame(self.to_pandas())

    def to_tf_dataset(
        self: Any,
        batch_size: int | None = None,
        columns: str | list[str] | None = None,
        shuffle: bool = False,
        collate_fn: Callable[..., Any] | None = None,
        drop_remainder: bool = False,
        collate_fn_args: dict[str, Any] | None = None,
        label_cols: str | list[str] | None = None,
        prefetch: bool = True,
        num_workers: int = 0,
        num_test_batches: int = 20,
    ) -> Any:
        """Return the rows as a ``tf.data.Dataset`` of batches, for Keras's ``fit`` and ``predict``.

        Args:
            batch_size: rows of a batch; rows one by one where None.
            columns: the columns of the inputs, those that ``collate_fn`` makes included; all where None.
            shuffle: give the rows in a new order in every epoch.
            collate_fn: list of rows → dict of arrays; the rows' values are stacked where None.
            drop_remainder: leave out a last batch that is smaller.
            collate_fn_args: more keyword arguments for it.
            label_cols: the columns of the labels; a batch is then a pair of inputs and labels.
            prefetch: make the next batch while one is used.
            num_workers: threads that make batches; they come in the same order however many there are.
            num_test_batches: batches that are made first, to tell the types and shapes of all.

        Returns:
            A dataset of dicts of tensors; a side (inputs or labels) with one column alone is the tensor itself.

        Raises:
            MissingExtra: TensorFlow is not installed.
            ValueError: a column that is not there or stands twice, labels without ``columns``.
        """
        from .formats.tensorflow_data import stacked, tf_dataset
        from .formats.tensorflow_format import require_tensorflow

        require_tensorflow("to_tf_dataset")
        inputs, labels = ([side] if isinstance(side, str) else list(side or []) for side in (columns, label_cols))
        if labels and not inputs:
            raise ValueError("label_cols needs columns= as well")
        for name, side in (("columns", inputs), ("label_cols", labels)):
            if len(set(side)) < len(side):
                raise ValueError(f"{name} names a column twice: {side}")
        collate = partial(collate_fn or stacked, **(collate_fn_args or {}))
        return tf_dataset(
            self, batch_size, inputs, labels, shuffle, collate, drop_remainder, prefetch, num_workers, num_test_batches
        )


def _covers(fragments: Sequence[Fragment]) -> bool:
    """Return whether the fragments are all rows of their files."""
    import pyarrow.parquet as pq

    rows: dict[str, int] = {}
    for fragment in fragments:
        rows[fragment.path] = rows.get(fragment.path, 0) + fragment.num_rows
    return bool(rows) and all(pq.read_metadata(path).num_rows == count for path, count in rows.items())


def _pandas_of(fragment: Fragment, schema: pa.Schema) -> Any:
    return fragment.read(schema).to_pandas()


def map_on_ray(dataset: Dataset, arguments: dict[str, Any]) -> Dataset:
    """Return the dataset that ``map`` makes, computed by Ray's workers a fragment at a time.

    Each worker maps its fragment with ``map`` itself and hands back a table; the results are put together in the order
    of the fragments. Batches never cross a fragment's end.

    Raises:
        MissingExtra: Ray is not installed.
    """
    ray = required("ray", "map with executor='ray'", "ray")
    from .combine import concatenate_datasets
    from .dataset import Dataset

    if not ray.is_initialized():
        ray.init(logging_level="warning", include_dashboard=False)
    features, format_ = dataset.features, dataset._format
    schema = features.arrow_schema.remove_metadata()

    def work(fragment: Fragment, start: int) -> tuple[pa.Table, dict[str, Any]]:
        part = Dataset(fragment.read(schema))._with(features=features, _format=format_)
        given = dict(arguments)
        if given.get("with_indices"):
            function = given["function"]
            place = 1 if given.get("input_columns") is None else len(given["input_columns"])

            def shifted(*values: Any, **options: Any) -> Any:
                number = values[place]
                moved = [one + start for one in number] if isinstance(number, list) else number + start
                return function(*values[:place], moved, *values[place + 1 :], **options)

            given["function"] = shifted
        made = part.map(**given, keep_in_memory=True, new_fingerprint="0" * 16)
        return made.to_table(), made.features.to_dict()

    remote = ray.remote(max_retries=2)(work)
    waiting, start = [], 0
    for fragment in dataset.fragments():
        waiting.append(remote.remote(fragment, start))
        start += fragment.num_rows
    from .features.features import Features

    parts = []
    for reference in waiting:
        table, kinds = ray.get(reference)
        parts.append(Dataset(table)._with(features=Features.from_dict(kinds)))
    made = concatenate_datasets(parts)
    out = dataset._derived(made._source, made.features, None)
    return out
