"""``map``: a user's function over batches that stay in Arrow, and the cache of its results."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from enfold.log import get_logger
from enfold.progress import Progress

from .caching import cache_place
from .errors import MapOutputError
from .features.features import Features, from_arrow, to_arrow
from .source import TableSource, open_arrow
from .task import Task, run_range
from .workers import ordered
from .writer import TableWriter

if TYPE_CHECKING:
    from .dataset import Dataset

__all__ = ["map_dataset"]

logger = get_logger(__name__)


def map_dataset(
    dataset: Dataset,
    function: Callable[..., Any] | None,
    *,
    with_indices: bool,
    with_rank: bool,
    input_columns: str | list[str] | None,
    batched: bool,
    batch_size: int | None,
    drop_last_batch: bool,
    remove_columns: str | list[str] | None,
    keep_in_memory: bool,
    load_from_cache_file: bool | None,
    cache_file_name: str | None,
    features: Features | None,
    fn_kwargs: dict[str, Any] | None,
    num_proc: int | None,
    new_fingerprint: str | None,
    desc: str | None,
    try_original_type: bool | None,
) -> Dataset:
    """Return the dataset that a function makes of another; see :meth:`Dataset.map`."""
    inputs = [input_columns] if isinstance(input_columns, str) else input_columns
    removed = {remove_columns} if isinstance(remove_columns, str) else set(remove_columns or ())
    task = Task(
        dataset,
        function or _identity,
        batched,
        len(dataset) if not batch_size or batch_size <= 0 else batch_size,
        drop_last_batch,
        with_indices,
        with_rank,
        list(inputs) if inputs is not None else None,
        removed,
        dict(fn_kwargs or {}),
        Features(features) if features is not None else None,
        try_original_type is not False,
    )
    if not len(dataset):
        return dataset.remove_columns(sorted(removed)) if removed else dataset
    arguments = {
        "function": function,
        "batched": batched,
        "batch_size": batch_size if batched else None,
        "drop_last_batch": drop_last_batch,
        "with_indices": with_indices,
        "with_rank": with_rank,
        "input_columns": task.inputs,
        "remove_columns": sorted(removed),
        "features": task.features.to_dict() if task.features is not None else None,
        "fn_kwargs": task.kwargs,
        "format": dataset._format_key(),
        "try_original_type": task.try_original,
    }
    path, fingerprint, found = cache_place(
        dataset, "map", arguments, keep_in_memory, load_from_cache_file, cache_file_name, new_fingerprint
    )
    if found is not None:
        logger.info("Loading the result of map from %s", found)
        table = open_arrow(found)
        made = Features.from_arrow_schema(table.schema)
        source = TableSource(table.replace_schema_metadata(None), [found])
        return dataset._derived(source, made, fingerprint)

    update: bool | None = None
    describe = partial(_result_features, task)
    with (
        TableWriter(path, describe=describe) as writer,
        Progress(len(dataset), desc or "Map", unit="examples") as bar,
    ):
        for start, stop, made in ordered(task, lambda a, b, rank: run_range(task, a, b, rank), num_proc or 1):
            if update is None:
                update = made is not None
            elif update != (made is not None):
                raise MapOutputError("the function returned None for some rows and columns for others")
            if made is not None:
                try:
                    writer.write(made)
                except pa.ArrowInvalid as error:
                    raise MapOutputError(f"rows {start} to {stop - 1}: {error}") from error
            bar.advance(stop - start)
        if not update:
            return dataset
        assert writer.schema is not None
        features = _result_features(task, writer.schema)
        source = writer.finish()
    return dataset._derived(source, features, fingerprint)


def _identity(batch: Any) -> Any:
    return batch


def _result_features(task: Task, schema: pa.Schema) -> Features:
    if task.features is not None:
        return task.features
    before = task.dataset.features
    out = Features()
    for column in schema:
        same = column.name in before and to_arrow(before[column.name]) == column.type
        out[column.name] = before[column.name] if same else from_arrow(column.type)
    return out
