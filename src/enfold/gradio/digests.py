"""Values known by their contents, and how much room they take."""

from __future__ import annotations

import dataclasses
import enum
import functools
import hashlib
import sys
from typing import Any

from enfold.gradio.errors import GradioError

__all__ = ["NoDigest", "digest", "size_of"]

# Types of Python's own library whose text says everything there is to them.
_TOLD = frozenset({"datetime", "decimal", "fractions", "ipaddress", "pathlib", "uuid", "zoneinfo"})


class NoDigest(GradioError, TypeError):
    """A value has nothing by which two of its kind can be told apart."""


def digest(value: Any) -> str:
    """A text that is the same for values with equal contents, and another one for any others.

    Numbers, texts, bytes, lists, tuples, dictionaries (whatever their order) and sets of them; arrays, tensors,
    pictures, tables; records, enumerations and functions by their name; other objects by their attributes.

    Raises:
        NoDigest: the value is none of these.

    Example:
        >>> digest({"a": 1, "b": [2]}) == digest({"b": [2], "a": 1}), digest(1) == digest("1"), digest(1) == digest(1.0)
        (True, False, False)
    """
    made = hashlib.sha256()
    _feed(made, value, 0)
    return made.hexdigest()


def _feed(made: Any, value: Any, depth: int) -> None:
    if depth > 100:
        raise NoDigest("a value that contains itself, or is nested a hundred times, cannot be told from others")
    kind = type(value)

    def mark(name: str, body: bytes = b"") -> None:
        made.update(f"{name}:{len(body)}:".encode())
        made.update(body)

    def each(values: Any) -> None:
        for one in values:
            _feed(made, one, depth + 1)

    if value is None or kind in {bool, int, float, complex}:
        mark(kind.__name__, repr(value).encode())
    elif kind is str:
        mark("str", value.encode("utf-8", "surrogatepass"))
    elif kind in {bytes, bytearray}:
        mark("bytes", bytes(value))
    elif isinstance(value, (list, tuple)):
        mark(f"{_name(kind)}[{len(value)}]")
        each(value)
    elif isinstance(value, dict):
        mark(f"{_name(kind)}[{len(value)}]")
        # In the order of their own digests: keys of several types have no other.
        for key in sorted(value, key=digest):
            each((key, value[key]))
    elif isinstance(value, (set, frozenset)):
        mark(f"{_name(kind)}[{len(value)}]")
        each(sorted(map(digest, value)))
    elif isinstance(value, enum.Enum):
        mark(_name(kind), value.name.encode())
    elif kind.__module__.partition(".")[0] in _TOLD:
        mark(_name(kind), repr(value).encode())
    elif isinstance(value, functools.partial):
        mark("partial")
        each((value.func, value.args, value.keywords))
    elif not _shaped(mark, each, value):
        _attributes(mark, each, value)


def _shaped(mark: Any, each: Any, value: Any) -> bool:
    """Feed a value of a library of arrays, tensors, pictures or tables; whether it was one."""
    kind = type(value)
    home = kind.__module__.partition(".")[0]
    if home == "torch" and hasattr(value, "detach"):
        import torch

        plain = value.detach().cpu().contiguous()
        body = plain.flatten().view(torch.uint8).numpy().tobytes() if plain.numel() else b""
        mark(f"tensor {value.dtype} {tuple(value.shape)}", body)
    elif home == "PIL":
        mark(f"picture {value.mode} {value.size}", value.tobytes())
    elif home == "pandas" and hasattr(value, "to_numpy") and hasattr(value, "index"):
        import pandas

        mark(f"table {value.shape}")
        each([str(value.dtypes), list(getattr(value, "columns", [value.name if hasattr(value, "name") else None]))])
        each([pandas.util.hash_pandas_object(value, index=True).to_numpy().tobytes()])
    elif home == "polars" and hasattr(value, "to_arrow"):
        mark(f"polars {value.shape}")
        each([str(getattr(value, "schema", value.dtype if hasattr(value, "dtype") else ""))])
        each([value.hash_rows().to_list() if hasattr(value, "hash_rows") else value.to_list()])
    elif hasattr(value, "dtype") and hasattr(value, "tobytes") and hasattr(value, "shape"):
        if value.dtype.hasobject:
            mark(f"objects {value.shape}")
            each(value.ravel().tolist())
        else:
            mark(f"array {value.dtype} {value.shape}", value.tobytes())
    else:
        return False
    return True


def _attributes(mark: Any, each: Any, value: Any) -> None:
    if callable(value) and hasattr(value, "__qualname__"):
        closed = [cell.cell_contents for cell in getattr(value, "__closure__", None) or ()]
        mark(f"function {value.__module__}.{value.__qualname__}")
        each([getattr(getattr(value, "__code__", None), "co_code", b""), closed, getattr(value, "__defaults__", None)])
        return
    mark(_name(type(value)))
    if dataclasses.is_dataclass(value):
        each([{field.name: getattr(value, field.name) for field in dataclasses.fields(value)}])
    elif callable(getattr(value, "model_dump", None)):
        each([value.model_dump()])
    elif getattr(value, "__dict__", None):
        each([vars(value)])
    else:
        raise NoDigest(
            f"a {type(value).__name__} cannot be told from others of its kind by its contents: give cache() a key= "
            "that makes something plain of the arguments"
        )


def _name(kind: type) -> str:
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def size_of(value: Any) -> int:
    """About how many bytes a value takes, with what it holds.

    Example:
        >>> size_of(bytes(1000)) >= 1000 and size_of([bytes(1000)] * 2) >= 2000
        True
    """
    if isinstance(value, dict):
        return sys.getsizeof(value) + sum(size_of(key) + size_of(each) for key, each in value.items())
    if isinstance(value, (list, tuple, set, frozenset)):
        return sys.getsizeof(value) + sum(map(size_of, value))
    for name in ("nbytes", "memory_usage", "estimated_size"):
        told = getattr(value, name, None)
        if told is not None:
            told = told(deep=True) if name == "memory_usage" else told() if callable(told) else told
            return int(told.sum() if hasattr(told, "sum") else told)
    if hasattr(value, "getbands"):  # a picture of Pillow's
        return int(value.size[0] * value.size[1] * len(value.getbands()))
    return sys.getsizeof(value)
