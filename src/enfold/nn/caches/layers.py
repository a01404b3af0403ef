"""The keys and values that one layer keeps: allocated ahead and grown in chunks, so that a step copies one token."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

__all__ = ["CacheLayer"]

CHUNK = 64


class CacheLayer:
    """The keys and values of one layer.

    Args:
        reserve: room for this many positions is allocated with the first tokens.

    Example:
        >>> layer = CacheLayer()
        >>> keys, values = layer.update_and_fetch(torch.zeros(1, 2, 3, 4), torch.zeros(1, 2, 3, 4))
        >>> layer.offset, keys.shape
        (3, torch.Size([1, 2, 3, 4]))
    """

    def __init__(self, reserve: int = 0) -> None:
        self.offset = 0  # positions filled
        self.reserve = reserve
        self._keys: Tensor | None = None  # (B, H, capacity, D)
        self._values: Tensor | None = None

    @property
    def keys(self) -> Tensor | None:
        """The filled keys (B, H, offset, D), or None."""
        return None if self._keys is None else self._keys[:, :, : self.offset]

    @property
    def values(self) -> Tensor | None:
        """The filled values (B, H, offset, D), or None."""
        return None if self._values is None else self._values[:, :, : self.offset]

    def update_and_fetch(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Append ``keys`` and ``values`` (B, H, T, D) and return all of them (B, H, offset, D)."""
        end = self.offset + keys.shape[2]
        if self._keys is None or self._values is None:
            if end >= self.reserve or keys.requires_grad:
                self._keys, self._values, self.offset = keys, values, end
                return keys, values
            self._allocate(keys, values, self.reserve)
        elif keys.requires_grad or self._keys.requires_grad:
            # Gradients flow through what is stored (prefix tuning): writing in place would break their graph.
            self._keys = torch.cat((self._keys[:, :, : self.offset], keys), 2)
            self._values = torch.cat((self._values[:, :, : self.offset], values), 2)
            self.offset = end
            return self._keys, self._values
        elif end > self._keys.shape[2]:
            wanted = max(end, self.reserve, end + end // 2)
            self._allocate(keys, values, -(-wanted // CHUNK) * CHUNK)
        assert self._keys is not None and self._values is not None
        # narrow and copy_, not slices: this runs once a layer and token, and Python's slicing costs as much again
        self._keys.narrow(2, self.offset, end - self.offset).copy_(keys)
        self._values.narrow(2, self.offset, end - self.offset).copy_(values)
        self.offset = end
        return self._keys.narrow(2, 0, end), self._values.narrow(2, 0, end)

    def update(self, keys: Tensor, values: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """The ecosystem's name of ``update_and_fetch``."""
        return self.update_and_fetch(keys, values)

    def get_seq_length(self) -> int:
        """Return how many positions are filled."""
        return self.offset

    def crop(self, length: int) -> None:
        """Keep the first ``length`` positions; a negative number drops that many from the end."""
        self.offset = max(self.offset + length, 0) if length < 0 else min(self.offset, length)

    def select(self, rows: Tensor) -> None:
        """Keep the given rows of the batch, in that order (an index may repeat)."""
        if self._keys is not None and self._values is not None:
            self._keys, self._values = self._keys.index_select(0, rows), self._values.index_select(0, rows)

    def reset(self) -> None:
        """Forget everything."""
        self._keys = self._values = None
        self.offset = 0

    def _allocate(self, keys: Tensor, values: Tensor, capacity: int) -> None:
        old_keys, old_values = self.keys, self.values
        self._keys = keys.new_empty(*keys.shape[:2], capacity, keys.shape[3])
        self._values = values.new_empty(*values.shape[:2], capacity, values.shape[3])
        if old_keys is not None and old_values is not None:
            self._keys[:, :, : self.offset] = old_keys
            self._values[:, :, : self.offset] = old_values
