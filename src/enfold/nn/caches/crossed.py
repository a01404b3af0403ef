"""The cache of a decoder that also looks at an encoder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from torch import Tensor

from enfold.errors import EnfoldError
from enfold.nn.caches.dynamic import Cache, DynamicCache
from enfold.nn.caches.layers import CacheLayer

__all__ = ["EncoderDecoderCache", "EncoderDecoderLayer"]


class EncoderDecoderLayer(NamedTuple):
    """What one decoder layer keeps: keys and values of the text so far, and of the encoder's states.

    Attributes:
        own: for the attention to the text; it grows.
        cross: for the attention to the encoder; filled on the first step and never again.
    """

    own: CacheLayer
    cross: CacheLayer

    @property
    def is_updated(self) -> bool:
        """Whether the encoder's keys and values are there."""
        return self.cross.offset > 0

    def crossed(self, project: Callable[[], tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
        """Return the encoder's keys and values (B, H, S, D): those kept, or else those of ``project``, which are kept.

        Example:
            >>> import torch
            >>> layer = EncoderDecoderLayer(CacheLayer(), CacheLayer())
            >>> keys, values = layer.crossed(lambda: (torch.ones(1, 2, 3, 4), torch.ones(1, 2, 3, 4)))
            >>> layer.is_updated, layer.crossed(lambda: (keys * 0, values * 0))[0].mean().item()
            (True, 1.0)
        """
        keys, values = self.cross.keys, self.cross.values
        if self.cross.offset and keys is not None and values is not None:
            return keys, values
        return self.cross.update_and_fetch(*project())


class EncoderDecoderCache(Cache):
    """Two caches: one of the text that is being written, one of the encoder's states.

    ``cache.layer(index)`` is an ``EncoderDecoderLayer``. Everything that counts positions counts those of the text.

    Args:
        caches: the cache of self-attention and that of cross-attention, both new by default; or one iterable of
            tuples (keys, values, encoder keys, encoder values), one a layer, as old code passes them.

    Raises:
        EnfoldError: for anything else.

    Example:
        >>> import torch
        >>> cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
        >>> states = torch.zeros(1, 2, 5, 4)
        >>> keys, values = cache.layer(0).own.update_and_fetch(states, states)
        >>> cache.get_seq_length(), cache.is_updated
        (5, {0: False})
    """

    def __init__(self, *caches: Any) -> None:
        if len(caches) == 1 and not isinstance(caches[0], Cache):
            pairs = list(caches[0])
            if any(len(pair) != 4 for pair in pairs):
                raise EnfoldError(
                    "a layer of an encoder-decoder cache has four tensors: keys, values, and the encoder's"
                )
            own, cross = DynamicCache(pair[:2] for pair in pairs), DynamicCache(pair[2:] for pair in pairs)
            caches = (own, cross)
        if len(caches) == 1:
            caches = (*caches, DynamicCache())
        caches = caches or (DynamicCache(), DynamicCache())
        if len(caches) != 2 or not all(isinstance(cache, Cache) for cache in caches):
            raise EnfoldError(
                "EncoderDecoderCache takes a cache of self-attention and one of cross-attention, "
                f"not {', '.join(type(cache).__name__ for cache in caches)}"
            )
        self.self_attention_cache: Cache = caches[0]
        self.cross_attention_cache: Cache = caches[1]

    @classmethod
    def from_legacy_cache(cls, past_key_values: Iterable[tuple[Tensor, ...]] | None = None) -> EncoderDecoderCache:
        """Make a cache of the tuples ((keys, values, encoder keys, encoder values), …) that old code passes."""
        return cls(past_key_values or ())

    def to_legacy_cache(self) -> tuple[tuple[Tensor, ...], ...]:
        """Return the tuples ((keys, values, encoder keys, encoder values), …) that old code expects."""
        return tuple(self)

    @property
    def layers(self) -> list[CacheLayer]:  # type: ignore[override]
        """The layers of the text's cache."""
        return self.self_attention_cache.layers

    @property
    def virtual(self) -> int:  # type: ignore[override]
        """How many positions of the text to begin with stand for no token."""
        return self.self_attention_cache.virtual

    @property
    def is_updated(self) -> dict[int, bool]:
        """Layer → whether the encoder's keys and values are there."""
        kept = self.cross_attention_cache
        return {index: kept.get_seq_length(index) > 0 for index in range(len(self))}

    def layer(self, index: int) -> Any:
        """Return both drawers of the layer ``index``, made on first use."""
        return EncoderDecoderLayer(self.self_attention_cache.layer(index), self.cross_attention_cache.layer(index))

    def update(self, key_states: Tensor, value_states: Tensor, layer_idx: int, *_: Any) -> tuple[Tensor, Tensor]:
        """Append keys and values (B, H, T, D) of the text to a layer and return all it holds."""
        return self.self_attention_cache.update(key_states, value_states, layer_idx)

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Return how many positions of the text the layer holds."""
        return self.self_attention_cache.get_seq_length(layer_idx)

    def get_max_cache_shape(self, layer_idx: int = 0) -> int:
        """Return how many positions of the text fit, or -1 for no limit."""
        return self.self_attention_cache.get_max_cache_shape(layer_idx)

    def get_mask_sizes(self, query_length: Any, layer_idx: int = 0) -> tuple[int, int]:
        """Return the number of keys that ``query_length`` new tokens will see, and the first key's position."""
        return self.self_attention_cache.get_mask_sizes(query_length, layer_idx)

    def crop(self, length: int) -> None:
        """Keep the first ``length`` positions of the text; a negative number drops that many from the end."""
        self.self_attention_cache.crop(length)

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep the given rows of the batch."""
        self.self_attention_cache.batch_select_indices(indices)
        self.cross_attention_cache.batch_select_indices(indices)

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Repeat every row of the batch ``repeats`` times in place."""
        self.self_attention_cache.batch_repeat_interleave(repeats)
        self.cross_attention_cache.batch_repeat_interleave(repeats)

    def reset(self) -> None:
        """Forget everything, the encoder's states too."""
        self.self_attention_cache.reset()
        self.cross_attention_cache.reset()

    @property
    def is_compileable(self) -> bool:
        """Whether the shapes of the text's cache stay the same."""
        return self.self_attention_cache.is_compileable

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:  # type: ignore[override]
        return (*self.self_attention_cache[index], *self.cross_attention_cache[index])

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:  # type: ignore[override]
        return (self[index] for index in range(len(self)))

    def __repr__(self) -> str:
        return f"EncoderDecoderCache({self.self_attention_cache!r}, {self.cross_attention_cache!r})"
