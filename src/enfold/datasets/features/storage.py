"""From features to what is stored and back: Arrow types, encoding, decoding, casts, files put into their columns."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa

from .arrays import array_of
from .audio import Audio
from .image import Image
from .media import MediaFile, MediaType
from .pdf import Pdf
from .types import Json, LargeList, List, Value, dtype_name
from .video import Video

__all__ = [
    "cast_to",
    "decode_all",
    "decoder",
    "embed",
    "embed_table",
    "encode",
    "file_type",
    "flatten_table",
    "from_arrow",
    "holds_files",
    "is_heavy",
    "needs_encoding",
    "storage_schema",
    "to_arrow",
]

_MEDIA = {kind.__name__: kind for kind in (Image, Audio, Video, Pdf)}


# ---- types -----------------------------------------------------------------------------------------------------------


def to_arrow(feature: Any) -> pa.DataType:
    """Return the Arrow type in which a feature's values are kept in memory: without marks of extension types."""
    if isinstance(feature, dict):
        return pa.struct([(name, to_arrow(inner)) for name, inner in feature.items()])
    if isinstance(feature, (list, tuple)):
        return pa.list_(to_arrow(feature[0]))
    if isinstance(feature, List):
        return pa.list_(to_arrow(feature.feature), feature.length)
    if isinstance(feature, LargeList):
        return pa.large_list(to_arrow(feature.feature))
    return feature.stored_type() if hasattr(feature, "stored_type") else feature()


def file_type(feature: Any) -> pa.DataType:
    """Return the Arrow type of a feature in files: arrays and JSON carry the marks that other programs read."""
    if isinstance(feature, dict):
        return pa.struct([(name, file_type(inner)) for name, inner in feature.items()])
    if isinstance(feature, (list, tuple)):
        return pa.list_(file_type(feature[0]))
    return feature()


def from_arrow(arrow: pa.DataType) -> Any:
    """Return the feature that an Arrow type stands for when nothing else is known about it."""
    types = pa.types
    if isinstance(arrow, pa.BaseExtensionType):
        if isinstance(arrow, MediaType):
            return _MEDIA[arrow.feature]()
        if arrow.extension_name == "arrow.json":
            return Json()
        return array_of(arrow) or from_arrow(arrow.storage_type)
    if types.is_struct(arrow):
        return {arrow.field(i).name: from_arrow(arrow.field(i).type) for i in range(arrow.num_fields)}
    if types.is_fixed_size_list(arrow):
        return List(from_arrow(arrow.value_type), length=arrow.list_size)
    if types.is_list(arrow) or types.is_list_view(arrow):
        return List(from_arrow(arrow.value_type))
    if types.is_large_list(arrow) or types.is_large_list_view(arrow):
        return LargeList(from_arrow(arrow.value_type))
    if types.is_map(arrow):
        return List({"key": from_arrow(arrow.key_type), "value": from_arrow(arrow.item_type)})
    return Value(dtype_name(arrow))


def storage_schema(schema: pa.Schema) -> pa.Schema:
    """Return a schema whose extension and dictionary types are replaced by the types that hold their values."""

    def plain(arrow: pa.DataType) -> pa.DataType:
        if isinstance(arrow, pa.BaseExtensionType):
            return plain(arrow.storage_type)
        if pa.types.is_dictionary(arrow):
            return plain(arrow.value_type)
        if pa.types.is_struct(arrow):
            return pa.struct([(arrow.field(i).name, plain(arrow.field(i).type)) for i in range(arrow.num_fields)])
        if pa.types.is_fixed_size_list(arrow):
            return pa.list_(plain(arrow.value_type), arrow.list_size)
        if pa.types.is_list(arrow):
            return pa.list_(plain(arrow.value_type))
        if pa.types.is_large_list(arrow):
            return pa.large_list(plain(arrow.value_type))
        return arrow

    return pa.schema([(field.name, plain(field.type)) for field in schema], metadata=schema.metadata)


# ---- encoding --------------------------------------------------------------------------------------------------------


