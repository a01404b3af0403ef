"""GGUF files: everything about a model in one file, its weights often in a few bits each.

The header is read without torch; tensors are mapped and turned into numbers when they are asked for. Written from the
format's specification (ggml, ``docs/gguf.md``) and the layouts of its blocks (``ggml-common.h``, ``ggml-quants.c``).
"""

from __future__ import annotations

import math
import mmap
import os
import struct
from typing import TYPE_CHECKING, Any, NamedTuple

from enfold.checkpoints.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["GGUF", "GGUFTensor"]

# number of a metadata type → its struct code; 8 is a string, 9 an array
SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
STRING, ARRAY = 8, 9


class GGUFTensor(NamedTuple):
    """What the header says of a tensor: the name of its type, its shape as torch has it, where its bytes begin."""

    kind: str
    shape: tuple[int, ...]
    offset: int


class GGUF:
    """A GGUF file: ``metadata`` and ``tensors`` by name, and ``tensor(name)``.

    Args:
        path: the file.

    Raises:
        CheckpointError: for a file that is something else, of another version, or cut off.

    Example:
        >>> GGUF("no such file")
        Traceback (most recent call last):
        ...
        enfold.checkpoints.errors.CheckpointError: no such file is no GGUF file: it cannot be read
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        try:
            with open(self.path, "rb") as file:
                # private: a tensor that lies in the file may be written to, and the file stays as it is
                self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        except (OSError, ValueError):
            raise CheckpointError(f"{self.path} is no GGUF file: it cannot be read") from None
        self._place = 0
        if self._bytes[:4] != b"GGUF":
            raise CheckpointError(f"{self.path} is no GGUF file: it does not begin with GGUF")
        self._place = 4
        try:
            self._read_header()
        except struct.error as error:
            raise CheckpointError(f"{self.path} ends within its header") from error

    def _read_header(self) -> None:
        version = self._number("I")
        if version not in (2, 3):
            raise CheckpointError(f"{self.path} is GGUF of version {version}; 2 and 3 (little-endian) are read here")
        tensors, pairs = self._number("Q"), self._number("Q")
        self.metadata: dict[str, Any] = {}
        for _ in range(pairs):
            key = self._string()
            self.metadata[key] = self._value(self._number("I"))
        found = {}
        for _ in range(tensors):
            name = self._string()
            size = tuple(self._number("Q") for _ in range(self._number("I")))
            kind, offset = self._number("I"), self._number("Q")
            found[name] = (KINDS.get(kind, f"type {kind}"), size[::-1], offset)
        step = self.metadata.get("general.alignment", 32)
        start = -(-self._place // step) * step
        self.tensors = {name: GGUFTensor(kind, size, start + offset) for name, (kind, size, offset) in found.items()}

    def _number(self, code: str) -> Any:
        (value,) = struct.unpack_from(f"<{code}", self._bytes, self._place)
        self._place += struct.calcsize(f"<{code}")
        return value

    def _string(self) -> str:
        length = self._number("Q")
        raw = self._bytes[self._place : self._place + length]
        if len(raw) < length:
            raise CheckpointError(f"{self.path} ends within its header")
        self._place += length
        return raw.decode("utf-8", "replace")

    def _value(self, kind: int) -> Any:
        if kind == STRING:
            return self._string()
        if kind == ARRAY:
            inner, count = self._number("I"), self._number("Q")
            if inner in SCALARS:
                form = f"<{count}{SCALARS[inner]}"
                values = struct.unpack_from(form, self._bytes, self._place)
                self._place += struct.calcsize(form)
                return list(values)
            return [self._value(inner) for _ in range(count)]
        if kind not in SCALARS:
            raise CheckpointError(f"{self.path} has metadata of the unknown type {kind}")
        return self._number(SCALARS[kind])

    def tensor(self, name: str) -> Tensor:
        """Return a tensor as numbers: in its own type where that is one of torch's, else in single precision.

        Raises:
            CheckpointError: for a type that is not read here, or a file that ends too early.
        """
        from enfold.checkpoints.dequantize import BLOCKS, numbers

        kind, shape, offset = self.tensors[name]
        if kind not in BLOCKS:
            raise CheckpointError(
                f"{self.path}: {name} is stored as {kind}, which is not read here; these are: {', '.join(BLOCKS)}"
            )
        values, size = BLOCKS[kind]
        length = math.prod(shape) // values * size
        if offset + length > len(self._bytes):
            raise CheckpointError(f"{self.path} ends within the tensor {name}")
        return numbers(kind, self._bytes, offset, length).view(shape)


# number of a tensor type → its name
KINDS = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 6: "Q5_0", 7: "Q5_1", 8: "Q8_0", 9: "Q8_1", 10: "Q2_K", 11: "Q3_K",
    12: "Q4_K", 13: "Q5_K", 14: "Q6_K", 15: "Q8_K", 16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S",
    20: "IQ4_NL", 21: "IQ3_S", 22: "IQ2_S", 23: "IQ4_XS", 24: "I8", 25: "I16", 26: "I32", 27: "I64", 28: "F64",
    29: "IQ1_M", 30: "BF16", 34: "TQ1_0", 35: "TQ2_0", 39: "MXFP4",
}  # fmt: skip
