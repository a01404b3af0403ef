"""Checkpoints of bitsandbytes: weights in four or eight bits, read as the numbers that they stand for.

In four bits a file holds of ``X.weight``: two codes a byte, the first in the upper half; ``X.weight.absmax``, a scale
for each block; ``X.weight.quant_map``, the sixteen numbers; where scales are in eight bits too
``X.weight.nested_absmax`` and ``X.weight.nested_quant_map``; and the rest as JSON in the bytes of
``X.weight.quant_state.bitsandbytes__nf4`` (or ``fp4``). In eight bits it holds ``X.weight`` as int8 and ``X.SCB``, the
largest magnitude of each row.

Source: ``bitsandbytes.functional.QuantState``, and the state dictionaries of ``Linear8bitLt``
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from enfold.checkpoints.errors import CheckpointError
from enfold.checkpoints.read import open_tensors
from enfold.nn.quantized import BLOCK, CODES, Packed

__all__ = ["BitsAndBytes"]

STATE = ".quant_state.bitsandbytes__"
PARTS = (".absmax", ".quant_map", ".nested_absmax", ".nested_quant_map")


class BitsAndBytes(Mapping[str, Tensor]):
    """The weights of a checkpoint by name, those of few bits as whole numbers, made when they are asked for.

    Args:
        files: the checkpoint's files; what belongs together may lie in several.

    Attributes:
        packed: names of the layers whose weights are in few bits.

    Raises:
        CheckpointError: something of a weight is missing.
    """

    def __init__(self, files: Iterable[str | os.PathLike[str]]) -> None:
        self._stack = ExitStack()
        self._get: dict[str, Callable[[str], Tensor]] = {}
        for path in files:
            names, get = self._stack.enter_context(open_tensors(path))
            self._get.update(dict.fromkeys(names, get))
        self._states = {name.partition(STATE)[0]: name for name in self._get if STATE in name}
        rows = {f"{name.removesuffix('.SCB')}.weight": name for name in self._get if name.endswith(".SCB")}
        self._rows = {name: scales for name, scales in rows.items() if name in self._get}
        hidden = {*self._states.values(), *self._rows.values()}
        hidden |= {weight + part for weight in self._states for part in PARTS}
        hidden |= {f"{weight}_format" for weight in self._rows}
        self._names = [name for name in self._get if name not in hidden]
        self.packed = {name.removesuffix(".weight") for name in (*self._states, *self._rows)}
        for weight in self._states:
            if weight not in self._get or f"{weight}.absmax" not in self._get:
                raise CheckpointError(f"{weight} is in four bits, and its codes or scales are missing")

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, name: str) -> Tensor:
        if name in self._states:
            return self._four(name)
        if name in self._rows:
            return self._read(name).float() * (self._read(self._rows[name]).float() / 127)[:, None]
        return self._read(name)

    def close(self) -> None:
        """Close the files."""
        self._stack.close()

    def _read(self, name: str) -> Tensor:
        if name not in self._get:
            raise CheckpointError(f"the checkpoint holds no {name}")
        return self._get[name](name)

    def _four(self, weight: str) -> Tensor:
        """Return a weight that is in four bits, of the type that it had."""
        return self.four_bits(weight).dequantize()

    def four_bits(self, weight: str) -> Packed:
        """Return a weight as it is stored, its scales in single precision.

        Raises:
            CheckpointError: its blocks are not of 64 numbers.
        """
        state: dict[str, Any] = json.loads(bytes(self._read(self._states[weight]).tolist()))
        if state["blocksize"] != BLOCK or state["quant_type"] not in CODES:
            kind = f"{state['quant_type']} in blocks of {state['blocksize']}"
            raise CheckpointError(f"{weight} is {kind}; {' and '.join(CODES)} in blocks of {BLOCK} are read")
        scales = self._read(f"{weight}.absmax")
        if scales.dtype is torch.uint8:  # the scales' own places among 256 numbers
            block, outer = int(state["nested_blocksize"]), self._read(f"{weight}.nested_absmax").float()
            inner = self._read(f"{weight}.nested_quant_map").float()[scales.long()]
            whole = F.pad(inner, (0, -len(inner) % block)).view(-1, block) * outer[:, None]
            scales = whole.flatten()[: len(inner)] + float(state["nested_offset"])
        codes = self._read(weight).flatten().view(torch.uint8)
        dtype = getattr(torch, state["dtype"])
        return Packed(codes, scales.float(), None, state["quant_type"], tuple(state["shape"]), dtype)

    def name_of(self, layer: str) -> str | None:
        """Return the name here of a model's layer, whichever of the two has a prefix; None where it is in full."""
        fits = (name for name in self.packed if f".{name}".endswith(f".{layer}") or f".{layer}".endswith(f".{name}"))
        return next(fits, None)
