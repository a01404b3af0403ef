"""Steps that call a user's function: over rows when they are asked for, or over batches that stay in Arrow."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pyarrow as pa

from ..column import Batch, unknown_column
from ..errors import MapOutputError
from ..features.features import Features, decoder
from .pieces import (
    Piece,
    View,
    arrow_column,
    batch_names,
    cut,
    fit,
    frame_to_table,
    is_frame,
    length,
    pick,
    rows_to_columns,
    stays_arrow,
    to_table,
)
from .steps import Place, Step, regroup

__all__ = ["BatchFilter", "BatchMap", "Function", "RowFilter", "RowMap"]

# Rows whose async functions run at the same time.
_TOGETHER = 100
# A filter looks at one row first and at up to this many at a time later.
_AHEAD = 256


def _run(coroutines: list[Any]) -> list[Any]:
    async def together() -> list[Any]:
        return await asyncio.gather(*coroutines)

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(together())
    with ThreadPoolExecutor(1) as thread:  # a notebook's thread has a loop of its own that is running
        return thread.submit(asyncio.run, together()).result()


class Function:
    """A user's function and how it is called."""

    def __init__(
        self,
        function: Callable[..., Any] | None,
        with_indices: bool,
        inputs: list[str] | None,
        kwargs: dict[str, Any] | None,
    ) -> None:
        self.function = function
        self.with_indices = with_indices
        self.inputs = inputs
        self.kwargs = kwargs or {}
        self.is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
            getattr(function, "__call__", None)  # noqa: B004
        )

    def __call__(self, row: Any, index: Any) -> Any:
        if self.inputs is None:
            arguments = [row]
        else:
            for name in self.inputs:
                if name not in row:
                    raise unknown_column(name, row)
            arguments = [row[name] for name in self.inputs]
        if self.with_indices:
            arguments.append(index)
        assert self.function is not None
        return self.function(*arguments, **self.kwargs)


class RowMap(Step):
    """A function over one row at a time, called when its row is asked for.

    Args:
        inner: the step below.
        function: how the user's function is called; what it returns is put into the row.
        removed: columns that are left out, unless the function gives them.
        view: what the function sees.
        features: the kinds of the result's columns.
    """

    def __init__(
        self, inner: Step, function: Function, removed: set[str], view: View, features: Features | None
    ) -> None:
        self.inner: Step = inner
        self.function, self.removed, self.view, self.features = function, removed, view, features
        self.rowwise = not function.with_indices
        self._decode = (
            {name: found for name, feature in features.items() if (found := decoder(feature))} if features else {}
        )

    def over(self, inner: Step) -> RowMap:
        return RowMap(inner, self.function, self.removed, self.view, self.features)

    def pieces(self, place: Place = None) -> Iterator[tuple[Place, Piece]]:
        begin, offset, index = place or (None, 0, 0)
        chunk = _TOGETHER if self.function.is_async else None
        frames = self.view.formatter is not None and self.view.formatter.numpy_rows is None
        for at, first, piece in self.inner.resumed(begin, offset):
            if chunk is not None:
                for start in range(0, length(piece), chunk):
                    part = list(self.view.rows(cut(piece, start, start + chunk)))
                    made = _run([self.function(row, index + i) for i, row in enumerate(part)])
                    yield (
                        [at, first + start, index],
                        [self._result(row, out) for row, out in zip(part, made, strict=True)],
                    )
                    index += len(part)
                continue
            for number, row in enumerate(self.view.rows(piece)):
                out = self.function(row, index)
                where = [at, first + number, index]
                index += 1
                if frames or (out is not None and is_frame(out)):
                    yield where, self._framed(row, out)
                else:
                    yield where, [self._result(row, out)]

    def _framed(self, row: Any, out: Any) -> Piece:
        if not is_frame(out):
            before = self.view.plain().batch(frame_to_table(row)) if is_frame(row) else {}
            return [self._result({name: values[0] for name, values in before.items()}, out)]
        table = frame_to_table(out)
        gone = [name for name in self.removed if name in table.column_names and out is row]
        table = table.drop_columns(gone) if gone else table
        return table if self.features is None else to_table(table, self.features)

    def _result(self, row: dict[str, Any], out: Any) -> dict[str, Any]:
        if not isinstance(out, Mapping):
            raise MapOutputError(f"the function returned {_shown(out)}; expected a dict of values or a table")
        made = {name: value for name, value in row.items() if name not in self.removed}
        made.update(out)
        if self.features is None:
            return made
        made = self.features.encode_example(made)
        for name, decode in self._decode.items():
            if made[name] is not None:
                made[name] = decode(made[name])
        return made


