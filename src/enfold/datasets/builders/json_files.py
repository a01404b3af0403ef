"""JSON Lines, and JSON files that hold an array of rows or hold it under a name."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from ..errors import DatasetGenerationError
from ..features.features import Features, from_arrow
from ..features.types import Json
from .base import DatasetBuilder
from .opened import read_bytes

__all__ = ["Builder"]

_BLOCK = 1 << 20


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

    def _inferred(self, schema: pa.Schema) -> Features:
        out = {field.name: Json() if field.name in self._mixed else from_arrow(field.type) for field in schema}
        return Features(out)

    def tables(self, path: str, name: str) -> Iterator[pa.Table]:
        data = read_bytes(path)
        plain = self.options.encoding.lower().replace("_", "-") in ("utf-8", "utf8")
        if not plain or self.options.encoding_errors not in (None, "strict"):
            text = data.to_pybytes().decode(self.options.encoding, self.options.encoding_errors or "strict")
            data = pa.py_buffer(text.encode())
        head = bytes(memoryview(data)[:64])
        if head.startswith(b"\xef\xbb\xbf"):
            data, head = data.slice(3), head[3:]
        if self.options.field is not None or head.lstrip()[:1] == b"[":
            rows = self._rows(data, name)
            lines = "\n".join([json.dumps(row, ensure_ascii=False) for row in rows])
            data = pa.py_buffer(lines.encode())
        if not bytes(memoryview(data)[:64]).strip() and not data.to_pybytes().strip():
            return
        yield self._parse(data, name)

    def _rows(self, data: pa.Buffer, name: str) -> list[Any]:
        try:
            loaded = json.loads(data.to_pybytes())
        except json.JSONDecodeError as error:
            raise DatasetGenerationError(f"{name}, line {error.lineno}: no JSON: {error.msg}") from error
        field = self.options.field
        if field is not None:
            if not isinstance(loaded, dict) or field not in loaded:
                from enfold.errors import nearest

                known = list(loaded) if isinstance(loaded, dict) else []
                raise DatasetGenerationError(
                    f"{name}: there is no field {field!r}{nearest(field, known)}; it has {known}"
                )
            loaded = loaded[field]
        if isinstance(loaded, dict):  # an object of columns
            return [dict(zip(loaded, values, strict=False)) for values in zip(*loaded.values(), strict=False)]
        return [row if isinstance(row, dict) else {"text": row} for row in loaded]

    def _parse(self, data: pa.Buffer, name: str) -> pa.Table:
        import pyarrow.json as paj

        size = _BLOCK
        total = memoryview(data).nbytes
        parse = paj.ParseOptions(explicit_schema=self._explicit(), unexpected_field_behavior="infer")
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
                return self._slowly(data, name, error)

    def _explicit(self) -> pa.Schema | None:
        """The columns that must not be guessed: those of known text and numbers."""
        features = self.info.features
        if features is None:
            return None
        from ..features.types import Value

        fields = [(name, feature()) for name, feature in features.items() if isinstance(feature, Value)]
        fields = [(name, kind) for name, kind in fields if pa.types.is_primitive(kind) or pa.types.is_string(kind)]
        return pa.schema(fields) if fields else None

    def _slowly(self, data: pa.Buffer, name: str, error: Exception) -> pa.Table:
        """Read row by row: to name the line that is wrong, or to keep mixed columns as JSON."""
        rows: list[Any] = []
        raw = data.to_pybytes()
        for number, line in enumerate(io.BytesIO(raw), 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as wrong:
                whole = self._whole(raw)
                if whole is not None:
                    rows = whole
                    break
                message = getattr(wrong, "msg", str(wrong))
                column = getattr(wrong, "colno", None)
                place = f"{name}, line {number}" + (f", column {column}" if column else "")
                raise DatasetGenerationError(f"{place}: no JSON: {message}") from error
            if not isinstance(row, dict):
                raise DatasetGenerationError(
                    f"{name}, line {number}: a row is an object, not {type(row).__name__}"
                ) from error
            rows.append(row)
        names = list(dict.fromkeys(key for row in rows for key in row))
        columns = {}
        for column_name in names:
            values = [row.get(column_name) for row in rows]
            wanted = (self.info.features or {}).get(column_name)
            try:
                if isinstance(wanted, Json):
                    raise pa.ArrowInvalid("kept as JSON")
                columns[column_name] = pa.array(values)
            except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as mixed:
                if self.options.on_mixed_types != "use_json":
                    kinds = sorted({type(value).__name__ for value in values if value is not None})
                    at = self._first_other(values)
                    raise DatasetGenerationError(
                        f"{name}, line {at}: column {column_name!r} holds values of several types: {', '.join(kinds)}"
                    ) from mixed
                self._mixed.add(column_name)
                feature = Json()
                columns[column_name] = pa.array([feature.encode_example(value) for value in values], pa.string())
        return pa.table(columns)

    @staticmethod
    def _whole(raw: bytes) -> list[Any] | None:
        """Return the rows of a file that is one object over several lines, or None."""
        try:
            loaded = json.loads(raw)
        except ValueError:
            return None
        return [loaded] if isinstance(loaded, dict) else None

    @staticmethod
    def _first_other(values: list[Any]) -> int:
        known = [(number, type(value)) for number, value in enumerate(values, 1) if value is not None]
        return next((number for number, kind in known if kind is not known[0][1]), 1)
