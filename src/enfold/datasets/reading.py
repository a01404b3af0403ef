"""Making datasets of what is already in Python, of one kind of file, and of folders that ``save_to_disk`` wrote."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from .errors import FileNotFoundDatasetsError
from .features.features import Features, encode, needs_encoding, to_arrow
from .info import DatasetInfo
from .results import SMALL, shrink
from .source import TableSource, chain, open_arrow
from .values import to_arrow_array

if TYPE_CHECKING:
    from .dataset import Dataset

__all__ = ["ReadMixin", "columns_to_table", "rows_to_table"]


def columns_to_table(columns: Mapping[str, Any], features: Features | None) -> pa.Table:
    """Return a table of columns given as lists, arrays or anything that gives Arrow.

    Raises:
        ValueError: columns of different lengths, or values that have no common type.
    """
    if features is not None:
        missing = [name for name in features if name not in columns]
        columns = {**columns, **{name: [None] * len(next(iter(columns.values()), [])) for name in missing}}
        extra = [name for name in columns if name not in features]
        if extra:
            raise ValueError(f"the columns {extra} are not in the features {list(features)}")
        columns = {name: columns[name] for name in features}
    arrays: dict[str, pa.Array] = {}
    for name, values in columns.items():
        feature = features[name] if features is not None else None
        try:
            if feature is None:
                made = to_arrow_array(values)
                arrays[name] = shrink(made, SMALL[name]) if name in SMALL else made
            elif needs_encoding(feature) and not isinstance(values, (pa.Array, pa.ChunkedArray, np.ndarray)):
                arrays[name] = to_arrow_array([encode(feature, value) for value in values], to_arrow(feature))
            else:
                arrays[name] = to_arrow_array(values, to_arrow(feature))
        except (pa.ArrowInvalid, pa.ArrowTypeError, TypeError) as error:
            raise ValueError(f"column {name!r} cannot be stored: {error}") from error
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"the columns have different lengths: {lengths}")
    return pa.table(arrays)


def rows_to_table(rows: Sequence[Mapping[str, Any]], features: Features | None) -> pa.Table:
    """Return a table of rows given as dicts; a name that a row lacks is missing there."""
    names: dict[str, None] = dict.fromkeys(features) if features is not None else {}
    if features is None:
        for row in rows:
            names.update(dict.fromkeys(row))
    return columns_to_table({name: [row.get(name) for row in rows] for name in names}, features)


class ReadMixin:
    """The class methods that make a dataset."""

    @classmethod
    def _of_table(
        cls: Any, table: pa.Table, features: Features | None, info: DatasetInfo | None, split: str | None
    ) -> Dataset:
        info = info.copy() if info is not None else DatasetInfo()
        if features is not None and info.features is not None and features != info.features:
            raise ValueError(f"features and info.features differ: {features} and {info.features}")
        info.features = features if features is not None else info.features
        return cls(table, info=info, split=split)

    @classmethod
    def from_dict(
        cls: Any,
        mapping: Mapping[str, Any],
        features: Features | None = None,
        info: DatasetInfo | None = None,
        split: str | None = None,
        on_mixed_types: str | None = None,
    ) -> Dataset:
        """Return a dataset in memory of columns.

        Args:
            mapping: name → values: a list, a numpy array, a tensor, or anything that gives Arrow.
            features: the columns' kinds; inferred where None.
            info: what is known about the dataset.
            split: the split's name.

        Raises:
            ValueError: columns of different lengths, or values without a common type.
        """
        wanted = features if features is not None else (info.features if info is not None else None)
        wanted = Features(wanted) if wanted is not None else None
        return cls._of_table(columns_to_table(mapping, wanted), wanted, info, split)

    @classmethod
    def from_list(
        cls: Any,
        mapping: list[Mapping[str, Any]],
        features: Features | None = None,
        info: DatasetInfo | None = None,
        split: str | None = None,
        on_mixed_types: str | None = None,
    ) -> Dataset:
        """Return a dataset in memory of rows, each a dict; the other arguments are those of :meth:`from_dict`."""
        wanted = Features(features) if features is not None else None
        return cls._of_table(rows_to_table(list(mapping), wanted), wanted, info, split)

    @classmethod
    def from_pandas(
        cls: Any,
        df: Any,
        features: Features | None = None,
        info: DatasetInfo | None = None,
        split: str | None = None,
        preserve_index: bool | None = None,
    ) -> Dataset:
        """Return a dataset in memory of a pandas DataFrame.

        Args:
            df: the frame.
            preserve_index: store the index as a column; where None, only an index that is not a range.
        """
        table = pa.Table.from_pandas(df, preserve_index=preserve_index).replace_schema_metadata(None)
        return cls._of_table(table, Features(features) if features is not None else None, info, split)

    @classmethod
    def from_polars(
        cls: Any,
        df: Any,
        features: Features | None = None,
        info: DatasetInfo | None = None,
        split: str | None = None,
    ) -> Dataset:
        """Return a dataset in memory of a polars DataFrame, whose Arrow buffers it shares."""
        table = pa.table(df)
        plain = [pa.field(f.name, pa.large_string() if f.type == pa.string_view() else f.type) for f in table.schema]
        return cls._of_table(
            table.cast(pa.schema(plain)), Features(features) if features is not None else None, info, split
        )

    @classmethod
    def from_file(
        cls: Any,
        filename: str,
        info: DatasetInfo | None = None,
        split: str | None = None,
        indices_filename: str | None = None,
        in_memory: bool = False,
    ) -> Dataset:
        """Return the dataset of an Arrow file, mapped rather than read unless ``in_memory``."""
        path = os.path.abspath(filename)
        if not os.path.exists(path):
            raise FileNotFoundDatasetsError(f"there is no file {filename!r}")
        table = open_arrow(path, memory_map=not in_memory)
        stored = Features.from_arrow_schema(table.schema)
        info = info.copy() if info is not None else DatasetInfo()
        info.features = info.features or stored
        indices = open_arrow(indices_filename) if indices_filename else None
        source = TableSource(table) if in_memory else TableSource.mapped(path, table)
        return cls(source, info, split, indices, cache_dir=None if in_memory else os.path.dirname(path))

    @classmethod
    def from_buffer(
        cls: Any, buffer: Any, info: DatasetInfo | None = None, split: str | None = None, indices_buffer: Any = None
    ) -> Dataset:
        """Return the dataset of an Arrow stream in memory."""
        return cls(pa.ipc.open_stream(buffer).read_all(), info, split)

    @classmethod
    def from_generator(
        cls: Any,
        generator: Callable[..., Iterable[Mapping[str, Any]]],
        features: Features | None = None,
        cache_dir: str | None = None,
        keep_in_memory: bool = False,
        gen_kwargs: dict[str, Any] | None = None,
        num_proc: int | None = None,
        split: str = "train",
        fingerprint: str | None = None,
        **kwargs: Any,
    ) -> Dataset:
        """Return the dataset of the rows that a generator function yields.

        The rows are written to an Arrow file, which is found again where the generator and its arguments are the same.

        Args:
            generator: the function; it yields dicts.
            features: the columns' kinds; inferred where None.
            cache_dir: where to keep the file; ``HF_DATASETS_CACHE`` where None.
            keep_in_memory: write no file.
            gen_kwargs: arguments of the function.
            num_proc: processes that share out the items of the lists in ``gen_kwargs``.
            split: the split's name.
            fingerprint: what the rows are, as text, in place of what is computed from the function.
        """
        from .config import datasets_cache
        from .fingerprint import Unhashable, combine, generate_random_fingerprint
        from .generating import generate, generated
        from .writer import session_folder

        wanted = Features(features) if features is not None else None
        folder = os.path.join(cache_dir or datasets_cache(), "generator")
        if fingerprint is None:
            try:
                fingerprint = combine("generator", generator, gen_kwargs, wanted.to_dict() if wanted else None)
            except Unhashable:
                fingerprint, folder = generate_random_fingerprint(), session_folder()
        folder = os.path.join(folder, f"default-{fingerprint}", "0.0.0")
        path = None if keep_in_memory else os.path.join(folder, f"generator-{split}.arrow")
        if path is not None:
            os.makedirs(folder, exist_ok=True)
        found = generated(path) if path is not None else None
        source, schema = found or generate(generator, gen_kwargs or {}, wanted, path, num_proc or 1)
        info = DatasetInfo(builder_name="generator", dataset_name="generator", config_name="default")
        info.features = wanted or Features.from_arrow_schema(schema)  # it knows images, too
        return cls(source, info, split, fingerprint=fingerprint, cache_dir=None if path is None else folder)

    @classmethod
    def from_spark(
        cls: Any,
        df: Any,
        split: str | None = None,
        features: Features | None = None,
        keep_in_memory: bool = False,
        cache_dir: str | None = None,
        working_dir: str | None = None,
        load_from_cache_file: bool = True,
        **kwargs: Any,
    ) -> Dataset:
        """Return the dataset of a Spark DataFrame's rows: its workers write Parquet, which is read in place.

        Args:
            df: the frame.
            split: the split's name; ``"train"`` where None.
            features: the columns' kinds; inferred where None.
            keep_in_memory: read the rows at once.
            cache_dir: a folder that the workers and this process reach; ``HF_DATASETS_CACHE`` where None.
            working_dir: accepted for compatibility.
            load_from_cache_file: take the files that an equal query wrote earlier.
            kwargs: the other options of the parquet builder.
        """
        from .config import datasets_cache

        key = f"default-df_id={df.semanticHash() & (2**64 - 1):016x}"
        folder = os.path.join(os.path.abspath(cache_dir or datasets_cache()), "spark", key)
        if not (load_from_cache_file and os.path.exists(os.path.join(folder, "_SUCCESS"))):
            df.write.mode("overwrite").parquet(folder)
        files = [os.path.join(folder, name) for name in sorted(os.listdir(folder)) if name.endswith(".parquet")]
        return cls._from_files("parquet", files, split, features, cache_dir, keep_in_memory, None, kwargs)

    @classmethod
    def _from_files(
        cls: Any,
        builder: str,
        path_or_paths: Any,
        split: str | None,
        features: Features | None,
        cache_dir: str | None,
        keep_in_memory: bool,
        num_proc: int | None,
        options: dict[str, Any],
    ) -> Dataset:
        from .load import load_dataset

        paths = [path_or_paths] if isinstance(path_or_paths, (str, os.PathLike)) else path_or_paths
        if not isinstance(paths, Mapping):
            name = str(split) if split is not None else "train"
            paths = {name: [os.fspath(path) for path in paths]}
        else:
            name = str(split) if split is not None else next(iter(paths))
        return load_dataset(
            builder,
            data_files=paths,
            split=name,
            features=features,
            cache_dir=cache_dir,
            keep_in_memory=keep_in_memory,
            num_proc=num_proc,
            **options,
        )

    @classmethod
    def from_csv(
        cls: Any,
        path_or_paths: Any,
        split: str | None = None,
        features: Features | None = None,
        cache_dir: str | None = None,
        keep_in_memory: bool = False,
        num_proc: int | None = None,
        **kwargs: Any,
    ) -> Dataset:
        """Return the dataset of CSV files; keyword arguments are those of the csv builder (``sep``, ``names``, …)."""
        return cls._from_files("csv", path_or_paths, split, features, cache_dir, keep_in_memory, num_proc, kwargs)

    @classmethod
    def from_json(
        cls: Any,
        path_or_paths: Any,
        split: str | None = None,
        features: Features | None = None,
        cache_dir: str | None = None,
        keep_in_memory: bool = False,
        field: str | None = None,
        num_proc: int | None = None,
        **kwargs: Any,
    ) -> Dataset:
        """Return the dataset of JSON or JSON Lines files; ``field`` names the member that holds the rows."""
        options = {"field": field, **kwargs}
        return cls._from_files("json", path_or_paths, split, features, cache_dir, keep_in_memory, num_proc, options)

    @classmethod
    def from_parquet(
        cls: Any,
        path_or_paths: Any,
        split: str | None = None,
        features: Features | None = None,
        cache_dir: str | None = None,
        keep_in_memory: bool = False,
        columns: list[str] | None = None,
        num_proc: int | None = None,
        filters: Any = None,
        fragment_scan_options: Any = None,
        on_bad_files: str = "error",
        **kwargs: Any,
    ) -> Dataset:
        """Return the dataset of Parquet files, read where they lie; the options are those of the parquet builder."""
        options = {
            "columns": columns,
            "filters": filters,
            "fragment_scan_options": fragment_scan_options,
            "on_bad_files": on_bad_files,
            **kwargs,
        }
        return cls._from_files("parquet", path_or_paths, split, features, cache_dir, keep_in_memory, num_proc, options)

    @classmethod
    def from_text(
        cls: Any,
        path_or_paths: Any,
        split: str | None = None,
        features: Features | None = None,
        cache_dir: str | None = None,
        keep_in_memory: bool = False,
        num_proc: int | None = None,
        keep_linebreaks: bool = False,
        sample_by: str = "line",
        **kwargs: Any,
    ) -> Dataset:
        """Return the dataset of text files, a row a line (or ``sample_by="paragraph"``, ``"document"``)."""
        options = {"keep_linebreaks": keep_linebreaks, "sample_by": sample_by, **kwargs}
        return cls._from_files("text", path_or_paths, split, features, cache_dir, keep_in_memory, num_proc, options)

    @classmethod
    def from_sql(
        cls: Any,
        sql: Any,
        con: Any,
        features: Features | None = None,
        cache_dir: str | None = None,
        keep_in_memory: bool = False,
        **kwargs: Any,
    ) -> Dataset:
        """Return the dataset of a query's rows.

        Args:
            sql: a query, a table's name, or a SQLAlchemy selectable.
            con: an address such as ``"sqlite:///rows.db"``, a connection or an engine; the rows of an address are found
                again in the cache as long as a SQLite file does not change.
            features: the columns' kinds; inferred where None.
            kwargs: the other options of the sql builder: ``params``, ``parse_dates``, ``chunksize``, …

        Raises:
            DatasetGenerationError: the database refuses the query.
        """
        from .load import load_dataset

        return load_dataset(
            "sql",
            sql=sql,
            con=con,
            features=features,
            cache_dir=cache_dir,
            keep_in_memory=keep_in_memory,
            split="train",
            **kwargs,
        )

    @classmethod
    def load_from_disk(
        cls: Any, dataset_path: str, keep_in_memory: bool | None = None, storage_options: dict[str, Any] | None = None
    ) -> Dataset:
        """Return the dataset that ``save_to_disk`` wrote into a folder, mapped rather than read.

        Args:
            dataset_path: the folder, or an address that fsspec knows, which is copied to this machine first.
            keep_in_memory: read it instead.
            storage_options: arguments of the file system behind an address.

        Raises:
            FileNotFoundError: the folder holds no saved dataset.
        """
        from .targets import nearby_folder

        folder = nearby_folder(dataset_path, storage_options)
        state_path = os.path.join(folder, "state.json")
        if not os.path.isfile(state_path):
            if os.path.isfile(os.path.join(folder, "dataset_dict.json")):
                raise FileNotFoundDatasetsError(
                    f"{folder!r} holds a DatasetDict: use DatasetDict.load_from_disk or load_from_disk"
                )
            raise FileNotFoundDatasetsError(f"{folder!r} holds no dataset that save_to_disk wrote (no state.json)")
        with open(state_path, encoding="utf-8") as file:
            state = json.load(file)
        info = DatasetInfo.from_directory(folder)
        paths = []
        for entry in state["_data_files"]:
            path = os.path.abspath(os.path.join(folder, entry["filename"]))
            if os.path.dirname(path) != os.path.abspath(folder):
                raise FileNotFoundDatasetsError(f"{state_path}: the file {entry['filename']!r} is not in the folder")
            paths.append(path)
        tables = [open_arrow(path, memory_map=not keep_in_memory) for path in paths]
        if info.features is None and tables:
            info.features = Features.from_arrow_schema(tables[0].schema)
        schema = None if info.features is None else info.features.arrow_schema
        if not tables:
            assert schema is not None
            tables, paths = [schema.empty_table()], []
        sources = [
            TableSource(table.replace_schema_metadata(None))
            if keep_in_memory or not paths
            else TableSource.mapped(paths[number], table)
            for number, table in enumerate(tables)
        ]
        made = cls(
            chain(sources),
            info,
            state.get("_split"),
            fingerprint=state.get("_fingerprint"),
            cache_dir=None if keep_in_memory else os.path.abspath(folder),
        )
        if state.get("_format_type") or state.get("_format_columns") is not None:
            made.set_format(
                state.get("_format_type"),
                columns=state.get("_format_columns"),
                output_all_columns=state.get("_output_all_columns", False),
                **(state.get("_format_kwargs") or {}),
            )
        return made
