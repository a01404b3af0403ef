"""One call of ``map`` or ``filter``: the function, what it is fed with, and what it makes of a range of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from .access import table_rows
from .column import Batch, Row, unknown_column
from .errors import MapOutputError
from .features.features import Features
from .features.storage import is_heavy
from .results import as_table, assemble

if TYPE_CHECKING:
    from .dataset import Dataset

__all__ = ["Task", "run_range"]

# Rows that a function without `batched` is fed with between two reads.
_BLOCK = 1000


@dataclass
class Task:
    #: what its ranges are ranges of, for messages
    noun = "rows"

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
    on_mixed_types: str | None = None
    nullable: bool = True

    def __post_init__(self) -> None:
        known = self.dataset.column_names
        for name in [*(self.inputs or []), *self.removed]:
            if name not in known:
                raise unknown_column(name, known)
        self.formatter = self.dataset._formatter()
        self.decoders = self.dataset._decoders()
        # column → feature, for columns whose values had no common type and are kept as JSON
        self.mixed: dict[str, Any] = {}
        # begins a coroutine and returns a future of its result; set while a coroutine function runs
        self.begin: Callable[..., Any] | None = None
        # where a worker process notes the row that it is at, for those who find it dead: an array, and its place in it
        self.mark: tuple[Any, int] | None = None

    def ranges(self, workers: int = 1) -> Iterator[tuple[int, int]]:
        """Yield the ranges of rows that are worked on at a time: batches, or few enough rows for every worker."""
        rows = len(self.dataset)
        share = _BLOCK if workers < 2 else min(_BLOCK, max(rows // (4 * workers), 1))
        step = self.batch_size if self.batched else share
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

    def marked(self, rows: Iterable[Any], start: int) -> Iterable[Any]:
        """Give rows on, noting the number of each where somebody wants to know."""
        return rows if self.mark is None else self._marked(rows, start, *self.mark)

    @staticmethod
    def _marked(rows: Iterable[Any], start: int, places: Any, rank: int) -> Iterator[Any]:
        for number, row in enumerate(rows, start):
            places[rank] = number
            yield row

    def rows_of(self, table: pa.Table) -> list[Any]:
        shown = self.dataset._visible_columns() if self.inputs is None else self.inputs
        table = table.select([name for name in shown if name in table.column_names])
        later = {name: self.decoders[name] for name in table.column_names if is_heavy(self.dataset.features[name])}
        if self.formatter is not None or not later:
            return table_rows(table, self.formatter, self.decoders)
        now = {name: decode for name, decode in self.decoders.items() if name not in later}
        return [Row(values, later) for values in table_rows(table, None, now)]


def run_range(task: Task, start: int, stop: int, rank: int) -> tuple[pa.Table, dict[str, Any]] | None:
    """Return what the function makes of rows, and the features of its columns of mixed types; None for no change."""
    made = _made(task, start, stop, rank)
    return None if made is None else (made, task.mixed)


def _made(task: Task, start: int, stop: int, rank: int) -> pa.Table | None:
    table = task.dataset._read(start, stop, task.needed())
    if task.batched:
        batch, arguments = task.inputs_of(table, start)
        if task.with_indices:
            arguments.append(list(range(start, stop)))
        if task.with_rank:
            arguments.append(rank)
        result = (
            task.function(*arguments, **task.kwargs)
            if task.begin is None
            else task.begin(*arguments, **task.kwargs).result()
        )
        if result is None:
            return None
        if not isinstance(result, Mapping):
            return as_table(task, result)
        columns = result.changes() if result is batch else {str(name): result[name] for name in result}
        gone: set[str] = set()
        if isinstance(batch, Batch):
            columns = {name: value for name, value in columns.items() if not batch.untouched(name, value)}
            gone = batch.deleted()
        return assemble(task, table, columns, gone)
    return _rows_result(task, table, start, rank)


def _rows_result(task: Task, table: pa.Table, start: int, rank: int) -> pa.Table | None:
    rows = task.rows_of(table)
    results: list[Any] = []
    extra: list[Any] = []
    originals: list[dict[str, Any]] = []
    for number, row in enumerate(task.marked(rows, start)):
        originals.append(row.stored() if isinstance(row, Row) else dict(row))
        if task.with_indices:
            extra = [start + number]
        if task.with_rank:
            extra = [*extra[: int(task.with_indices)], rank]
        arguments = [row] if task.inputs is None else [row[name] for name in task.inputs]
        results.append((task.begin or task.function)(*arguments, *extra, **task.kwargs))
    if task.begin is not None:
        results = [future.result() for future in results]
    if results[0] is None:
        if any(result is not None for result in results):
            raise MapOutputError("the function returned None for some rows and a dict for others")
        return None
    tables = [as_table(task, result) for result in results if not isinstance(result, Mapping)]
    if tables:
        if len(tables) != len(results):
            raise MapOutputError("the function returned a table for some rows and something else for others")
        return pa.concat_tables(tables, promote_options="permissive")
    names: dict[str, None] = {}
    for result in results:
        names.update(
            dict.fromkeys(name for name in result if not isinstance(result, Row) or name not in result.pending)
        )
    results = [result.stored() if isinstance(result, Row) else result for result in results]
    gone = [name for name in originals[0] if all(name not in row for row in rows)]
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
    return assemble(task, table, columns, gone)
