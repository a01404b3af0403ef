"""Arrays of two to five dimensions: stored as lists of lists, marked with their shape in files."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from .types import dtype_name, dtype_to_arrow

__all__ = ["Array2D", "Array3D", "Array4D", "Array5D", "array_of", "register"]


class _ArrayType(pa.ExtensionType):
    """The mark in files; the name and the metadata are those that the ecosystem's files have."""

    dimensions: ClassVar[int]

    def __init__(self, shape: tuple[int | None, ...], dtype: str) -> None:
        self.shape, self.value_type = tuple(shape), dtype
        super().__init__(
            _storage(self.shape, dtype), f"datasets.features.features.Array{len(self.shape)}DExtensionType"
        )

    def __arrow_ext_serialize__(self) -> bytes:
        return json.dumps((self.shape, self.value_type)).encode()

    @classmethod
    def __arrow_ext_deserialize__(cls, storage_type: pa.DataType, serialized: bytes) -> _ArrayType:
        shape, dtype = json.loads(serialized)
        return cls(tuple(shape), dtype)

    def __arrow_ext_class__(self) -> type:
        return _ArrayColumn

    def __reduce__(self) -> Any:
        return type(self), (self.shape, self.value_type)


class _ArrayColumn(pa.ExtensionArray):
    """An Arrow column of arrays."""

    def to_numpy(self, zero_copy_only: bool = True, writable: bool = False) -> np.ndarray:
        """Return the values, shape (rows, *shape), as a view where no row is missing; else an object array."""
        from ..values import arrow_to_numpy

        return arrow_to_numpy(self.storage)


class Array2DExtensionType(_ArrayType):
    dimensions = 2


class Array3DExtensionType(_ArrayType):
    dimensions = 3


class Array4DExtensionType(_ArrayType):
    dimensions = 4


class Array5DExtensionType(_ArrayType):
    dimensions = 5


_TYPES = {
    kind.dimensions: kind
    for kind in (Array2DExtensionType, Array3DExtensionType, Array4DExtensionType, Array5DExtensionType)
}


def register() -> None:
    """Make Arrow read the marks; where another library has done so already, its types serve as well."""
    for dimensions, kind in _TYPES.items():
        try:
            pa.register_extension_type(kind((1,) * dimensions, "int32"))
        except pa.ArrowKeyError:
            pass


def _storage(shape: tuple[int | None, ...], dtype: str) -> pa.DataType:
    kind = dtype_to_arrow(dtype)
    for _ in shape:
        kind = pa.list_(kind)
    return kind


@dataclass
class _Array:
    """A column of arrays of one number of dimensions."""

    shape: tuple[int | None, ...]
    dtype: str
    id: str | None = field(default=None, repr=False, compare=False)

    dimensions: ClassVar[int] = 0

    def __post_init__(self) -> None:
        self.shape = tuple(self.shape)
        name = type(self).__name__
        if len(self.shape) != self.dimensions:
            raise ValueError(f"{name} has {self.dimensions} dimensions; the shape {self.shape} has {len(self.shape)}")
        if any(size is None for size in self.shape[1:]):
            raise ValueError(f"only the first dimension may be None, to differ from row to row, not in {self.shape}")
        self.dtype = dtype_name(dtype_to_arrow(self.dtype))

    def __call__(self) -> pa.DataType:
        return _TYPES[self.dimensions](self.shape, self.dtype)

    def stored_type(self) -> pa.DataType:
        """Return the Arrow type of the values alone."""
        return _storage(self.shape, self.dtype)

    def encode_example(self, value: Any) -> Any:
        """Return what is stored for an array: an array of this dtype.

        Raises:
            ValueError: the shape is not the column's.
        """
        if value is None:
            return None
        if hasattr(value, "detach"):
            value = value.detach().cpu().numpy()
        return self.check(np.asarray(value))

    def check(self, value: np.ndarray) -> np.ndarray:
        """Return an array whose shape is one that this column holds."""
        fits = value.ndim == self.dimensions and all(
            mine is None or mine == theirs for mine, theirs in zip(self.shape, value.shape, strict=True)
        )
        if not fits:
            raise ValueError(f"an array of shape {value.shape} is no {self!r}")
        return value

    def cast_storage(self, storage: pa.Array) -> pa.Array:
        """Return a column of lists of lists, or of flat lists of the right length, in the stored form."""
        from ..values import cast_array

        if isinstance(storage, pa.ExtensionArray):
            storage = storage.storage
        if pa.types.is_null(storage.type):
            return pa.nulls(len(storage), self.stored_type())
        kind, depth = storage.type, 0
        while pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
            kind, depth = kind.value_type, depth + 1
        if depth == 1 and self.shape[0] is not None and len(storage) and storage.null_count == 0:
            flat = np.asarray(storage.flatten()).reshape(len(storage), *self.shape)
            from ..values import to_arrow_array

            return to_arrow_array(flat, self.stored_type())
        return cast_array(storage, self.stored_type())


class Array2D(_Array):
    """A column of matrices.

    Args:
        shape: rows and columns; the first may be None where it differs.
        dtype: the numbers' type, such as ``"float32"``.

    Raises:
        ValueError: another number of dimensions, or an unknown dtype.

    Example:
        >>> Array2D(shape=(2, 3), dtype="int32")
        Array2D(shape=(2, 3), dtype='int32')
    """

    dimensions = 2


class Array3D(_Array):
    """A column of arrays of three dimensions; see :class:`Array2D`."""

    dimensions = 3


class Array4D(_Array):
    """A column of arrays of four dimensions; see :class:`Array2D`."""

    dimensions = 4


class Array5D(_Array):
    """A column of arrays of five dimensions; see :class:`Array2D`."""

    dimensions = 5


def array_of(arrow: Any) -> _Array | None:
    """Return the feature of a mark in a file, whichever library read it; None for other types."""
    name = getattr(arrow, "extension_name", "").rsplit(".", 1)[-1]
    classes = {f"Array{c.dimensions}DExtensionType": c for c in (Array2D, Array3D, Array4D, Array5D)}
    return classes[name](tuple(arrow.shape), arrow.value_type) if name in classes else None


register()
