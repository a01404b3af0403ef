"""Data files of lines as shards: text, JSON and CSV, by blocks that begin at a known byte."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import lzma
import re
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from enfold.log import get_logger

from ..errors import DatasetGenerationError
from .file_shards import FileShard
from .opening import open_file, unpacked
from .pieces import Piece

__all__ = ["CsvShard", "JsonShard", "LinesShard", "TextShard"]

logger = get_logger(__name__)

# Bytes of a block of lines, and of the first one.
_BLOCK = 1 << 20
_FIRST = 1 << 16


class LinesShard(FileShard):
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
