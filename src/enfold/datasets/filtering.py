"""``filter``: the rows for which a function or an Arrow expression is true."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from enfold.log import get_logger
from enfold.progress import Progress

from .caching import SUFFIX, cache_place
from .column import Batch, Column
from .errors import MapOutputError
from .task import Task
from .values import one_array
from .workers import ordered
from .writer import TableWriter

if TYPE_CHECKING:
    from .dataset import Dataset

__all__ = ["filter_dataset"]

logger = get_logger(__name__)


def filter_dataset(
    dataset: Dataset,
    function: Callable[..., Any] | None,
    *,
    with_indices: bool,
    with_rank: bool,
    input_columns: str | list[str] | None,
    batched: bool,
    batch_size: int | None,
    keep_in_memory: bool,
    load_from_cache_file: bool | None,
    cache_file_name: str | None,
    fn_kwargs: dict[str, Any] | None,
    num_proc: int | None,
    new_fingerprint: str | None,
    desc: str | None,
    suffix_template: str = SUFFIX,
) -> Dataset:
    """Return the rows for which a function is true; see :meth:`Dataset.filter`."""
    inputs = [input_columns] if isinstance(input_columns, str) else input_columns
    if isinstance(function, pc.Expression):
        rows = _by_expression(dataset, function)
        return dataset._select_rows(rows, None)
    task = Task(
        dataset,
        function or _truth,
        batched,
        len(dataset) if not batch_size or batch_size <= 0 else batch_size,
        False,
        with_indices,
        with_rank,
        list(inputs) if inputs is not None else None,
        set(dataset.column_names),
        dict(fn_kwargs or {}),
    )
    if not len(dataset):
        return dataset
    arguments = {
        "function": function,
        "batched": batched,
        "batch_size": batch_size if batched else None,
        "with_indices": with_indices,
        "with_rank": with_rank,
        "input_columns": task.inputs,
        "fn_kwargs": task.kwargs,
        "format": dataset._format_key(),
    }
    place = cache_place(
        dataset,
        "filter",
        arguments,
        keep_in_memory,
        load_from_cache_file,
        cache_file_name,
        new_fingerprint,
        suffix_template,
    )
    if (found := place.find()) is None:
        with place.lock():
            if (found := place.find()) is None:
                return dataset._select_rows(_build(task, place.path, num_proc or 1, desc), place.fingerprint)
    source, _ = found
    logger.info("Loading the result of filter from %s", source.files[0])
    rows = one_array(source.table.column("indices")).to_numpy().astype(np.int64)
    return dataset._select_rows(rows, place.fingerprint)


def _build(task: Task, path: str | None, workers: int, desc: str | None) -> np.ndarray:
    kept = []
    with Progress(len(task.dataset), desc or "Filter", unit="examples") as bar:
        for start, stop, mask in ordered(task, _mask, workers):
            kept.append(np.flatnonzero(mask) + start)
            bar.advance(stop - start)
    rows = np.concatenate(kept) if kept else np.zeros(0, np.int64)
    if path is not None:
        with TableWriter(path) as writer:
            writer.write(pa.table({"indices": pa.array(rows.astype(np.uint64))}))
            writer.finish()
    return rows


def _truth(*arguments: Any) -> Any:
    return [True] * len(next(iter(arguments[0].values()))) if isinstance(arguments[0], Batch) else True


def _mask(task: Task, start: int, stop: int, rank: int) -> np.ndarray:
    table = task.dataset._read(start, stop, task.needed())
    if task.batched:
        _, arguments = task.inputs_of(table, start)
        if task.with_indices:
            arguments.append(list(range(start, stop)))
        if task.with_rank:
            arguments.append(rank)
        result = _outcome(task, arguments)
        if isinstance(result, (pa.Array, pa.ChunkedArray)):
            result = one_array(result).fill_null(False).to_numpy(zero_copy_only=False)
        if hasattr(result, "detach"):
            result = result.detach().cpu().numpy()
        if not hasattr(result, "__len__") or len(result) != stop - start:
            size = len(result) if hasattr(result, "__len__") else f"a {type(result).__name__}"
            raise MapOutputError(
                f"a batched filter returns one truth value for each of the {stop - start} rows, not {size}"
            )
        return np.fromiter(map(bool, result), bool, stop - start)
    plain = task.formatter is None and task.begin is None
    if plain and task.inputs is not None and not task.with_indices and not task.with_rank:
        columns = [Column(table.column(name), table.num_rows, task.decoders.get(name)) for name in task.inputs]
        outcome = (
            bool(task.function(*values, **task.kwargs)) for values in task.marked(zip(*columns, strict=False), start)
        )
        return np.fromiter(outcome, bool, stop - start)
    rows = task.rows_of(table)
    if plain and task.inputs is None and not task.with_indices and not task.with_rank:
        function, kwargs = task.function, task.kwargs
        seen = task.marked(rows, start)
        kept = [function(row, **kwargs) for row in seen] if kwargs else list(map(function, seen))
        return np.fromiter(map(bool, kept), bool, stop - start)
    mask = np.empty(stop - start, bool)
    begun: list[Any] = []
    for number, row in enumerate(task.marked(rows, start)):
        arguments = [row] if task.inputs is None else [row[name] for name in task.inputs]
        if task.with_indices:
            arguments.append(start + number)
        if task.with_rank:
            arguments.append(rank)
        if task.begin is not None:
            begun.append(task.begin(*arguments, **task.kwargs))
        else:
            mask[number] = bool(task.function(*arguments, **task.kwargs))
    for number, future in enumerate(begun):
        mask[number] = bool(future.result())
    return mask


def _outcome(task: Task, arguments: list[Any]) -> Any:
    if task.begin is not None:
        return task.begin(*arguments, **task.kwargs).result()
    return task.function(*arguments, **task.kwargs)


def _by_expression(dataset: Dataset, expression: Any) -> np.ndarray:
    """Return the rows for which an Arrow expression is true, without a Python value."""
    name = "__row__"
    kept = [np.zeros(0, np.int64)]
    step = 1 << 18
    for start in range(0, len(dataset), step):
        stop = min(start + step, len(dataset))
        table = dataset._read(start, stop, None).append_column(name, pa.array(np.arange(start, stop)))
        kept.append(table.filter(expression).column(name).to_numpy())
    return np.concatenate(kept)
