"""Caches whose keys and values wait in the computer's memory until their layer's turn."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from enfold.nn.caches.dynamic import DynamicCache
from enfold.nn.caches.layers import CacheLayer, StaticLayer
from enfold.nn.caches.static import StaticCache

__all__ = ["OffloadedCache", "OffloadedLayer", "OffloadedStaticCache", "OffloadedStaticLayer"]


class _Waiting:
    """What layers share whose numbers wait elsewhere: where they wait, and a copy that is under way."""

    home = torch.device("cpu")
    device = torch.device("cpu")  # where they are needed, once known
    ahead: tuple[Tensor, Tensor] | None = None

    def store(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Return keys and values (B, H, T, D) where they wait."""
        return keys.to(self.home), values.to(self.home)

    def fetch(self, kept: tuple[Tensor | None, Tensor | None], device: torch.device) -> tuple[Tensor, Tensor]:
        """Return what is kept where it is needed: the copy that is under way, or a new one."""
        keys, values = kept
        assert keys is not None and values is not None
        if self.ahead is not None and self.ahead[0].shape == keys.shape:
            found, self.ahead = self.ahead, None
            return found
        self.ahead = None
        return keys.to(device), values.to(device)

    def prefetch(self, kept: tuple[Tensor | None, Tensor | None], device: torch.device) -> None:
        """Begin to copy what is kept to where it will be needed, beside the work of the layers before."""
        keys, values = kept
        if keys is not None and values is not None and device != self.home:
            self.ahead = keys.to(device, non_blocking=True), values.to(device, non_blocking=True)


class OffloadedLayer(_Waiting, CacheLayer):
    """A layer whose keys and values wait in the computer's memory.

    Args:
        reserve: see ``CacheLayer``.
    """

    def update_and_fetch(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Append ``keys`` and ``values`` (B, H, T, D) and return all of them (B, H, offset, D) beside the new ones."""
        device, before = keys.device, self.offset
        self.device = device
        old = self.fetch((self.keys, self.values), device) if before and device != self.home else None
        kept = super().update_and_fetch(*self.store(keys, values))
        if device == self.home:
            return kept
        return (keys, values) if old is None else (torch.cat((old[0], keys), 2), torch.cat((old[1], values), 2))

    def select(self, rows: Tensor) -> None:
        """Keep the given rows of the batch, in that order (an index may repeat)."""
        self.ahead = None
        super().select(rows.to(self.home))

    def crop(self, length: int) -> None:
        """Keep the first ``length`` positions; a negative number drops that many from the end."""
        self.ahead = None
        super().crop(length)


class OffloadedStaticLayer(_Waiting, StaticLayer):
    """A layer of one size whose keys and values wait in the computer's memory.

    Args:
        max_cache_len: how many positions fit.
    """

    is_compileable = False  # it moves between devices, which is no part of a graph

    def prepare(self, batch: int, heads: int, dim: int, dtype: torch.dtype, device: Any) -> None:
        """Allocate the room, before the first tokens come."""
        super().prepare(batch, heads, dim, dtype, self.home)

    def get_seq_length(self) -> int:
        """Return how many positions are filled."""
        return 0 if self.filled is None else int(self.filled)

    def update_and_fetch(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Write ``keys`` and ``values`` (B, H, T, D) behind the others and return all (B, H, max_cache_len, D)."""
        device = keys.device
        self.ahead = None  # it would lack the new positions
        return self.fetch(super().update_and_fetch(*self.store(keys, values)), device)


class OffloadedCache(DynamicCache):
    """A cache that grows in the computer's memory: a device holds the keys and values of one layer or two at a time.

    While a layer works, the next one's are copied. On a model in the computer's memory it is a ``DynamicCache``.

    Example:
        >>> cache = OffloadedCache()
        >>> keys, _ = cache.update(torch.zeros(1, 2, 5, 4), torch.zeros(1, 2, 5, 4), layer_idx=0)
        >>> cache.get_seq_length(), cache.layers[0].keys.device.type
        (5, 'cpu')
    """

    def _new(self, index: int) -> CacheLayer:
        return OffloadedLayer(self.reserve)

    def layer(self, index: int) -> CacheLayer:
        """Return the layer ``index``, made on first use; the one after it, or else the first, begins to move."""
        found = super().layer(index)
        after = self.layers[(index + 1) % len(self.layers)]
        if isinstance(after, OffloadedLayer) and after.offset and after.ahead is None and after is not found:
            after.prefetch((after.keys, after.values), after.device)
        return found


class OffloadedStaticCache(StaticCache):
    """A ``StaticCache`` in the computer's memory: a device holds the keys and values of one layer at a time.

    Args:
        config: of the model; says how many layers there are.
        max_cache_len: how many positions fit, prompt included.
        options: see ``StaticCache``.
    """

    layer_class = OffloadedStaticLayer
