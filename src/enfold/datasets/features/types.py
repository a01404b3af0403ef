"""The kinds of column: each knows its Arrow type and how a Python value becomes what is stored."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from enfold.errors import nearest

__all__ = [
    "ClassLabel",
    "FeatureType",
    "Json",
    "LargeList",
    "List",
    "Sequence",
    "Value",
    "dtype_name",
    "dtype_to_arrow",
]

# Spellings that numpy, torch and C programmers use, beside the name that is stored.
_DTYPE_ALIASES = {"double": "float64", "float": "float32", "half": "float16", "halffloat": "float16", "str": "string"}
_SIMPLE: dict[str, pa.DataType] = {
    "null": pa.null(),
    "bool": pa.bool_(),
    **{f"{sign}int{bits}": getattr(pa, f"{sign}int{bits}")() for sign in ("", "u") for bits in (8, 16, 32, 64)},
    "float16": pa.float16(),
    "float32": pa.float32(),
    "float64": pa.float64(),
    "date32": pa.date32(),
    "date64": pa.date64(),
    "binary": pa.binary(),
    "large_binary": pa.large_binary(),
    "binary_view": pa.binary_view(),
    "string": pa.string(),
    "large_string": pa.large_string(),
    "string_view": pa.string_view(),
}
_NAMES = {arrow: name for name, arrow in _SIMPLE.items()}


def dtype_to_arrow(dtype: str) -> pa.DataType:
    """Return the Arrow type that a dtype's name stands for.

    Raises:
        ValueError: the name is unknown; the nearest known one is named.

    Example:
        >>> dtype_to_arrow("timestamp[ms, tz=UTC]")
        TimestampType(timestamp[ms, tz=UTC])
    """
    name = _DTYPE_ALIASES.get(dtype, dtype)
    if name in _SIMPLE:
        return _SIMPLE[name]
    if found := re.fullmatch(r"timestamp\[(s|ms|us|ns)(?:,\s*tz=(.+))?\]", name):
        return pa.timestamp(found[1], tz=found[2])
    if found := re.fullmatch(r"(duration|time32|time64)\[(s|ms|us|ns)\]", name):
        return getattr(pa, found[1])(found[2])
    if found := re.fullmatch(r"decimal(128|256)\((\d+)(?:,\s*(-?\d+))?\)", name):
        return getattr(pa, f"decimal{found[1]}")(int(found[2]), int(found[3] or 0))
    raise ValueError(f"unknown dtype {dtype!r}{nearest(name, [*_SIMPLE, *_DTYPE_ALIASES])}")


def dtype_name(arrow: pa.DataType) -> str:
    """Return the name of an Arrow type, as in ``Value(dtype)``; the inverse of :func:`dtype_to_arrow`."""
    if arrow in _NAMES:
        return _NAMES[arrow]
    if pa.types.is_timestamp(arrow):
        return f"timestamp[{arrow.unit}, tz={arrow.tz}]" if arrow.tz else f"timestamp[{arrow.unit}]"
    if pa.types.is_duration(arrow):
        return f"duration[{arrow.unit}]"
    if pa.types.is_time(arrow):
        return f"time{arrow.bit_width}[{arrow.unit}]"
    if pa.types.is_decimal(arrow):
        return f"decimal{arrow.bit_width}({arrow.precision}, {arrow.scale})"
    if pa.types.is_dictionary(arrow):
        return dtype_name(arrow.value_type)
    raise ValueError(f"Arrow type {arrow} has no feature of its own")


@dataclass
class Value:
    """A column of single values.

    Args:
        dtype: ``"int64"``, ``"float32"``, ``"bool"``, ``"string"``, ``"timestamp[s]"``, ``"decimal128(9, 2)"``, …

    Raises:
        ValueError: the dtype is unknown.

    Example:
        >>> Value("int32")
        Value('int32')
    """

    dtype: str
    id: str | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        self.dtype = dtype_name(dtype_to_arrow(self.dtype))

    def __repr__(self) -> str:
        return f"Value({self.dtype!r})"

    def __call__(self) -> pa.DataType:
        return dtype_to_arrow(self.dtype)

    @property
    def pa_type(self) -> pa.DataType:
        """The Arrow type of the values."""
        return self()

    def encode_example(self, value: Any) -> Any:
        """Return ``value`` as this dtype's Python type."""
        if value is None:
            return None
        if pa.types.is_boolean(self()):
            return bool(value)
        if pa.types.is_integer(self()):
            return int(value)
        if pa.types.is_floating(self()):
            return float(value)
        if self.dtype in ("string", "large_string", "string_view"):
            return str(value)
        return value


