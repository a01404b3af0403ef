"""The header of a safetensors file: which tensors it holds, without reading them.

Source: https://huggingface.co/docs/safetensors/index#format
"""

from __future__ import annotations

import json
import math
from typing import Any, NamedTuple

from enfold.hubserver.files import Reader

__all__ = ["Header", "Tensor", "raw_header", "read_header"]

_LARGEST = 25_000_000  # bytes of a header
_WIDTHS = {
    **dict.fromkeys(("F64", "I64", "U64", "C64"), 8),
    **dict.fromkeys(("F32", "I32", "U32"), 4),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 2),
    **dict.fromkeys(("F8_E4M3", "F8_E5M2", "F8_E8M0", "I8", "U8", "BOOL"), 1),
}


class Tensor(NamedTuple):
    """A tensor as the header describes it."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    size: int  # bytes

    @property
    def numbers(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)


class Header(NamedTuple):
    """What a file of weights says of itself."""

    tensors: list[Tensor]
    metadata: dict[str, str]

    @property
    def parameters(self) -> dict[str, int]:
        """How many numbers there are of each type."""
        counts: dict[str, int] = {}
        for tensor in self.tensors:
            counts[tensor.dtype] = counts.get(tensor.dtype, 0) + tensor.numbers
        return counts


def read_header(reader: Reader, size: int) -> Header:
    """Return the header of a safetensors file of ``size`` bytes.

    Raises:
        ValueError: it is no such file, or its header says what cannot be.
    """
    said, room = _read(reader, size)
    metadata = said.pop("__metadata__", None) or {}
    if not isinstance(metadata, dict):
        raise ValueError("the metadata are not a mapping")
    tensors = [_tensor(name, about, room) for name, about in said.items()]
    return Header(tensors, {str(name): str(value) for name, value in metadata.items()})


def raw_header(reader: Reader, size: int) -> dict[str, Any]:
    """Return the same as the file has it, once it is known to say what can be."""
    said, room = _read(reader, size)
    for name, about in said.items():
        if name != "__metadata__":
            _tensor(name, about, room)
    return said


def _read(reader: Reader, size: int) -> tuple[dict[str, Any], int]:
    """Return what a header says, and how many bytes are behind it."""
    length = int.from_bytes(reader.read(8), "little")
    if not 2 <= length <= min(_LARGEST, size - 8):
        raise ValueError(f"the header would have {length} bytes: this is no safetensors file")
    data = bytearray()
    while len(data) < length:
        piece = reader.read(length - len(data))
        if not piece:
            raise ValueError("the file ends inside its header")
        data += piece
    try:
        said: Any = json.loads(bytes(data))
    except (ValueError, RecursionError):
        raise ValueError("the header is not JSON") from None
    if not isinstance(said, dict):
        raise ValueError("the header is not a mapping")
    return said, size - 8 - length


def _tensor(name: str, about: Any, room: int) -> Tensor:
    try:
        dtype, (first, last) = str(about["dtype"]), about["data_offsets"]
        shape = tuple(int(length) for length in about["shape"])
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"the header does not say what {name!r} is") from None
    if not (isinstance(first, int) and isinstance(last, int) and 0 <= first <= last <= room):
        raise ValueError(f"{name!r} would lie outside of the file")
    if min(shape, default=0) < 0 or (dtype in _WIDTHS and math.prod(shape) * _WIDTHS[dtype] != last - first):
        raise ValueError(f"{name!r} of {dtype} {list(shape)} does not have {last - first} bytes")
    return Tensor(name, dtype, shape, last - first)
