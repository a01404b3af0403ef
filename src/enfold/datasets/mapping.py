"""``map`` and ``filter``: a user's function over batches that stay in Arrow, and the cache of their results."""

from __future__ import annotations

import inspect
import itertools
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from enfold.log import get_logger
from enfold.progress import Progress

from .column import Batch, Column, unknown_column
from .errors import MapOutputError
from .features.features import Features, encode, from_arrow, needs_encoding, to_arrow
from .fingerprint import Unhashable, generate_random_fingerprint, is_caching_enabled, update_fingerprint
from .source import TableSource, open_arrow
from .values import one_array, to_arrow_array
from .writer import TableWriter, session_folder

if TYPE_CHECKING:
    from .dataset import Dataset

__all__ = ["filter_dataset", "map_dataset"]

logger = get_logger(__name__)

# Rows that a function without `batched` is fed with between two reads.
_BLOCK = 1000
# What models call these columns; the ecosystem stores them in the smallest type that their values need.
_SMALL = {
    "input_ids": pa.int32(),
    "attention_mask": pa.int8(),
    "token_type_ids": pa.int8(),
    "special_tokens_mask": pa.int8(),
}


@dataclass
class _Task:
    dataset: Dataset
    function: Callable[..., Any]
    batched: bool
    batch_size: int
    drop_last: bool
    with_indices: bool
    with_rank: bool
    inputs: list[str] | None
    removed: set[str]
    kwargs: dict[str, Any]
    features: Features | None = None
    try_original: bool = True
    kinds: dict[str, pa.DataType] = field(default_factory=dict)
    kept: set[str] = field(default_factory=set)
    changed: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        known = self.dataset.column_names
        for name in [*(self.inputs or []), *self.removed]:
            if name not in known:
                raise unknown_column(name, known)
        self.formatter = self.dataset._formatter()
        self.decoders = self.dataset._decoders()
        if inspect.iscoroutinefunction(self.function):
            self.function = _in_event_loop(self.function)

    def ranges(self) -> Iterator[tuple[int, int]]:
        rows = len(self.dataset)
        step = self.batch_size if self.batched else _BLOCK
        if step <= 0:
            step = max(rows, 1)
        stop = rows - rows % step if self.drop_last and self.batched else rows
        for start in range(0, stop, step):
            yield start, min(start + step, stop)

    def needed(self) -> list[str]:
        """The columns to read: those that the function sees or that go on into the result."""
        seen = self.dataset._visible_columns() if self.inputs is None else self.inputs
        return [name for name in self.dataset.column_names if name in seen or name not in self.removed]

    def inputs_of(self, table: pa.Table, start: int) -> tuple[Any, list[Any]]:
        """Return the batch and the positional arguments that the function is called with."""
        shown = [name for name in self.dataset._visible_columns() if name in table.column_names]
        if self.formatter is not None and self.formatter.numpy_rows is None:
            batch: Any = self.formatter.batch(table.select(shown if self.inputs is None else self.inputs))
        else:
            batch = Batch(table, self.decoders, self.formatter, shown if self.inputs is None else self.inputs)
        return batch, [batch] if self.inputs is None else [batch[name] for name in self.inputs]

    def rows_of(self, table: pa.Table) -> list[dict[str, Any]]:
        from .dataset import table_rows

        shown = self.dataset._visible_columns() if self.inputs is None else self.inputs
        return table_rows(
            table.select([name for name in shown if name in table.column_names]), self.formatter, self.decoders
        )


def _in_event_loop(function: Callable[..., Any]) -> Callable[..., Any]:
    import asyncio

    def run(*arguments: Any, **kwargs: Any) -> Any:
        return asyncio.run(function(*arguments, **kwargs))

    def run_beside(*arguments: Any, **kwargs: Any) -> Any:
        # A notebook's thread has a loop of its own that is running: wait for ours in another thread.
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(run, *arguments, **kwargs).result()

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return run
    return run_beside


