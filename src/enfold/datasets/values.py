"""Between Arrow arrays and Python values, in bulk: through the buffers, not one scalar at a time."""

from __future__ import annotations

import functools
import struct
import sys
from collections.abc import Callable, Mapping, Sequence
from itertools import chain, pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

__all__ = [
    "arrow_to_list",
    "arrow_to_numpy",
    "one_array",
    "row_reader",
    "rows_of_columns",
    "take_rows",
    "to_arrow_array",
    "to_large_offsets",
]


def one_array(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Return a column as one contiguous array."""
    if isinstance(column, pa.ChunkedArray):
        if column.num_chunks == 1:
            return column.chunk(0)
        combined = column.combine_chunks()
        return combined if isinstance(combined, pa.Array) else pa.concat_arrays(combined.chunks)
    return column


def to_large_offsets(array: pa.Array) -> np.ndarray:
    """Return the row boundaries of a list array as int64 positions in ``array.values``, shape (rows + 1,)."""
    return np.asarray(array.offsets).astype(np.int64, copy=False)


def _is_flat(arrow: pa.DataType) -> bool:
    return (pa.types.is_integer(arrow) or pa.types.is_floating(arrow)) and not pa.types.is_float16(arrow)


def arrow_to_list(array: pa.Array) -> list[Any]:
    """Return an array as a Python list, by way of its buffers.

    Example:
        >>> arrow_to_list(pa.array([[1, 2], None, []]))
        [[1, 2], None, []]
    """
    kind = array.type
    if isinstance(kind, pa.BaseExtensionType):
        return arrow_to_list(array.storage)
    if array.null_count == 0:
        if _is_flat(kind):
            return array.to_numpy(zero_copy_only=True).tolist()
        if pa.types.is_boolean(kind):
            return array.to_numpy(zero_copy_only=False).tolist()
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        bounds = np.asarray(array.offsets)
        first = int(bounds[0]) if len(bounds) else 0
        last = int(bounds[-1]) if len(bounds) else 0
        items = array.values.slice(first, last - first)
        edges = (bounds - first).tolist()
        if _is_flat(items.type) and items.null_count == 0 and len(items) > 16 * len(array):
            numbers = items.to_numpy(zero_copy_only=True)  # long lists: a row is copied once, from the buffer
            out: list[Any] = [numbers[start:stop].tolist() for start, stop in pairwise(edges)]
        else:
            flat = arrow_to_list(items)
            out = [flat[start:stop] for start, stop in pairwise(edges)]
    elif pa.types.is_fixed_size_list(kind):
        size = kind.list_size
        flat = arrow_to_list(array.values.slice(array.offset * size, len(array) * size))
        out = [flat[start : start + size] for start in range(0, len(array) * size, size)] if size else [[]] * len(array)
    elif pa.types.is_struct(kind):
        names = [kind.field(i).name for i in range(kind.num_fields)]
        columns = [arrow_to_list(child) for child in array.flatten()]
        out = (
            [dict(zip(names, row, strict=False)) for row in zip(*columns, strict=False)]
            if names
            else [{} for _ in range(len(array))]
        )
    else:
        return array.to_pylist()
    if array.null_count:
        valid = array.is_valid().to_numpy(zero_copy_only=False).tolist()
        out = [value if known else None for value, known in zip(out, valid, strict=False)]
    return out


def arrow_to_numpy(array: pa.Array) -> np.ndarray:
    """Return an array as numpy without a copy where its layout allows it.

    Numbers without nulls are a view; numbers with nulls become float64 with NaN; lists of one length become an array
    of one dimension more; ragged lists become an object array of arrays; everything else an object array.
    """
    kind = array.type
    if isinstance(kind, pa.BaseExtensionType):
        return arrow_to_numpy(array.storage)
    if _is_flat(kind) or pa.types.is_float16(kind):
        if array.null_count == 0:
            return array.to_numpy(zero_copy_only=True)
        return array.to_numpy(zero_copy_only=False)
    if pa.types.is_boolean(kind) and array.null_count == 0:
        return array.to_numpy(zero_copy_only=False)
    if pa.types.is_fixed_size_list(kind) and array.null_count == 0:
        inner = arrow_to_numpy(array.values.slice(array.offset * kind.list_size, len(array) * kind.list_size))
        return inner.reshape(len(array), kind.list_size, *inner.shape[1:])
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        if array.null_count == 0 and len(array):
            bounds = array.offsets.to_numpy()
            flat = arrow_to_numpy(array.values.slice(int(bounds[0]), int(bounds[-1] - bounds[0])))
            size = int(bounds[1] - bounds[0])
            if bool((bounds[1:] - bounds[:-1] == size).all()) and (
                flat.dtype != object or not _is_nested(kind.value_type)
            ):
                return flat.reshape(len(array), size, *flat.shape[1:])
            edges = (bounds - bounds[0]).tolist()
            return _objects([flat[start:stop] for start, stop in pairwise(edges)])
        return _objects([None if row is None else np.asarray(row) for row in arrow_to_list(array)])
    return _objects(arrow_to_list(array))


def _is_ragged(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind)


def _is_nested(kind: pa.DataType) -> bool:
    return pa.types.is_nested(kind)


def _is_deep(kind: pa.DataType) -> bool:
    """Whether the items of a list need a cast of their own."""
    return pa.types.is_nested(kind.value_type) or isinstance(kind.value_type, pa.BaseExtensionType)


def _objects(values: list[Any]) -> np.ndarray:
    # np.array(values, dtype=object) would look into the values and may make two dimensions of them
    out = np.empty(len(values), dtype=object)
    for i, value in enumerate(values):
        out[i] = value
    return out


def take_rows(batch: pa.RecordBatch, rows: np.ndarray) -> pa.RecordBatch:
    """Return rows of a batch; lists of numbers are copied row by row, which Arrow does value by value.

    Args:
        batch: the rows to choose from.
        rows: their numbers, int64, shape (n,).
    """
    numbers = pa.array(rows)
    if not any(_is_ragged(column.type) for column in batch.columns):
        return batch.take(numbers)
    columns = []
    for column in batch.columns:
        copied = _take_lists(column, rows)
        columns.append(column.take(numbers) if copied is None else copied)
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema)


def _take_lists(array: pa.Array, rows: np.ndarray) -> pa.Array | None:
    kind = array.type
    if not _is_ragged(kind) or not _is_flat(kind.value_type) or not len(rows):
        return None
    if array.null_count or array.values.null_count:
        return None
    bounds = np.asarray(array.offsets)
    starts, stops = bounds[rows], bounds[rows + 1]
    edges = np.zeros(len(rows) + 1, np.int64)
    np.cumsum(stops - starts, out=edges[1:])
    if edges[-1] < 8 * len(rows) or edges[-1] > np.iinfo(bounds.dtype).max:
        return None  # short lists: a copy of each costs more than Arrow's loop
    flat = array.values.to_numpy(zero_copy_only=True)
    size = int(stops[0] - starts[0])
    if int(edges[-1]) == size * len(rows) and not (starts % size).any() and bool((stops - starts == size).all()):
        chosen = flat[: len(flat) // size * size].reshape(-1, size)[starts // size].reshape(-1)
    else:
        chosen = np.concatenate([flat[a:b] for a, b in zip(starts.tolist(), stops.tolist(), strict=True)])
    make = pa.LargeListArray if pa.types.is_large_list(kind) else pa.ListArray
    return make.from_arrays(pa.array(edges.astype(bounds.dtype)), pa.array(chosen), type=kind)


def rows_of_columns(names: Sequence[str], columns: Sequence[Sequence[Any]]) -> list[dict[str, Any]]:
    """Return rows as dicts, of columns of equal length (at least one)."""
    # a display written out for this number of columns makes a row in half the time of dict(zip(...))
    return _row_maker(len(names))(*names, *columns)


@functools.lru_cache(maxsize=64)
def _row_maker(count: int) -> Callable[..., list[dict[str, Any]]]:
    numbers = range(count)
    if count > 50:
        return lambda *given: [dict(zip(given[:count], row, strict=True)) for row in zip(*given[count:], strict=True)]
    arguments = ", ".join([*(f"n{i}" for i in numbers), *(f"c{i}" for i in numbers)])
    items, values = ", ".join(f"n{i}: v{i}" for i in numbers), ", ".join(f"v{i}" for i in numbers)
    zipped = ", ".join(f"c{i}" for i in numbers)
    return eval(f"lambda {arguments}: [{{{items}}} for {values}, in zip({zipped})]")  # only names that we count here


def row_reader(array: pa.Array, *, numpy: bool = False) -> Callable[[int], Any]:
    """Return a function from a row's number to its value: a typed reader over the buffers where the type has one.

    Args:
        array: the column's chunk.
        numpy: give numbers as numpy scalars and lists of numbers as numpy views, not as Python values.
    """
    kind = array.type
    if array.null_count == 0:
        if _is_flat(kind):
            values = array.to_numpy(zero_copy_only=True)
            return values.__getitem__ if numpy else values.item
        if pa.types.is_boolean(kind):
            bits, start = np.frombuffer(array.buffers()[1], np.uint8), array.offset
            if numpy:
                return lambda i: np.bool_(bits[(start + i) >> 3] >> ((start + i) & 7) & 1)
            return lambda i: bool(bits[(start + i) >> 3] >> ((start + i) & 7) & 1)
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            _, offsets, data = array.buffers()
            wide = np.int64 if pa.types.is_large_string(kind) else np.int32
            edges = np.frombuffer(offsets, wide)[array.offset :]
            text = memoryview(data) if data is not None else memoryview(b"")
            return lambda i: str(text[edges[i] : edges[i + 1]], "utf-8")
        listed = pa.types.is_list(kind) or pa.types.is_large_list(kind)
        if listed and _is_flat(kind.value_type) and array.values.null_count == 0:
            edges = np.asarray(array.offsets)
            flat = array.values.to_numpy(zero_copy_only=True)
            if numpy:
                return lambda i: flat[edges[i] : edges[i + 1]]
            return lambda i: flat[edges[i] : edges[i + 1]].tolist()
    if numpy:
        return lambda i: arrow_to_numpy(array.slice(i, 1))[0]
    return lambda i: arrow_to_list(array.slice(i, 1))[0]


# ---- from Python to Arrow --------------------------------------------------------------------------------------------


def to_arrow_array(values: Any, kind: pa.DataType | None = None) -> pa.Array:
    """Return what a user's function gave back for a column as an Arrow array.

    Objects with ``__arrow_c_array__`` or ``__arrow_c_stream__`` are taken over without a Python list; numpy arrays
    and torch tensors of any number of dimensions through their buffers; everything else value by value.

    Args:
        values: the column.
        kind: the Arrow type to make; inferred where None.

    Raises:
        pyarrow.ArrowInvalid: the values do not fit ``kind``, or have no common type.
    """
    if isinstance(values, (pa.Array, pa.ChunkedArray)):
        made = one_array(values)
    elif hasattr(values, "__arrow_c_array__"):
        made = pa.array(values)
    elif hasattr(values, "__arrow_c_stream__"):
        made = one_array(pa.chunked_array(values))
    elif isinstance(values, np.ndarray):
        made = _from_numpy(values, kind)
    elif hasattr(values, "detach") and hasattr(values, "numpy"):
        made = _from_numpy(values.detach().cpu().numpy(), kind)
    elif hasattr(values, "to_numpy") and hasattr(values, "iloc"):
        made = pa.Array.from_pandas(values)
    else:
        return _from_values(values if isinstance(values, list) else list(values), kind)
    if kind is not None and made.type != kind:
        made = cast_array(made, kind)
    return made


def cast_array(array: pa.Array, kind: pa.DataType) -> pa.Array:
    """Cast an array, also where Arrow's own cast does not reach: structs by field name, lists by their items."""
    if array.type == kind:
        return array
    if isinstance(array, pa.ExtensionArray):
        return cast_array(array.storage, kind)
    if isinstance(kind, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(kind, cast_array(array, kind.storage_type))
    if pa.types.is_struct(kind) and pa.types.is_struct(array.type):
        have = {array.type.field(i).name: i for i in range(array.type.num_fields)}
        children = array.flatten()
        columns, names = [], []
        for i in range(kind.num_fields):
            name, inner = kind.field(i).name, kind.field(i).type
            names.append(name)
            columns.append(cast_array(children[have[name]], inner) if name in have else pa.nulls(len(array), inner))
        extra = set(have) - set(names)
        if extra:
            raise pa.ArrowInvalid(f"the fields {sorted(extra)} have no place in {kind}")
        return pa.StructArray.from_arrays(columns, names, mask=array.is_null() if array.null_count else None)
    if _is_ragged(kind) and _is_ragged(array.type) and (_is_deep(kind) or _is_deep(array.type)):
        bounds = to_large_offsets(array)
        start = int(bounds[0]) if len(bounds) else 0
        stop = int(bounds[-1]) if len(bounds) else 0
        items = cast_array(array.values.slice(start, stop - start), kind.value_type)
        large = pa.types.is_large_list(kind)
        edges = pa.array(bounds - start, pa.int64() if large else pa.int32())
        make = (pa.LargeListArray if large else pa.ListArray).from_arrays
        made = make(edges, items, mask=array.is_null() if array.null_count else None)
        return made.cast(kind) if made.type != kind else made
    if pa.types.is_fixed_size_list(kind) and not pa.types.is_fixed_size_list(array.type):
        lengths = pc.unique(pc.list_value_length(array).drop_null()).to_pylist()
        if lengths not in ([], [kind.list_size]):
            raise pa.ArrowInvalid(f"lists of lengths {sorted(lengths)} do not fit {kind}")
    return array.cast(kind)


def _from_numpy(values: np.ndarray, kind: pa.DataType | None) -> pa.Array:
    if values.ndim == 0:
        values = values.reshape(1)
    if values.dtype == object or values.dtype.kind in "US":
        return _from_values(values.tolist() if values.ndim > 1 else list(values), kind)
    made = pa.array(np.ascontiguousarray(values).reshape(-1))
    for size in reversed(values.shape[1:]):
        rows = len(made) // size if size else int(np.prod(values.shape[: values.shape.index(size)]))
        bounds = np.arange(rows + 1, dtype=np.int64) * size
        if bounds[-1] > np.iinfo(np.int32).max:
            made = pa.LargeListArray.from_arrays(pa.array(bounds), made)
        else:
            made = pa.ListArray.from_arrays(pa.array(bounds.astype(np.int32)), made)
    return made


def _from_values(values: list[Any], kind: pa.DataType | None) -> pa.Array:
    first = next((value for value in values if value is not None), None)
    if first is None:
        return pa.nulls(len(values), kind or pa.null())
    if isinstance(first, list):
        fast = _from_integer_lists(values, kind)
        if fast is not None:
            return fast
        item = next((item for value in values if value is not None for item in value if item is not None), None)
        if _media(item) is not None or (isinstance(item, list) and kind is None):
            items = _from_values([item for value in values if value is not None for item in value], None)
            if _holds_media(items.type):
                return _lists_of(items, values, kind)
    elif _is_array(first):
        return _from_arrays(values, kind)
    elif _media(first) is not None:
        return _from_media(values, kind)
    elif isinstance(first, Mapping) and not isinstance(first, dict):
        values = [None if value is None else dict(value) for value in values]
    try:
        return pa.array(values, kind)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
        if kind is not None:
            return cast_array(_from_values(values, None), kind)
        plain = [_plain(value) for value in values]
        if all(mine is theirs for mine, theirs in zip(plain, values, strict=False)):
            raise
        return pa.array(plain)


def _from_integer_lists(values: list[Any], kind: pa.DataType | None) -> pa.Array | None:
    """Lists of integers, what tokenizers give, go through one flat buffer; None where they are not that."""
    if kind is not None and not (pa.types.is_list(kind) and pa.types.is_integer(kind.value_type)):
        return None
    item = next((value[0] for value in values if value), None)
    if type(item) is not int:
        return None
    try:
        lengths = np.fromiter(map(len, values), np.int64, len(values))
        flat = _packed(list(chain.from_iterable(values)))
    except (TypeError, struct.error):
        return None
    bounds = np.zeros(len(values) + 1, np.int64)
    np.cumsum(lengths, out=bounds[1:])
    if bounds[-1] > np.iinfo(np.int32).max:
        return None
    items = pa.array(flat)
    wanted = pa.int64() if kind is None else kind.value_type
    if items.type != wanted:
        items = items.cast(wanted)
    return pa.ListArray.from_arrays(pa.array(bounds.astype(np.int32)), items)


def _packed(values: list[Any]) -> np.ndarray:
    """Return Python integers as int32 where they fit, else as int64.

    ``struct`` stores an integer in half the time that numpy needs, and refuses everything else.

    Raises:
        struct.error: a value that is no integer of 64 bits.
    """
    step = 1 << 16
    for code, kind in (("i", np.int32), ("q", np.int64)):
        out = np.empty(len(values), kind)
        if not values:
            break
        target = memoryview(out).cast("B")  # type: ignore[arg-type]
        try:
            for start in range(0, len(values), step):
                part = values[start : start + step]
                struct.pack_into(f"={len(part)}{code}", target, start * out.itemsize, *part)
            return out
        except struct.error:
            if code == "q":
                raise
    return out


def _is_array(value: Any) -> bool:
    return isinstance(value, (np.ndarray, np.generic)) or (hasattr(value, "detach") and hasattr(value, "numpy"))


def _from_arrays(values: list[Any], kind: pa.DataType | None) -> pa.Array:
    arrays = [
        None if v is None else (v.detach().cpu().numpy() if hasattr(v, "detach") else np.asarray(v)) for v in values
    ]
    known = [value for value in arrays if value is not None]
    if any(value.ndim != known[0].ndim for value in known) or known[0].dtype.kind in "OUSMm":
        return _from_values([None if value is None else value.tolist() for value in arrays], kind)
    if known[0].ndim == 0:
        return pa.array(
            [None if value is None else value.item() for value in arrays], kind or pa.from_numpy_dtype(known[0].dtype)
        )
    items: Any
    if known[0].ndim == 1:
        items = pa.array(np.concatenate(known))
    else:
        items = _from_arrays([row for value in known for row in value], None)
    lengths = np.array([0 if value is None else len(value) for value in arrays], np.int64)
    bounds = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    mask = pa.array([value is None for value in arrays]) if len(known) < len(arrays) else None
    made = pa.ListArray.from_arrays(pa.array(bounds), items, mask=mask)
    return made if kind is None or made.type == kind else cast_array(made, kind)


def _media(value: Any) -> str | None:
    """Return the name of the feature that a decoded file belongs to, without loading any library for the answer."""
    if isinstance(value, (str, bytes, int, float, dict, list)) or value is None:
        return None
    for feature, module, kind in (
        ("Image", "PIL.Image", "Image"),
        ("Audio", "enfold.datasets.features.audio", "Recording"),
        ("Video", "enfold.datasets.features.video", "Clip"),
        ("Pdf", "pdfplumber.pdf", "PDF"),
    ):
        loaded = sys.modules.get(module)
        if loaded is not None and isinstance(value, getattr(loaded, kind)):
            return feature
    return None


def _from_media(values: list[Any], kind: pa.DataType | None) -> pa.Array:
    from .features.media import MEDIA, MediaType
    from .features.storage import from_arrow

    name = next(found for value in values if (found := _media(value)) is not None)
    mark = MediaType(name)
    feature = from_arrow(mark)
    made = pa.array([None if value is None else feature.encode_example(value) for value in values], MEDIA)
    return pa.ExtensionArray.from_storage(mark, made) if kind is None else cast_array(made, kind)


def _holds_media(kind: pa.DataType) -> bool:
    if pa.types.is_list(kind):
        return _holds_media(kind.value_type)
    return isinstance(kind, pa.BaseExtensionType) and kind.extension_name.startswith("enfold.")


def _lists_of(items: pa.Array, values: list[Any], kind: pa.DataType | None) -> pa.Array:
    lengths = [0 if value is None else len(value) for value in values]
    edges = pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))
    mask = pa.array([value is None for value in values]) if any(value is None for value in values) else None
    made = pa.ListArray.from_arrays(edges, items, mask=mask)
    return made if kind is None else cast_array(made, kind)


def _plain(value: Any) -> Any:
    """Replace numpy, torch and mapping objects in a value by Python's own; the value itself where it has none."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if hasattr(value, "detach") and hasattr(value, "tolist"):
        return value.tolist()
    if _media(value) == "Image":
        from .features.image import encode_image

        return encode_image(value)
    if isinstance(value, Mapping):
        inner = {name: _plain(item) for name, item in value.items()}
        return value if isinstance(value, dict) and all(inner[k] is value[k] for k in inner) else inner
    if isinstance(value, (list, tuple)):
        items = [_plain(item) for item in value]
        return value if all(mine is theirs for mine, theirs in zip(items, value, strict=False)) else items
    if hasattr(value, "__arrow_c_array__"):
        return pa.array(value).to_pylist()
    return value
