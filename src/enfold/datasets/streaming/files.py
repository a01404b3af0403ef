"""Data files as shards: Parquet by row groups, Arrow by record batches, lines by blocks that begin at a known byte."""

from __future__ import annotations

import contextlib
import copy
import csv
import io
import json
import lzma
import re
from collections.abc import Iterator
from functools import partial
from typing import Any

import pyarrow as pa

from enfold.log import get_logger

from ..builders.archives import extract, is_archive
from ..builders.base import BUILDERS, DatasetBuilder
from ..data_files import DataFile
from ..errors import DatasetGenerationError
from ..features.features import Features, storage_schema
from ..source import cast_table
from .opening import local_path, members, open_file, unpacked
from .pieces import Piece, fit
from .shards import Shard

__all__ = ["ArrowShard", "BuilderShard", "LinesShard", "ParquetShard", "file_shards"]

logger = get_logger(__name__)

# Rows of a Parquet piece; bytes of a block of lines, of the first one, and of a part of a large file.
_BATCH = 8192
_BLOCK = 1 << 20
_FIRST = 1 << 16
_PART = 64 << 20


def file_shards(builder: DatasetBuilder, files: list[DataFile], token: str | bool | None) -> list[Shard]:
    """Return the shards of a split's files."""
    kinds: dict[str, Any] = {
        "parquet": ParquetShard, "arrow": ArrowShard, "csv": CsvShard, "json": JsonShard, "text": TextShard,
    }  # fmt: skip
    kind = kinds.get(builder.name)
    if kind is None:
        # of a folder with metadata, the metadata files have the rows; the others are found from there
        named = getattr(builder, "_names", ()) if getattr(builder, "_described", False) else ()
        chosen = [file for file in files if not named or file.name.rsplit("/", 1)[-1] in named or is_archive(file.name)]
        return [BuilderShard(builder, file, token) for file in chosen]
    return [kind(builder, inside, token) for file in files for inside in _inside(builder, file, token)]


def _inside(builder: DatasetBuilder, file: DataFile, token: str | bool | None) -> list[DataFile]:
    """Return the files of an archive that the builder reads; a file that is none stands for itself."""
    if not is_archive(file.name) or "::" in file.name:
        return [file]
    if file.name.lower().endswith(".zip"):
        found: list[DataFile] = [*members(file, token)]
    else:  # the members of other archives cannot be told without reading all of it
        found = [DataFile(path, path, partial(str, path)) for path in extract(file.fetch())]
    endings = tuple(BUILDERS.get(builder.name, ()))
    return [item for item in found if item.name.lower().endswith(endings)] or found


class _FileShard(Shard):
    def __init__(self, builder: DatasetBuilder, file: DataFile, token: str | bool | None = None) -> None:
        self.builder, self.file, self.token = builder, file, token
        self.distant = "://" in file.name

    @property
    def features(self) -> Features | None:
        return self.builder.info.features

    def _fit(self, table: pa.Table) -> pa.Table:
        if self.features is not None:
            from ..builders.fitting import fit as fit_table

            return fit_table(table.replace_schema_metadata(None), self.features, self.file.name)
        plain = storage_schema(table.schema)
        return table if plain.equals(table.schema) else cast_table(table, plain)


class BuilderShard(_FileShard):
    """A file that only its builder can read, as a whole; it is downloaded where it is not on this machine."""

    def schema(self) -> pa.Schema | None:
        first = next(self.read(), None) if self.features is None else None
        if self.features is not None:  # the builder learned them of its first rows
            return self.features.arrow_schema
        return first[1].schema if first is not None and isinstance(first[1], pa.Table) else None

    def read(self, position: Any = None) -> Iterator[tuple[Any, Piece]]:
        for number, table in enumerate(self.builder.tables(self.file.fetch(), self.file.name)):
            if number >= (position or 0):
                yield number, self._fit(table)


class ParquetShard(_FileShard):
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


class ArrowShard(_FileShard):
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


