"""``map``: a user's function over batches that stay in Arrow, and the cache of its results."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from enfold.log import get_logger
from enfold.progress import Progress

from .caching import SUFFIX, Place, cache_place, with_suffix
from .errors import MapOutputError
from .features.features import Features, from_arrow, to_arrow
from .source import TableSource
from .task import Task, run_range
from .workers import ordered
from .writer import ShardedWriter

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
    disable_nullable: bool = False,
    suffix_template: str = SUFFIX,
    on_mixed_types: str | None = "use_json",
    writer_batch_size: int | None = 1000,
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
        on_mixed_types,
        not disable_nullable,
    )
    if not len(dataset):
        if task.features is not None:  # what the rows would be is known without one
            empty = TableSource(task.features.arrow_schema.remove_metadata().empty_table())
            return dataset._derived(empty, task.features, new_fingerprint)
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
        "on_mixed_types": on_mixed_types,
        **({"disable_nullable": True} if disable_nullable else {}),
    }
    workers = num_proc or 1
    place = cache_place(
        dataset,
        "map",
        arguments,
        keep_in_memory,
        load_from_cache_file,
        cache_file_name,
        new_fingerprint,
        suffix_template,
    )
    if (found := place.find()) is None:
        with place.lock():
            # another process may have made it while this one waited
            if (found := place.find()) is None:
                return _build(task, place, workers, writer_batch_size, desc)
    source, schema = found
    logger.info("Loading the result of map from %s", source.files[0])
    return dataset._derived(source, Features.from_arrow_schema(schema), place.fingerprint)


def _build(task: Task, place: Place, workers: int, writer_batch_size: int | None, desc: str | None) -> Dataset:
    dataset = task.dataset
    update: bool | None = None
    rows = len(dataset)
    paths = [place.path]
    if workers > 1 and place.path is not None:
        parts = min(workers, rows)
        paths = [with_suffix(place.path, place.suffix, rank, parts) for rank in range(parts)]
    label = desc or "Map"
    if workers > 1:
        label += f" (num_proc={workers})"
    with ShardedWriter(paths, partial(_result_features, task)) as writer, Progress(rows, label, unit="examples") as bar:
        for start, stop, result in ordered(task, run_range, workers):
            if update is None:
                update = result is not None
            elif update != (result is not None):
                raise MapOutputError("the function returned None for some rows and columns for others")
            if result is not None:
                made, mixed = result
                task.mixed.update(mixed)
                if not task.nullable:
                    _require_values(made, start, stop)
                try:
                    writer.write(made, start * len(paths) // rows)
                except pa.ArrowInvalid as error:
                    raise MapOutputError(f"rows {start} to {stop - 1}: {error}") from error
            bar.advance(stop - start)
        if not update:
            return dataset
        assert writer.schema is not None
        features = _result_features(task, writer.schema)
        source = writer.finish()
    return dataset._derived(source, features, place.fingerprint)


def _require_values(table: pa.Table, start: int, stop: int) -> None:
    for name in table.column_names:
        if table.column(name).null_count:
            raise MapOutputError(
                f"rows {start} to {stop - 1}: column {name!r} has missing values, which disable_nullable=True forbids"
            )


def _identity(batch: Any) -> Any:
    return batch


def _result_features(task: Task, schema: pa.Schema) -> Features:
    if task.features is not None:
        return task.features
    before = task.dataset.features
    out = Features()
    for column in schema:
        if column.name in task.mixed:
            out[column.name] = task.mixed[column.name]
            continue
        same = column.name in before and to_arrow(before[column.name]) == column.type
        out[column.name] = before[column.name] if same else from_arrow(column.type)
    return out
