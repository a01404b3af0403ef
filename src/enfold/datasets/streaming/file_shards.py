"""A data file as a shard: what all kinds share, and the plainest, which the builder reads whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from ..builders.base import DatasetBuilder
from ..data_files import DataFile
from ..features.features import Features, storage_schema
from ..source import cast_table
from .pieces import Piece
from .shards import Shard

__all__ = ["BuilderShard", "FileShard"]


class FileShard(Shard):
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


class BuilderShard(FileShard):
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
