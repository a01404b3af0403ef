"""Keys and values as onnxruntime's own values: the outputs of one step are the inputs of the next, never copied."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from enfold.optimum.onnxruntime.sessions import tensor_of, value_of
from enfold.optimum.runtimes.caches import GrowingCache

__all__ = ["SessionCache"]


class SessionCache(GrowingCache):
    """What a graph has made of the tokens so far.

    Attributes:
        values: name of an input → onnxruntime's value (B, H, S, D).
    """

    def __init__(self) -> None:
        super().__init__()
        self.values: dict[str, Any] = {}

    def keep(self, made: dict[str, Any], tokens: int) -> None:
        """Take the outputs ``present.…`` of a step with so many tokens as the inputs of the next."""
        for name, value in made.items():
            if name.startswith("present"):
                self.values[name.replace("present", "past_key_values", 1)] = value
        self.filled += tokens

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep the given rows of the batch."""
        self._change(lambda name, x: x.index_select(0, indices))

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Repeat every row of the batch ``repeats`` times in place."""
        self._change(lambda name, x: x.repeat_interleave(repeats, 0))

    def crop(self, length: int) -> None:
        """Keep the first ``length`` positions of the text; a negative number drops that many from the end."""
        kept = self.left_by(length)
        if kept < self.filled:
            self._change(lambda name, x: x if ".encoder." in name else x[:, :, :kept])
        self.filled = kept

    def reset(self) -> None:
        """Forget everything."""
        self.values, self.filled = {}, 0

    def _change(self, change: Callable[[str, Tensor], Tensor]) -> None:
        for name, value in self.values.items():
            tensor = tensor_of(value)
            self.values[name] = value_of(change(name, tensor).contiguous(), tensor.dtype)

    def __getitem__(self, index: int) -> Any:
        place = f"past_key_values.{index}."
        return tuple(tensor_of(value) for name, value in self.values.items() if name.startswith(place))

    def __iter__(self) -> Iterator[Any]:
        return (self[index] for index in range(len(self)))

    def __len__(self) -> int:
        return len({name.split(".")[1] for name in self.values})

    def __repr__(self) -> str:
        return f"SessionCache(layers={len(self)}, positions={self.filled})"


def empty(shape: list[Any], rows: int, kind: torch.dtype) -> Any:
    """Return keys or values of no positions, (B, H, 0, D), for an input whose dimensions are ``shape``."""
    sizes = [rows, shape[1], 0, shape[3]]
    return value_of(torch.zeros(sizes, dtype=kind), kind)
