"""JSON Lines, and JSON files that hold an array of rows or hold it under a name."""

from __future__ import annotations

import dataclasses
import io
import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, NoReturn

import pyarrow as pa

from ..errors import DatasetGenerationError
from ..features.features import Features, from_arrow
from ..features.types import Json, Value
from ..writer import widen
from .base import DatasetBuilder, StartAgain
from .json_values import json_rows
from .opened import read_blocks, read_lines, read_texts, whole_lines

__all__ = ["Builder"]

_BLOCK = 1 << 20
# Bytes of a file that are parsed and written at a time, for each thread that parses.
_PART = 2 << 20
_UTF8 = ("utf-8", "utf8")
_MARK = b"\xef\xbb\xbf"  # of byte order, which a file may begin with


class Builder(DatasetBuilder):
    """Reads JSON files with Arrow's reader; a column whose values have no common type is kept as JSON text."""

    name = "json"

    @dataclasses.dataclass
    class Options:
        """What can be said about JSON files.

        Args:
            field: the member of the file's object that holds the rows.
            encoding: how the text is coded.
            encoding_errors: what to do with bytes that are not text.
            on_mixed_types: ``"use_json"`` keeps columns without a common type as JSON text; None is an error.
            chunksize: accepted for compatibility.
        """

        field: str | None = None
        encoding: str = "utf-8"
        encoding_errors: str | None = None
        use_threads: bool = True
        block_size: int | None = None
        chunksize: int = 10 << 20
        newlines_in_values: bool | None = None
        on_mixed_types: str | None = "use_json"

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._mixed: set[str] = set()
        # the columns of files that had to be looked at as a whole before they were read
        self._surveyed: dict[str, pa.Schema] = {}

    def _inferred(self, schema: pa.Schema) -> Features:
        out = {field.name: Json() if field.name in self._mixed else from_arrow(field.type) for field in schema}
        return Features(out)

    def tables(self, path: str | pa.Buffer, name: str) -> Iterator[pa.Table]:
        key = path if isinstance(path, str) else ""
        if key in self._surveyed:
            yield from (self._told(part, self._surveyed[key], name) for part in self._parts(path, name))
            return
        schema: pa.Schema | None = None
        parts = self._parts(path, name)
        part, following = next(parts, None), next(parts, None)
        if following is None:
            if part is not None:
                yield self._parse(part, name)
            return
        if self.info.features is None and not self.may_start_again and self._survey(path, name, key):
            yield from self.tables(path, name)
            return
        for number, one in enumerate(itertools.chain((part, following), parts)):
            assert one is not None
            try:
                table = self._read(one)
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
                if self.info.features is None:
                    self._survey(path, name, key)
                    raise StartAgain from error
                table = self._slowly(one, name, error, partial(self._lines, path, name, number))
            if self.info.features is None and schema is not None and table.schema != schema:
                self._survey(path, name, key)
                raise StartAgain
            schema = table.schema
            yield table

    # ---- a file in parts of whole rows, each row on a line

    def _parts(self, path: str | pa.Buffer, name: str) -> Iterator[pa.Buffer]:
        """Yield a file as JSON Lines, in parts that end where a row does."""
        size = _PART * min(max(pa.cpu_count(), 2), 32)
        encoding = self.options.encoding.lower().replace("_", "-")
        plain = encoding in _UTF8 and self.options.encoding_errors in (None, "strict")
        head = next(read_blocks(path), b"") if plain else next(self._encoded(path, _BLOCK), b"")
        begin = head.removeprefix(_MARK).lstrip()
        # an array, or what an indented object begins with
        if self.options.field is not None or begin[:1] == b"[" or begin.partition(b"\n")[0].rstrip() == b"{":
            texts = read_texts(path, "utf-8-sig" if plain else self.options.encoding, self.options.encoding_errors)
            parts = whole_lines(self._dumped(json_rows(texts, self.options.field, name), size))
        elif not plain:
            parts = whole_lines(self._encoded(path, size))
        else:
            parts = iter([path]) if isinstance(path, pa.Buffer) else read_lines(path, size)
        if isinstance(path, pa.Buffer):  # a stream has cut the file already
            parts = iter([pa.py_buffer(b"".join(map(memoryview, parts)))])
        first = True
        for part in parts:
            if first and part[:3].to_pybytes() == _MARK:
                part = part.slice(3)
            first = False
            if part[:64].to_pybytes().strip() or part.to_pybytes().strip():
                yield part

    def _encoded(self, path: str | pa.Buffer, size: int) -> Iterator[bytes]:
        for text in read_texts(path, self.options.encoding, self.options.encoding_errors, size):
            yield text.encode()

    @staticmethod
    def _dumped(rows: Iterable[Any], size: int) -> Iterator[bytes]:
        lines: list[str] = []
        length = 0
        for row in rows:
            lines.append(json.dumps(row, ensure_ascii=False) + "\n")
            length += len(lines[-1])
            if length >= size:
                yield "".join(lines).encode()
                lines, length = [], 0
        yield "".join(lines).encode()

    def _lines(self, path: str | pa.Buffer, name: str, number: int) -> int:
        """Return how many lines stand before a part; counted only where a message needs it."""
        before = itertools.islice(self._parts(path, name), number)
        return sum(part.to_pybytes().count(b"\n") for part in before)

    # ---- what the columns are

    def _survey(self, path: str | pa.Buffer, name: str, key: str) -> bool:
        """Find the type of every column in all of a file, part by part; False for what is no file.

        Raises:
            DatasetGenerationError: a row is no JSON, or values of several types are not to be kept as JSON.
        """
        if not key:
            return False
        kinds: dict[str, pa.DataType] = {}
        for number, part in enumerate(self._parts(path, name)):
            try:
                found = self._read(part).schema
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
                found = self._slowly(part, name, error, partial(self._lines, path, name, number)).schema
            for field in found:
                try:
                    kinds[field.name] = _joint(kinds.get(field.name, pa.null()), field.type)
                except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
                    if self.options.on_mixed_types != "use_json":
                        both = [str(kinds[field.name]), str(field.type)]
                        self._refuse(name, self._lines(path, name, number) + 1, field.name, both)
                    self._mixed.add(field.name)
        for column in self._mixed:
            kinds[column] = pa.string()
        if self._mixed:  # rows are then read by Python, which takes no text for a time
            kinds = {column: _textual(kind) for column, kind in kinds.items()}
        self._surveyed[key] = pa.schema(kinds)
        return True

    def _told(self, part: pa.Buffer, schema: pa.Schema, name: str) -> pa.Table:
        """Return the rows of a part of a file whose columns are known."""
        if not self._mixed & set(schema.names):
            try:
                return self._read(part, schema)
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
                pass  # a number that is no integer of its type, say: Python's own words for it are better
        rows = [json.loads(line) for line in io.BytesIO(part.to_pybytes()) if line.strip()]
        columns = {}
        for field in schema:
            values = [row.get(field.name) for row in rows]
            if field.name in self._mixed:
                values = [Json().encode_example(value) for value in values]
            try:
                columns[field.name] = pa.array(values, field.type)
            except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
                raise DatasetGenerationError(f"{name}: column {field.name!r}: {error}") from error
        return pa.table(columns)

    # ---- parsing

    def _parse(self, data: pa.Buffer, name: str) -> pa.Table:
        try:
            return self._read(data)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            return self._slowly(data, name, error, int)

    def _read(self, data: pa.Buffer, schema: pa.Schema | None = None) -> pa.Table:
        import pyarrow.json as paj

        size = _BLOCK
        total = memoryview(data).nbytes
        parse = paj.ParseOptions(
            explicit_schema=self._explicit() if schema is None else schema, unexpected_field_behavior="infer"
        )
        while True:
            try:
                options = paj.ReadOptions(
                    block_size=min(size, max(total, 1)), use_threads=pa.cpu_count() > 1 and size < total
                )
                table = paj.read_json(pa.BufferReader(data), read_options=options, parse_options=parse)
                table.validate(full=True)  # Arrow's reader takes any bytes for text
                return table
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
                if size < total and ("straddling" in str(error) or "JSON conversion" in str(error)):
                    size *= 4  # a row longer than a block
                    continue
                raise

    def _explicit(self) -> pa.Schema | None:
        """The columns that must not be guessed: those of known text and numbers."""
        features = self.info.features
        if features is None:
            return None
        fields = [(name, feature()) for name, feature in features.items() if isinstance(feature, Value)]
        fields = [(name, kind) for name, kind in fields if pa.types.is_primitive(kind) or pa.types.is_string(kind)]
        return pa.schema(fields) if fields else None

    def _slowly(self, data: pa.Buffer, name: str, error: Exception, before: Callable[[], int]) -> pa.Table:
        """Read row by row: to name the line that is wrong, or to keep mixed columns as JSON.

        Args:
            data: the rows.
            name: the file.
            error: what Arrow's reader said of them.
            before: gives the number of lines that stand before the rows.
        """
        rows: list[Any] = []
        numbers: list[int] = []
        for number, line in enumerate(io.BytesIO(data.to_pybytes()), 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as wrong:
                message = getattr(wrong, "msg", str(wrong))
                column = getattr(wrong, "colno", None)
                place = f"{name}, line {before() + number}" + (f", column {column}" if column else "")
                raise DatasetGenerationError(f"{place}: no JSON: {message}") from error
            if not isinstance(row, dict):
                raise DatasetGenerationError(
                    f"{name}, line {before() + number}: a row is an object, not {type(row).__name__}"
                ) from error
            rows.append(row)
            numbers.append(number)
        columns = {}
        for column_name in dict.fromkeys(key for row in rows for key in row):
            values = [row.get(column_name) for row in rows]
            wanted = (self.info.features or {}).get(column_name)
            try:
                if isinstance(wanted, Json):
                    raise pa.ArrowInvalid("kept as JSON")
                columns[column_name] = pa.array(values)
            except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
                if self.options.on_mixed_types != "use_json":
                    kinds = sorted({type(value).__name__ for value in values if value is not None})
                    self._refuse(name, before() + numbers[_first_other(values)], column_name, kinds)
                self._mixed.add(column_name)
                columns[column_name] = pa.array([Json().encode_example(value) for value in values], pa.string())
        return pa.table(columns)

    @staticmethod
    def _refuse(name: str, line: int, column: str, kinds: list[str]) -> NoReturn:
        raise DatasetGenerationError(
            f"{name}, line {line}: column {column!r} holds values of several types: {', '.join(kinds)}"
        )


def _joint(first: pa.DataType, second: pa.DataType) -> pa.DataType:
    """Return a type for the values of both, as Arrow's reader finds one for all of a file."""
    try:
        return widen(first, second)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
        # what looks like a time in one part is text where other text is in another
        return widen(_textual(first), _textual(second))


def _textual(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_timestamp(kind):
        return pa.string()
    if pa.types.is_list(kind):
        return pa.list_(_textual(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([(field.name, _textual(field.type)) for field in kind])
    return kind


def _first_other(values: list[Any]) -> int:
    """Return the place of the first value of another type than the one before it."""
    known = [(place, type(value)) for place, value in enumerate(values) if value is not None]
    return next((place for place, kind in known if kind is not known[0][1]), 0)