class LinesShard(_FileShard):
    """A file of lines, read in blocks; the builder parses each block as if it were a file.

    A position is (byte, line) of a block's beginning, in the unpacked content.
    """

    #: whether the builder must see the whole file, whatever its lines are
    def _whole(self, head: bytes) -> bool:
        raise NotImplementedError

    def _end(self, data: bytes) -> int:
        """Return where the last whole row of a block ends, or 0 where it holds none."""
        return data.rfind(b"\n") + 1

    def _parse(self, block: bytes, prefix: bytes, first: bool) -> Iterator[Piece]:
        for table in self.builder.tables(pa.py_buffer(prefix + block), self.file.name):  # type: ignore[arg-type]
            yield self._fit(table)

    def _prefix(self, block: bytes) -> bytes:
        """Return what must stand before every other block: a header."""
        return b""

    def read(self, position: Any = None) -> Iterator[tuple[Any, Piece]]:
        at, line = position or (0, 0)
        with open_file(self.file, self.token) as file, contextlib.closing(unpacked(file, self.file.name)) as stream:
            try:
                yield from self._blocks(stream, at, line)
            except (OSError, EOFError, pa.ArrowInvalid) as error:
                if isinstance(error, (DatasetGenerationError, FileNotFoundError)):
                    raise
                raise DatasetGenerationError(f"{self.file.name}: {error}") from error

    def _blocks(self, stream: Any, at: int, line: int) -> Iterator[tuple[Any, Piece]]:
        head, failure = _read(stream, _FIRST)
        if failure is None and self._whole(head):
            rest = [head]
            while failure is None and rest[-1]:
                data, failure = _read(stream, _BLOCK)
                rest.append(data)
            if failure is not None:
                raise DatasetGenerationError(f"{self.file.name}: {failure}") from failure
            for number, piece in enumerate(self._parse(b"".join(rest), b"", True)):
                if number >= line:
                    yield [0, number], piece
            return
        prefix = self._prefix(head)
        waiting, begin = head, 0
        more = len(head) == _FIRST  # whether anything may follow
        if at:
            waiting, begin, more = head[at:], at, True
            if at > len(head):
                _skip(stream, at, len(head))
        asked = bool(at)
        while True:
            if asked:
                # blocks are cut from their own beginning alone, so that they are the same after a resumption
                size = _BLOCK - len(waiting) if len(waiting) < _BLOCK else _BLOCK
                data, failure = _read(stream, size)
                waiting += data
                more = len(data) == size
            end = self._end(waiting) if more or failure is not None else len(waiting)
            if end:
                block, waiting = waiting[:end], waiting[end:]
                yield from self._block(block, prefix, begin, line)
                line += block.count(b"\n")
                begin += end
            if failure is not None:
                raise DatasetGenerationError(f"{self.file.name}, after line {line}: {failure}") from failure
            if not more:
                return
            asked = True

    def _block(self, block: bytes, prefix: bytes, begin: int, line: int) -> Iterator[tuple[Any, Piece]]:
        lead = prefix if begin else b""
        shift = line - lead.count(b"\n")
        try:
            pieces = list(self._parse(block, lead, not begin))
        except (DatasetGenerationError, UnicodeDecodeError) as error:
            text = str(error)
            if isinstance(error, UnicodeDecodeError):
                number = (lead + block).count(b"\n", 0, error.start) + 1
                text = f"{self.file.name}, line {number}: not {error.encoding.upper()} text ({error}); pass encoding="
            found = re.search(r", line (\d+)", text)
            if found is None:
                raise DatasetGenerationError(text) from error
            wrong = int(found[1])
            good = b"".join(block.splitlines(keepends=True)[: max(wrong - 1 - lead.count(b"\n"), 0)])
            if good.strip():
                for piece in self._parse(good, lead, not begin):
                    yield [begin, line], piece
            raise (
                type(error)(text.replace(found[0], f", line {wrong + shift}", 1))
                if isinstance(error, DatasetGenerationError)
                else DatasetGenerationError(text.replace(found[0], f", line {wrong + shift}", 1))
            ) from error
        yield from (([begin, line], piece) for piece in pieces)


def _read(stream: Any, size: int) -> tuple[bytes, Exception | None]:
    """Return ``size`` bytes, fewer at the end alone, and what kept the stream from giving more."""
    parts, count = [], 0
    try:
        while count < size:
            data = stream.read(min(size - count, _FIRST))
            if not data:
                break
            parts.append(bytes(data))
            count += len(data)
    except (OSError, EOFError, lzma.LZMAError, pa.ArrowInvalid) as error:
        if isinstance(error, FileNotFoundError):
            raise
        return b"".join(parts), error
    return b"".join(parts), None