def _ordered(task: _Task, work: Callable[[int, int, int], Any], workers: int) -> Iterator[tuple[int, int, Any]]:
    """Yield (start, stop, result) in order; several threads work ahead of the reader when asked to."""
    ranges = task.ranges()
    if workers <= 1:
        for start, stop in ranges:
            yield start, stop, work(start, stop, 0)
        return
    ranks = itertools.count()
    local = threading.local()

    def ranked(start: int, stop: int) -> Any:
        return work(start, stop, local.rank)

    def begin() -> None:
        local.rank = next(ranks)

    with ThreadPoolExecutor(workers, initializer=begin) as pool:
        waiting: deque[tuple[int, int, Any]] = deque()
        # the first batch alone decides the types that the others are written with
        for start, stop in itertools.islice(ranges, 1):
            yield start, stop, pool.submit(ranked, start, stop).result()
        try:
            for start, stop in ranges:
                waiting.append((start, stop, pool.submit(ranked, start, stop)))
                if len(waiting) > 2 * workers:
                    first, last, future = waiting.popleft()
                    yield first, last, future.result()
            while waiting:
                first, last, future = waiting.popleft()
                yield first, last, future.result()
        finally:
            for _, _, future in waiting:
                future.cancel()


# ---- map -------------------------------------------------------------------------------------------------------------


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
    task = _Task(
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
    path, fingerprint, found = _cache_place(
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
        for start, stop, made in _ordered(task, lambda a, b, rank: _apply(task, a, b, rank), num_proc or 1):
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


def _result_features(task: _Task, schema: pa.Schema) -> Features:
    if task.features is not None:
        return task.features
    before = task.dataset.features
    out = Features()
    for column in schema:
        same = column.name in before and to_arrow(before[column.name]) == column.type
        out[column.name] = before[column.name] if same else from_arrow(column.type)
    return out


def _cache_place(
    dataset: Dataset,
    transform: str,
    arguments: dict[str, Any],
    keep_in_memory: bool,
    load_from_cache_file: bool | None,
    cache_file_name: str | None,
    new_fingerprint: str | None,
) -> tuple[str | None, Any, str | None]:
    """Return (the file to write or None for memory, the result's fingerprint, the file that already has the result)."""
    in_memory = keep_in_memory or (cache_file_name is None and dataset._cache_dir is None)
    if in_memory and new_fingerprint is None:
        return None, None, None
    fingerprint = new_fingerprint
    known = True
    if fingerprint is None:
        try:
            fingerprint = update_fingerprint(dataset._fingerprint, transform, arguments)
        except Unhashable as error:
            known = False
            fingerprint = generate_random_fingerprint()
            logger.warning(
                "The result of %s will not be found again by another run: what it depends on cannot be told for %s. "
                "Give that object a __fingerprint__() method, or pass new_fingerprint=.",
                transform,
                error.path and str(error),
            )
    if in_memory:
        return None, fingerprint, None
    caching = is_caching_enabled()
    if cache_file_name is not None:
        path = os.path.abspath(cache_file_name)
    else:
        folder = dataset._cache_dir if known and caching else session_folder()
        assert folder is not None
        name = fingerprint if caching else generate_random_fingerprint()
        path = os.path.join(folder, f"cache-{name}.arrow")
    look = caching if load_from_cache_file is None else load_from_cache_file
    return path, fingerprint, path if look and os.path.exists(path) else None


def _apply(task: _Task, start: int, stop: int, rank: int) -> pa.Table | None:
    table = task.dataset._read(start, stop, task.needed())
    if task.batched:
        batch, arguments = task.inputs_of(table, start)
        if task.with_indices:
            arguments.append(list(range(start, stop)))
        if task.with_rank:
            arguments.append(rank)
        result = task.function(*arguments, **task.kwargs)
        if result is None:
            return None
        if not isinstance(result, Mapping):
            return _as_table(task, result)
        columns = result.changes() if result is batch else {str(name): result[name] for name in result}
        if isinstance(batch, Batch):
            columns = {name: value for name, value in columns.items() if not batch.untouched(name, value)}
        return _assemble(task, table, columns)
    return _apply_rows(task, table, start, rank)


def _apply_rows(task: _Task, table: pa.Table, start: int, rank: int) -> pa.Table | None:
    rows = task.rows_of(table)
    results: list[Any] = []
    extra: list[Any] = []
    originals: list[dict[str, Any]] = []
    for number, row in enumerate(rows):
        originals.append(dict(row))
        if task.with_indices:
            extra = [start + number]
        if task.with_rank:
            extra = [*extra[: int(task.with_indices)], rank]
        arguments = [row] if task.inputs is None else [row[name] for name in task.inputs]
        results.append(task.function(*arguments, *extra, **task.kwargs))
    if results[0] is None:
        if any(result is not None for result in results):
            raise MapOutputError("the function returned None for some rows and a dict for others")
        return None
    tables = [_as_table(task, result) for result in results if not isinstance(result, Mapping)]
    if tables:
        if len(tables) != len(results):
            raise MapOutputError("the function returned a table for some rows and something else for others")
        return pa.concat_tables(tables, promote_options="permissive")
    names: dict[str, None] = {}
    for result in results:
        names.update(dict.fromkeys(result))
    columns: dict[str, Any] = {}
    for name in names:
        if name in table.column_names and not pa.types.is_nested(table.schema.field(name).type):
            same = all(
                name not in result or (name in before and result[name] is before[name])
                for result, before in zip(results, originals, strict=False)
            )
            if same:
                continue
        values = [result.get(name) for result in results]
        columns[str(name)] = values
    return _assemble(task, table, columns)


def _as_table(task: _Task, result: Any) -> pa.Table:
    if isinstance(result, pa.RecordBatch):
        result = pa.Table.from_batches([result])
    elif not isinstance(result, pa.Table):
        if hasattr(result, "__arrow_c_stream__") and hasattr(result, "columns"):
            result = pa.table(result)
        elif hasattr(result, "iloc") and hasattr(result, "columns"):
            result = pa.Table.from_pandas(result, preserve_index=False)
        else:
            raise MapOutputError(
                f"the function returned a {type(result).__name__}; expected a dict of columns, a table, or None"
            )
    if task.features is not None:
        from .source import cast_table

        result = cast_table(result, task.features.arrow_schema)
    return result.replace_schema_metadata(None)


def _assemble(task: _Task, table: pa.Table, results: dict[str, Any]) -> pa.Table:
    """Return the input's columns that stay, with those that the function made in their places or behind them."""
    made = {name: _column(task, name, value) for name, value in results.items()}
    kept = [name for name in table.column_names if name not in task.removed and name not in made]
    sizes = {name: len(array) for name, array in made.items()}
    rows = next(iter(sizes.values()), table.num_rows)
    for name, size in sizes.items():
        if size != rows:
            other = next(iter(sizes))
            raise MapOutputError(f"column {name!r} has {size} rows, but column {other!r} has {rows}")
    if kept and rows != table.num_rows:
        raise MapOutputError(
            f"the function made {rows} rows of {table.num_rows}, so that the columns {kept} have no row to stand in; "
            f"drop them: remove_columns={kept}"
        )
    order = [name for name in task.dataset.column_names if name in kept or name in made]
    order += [name for name in made if name not in order]
    columns = [made[name] if name in made else table.column(name) for name in order]
    if task.features is not None:
        from .source import cast_table

        return cast_table(pa.table(columns, names=order), task.features.arrow_schema)
    return pa.table(columns, names=order)


def _column(task: _Task, name: str, value: Any) -> pa.Array:
    try:
        return _convert(task, name, value)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, TypeError, OverflowError) as error:
        raise MapOutputError(f"what the function returned for column {name!r} cannot be stored: {error}") from error


def _convert(task: _Task, name: str, value: Any) -> pa.Array:
    if isinstance(value, (str, bytes)) or not (hasattr(value, "__len__") or hasattr(value, "__iter__")):
        raise TypeError(f"a {type(value).__name__} is not a column: a batched function returns one value for each row")
    arrow_made = type(value) is Column or hasattr(value, "__arrow_c_array__") or hasattr(value, "__arrow_c_stream__")
    feature = task.features.get(name) if task.features is not None else None
    original = task.dataset.features.get(name) if task.try_original and task.features is None else None
    for wanted in (feature, original):
        if wanted is None:
            continue
        kind = to_arrow(wanted)
        try:
            if not arrow_made and needs_encoding(wanted):
                return to_arrow_array([encode(wanted, item) for item in value], kind)
            if wanted is original:
                # the new values' own type decides: an integer column that is given fractions must not lose them
                array = to_arrow_array(value)
                if array.type == kind or _alike(array.type, kind) or _spelled(array.type, kind):
                    return to_arrow_array(array, kind)
                break
            return to_arrow_array(value, kind)
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, TypeError, ValueError):
            if wanted is feature:
                raise
            break
    array = to_arrow_array(value)
    small = _SMALL.get(name)
    if small is not None:
        array = _shrink(array, small)
    return array