class BatchMap(Step):
    """A function over batches; a reader's batches are made of the rows that it reads."""

    rowwise = True

    def __init__(
        self,
        inner: Step,
        function: Function,
        removed: set[str],
        view: View,
        features: Features | None,
        size: int | None,
        drop_last: bool,
    ) -> None:
        self.inner: Step = inner
        self.function, self.removed, self.view, self.features = function, removed, view, features
        self.size, self.drop_last = size, drop_last
        self.rowwise = not function.with_indices

    def over(self, inner: Step) -> BatchMap:
        return BatchMap(inner, self.function, self.removed, self.view, self.features, self.size, self.drop_last)

    def pieces(self, place: Place = None) -> Iterator[tuple[Place, Piece]]:
        begin, offset, index = place or (None, 0, 0)
        for at, first, piece in regroup(self.inner, begin, offset, self.size, self.view):
            rows = length(piece)
            if self.drop_last and self.size is not None and rows < self.size:
                return
            batch = self.view.argument(piece)
            out = self.function(batch, list(range(index, index + rows)))
            if self.function.is_async:
                out = _run([out])[0]
            yield [at, first, index], self._result(piece, batch, out)
            index += rows

    def _result(self, piece: Piece, batch: Any, out: Any) -> Piece:
        if is_frame(out):
            table = frame_to_table(out)
            gone = [name for name in self.removed if name in table.column_names and out is batch]
            table = table.drop_columns(gone) if gone else table
            return table if self.features is None else to_table(table, self.features)
        if not isinstance(out, Mapping):
            raise MapOutputError(f"the function returned {_shown(out)}; expected a dict of columns or a table")
        columns = out.changes() if isinstance(out, Batch) and out is batch else {name: out[name] for name in out}
        if isinstance(batch, Batch):
            columns = {name: value for name, value in columns.items() if not batch.untouched(name, value)}
        deleted = set(batch) ^ set(batch_names(piece)) if isinstance(batch, Batch) and out is batch else set()
        sizes = {name: _size(name, value) for name, value in columns.items()}
        names = batch_names(piece)
        kept = [name for name in names if name not in self.removed and name not in columns and name not in deleted]
        rows = next(iter(sizes.values()), length(piece))
        for name, size in sizes.items():
            if size != rows:
                other = next(iter(sizes))
                raise MapOutputError(f"column {name!r} has {size} rows, but column {other!r} has {rows}")
        if kept and rows != length(piece):
            raise MapOutputError(
                f"the function made {rows} rows of {length(piece)}, so that the columns {kept} have no row to "
                f"stand in; drop them: remove_columns={kept}"
            )
        order = [name for name in names if name in kept or name in columns]
        order += [name for name in columns if name not in order]
        if self.features is not None and not isinstance(piece, pa.Table):
            before = rows_to_columns(piece)
            plain = {name: _values(columns[name]) if name in columns else before[name] for name in order}
            return to_table(
                [dict(zip(order, row, strict=True)) for row in zip(*plain.values(), strict=True)], self.features
            )
        if isinstance(piece, pa.Table) and (
            self.features is not None or all(stays_arrow(value) for value in columns.values())
        ):
            return self._table(piece, columns, kept, order)
        shown = self.view.plain().batch(piece.select(kept)) if isinstance(piece, pa.Table) else rows_to_columns(piece)
        if not order:
            return []
        lists = [_values(columns[name]) if name in columns else shown[name] for name in order]
        return [dict(zip(order, row, strict=True)) for row in zip(*lists, strict=True)]

    def _table(self, piece: pa.Table, columns: dict[str, Any], kept: list[str], order: list[str]) -> pa.Table:
        from ..reading import columns_to_table

        if self.features is None:
            arrays = [arrow_column(columns[name]) if name in columns else piece.column(name) for name in order]
            return pa.table(arrays, names=order)
        known = Features({name: self.features[name] for name in columns if name in self.features})
        missing = [name for name in order if name not in self.features]
        if missing:
            raise MapOutputError(f"the function made the columns {missing}, which the features do not have")
        made = columns_to_table({name: columns[name] for name in known}, known)
        table = pa.table([made.column(name) if name in columns else piece.column(name) for name in order], names=order)
        return fit(table, self.features)


