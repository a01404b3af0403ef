"""Data files as shards: each kind has a file, this one says which is which."""

from __future__ import annotations

from functools import partial
from typing import Any

from ..builders.archives import extract, is_archive
from ..builders.base import BUILDERS, DatasetBuilder
from ..data_files import DataFile
from .columnar import ArrowShard, ParquetShard
from .file_shards import BuilderShard
from .lines import CsvShard, JsonShard, TextShard
from .opening import members
from .shards import Shard

__all__ = ["file_shards"]


def file_shards(builder: DatasetBuilder, files: list[DataFile], token: str | bool | None) -> list[Shard]:
    """Return the shards of a split's files."""
    kinds: dict[str, Any] = {
        "parquet": ParquetShard, "arrow": ArrowShard, "csv": CsvShard, "json": JsonShard, "text": TextShard,
    }  # fmt: skip
    kind = kinds.get(builder.name)
    if kind is None:
        # of a folder with metadata, the metadata files have the rows; the others are found from there
        named = getattr(builder, "_names", ()) if getattr(builder, "_described", False) else ()
        chosen = [file for file in files if not named or file.name.rsplit("/", 1)[-1] in named or is_archive(file.name)]
        return [BuilderShard(builder, file, token) for file in chosen]
    return [kind(builder, inside, token) for file in files for inside in _inside(builder, file, token)]


def _inside(builder: DatasetBuilder, file: DataFile, token: str | bool | None) -> list[DataFile]:
    """Return the files of an archive that the builder reads; a file that is none stands for itself."""
    if not is_archive(file.name) or "::" in file.name:
        return [file]
    if file.name.lower().endswith(".zip"):
        found: list[DataFile] = [*members(file, token)]
    else:  # the members of other archives cannot be told without reading all of it
        found = [DataFile(path, path, partial(str, path)) for path in extract(file.fetch())]
    endings = tuple(BUILDERS.get(builder.name, ()))
    return [item for item in found if item.name.lower().endswith(endings)] or found