def _alike(first: pa.DataType, second: pa.DataType) -> bool:
    """Return whether a cast from the first type to the second only changes the width of numbers."""
    types = pa.types
    if types.is_null(first):
        return True
    if types.is_integer(first) or types.is_floating(first):
        return types.is_integer(second) or types.is_floating(second)
    if types.is_list(first) or types.is_large_list(first):
        return (types.is_list(second) or types.is_large_list(second)) and _alike(first.value_type, second.value_type)
    if types.is_struct(first) and types.is_struct(second):
        names = {field.name for field in second}
        return all(field.name in names and _alike(field.type, second.field(field.name).type) for field in first)
    return first == second or (types.is_string(first) and types.is_large_string(second))


def _spelled(first: pa.DataType, second: pa.DataType) -> bool:
    """Return whether values of the first type may spell numbers of the second: ``"3"`` and True fit an int column."""
    types = pa.types
    return (types.is_string(first) or types.is_boolean(first)) and (
        types.is_integer(second) or types.is_floating(second)
    )


def _shrink(array: pa.Array, small: pa.DataType) -> pa.Array:
    """Store a list of integers in the smaller type that its column's name promises, where the values fit."""
    kind = array.type
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind)) or not pa.types.is_integer(kind.value_type):
        return array
    if kind.value_type == small:
        return array
    try:
        return array.cast(pa.large_list(small) if pa.types.is_large_list(kind) else pa.list_(small))
    except pa.ArrowInvalid:
        return array


