"""The key and value cache of decoding: one ``CacheLayer`` a layer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from enfold.errors import EnfoldError
from enfold.nn.caches.layers import CacheLayer, SlidingLayer
from enfold.nn.mask import layer_kinds

__all__ = ["Cache", "DynamicCache"]


class Cache:
    """One ``CacheLayer`` a layer, under the names that the ecosystem gives to its caches.

    Args:
        pairs: keys and values (B, H, S, D) of each layer to begin with.
        config: of the model; its layers with a sliding window keep no more than the window.
        reserve: see ``CacheLayer``.
    """

    def __init__(
        self, pairs: Iterable[tuple[Tensor, ...]] | None = None, config: Any = None, *, reserve: int = 0, **other: Any
    ) -> None:
        if other.get("offloading"):
            raise EnfoldError("offloading is a kind of cache: OffloadedCache, or OffloadedStaticCache")
        self.layers: list[CacheLayer] = []
        self.virtual = 0  # of the positions to begin with, how many stand for no token: a learnt prefix
        self.reserve = reserve
        self.window: int | None = None
        self.kinds: list[str] = []
        if config is not None:
            config = config.get_text_config(decoder=True)
            self.kinds, self.window = layer_kinds(config), getattr(config, "sliding_window", None)
        for index, pair in enumerate(pairs or ()):
            self.update(pair[0], pair[1], index)

    def layer(self, index: int) -> CacheLayer:
        """Return the layer ``index``, made on first use."""
        while len(self.layers) <= index:
            self.layers.append(self._new(len(self.layers)))
        return self.layers[index]

    def _new(self, index: int) -> CacheLayer:
        slides = index < len(self.kinds) and self.kinds[index] == "sliding_attention"
        return SlidingLayer(self.window, self.reserve) if slides and self.window else CacheLayer(self.reserve)

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
        return self.layers[layer_idx].get_seq_length() if layer_idx < len(self.layers) else 0

    def get_max_cache_shape(self, layer_idx: int = 0) -> int:
        """Return how many positions fit, or -1 for no limit."""
        return self.layer(layer_idx).max_length

    def get_max_length(self, layer_idx: int | None = None) -> int:
        """Return how many positions fit, or -1 for no limit (v5 spelling)."""
        return self.get_max_cache_shape(layer_idx or 0)

    def get_mask_sizes(self, query_length: Any, layer_idx: int = 0) -> tuple[int, int]:
        """Return the number of keys that ``query_length`` new tokens will see, and the first key's position."""
        length = query_length if isinstance(query_length, int) else int(query_length.shape[0])
        return self.layer(layer_idx).mask_sizes(length)

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
        """Whether every step has the same shapes."""
        return bool(self.layers) and all(layer.is_compileable for layer in self.layers)

    @property
    def is_sliding(self) -> list[bool]:
        """Of each layer, whether it keeps a window only."""
        return [layer.is_sliding for layer in self.layers]

    @property
    def is_initialized(self) -> bool:
        """Whether anything is stored."""
        return any(layer.keys is not None for layer in self.layers)

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
