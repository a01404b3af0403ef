"""Frames that pandas wrote: Parquet and Feather are read; pickles are refused, as loading one runs its code."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator

import pyarrow as pa

from ..errors import DatasetGenerationError
from .base import DatasetBuilder

__all__ = ["Builder"]


class Builder(DatasetBuilder):
    """Reads frames in Parquet or Feather."""

    name = "pandas"

    @dataclasses.dataclass
    class Options:
        """Frames say everything themselves."""

    def tables(self, path: str, name: str) -> Iterator[pa.Table]:
        with open(path, "rb") as file:
            start = file.read(6)
        try:
            if start.startswith(b"PAR1"):
                import pyarrow.parquet as pq

                yield _plain(pq.read_table(path))
                return
            if start == b"ARROW1":
                from pyarrow import feather

                yield _plain(feather.read_table(path))
                return
        except (pa.ArrowInvalid, OSError) as error:
            raise DatasetGenerationError(f"{name}: it cannot be read: {error}") from error
        raise DatasetGenerationError(
            f"{name}: a pickled frame is not read, as loading it would run whatever code is in it. If you trust the "
            "file, use Dataset.from_pandas(pandas.read_pickle(path)); to share it, write it with to_parquet"
        )


def _plain(table: pa.Table) -> pa.Table:
    """Return a table without the index column that pandas stored only to count rows."""
    stored = (table.schema.metadata or {}).get(b"pandas")
    for index in json.loads(stored)["index_columns"] if stored else []:
        if isinstance(index, str) and index.startswith("__index_level_") and index in table.column_names:
            table = table.drop_columns([index])
    return table.replace_schema_metadata(None)
