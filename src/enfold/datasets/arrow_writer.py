"""Writing rows, columns or tables to an Arrow or Parquet file, one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

from .errors import DatasetsError
from .features.features import Features, from_arrow
from .features.storage import encode, needs_encoding, to_arrow
from .fingerprint import generate_random_fingerprint
from .reading import columns_to_table, rows_to_table
from .results import SMALL, shrink
from .source import cast_table
from .values import to_arrow_array
from .writer import TableWriter

__all__ = ["ArrowWriter", "OptimizedTypedSequence", "ParquetWriter", "SchemaInferenceError", "TypedSequence"]


class SchemaInferenceError(DatasetsError, ValueError):
    """Neither features nor a row said what the columns are."""


class TypedSequence:
    """Values that become an Arrow array of one type.

    Args:
        data: the values.
        type: the feature; another one than that of the values is an error.
        try_type: the feature, where the values fit it.
        optimized_int_type: the Arrow type for integers, where nothing else is said.

    Example:
        >>> pa.array(TypedSequence([1, 2], try_type=None)).type
        DataType(int64)
    """

    def __init__(self, data: Iterable[Any], type: Any = None, try_type: Any = None, optimized_int_type: Any = None):
        if type is not None and try_type is not None:
            raise ValueError("give type or try_type, not both")
        self.data = data
        self.type, self.try_type, self.optimized_int_type = type, try_type, optimized_int_type

    def get_inferred_type(self) -> Any:
        """Return the feature of the array."""
        wanted = self.type if self.type is not None else self.try_type
        made = self.__arrow_array__()
        return wanted if wanted is not None and made.type == to_arrow(wanted) else from_arrow(made.type)

    def __arrow_array__(self, type: pa.DataType | None = None) -> pa.Array:
        if type is not None:
            raise ValueError("the type is that of the sequence")
        wanted = self.type if self.type is not None else self.try_type
        values = self.data if isinstance(self.data, (pa.Array, pa.ChunkedArray)) else list(self.data)
        if wanted is not None:
            try:
                rows = [encode(wanted, value) for value in values] if needs_encoding(wanted) else values
                return _single(to_arrow_array(rows, to_arrow(wanted)))
            except (pa.ArrowInvalid, pa.ArrowTypeError, TypeError, ValueError):
                if self.type is not None:
                    raise
        made = _single(to_arrow_array(values))
        small = self.optimized_int_type
        return made if small is None else shrink(made, small if isinstance(small, pa.DataType) else to_arrow(small))


class OptimizedTypedSequence(TypedSequence):
    """Values that become an Arrow array; the columns of tokenizers are stored in few bytes.

    Args:
        data, type, try_type: those of :class:`TypedSequence`.
        col: the column's name.
    """

    def __init__(self, data: Iterable[Any], type: Any = None, try_type: Any = None, col: str | None = None) -> None:
        small = SMALL.get(col or "") if type is None and try_type is None else None
        super().__init__(data, type, try_type, small)


def _single(array: Any) -> pa.Array:
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


class ArrowWriter:
    """Writes rows to an Arrow stream, in batches.

    Args:
        schema: the columns and types; taken from ``features`` or from the first rows where None.
        features: the columns' kinds.
        path: the file, which appears under its name when :meth:`finalize` is called.
        stream: an open file, in place of ``path``.
        fingerprint: what the metadata says that the rows are.
        writer_batch_size: rows that are collected before they are written; 1,000 where None.
        update_features: take wider types where later rows need them.
        with_metadata: write the features into the file's metadata.
        hash_salt, check_duplicates, disable_nullable, unit, embed_local_files, on_mixed_types, storage_options:
            accepted for compatibility.

    Raises:
        ValueError: neither ``path`` nor ``stream``.

    Example:
        >>> sink = pa.BufferOutputStream()
        >>> with ArrowWriter(stream=sink) as writer:
        ...     writer.write({"n": 1})
        ...     writer.write({"n": 2})
        ...     writer.finalize()[0]
        2
    """

    def __init__(
        self,
        schema: pa.Schema | None = None,
        features: Features | None = None,
        path: str | None = None,
        stream: Any = None,
        fingerprint: str | None = None,
        writer_batch_size: int | None = None,
        hash_salt: str | None = None,
        check_duplicates: bool | None = False,
        disable_nullable: bool = False,
        update_features: bool = False,
        with_metadata: bool = True,
        unit: str = "examples",
        embed_local_files: bool = False,
        on_mixed_types: Any = None,
        storage_options: dict[str, Any] | None = None,
    ) -> None:
        if path is None and stream is None:
            raise ValueError("give the path of a file, or an open stream")
        known = schema if schema is not None else features.arrow_schema if features is not None else None
        self._features = features if features is not None else Features.from_arrow_schema(schema) if schema else None
        self._widens = update_features
        self._metadata = with_metadata
        self._fingerprint = fingerprint or generate_random_fingerprint()
        self._batch = writer_batch_size or 1000
        self._path, self._stream = path, stream
        # a file is written as it comes; a stream cannot be written again where a type becomes wider
        self._writer = TableWriter(path if self._makes_files() else None, None if update_features else known)
        self._rows: list[Mapping[str, Any]] = []

    def _makes_files(self) -> bool:
        return self._stream is None

    def __enter__(self) -> ArrowWriter:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()

    @property
    def schema(self) -> pa.Schema | None:
        """The columns as far as they are known, with the features in the metadata."""
        if self._writer.schema is None:
            return None
        return self._described().arrow_schema

    _schema = schema

    @property
    def features(self) -> Features | None:
        """The columns' kinds as far as they are known."""
        return None if self._writer.schema is None and self._features is None else self._described()

    def _described(self) -> Features:
        if self._features is not None and not self._widens:
            return self._features
        assert self._writer.schema is not None
        return Features.from_arrow_schema(self._writer.schema)

    def write(self, example: Mapping[str, Any], key: Any = None, writer_batch_size: int | None = None) -> None:
        """Add a row, a dict."""
        self._rows.append(example)
        if len(self._rows) >= (writer_batch_size or self._batch):
            self.write_examples_on_file()

    def write_examples_on_file(self) -> None:
        """Write the rows that were collected."""
        rows, self._rows = self._rows, []
        if rows:
            self._put(rows_to_table(rows, self._features))

    write_rows_on_file = write_examples_on_file

    def write_row(self, row: pa.Table, writer_batch_size: int | None = None) -> None:
        """Add a row, an Arrow table of one."""
        if len(row) != 1:
            raise ValueError(f"write_row takes a table of one row, not of {len(row)}: see write_table")
        self._put(row)

    def write_batch(self, batch_examples: Mapping[str, Any], writer_batch_size: int | None = None) -> None:
        """Add rows, a dict of columns."""
        self.write_examples_on_file()
        columns = {
            name: list(values) if isinstance(values, tuple) else values for name, values in batch_examples.items()
        }
        if any(len(values) for values in columns.values()):
            self._put(columns_to_table(columns, self._features))

    def write_table(self, pa_table: Any, writer_batch_size: int | None = None) -> None:
        """Add rows, an Arrow table."""
        self.write_examples_on_file()
        self._put(pa.table(pa_table))

    def _put(self, table: pa.Table) -> None:
        self._writer.write(table.replace_schema_metadata(None))

    def finalize(self, close_stream: bool = True) -> tuple[int, int]:
        """Write what is left, and return the number of rows and of bytes.

        Raises:
            SchemaInferenceError: there was no row, and nothing said what the columns are.
        """
        self.write_examples_on_file()
        if self._writer.schema is None:
            if self._features is None:
                raise SchemaInferenceError("there was no row to tell the columns by: pass features or schema")
            self._put(self._features.arrow_schema.empty_table())
        self._end(close_stream)
        return self._writer.num_rows, self._writer.num_bytes

    def _end(self, close_stream: bool) -> None:
        source = self._writer.finish()
        if self._stream is None:
            return
        table = cast_table(source.table, self._described().arrow_schema)
        self._into(self._stream, table if self._metadata else table.replace_schema_metadata(None))
        if close_stream and hasattr(self._stream, "close"):
            self._stream.close()

    def _into(self, stream: Any, table: pa.Table) -> None:
        with pa.ipc.new_stream(stream, table.schema) as writer:
            writer.write_table(table)

    def close(self) -> None:
        """Leave off; a file that was not finished is removed."""
        self._writer.close()


class ParquetWriter(ArrowWriter):
    """Writes rows to a Parquet file; the arguments are those of :class:`ArrowWriter`."""

    def _makes_files(self) -> bool:
        return False

    def _end(self, close_stream: bool) -> None:
        if self._stream is not None:
            super()._end(close_stream)
            return
        assert self._path is not None
        from .targets import target_file

        table = cast_table(self._writer.finish().table, self._described().arrow_schema)
        with target_file(self._path, None) as file:
            self._into(file, table)

    def _into(self, stream: Any, table: pa.Table) -> None:
        import pyarrow.parquet as pq

        pq.write_table(table, stream)
