"""CSV, read by Arrow's parser with the ecosystem's rules for missing values, guessed types and columns' names."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from enfold.log import get_logger

from ..column import unknown_column
from ..errors import DatasetGenerationError
from ..features.types import Value
from .base import DatasetBuilder, StartAgain
from .csv_options import CsvOptions
from .opened import read_bytes

__all__ = ["Builder"]

logger = get_logger(__name__)

# Python's reader refuses values of more than 128 KB unless it is told otherwise, for the whole process.
csv.field_size_limit(max(csv.field_size_limit(), 1 << 30))

# What pandas reads as missing unless told otherwise.
_MISSING = [
    *("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A"),
    *("NA", "NULL", "NaN", "None", "n/a", "nan", "null"),
]
_BLOCK = 1 << 20
# Bytes of a large file that are parsed and written at a time: of a block where there is one thread, and of many.
_PART, _WIDE_PART = 8 << 20, 64 << 20


class Builder(DatasetBuilder):
    """Reads CSV files."""

    name = "csv"

    class Options(CsvOptions):
        """What can be said about CSV files; names and meanings are those of ``pandas.read_csv``."""

    # ---- reading

    def tables(self, path: str, name: str) -> Iterator[pa.Table]:
        data = read_bytes(path)
        encoding = (self.options.encoding or "utf-8").lower()
        if encoding not in ("utf-8", "utf8") or self.options.encoding_errors not in (None, "strict"):
            text = data.to_pybytes().decode(encoding, self.options.encoding_errors or "strict")
            data = pa.py_buffer(text.encode())
        if bytes(memoryview(data)[:3]) == b"\xef\xbb\xbf":
            data = data.slice(3)
        if self._needs_rewriting():
            data = self._rewritten(data)
        names, skip = self._names(data, name)
        if names is None:
            return
        if self._ends_after_a_quote(data):
            self._check_quotes(data, name)
        size = _PART if pa.cpu_count() == 1 else _WIDE_PART
        if self.may_start_again and len(memoryview(data)) >= 2 * size and self._is_plain():
            yield from self._in_parts(data, names, skip, size)
            return
        table = self._read(data, names, skip, name)
        yield self._finish(table, names, self._converted(data, names, skip))

    @property
    def _separator(self) -> str:
        return self.options.delimiter or self.options.sep

    def _reader(self, lines: Any, strict: bool = False) -> Any:
        quoting = csv.QUOTE_NONE if not self.options.quotechar else self.options.quoting
        return csv.reader(
            lines,
            delimiter=self._separator,
            quotechar=self.options.quotechar or None,
            quoting=quoting,  # type: ignore[arg-type]
            escapechar=self.options.escapechar,
            doublequote=self.options.doublequote,
            skipinitialspace=self.options.skipinitialspace,
            strict=strict,
        )

    def _names(self, data: pa.Buffer, name: str) -> tuple[list[str] | None, int]:
        """Return the columns' names and how many lines stand before the first row; None for an empty file."""
        skip = self.options.skiprows if isinstance(self.options.skiprows, int) else 0
        given = self.options.names or self.options.column_names
        header = self.options.header
        if header == "infer":
            header = None if given else 0
        head = memoryview(data)[:_BLOCK]
        lines = io.TextIOWrapper(io.BytesIO(head), "utf-8", errors="replace", newline="")
        for _ in range(skip):
            lines.readline()
        reader = self._reader(lines)
        several = list(header) if isinstance(header, (list, tuple)) else None
        wanted = 0 if header is None else max(several) if several else int(header)
        seen, heads = 0, []
        for row in reader:
            if not row and self.options.skip_blank_lines:
                continue
            if several and seen in several:
                heads.append(row)
            if seen == wanted:
                if header is None:
                    prefix = self.options.prefix or ""
                    return (list(given) if given else [f"{prefix}{i}" for i in range(len(row))]), skip
                if several:  # the names on several lines are one, as pandas shows it
                    row = [str(parts) for parts in zip(*heads, strict=False)]
                return (list(given) if given else _distinct(row)), skip + reader.line_num
            seen += 1
        if header is None and given:
            return list(given), skip
        return None, 0

    def _ends_after_a_quote(self, data: pa.Buffer) -> bool:
        """Return whether the last quote of a file stands where one opens a value."""
        quote, separator = (self.options.quotechar or "").encode(), self._separator.encode()
        if not quote or self.options.quoting == csv.QUOTE_NONE or self.options.escapechar:
            return False
        view = memoryview(data)
        for stop in range(len(view), 0, -_BLOCK):
            at = view[max(stop - _BLOCK, 0) : stop].tobytes().rfind(quote)
            if at >= 0:
                at += max(stop - _BLOCK, 0)
                return view[at - 1 : at].tobytes() in (separator, b"\n", b"\r") if at else True
        return False

    def _check_quotes(self, data: pa.Buffer, name: str) -> None:
        """Look for a quoted value that never ends: Arrow's parser takes the rest of the file for it.

        Raises:
            DatasetGenerationError: there is one.
        """
        lines = io.TextIOWrapper(io.BytesIO(memoryview(data)), "utf-8", "replace", newline="")
        reader, line = self._reader(lines, strict=True), 1
        try:
            for _ in reader:
                line = reader.line_num + 1
        except csv.Error as error:
            if "end of data" not in str(error):
                return  # another liberty, which Arrow's parser takes as pandas does
            raise DatasetGenerationError(
                f"{name}, line {line}: a value begins with {self.options.quotechar!r} and has no end; "
                "pass quoting=csv.QUOTE_NONE where quotes are part of the values"
            ) from error

    # ---- large files, a part at a time

    def _is_plain(self) -> bool:
        """Return whether a row says all about itself, whatever rows there are before and behind it."""
        options = self.options
        counted = options.nrows is not None or options.skipfooter
        return not (counted or options.converters or options.thousands or options.escapechar)

    def _in_parts(self, data: pa.Buffer, names: list[str], skip: int, size: int) -> Iterator[pa.Table]:
        """Yield the rows of parts of a file that are cut at line ends, with the types of the first part.

        Raises:
            StartAgain: a row goes on over a line end where the file was cut, or a part has other types, or is wrong:
                the file must be read as a whole.
        """
        view, start, near, schema, wide = memoryview(data), 0, -1, None, pa.cpu_count() > 1
        types = self._types(names)
        while start < len(view):
            stop = min(start + size, len(view))
            if stop < len(view):
                near = max(start, stop - _BLOCK // 16)
                stop = near + view[near:stop].tobytes().rfind(b"\n") + 1
            part = data.slice(start, stop - start)
            try:
                if stop in (start, near):
                    raise pa.ArrowInvalid("no line ends near the cut")
                table = self._parse(
                    part, names, skip, types, wide and self._holds_quotes(part), _BLOCK if wide else size
                )
                if schema is None:
                    dates = [f.name for f in table.schema if pa.types.is_temporal(f.type) and f.name not in types]
                    if dates:
                        types = {**types, **dict.fromkeys(dates, pa.string())}
                        continue
                    schema = table.schema
                    types = {**types, **{f.name: f.type for f in schema if not pa.types.is_null(f.type)}}
                if table.schema != schema or any(pa.types.is_binary(kind) for kind in schema.types) or _cut_off(table):
                    raise pa.ArrowInvalid("the part differs from those before")
            except pa.ArrowInvalid as error:
                raise StartAgain from error
            yield self._finish(table, names, {})
            start, skip = stop, 0

    def _read(self, data: pa.Buffer, names: list[str], skip: int, name: str) -> pa.Table:
        types = self._types(names)
        threads = pa.cpu_count() > 1
        # Cutting the file with an eye on quotes costs a quarter more. One thread needs it only where it fails without,
        # because it goes on from where the last row ended; several threads begin at every cut.
        lines_in_values = threads and bool(self.options.quotechar) and self._holds_quotes(data)
        for attempt in range(4 + len(names)):
            try:
                table = self._parse(data, names, skip, types, lines_in_values)
            except pa.ArrowInvalid as error:
                text = str(error)
                if not lines_in_values and self.options.quotechar:
                    lines_in_values = True
                    continue
                if "Expected" in text and "columns" in text and attempt < 3:
                    data, skip = self._evened(data, names, skip, name), 0
                    continue
                if whole := self._whole_numbers(text, names, types):
                    types = {**types, whole: pa.float64()}
                    continue
                raise DatasetGenerationError(self._where(data, names, skip, types, name, text)) from error
            binary = [f.name for f in table.schema if pa.types.is_binary(f.type) and f.name not in types]
            if binary:  # what Arrow makes of bytes that are no text
                raise DatasetGenerationError(self._not_text(data, name))
            # dates and times stay text unless they were asked for
            dates = [f.name for f in table.schema if pa.types.is_temporal(f.type) and f.name not in types]
            if not dates:
                return table
            types = {**types, **dict.fromkeys(dates, pa.string())}
        raise DatasetGenerationError(f"{name}: the file cannot be read as CSV")

    def _whole_numbers(self, text: str, names: list[str], types: dict[str, pa.DataType]) -> str | None:
        """Return the column that Arrow's error names, where its features want integers: ``1.0`` can become one."""
        found = re.search(r"CSV column #(\d+): .*conversion error to \w+: invalid value '([-+\d.eE]+)'", text)
        if found is None or int(found[1]) >= len(names):
            return None
        name = names[int(found[1])]
        if name not in (self.info.features or {}) or not pa.types.is_integer(types.get(name, pa.null())):
            return None
        try:
            return name if float(found[2]).is_integer() else None
        except ValueError:
            return None

    def _holds_quotes(self, data: pa.Buffer) -> bool:
        view, quote = memoryview(data), (self.options.quotechar or "").encode()
        return any(quote in view[start : start + _BLOCK].tobytes() for start in range(0, len(view), _BLOCK))

    def _parse(
        self,
        data: pa.Buffer,
        names: list[str],
        skip: int,
        types: dict[str, pa.DataType],
        lines_in_values: bool,
        block: int = _BLOCK,
    ) -> pa.Table:
        import pyarrow.csv as pacsv

        missing = (_MISSING if self.options.keep_default_na else []) + _texts(self.options.na_values)
        return pacsv.read_csv(
            pa.BufferReader(data),
            read_options=pacsv.ReadOptions(
                column_names=names, skip_rows=skip, block_size=block, use_threads=pa.cpu_count() > 1
            ),
            parse_options=self._dialect(names, lines_in_values),
            convert_options=pacsv.ConvertOptions(
                decimal_point=self.options.decimal,
                column_types=types,
                null_values=missing if self.options.na_filter else [],
                strings_can_be_null=self.options.na_filter,
                true_values=["True", "TRUE", "true", *(self.options.true_values or [])],
                false_values=["False", "FALSE", "false", *(self.options.false_values or [])],
            ),
        )

    def _dialect(self, names: list[str], lines_in_values: bool) -> Any:
        import pyarrow.csv as pacsv

        quote = self.options.quotechar if self.options.quotechar and self.options.quoting != csv.QUOTE_NONE else None
        return pacsv.ParseOptions(
            delimiter=self._separator,
            quote_char=quote if quote is not None else False,
            double_quote=self.options.doublequote,
            escape_char=self.options.escapechar or False,
            newlines_in_values=lines_in_values and quote is not None,
            ignore_empty_lines=self.options.skip_blank_lines,
        )

    def _types(self, names: list[str]) -> dict[str, pa.DataType]:
        """The types that are not guessed: those of given features, and of ``dtype``."""
        from ..features.types import dtype_to_arrow

        # numbers with marks between their digits are text until the marks are gone
        out: dict[str, pa.DataType] = dict.fromkeys(names, pa.string()) if self.options.thousands else {}
        dtype = self.options.dtype
        if dtype is not None:
            each = dtype if isinstance(dtype, dict) else dict.fromkeys(names, dtype)
            for column, kind in each.items():
                text = kind.__name__ if isinstance(kind, type) else str(kind)
                out[column] = dtype_to_arrow({"int": "int64", "float": "float64", "object": "string"}.get(text, text))
        for column, feature in (self.info.features or {}).items():
            if isinstance(feature, Value) and not pa.types.is_null(feature()) and column not in out:
                out[column] = pa.float64() if pa.types.is_float16(feature()) else feature()
        return out

    def _named(self, columns: Any, names: list[str]) -> list[str]:
        """Return the names of columns that are given by name or number.

        Raises:
            ColumnNotFoundError: there is no such column.
        """
        found = []
        for item in [columns] if isinstance(columns, (str, int)) else columns:
            name = names[item] if isinstance(item, int) and -len(names) <= item < len(names) else item
            if name not in names:
                raise unknown_column(item, names)
            found.append(name)
        return found

    def _converted(self, data: pa.Buffer, names: list[str], skip: int) -> dict[str, pa.Array]:
        """Return the columns that have a converter: what it makes of every text."""
        changes = self.options.converters or {}
        given = dict(zip(self._named(changes, names), changes.values(), strict=True))
        if not given:
            return {}
        import pyarrow.csv as pacsv

        table = pacsv.read_csv(
            pa.BufferReader(data),
            read_options=pacsv.ReadOptions(column_names=names, skip_rows=skip, block_size=_BLOCK),
            parse_options=self._dialect(names, bool(self.options.quotechar)),
            convert_options=pacsv.ConvertOptions(
                include_columns=list(given), column_types=dict.fromkeys(given, pa.string()), strings_can_be_null=False
            ),
        )
        return {name: pa.array([change(text) for text in table[name].to_pylist()]) for name, change in given.items()}

    def _ungrouped(self, column: pa.ChunkedArray) -> pa.ChunkedArray:
        """Return a column of texts as numbers or truth values, where all of them are some."""
        import pyarrow.compute as pc

        group, point = re.escape(self.options.thousands or ""), re.escape(self.options.decimal)
        number = rf"^[+-]?[\d{group}]*\d[\d{group}]*({point}\d*)?([eE][+-]?\d+)?$"
        if pc.all(pc.match_substring_regex(column, number)).as_py():
            plain = pc.replace_substring(column, self.options.thousands, "")
            plain = pc.replace_substring(plain, self.options.decimal, ".")
            try:
                return plain.cast(pa.int64())
            except pa.ArrowInvalid:
                return plain.cast(pa.float64())
        truth = ["True", "TRUE", "true", *(self.options.true_values or [])]
        lies = ["False", "FALSE", "false", *(self.options.false_values or [])]
        known = pc.is_in(column, pa.array(truth + lies))
        if pc.all(pc.or_(known, pc.is_null(column))).as_py() and column.null_count < len(column):
            return pc.if_else(pc.is_null(column), None, pc.is_in(column, pa.array(truth)))
        return column

    def _finish(self, table: pa.Table, names: list[str], converted: dict[str, pa.Array]) -> pa.Table:
        import pyarrow.compute as pc

        columns, fields = [], []
        for field, column in zip(table.schema, table.columns, strict=False):
            if field.name in converted:
                column = pa.chunked_array([converted[field.name]])
            elif self.options.thousands and pa.types.is_string(column.type):
                column = self._ungrouped(column)
            kind = column.type
            known = self.info.features is not None and field.name in self.info.features
            if not known and pa.types.is_null(kind):
                column, kind = column.cast(pa.float64()), pa.float64()
            elif not known and pa.types.is_integer(kind) and column.null_count:
                column, kind = pc.cast(column, pa.float64(), safe=False), pa.float64()
            columns.append(column)
            fields.append((field.name, kind))
        table = pa.table(columns, schema=pa.schema(fields))
        chosen = self.options.usecols
        if chosen is not None:
            wanted = self._named(chosen, names)
            table = table.select([item for item in names if item in wanted])
        if self.options.index_col is not None and self.options.index_col is not False:
            table = table.drop_columns(self._named(self.options.index_col, names))
        if self.options.skipfooter:
            table = table.slice(0, max(table.num_rows - self.options.skipfooter, 0))
        return table if self.options.nrows is None else table.slice(0, self.options.nrows)

    # ---- files that Arrow's parser does not take as they are

    def _needs_rewriting(self) -> bool:
        options = self.options
        odd = options.comment or options.skipinitialspace or options.lineterminator not in (None, "\n", "\r\n", "\r")
        return bool(odd or not isinstance(options.skiprows, (int, type(None))))

    def _rewritten(self, data: pa.Buffer) -> pa.Buffer:
        comment, end, skipped = self.options.comment, self.options.lineterminator, self.options.skiprows
        lines: Any = io.TextIOWrapper(io.BytesIO(memoryview(data)), "utf-8", newline="")
        if end not in (None, "\n", "\r\n", "\r"):
            lines = (line + "\n" for line in lines.read().split(end))
        if not isinstance(skipped, (int, type(None))):
            leaves = skipped if callable(skipped) else set(skipped).__contains__
            lines = (line for number, line in enumerate(lines) if not leaves(number))
        plain = (line for line in lines if not comment or not line.startswith(comment))
        out = io.StringIO(newline="")
        writer = csv.writer(
            out, delimiter=self._separator, quotechar=self.options.quotechar or '"', lineterminator="\n"
        )
        writer.writerows(row for row in self._reader(plain) if row)
        return pa.py_buffer(out.getvalue().encode())

    def _evened(self, data: pa.Buffer, names: list[str], skip: int, name: str) -> pa.Buffer:
        """Return the rows with missing values at their ends filled in.

        Raises:
            DatasetGenerationError: a row has more values than there are columns, and ``on_bad_lines`` is an error.
        """
        lines = io.TextIOWrapper(io.BytesIO(memoryview(data)), "utf-8", newline="")
        for _ in range(skip):
            lines.readline()
        out = io.StringIO(newline="")
        writer = csv.writer(
            out,
            delimiter=self._separator,
            quotechar=self.options.quotechar or '"',
            escapechar=self.options.escapechar,
            lineterminator="\n",
        )
        reader = self._reader(lines)
        while True:
            first = skip + reader.line_num + 1
            row = next(reader, None)
            if row is None:
                break
            if not row:
                continue
            if len(row) > len(names):
                message = f"{name}, line {first}: {len(row)} values for {len(names)} columns ({', '.join(names)})"
                if self.options.on_bad_lines == "error":
                    raise DatasetGenerationError(message)
                if self.options.on_bad_lines == "warn":
                    logger.warning("Skipping a row: %s", message)
                continue
            writer.writerow(row + [""] * (len(names) - len(row)))
        return pa.py_buffer(out.getvalue().encode())

    def _where(
        self, data: pa.Buffer, names: list[str], skip: int, types: dict[str, pa.DataType], name: str, text: str
    ) -> str:
        """Return a message that names the first line whose value does not fit its column's type."""
        from ..values import to_arrow_array

        lines = io.TextIOWrapper(io.BytesIO(memoryview(data)), "utf-8", newline="")
        try:
            for _ in range(skip):
                lines.readline()
            reader = self._reader(lines)
            missing = set(_MISSING)
            for row in reader:
                for column, value in zip(names, row, strict=False):
                    if column not in types or value in missing:
                        continue
                    try:
                        to_arrow_array(pa.array([value.strip()]), types[column])
                    except pa.ArrowInvalid:
                        line = skip + reader.line_num
                        return f"{name}, line {line}, column {column!r}: {value!r} is no {types[column]}"
        except UnicodeDecodeError:
            return self._not_text(data, name)
        except csv.Error as error:
            return f"{name}: {error}"
        return f"{name}: {text}"

    @staticmethod
    def _not_text(data: pa.Buffer, name: str) -> str:
        raw = data.to_pybytes()
        try:
            raw.decode()
        except UnicodeDecodeError as error:
            line = raw.count(b"\n", 0, error.start) + 1
            return f"{name}, line {line}: not UTF-8 text ({error}); pass encoding="
        return f"{name}: not UTF-8 text; pass encoding="


def _cut_off(table: pa.Table) -> bool:
    """Return whether a table's last value may go on behind the cut: an open quote has taken the line end in."""
    if not table.num_rows:
        return False
    last = table.column(-1)
    text = last.type in (pa.string(), pa.large_string(), pa.string_view())
    return text and str(last[-1].as_py()).endswith(("\n", "\r"))


def _texts(values: Any) -> list[str]:
    if values is None:
        return []
    if isinstance(values, dict):
        return [str(item) for items in values.values() for item in (items if isinstance(items, list) else [items])]
    return [str(values)] if isinstance(values, (str, int, float)) else [str(value) for value in values]


def _distinct(row: list[str]) -> list[str]:
    """Names as pandas makes them: an empty one is ``Unnamed: n``, one that stood before gets ``.1``, ``.2``, …"""
    names: list[str] = []
    counts: dict[str, int] = {}
    for number, name in enumerate(row):
        name = name if name != "" else f"Unnamed: {number}"
        fresh = name
        while fresh in names:
            counts[name] = counts.get(name, 0) + 1
            fresh = f"{name}.{counts[name]}"
        names.append(fresh)
    return names
