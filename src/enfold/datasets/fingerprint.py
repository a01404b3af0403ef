"""Fingerprints: what a dataset and a function are, as text that is equal in every process.

A function is known by its code, constants, defaults, closure and the globals that it names; an object by its
``__fingerprint__``, or by its class and state. Nothing is pickled and no ``id`` or ``hash()`` is used.
"""

from __future__ import annotations

import dis
import enum
import functools
import hashlib
import inspect
import marshal
import os
import struct
import sys
import sysconfig
import threading
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

__all__ = [
    "Hasher",
    "Unhashable",
    "disable_caching",
    "enable_caching",
    "fingerprint_transform",
    "generate_random_fingerprint",
    "is_caching_enabled",
    "set_caching_enabled",
]

_caching = True
_SINGLE = frozenset({str, int, float, complex, bool, bytes, type(None)})


def enable_caching() -> None:
    """Look for the results of ``map`` and its siblings in the cache before computing them (the default)."""
    global _caching
    _caching = True


def disable_caching() -> None:
    """Compute every result anew; results are still written to files that other calls may name."""
    global _caching
    _caching = False


def set_caching_enabled(boolean: bool) -> None:
    """Set whether results are looked for in the cache."""
    (enable_caching if boolean else disable_caching)()


def is_caching_enabled() -> bool:
    """Return whether results are looked for in the cache."""
    return _caching


