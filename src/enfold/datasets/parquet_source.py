"""The rows of Parquet files, read where they lie: decoded row groups are kept as long as there is room for them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from .errors import DatasetGenerationError
from .features.features import storage_schema
from .source import Source, TableSource, cast_table, reordered

__all__ = ["ParquetSource"]

# Decoded row groups that one Parquet source keeps; what it drops is decoded again when it is asked for.
PARQUET_CACHE_BYTES = 512 << 20


class _ParquetStore:
    """The decoded columns of some Parquet files' row groups, within a bound of memory; shared by every view of them."""

    def __init__(self, paths: Sequence[str], schema: pa.Schema) -> None:
        import pyarrow.parquet as pq

        self.paths = list(paths)
        self.schema = schema
        self._local = threading.local()
        self.groups: list[tuple[int, int]] = []
        sizes = []
        self.nbytes = 0
        for number, path in enumerate(self.paths):
            metadata = pq.read_metadata(path)
            for group in range(metadata.num_row_groups):
                found = metadata.row_group(group)
                self.groups.append((number, group))
                sizes.append(found.num_rows)
                self.nbytes += found.total_byte_size
        self.starts = np.concatenate([[0], np.cumsum(np.array(sizes, np.int64))]).astype(np.int64)
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[int, str], pa.ChunkedArray] = OrderedDict()
        self._size = 0

    def __reduce__(self) -> Any:
        return _ParquetStore, (self.paths, self.schema)

    def _file(self, number: int) -> Any:
        import pyarrow.parquet as pq

        files = self._local.__dict__.setdefault("files", {})
        if number not in files:
            files[number] = pq.ParquetFile(self.paths[number], memory_map=True)
        return files[number]

    def group(self, number: int, columns: Sequence[str]) -> TableSource:
        """Return columns of a row group, decoding those that are not kept."""
        with self._lock:
            missing = [name for name in columns if (number, name) not in self._kept]
            have = {name: self._kept[number, name] for name in columns if name not in missing}
            for name in have:
                self._kept.move_to_end((number, name))
        if missing:
            file, group = self.groups[number]
            opened = self._file(file)
            present = set(opened.schema_arrow.names)
            try:
                table = opened.read_row_group(group, columns=[name for name in missing if name in present])
            except (OSError, pa.ArrowInvalid) as error:
                first, last = int(self.starts[number]), int(self.starts[number + 1]) - 1
                raise DatasetGenerationError(
                    f"{self.paths[file]}, row group {group} (rows {first} to {last}): damaged: {error}"
                ) from error
            if not table.num_columns:
                table = pa.table({"": pa.nulls(opened.metadata.row_group(group).num_rows)}).select([])
            wanted = pa.schema([self.schema.field(name) for name in missing])
            rows = int(self.starts[number + 1] - self.starts[number])
            for name, field in zip(missing, wanted, strict=False):
                if name in table.column_names:
                    column = cast_table(table.select([name]), pa.schema([field])).column(0)
                else:
                    column = pa.chunked_array([pa.nulls(rows, field.type)])
                have[name] = column
            with self._lock:
                for name in missing:
                    self._kept[number, name] = have[name]
                    self._size += have[name].nbytes
                while self._size > PARQUET_CACHE_BYTES and len(self._kept) > len(columns):
                    _, dropped = self._kept.popitem(last=False)
                    self._size -= dropped.nbytes
        return TableSource(pa.table([have[name] for name in columns], names=list(columns)))


