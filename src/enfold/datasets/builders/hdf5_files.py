"""HDF5: the datasets of a file are columns, its groups structs; the first dimension counts the rows."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from enfold.errors import required

from ..errors import DatasetGenerationError
from ..features.arrays import Array2D, Array3D, Array4D, Array5D
from ..features.features import Features, to_arrow
from ..features.types import List, Value, dtype_name
from ..values import to_arrow_array
from .base import DatasetBuilder

__all__ = ["Builder"]

_ARRAYS = {2: Array2D, 3: Array3D, 4: Array4D, 5: Array5D}
_ROWS = 1000


class Builder(DatasetBuilder):
    """Reads HDF5 files with h5py: numbers, text, arrays up to five dimensions, complex and compound values, lists.

    Complex values become structs of ``real`` and ``imag``, compound ones structs of their fields, variable lengths
    lists. A link into another file, and data that lies in one, is refused.
    """

    name = "hdf5"

    @dataclasses.dataclass
    class Options:
        """What can be said about HDF5 files.

        Args:
            batch_size: rows that are read at a time; 1,000 where None.
        """

        batch_size: int | None = None

    def tables(self, path: str, name: str) -> Iterator[pa.Table]:
        h5py = required("h5py", "the hdf5 builder", "hdf5")
        try:
            file = h5py.File(path, "r")
        except OSError as error:
            raise DatasetGenerationError(f"{name}: no HDF5 file: {error}") from error
        with file:
            columns = _columns(h5py, file, name)
            sizes = {place: len(data) for place, data in _leaves(columns)}
            if not sizes:
                raise DatasetGenerationError(f"{name}: the file holds no dataset")
            if len(set(sizes.values())) > 1:
                raise DatasetGenerationError(f"{name}: the datasets have different lengths: {sizes}")
            features = Features(_features(columns))
            if self.info.features is None:
                self.info.features = features
            columns = {key: data for key, data in columns.items() if key in self.info.features}
            rows, step = next(iter(sizes.values())), self.options.batch_size or _ROWS
            for start in range(0, max(rows, 1), step):
                made = {key: _arrow(data, start, start + step, features[key]) for key, data in columns.items()}
                yield pa.table(made)


def _columns(h5py: Any, group: Any, name: str) -> dict[str, Any]:
    """Return a group's datasets by name, those of its groups in dicts.

    Raises:
        DatasetGenerationError: something of it is in another file.
    """
    found: dict[str, Any] = {}
    for key in group:
        if isinstance(group.get(key, getlink=True), h5py.ExternalLink):
            raise DatasetGenerationError(
                f"{name}: {group.name}{key} is a link into another file, which is not followed"
            )
        item = group[key]
        if isinstance(item, h5py.Group):
            inner = _columns(h5py, item, name)
            if inner:
                found[key] = inner
            continue
        layout = item.id.get_create_plist().get_layout()
        if item.external or layout not in (h5py.h5d.COMPACT, h5py.h5d.CONTIGUOUS, h5py.h5d.CHUNKED):
            raise DatasetGenerationError(f"{name}: the data of {item.name} lies in another file: not read")
        if not item.shape:
            raise DatasetGenerationError(f"{name}: {item.name} is a single value, which has no rows")
        found[key] = item
    return found


def _leaves(columns: dict[str, Any], place: str = "") -> Iterator[tuple[str, Any]]:
    for key, item in columns.items():
        if isinstance(item, dict):
            yield from _leaves(item, f"{place}{key}/")
        else:
            yield f"{place}{key}", item


def _features(columns: dict[str, Any]) -> dict[str, Any]:
    return {
        key: _features(item) if isinstance(item, dict) else _feature(item.dtype, item.shape[1:])
        for key, item in columns.items()
    }


def _feature(dtype: np.dtype, shape: tuple[int, ...]) -> Any:
    """Return the feature of a dataset's values: ``dtype`` in an array of ``shape`` for each row."""
    if dtype.subdtype is not None:
        inner, more = dtype.subdtype
        return _feature(inner, (*shape, *more))
    if dtype.kind == "c":
        part = _feature(np.dtype("float32" if dtype == np.complex64 else "float64"), shape)
        return {"real": part, "imag": part}
    if dtype.names is not None:
        return {name: _feature(dtype[name], shape) for name in dtype.names}
    notes: dict[str, Any] = dict(dtype.metadata or {})
    held = notes.get("vlen")
    if held is not None:
        return Value("string") if held in (str, bytes) else List(_feature(np.dtype(held), ()))
    if dtype.kind == "O":
        raise DatasetGenerationError("a dataset of Python objects is not supported; h5py.vlen_dtype makes lists")
    value = Value("binary" if dtype.kind == "S" else dtype_name(pa.from_numpy_dtype(dtype)))
    if not shape:
        return value
    if 0 in shape:
        return List(value)
    if len(shape) == 1:
        return List(value, length=shape[0])
    if len(shape) not in _ARRAYS:
        raise DatasetGenerationError(f"arrays of {len(shape)} dimensions are not supported: five at most")
    return _ARRAYS[len(shape)](shape=shape, dtype=value.dtype)


def _arrow(item: Any, start: int, stop: int, feature: Any) -> pa.Array:
    if isinstance(item, dict):
        parts = {key: _arrow(inner, start, stop, feature[key]) for key, inner in item.items()}
        return pa.StructArray.from_arrays(list(parts.values()), names=list(parts))
    return _stored(item[start:stop], feature)


def _stored(values: np.ndarray, feature: Any) -> pa.Array:
    if isinstance(feature, dict):
        names = list(feature)
        parts = [values.real, values.imag] if values.dtype.kind == "c" else [values[name] for name in names]
        arrays = [_stored(part, feature[name]) for part, name in zip(parts, names, strict=True)]
        return pa.StructArray.from_arrays(arrays, names=names)
    kind = to_arrow(feature)
    if values.dtype.kind == "O":
        rows = [item.decode() if isinstance(item, bytes) else item for item in values]
        return pa.array(rows, kind)
    if values.ndim > 1 and 0 in values.shape[1:]:
        return pa.array([[] for _ in values], kind)
    return to_arrow_array(np.ascontiguousarray(values), kind)
