"""The key and value cache of decoding: allocated ahead and grown in chunks, so that a step copies one token."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

__all__ = ["Cache", "CacheLayer", "DynamicCache"]

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


class Cache:
    """One ``CacheLayer`` a layer, under the names that the ecosystem gives to its caches.

    Args:
        pairs: keys and values (B, H, S, D) of each layer to begin with.
        config: accepted for the ecosystem's spelling; layers are made as they come.
        reserve: see ``CacheLayer``.
    """

    def __init__(
        self, pairs: Iterable[tuple[Tensor, ...]] | None = None, config: Any = None, *, reserve: int = 0, **_: Any
    ) -> None:
        self.layers: list[CacheLayer] = []
        self.reserve = reserve
        for index, pair in enumerate(pairs or ()):
            self.update(pair[0], pair[1], index)

    def layer(self, index: int) -> CacheLayer:
        """Return the layer ``index``, made on first use."""
        while len(self.layers) <= index:
            self.layers.append(CacheLayer(self.reserve))
        return self.layers[index]

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, cache_kwargs: dict[str, Any] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Append keys and values (B, H, T, D) to a layer and return all it holds."""
        return self.layer(layer_idx).update_and_fetch(key_states, value_states)

    @property
    def offset(self) -> int:
        """How many positions are filled."""
        return self.get_seq_length()

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Return how many positions the layer holds."""
        return self.layers[layer_idx].offset if layer_idx < len(self.layers) else 0

    def get_max_cache_shape(self, layer_idx: int = 0) -> int:
        """Return -1: the cache has no limit of its own."""
        return -1

    def get_mask_sizes(self, query_length: Any, layer_idx: int = 0) -> tuple[int, int]:
        """Return the number of keys that ``query_length`` new tokens will see, and the first key's position."""
        length = query_length if isinstance(query_length, int) else int(query_length.shape[0])
        return self.get_seq_length(layer_idx) + length, 0

    def crop(self, length: int) -> None:
        """Keep the first ``length`` positions; a negative number drops that many from the end."""
        for layer in self.layers:
            layer.crop(length)

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Take the rows of the batch in the order of ``beam_idx``."""
        self.batch_select_indices(beam_idx)

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep the given rows of the batch."""
        for layer in self.layers:
            layer.select(indices)

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Repeat every row of the batch ``repeats`` times in place."""
        for layer in self.layers:
            if layer.keys is not None:
                rows = torch.arange(layer.keys.shape[0], device=layer.keys.device)
                layer.select(rows.repeat_interleave(repeats))

    def reset(self) -> None:
        """Forget everything."""
        for layer in self.layers:
            layer.reset()

    @property
    def key_cache(self) -> list[Tensor]:
        """The keys of each layer (v4 spelling)."""
        return [layer.keys for layer in self.layers if layer.keys is not None]

    @property
    def value_cache(self) -> list[Tensor]:
        """The values of each layer (v4 spelling)."""
        return [layer.values for layer in self.layers if layer.values is not None]

    @property
    def is_compileable(self) -> bool:
        """False: the shapes grow."""
        return False

    @property
    def is_initialized(self) -> bool:
        """Whether anything is stored."""
        return any(layer.offset for layer in self.layers)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        layer = self.layers[index]
        assert layer.keys is not None and layer.values is not None
        return layer.keys, layer.values

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for index in range(len(self.layers)):
            yield self[index]

    def __len__(self) -> int:
        return len(self.layers)

    def __bool__(self) -> bool:
        return True  # an empty cache is still a cache: `past or None` must not lose it

    def __repr__(self) -> str:
        return f"{type(self).__name__}(layers={len(self.layers)}, positions={self.offset})"


class DynamicCache(Cache):
    """The cache that models make for themselves: it holds every position and grows as needed.

    Example:
        >>> cache = DynamicCache()
        >>> keys, _ = cache.update(torch.zeros(1, 2, 5, 4), torch.zeros(1, 2, 5, 4), layer_idx=0)
        >>> cache.get_seq_length()
        5
    """

    @classmethod
    def from_legacy_cache(cls, past_key_values: Iterable[tuple[Tensor, ...]] | None = None) -> DynamicCache:
        """Make a cache of the tuples ((keys, values), …) that old code passes."""
        return cls(past_key_values)

    def to_legacy_cache(self) -> tuple[tuple[Tensor, Tensor], ...]:
        """Return the tuples ((keys, values), …) that old code expects."""
        return tuple(self)