def generate_random_fingerprint(nbits: int = 64) -> str:
    """Return a fingerprint that no other dataset has: for results that depend on something unknown."""
    return os.urandom(nbits // 8).hex()


class Unhashable(TypeError):
    """An object whose content cannot be told from outside; ``path`` says where it was met."""

    def __init__(self, value: Any, path: str) -> None:
        self.path = path
        super().__init__(f"{path} ({type(value).__module__}.{type(value).__qualname__})")


class Hasher:
    """A running hash over Python values.

    Example:
        >>> Hasher.hash({"a": 1}) == Hasher.hash({"a": 1})
        True
    """

    def __init__(self) -> None:
        self._digest = hashlib.blake2b(digest_size=8)
        self._seen: dict[int, int] = {}
        self._alive: list[Any] = []

    @classmethod
    def hash(cls, value: Any) -> str:
        """Return the fingerprint of a value: 16 hexadecimal digits.

        Raises:
            Unhashable: part of the value cannot be told from outside.
        """
        hasher = cls()
        hasher.update(value)
        return hasher.hexdigest()

    def update(self, value: Any, path: str = "") -> None:
        """Add a value; ``path`` names it in errors."""
        self._add(value, path or getattr(value, "__qualname__", type(value).__name__))

    def hexdigest(self) -> str:
        """Return the hash of all that was added."""
        return self._digest.hexdigest()

    def _mark(self, tag: str, data: bytes | memoryview = b"") -> None:
        # length-prefixed, so that two sequences of values never give the same bytes
        self._digest.update(f"{tag}:{len(data)}:".encode())
        self._digest.update(data)

    def _add(self, value: Any, path: str) -> None:
        if value is None or value is True or value is False or value is Ellipsis or value is NotImplemented:
            return self._mark("const", repr(value).encode())
        kind = type(value)
        if kind is str:
            return self._mark("str", value.encode("utf-8", "surrogatepass"))
        if kind is int:
            return self._mark("int", str(value).encode() if value.bit_length() < 4096 else hex(value).encode())
        if kind is float:
            return self._mark("float", struct.pack("<d", value))
        if kind is complex:
            return self._mark("complex", struct.pack("<dd", value.real, value.imag))
        if kind in (bytes, bytearray):
            return self._mark("bytes", bytes(value))
        # a value met again (also inside itself) is its first place; without this, cycles would not end
        if id(value) in self._seen:
            return self._mark("again", str(self._seen[id(value)]).encode())
        self._seen[id(value)] = len(self._seen)
        self._alive.append(value)
        self._compound(value, kind, path)

    def _compound(self, value: Any, kind: type, path: str) -> None:
        if not isinstance(value, type) and callable(getattr(kind, "__fingerprint__", None)):
            return self._mark("own", f"{kind.__qualname__} {value.__fingerprint__()}".encode())
        if kind in (list, tuple, dict) and _is_flat(value):
            # version 0 writes every value in full: no mark for a string that happens to be interned or met before
            self._mark(f"flat {kind.__name__}", marshal.dumps(value, 0))
        elif kind in (list, tuple):
            self._mark(kind.__name__, str(len(value)).encode())
            for number, item in enumerate(value):
                self._add(item, f"{path}[{number}]")
        elif kind in (set, frozenset):
            self._mark(kind.__name__, b"".join(sorted(self._apart(item, path) for item in value)))
        elif isinstance(value, enum.Enum):
            self._mark("enum", f"{kind.__module__}.{kind.__qualname__}.{value.name}".encode())
        elif isinstance(value, dict):
            self._mark(f"dict {kind.__qualname__}", str(len(value)).encode())
            for key, item in value.items():
                self._add(key, path)
                self._add(item, f"{path}[{key!r}]")
            if kind is not dict and getattr(value, "__dict__", None):
                self._add(dict(vars(value)), path)
        elif isinstance(value, types.FunctionType):
            self._function(value, path)
        elif isinstance(value, types.CodeType):
            self._code(value, path)
        elif isinstance(value, types.MethodType):
            self._mark("method")
            self._add(value.__func__, path)
            self._add(value.__self__, f"{path}.__self__")
        elif isinstance(value, functools.partial):
            self._mark("partial")
            for name, part in (("func", value.func), ("args", value.args), ("keywords", value.keywords)):
                self._add(part, f"{path}.{name}")
        elif isinstance(value, types.ModuleType):
            self._mark("module", f"{value.__name__} {_version(value.__name__)}".encode())
        elif isinstance(value, type):
            self._class(value, path)
        elif isinstance(value, (types.BuiltinFunctionType, types.MethodWrapperType)):
            owner = getattr(value, "__self__", None)
            self._mark("builtin", f"{getattr(value, '__module__', '')}.{value.__qualname__}".encode())
            if owner is not None and not isinstance(owner, types.ModuleType):
                self._add(owner, f"{path}.__self__")
        elif isinstance(value, np.ndarray):
            self._mark("ndarray", f"{value.dtype.str} {value.shape}".encode())
            if value.dtype == object:
                self._add(value.tolist(), path)
            else:
                self._mark("data", np.ascontiguousarray(value).tobytes())
        elif isinstance(value, (np.generic, np.dtype)):
            self._mark("numpy", f"{kind.__name__} {value!r}".encode())
        elif isinstance(value, (pa.Table, pa.RecordBatch, pa.Array, pa.ChunkedArray)):
            self._arrow(value)
        elif isinstance(value, (pa.DataType, pa.Schema, pa.Field)):
            self._mark("arrow", str(value).encode())
        elif kind.__module__.partition(".")[0] == "torch" and hasattr(value, "detach") and hasattr(value, "numpy"):
            tensor = value.detach().cpu().contiguous()
            self._mark("tensor", f"{tensor.dtype} {tuple(tensor.shape)}".encode())
            self._mark(
                "data", tensor.flatten().view(sys.modules["torch"].uint8).numpy().tobytes() if tensor.numel() else b""
            )
        else:
            self._object(value, kind, path)

    def _apart(self, value: Any, path: str) -> bytes:
        other = Hasher()
        other._add(value, path)
        return other._digest.digest()

    def _arrow(self, value: Any) -> None:
        table = value if isinstance(value, pa.Table) else None
        if isinstance(value, pa.RecordBatch):
            table = pa.Table.from_batches([value])
        elif table is None:
            table = pa.table({"": value})
        self._mark("table", str(table.schema.remove_metadata()).encode())
        if any(column.num_chunks > 1 for column in table.columns):
            table = table.combine_chunks()  # how the rows came is not what they are
        sink = _DigestSink(self._digest)
        with pa.PythonFile(sink, "w") as file, pa.ipc.new_stream(file, table.schema.remove_metadata()) as writer:
            writer.write_table(table, max_chunksize=1 << 20)

    def _code(self, code: types.CodeType, path: str) -> None:
        self._mark("code", code.co_code)
        shape = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
        self._mark("shape", repr((shape, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)).encode())
        for constant in code.co_consts:
            self._add(constant, path)

    def _function(self, function: types.FunctionType, path: str) -> None:
        if _is_library(function.__module__):
            return self._mark(
                "library", f"{function.__module__}.{function.__qualname__} {_version(function.__module__)}".encode()
            )
        self._mark("function")
        self._code(function.__code__, path)
        self._add(function.__defaults__, f"the defaults of {path}")
        self._add(function.__kwdefaults__, f"the defaults of {path}")
        cells = function.__closure__ or ()
        for name, cell in zip(function.__code__.co_freevars, cells, strict=False):
            try:
                content = cell.cell_contents
            except ValueError:
                self._mark("empty cell", name.encode())
                continue
            self._add(content, f"{name!r} in the closure of {path}")
        for name in _global_names(function.__code__):
            if name in function.__globals__:
                self._mark("global", name.encode())
                self._add(function.__globals__[name], f"{name!r}, a global of {path}")
        wrapped = getattr(function, "__wrapped__", None)
        if wrapped is not None:
            self._add(wrapped, path)

    def _class(self, value: type, path: str) -> None:
        name = f"{value.__module__}.{value.__qualname__}"
        if _is_library(value.__module__):
            return self._mark("class", f"{name} {_version(value.__module__)}".encode())
        self._mark("own class", value.__qualname__.encode())
        for base in value.__bases__:
            self._add(base, path)
        for key in sorted(vars(value)):
            if key in ("__dict__", "__weakref__", "__doc__", "__module__", "__firstlineno__", "__static_attributes__"):
                continue
            if key in ("__dataclass_fields__", "__dataclass_params__"):  # what they say is in the methods made of them
                continue
            item = vars(value)[key]
            if isinstance(item, (staticmethod, classmethod)):
                item = item.__func__
            elif isinstance(item, property):
                item = (item.fget, item.fset)
            elif isinstance(
                item, (types.MemberDescriptorType, types.GetSetDescriptorType, types.WrapperDescriptorType)
            ):
                continue
            self._mark("attribute", key.encode())
            self._add(item, f"{path}.{key}")

    def _object(self, value: Any, kind: type, path: str) -> None:
        if isinstance(value, (threading.Thread, types.GeneratorType, types.CoroutineType)) or hasattr(value, "fileno"):
            raise Unhashable(value, path)
        if isinstance(value, os.PathLike):
            return self._mark("path", os.fsencode(value))
        self._mark("object")
        self._add(kind, path)
        slots = [name for base in kind.__mro__ for name in _slots(base)]
        if hasattr(kind, "__getstate__") and kind.__getstate__ is not getattr(object, "__getstate__", None):
            self._add(value.__getstate__(), path)
        elif hasattr(value, "__dict__") or slots:
            state = dict(getattr(value, "__dict__", {}))
            state.update({name: getattr(value, name) for name in slots if hasattr(value, name)})
            for name in sorted(state):
                self._mark("attribute", name.encode())
                self._add(state[name], f"{path}.{name}")
            bases: tuple[Any, ...] = (list, tuple, str, int, float)
            for base in bases:
                if isinstance(value, base):
                    self._add(base(value), path)
        else:
            try:
                parts = value.__reduce_ex__(4)
            except Exception:
                raise Unhashable(value, path) from None
            if isinstance(parts, str):
                return self._mark("reduced", parts.encode())
            for part in parts[:3]:
                self._add(part, path)
            for part in parts[3:]:
                self._add(None if part is None else list(part), path)


def _is_flat(value: Any) -> bool:
    """Return whether a container holds single values alone, which the interpreter writes as bytes at once."""
    if type(value) is dict:
        return _SINGLE.issuperset(map(type, value.values())) and _SINGLE.issuperset(map(type, value))
    return _SINGLE.issuperset(map(type, value))


class _DigestSink:
    """A file that only hashes what is written to it."""

    closed = False

    def __init__(self, digest: Any) -> None:
        self._digest = digest

    def write(self, data: Any) -> int:
        self._digest.update(data)
        return len(data)

    def flush(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False


def _slots(kind: type) -> list[str]:
    names = vars(kind).get("__slots__", ())
    names = [names] if isinstance(names, str) else list(names)
    return [name for name in names if name not in ("__dict__", "__weakref__")]


def _global_names(code: types.CodeType) -> list[str]:
    """Return the globals that a function's code reads, also in the functions inside it, in the order of their use."""
    names: dict[str, None] = {}
    for step in dis.get_instructions(code):
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME") and isinstance(step.argval, str):
            names[step.argval] = None
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names.update(dict.fromkeys(_global_names(constant)))
    return list(names)


@functools.cache
def _library_folders() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    return tuple(os.path.realpath(paths[key]) + os.sep for key in ("stdlib", "platstdlib", "purelib", "platlib"))


@functools.lru_cache(maxsize=4096)
def _is_library(module: str | None) -> bool:
    """Return whether a module is installed code, which is known by name and version, not by its source."""
    if not module or module == "__main__":
        return False
    if module.partition(".")[0] in ("enfold", "builtins"):
        return True
    found = sys.modules.get(module)
    if found is None:
        return False
    file = getattr(found, "__file__", None)
    return file is None or os.path.realpath(file).startswith(_library_folders())


def _version(module: str | None) -> str:
    top = sys.modules.get((module or "").partition(".")[0])
    version = vars(top).get("__version__", "") if top is not None else ""
    return version if isinstance(version, str) else ""


def combine(*parts: Any) -> str:
    """Return the fingerprint of several values together."""
    return Hasher.hash(list(parts))


def update_fingerprint(fingerprint: str, transform: str | Callable[..., Any], arguments: Mapping[str, Any]) -> str:
    """Return the fingerprint of a dataset after a transform.

    Raises:
        Unhashable: an argument's content cannot be told from outside.
    """
    hasher = Hasher()
    hasher.update(fingerprint)
    hasher.update(transform)
    for name in sorted(arguments):
        hasher.update(name)
        hasher.update(arguments[name], getattr(arguments[name], "__qualname__", name))
    return hasher.hexdigest()


def fingerprint_transform(
    inplace: bool,
    use_kwargs: Sequence[str] | None = None,
    ignore_kwargs: Sequence[str] | None = None,
    fingerprint_names: Sequence[str] | None = None,
    randomized_function: bool = False,
    version: str | None = None,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator for methods of one's own dataset class that tells what comes out by what goes in.

    The method gets ``new_fingerprint`` as an argument: what the dataset is, and the arguments of the call, as text.

    Args:
        inplace: the method changes the dataset, which gets the new fingerprint.
        use_kwargs: the arguments that count; all where None.
        ignore_kwargs: arguments that do not.
        fingerprint_names: the arguments that get fingerprints, in place of ``new_fingerprint``.
        randomized_function: a call without ``seed`` and ``generator`` gives something new every time.
        version: another text is another method.
    """
    names = list(fingerprint_names or ["new_fingerprint"])

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        signature = inspect.signature(function)
        identity = f"{function.__module__}.{function.__qualname__}@{version}"

        @functools.wraps(function)
        def method(self: Any, *arguments: Any, **given: Any) -> Any:
            own = {name: given.pop(name) for name in names if given.get(name) is not None}
            # positions after self are those of the arguments that the caller sees
            shown = [item for name, item in signature.parameters.items() if name not in names]
            bound = signature.replace(parameters=shown).bind(self, *arguments, **given)
            bound.apply_defaults()
            counted = dict(list(bound.arguments.items())[1:])
            if use_kwargs is not None:
                counted = {name: value for name, value in counted.items() if name in use_kwargs}
            counted = {name: value for name, value in counted.items() if name not in (ignore_kwargs or ())}
            known = not randomized_function or any(counted.get(name) is not None for name in ("seed", "generator"))
            for name in names:
                if name not in own:
                    own[name] = (
                        update_fingerprint(self._fingerprint, f"{identity}.{name}", counted)
                        if known
                        else generate_random_fingerprint()
                    )
            call = signature.bind_partial()
            call.arguments.update({name: (bound.arguments | own)[name] for name in signature.parameters})
            made = function(*call.args, **call.kwargs)
            if inplace:
                self._identity = own[names[0]]
            return made

        return method

    return decorate
