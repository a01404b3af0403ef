"""The inputs of a metric: their declared types, and columns of any array-like brought to these types.

A declared type is a leaf (a type name such as ``"int32"`` or ``"string"``), a sequence of a type, or a record. Leaves
of numbers become numpy arrays, text becomes lists of ``str``, ragged sequences become lists of arrays. numpy is loaded
with the first input, not before: loading a metric must cost nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from enfold.evaluate.errors import EvaluationError

__all__ = ["Leaf", "Many", "Record", "column", "example_fits", "plain", "to_features", "type_of", "widened"]


@dataclass(frozen=True)
class Leaf:
    """One value of a named type."""

    dtype: str


@dataclass(frozen=True)
class Many:
    """A sequence of values of one type."""

    of: Type


@dataclass(frozen=True)
class Record:
    """Named values of several types; passed through as it is."""

    of: dict[str, Type]


Type: TypeAlias = Leaf | Many | Record


def type_of(feature: Any) -> Type:
    """Read a declared type from a plain description or from a `datasets` feature.

    Example:
        >>> type_of(["string"])
        Many(of=Leaf(dtype='string'))
    """
    if isinstance(feature, str):
        return Leaf(feature)
    if isinstance(feature, (list, tuple)):
        return Many(type_of(feature[0]))
    if hasattr(feature, "items"):
        return Record({name: type_of(inner) for name, inner in feature.items()})
    if hasattr(feature, "feature"):
        return Many(type_of(feature.feature))
    return Leaf(str(getattr(feature, "dtype", "any")))


def widened(kind: Type) -> Type:
    """Return a type with all its floats in double precision."""
    if isinstance(kind, Record):
        return Record({name: widened(inner) for name, inner in kind.of.items()})
    if isinstance(kind, Many):
        return Many(widened(kind.of))
    return Leaf("float64") if kind.dtype.startswith("float") else kind


def to_features(description: Any) -> Any:
    """Return the `datasets.Features` of a plain description; Features come back unchanged."""
    from enfold.datasets import Features, Sequence, Value

    def build(item: Any) -> Any:
        if isinstance(item, str):
            return Value(item)
        return Sequence(build(item[0])) if type(item) in (list, tuple) else item

    if isinstance(description, Features):
        return description
    return Features({name: build(item) for name, item in description.items()})


def column(values: Any, kind: Type, name: str) -> Any:
    """Bring one column to its declared type.

    Args:
        values: list, tuple, numpy array, tensor of any framework, pandas or `datasets` column; first dimension = rows.
        kind: the declared type of a row.
        name: the input's name, for messages.

    Returns:
        A numpy array for rectangular numbers, else a list.

    Raises:
        EvaluationError: the values cannot be of that type.
    """
    if isinstance(values, (str, bytes)) or not (hasattr(values, "__len__") and hasattr(values, "__getitem__")):
        raise EvaluationError(f"{name} must be a sequence with one entry per example, not {_shown(values)}")
    if isinstance(kind, Record):
        return list(values)
    if isinstance(kind, Leaf):
        if kind.dtype in ("string", "large_string"):
            return _texts(values, name)
        return _numbers(values, kind.dtype, name) if _is_number(kind.dtype) else list(values)
    if isinstance(kind.of, Leaf) and _is_number(kind.of.dtype) and hasattr(values, "__array__"):
        return _numbers(values, kind.of.dtype, name, dimensions=2)
    return [_row(row, kind, f"{name}[{place}]") for place, row in enumerate(values)]


def _row(row: Any, kind: Type, name: str) -> Any:
    if isinstance(kind, Many):
        return column(row, kind.of, name)
    return column([row], kind, name)[0]


def example_fits(example: Any, kind: Type) -> bool:
    """Say whether one example is of the declared type, to choose between alternatives."""
    if isinstance(kind, Record):
        return hasattr(example, "keys")
    if isinstance(kind, Many):
        if isinstance(example, (str, bytes)) or not hasattr(example, "__len__"):
            return False
        return len(example) == 0 or example_fits(example[0], kind.of)
    if kind.dtype in ("string", "large_string"):
        return isinstance(example, str)
    if _is_number(kind.dtype):
        return (
            not isinstance(example, (str, list, tuple))
            and getattr(example, "ndim", 0) == 0
            and not hasattr(example, "keys")
        )
    return True


def plain(values: Any) -> Any:
    """Return a column as nested lists of Python values, as community metrics expect it."""
    if hasattr(values, "tolist"):
        return values.tolist()
    return [plain(item) if isinstance(item, list) or hasattr(item, "tolist") else item for item in values]


def _is_number(dtype: str) -> bool:
    return dtype.startswith(("int", "uint", "float", "bool"))


def _texts(values: Sequence[Any], name: str) -> list[str]:
    texts = list(values)
    for place, text in enumerate(texts):
        if not isinstance(text, str):
            raise EvaluationError(f"{name} must hold texts, but entry {place} is {_shown(text)}")
    return texts


def _numbers(values: Any, dtype: str, name: str, dimensions: int = 1) -> Any:
    import numpy as np

    if hasattr(values, "detach"):  # a tensor that may need a gradient or lie on a device
        values = values.detach().cpu()
        if str(values.dtype) == "torch.bfloat16":
            values = values.float()
    elif not isinstance(values, np.ndarray) and not hasattr(values, "__array__"):
        values = [item.item() if hasattr(item, "item") else item for item in values]
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise EvaluationError(f"{name} must hold one {dtype} per example: {error}") from None
    if array.size == 0:
        array = array.astype(np.int64)
    if array.dtype.kind in "USO":
        # the ecosystem reads digits as numbers, and so do we; words are labels that have to be numbered first
        try:
            array = array.astype(np.float64 if dtype.startswith("float") else np.int64)
        except (TypeError, ValueError):
            shown = next((item for item in array.ravel().tolist() if isinstance(item, str) or item is None), array[0])
            hint = "; give the labels numbers first (ClassLabel.str2int)" if isinstance(shown, str) else ""
            raise EvaluationError(f"{name} must hold {dtype} values, but has {_shown(shown)}{hint}") from None
    if array.ndim != dimensions:
        hint = " (logits? take argmax over the last axis first)" if array.ndim == dimensions + 1 else ""
        raise EvaluationError(f"{name} must have {dimensions} dimension(s), but has the shape {array.shape}{hint}")
    if dtype.startswith("float"):
        single = dtype in ("float", "float32")  # the first is another name of the second
        return (array.astype(np.float32) if single else array).astype(np.float64)
    if array.dtype.kind == "f":
        whole = array.astype(np.int64)
        if not np.array_equal(whole, array):
            bad = array[whole != array][0]
            raise EvaluationError(f"{name} must hold whole numbers ({dtype}), but has {bad}; are these probabilities?")
        return whole
    if array.dtype.kind not in "iub":
        raise EvaluationError(f"{name} must hold {dtype} values, not {array.dtype}")
    return array.astype(np.int64)


def _shown(value: Any) -> str:
    text = repr(value)
    return f"{text if len(text) <= 60 else text[:57] + '…'} ({type(value).__name__})"