def _shown(out: Any) -> str:
    return "nothing" if out is None else f"a {type(out).__name__}"


def _size(name: str, value: Any) -> int:
    if isinstance(value, (str, bytes)) or not hasattr(value, "__len__"):
        raise MapOutputError(
            f"column {name!r}: a {type(value).__name__} is not a column: a batched function returns "
            "one value for each row"
        )
    return len(value)


def _values(value: Any) -> Any:
    return value.tolist() if stays_arrow(value) and hasattr(value, "tolist") else value


class RowFilter(Step):
    """The rows for which a function is true."""

    def __init__(self, inner: Step, function: Function, view: View) -> None:
        self.inner: Step = inner
        self.function, self.view = function, view
        self.rowwise = not function.with_indices

    def over(self, inner: Step) -> RowFilter:
        return RowFilter(inner, self.function, self.view)

    def pieces(self, place: Place = None) -> Iterator[tuple[Place, Piece]]:
        begin, offset, index = place or (None, 0, 0)
        ahead = 1
        for at, first, piece in self.inner.resumed(begin, offset):
            start, rows = 0, length(piece)
            while start < rows:
                part = cut(piece, start, start + ahead)
                where = [at, first + start, index]
                kept: list[int] = []
                try:
                    if self.function.is_async:
                        shown = list(self.view.rows(part))
                        found = _run([self.function(row, index + i) for i, row in enumerate(shown)])
                        kept = [i for i, keep in enumerate(found) if keep]
                    else:
                        for number, row in enumerate(self.view.rows(part)):
                            if self.function(row, index + number):
                                kept.append(number)
                except Exception:
                    if kept:  # rows before the one that the function failed on
                        yield where, pick(part, np.array(kept))
                    raise
                if len(kept) == length(part):
                    yield where, part
                elif kept:
                    yield where, pick(part, np.array(kept))
                index += length(part)
                start += length(part)
                ahead = min(2 * ahead, _AHEAD)


class BatchFilter(Step):
    """The rows for which a function over batches, or an Arrow expression, is true."""

    def __init__(self, inner: Step, function: Function, view: View, size: int | None) -> None:
        self.inner: Step = inner
        self.function, self.view, self.size = function, view, size
        self.rowwise = not function.with_indices

    def over(self, inner: Step) -> BatchFilter:
        return BatchFilter(inner, self.function, self.view, self.size)

    def pieces(self, place: Place = None) -> Iterator[tuple[Place, Piece]]:
        import pyarrow.compute as pc

        begin, offset, index = place or (None, 0, 0)
        for at, first, piece in regroup(self.inner, begin, offset, self.size, self.view):
            rows = length(piece)
            if isinstance(self.function.function, pc.Expression):
                made: Piece = to_table(piece).filter(self.function.function)
                if length(made):
                    yield [at, first, index], made
                index += rows
                continue
            out = self.function(self.view.argument(piece), list(range(index, index + rows)))
            out = _run([out])[0] if self.function.is_async else out
            if not hasattr(out, "__len__") or len(out) != rows:
                size = len(out) if hasattr(out, "__len__") else f"a {type(out).__name__}"
                raise MapOutputError(
                    f"a batched filter returns one truth value for each of the {rows} rows, not {size}"
                )
            mask = np.fromiter((bool(value) for value in _values(out)), bool, rows)
            if mask.any():
                yield [at, first, index], piece if mask.all() else pick(piece, np.flatnonzero(mask))
            index += rows
