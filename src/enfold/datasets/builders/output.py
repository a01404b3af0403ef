"""Putting a dataset's splits into a folder that other programs read, here or behind an address."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ..source import cast_table
from ..targets import target_file

if TYPE_CHECKING:
    from .base import DatasetBuilder

__all__ = ["write_splits"]


def write_splits(
    builder: DatasetBuilder,
    folder: str,
    file_format: str,
    max_shard_size: str | int | None,
    storage_options: dict[str, Any] | None,
) -> None:
    """Write every split as ``NAME-SPLIT.parquet``, or as ``NAME-SPLIT-00000-of-00002.parquet`` and so on.

    Args:
        builder: the builder, which has its tables.
        folder: a folder, or the address of one that fsspec knows.
        file_format: ``"parquet"`` or ``"arrow"``.
        max_shard_size: bytes of a file at most; 500 MB where None.
        storage_options: arguments of the file system.
    """
    name, root = builder.info.dataset_name, folder.rstrip("/")
    sizes: Mapping[str, Any] = builder.info.splits or {}
    for split, dataset in builder.as_dataset().items():
        shards = dataset._shards(max_shard_size, None, "500MB")
        sizes[split].shard_lengths = [len(shard) for shard in shards] if len(shards) > 1 else None
        for number, shard in enumerate(shards):
            place = f"-{number:05d}-of-{len(shards):05d}" if len(shards) > 1 else ""
            with target_file(f"{root}/{name}-{split}{place}.{file_format}", storage_options) as file:
                if file_format == "parquet":
                    shard._write_parquet(file, embed_external_files=True)
                    continue
                schema = shard.features.arrow_schema
                with pa.ipc.new_stream(file, schema) as stream:
                    for table in shard._tables():
                        stream.write_table(cast_table(table, schema))
    with target_file(f"{root}/dataset_info.json", storage_options) as file:
        file.write(json.dumps(builder.info.to_dict()).encode())
