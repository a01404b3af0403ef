"""Parquet: the files are the table; nothing is copied."""

from __future__ import annotations

import dataclasses
from typing import Any

import pyarrow as pa

from enfold.log import get_logger

from ..column import unknown_column
from ..errors import DatasetGenerationError
from ..features.features import storage_schema
from ..parquet_source import ParquetSource
from ..source import Source, TableSource
from .base import DatasetBuilder

__all__ = ["Builder"]

logger = get_logger(__name__)


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
            fragment_scan_options: a ``pyarrow.dataset.ParquetFragmentScanOptions``, for reading with ``filters``.
            on_bad_files: ``"error"``, or leave out a file that cannot be read with ``"warn"`` or silently ``"skip"``.
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
        action = self.options.on_bad_files
        if action not in ("error", "warn", "skip"):
            raise ValueError(f"on_bad_files must be 'error', 'warn' or 'skip', not {action!r}")
        usable = []
        for path in paths:
            try:
                found = pq.read_schema(path)
            except (pa.ArrowInvalid, OSError) as error:
                if action == "error" or isinstance(error, FileNotFoundError):
                    raise DatasetGenerationError(f"{path}: no Parquet file: {error}") from error
                if action == "warn":
                    logger.warning("Leaving out %s: %s", path, error)
                continue
            usable.append(path)
            if schema is None:
                schema = found
        if schema is None:
            raise DatasetGenerationError(f"none of the files can be read as Parquet: {', '.join(paths)}")
        paths = usable
        columns = self.options.columns
        if columns is not None:
            for name in columns:
                if name not in schema.names:
                    raise unknown_column(name, schema.names)
        if self.options.filters is not None:
            return TableSource(self._filtered(paths, columns, schema))
        try:
            source: Source = ParquetSource(paths, schema)
        except pa.ArrowInvalid as error:
            raise DatasetGenerationError(f"{', '.join(paths)}: {error}") from error
        if columns is not None:
            source = source.project([(name, name) for name in columns])
            if wanted is not None:
                self.info.features = type(wanted)({name: wanted[name] for name in columns})
        return source

    def _filtered(self, paths: list[str], columns: list[str] | None, schema: pa.Schema) -> pa.Table:
        import pyarrow.dataset as pads
        import pyarrow.parquet as pq

        filters = self.options.filters
        expression = pq.filters_to_expression(filters) if isinstance(filters, list) else filters
        kind = pads.ParquetFileFormat(default_fragment_scan_options=self.options.fragment_scan_options)
        found = pads.dataset(paths, schema=storage_schema(schema).remove_metadata(), format=kind)
        return found.to_table(columns=columns, filter=expression).replace_schema_metadata(schema.metadata)
