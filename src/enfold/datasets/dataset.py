"""The dataset: rows in Arrow, a selection of them, and what the user sees them as."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from enfold.log import get_logger

from .column import Column, unknown_column
from .exporting import ExportMixin
from .features.features import Features, decoder, from_arrow, to_arrow
from .fingerprint import combine
from .formats.base import Formatter, format_name, make_formatter
from .info import DatasetInfo
from .mapping import filter_dataset, map_dataset
from .ordering import OrderMixin
from .reading import ReadMixin
from .source import Source, TableSource, ZipSource
from .splits import NamedSplit
from .values import arrow_to_list, one_array, to_arrow_array

__all__ = ["Dataset", "table_rows"]

logger = get_logger(__name__)
# Rows that iteration reads at a time.
_READ_AHEAD = 1000


def table_rows(
    table: pa.Table, formatter: Formatter | None, decoders: Mapping[str, Callable[[Any], Any]]
) -> list[dict[str, Any]]:
    """Return the rows of a table one by one, in a format."""
    if formatter is None:
        names = table.column_names
        if not names:
            return [{} for _ in range(table.num_rows)]
        columns = []
        for name in names:
            values = arrow_to_list(one_array(table.column(name)))
            decode = decoders.get(name)
            columns.append(values if decode is None else [decode(value) for value in values])
        return [dict(zip(names, row, strict=False)) for row in zip(*columns, strict=False)]
    if formatter.numpy_rows is None:
        return [formatter.table_row(table.slice(i, 1)) for i in range(table.num_rows)]
    batch = formatter.batch(table, shared=True)
    names = list(batch)
    return [{name: batch[name][i] for name in names} for i in range(table.num_rows)]


class Dataset(OrderMixin, ReadMixin, ExportMixin):
    """A table of rows with typed columns, in memory or on disk.

    A dataset never changes its rows: every method returns another one that shares the data. Only ``set_format``,
    ``set_transform`` and ``reset_format`` change what this object gives its values as.

    Args:
        arrow_table: the rows: a ``pyarrow.Table``, or anything with ``__arrow_c_stream__``.
        info: what is known about them; its features name the columns' kinds.
        split: the name of the split.
        fingerprint: what the rows are, as text; computed from them when it is needed where None.

    Example:
        >>> dataset = Dataset.from_dict({"text": ["a", "b"], "label": [0, 1]})
        >>> dataset[1], len(dataset), dataset.column_names
        ({'text': 'b', 'label': 1}, 2, ['text', 'label'])
    """

    def __init__(
        self,
        arrow_table: Any,
        info: DatasetInfo | None = None,
        split: str | None = None,
        indices_table: pa.Table | None = None,
        fingerprint: str | None = None,
        *,
        cache_dir: str | None = None,
    ) -> None:
        if isinstance(arrow_table, Source):
            source = arrow_table
            inferred = Features.from_arrow_schema(source.schema)
        else:
            table = arrow_table if isinstance(arrow_table, pa.Table) else pa.table(arrow_table)
            inferred = Features.from_arrow_schema(table.schema)
            source = TableSource(table)
        self._source: Source = source
        self._indices: np.ndarray | None = None
        if indices_table is not None:
            self._indices = indices_table.column(0).to_numpy().astype(np.int64)
        self._info = info.copy() if info is not None else DatasetInfo()
        if self._info.features is None:
            self._info.features = inferred
        else:
            wanted = self._info.features
            names = source.schema.names
            if set(wanted) != set(names):
                raise ValueError(f"the features' columns {sorted(wanted)} are not the table's, {sorted(names)}")
            self._info.features = Features({name: wanted[name] for name in names})
            off = [name for name in names if to_arrow(wanted[name]) != source.schema.field(name).type]
            if off and isinstance(source, TableSource):
                from .source import cast_table

                self._source = TableSource(cast_table(source.table, self._info.features.arrow_schema), source.files)
        self._split = NamedSplit(split) if split is not None else None
        self._identity: str | Callable[[], str] | None = fingerprint
        self._format: tuple[str | None, dict[str, Any], list[str] | None, bool] = (None, {}, None, False)
        self._made_formatter: Formatter | None = None
        self._cache_dir = cache_dir

    # ---- making others of this one

    def _with(self, **changes: Any) -> Dataset:
        made = copy.copy(self)
        made._identity = None
        made._made_formatter = None
        features = changes.pop("features", None)
        for name, value in changes.items():
            setattr(made, name, value)
        if features is not None:
            made._info = copy.copy(self._info)
            made._info.features = features
            columns = made._format[2]
            if columns is not None:
                made._format = (*made._format[:2], [name for name in columns if name in features], made._format[3])
        return made

    def _derived(self, source: Source, features: Features, fingerprint: str | None) -> Dataset:
        """Return a dataset of new rows that keeps this one's split and format."""
        made = self._with(_source=source, _indices=None, features=features, _identity=fingerprint)
        if made._format[2] is not None:
            # columns that were not there before are shown: a format set on all old columns means all columns
            kind, options, columns, everything = self._format
            new = [name for name in features if name not in self.features]
            made._format = (kind, options, [*(n for n in columns or [] if n in features), *new], everything)
        return made

    def _step(self, name: str, *arguments: Any) -> Callable[[], str]:
        return lambda: combine(self._fingerprint, name, *arguments)

    @property
    def _fingerprint(self) -> str:
        if self._identity is None:
            parts: list[Any] = [self.features.to_dict(), self._indices]
            parts += [piece.replace_schema_metadata(None) for piece in self._source.pieces()]
            self._identity = combine(*parts)
        elif not isinstance(self._identity, str):
            self._identity = self._identity()
        return self._identity

    def __fingerprint__(self) -> str:
        """Return what the rows are, as text equal in every process."""
        return self._fingerprint

    # ---- what it is

    @property
    def info(self) -> DatasetInfo:
        """What is known about the dataset."""
        return self._info

    @property
    def split(self) -> NamedSplit | None:
        """The name of the split."""
        return self._split

    @property
    def features(self) -> Features:
        """The columns and their kinds."""
        assert self._info.features is not None
        return self._info.features

    @property
    def data(self) -> pa.Table:
        """The rows that the dataset selects from, as an Arrow table."""
        return (
            self._source.table if isinstance(self._source, TableSource) else self._source.read(0, self._source.num_rows)
        )

    @property
    def column_names(self) -> list[str]:
        """The columns' names."""
        return list(self.features)

    @property
    def num_columns(self) -> int:
        """The number of columns."""
        return len(self.features)

    @property
    def num_rows(self) -> int:
        """The number of rows."""
        return self._source.num_rows if self._indices is None else len(self._indices)

    @property
    def shape(self) -> tuple[int, int]:
        """The numbers of rows and columns."""
        return self.num_rows, self.num_columns

    @property
    def cache_files(self) -> list[dict[str, str]]:
        """The files that the rows are read from, as ``[{"filename": …}]``; empty for a dataset in memory."""
        return [{"filename": file} for file in self._source.files]

    @property
    def builder_name(self) -> str | None:
        """The name of the builder that made the dataset."""
        return self._info.builder_name

    @property
    def config_name(self) -> str | None:
        """The name of the configuration."""
        return self._info.config_name

    @property
    def description(self) -> str:
        """The description."""
        return self._info.description

    @property
    def citation(self) -> str:
        """How to cite the dataset."""
        return self._info.citation

    @property
    def homepage(self) -> str:
        """The dataset's page."""
        return self._info.homepage

    @property
    def license(self) -> str:
        """The dataset's licence."""
        return self._info.license

    @property
    def version(self) -> Any:
        """The dataset's version."""
        return self._info.version

    @property
    def download_size(self) -> int | None:
        """Bytes of the data files."""
        return self._info.download_size

    @property
    def dataset_size(self) -> int | None:
        """Bytes of the Arrow data."""
        return self._info.dataset_size

    @property
    def size_in_bytes(self) -> int | None:
        """Bytes of the data files and of the Arrow data."""
        return self._info.size_in_bytes

    def __len__(self) -> int:
        return self.num_rows

    def __repr__(self) -> str:
        return f"Dataset({{\n    features: {self.column_names},\n    num_rows: {self.num_rows}\n}})"

    def __enter__(self) -> Dataset:
        return self

    def __exit__(self, *error: Any) -> None:
        pass

    def _require(self, names: str | Iterable[str]) -> list[str]:
        wanted = [names] if isinstance(names, str) else list(names)
        for name in wanted:
            if name not in self.features:
                raise unknown_column(name, self.features)
        return wanted

    # ---- reading

    def _decoders(self) -> dict[str, Callable[[Any], Any]]:
        return {name: found for name, feature in self.features.items() if (found := decoder(feature))}

    def _formatter(self) -> Formatter | None:
        kind, options, _, _ = self._format
        if kind is None:
            return None
        if self._made_formatter is None:
            self._made_formatter = make_formatter(kind, self._decoders(), **options)
        return self._made_formatter

    def _visible_columns(self) -> list[str]:
        columns = self._format[2]
        return self.column_names if columns is None or self._format[3] else columns

    def _read(self, start: int, stop: int, columns: Sequence[str] | None) -> pa.Table:
        if self._indices is None:
            return self._source.read(start, stop, columns)
        return self._source.take(self._indices[start:stop], columns)

    def _gather(self, rows: np.ndarray, columns: Sequence[str] | None) -> pa.Table:
        return self._source.take(rows if self._indices is None else self._indices[rows], columns)

    def _present(self, table: pa.Table, *, shared: bool = True) -> Any:
        """Return a table in the dataset's format; columns outside of the format stay Python where they are wanted."""
        _, _, columns, everything = self._format
        formatter = self._formatter()
        if formatter is None:
            return self._python(table)
        if columns is not None and everything and formatter.numpy_rows is not None:
            inside = [name for name in columns if name in table.column_names]
            out = formatter.batch(table.select(inside), shared=shared)
            rest = [name for name in table.column_names if name not in inside]
            return {**out, **self._python(table.select(rest))}
        return formatter.batch(table, shared=shared)

    def _python(self, table: pa.Table) -> dict[str, list[Any]]:
        out = {}
        for name in table.column_names:
            values = arrow_to_list(one_array(table.column(name)))
            decode = decoder(self.features[name])
            out[name] = values if decode is None else [decode(value) for value in values]
        return out

    def _row(self, position: int) -> Any:
        formatter = self._formatter()
        names = self._visible_columns()
        row = position if self._indices is None else int(self._indices[position])
        if formatter is None:
            values = self._source.row(row, names)
            decoders = self._decoders()
            for name, decode in decoders.items():
                if name in values:
                    values[name] = decode(values[name])
            return values
        if formatter.numpy_rows is None:
            return formatter.table_row(self._gather(np.array([position]), names))
        columns = self._format[2]
        if columns is not None and self._format[3]:
            rest = [name for name in names if name not in columns]
            return {**formatter.row(self._source.row(row, columns, True)), **self._source.row(row, rest)}
        return formatter.row(self._source.row(row, names, True))

    def __getitem__(self, key: Any) -> Any:
        """Return a row (an integer), rows as a dict of columns (a slice or several integers), or a column (a name)."""
        if isinstance(key, str):
            return self._column(key)
        if isinstance(key, (int, np.integer)) and not isinstance(key, bool):
            position = int(key)
            rows = len(self)
            if not -rows <= position < rows:
                raise IndexError(f"Invalid key: {key} is out of bounds for size {rows}")
            return self._row(position + rows if position < 0 else position)
        names = self._visible_columns()
        if isinstance(key, (slice, range)):
            if isinstance(key, slice):
                found = range(*key.indices(len(self)))
            else:
                found = key
                for end in (found[0], found[-1]) if len(found) else ():
                    if not -len(self) <= end < len(self):
                        raise IndexError(f"Invalid key: {end} is out of bounds for size {len(self)}")
            if found.step == 1 and (not len(found) or found.start >= 0):
                table = self._read(found.start, max(found.stop, found.start), names)
                return self._present(table, shared=self._indices is None)
            key = list(found)
        if hasattr(key, "__iter__"):
            return self._present(self._gather(self._positions(key), names), shared=False)
        raise TypeError(f"a dataset is indexed by integers, slices, lists of integers and names, not {key!r}")

    def _positions(self, key: Any) -> np.ndarray:
        if isinstance(key, (pa.Array, pa.ChunkedArray)) or hasattr(key, "__array__"):
            rows = np.asarray(key)
        else:
            rows = np.asarray(list(key))
        if not len(rows):
            return np.zeros(0, np.int64)
        if rows.dtype == bool:
            if len(rows) != len(self):
                raise IndexError(f"a mask needs one value for each of the {len(self)} rows, not {len(rows)}")
            return np.flatnonzero(rows)
        if rows.dtype.kind not in "iu":
            raise TypeError(f"a dataset is indexed by integers, not by {rows.dtype}")
        rows = rows.astype(np.int64, copy=False)
        low, high = int(rows.min()), int(rows.max())
        if low < -len(self) or high >= len(self):
            wrong = high if high >= len(self) else low
            raise IndexError(f"Invalid key: {wrong} is out of bounds for size {len(self)}")
        return np.where(rows < 0, rows + len(self), rows) if low < 0 else rows

    def __getitems__(self, keys: list[int]) -> list[Any]:
        """Return several rows at once; torch's DataLoader calls this for a batch."""
        table = self._gather(self._positions(keys), self._visible_columns())
        return self._table_rows(table)

    def _table_rows(self, table: pa.Table) -> list[Any]:
        _, _, columns, everything = self._format
        formatter = self._formatter()
        if formatter is not None and columns is not None and everything and formatter.numpy_rows is not None:
            batch = self._present(table)
            return [{name: batch[name][i] for name in batch} for i in range(table.num_rows)]
        return table_rows(table, formatter, self._decoders())

    def _column(self, name: str) -> Column:
        self._require(name)
        formatter = self._formatter()
        if formatter is not None and (
            formatter.numpy_rows is None or (self._format[2] is not None and name not in self._format[2])
        ):
            formatter = None

        def load() -> pa.Array:
            return one_array(self._read(0, len(self), [name]).column(0))

        def peek(rows: np.ndarray) -> pa.Array:
            if len(rows) and rows[-1] - rows[0] == len(rows) - 1 and bool(np.all(np.diff(rows) == 1)):
                return one_array(self._read(int(rows[0]), int(rows[-1]) + 1, [name]).column(0))
            return one_array(self._gather(rows, [name]).column(0))

        return Column(load, len(self), decoder(self.features[name]), formatter, peek)

    def __iter__(self) -> Iterator[Any]:
        names = self._visible_columns()
        for start in range(0, len(self), _READ_AHEAD):
            yield from self._table_rows(self._read(start, min(start + _READ_AHEAD, len(self)), names))

    def iter(self, batch_size: int, drop_last_batch: bool = False) -> Iterator[Any]:
        """Yield batches of rows in the dataset's format.

        Args:
            batch_size: rows of a batch.
            drop_last_batch: leave out the last one where it is smaller.

        Example:
            >>> [batch["a"] for batch in Dataset.from_dict({"a": [1, 2, 3]}).iter(2)]
            [[1, 2], [3]]
        """
        names = self._visible_columns()
        for start in range(0, len(self), batch_size):
            stop = min(start + batch_size, len(self))
            if drop_last_batch and stop - start < batch_size:
                return
            yield self._present(self._read(start, stop, names), shared=self._indices is None)

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Hand the rows to any library that reads Arrow streams (polars, duckdb, pyarrow), a piece at a time."""
        schema = self.features.arrow_schema.remove_metadata()
        batches = (
            batch
            for start in range(0, len(self), 1 << 16)
            for batch in self._read(start, min(start + (1 << 16), len(self)), self.column_names).to_batches()
        )
        return pa.RecordBatchReader.from_batches(schema, batches).__arrow_c_stream__(requested_schema)

    # ---- formats

    @property
    def format(self) -> dict[str, Any]:
        """The format's type, options and columns."""
        kind, options, columns, everything = self._format
        return {
            "type": kind,
            "format_kwargs": dict(options),
            "columns": self.column_names if columns is None else list(columns),
            "output_all_columns": everything,
        }

    def _format_key(self) -> Any:
        kind, options, columns, everything = self._format
        return [kind, {key: options[key] for key in sorted(options)}, columns, everything]

    def set_format(
        self,
        type: str | None = None,
        columns: list[str] | None = None,
        output_all_columns: bool = False,
        **format_kwargs: Any,
    ) -> None:
        """Set what values are given as, for this object.

        Args:
            type: ``None`` or ``"python"``, ``"numpy"``, ``"torch"``, ``"arrow"``, ``"pandas"``, ``"polars"``.
            columns: the columns that are given; all where None.
            output_all_columns: give the other columns too, as Python values.
            format_kwargs: arguments of what makes the values, such as ``dtype=torch.int32``.

        Raises:
            ValueError: an unknown format or column; the nearest one is named.
        """
        kind = format_name(type)
        if columns is not None:
            columns = self._require(columns)
        self._format = (kind, dict(format_kwargs), columns, output_all_columns)
        self._made_formatter = None
        self._formatter()

    def with_format(
        self,
        type: str | None = None,
        columns: list[str] | None = None,
        output_all_columns: bool = False,
        **format_kwargs: Any,
    ) -> Dataset:
        """Return the dataset in a format; the arguments are those of :meth:`set_format`.

        Example:
            >>> Dataset.from_dict({"a": [1, 2]}).with_format("numpy")[:]["a"].tolist()
            [1, 2]
        """
        made = self._with(_identity=lambda: self._fingerprint)
        made.set_format(type, columns, output_all_columns, **format_kwargs)
        return made

    def reset_format(self) -> None:
        """Give plain Python values again."""
        self.set_format()

    def set_transform(
        self, transform: Callable[..., Any] | None, columns: list[str] | None = None, output_all_columns: bool = False
    ) -> None:
        """Give rows through a function, called when they are read.

        Args:
            transform: from a dict of lists to a dict of lists.
            columns: the columns that the function sees.
            output_all_columns: as for :meth:`set_format`.
        """
        if transform is None:
            return self.reset_format()
        self.set_format("custom", columns=columns, output_all_columns=output_all_columns, transform=transform)

    def with_transform(
        self, transform: Callable[..., Any] | None, columns: list[str] | None = None, output_all_columns: bool = False
    ) -> Dataset:
        """Return the dataset with a transform; see :meth:`set_transform`."""
        made = self._with(_identity=lambda: self._fingerprint)
        made.set_transform(transform, columns, output_all_columns)
        return made

    # ---- columns

    def _project(self, columns: list[tuple[str, str]], step: str) -> Dataset:
        features = Features({new: self.features[old] for new, old in columns})
        made = self._with(_source=self._source.project(columns), features=features)
        kept = self._format[2]
        if kept is not None:
            names = [new for new, old in columns if old in kept]
            made._format = (*self._format[:2], names, self._format[3])
        made._identity = self._step(step, columns)
        return made

    def rename_columns(self, column_mapping: Mapping[str, str], new_fingerprint: str | None = None) -> Dataset:
        """Return the dataset with other names for some columns.

        Args:
            column_mapping: present name → new name.

        Raises:
            ValueError: no such column, or a name that would stand twice.
        """
        self._require(column_mapping)
        names = [column_mapping.get(name, name) for name in self.column_names]
        if len(set(names)) < len(names):
            twice = sorted({name for name in names if names.count(name) > 1})
            raise ValueError(f"the new names would stand twice: {twice}")
        if not all(names):
            raise ValueError("a column's name cannot be empty")
        return self._project(list(zip(names, self.column_names, strict=False)), "rename")

    def rename_column(
        self, original_column_name: str, new_column_name: str, new_fingerprint: str | None = None
    ) -> Dataset:
        """Return the dataset with another name for one column."""
        return self.rename_columns({original_column_name: new_column_name})

    def remove_columns(self, column_names: str | list[str], new_fingerprint: str | None = None) -> Dataset:
        """Return the dataset without some columns."""
        gone = set(self._require(column_names))
        return self._project([(name, name) for name in self.column_names if name not in gone], "remove")

    def select_columns(self, column_names: str | list[str], new_fingerprint: str | None = None) -> Dataset:
        """Return the dataset with these columns alone, in this order."""
        return self._project([(name, name) for name in self._require(column_names)], "select columns")

    def add_column(self, name: str, column: Any, new_fingerprint: str | None = None, feature: Any = None) -> Dataset:
        """Return the dataset with one more column.

        Args:
            name: its name.
            column: its values: a list, a numpy array, or anything that gives Arrow.
            feature: what the values are; inferred where None.

        Raises:
            ValueError: the name is taken, or the number of values is not that of the rows.
        """
        if name in self.features:
            raise ValueError(f"there is a column {name!r} already")
        array = to_arrow_array(column, to_arrow(feature) if feature is not None else None)
        if len(array) != len(self):
            raise ValueError(f"column {name!r} has {len(array)} values; the dataset has {len(self)} rows")
        base = self if self._indices is None else self.flatten_indices()
        source = ZipSource([base._source, TableSource(pa.table({name: array}))])
        if isinstance(base._source, TableSource):
            source = TableSource(base._source.table.append_column(name, array), base._source.files)  # type: ignore[assignment]
        features = Features({**self.features, name: feature if feature is not None else from_arrow(array.type)})
        made = base._derived(source, features, None)
        made._identity = self._step("add column", name, array)
        return made

    def add_item(self, item: Mapping[str, Any], new_fingerprint: str | None = None) -> Dataset:
        """Return the dataset with one more row at its end."""
        from .combine import concatenate_datasets

        row = Dataset.from_dict({name: [item.get(name)] for name in self.features}, features=self.features)
        return concatenate_datasets([self, row])

    def flatten(self, new_fingerprint: str | None = None, max_depth: int = 16) -> Dataset:
        """Return the dataset with the fields of structs as columns of their own, named ``struct.field``."""
        features = self.features.flatten(max_depth)

        def flat(batch: pa.Table) -> pa.Table:
            for _ in range(max_depth):
                if not any(pa.types.is_struct(field.type) for field in batch.schema):
                    break
                batch = batch.flatten()
            return batch

        return self._arrow_map(flat, features, "flatten")

    def _arrow_map(self, function: Callable[[pa.Table], pa.Table], features: Features, step: str) -> Dataset:
        """Return the dataset that a function from table to table makes, cached as the result of ``map`` is."""
        plain = self.with_format("arrow")
        made = plain.map(
            function,
            batched=True,
            batch_size=10_000,
            remove_columns=self.column_names,
            features=features,
            new_fingerprint=combine(self._fingerprint, step, features.to_dict()) if self._cache_dir else None,
            desc=step.capitalize(),
        )
        made._format = self._format
        made._made_formatter = None
        return made

    def cast(self, features: Features, **options: Any) -> Dataset:
        """Return the dataset with other features for its columns.

        Args:
            features: the features, for the same columns.
            options: arguments of ``map``, accepted for compatibility.

        Raises:
            ValueError: other columns than the dataset's, or values that do not fit.
        """
        if set(features) != set(self.features):
            raise ValueError(f"the features' columns {list(features)} are not the dataset's, {self.column_names}")
        wanted = Features({name: features[name] for name in self.column_names})
        if wanted.arrow_schema.remove_metadata().equals(self.features.arrow_schema.remove_metadata()):
            made = self._with(features=wanted)
            made._identity = self._step("cast", wanted.to_dict())
            for name, feature in wanted.items():
                if hasattr(feature, "cast_storage") and feature != self.features[name]:
                    for piece in self._source.pieces([name]):
                        feature.cast_storage(one_array(piece.column(0)))  # labels out of range are an error now
            return made

        def change(table: pa.Table) -> pa.Table:
            columns = []
            for name, feature in wanted.items():
                array = one_array(table.column(name))
                if hasattr(feature, "cast_storage"):
                    array = feature.cast_storage(array)
                columns.append(to_arrow_array(array, to_arrow(feature)))
            return pa.table(columns, names=list(wanted))

        try:
            return self._arrow_map(change, wanted, "cast")
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise ValueError(f"the values do not fit the features: {error}") from error

    def cast_column(self, column: str, feature: Any, new_fingerprint: str | None = None) -> Dataset:
        """Return the dataset with another feature for one column.

        Example:
            >>> from enfold.datasets import ClassLabel
            >>> dataset = Dataset.from_dict({"label": ["no", "yes"]})
            >>> dataset.cast_column("label", ClassLabel(names=["no", "yes"]))["label"][:]
            [0, 1]
        """
        self._require(column)
        return self.cast(Features({**self.features, column: feature}))

    def class_encode_column(self, column: str, include_nulls: bool = False) -> Dataset:
        """Return the dataset with a column of values as labels, named in sorted order.

        Args:
            column: a column of text, integers or booleans.
            include_nulls: make a label of missing values, too.

        Raises:
            ValueError: the column does not hold single values.
        """
        from .features.types import ClassLabel, Value

        self._require(column)
        feature = self.features[column]
        if isinstance(feature, ClassLabel):
            return self
        if not isinstance(feature, Value):
            raise ValueError(f"only a column of single values can become labels; {column!r} is {feature!r}")
        known = [value for value in self.unique(column) if value is not None or include_nulls]
        names = sorted(str(value) for value in known)
        label = ClassLabel(names=names)

        def encode(table: pa.Table) -> pa.Table:
            values = table.column(column).to_pylist()
            numbers = [None if value is None and not include_nulls else label.str2int(str(value)) for value in values]
            place = table.column_names.index(column)
            return table.set_column(place, column, pa.array(numbers, pa.int64()))

        return self._arrow_map(encode, Features({**self.features, column: label}), f"class_encode {column}")

    def align_labels_with_mapping(self, label2id: Mapping[str, int], label_column: str) -> Dataset:
        """Return the dataset with a label column's integers replaced by those of a mapping from names.

        Args:
            label2id: name → integer, as in a model's configuration.
            label_column: the column.
        """
        from .features.types import ClassLabel

        self._require(label_column)
        feature = self.features[label_column]
        if not isinstance(feature, ClassLabel):
            raise ValueError(f"{label_column!r} is {feature!r}; expected a ClassLabel")
        lower = {name.lower(): number for name, number in label2id.items()}
        names = [name for name, _ in sorted(label2id.items(), key=lambda item: item[1])]
        targets = pa.array([lower[name.lower()] for name in feature.names], pa.int64())

        def align(table: pa.Table) -> pa.Table:
            place = table.column_names.index(label_column)
            return table.set_column(place, label_column, targets.take(one_array(table.column(label_column))))

        features = Features({**self.features, label_column: ClassLabel(names=[name.lower() for name in names])})
        return self._arrow_map(align, features, f"align {label_column} {sorted(lower.items())}")

    def unique(self, column: str) -> list[Any]:
        """Return the different values of a column, in the order of their first rows."""
        import pyarrow.compute as pc

        self._require(column)
        found: dict[Any, None] = {}
        for start in range(0, len(self), 1 << 18):
            table = self._read(start, min(start + (1 << 18), len(self)), [column])
            found.update(dict.fromkeys(pc.unique(table.column(0)).to_pylist()))
        return list(found)

    # ---- functions over rows

    def map(
        self,
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
        self,
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
        self,
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

    def cleanup_cache_files(self) -> int:
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

    def __copy__(self) -> Dataset:
        made = Dataset.__new__(type(self))
        made.__dict__.update(self.__dict__)
        return made

    def __deepcopy__(self, memo: dict[int, Any]) -> Dataset:
        return copy.copy(self)