def encode(feature: Any, value: Any) -> Any:
    """Return a Python value as it is stored in a column of this feature (names of labels become integers)."""
    if value is None:
        return None
    if isinstance(feature, dict):
        if not isinstance(value, Mapping):
            raise TypeError(f"expected a dict with the fields {list(feature)}, not a {type(value).__name__}")
        return {name: encode(inner, value.get(name)) for name, inner in feature.items()}
    if isinstance(feature, (list, tuple)):
        return [encode(feature[0], item) for item in value]
    if isinstance(feature, (List, LargeList)):
        if isinstance(feature.feature, dict) and isinstance(value, Mapping):  # a dict of lists, the older form
            value = [dict(zip(value, items, strict=False)) for items in zip(*value.values(), strict=False)]
        return [encode(feature.feature, item) for item in value] if needs_encoding(feature.feature) else list(value)
    return feature.encode_example(value) if hasattr(feature, "encode_example") else value


def needs_encoding(feature: Any) -> bool:
    """Return whether a column of this feature may hold Python values that Arrow alone would not store rightly."""
    if isinstance(feature, dict):
        return any(needs_encoding(inner) for inner in feature.values())
    if isinstance(feature, (list, tuple)):
        return needs_encoding(feature[0])
    if isinstance(feature, (List, LargeList)):
        return needs_encoding(feature.feature) or isinstance(feature.feature, dict)
    return hasattr(feature, "encode_example") and not isinstance(feature, Value)


# ---- decoding --------------------------------------------------------------------------------------------------------


def decoder(feature: Any, token_per_repo_id: Mapping[str, Any] | None = None) -> Callable[[Any], Any] | None:
    """Return the function that turns a stored value into the one that users see, or None where they are the same."""
    if isinstance(feature, dict):
        parts = {name: found for name, inner in feature.items() if (found := decoder(inner, token_per_repo_id))}
        if not parts:
            return None
        return lambda value: None if value is None else {k: parts[k](v) if k in parts else v for k, v in value.items()}
    if isinstance(feature, (List, LargeList, list, tuple)):
        inner = decoder(feature[0] if isinstance(feature, (list, tuple)) else feature.feature, token_per_repo_id)
        return None if inner is None else (lambda value: None if value is None else [inner(item) for item in value])
    if not getattr(feature, "decode", False):
        return None
    if token_per_repo_id:
        return lambda value: None if value is None else feature.decode_example(value, token_per_repo_id)
    return lambda value: None if value is None else feature.decode_example(value)


def is_heavy(feature: Any) -> bool:
    """Return whether decoding one value takes long or much memory, so that it is not done ahead of need."""
    if isinstance(feature, dict):
        return any(is_heavy(inner) for inner in feature.values())
    if isinstance(feature, (List, LargeList, list, tuple)):
        return is_heavy(feature[0] if isinstance(feature, (list, tuple)) else feature.feature)
    return isinstance(feature, MediaFile) and feature.decode


def decode_all(decode: Callable[[Any], Any], values: Sequence[Any], heavy: bool = True) -> list[Any]:
    """Return the decoded values of a batch; files are decoded in several threads, as their libraries drop the lock.

    Args:
        decode: what :func:`decoder` returned.
        values: stored values.
        heavy: whether threads are worth it.
    """
    workers = min(len(values) // 4, os.cpu_count() or 1, 16)
    if not heavy or workers < 2:
        return [decode(value) for value in values]
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(decode, values))


# ---- casts -----------------------------------------------------------------------------------------------------------


def cast_to(array: pa.Array, feature: Any) -> pa.Array:
    """Return a stored column as a column of another feature: names become labels, paths become files, on every level.

    Raises:
        pyarrow.ArrowInvalid: values that do not fit.
        ValueError: a label or a file that does not fit.
    """
    from ..values import cast_array

    kind = array.type
    if isinstance(kind, pa.BaseExtensionType):
        return cast_to(array.storage, feature)
    if pa.types.is_dictionary(kind):
        return cast_to(array.dictionary_decode(), feature)
    wanted = to_arrow(feature)
    if pa.types.is_null(kind):
        return pa.nulls(len(array), wanted)
    if hasattr(feature, "cast_storage"):
        return feature.cast_storage(array)
    if isinstance(feature, dict) and pa.types.is_struct(kind):
        have = {kind.field(i).name: i for i in range(kind.num_fields)}
        extra = sorted(set(have) - set(feature))
        if extra:
            raise pa.ArrowInvalid(f"the fields {extra} have no place in {wanted}")
        children = array.flatten()
        columns = [
            cast_to(children[have[name]], inner) if name in have else pa.nulls(len(array), to_arrow(inner))
            for name, inner in feature.items()
        ]
        mask = array.is_null() if array.null_count else None
        return pa.StructArray.from_arrays(columns, names=list(feature), mask=mask)
    if isinstance(feature, (list, tuple)):
        feature = List(feature[0])
    if isinstance(feature, (List, LargeList)) and needs_encoding(feature.feature):
        return _cast_items(array, feature)
    return cast_array(array, wanted)