class ClassLabel:
    """A column of labels: integers with a name each.

    Args:
        num_classes: how many labels there are; taken from the names where they are given.
        names: the labels' names, in the order of their integers.
        names_file: a file with one name a line, instead of ``names``.

    Raises:
        ValueError: neither a number nor names; a number that does not fit the names; names given twice.

    Example:
        >>> label = ClassLabel(names=["neg", "pos"])
        >>> label.str2int("pos"), label.int2str(0)
        (1, 'neg')
    """

    dtype = "int64"
    pa_type = pa.int64()

    def __init__(
        self,
        num_classes: int | None = None,
        names: list[str] | None = None,
        names_file: str | None = None,
        id: str | None = None,
    ) -> None:
        self.id = id
        if names_file is not None:
            if names is not None:
                raise ValueError("give names or names_file, not both")
            with open(names_file, encoding="utf-8") as file:
                names = [line.strip() for line in file if line.strip()]
        if names is None:
            if num_classes is None:
                raise ValueError("a ClassLabel needs num_classes, names or names_file")
            names = [str(number) for number in range(num_classes)]
        elif num_classes is not None and num_classes != len(names):
            raise ValueError(f"num_classes is {num_classes}, but there are {len(names)} names")
        self.names = [str(name) for name in names]
        self.num_classes = len(self.names)
        self._numbers = {name: number for number, name in enumerate(self.names)}
        if len(self._numbers) != len(self.names):
            raise ValueError("a ClassLabel's names must differ from each other")

    def __repr__(self) -> str:
        return f"ClassLabel(names={self.names})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ClassLabel) and self.names == other.names

    __hash__ = None  # type: ignore[assignment]

    def __call__(self) -> pa.DataType:
        return pa.int64()

    def str2int(self, values: str | Iterable[str]) -> Any:
        """Return the integer of a name (or the list of them): a name, or an integer in text.

        Raises:
            ValueError: no such name; the nearest one is named.
        """
        if not isinstance(values, str):
            return [self._number(value) for value in values]
        return self._number(values)

    def _number(self, value: Any) -> int:
        name = str(value)
        number = self._numbers.get(name, self._numbers.get(name.strip()))
        if number is None:
            try:
                number = int(name)
            except ValueError:
                number = -2
            if not -1 <= number < self.num_classes:
                raise ValueError(f"{value!r} is not one of the {self.num_classes} labels{nearest(name, self.names)}")
        return number

    def int2str(self, values: int | Iterable[int]) -> Any:
        """Return the name of an integer (or the list of them).

        Raises:
            ValueError: an integer that no label has.
        """
        if hasattr(values, "__iter__"):
            return [self._name(value) for value in values]
        return self._name(values)

    def _name(self, value: Any) -> str:
        if not 0 <= int(value) < self.num_classes:
            raise ValueError(f"{value} is not a label: expected 0 to {self.num_classes - 1}")
        return self.names[int(value)]

    def encode_example(self, example_data: Any) -> int | None:
        """Return the integer that is stored for a name or an integer; -1 stands for a label that is not known."""
        if example_data is None:
            return None
        if isinstance(example_data, str):
            return self._number(example_data)
        if not -1 <= int(example_data) < self.num_classes:
            raise ValueError(f"label {example_data} is out of range: there are {self.num_classes} labels")
        return int(example_data)

    def cast_storage(self, storage: pa.Array) -> pa.Array:
        """Return stored integers, or names, as the column of this feature (int64)."""
        import pyarrow.compute as pc

        if isinstance(storage, pa.ChunkedArray):
            storage = storage.combine_chunks()
        if pa.types.is_integer(storage.type):
            bounds = pc.min_max(storage)
            if bounds["max"].as_py() is not None and bounds["max"].as_py() >= self.num_classes:
                raise ValueError(f"label {bounds['max']} is out of range: there are {self.num_classes} labels")
            return storage.cast(pa.int64())
        if pa.types.is_string(storage.type) or pa.types.is_large_string(storage.type):
            names = storage.dictionary_encode()
            numbers = [None if name is None else self._number(name) for name in names.dictionary.to_pylist()]
            return pa.array(numbers, pa.int64()).take(names.indices)
        return storage.cast(pa.int64())


