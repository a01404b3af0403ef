"""Parquet: the files are the table; nothing is copied."""

from __future__ import annotations

import dataclasses
from typing import Any

import pyarrow as pa

from ..column import unknown_column
from ..errors import DatasetGenerationError
from ..source import ParquetSource, Source, TableSource
from .base import DatasetBuilder

__all__ = ["Builder"]


class Builder(DatasetBuilder):
    """Reads Parquet files in place."""

    name = "parquet"
    in_place = True

    @dataclasses.dataclass
    class Options:
        """What can be said about Parquet files.

        Args:
            columns: the columns to take; all where None.
            filters: only rows that fit: a ``pyarrow`` expression, or ``[("column", ">", value), …]``.
            batch_size: accepted for compatibility.
        """

        columns: list[str] | None = None
        filters: Any = None
        batch_size: int | None = None
        fragment_scan_options: Any = None
        on_bad_files: str = "error"

    def source(self, paths: list[str]) -> Source:
        import pyarrow.parquet as pq

        wanted = self.info.features
        schema = wanted.arrow_schema if wanted is not None else None
        for path in paths:
            try:
                found = pq.read_schema(path)
            except (pa.ArrowInvalid, OSError) as error:
                raise DatasetGenerationError(f"{path}: no Parquet file: {error}") from error
            if schema is None:
                schema = found
        assert schema is not None
        columns = self.options.columns
        if columns is not None:
            for name in columns:
                if name not in schema.names:
                    raise unknown_column(name, schema.names)
        if self.options.filters is not None:
            table = pa.concat_tables(
                [pq.read_table(path, columns=columns, filters=self.options.filters) for path in paths]
            )
            return TableSource(table)
        try:
            source: Source = ParquetSource(paths, schema)
        except pa.ArrowInvalid as error:
            raise DatasetGenerationError(f"{', '.join(paths)}: {error}") from error
        if columns is not None:
            source = source.project([(name, name) for name in columns])
            if wanted is not None:
                self.info.features = type(wanted)({name: wanted[name] for name in columns})
        return source
