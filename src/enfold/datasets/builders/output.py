"""Putting a dataset's splits into a folder that other programs read, here or behind an address."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ..source import cast_table

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
    name = builder.info.dataset_name
    sizes: Mapping[str, Any] = builder.info.splits or {}
    for split, dataset in builder.as_dataset().items():
        shards = dataset._shards(max_shard_size, None, "500MB")
        sizes[split].shard_lengths = [len(shard) for shard in shards] if len(shards) > 1 else None
        for number, shard in enumerate(shards):
            place = f"-{number:05d}-of-{len(shards):05d}" if len(shards) > 1 else ""
            with _target(folder, f"{name}-{split}{place}.{file_format}", storage_options) as file:
                if file_format == "parquet":
                    shard._write_parquet(file, embed_external_files=True)
                    continue
                schema = shard.features.arrow_schema
                with pa.ipc.new_stream(file, schema) as stream:
                    for table in shard._tables():
                        stream.write_table(cast_table(table, schema))
    with _target(folder, "dataset_info.json", storage_options) as file:
        file.write(json.dumps(builder.info.to_dict()).encode())


@contextmanager
def _target(folder: str, name: str, storage_options: dict[str, Any] | None) -> Iterator[Any]:
    """Open a file for writing; here it gets its name once it is complete."""
    if "://" in folder:
        import fsspec

        with fsspec.open(f"{folder.rstrip('/')}/{name}", "wb", **(storage_options or {})) as file:
            yield file
        return
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, name)
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        with open(temporary, "wb") as local:
            yield local
        os.replace(temporary, path)
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)
