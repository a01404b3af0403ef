"""Making streams: of generators, of what is in memory, of files of one kind, of the splits of a builder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ..builders.base import DatasetBuilder
from ..features.features import Features
from ..info import DatasetInfo
from ..splits import NamedSplit, parse_split, unknown_split
from .columnar import ArrowShard, ParquetShard
from .file_shards import BuilderShard
from .files import file_shards
from .mixing import Chain
from .shards import RowsShard, Shard, Source, generator_shards
from .steps import Skip, Step, Take

if TYPE_CHECKING:
    from .dataset import IterableDataset

__all__ = ["MakeMixin", "stream_dataset", "stream_splits"]


def stream_dataset(dataset: Any, num_shards: int = 1) -> IterableDataset:
    """Return the rows of a dataset as a stream; see :meth:`Dataset.to_iterable_dataset`."""
    from .dataset import IterableDataset

    total = len(dataset)
    if num_shards < 1 or num_shards > max(total, 1):
        raise ValueError(f"num_shards must be 1 to {total}, the number of rows, not {num_shards}")
    plain = dataset.with_format(None) if dataset.format["type"] is not None else dataset
    size, more = divmod(total, num_shards)
    edges = [number * size + min(number, more) for number in range(num_shards + 1)]
    shards = [RowsShard(plain, start, stop) for start, stop in pairwise(edges)]
    made = IterableDataset(Source(shards), dataset.info, dataset.split)
    form = dataset.format
    return made.with_format(form["type"], **form["format_kwargs"]) if form["type"] not in (None, "custom") else made


def stream_splits(builder: DatasetBuilder, split: Any, token: str | bool | None) -> Any:
    """Return the split of a builder that an instruction names, or all of them by name, as streams.

    Raises:
        ValueError: a split that the builder does not have; those that it has are named.
    """
    from .dataset_dict import IterableDatasetDict

    if split is None:
        return IterableDatasetDict({name: _split(builder, name, token) for name in builder.data_files})
    if isinstance(split, (list, tuple)):
        return [stream_splits(builder, part, token) for part in split]
    if isinstance(split, dict):
        return IterableDatasetDict({name: stream_splits(builder, part, token) for name, part in split.items()})
    return _split(builder, split, token)


def _split(builder: DatasetBuilder, split: Any, token: str | bool | None) -> IterableDataset:
    from ..errors import UnexpectedSplitsError
    from .dataset import IterableDataset

    known = list(builder.data_files)
    terms = parse_split("+".join(known) if str(split) == "all" and "all" not in known else split)
    steps: list[Step] = []
    shards: list[Shard] = []
    for term in terms:
        if term.split not in builder.data_files:
            raise UnexpectedSplitsError(unknown_split(term.split, known))
        found = file_shards(builder, builder.data_files[term.split], token)
        shards += found
        steps.append(_part(Source(found), term))
    whole = all(isinstance(step, Source) for step in steps)
    step = Source(shards) if whole else steps[0] if len(steps) == 1 else Chain(steps)

    def describe() -> Features | None:
        found: Iterator[pa.Schema | None] = (shard.schema() for shard in shards)
        schema = next((schema for schema in found if schema is not None), None) if _tells(shards) else None
        return None if schema is None else Features.from_arrow_schema(schema)

    return IterableDataset(
        step,
        builder.info,
        NamedSplit("+".join(map(str, terms))),
        describe=describe if builder.info.features is None else None,
    )


def _part(source: Source, term: Any) -> Step:
    """Return the rows of a term such as ``train[10:20]``; files are counted where the term counts from the end."""
    if term.start is None and term.stop is None:
        return source
    if not term.percent and (term.start or 0) >= 0 and (term.stop is None or term.stop >= 0):
        start = term.start or 0
        step: Step = Skip(source, start) if start else source
        return step if term.stop is None else Take(step, max(term.stop - start, 0))
    total = 0
    for shard in source.shards:
        rows = shard.count()
        total += sum(len(piece) for _, piece in shard.read()) if rows is None else rows
    start, stop = term.rows(total)
    return Take(Skip(source, start), stop - start)


def _tells(shards: list[Shard]) -> bool:
    """Return whether files say their columns at their beginning."""
    return isinstance(shards[0], (ArrowShard, BuilderShard, ParquetShard))


class MakeMixin:
    """The class methods that make a stream."""

    @classmethod
    def from_generator(
        cls: Any,
        generator: Callable[..., Iterable[Mapping[str, Any]]],
        features: Features | None = None,
        gen_kwargs: dict[str, Any] | None = None,
        split: str = "train",
    ) -> IterableDataset:
        """Return the stream of the rows that a generator function yields.

        Args:
            generator: the function; it yields dicts.
            features: the columns' kinds; unknown where None.
            gen_kwargs: its arguments; lists among them are shards: each call gets one item.
            split: the split's name.

        Raises:
            ValueError: lists of different lengths.
        """
        made = cls(Source(generator_shards(generator, gen_kwargs or {})), None, split)
        return made if features is None else made.cast(Features(features))

    @classmethod
    def _of_dataset(cls: Any, dataset: Any, num_shards: int | None) -> IterableDataset:
        return stream_dataset(dataset, num_shards or 1)

    @classmethod
    def from_dict(
        cls: Any,
        mapping: Mapping[str, Any],
        features: Features | None = None,
        info: DatasetInfo | None = None,
        split: str | None = None,
        num_shards: int | None = 1,
    ) -> IterableDataset:
        """Return the stream of columns in memory; the arguments are those of :meth:`Dataset.from_dict`."""
        from ..dataset import Dataset

        return cls._of_dataset(Dataset.from_dict(mapping, features, info, split), num_shards)

    @classmethod
    def from_list(
        cls: Any,
        mapping: list[Mapping[str, Any]],
        features: Features | None = None,
        info: DatasetInfo | None = None,
        split: str | None = None,
        num_shards: int | None = 1,
    ) -> IterableDataset:
        """Return the stream of rows in memory, each a dict."""
        from ..dataset import Dataset

        return cls._of_dataset(Dataset.from_list(mapping, features, info, split), num_shards)

    @classmethod
    def from_pandas(
        cls: Any,
        df: Any,
        features: Features | None = None,
        info: DatasetInfo | None = None,
        split: str | None = None,
        preserve_index: bool | None = None,
        num_shards: int | None = 1,
    ) -> IterableDataset:
        """Return the stream of a pandas DataFrame's rows."""
        from ..dataset import Dataset

        return cls._of_dataset(Dataset.from_pandas(df, features, info, split, preserve_index), num_shards)

    @classmethod
    def from_polars(
        cls: Any,
        df: Any,
        features: Features | None = None,
        info: DatasetInfo | None = None,
        split: str | None = None,
        num_shards: int | None = 1,
    ) -> IterableDataset:
        """Return the stream of a polars DataFrame's rows; a lazy frame is computed."""
        from ..dataset import Dataset

        frame = df.collect() if hasattr(df, "collect") else df
        return cls._of_dataset(Dataset.from_polars(frame, features, info, split), num_shards)

    @classmethod
    def from_spark(
        cls: Any, df: Any, split: str | None = None, features: Features | None = None, **accepted: Any
    ) -> IterableDataset:
        """Return the stream of a Spark DataFrame's rows, read partition by partition."""

        def rows(partition: list[int]) -> Iterable[Mapping[str, Any]]:
            from pyspark.sql.functions import spark_partition_id  # type: ignore[import-not-found]

            for row in df.filter(spark_partition_id() == partition[0]).toLocalIterator():
                yield row.asDict(recursive=True)

        count = df.rdd.getNumPartitions()
        return cls.from_generator(rows, features, {"partition": list(range(count))}, split or "train")

    @classmethod
    def from_file(cls: Any, filename: str) -> IterableDataset:
        """Return the stream of an Arrow file's rows."""
        return cls._from_files("arrow", filename, None, None, {})

    @classmethod
    def _from_files(
        cls: Any, kind: str, path_or_paths: Any, split: str | None, features: Features | None, options: dict[str, Any]
    ) -> IterableDataset:
        from ..load import load_dataset

        one = isinstance(path_or_paths, (str, os.PathLike))
        paths = [os.fspath(path_or_paths)] if one else [os.fspath(path) for path in path_or_paths]
        name = str(split) if split is not None else "train"
        return load_dataset(kind, data_files={name: paths}, split=name, features=features, streaming=True, **options)

    @classmethod
    def from_csv(
        cls: Any,
        path_or_paths: Any,
        split: str | None = None,
        features: Features | None = None,
        keep_in_memory: bool = False,
        **kwargs: Any,
    ) -> IterableDataset:
        """Return the stream of CSV files; keyword arguments are those of the csv builder (``sep``, ``names``, …)."""
        return cls._from_files("csv", path_or_paths, split, features, kwargs)

    @classmethod
    def from_json(
        cls: Any,
        path_or_paths: Any,
        split: str | None = None,
        features: Features | None = None,
        keep_in_memory: bool = False,
        field: str | None = None,
        **kwargs: Any,
    ) -> IterableDataset:
        """Return the stream of JSON or JSON Lines files; ``field`` names the member that holds the rows."""
        return cls._from_files("json", path_or_paths, split, features, {"field": field, **kwargs})

    @classmethod
    def from_parquet(
        cls: Any,
        path_or_paths: Any,
        split: str | None = None,
        features: Features | None = None,
        keep_in_memory: bool = False,
        columns: list[str] | None = None,
        filters: Any = None,
        fragment_scan_options: Any = None,
        on_bad_files: str = "error",
        **kwargs: Any,
    ) -> IterableDataset:
        """Return the stream of Parquet files; only the columns and row groups that are asked for are read."""
        options = {
            "columns": columns,
            "filters": filters,
            "fragment_scan_options": fragment_scan_options,
            "on_bad_files": on_bad_files,
            **kwargs,
        }
        return cls._from_files("parquet", path_or_paths, split, features, options)

    @classmethod
    def from_text(
        cls: Any,
        path_or_paths: Any,
        split: str | None = None,
        features: Features | None = None,
        keep_in_memory: bool = False,
        keep_linebreaks: bool = False,
        sample_by: str = "line",
        **kwargs: Any,
    ) -> IterableDataset:
        """Return the stream of text files, a row a line (or ``sample_by="paragraph"``, ``"document"``)."""
        options = {"keep_linebreaks": keep_linebreaks, "sample_by": sample_by, **kwargs}
        return cls._from_files("text", path_or_paths, split, features, options)
