"""Where the rows are: Arrow tables in memory or mapped from disk, one behind the other or side by side."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from .features.features import storage_schema
from .values import cast_array, row_reader, take_rows

__all__ = ["ChainSource", "Source", "TableSource", "ZipSource", "cast_table", "chain", "open_arrow", "reordered"]


class Source:
    """Rows that can be read by range and by position. A source never changes; a view of it shares its data."""

    schema: pa.Schema
    num_rows: int
    files: tuple[str, ...] = ()

    def slice(self, start: int, stop: int) -> Source:
        """Return a view of the rows from ``start`` to ``stop``."""
        raise NotImplementedError

    def project(self, columns: Sequence[tuple[str, str]]) -> Source:
        """Return a view with the columns given as pairs (new name, present name)."""
        raise NotImplementedError

    def read(self, start: int, stop: int, columns: Sequence[str] | None = None) -> pa.Table:
        """Return the rows from ``start`` to ``stop`` as a table."""
        raise NotImplementedError

    def take(self, rows: np.ndarray, columns: Sequence[str] | None = None) -> pa.Table:
        """Return the rows at the positions ``rows`` (int64, shape (n,)) as a table, in that order."""
        raise NotImplementedError

    def row(self, position: int, columns: Sequence[str], numpy: bool = False) -> dict[str, Any]:
        """Return one row's stored values."""
        raise NotImplementedError

    def pieces(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Yield all rows as tables of a size that fits in memory."""
        step = 1 << 16
        for start in range(0, self.num_rows, step):
            yield self.read(start, min(start + step, self.num_rows), columns)

    @property
    def nbytes(self) -> int:
        """The size of the decoded rows in bytes, estimated where that is not known without reading them."""
        raise NotImplementedError


def cast_table(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return a table with the columns and types of ``schema``: missing columns are null, structs are matched by field.

    Raises:
        pyarrow.ArrowInvalid: a column of the table that the schema lacks, or values that do not fit.
    """
    extra = [name for name in table.column_names if name not in schema.names]
    if extra:
        raise pa.ArrowInvalid(f"unexpected columns {extra}; expected {schema.names}")
    columns = []
    for field in schema:
        if field.name not in table.column_names:
            columns.append(pa.nulls(table.num_rows, field.type))
            continue
        column = table.column(field.name)
        if column.type == field.type:
            columns.append(column)
            continue
        try:
            columns.append(pa.chunked_array([cast_array(chunk, field.type) for chunk in column.chunks], field.type))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
            raise pa.ArrowInvalid(f"column {field.name!r} ({column.type}) does not fit {field.type}: {error}") from None
    return pa.table(columns, schema=schema)


def reordered(table: pa.Table, rows: np.ndarray) -> pa.Table:
    """Return a table's rows in another order."""
    batches = table.combine_chunks().to_batches()
    if len(batches) != 1:
        return table.take(pa.array(rows))
    return pa.Table.from_batches([take_rows(batches[0], rows)], table.schema)


class TableSource(Source):
    """An Arrow table, in memory or memory-mapped.

    Args:
        table: the rows.
        files: the Arrow files that are mapped, if any.
    """

    # Runs of rows of mapped files, (path, start, stop, pairs of new and stored column), where the rows are just these:
    # another process maps them anew, and is not sent the rows.
    _views: tuple[tuple[str, int, int, tuple[tuple[str, str], ...]], ...] | None = None

    def __init__(self, table: pa.Table, files: Sequence[str] = ()) -> None:
        plain = storage_schema(table.schema)
        if not plain.equals(table.schema):
            table = cast_table(table, plain)
        self.table = table
        self.schema = table.schema
        self.num_rows = table.num_rows
        self.files = tuple(files)
        self._batches: list[pa.RecordBatch] | None = None
        self._readers: dict[tuple[Any, ...], list[tuple[str, Callable[[int], Any]]]] = {}

    @classmethod
    def mapped(cls, path: str, table: pa.Table | None = None) -> TableSource:
        """Return the rows of an Arrow file, mapped from disk; ``table`` is its table where it is open already."""
        table = open_arrow(path) if table is None else table
        made = cls(table.replace_schema_metadata(None), [path])
        made._views = ((path, 0, made.num_rows, tuple((name, name) for name in made.schema.names)),)
        return made

    def __reduce__(self) -> Any:
        if self._views is not None:
            return _mapped_again, (self._views, self.files)
        return type(self), (self.table, self.files)

    def _chunks(self) -> list[pa.RecordBatch]:
        if self._batches is None:
            batches = [batch for batch in self.table.to_batches() if batch.num_rows]
            sizes = np.array([batch.num_rows for batch in batches], np.int64)
            self._starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
            self._batches = batches
        return self._batches

    def slice(self, start: int, stop: int) -> TableSource:
        if start == 0 and stop == self.num_rows:
            return self
        made = TableSource(self.table.slice(start, stop - start), self.files)
        if self._views is not None:
            views, base = [], 0
            for path, first, last, columns in self._views:
                low, high = max(start - base, 0), min(stop - base, last - first)
                if low < high:
                    views.append((path, first + low, first + high, columns))
                base += last - first
            made._views = tuple(views) or None
        return made

    def project(self, columns: Sequence[tuple[str, str]]) -> TableSource:
        schema = pa.schema([self.schema.field(old).with_name(new) for new, old in columns])
        made = TableSource(pa.table([self.table.column(old) for _, old in columns], schema=schema), self.files)
        if self._views is not None and columns:
            views = []
            for path, first, last, before in self._views:
                stored = dict(before)
                views.append((path, first, last, tuple((new, stored[old]) for new, old in columns)))
            made._views = tuple(views)
        return made

    def read(self, start: int, stop: int, columns: Sequence[str] | None = None) -> pa.Table:
        table = self.table if columns is None else self.table.select(list(columns))
        return table.slice(start, stop - start)

    def take(self, rows: np.ndarray, columns: Sequence[str] | None = None) -> pa.Table:
        schema = self.schema if columns is None else pa.schema([self.schema.field(name) for name in columns])
        batches = self._chunks()
        if not batches or not len(rows):
            return schema.empty_table()
        if columns is not None:
            batches = [batch.select(list(columns)) for batch in batches] if len(batches) < 64 else batches
        if len(batches) == 1:
            return pa.Table.from_batches([take_rows(batches[0], rows)], schema)
        homes = np.searchsorted(self._starts, rows, side="right") - 1
        order = np.argsort(homes, kind="stable")
        sorted_homes = homes[order]
        cuts = np.flatnonzero(np.diff(sorted_homes)) + 1
        parts = []
        for group in np.split(order, cuts):
            home = int(homes[group[0]])
            batch = batches[home]
            if columns is not None and batch.num_columns != len(schema):
                batch = batch.select(list(columns))
            parts.append(take_rows(batch, rows[group] - self._starts[home]))
        table = pa.Table.from_batches(parts, schema)
        if bool(np.all(order[1:] > order[:-1])):
            return table
        back = np.empty(len(order), np.int64)
        back[order] = np.arange(len(order))
        return reordered(table, back)

    def row(self, position: int, columns: Sequence[str], numpy: bool = False) -> dict[str, Any]:
        batches = self._chunks()
        home = 0
        if len(batches) > 1:
            home = int(np.searchsorted(self._starts, position, side="right")) - 1
            position -= int(self._starts[home])
        key = (home, numpy, *columns)
        readers = self._readers.get(key)
        if readers is None:
            batch = batches[home]
            readers = [(name, row_reader(batch.column(name), numpy=numpy)) for name in columns]
            self._readers[key] = readers
        return {name: read(position) for name, read in readers}

    def pieces(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        table = self.table if columns is None else self.table.select(list(columns))
        for start in range(0, self.num_rows, 1 << 20):
            yield table.slice(start, 1 << 20)

    @property
    def nbytes(self) -> int:
        return self.table.nbytes


def _mapped_again(views: Sequence[tuple[str, int, int, Any]], files: Sequence[str]) -> TableSource:
    parts = []
    for path, start, stop, columns in views:
        parts.append(TableSource.mapped(path).project(columns).slice(start, stop))
    made = chain(parts)
    assert isinstance(made, TableSource)
    made.files = tuple(files)
    return made


class ChainSource(Source):
    """The rows of several sources, one after the other; they have one schema.

    Args:
        parts: the sources.
    """

    def __init__(self, parts: Sequence[Source]) -> None:
        self.parts = [part for part in parts if part.num_rows] or list(parts[:1])
        self.schema = self.parts[0].schema
        self._starts = np.concatenate([[0], np.cumsum([part.num_rows for part in self.parts])]).astype(np.int64)
        self.num_rows = int(self._starts[-1])
        self.files = tuple(dict.fromkeys(file for part in parts for file in part.files))

    def slice(self, start: int, stop: int) -> Source:
        parts = []
        for part, base in zip(self.parts, self._starts.tolist(), strict=False):
            first, last = max(start - base, 0), min(stop - base, part.num_rows)
            if first < last:
                parts.append(part.slice(first, last))
        return chain(parts or [self.parts[0].slice(0, 0)])

    def project(self, columns: Sequence[tuple[str, str]]) -> Source:
        return chain([part.project(columns) for part in self.parts])

    def read(self, start: int, stop: int, columns: Sequence[str] | None = None) -> pa.Table:
        parts = []
        for part, base in zip(self.parts, self._starts.tolist(), strict=False):
            first, last = max(start - base, 0), min(stop - base, part.num_rows)
            if first < last:
                parts.append(part.read(first, last, columns))
        return pa.concat_tables(parts) if parts else self.parts[0].read(0, 0, columns)

    def take(self, rows: np.ndarray, columns: Sequence[str] | None = None) -> pa.Table:
        if not len(rows):
            return self.parts[0].take(rows, columns)
        rows = np.asarray(rows, np.int64)
        homes = np.searchsorted(self._starts, rows, side="right") - 1
        order = np.argsort(homes, kind="stable")
        tables = []
        for group in np.split(order, np.flatnonzero(np.diff(homes[order])) + 1):
            home = int(homes[group[0]])
            tables.append(self.parts[home].take(rows[group] - self._starts[home], columns))
        table = tables[0] if len(tables) == 1 else pa.concat_tables(tables)
        if bool(np.all(order[1:] > order[:-1])):
            return table
        back = np.empty(len(order), np.int64)
        back[order] = np.arange(len(order))
        return reordered(table, back)

    def row(self, position: int, columns: Sequence[str], numpy: bool = False) -> dict[str, Any]:
        home = int(np.searchsorted(self._starts, position, side="right")) - 1
        return self.parts[home].row(position - int(self._starts[home]), columns, numpy)

    def pieces(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        for part in self.parts:
            yield from part.pieces(columns)

    @property
    def nbytes(self) -> int:
        return sum(part.nbytes for part in self.parts)


class ZipSource(Source):
    """The columns of several sources side by side; they have one number of rows and no column name twice.

    Args:
        parts: the sources.
    """

    def __init__(self, parts: Sequence[Source]) -> None:
        self.parts = list(parts)
        self.schema = pa.schema([field for part in parts for field in part.schema])
        self.num_rows = parts[0].num_rows
        self.files = tuple(dict.fromkeys(file for part in parts for file in part.files))

    def _split(self, columns: Sequence[str] | None) -> Iterator[tuple[Source, list[str]]]:
        for part in self.parts:
            names = [name for name in part.schema.names if columns is None or name in columns]
            if names:
                yield part, names

    def _join(self, tables: list[pa.Table], columns: Sequence[str] | None) -> pa.Table:
        if not tables:
            return pa.schema([]).empty_table()
        found = {name: table.column(name) for table in tables for name in table.column_names}
        names = list(self.schema.names) if columns is None else list(columns)
        return pa.table([found[name] for name in names], names=names)

    def slice(self, start: int, stop: int) -> Source:
        return ZipSource([part.slice(start, stop) for part in self.parts])

    def project(self, columns: Sequence[tuple[str, str]]) -> Source:
        # the parts keep the new columns' order only among their own; a last projection is not needed to read by name
        parts = []
        for part in self.parts:
            mine = [(new, old) for new, old in columns if old in part.schema.names]
            if mine:
                parts.append(part.project(mine))
        return ZipSource(parts) if len(parts) != 1 else parts[0]

    def read(self, start: int, stop: int, columns: Sequence[str] | None = None) -> pa.Table:
        return self._join([part.read(start, stop, names) for part, names in self._split(columns)], columns)

    def take(self, rows: np.ndarray, columns: Sequence[str] | None = None) -> pa.Table:
        return self._join([part.take(rows, names) for part, names in self._split(columns)], columns)

    def row(self, position: int, columns: Sequence[str], numpy: bool = False) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for part, names in self._split(columns):
            found.update(part.row(position, names, numpy))
        return {name: found[name] for name in columns}

    @property
    def nbytes(self) -> int:
        return sum(part.nbytes for part in self.parts)


def chain(parts: Sequence[Source]) -> Source:
    """Return the rows of several sources of one schema, one after the other, as the simplest source that holds them."""
    parts = list(parts)
    if len(parts) == 1:
        return parts[0]
    if all(isinstance(part, TableSource) for part in parts):
        tables = [part.table for part in parts if isinstance(part, TableSource)]
        files = tuple(dict.fromkeys(file for part in parts for file in part.files))
        made = TableSource(pa.concat_tables([table.replace_schema_metadata(None) for table in tables]), files)
        views = [part._views for part in parts if isinstance(part, TableSource)]
        if all(view is not None for view in views):
            made._views = tuple(one for view in views for one in view or ())
        return made
    return ChainSource(parts)


def open_arrow(path: str | os.PathLike[str], *, memory_map: bool = True) -> pa.Table:
    """Return the table of an Arrow IPC file (stream or file format), mapped rather than read.

    Raises:
        pyarrow.ArrowInvalid: the file is neither.
    """
    name = os.fspath(path)
    stream = pa.memory_map(name) if memory_map else pa.OSFile(name)
    if not memory_map:
        stream = pa.BufferReader(stream.read_buffer())
    try:
        return pa.ipc.open_stream(stream).read_all()
    except pa.ArrowInvalid:
        stream.seek(0)
        return pa.ipc.open_file(stream).read_all()
