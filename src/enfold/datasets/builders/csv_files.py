"""CSV, read by Arrow's parser with the ecosystem's rules for missing values, guessed types and columns' names."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from enfold.log import get_logger

from ..column import unknown_column
from ..errors import DatasetGenerationError
from ..features.types import Value
from .base import DatasetBuilder
from .opened import read_bytes

__all__ = ["Builder"]

logger = get_logger(__name__)

# What pandas reads as missing unless told otherwise.
_MISSING = [
    *("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A"),
    *("NA", "NULL", "NaN", "None", "n/a", "nan", "null"),
]
_BLOCK = 1 << 20


class Builder(DatasetBuilder):
    """Reads CSV files."""

    name = "csv"

    @dataclasses.dataclass
    class Options:
        """What can be said about CSV files; names and meanings are those of ``pandas.read_csv``.

        Args:
            sep, delimiter: what stands between values.
            header: the line with the names (counted after ``skiprows``); None where there is none.
            names, column_names: the columns' names.
            usecols: the columns to take, by name or number.
            skiprows: lines to leave out at the beginning.
            nrows: rows to read.
            quotechar, escapechar, doublequote, quoting: how values are quoted.
            encoding, encoding_errors: how the text is coded.
            na_values: more spellings of a missing value.
            keep_default_na: take the usual spellings (``""``, ``NA``, ``null``, …) as missing.
            dtype: a dtype for every column, or by column.
            true_values, false_values: more spellings of truth values.
            skipinitialspace: leave out spaces behind a separator.
            skip_blank_lines: leave out empty lines.
            comment: the character with which the rest of a line is no data.
            on_bad_lines: ``"error"``, ``"warn"`` or ``"skip"``, for rows with too many values.
            decimal: the character before a number's fraction.
            skipfooter: rows to leave out at the end.
            engine, memory_map, float_precision, verbose, mangle_dupe_cols, chunksize: accepted for compatibility.
        """

        sep: str = ","
        delimiter: str | None = None
        header: int | str | None = "infer"
        names: list[str] | None = None
        column_names: list[str] | None = None
        usecols: list[Any] | None = None
        skiprows: int | None = None
        nrows: int | None = None
        quotechar: str | None = '"'
        quoting: int = csv.QUOTE_MINIMAL
        escapechar: str | None = None
        doublequote: bool = True
        encoding: str | None = None
        encoding_errors: str | None = "strict"
        na_values: Any = None
        keep_default_na: bool = True
        na_filter: bool = True
        dtype: Any = None
        true_values: list[str] | None = None
        false_values: list[str] | None = None
        skipinitialspace: bool = False
        skip_blank_lines: bool = True
        comment: str | None = None
        on_bad_lines: str = "error"
        low_memory: bool = True
        decimal: str = "."
        skipfooter: int = 0
        engine: str | None = None
        memory_map: bool = False
        float_precision: str | None = None
        verbose: bool = False
        mangle_dupe_cols: bool = True
        chunksize: int = 10_000

    # ---- reading

    def tables(self, path: str, name: str) -> Iterator[pa.Table]:
        data = read_bytes(path)
        encoding = (self.options.encoding or "utf-8").lower()
        if encoding not in ("utf-8", "utf8") or self.options.encoding_errors not in (None, "strict"):
            text = data.to_pybytes().decode(encoding, self.options.encoding_errors or "strict")
            data = pa.py_buffer(text.encode())
        if bytes(memoryview(data)[:3]) == b"\xef\xbb\xbf":
            data = data.slice(3)
        if self.options.comment or self.options.skipinitialspace:
            data = self._rewritten(data, name)
        names, skip = self._names(data, name)
        if names is None:
            return
        table = self._read(data, names, skip, name)
        yield self._finish(table, names)

    @property
    def _separator(self) -> str:
        return self.options.delimiter or self.options.sep

    def _reader(self, lines: Any) -> Any:
        quoting = csv.QUOTE_NONE if not self.options.quotechar else self.options.quoting
        return csv.reader(
            lines,
            delimiter=self._separator,
            quotechar=self.options.quotechar or None,
            quoting=quoting,  # type: ignore[arg-type]
            escapechar=self.options.escapechar,
            doublequote=self.options.doublequote,
            skipinitialspace=self.options.skipinitialspace,
        )

    def _names(self, data: pa.Buffer, name: str) -> tuple[list[str] | None, int]:
        """Return the columns' names and how many lines stand before the first row; None for an empty file."""
        skip = self.options.skiprows or 0
        given = self.options.names or self.options.column_names
        header = self.options.header
        if header == "infer":
            header = None if given else 0
        head = memoryview(data)[:_BLOCK]
        lines = io.TextIOWrapper(io.BytesIO(head), "utf-8", errors="replace", newline="")
        for _ in range(skip):
            lines.readline()
        reader = self._reader(lines)
        wanted = 0 if header is None else int(header)
        seen = 0
        for row in reader:
            if not row and self.options.skip_blank_lines:
                continue
            if seen == wanted:
                if header is None:
                    return (list(given) if given else [str(i) for i in range(len(row))]), skip
                return (list(given) if given else _distinct(row)), skip + reader.line_num
            seen += 1
        if header is None and given:
            return list(given), skip
        return None, 0

    def _read(self, data: pa.Buffer, names: list[str], skip: int, name: str) -> pa.Table:
        types = self._types(names)
        threads = pa.cpu_count() > 1
        # Cutting the file with an eye on quotes costs a quarter more. One thread needs it only where it fails without,
        # because it goes on from where the last row ended; several threads begin at every cut.
        lines_in_values = threads and bool(self.options.quotechar) and self._holds_quotes(data)
        for attempt in range(4):
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

    def _holds_quotes(self, data: pa.Buffer) -> bool:
        view, quote = memoryview(data), (self.options.quotechar or "").encode()
        return any(quote in view[start : start + _BLOCK].tobytes() for start in range(0, len(view), _BLOCK))

    def _parse(
        self, data: pa.Buffer, names: list[str], skip: int, types: dict[str, pa.DataType], lines_in_values: bool
    ) -> pa.Table:
        import pyarrow.csv as pacsv

        quote = self.options.quotechar if self.options.quotechar and self.options.quoting != csv.QUOTE_NONE else None
        missing = (_MISSING if self.options.keep_default_na else []) + _texts(self.options.na_values)
        return pacsv.read_csv(
            pa.BufferReader(data),
            read_options=pacsv.ReadOptions(
                column_names=names, skip_rows=skip, block_size=_BLOCK, use_threads=pa.cpu_count() > 1
            ),
            parse_options=pacsv.ParseOptions(
                delimiter=self._separator,
                quote_char=quote if quote is not None else False,
                double_quote=self.options.doublequote,
                escape_char=self.options.escapechar or False,
                newlines_in_values=lines_in_values and quote is not None,
                ignore_empty_lines=(self.options.skip_blank_lines and len(names) > 1) or self.options.skip_blank_lines,
            ),
            convert_options=pacsv.ConvertOptions(
                decimal_point=self.options.decimal,
                column_types=types,
                null_values=missing if self.options.na_filter else [],
                strings_can_be_null=self.options.na_filter,
                true_values=["True", "TRUE", "true", *(self.options.true_values or [])],
                false_values=["False", "FALSE", "false", *(self.options.false_values or [])],
            ),
        )

    def _types(self, names: list[str]) -> dict[str, pa.DataType]:
        """The types that are not guessed: those of given features, and of ``dtype``."""
        from ..features.types import dtype_to_arrow

        out: dict[str, pa.DataType] = {}
        dtype = self.options.dtype
        if dtype is not None:
            each = dtype if isinstance(dtype, dict) else dict.fromkeys(names, dtype)
            for column, kind in each.items():
                text = kind.__name__ if isinstance(kind, type) else str(kind)
                out[column] = dtype_to_arrow({"int": "int64", "float": "float64", "object": "string"}.get(text, text))
        for column, feature in (self.info.features or {}).items():
            if isinstance(feature, Value) and not pa.types.is_null(feature()):
                out[column] = pa.float64() if pa.types.is_float16(feature()) else feature()
        return out

    def _finish(self, table: pa.Table, names: list[str]) -> pa.Table:
        import pyarrow.compute as pc

        columns, fields = [], []
        for field, column in zip(table.schema, table.columns, strict=False):
            kind = field.type
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
            wanted = [names[item] if isinstance(item, int) else item for item in chosen]
            for item in wanted:
                if item not in names:
                    raise unknown_column(item, names)
            table = table.select([item for item in names if item in wanted])
        if self.options.skipfooter:
            table = table.slice(0, max(table.num_rows - self.options.skipfooter, 0))
        return table if self.options.nrows is None else table.slice(0, self.options.nrows)

    # ---- files that Arrow's parser does not take as they are

    def _rewritten(self, data: pa.Buffer, name: str) -> pa.Buffer:
        comment = self.options.comment
        lines = io.TextIOWrapper(io.BytesIO(memoryview(data)), "utf-8", newline="")
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