def _skip(stream: Any, at: int, present: int) -> None:
    if not isinstance(stream, pa.CompressedInputStream):
        stream.seek(at)  # Python's own readers of packed files read up to there, too
        return
    left = at - present
    while left > 0:
        data = stream.read(min(left, _BLOCK))
        if not data:
            return
        left -= len(data)


class TextShard(LinesShard):
    """A text file: rows are lines, or paragraphs, or the file."""

    def _whole(self, head: bytes) -> bool:
        options = self.builder.options
        return options.sample_by == "document" or not _plain(options.encoding)

    def _end(self, data: bytes) -> int:
        if self.builder.options.sample_by != "paragraph":
            return data.rfind(b"\n") + 1
        end = data.rstrip(b"\n").rfind(b"\n\n")
        return end + 2 + (len(data[end + 2 :]) - len(data[end + 2 :].lstrip(b"\n"))) if end >= 0 else 0


class JsonShard(LinesShard):
    """JSON Lines, or a JSON file that is read as a whole."""

    def _whole(self, head: bytes) -> bool:
        options = self.builder.options
        start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
        if options.field is not None or start[:1] == b"[" or not _plain(options.encoding):
            return True
        first = start.split(b"\n", 1)[0]
        try:
            json.loads(first)
        except ValueError:
            # one object over several lines begins with a line that is no object; a broken line is found later
            return b"\n" in start and first.strip() in (b"{", b"{ ")
        return False

    def _parse(self, block: bytes, prefix: bytes, first: bool) -> Iterator[Piece]:
        mixed: set[str] = getattr(self.builder, "_mixed", set())
        mixed.clear()
        for piece in super()._parse(block, prefix, first):
            if not mixed or self.features is not None or not isinstance(piece, pa.Table):
                yield piece
                continue
            rows = piece.to_pylist()
            for row in rows:
                for name in mixed & set(row):
                    row[name] = None if row[name] is None else json.loads(row[name])
            yield rows


class CsvShard(LinesShard):
    """CSV; a file with a dialect whose rows cannot be told from afar is read as a whole."""

    def _whole(self, head: bytes) -> bool:
        options = self.builder.options
        names = "nrows comment skipinitialspace escapechar lineterminator skipfooter converters thousands".split()
        odd = any(getattr(options, name, None) for name in names) or isinstance(options.header, (list, tuple))
        skips = options.skiprows if isinstance(options.skiprows, int) or options.skiprows is None else -1
        header = "infer" if options.header == 0 else options.header
        return bool(
            odd or skips or header not in ("infer", None) or not _plain(options.encoding)
            or options.quoting == csv.QUOTE_NONE or (options.quotechar or '"') != '"'
        )  # fmt: skip

    def _prefix(self, block: bytes) -> bytes:
        options = self.builder.options
        if options.header is None or (options.header == "infer" and (options.names or options.column_names)):
            return b""
        text = io.TextIOWrapper(io.BytesIO(block), "utf-8", errors="replace", newline="")
        reader = csv.reader(text, delimiter=options.delimiter or options.sep)
        for row in reader:
            if row:
                lines = block.splitlines(keepends=True)[: reader.line_num]
                return b"".join(lines)
        return b""

    def _end(self, data: bytes) -> int:
        end = data.rfind(b"\n") + 1
        if b'"' not in data:
            return end
        if _stray(data, (self.builder.options.delimiter or self.builder.options.sep).encode()):
            return 0  # quotes that open nothing: only the whole file tells which
        odd = data.count(b'"', 0, end) % 2
        while end and odd:
            quote = data.rfind(b'"', 0, end)
            end = data.rfind(b"\n", 0, quote) + 1
            odd = data.count(b'"', 0, end) % 2
        return end


def _stray(data: bytes, separator: bytes) -> bool:
    """Return whether a quote stands in the middle of a value that has none at its beginning."""
    # most files: every quote begins a value or ends one, which counting tells ten times as fast as looking
    around = (separator + b'"', b'\n"', b'"' + separator, b'"\n', b'"\r')
    if data.count(b'"') == sum(data.count(pair) for pair in around) + data.startswith(b'"'):
        return False
    mark = re.escape(separator)
    return re.search(rb'[^\n\r"' + mark + rb']"[^"\r\n' + mark + rb"]", data) is not None


def _plain(encoding: str | None) -> bool:
    return encoding is None or encoding.lower().replace("_", "-") in ("utf-8", "utf8", "ascii")