# ---- filter ----------------------------------------------------------------------------------------------------------


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
) -> Dataset:
    """Return the rows for which a function is true; see :meth:`Dataset.filter`."""
    inputs = [input_columns] if isinstance(input_columns, str) else input_columns
    if isinstance(function, pa.compute.Expression):
        rows = _by_expression(dataset, function)
        return dataset._select_rows(rows, None)
    task = _Task(
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
    path, fingerprint, found = _cache_place(
        dataset, "filter", arguments, keep_in_memory, load_from_cache_file, cache_file_name, new_fingerprint
    )
    if found is not None:
        logger.info("Loading the result of filter from %s", found)
        rows = open_arrow(found).column("indices").to_numpy().astype(np.int64)
        return dataset._select_rows(rows, fingerprint)
    kept = []
    with Progress(len(dataset), desc or "Filter", unit="examples") as bar:
        for start, stop, mask in _ordered(task, lambda a, b, rank: _mask(task, a, b, rank), num_proc or 1):
            kept.append(np.flatnonzero(mask) + start)
            bar.advance(stop - start)
    rows = np.concatenate(kept) if kept else np.zeros(0, np.int64)
    if path is not None:
        with TableWriter(path) as writer:
            writer.write(pa.table({"indices": pa.array(rows.astype(np.uint64))}))
            writer.finish()
    return dataset._select_rows(rows, fingerprint)


def _truth(*arguments: Any) -> Any:
    return [True] * len(next(iter(arguments[0].values()))) if isinstance(arguments[0], Batch) else True


def _mask(task: _Task, start: int, stop: int, rank: int) -> np.ndarray:
    table = task.dataset._read(start, stop, task.needed())
    if task.batched:
        _, arguments = task.inputs_of(table, start)
        if task.with_indices:
            arguments.append(list(range(start, stop)))
        if task.with_rank:
            arguments.append(rank)
        result = task.function(*arguments, **task.kwargs)
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
    if task.inputs is not None and not task.with_indices and not task.with_rank and task.formatter is None:
        columns = [Column(table.column(name), table.num_rows, task.decoders.get(name)) for name in task.inputs]
        outcome = (bool(task.function(*values, **task.kwargs)) for values in zip(*columns, strict=False))
        return np.fromiter(outcome, bool, stop - start)
    mask = np.empty(stop - start, bool)
    for number, row in enumerate(task.rows_of(table)):
        arguments = [row] if task.inputs is None else [row[name] for name in task.inputs]
        if task.with_indices:
            arguments.append(start + number)
        if task.with_rank:
            arguments.append(rank)
        mask[number] = bool(task.function(*arguments, **task.kwargs))
    return mask


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