def _cast_items(array: pa.Array, feature: Any) -> pa.Array:
    from ..values import cast_array, to_large_offsets

    kind, wanted = array.type, to_arrow(feature)
    if isinstance(feature.feature, dict) and pa.types.is_struct(kind):
        raise pa.ArrowInvalid(f"a column of {kind} does not hold lists of {feature.feature!r}")
    if pa.types.is_fixed_size_list(kind):
        array = array.cast(pa.list_(kind.value_type))
    bounds = to_large_offsets(array)
    start, stop = int(bounds[0]), int(bounds[-1])
    items = cast_to(array.values.slice(start, stop - start), feature.feature)
    large = isinstance(feature, LargeList)
    make = pa.LargeListArray if large else pa.ListArray
    edges = pa.array(bounds - start, pa.int64() if large else pa.int32())
    made = make.from_arrays(edges, items, mask=array.is_null() if array.null_count else None)
    return made if made.type == wanted else cast_array(made, wanted)


def embed(array: pa.Array, feature: Any, **options: Any) -> pa.Array:
    """Return a stored column with the content of files in the place of their paths, on every level.

    Args:
        array: the column.
        feature: its feature.
        options: the arguments of :meth:`~enfold.datasets.features.media.MediaFile.embed_storage`.
    """
    if hasattr(feature, "embed_storage"):
        return feature.embed_storage(array, **options)
    if isinstance(feature, dict) and holds_files(feature):
        columns = [
            embed(child, feature[array.type.field(i).name], **options) for i, child in enumerate(array.flatten())
        ]
        names = [array.type.field(i).name for i in range(array.type.num_fields)]
        return pa.StructArray.from_arrays(columns, names=names, mask=array.is_null() if array.null_count else None)
    if isinstance(feature, (List, LargeList)) and holds_files(feature):
        from ..values import to_large_offsets

        if pa.types.is_fixed_size_list(array.type):
            values = array.values.slice(array.offset * array.type.list_size, len(array) * array.type.list_size)
            made = embed(values, feature.feature, **options)
            return pa.FixedSizeListArray.from_arrays(made, array.type.list_size)
        bounds = to_large_offsets(array)
        start, stop = int(bounds[0]), int(bounds[-1])
        items = embed(array.values.slice(start, stop - start), feature.feature, **options)
        large = isinstance(feature, LargeList)
        edges = pa.array(bounds - start, pa.int64() if large else pa.int32())
        make = pa.LargeListArray if large else pa.ListArray
        return make.from_arrays(edges, items, mask=array.is_null() if array.null_count else None)
    return array


def flatten_table(table: pa.Table, features: Mapping[str, Any]) -> pa.Table:
    """Return a table whose structs are laid out as columns, as far as flattened features name those."""
    while any(name not in features for name in table.column_names):
        columns: dict[str, pa.Array] = {}
        for name in table.column_names:
            column = table.column(name)
            if name in features:
                columns[name] = column
            else:
                columns.update(
                    (f"{name}.{field.name}", part) for field, part in zip(column.type, column.flatten(), strict=True)
                )
        table = pa.table(columns)
    return table


def embed_table(table: pa.Table, features: Mapping[str, Any], **options: Any) -> pa.Table:
    """Return a table with the content of files in the place of their paths, in the columns that hold files."""
    from ..values import one_array

    for place, name in enumerate(table.column_names):
        if name in features and holds_files(features[name]):
            table = table.set_column(place, name, embed(one_array(table.column(name)), features[name], **options))
    return table


def holds_files(feature: Any) -> bool:
    """Return whether a feature stores files, on any level."""
    if isinstance(feature, dict):
        return any(holds_files(inner) for inner in feature.values())
    if isinstance(feature, (List, LargeList)):
        return holds_files(feature.feature)
    return hasattr(feature, "embed_storage")