class ParquetSource(Source):
    """Parquet files read where they lie: no second file is made, and a row group is decoded when it is needed.

    Args:
        paths: the files, in the order of their rows.
        schema: the columns; those of the first file where None.
    """

    def __init__(
        self,
        paths: Sequence[str],
        schema: pa.Schema | None = None,
        *,
        _view: tuple[_ParquetStore, int, int, list[tuple[str, str]]] | None = None,
    ) -> None:
        import pyarrow.parquet as pq

        if _view is None:
            schema = storage_schema(schema if schema is not None else pq.read_schema(paths[0]))
            store = _ParquetStore(paths, schema)
            _view = (store, 0, int(store.starts[-1]), [(name, name) for name in schema.names])
        self._store, self._start, self._stop, self._columns = _view
        self._names = dict(self._columns)
        fields = [self._store.schema.field(old).with_name(new) for new, old in self._columns]
        self.schema = pa.schema(fields, metadata=schema.metadata if schema is not None else None)
        self.num_rows = self._stop - self._start
        self.files = tuple(self._store.paths)
        self._last: tuple[int, tuple[str, ...], TableSource] | None = None

    def slice(self, start: int, stop: int) -> ParquetSource:
        view = (self._store, self._start + start, self._start + stop, self._columns)
        return ParquetSource((), self.schema, _view=view)

    def project(self, columns: Sequence[tuple[str, str]]) -> ParquetSource:
        view = (self._store, self._start, self._stop, [(new, self._names[old]) for new, old in columns])
        return ParquetSource((), None, _view=view)

    def __reduce__(self) -> Any:
        return _parquet_again, (self.schema, (self._store, self._start, self._stop, self._columns))

    def _group(self, number: int, columns: Sequence[str]) -> TableSource:
        key = tuple(columns)
        last = self._last
        if last is not None and last[0] == number and last[1] == key:
            return last[2]
        source = self._store.group(number, [self._names[name] for name in columns])
        if any(new != old for new, old in self._columns):
            source = source.project([(name, self._names[name]) for name in columns])
        self._last = (number, key, source)
        return source

    def read(self, start: int, stop: int, columns: Sequence[str] | None = None) -> pa.Table:
        names = list(self.schema.names) if columns is None else list(columns)
        first, last = self._start + start, self._start + stop
        starts = self._store.starts
        parts = []
        number = int(np.searchsorted(starts, first, side="right")) - 1
        while first < last:
            base = int(starts[number])
            upto = min(last, int(starts[number + 1]))
            if upto > first:
                parts.append(self._group(number, names).read(first - base, upto - base))
            first, number = upto, number + 1
        if not parts:
            return pa.schema([self.schema.field(name) for name in names]).empty_table()
        return parts[0] if len(parts) == 1 else pa.concat_tables(parts)

    def take(self, rows: np.ndarray, columns: Sequence[str] | None = None) -> pa.Table:
        names = list(self.schema.names) if columns is None else list(columns)
        if not len(rows):
            return pa.schema([self.schema.field(name) for name in names]).empty_table()
        starts = self._store.starts
        rows = np.asarray(rows, np.int64) + self._start
        homes = np.searchsorted(starts, rows, side="right") - 1
        order = np.argsort(homes, kind="stable")
        parts = []
        for group in np.split(order, np.flatnonzero(np.diff(homes[order])) + 1):
            home = int(homes[group[0]])
            parts.append(self._group(home, names).take(rows[group] - starts[home]))
        table = parts[0] if len(parts) == 1 else pa.concat_tables(parts)
        if bool(np.all(order[1:] > order[:-1])):
            return table
        back = np.empty(len(order), np.int64)
        back[order] = np.arange(len(order))
        return reordered(table, back)

    def row(self, position: int, columns: Sequence[str], numpy: bool = False) -> dict[str, Any]:
        position += self._start
        starts = self._store.starts
        number = int(np.searchsorted(starts, position, side="right")) - 1
        return self._group(number, columns).row(position - int(starts[number]), columns, numpy)

    def pieces(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        starts = self._store.starts
        edges = [self._start, *(int(edge) for edge in starts if self._start < edge < self._stop), self._stop]
        for start, stop in pairwise(edges):
            if stop > start:
                yield self.read(start - self._start, stop - self._start, columns)

    @property
    def nbytes(self) -> int:
        total = int(self._store.starts[-1]) or 1
        return int(self._store.nbytes * self.num_rows / total)


def _parquet_again(schema: pa.Schema, view: Any) -> ParquetSource:
    return ParquetSource((), schema, _view=view)
