"""What a user's function gave back, as Arrow: columns, tables, and their types beside the input's."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from .column import Column
from .errors import MapOutputError
from .features.features import encode, from_arrow, needs_encoding, to_arrow
from .features.storage import holds_files
from .features.types import Json, List
from .values import to_arrow_array

if TYPE_CHECKING:
    from .task import Task

__all__ = ["SMALL", "as_table", "assemble", "mixed_feature", "shrink"]

# What models call these columns; the ecosystem stores them in the smallest type that their values need.
SMALL = {
    "input_ids": pa.int32(),
    "attention_mask": pa.int8(),
    "token_type_ids": pa.int8(),
    "special_tokens_mask": pa.int8(),
}


def as_table(task: Task, result: Any) -> pa.Table:
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


def assemble(task: Task, table: pa.Table, results: dict[str, Any], gone: Collection[str] = ()) -> pa.Table:
    """Return the input's columns that stay, with those that the function made in their places or behind them.

    Args:
        task: the call.
        table: the input.
        results: the columns that the function made.
        gone: the columns that the function deleted from what it was given.
    """
    made = {name: _column(task, name, value) for name, value in results.items()}
    kept = [name for name in table.column_names if name not in task.removed and name not in made and name not in gone]
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


def _column(task: Task, name: str, value: Any) -> pa.Array:
    try:
        declared = task.features is not None and name in task.features
        declared = declared or holds_files(task.dataset.features.get(name))  # images stand beside stored ones
        if task.on_mixed_types == "use_json" and isinstance(value, list) and not declared:
            known = task.mixed.get(name)
            if known is None and value and _holds_dicts(value):
                known = mixed_feature(value)
            if known is not None:
                return _as_json(task, name, value, known)
        return _convert(task, name, value)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, TypeError, OverflowError) as error:
        if task.on_mixed_types == "use_json" and isinstance(value, list) and not declared:
            feature = mixed_feature(value)
            if feature is not None:
                return _as_json(task, name, value, feature)
        raise MapOutputError(f"what the function returned for column {name!r} cannot be stored: {error}") from error


def _as_json(task: Task, name: str, values: list[Any], feature: Any) -> pa.Array:
    task.mixed[name] = feature
    return to_arrow_array([encode(feature, value) for value in values], to_arrow(feature))


def _holds_dicts(values: list[Any]) -> bool:
    first: Any = values
    while isinstance(first, list):
        first = next((value for value in first if value is not None), None)
    return isinstance(first, dict)


def mixed_feature(values: list[Any]) -> Any:
    """Return a feature that keeps values without a common type as JSON, at the deepest place where they differ.

    Dicts with different keys have no common type, either.

    Returns:
        The feature, or None where the values have a common type.
    """
    feature = _joint(values)
    return feature if _has_json(feature) else None


def _has_json(feature: Any) -> bool:
    if isinstance(feature, dict):
        return any(_has_json(inner) for inner in feature.values())
    return isinstance(feature, Json) or (isinstance(feature, List) and _has_json(feature.feature))


def _joint(values: list[Any]) -> Any:
    values = [value for value in values if value is not None]
    dicts = sum(isinstance(value, dict) for value in values)
    lists = sum(isinstance(value, (list, tuple)) for value in values)
    if values and dicts == len(values):
        keys = set(values[0])
        if any(set(value) != keys for value in values):
            return Json()
        return {key: _joint([value[key] for value in values]) for key in values[0]}
    if values and lists == len(values):
        return List(_joint([item for value in values for item in value]))
    if dicts or lists:
        return Json()
    try:
        return from_arrow(to_arrow_array(values).type)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
        return Json()


def _convert(task: Task, name: str, value: Any) -> pa.Array:
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
    small = SMALL.get(name)
    if small is not None:
        array = shrink(array, small)
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


def shrink(array: pa.Array, small: pa.DataType) -> pa.Array:
    """Store integers, or lists of them, in the smaller type that their column's name promises, where the values fit."""
    wanted = _smaller(array.type, small)
    if wanted is None or wanted == array.type:
        return array
    try:
        return array.cast(wanted)
    except pa.ArrowInvalid:
        return array


def _smaller(kind: pa.DataType, small: pa.DataType) -> pa.DataType | None:
    if pa.types.is_integer(kind):
        return small
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind)):
        return None
    inner = _smaller(kind.value_type, small)
    return None if inner is None else (pa.large_list if pa.types.is_large_list(kind) else pa.list_)(inner)
