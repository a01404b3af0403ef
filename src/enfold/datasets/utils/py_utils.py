"""Small helpers that programs take from `datasets`: nested data, sizes, seeds."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

import numpy as np

from ..exporting import parse_size as convert_file_size_to_int
from ..features.features import Features

__all__ = [
    "NestedDataStructure",
    "NonMutableDict",
    "asdict",
    "convert_file_size_to_int",
    "first_non_null_non_empty_value",
    "first_non_null_value",
    "glob_pattern_to_regex",
    "has_sufficient_disk_space",
    "iter_batched",
    "map_nested",
    "size_str",
    "string_to_dict",
    "temp_seed",
    "temporary_assignment",
    "unique_values",
    "zip_dict",
]

T = TypeVar("T")
_UNITS = ((1 << 50, "PiB"), (1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


def size_str(size_in_bytes: int | None) -> str:
    """Return a size as people read it.

    Example:
        >>> size_str(1536), size_str(12), size_str(None)
        ('1.50 KiB', '12 bytes', 'Unknown size')
    """
    if not size_in_bytes:
        return "Unknown size"
    for unit, name in _UNITS:
        if size_in_bytes >= unit:
            return f"{size_in_bytes / unit:.2f} {name}"
    return f"{int(size_in_bytes)} bytes"


def map_nested(
    function: Callable[[Any], Any],
    data_struct: Any,
    dict_only: bool = False,
    map_list: bool = True,
    map_tuple: bool = False,
    map_numpy: bool = False,
    num_proc: int | None = None,
    parallel_min_length: int = 2,
    batched: bool = False,
    batch_size: int | None = 1000,
    types: tuple[type, ...] | None = None,
    disable_tqdm: bool = True,
    desc: str | None = None,
) -> Any:
    """Return nested data with a function applied to everything in it.

    Args:
        function: from a value to a value; with ``batched``, from a list of values to a list.
        data_struct: the data; dicts are gone into, as are the types that the next arguments say.
        dict_only: go into dicts alone.
        map_list, map_tuple, map_numpy: go into lists, tuples and numpy arrays.
        num_proc: processes that share out the values of a flat list or dict, where there are several.
        parallel_min_length: values below which there are no processes.
        batched: give the function lists of the values of a flat list.
        batch_size: values of such a list at most; all where None.
        types: more types to go into; in place of the three arguments.
        disable_tqdm, desc: accepted for compatibility.

    Example:
        >>> map_nested(lambda number: number + 1, {"a": [1, 2], "b": 3})
        {'a': [2, 3], 'b': 4}
    """
    if types is None:
        chosen = ((list, map_list), (tuple, map_tuple), (np.ndarray, map_numpy))
        types = () if dict_only else tuple(kind for kind, wanted in chosen if wanted)

    kinds: tuple[Any, ...] = types

    def change(data: Any) -> Any:
        if isinstance(data, dict):
            return {key: change(value) for key, value in data.items()}
        if isinstance(data, kinds):
            made = _batches(function, list(data), batch_size) if batched else [change(value) for value in data]
            return np.array(made) if isinstance(data, np.ndarray) else type(data)(made)
        return function([data])[0] if batched else function(data)

    into: tuple[Any, ...] = (dict, *kinds)
    flat = isinstance(data_struct, into) and len(data_struct) >= max(parallel_min_length, 2)
    if num_proc is None or num_proc < 2 or not flat:
        return change(data_struct)
    from ..parallel import spread

    values = list(data_struct.values()) if isinstance(data_struct, dict) else list(data_struct)
    made = spread(change, values, num_proc)
    if isinstance(data_struct, dict):
        return dict(zip(data_struct, made, strict=True))
    return np.array(made) if isinstance(data_struct, np.ndarray) else type(data_struct)(made)


def _batches(function: Callable[[list[Any]], list[Any]], values: list[Any], size: int | None) -> list[Any]:
    return [made for batch in iter_batched(values, size or len(values) or 1) for made in function(batch)]


class NestedDataStructure:
    """Nested data.

    Args:
        data: a value, or dicts and lists of such data.

    Example:
        >>> NestedDataStructure({"a": [1, [2]], "b": 3}).flatten()
        [1, 2, 3]
    """

    def __init__(self, data: Any = None) -> None:
        self.data = [] if data is None else data

    def flatten(self, data: Any = None) -> list[Any]:
        """Return the values in the data, in order."""
        data = self.data if data is None else data
        if isinstance(data, (dict, list, tuple)):
            parts = data.values() if isinstance(data, dict) else data
            return [value for part in parts for value in NestedDataStructure(part).flatten()]
        return [data]


def iter_batched(iterable: Iterable[T], n: int) -> Iterator[list[T]]:
    """Yield lists of ``n`` items, the last one shorter.

    Example:
        >>> list(iter_batched("abc", 2))
        [['a', 'b'], ['c']]
    """
    if n < 1:
        raise ValueError(f"a batch has one item at least, not {n}")
    items = iter(iterable)
    while batch := list(itertools.islice(items, n)):
        yield batch


def unique_values(values: Iterable[Hashable]) -> Iterator[Any]:
    """Yield values, each once, in the order of their first places."""
    yield from dict.fromkeys(values)


def zip_dict(*dicts: Mapping[Any, Any]) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Yield the keys of dicts with the values that all of them have.

    Raises:
        KeyError: one of the dicts lacks a key.

    Example:
        >>> list(zip_dict({"a": 1}, {"a": 2}))
        [('a', (1, 2))]
    """
    for key in unique_values(itertools.chain(*dicts)):
        yield key, tuple(one[key] for one in dicts)