@dataclass
class List:
    """A column of lists.

    Args:
        feature: the feature of the items.
        length: the number of items of every list, or -1 where they differ.

    Example:
        >>> List(Value("int32"))()
        ListType(list<item: int32>)
    """

    feature: Any
    length: int = -1
    id: str | None = field(default=None, repr=False, compare=False)

    def __repr__(self) -> str:
        return f"List({self.feature!r})" if self.length == -1 else f"List({self.feature!r}, length={self.length})"

    def __call__(self) -> pa.DataType:
        from .storage import file_type

        return pa.list_(file_type(self.feature), self.length)


@dataclass
class LargeList:
    """A column of lists with 64-bit offsets, for columns of more than two billion items.

    Args:
        feature: the feature of the items.
    """

    feature: Any
    id: str | None = field(default=None, repr=False, compare=False)

    def __repr__(self) -> str:
        return f"LargeList({self.feature!r})"

    def __call__(self) -> pa.DataType:
        from .storage import file_type

        return pa.large_list(file_type(self.feature))


class Sequence:
    """The older spelling of :class:`List`: a sequence of a dict is a dict of lists.

    Example:
        >>> Sequence(Value("int8")), Sequence({"a": Value("int8")})
        (List(Value('int8')), {'a': List(Value('int8'))})
    """

    def __new__(cls, feature: Any = None, length: int = -1, id: str | None = None) -> Any:
        if isinstance(feature, dict):
            return {name: List(inner, length=length, id=id) for name, inner in feature.items()}
        return List(feature, length=length, id=id)


@dataclass
class Json:
    """A column of any JSON value, stored as text: for values whose type differs from row to row.

    A text that is a JSON object or array is taken for what it says; any other text is a JSON string.

    Args:
        decode: give back the value, not its text.

    Example:
        >>> Json().encode_example({"a": [1, "x"]}), Json().decode_example("[1]")
        ('{"a":[1,"x"]}', [1])
    """

    decode: bool = True
    id: str | None = field(default=None, repr=False, compare=False)

    def __call__(self) -> pa.DataType:
        return pa.json_(pa.string()) if hasattr(pa, "json_") else pa.string()

    def stored_type(self) -> pa.DataType:
        """Return the Arrow type of the texts alone."""
        return pa.string()

    def encode_example(self, example_data: Any) -> str | None:
        """Return the text that is stored for a value."""
        if example_data is None:
            return None
        if isinstance(example_data, str) and example_data.lstrip()[:1] in ("{", "["):
            try:
                json.loads(example_data)
            except ValueError:
                pass
            else:
                return example_data
        return json.dumps(example_data, ensure_ascii=False, separators=(",", ":"), default=_plain_json)

    def decode_example(self, example_data: Any, token_per_repo_id: Any = None) -> Any:
        """Return the value that a stored text stands for."""
        return example_data if example_data is None or not self.decode else json.loads(example_data)

    def cast_storage(self, storage: pa.Array) -> pa.Array:
        """Return a column of texts as it is, any other as the texts of its values."""
        kind = storage.type
        if isinstance(kind, pa.BaseExtensionType):
            return self.cast_storage(storage.storage)
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            return storage.cast(pa.string())
        return pa.array([self.encode_example(value) for value in storage.to_pylist()], pa.string())


def _plain_json(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    if hasattr(value, "isoformat"):
        return value.isoformat()
    raise TypeError(f"a {type(value).__name__} has no JSON form")


FeatureType = Any
