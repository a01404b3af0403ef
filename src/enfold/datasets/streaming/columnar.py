"""Data files of columns as shards: Parquet by row groups, Arrow by record batches."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from enfold.log import get_logger

from ..builders.base import DatasetBuilder
from ..data_files import DataFile
from ..errors import DatasetGenerationError
from ..features.features import Features
from .file_shards import FileShard
from .opening import local_path, open_file
from .pieces import Piece, fit
from .shards import Shard

__all__ = ["ArrowShard", "ParquetShard"]

logger = get_logger(__name__)

_BATCH = 8192  # rows of a Parquet piece
_PART = 64 << 20  # bytes of a part of a large file


class ParquetShard(FileShard):
    """A Parquet file, or a run of its row groups; only the columns and the row groups that are asked for are read."""

    def __init__(
        self,
        builder: DatasetBuilder,
        file: DataFile,
        token: str | bool | None = None,
        part: tuple[int, int] = (0, 1),
        columns: list[str] | None = None,
        filters: Any = None,
    ) -> None:
        super().__init__(builder, file, token)
        self.part = part
        self.columns = columns if columns is not None else builder.options.columns
        self.filters = filters if filters is not None else builder.options.filters

    def _with(self, **changes: Any) -> ParquetShard:
        made = copy.copy(self)
        made.__dict__.update(changes)
        return made

    def project(self, columns: list[str]) -> ParquetShard:
        """Return the shard with these columns alone."""
        return self._with(columns=list(columns))

    def where(self, expression: Any) -> ParquetShard:
        """Return the shard with the rows alone for which an Arrow expression is true."""
        return self._with(filters=expression if self.filters is None else self._expression() & expression)

    def _expression(self) -> Any:
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        return self.filters if isinstance(self.filters, pc.Expression) else pq.filters_to_expression(self.filters)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[Any]:
        import pyarrow.parquet as pq

        path = local_path(self.file)
        source = pa.memory_map(path) if path is not None else pa.PythonFile(open_file(self.file, self.token), "r")
        with source:
            try:
                opened = pq.ParquetFile(source, pre_buffer=path is None)
            except (pa.ArrowInvalid, OSError) as error:
                if isinstance(error, FileNotFoundError):
                    raise
                raise DatasetGenerationError(f"{self.file.name}: no Parquet file: {error}") from error
            yield opened

    def _usable(self) -> bool:
        """Return whether the file can be opened, where a bad one may be left out."""
        action = self.builder.options.on_bad_files
        if action == "error":
            return True
        try:
            with self._opened():
                return True
        except DatasetGenerationError as error:
            if action == "warn":
                logger.warning("Leaving a file out: %s", error)
            return False

    def _groups(self, opened: Any) -> range:
        index, count = self.part
        groups = opened.metadata.num_row_groups
        return range(index * groups // count, (index + 1) * groups // count)

    def schema(self) -> pa.Schema | None:
        if not self._usable():
            return None
        with self._opened() as opened:
            found = opened.schema_arrow
            return (
                found
                if self.columns is None
                else pa.schema([found.field(name) for name in self.columns], metadata=found.metadata)
            )
        return None

    def count(self) -> int | None:
        if self.filters is not None:
            return None
        if not self._usable():
            return 0
        with self._opened() as opened:
            return sum(opened.metadata.row_group(group).num_rows for group in self._groups(opened))

    def parts(self) -> list[Shard]:
        import os

        path = local_path(self.file)
        count = 1 if path is None or self.part != (0, 1) else os.path.getsize(path) // _PART
        return [self._with(part=(i, count)) for i in range(count)] if count > 1 else [self]

    def split(self) -> list[Shard]:
        if not self._usable():
            return [self]
        with self._opened() as opened:
            count = opened.metadata.num_row_groups
            return [self._with(part=(i, count)) for i in self._groups(opened)] if count > 1 else [self]

    def read(self, position: Any = None) -> Iterator[tuple[Any, Piece]]:
        if not self._usable():
            return
        with self._opened() as opened:
            names = opened.schema_arrow.names
            columns = self.columns
            if columns is not None:
                from ..column import unknown_column

                for name in columns:
                    if name not in names:
                        raise unknown_column(name, names)
            groups = self._groups(opened)
            begin, skipped = position or (groups.start, 0)
            fragment = self._fragment(opened) if self.filters is not None else None
            for group in range(begin, groups.stop):
                row = 0
                try:
                    for batch in self._batches(opened, fragment, group, columns):
                        if row + batch.num_rows > skipped:
                            first = max(skipped - row, 0)
                            table = pa.Table.from_batches([batch.slice(first)])
                            yield [group, row + first], self._fit(self._ordered(table))
                        row += batch.num_rows
                except (pa.ArrowInvalid, OSError) as error:
                    if isinstance(error, DatasetGenerationError):
                        raise
                    raise DatasetGenerationError(
                        f"{self.file.name}, row group {group}, after {row} of its rows: {error}"
                    ) from error
                skipped = 0

    def _ordered(self, table: pa.Table) -> pa.Table:
        if self.columns is None or table.column_names == self.columns:
            return table
        return table.select(self.columns)

    def _fit(self, table: pa.Table) -> pa.Table:
        if self.features is not None and self.columns is not None:
            return fit(table, Features({name: self.features[name] for name in self.columns}))
        return super()._fit(table)

    def _batches(self, opened: Any, fragment: Any, group: int, columns: list[str] | None) -> Iterator[pa.RecordBatch]:
        if fragment is None:
            return opened.iter_batches(batch_size=_BATCH, row_groups=[group], columns=columns, use_threads=False)
        part = fragment.subset(row_group_ids=[group])
        return part.to_batches(columns=columns, filter=self._expression(), batch_size=_BATCH, use_threads=False)

    def _fragment(self, opened: Any) -> Any:
        import pyarrow.dataset as pads

        path = local_path(self.file)
        form = pads.ParquetFileFormat()
        if path is not None:
            from pyarrow.fs import LocalFileSystem

            return form.make_fragment(path, LocalFileSystem())
        return form.make_fragment(pa.PythonFile(open_file(self.file, self.token), "r"))


class ArrowShard(FileShard):
    """An Arrow IPC file, stream or file format; on this machine it is mapped."""

    def _reader(self, source: Any) -> Any:
        head = source.read(6)
        source.seek(0)
        try:
            return pa.ipc.open_file(source) if head == b"ARROW1" else pa.ipc.open_stream(source)
        except (pa.ArrowInvalid, OSError) as error:
            raise DatasetGenerationError(f"{self.file.name}: no Arrow file: {error}") from error

    def _source(self) -> Any:
        path = local_path(self.file)
        return pa.memory_map(path) if path is not None else pa.PythonFile(open_file(self.file, self.token), "r")

    def schema(self) -> pa.Schema | None:
        with self._source() as source:
            return self._reader(source).schema

    def read(self, position: Any = None) -> Iterator[tuple[Any, Piece]]:
        with self._source() as source:
            reader = self._reader(source)
            number = 0
            try:
                if hasattr(reader, "num_record_batches"):
                    for number in range(position or 0, reader.num_record_batches):
                        yield number, self._fit(pa.Table.from_batches([reader.get_batch(number)]))
                    return
                for number, batch in enumerate(reader):
                    if number >= (position or 0):
                        yield number, self._fit(pa.Table.from_batches([batch]))
            except (pa.ArrowInvalid, OSError) as error:
                if isinstance(error, DatasetGenerationError):
                    raise
                raise DatasetGenerationError(f"{self.file.name}, record batch {number}: {error}") from error