def first_non_null_value(iterable: Iterable[Any]) -> tuple[int, Any]:
    """Return the place and the value of the first item that is not None; ``(-1, None)`` where there is none."""
    return next(((place, value) for place, value in enumerate(iterable) if value is not None), (-1, None))


def first_non_null_non_empty_value(iterable: Iterable[Any]) -> tuple[int, Any]:
    """Return the place and the value of the first item that is neither None nor an empty list or dict."""
    found = ((place, value) for place, value in enumerate(iterable) if value is not None)
    return next(((p, value) for p, value in found if not (isinstance(value, (dict, list)) and not value)), (-1, None))


def asdict(obj: Any) -> Any:
    """Return a dataclass, or a dict, with the dataclasses in it as dicts of what is not the class's default.

    Raises:
        TypeError: it is neither.
    """
    if not isinstance(obj, dict) and not (dataclasses.is_dataclass(obj) and not isinstance(obj, type)):
        raise TypeError(f"asdict takes a dataclass or a dict, not a {type(obj).__name__}")
    return _as_dicts(obj)


def _as_dicts(obj: Any) -> Any:
    if dataclasses.is_dataclass(obj) and not isinstance(obj, type):
        items = [(item, getattr(obj, item.name)) for item in dataclasses.fields(obj)]
        kept = [
            (item.name, value)
            for item, value in items
            if not item.init or value != item.default or item.metadata.get("include_in_asdict_even_if_is_default")
        ]
        return {name: _as_dicts(value) for name, value in kept}
    if isinstance(obj, Features):
        return obj.to_dict()
    if isinstance(obj, (list, tuple)):
        return type(obj)(*map(_as_dicts, obj)) if hasattr(obj, "_fields") else type(obj)(map(_as_dicts, obj))
    if isinstance(obj, dict):
        return {key: _as_dicts(value) for key, value in obj.items()}
    return obj


def string_to_dict(string: str, pattern: str) -> dict[str, str] | None:
    """Return the parts of a text that the fields of a pattern stand for; None where it does not fit.

    Example:
        >>> string_to_dict("data/train-00000-of-00002.parquet", "data/{split}-{part}.parquet")
        {'split': 'train', 'part': '00000-of-00002'}
    """
    # {rank:05d} is the field "rank": how a number was written does not matter
    names = re.findall(r"{([^{}:]+)(?::[^{}]*)?}", pattern)
    expression = re.sub(
        r"{([^{}:]+)(?::[^{}]*)?}", lambda found: f"(?P<_{found[1]}>.+)", glob_pattern_to_regex(pattern)
    )
    # the first field takes as little as it can, and so on
    found = re.fullmatch(expression.replace(">.+)", ">.+?)", len(names) - 1), string)
    return {name: found[f"_{name}"] for name in names} if found else None


def glob_pattern_to_regex(pattern: str) -> str:
    """Return a pattern of file names as a regular expression; ``*`` goes over folders, too.

    Example:
        >>> bool(re.fullmatch(glob_pattern_to_regex("data/*.csv"), "data/a.csv"))
        True
    """
    escaped = re.sub(r"([.+^$()|\\])", r"\\\1", pattern)
    return escaped.replace("*", ".*").replace("?", ".").replace("//", "/")


@contextlib.contextmanager
def temporary_assignment(obj: Any, attr: str, value: Any) -> Iterator[None]:
    """Set an attribute for the body of a ``with`` statement."""
    before = getattr(obj, attr, None)
    setattr(obj, attr, value)
    try:
        yield
    finally:
        setattr(obj, attr, before)


@contextlib.contextmanager
def temp_seed(seed: int, set_pytorch: bool = False, set_tensorflow: bool = False) -> Iterator[None]:
    """Draw numpy's numbers from a seed in the body of a ``with`` statement, and go on behind it as before.

    Args:
        seed: the seed.
        set_pytorch: torch's numbers, too.
        set_tensorflow: tensorflow's numbers, too; they cannot be put back.
    """
    state = np.random.get_state()
    np.random.seed(seed)
    drawn = None
    if set_pytorch:
        import torch

        drawn = torch.random.get_rng_state()
        torch.manual_seed(seed)
    if set_tensorflow:
        import tensorflow  # type: ignore[import-not-found,unused-ignore]

        tensorflow.random.set_seed(seed)
    try:
        yield
    finally:
        np.random.set_state(state)
        if drawn is not None:
            import torch

            torch.random.set_rng_state(drawn)


class NonMutableDict(dict):  # type: ignore[type-arg]
    """A dict whose keys are set once.

    Args:
        error_msg: what is said when one is set again; ``{key}`` stands for it.
    """

    def __init__(self, *items: Any, error_msg: str = "the key {key!r} is set already", **more: Any) -> None:
        super().__init__(*items, **more)
        self._message = error_msg

    def __setitem__(self, key: Any, value: Any) -> None:
        if key in self:
            raise ValueError(self._message.format(key=key))
        super().__setitem__(key, value)

    def update(self, *items: Any, **more: Any) -> None:
        """Set several keys."""
        for key, value in dict(*items, **more).items():
            self[key] = value


def has_sufficient_disk_space(needed_bytes: int, directory: str = ".") -> bool:
    """Return whether a folder's disk has room for so many bytes; yes where nobody can tell."""
    import shutil

    try:
        return shutil.disk_usage(directory).free > needed_bytes
    except OSError:
        return True
