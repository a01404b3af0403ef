"""The past of a text as a stateful graph keeps it: the numbers stay in OpenVINO, here is only how many there are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from enfold.optimum.runtimes.caches import GrowingCache

__all__ = ["StateCache"]


class StateCache(GrowingCache):
    """What a graph's variables hold of the tokens so far.

    Args:
        request: OpenVINO's ``InferRequest``; a new cache empties its variables, so that an older one ends.
        rows: of the batch, where known.
    """

    def __init__(self, request: Any) -> None:
        super().__init__()
        self.request = request
        self.order: np.ndarray[Any, Any] | None = None
        self.plain: np.ndarray[Any, Any] = np.arange(1, dtype=np.int32)  # every row continues itself
        request.reset_state()

    def next_rows(self, rows: int) -> np.ndarray[Any, Any]:
        """Return which row of the variables each row of the next step continues, (B,), once."""
        order, self.order = self.order, None
        if order is None:
            if len(self.plain) != rows:
                self.plain = np.arange(rows, dtype=np.int32)
            return self.plain
        return order

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep the given rows of the batch, from the next step on."""
        order = indices.to(torch.int32).cpu().numpy()
        self.order = order if self.order is None else self.order[order]

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Repeat every row ``repeats`` times in place, from the next step on."""
        if self.filled:
            rows = self._states()[0].state.shape[0] if self.order is None else len(self.order)
            self.batch_select_indices(torch.arange(rows).repeat_interleave(repeats))

    def crop(self, length: int) -> None:
        """Keep the first ``length`` positions; a negative number drops that many from the end."""
        import openvino

        length = self.left_by(length)
        if length == self.filled:
            return
        for state in self._states():
            state.state = openvino.Tensor(np.ascontiguousarray(state.state.data[:, :, :length]))
        self.filled = length

    def reset(self) -> None:
        """Forget everything."""
        self.request.reset_state()
        self.filled, self.order = 0, None

    def _states(self) -> list[Any]:
        """Return the variables that hold what was written; those of what was read never change."""
        return [state for state in self.request.query_state() if ".encoder." not in state.name]

    def __getitem__(self, index: int) -> Any:
        found = {state.name.split(f"{index}.", 1)[-1]: state for state in self._states() if f".{index}." in state.name}
        pair = [next(state for name, state in found.items() if kind in name) for kind in ("key", "value")]
        keys, values = (torch.from_numpy(np.array(state.state.data)) for state in pair)
        return keys, values

    def __iter__(self) -> Iterator[Any]:
        return (self[index] for index in range(len(self)))

    def __len__(self) -> int:
        return len(self._states()) // 2

    def __repr__(self) -> str:
        return f"StateCache(positions={self.filled})"
