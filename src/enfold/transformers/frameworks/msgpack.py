"""Flax's files: nested dictionaries of arrays in MessagePack, read and written without a further dependency.

The format is what ``flax.serialization.to_bytes`` writes: maps with text keys; an array is an extension of type 1,
which holds (shape, type's name, bytes) again in MessagePack; one of more than 2**30 bytes is a map of chunks. Of
MessagePack there is here what such files can hold, and nothing that is read becomes anything but numbers, texts and
arrays.

Source: https://github.com/msgpack/msgpack/blob/master/spec.md; Flax, ``flax/serialization.py``.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from enfold.errors import EnfoldError

__all__ = ["pack", "unpack"]

_ARRAY, _SCALAR = 1, 3  # extension types
_CHUNKED = "__msgpack_chunked_array__"
_CHUNK = 2**30  # bytes of an array's largest part
_DEEP = 64  # levels of nesting that a file may have


class _Reader:
    """Walks through bytes, each length checked against what is left."""

    def __init__(self, data: memoryview) -> None:
        self.data, self.at = data, 0

    def take(self, count: int) -> memoryview:
        if count < 0 or self.at + count > len(self.data):
            raise EnfoldError("the Flax file ends in the middle of a value: it is cut off, or no MessagePack")
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, form: str) -> Any:
        return struct.unpack(">" + form, self.take(struct.calcsize(form)))[0]

    def value(self, depth: int = 0) -> Any:
        if depth > _DEEP:
            raise EnfoldError(f"the Flax file nests more than {_DEEP} levels")
        lead = self.number("B")
        if lead <= 0x7F:
            return lead
        if lead >= 0xE0:
            return lead - 0x100
        if lead <= 0x8F:
            return self.mapping(lead & 0x0F, depth)
        if lead <= 0x9F:
            return self.sequence(lead & 0x0F, depth)
        if lead <= 0xBF:
            return self.text(lead & 0x1F)
        if lead in _PLAIN:
            return _PLAIN[lead]
        if lead in _NUMBERS:
            return self.number(_NUMBERS[lead])
        if lead in _SIZED:
            kind, form = _SIZED[lead]
            size = form if isinstance(form, int) else self.number(form)
            if kind == "bytes":
                return self.take(size)
            if kind == "text":
                return self.text(size)
            if kind == "extension":
                return self.extension(size)
            return self.sequence(size, depth) if kind == "sequence" else self.mapping(size, depth)
        raise EnfoldError(f"the Flax file has a byte {lead:#x} where a value begins: it is no MessagePack")

    def text(self, size: int) -> str:
        return str(self.take(size), "utf-8")

    def sequence(self, size: int, depth: int) -> list[Any]:
        return [self.value(depth + 1) for _ in range(size)]

    def mapping(self, size: int, depth: int) -> Any:
        made = {}
        for _ in range(size):
            key = self.value(depth + 1)
            made[str(key)] = self.value(depth + 1)
        return _joined(made) if _CHUNKED in made else made

    def extension(self, size: int) -> Tensor:
        kind, body = self.number("b"), self.take(size)
        if kind not in (_ARRAY, _SCALAR):
            raise EnfoldError(f"the Flax file has an extension of type {kind}; arrays are of type {_ARRAY}")
        shape, dtype, numbers = _Reader(body).value()
        return _tensor(shape, dtype, numbers)


_PLAIN = {0xC0: None, 0xC2: False, 0xC3: True}
_NUMBERS = {
    0xCA: "f", 0xCB: "d", 0xCC: "B", 0xCD: "H", 0xCE: "I", 0xCF: "Q", 0xD0: "b", 0xD1: "h", 0xD2: "i", 0xD3: "q",
}  # fmt: skip
_SIZED: dict[int, tuple[str, str | int]] = {
    0xC4: ("bytes", "B"), 0xC5: ("bytes", "H"), 0xC6: ("bytes", "I"),
    0xC7: ("extension", "B"), 0xC8: ("extension", "H"), 0xC9: ("extension", "I"),
    0xD4: ("extension", 1), 0xD5: ("extension", 2), 0xD6: ("extension", 4), 0xD7: ("extension", 8),
    0xD8: ("extension", 16),
    0xD9: ("text", "B"), 0xDA: ("text", "H"), 0xDB: ("text", "I"),
    0xDC: ("sequence", "H"), 0xDD: ("sequence", "I"),
    0xDE: ("mapping", "H"), 0xDF: ("mapping", "I"),
}  # fmt: skip


def _tensor(shape: Any, dtype: Any, numbers: Any) -> Tensor:
    kind = getattr(torch, str(dtype), None)
    if not isinstance(kind, torch.dtype):
        raise EnfoldError(f"the Flax file has an array of type {dtype!r}, which torch does not know")
    count = math.prod(shape)
    if len(numbers) != count * kind.itemsize:
        raise EnfoldError(f"the Flax file has an array of {len(numbers)} bytes where shape {list(shape)} needs others")
    # a copy: bytes in a file lie at any address, and what is mapped cannot be written to
    return torch.frombuffer(bytearray(numbers), dtype=kind).reshape(shape) if count else torch.empty(shape, dtype=kind)


def _joined(parts: Mapping[str, Any]) -> Tensor:
    """Return the array that was written in chunks."""
    shape, chunks = (parts[name] for name in ("shape", "chunks"))
    sizes = [shape[str(at)] for at in range(len(shape))] if isinstance(shape, Mapping) else list(shape)
    flat = [chunks[str(at)] for at in range(len(chunks))] if isinstance(chunks, Mapping) else list(chunks)
    return torch.cat([part.reshape(-1) for part in flat]).reshape(sizes)


def unpack(data: Any) -> dict[str, Any]:
    """Return the nested dictionary of a file's bytes, its arrays as torch tensors.

    Raises:
        EnfoldError: the bytes are cut off, are no MessagePack, or hold what a Flax file does not.

    Example:
        >>> unpack(b"\\x81\\xa1a\\x81\\xa1b\\x01")
        {'a': {'b': 1}}
    """
    reader = _Reader(memoryview(data))
    try:
        made = reader.value()
    except (UnicodeDecodeError, ValueError, TypeError, KeyError, RuntimeError) as error:
        raise EnfoldError(f"the Flax file cannot be read: {error}") from error
    if not isinstance(made, dict) or reader.at != len(reader.data):
        raise EnfoldError("the Flax file is not one dictionary of weights")
    return made


def pack(tree: Mapping[str, Any]) -> Iterator[bytes]:
    """Yield a file's bytes for nested dictionaries of arrays (NumPy's, or whatever has ``shape``, ``dtype.name`` and
    ``tobytes``).

    Example:
        >>> b"".join(pack({"a": {"b": 1}}))
        b'\\x81\\xa1a\\x81\\xa1b\\x01'
    """
    yield from _packed(tree)


def _packed(value: Any) -> Iterator[bytes]:
    if isinstance(value, Mapping):
        yield _head(len(value), 0x80, 15, {2: 0xDE, 4: 0xDF})
        for key, part in value.items():
            text = str(key).encode()
            yield _head(len(text), 0xA0, 31, {1: 0xD9, 2: 0xDA, 4: 0xDB}) + text
            yield from _packed(part)
    elif isinstance(value, bool):
        yield b"\xc3" if value else b"\xc2"
    elif isinstance(value, int):
        yield _whole(value)
    elif isinstance(value, tuple | list):
        yield _head(len(value), 0x90, 15, {2: 0xDC, 4: 0xDD})
        for part in value:
            yield from _packed(part)
    elif isinstance(value, str):
        text = value.encode()
        yield _head(len(text), 0xA0, 31, {1: 0xD9, 2: 0xDA, 4: 0xDB}) + text
    elif value.nbytes > _CHUNK:
        flat, step = value.reshape(-1), max(1, _CHUNK // value.dtype.itemsize)
        parts = {str(at): flat[first : first + step] for at, first in enumerate(range(0, flat.size, step))}
        yield from _packed({_CHUNKED: True, "shape": {str(at): n for at, n in enumerate(value.shape)}, "chunks": parts})
    else:
        numbers = value.tobytes()
        inner = b"\x93" + b"".join(_packed(tuple(int(n) for n in value.shape))) + b"".join(_packed(value.dtype.name))
        inner += _head(len(numbers), None, 0, {1: 0xC4, 2: 0xC5, 4: 0xC6})
        size = len(inner) + len(numbers)
        fixed = {1: 0xD4, 2: 0xD5, 4: 0xD6, 8: 0xD7, 16: 0xD8}
        head = bytes([fixed[size]]) if size in fixed else _head(size, None, 0, {1: 0xC7, 2: 0xC8, 4: 0xC9})
        yield head + struct.pack("b", _ARRAY) + inner
        yield numbers


def _head(size: int, short: int | None, most: int, wide: Mapping[int, int]) -> bytes:
    """Return the bytes that announce a size: in the lead byte where it fits, else after one of ``wide``."""
    if short is not None and size <= most:
        return bytes([short | size])
    for width, lead in wide.items():
        if size < 256**width:
            return bytes([lead]) + size.to_bytes(width, "big")
    raise EnfoldError(f"a value of {size} bytes does not fit into MessagePack")


def _whole(value: int) -> bytes:
    if 0 <= value <= 0x7F:
        return bytes([value])
    if value < 0:
        return b"\xd3" + struct.pack(">q", value)
    for lead, form in ((0xCC, "B"), (0xCD, "H"), (0xCE, "I"), (0xCF, "Q")):
        if value < 256 ** struct.calcsize(form):
            return bytes([lead]) + struct.pack(">" + form, value)
    raise EnfoldError(f"{value} does not fit into MessagePack")
