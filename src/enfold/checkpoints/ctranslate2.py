"""CTranslate2's ``model.bin``: all tensors of a model in one file, in floats or in whole numbers with their scales.

Written from the reader of the project (``src/models/model.cc``): a version, the name and the revision of the kind of
model, then each tensor with its name, shape and type, then second names of tensors that are used twice.
"""

from __future__ import annotations

import mmap
import os
import struct
from typing import TYPE_CHECKING

from enfold.checkpoints.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["CTranslate2"]

# number of a type → its name in torch; float32, int8, int16, int32, float16, bfloat16
TYPES = ("float32", "int8", "int16", "int32", "float16", "bfloat16")
OLDEST, NEWEST = 2, 6


class CTranslate2:
    """A ``model.bin``: ``kind`` (such as "WhisperSpec"), ``names``, and ``tensor(name)``.

    Args:
        path: the file.

    Raises:
        CheckpointError: for a file that is something else, of another version, or cut off.

    Example:
        >>> CTranslate2("no such file")
        Traceback (most recent call last):
        ...
        enfold.checkpoints.errors.CheckpointError: no such file is no CTranslate2 model: it cannot be read
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        try:
            with open(self.path, "rb") as file:
                # private: a tensor that lies in the file may be written to, and the file stays as it is
                self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        except (OSError, ValueError):
            raise CheckpointError(f"{self.path} is no CTranslate2 model: it cannot be read") from None
        self._place = 0
        version = self._number("I")
        if not OLDEST <= version <= NEWEST:
            raise CheckpointError(
                f"{self.path} is no CTranslate2 model of version {OLDEST} to {NEWEST}: it begins with {version}"
            )
        self.kind = self._text()
        self.revision = self._number("I")
        # name → type, shape, where its bytes begin
        self._tensors: dict[str, tuple[str, tuple[int, ...], int]] = {}
        for _ in range(self._number("I")):
            name = self._text()
            shape = tuple(self._number("I") for _ in range(self._number("B")))
            if version >= 4:
                kind, size = self._number("B"), self._number("I")
            else:
                kind, width = {4: 0, 2: 2, 1: 1}.get(self._number("B"), 0), 0
                width = (4, 1, 2)[kind]
                size = self._number("I") * width
            if kind >= len(TYPES):
                raise CheckpointError(f"{self.path}: {name} has a type of number {kind}, which is not known")
            self._tensors[name] = (TYPES[kind], shape, self._place)
            self._skip(size)
        if version >= 3:
            for _ in range(self._number("I")):
                second = self._text()
                first = self._text()
                if first not in self._tensors:
                    raise CheckpointError(f"{self.path}: {second} is to be {first}, which is not there")
                self._tensors[second] = self._tensors[first]

    @property
    def names(self) -> list[str]:
        """The names of all tensors, second names included."""
        return list(self._tensors)

    def __contains__(self, name: object) -> bool:
        return name in self._tensors

    def tensor(self, name: str) -> Tensor:
        """Return a tensor; one of whole numbers with a scale beside it (``name_scale``) as the numbers it stands for.

        Raises:
            CheckpointError: where there is none of that name.
        """
        if name not in self._tensors:
            raise CheckpointError(f"{self.path} has no {name}")
        raw = self._raw(name)
        scale = f"{name}_scale"
        if scale not in self._tensors or raw.is_floating_point():
            return raw
        factor = self._raw(scale).float()  # one, or one a row
        return raw.float() / (factor[:, None] if factor.dim() == 1 and factor.numel() > 1 else factor)

    def _raw(self, name: str) -> Tensor:
        import torch

        kind, shape, place = self._tensors[name]
        count = 1
        for size in shape:
            count *= size
        dtype = getattr(torch, kind)
        return torch.frombuffer(self._bytes, dtype=dtype, count=count, offset=place).view(shape)

    def _number(self, code: str) -> int:
        place = self._place
        self._skip(struct.calcsize(code))
        return int(struct.unpack_from(f"<{code}", self._bytes, place)[0])

    def _text(self) -> str:
        size = self._number("H")
        place = self._place
        self._skip(size)
        return self._bytes[place : place + size].rstrip(b"\0").decode("utf-8", "replace")

    def _skip(self, size: int) -> None:
        self._place += size
        if self._place > len(self._bytes):
            raise CheckpointError(f"{self.path} is cut off: it ends at {len(self._bytes)} bytes")
