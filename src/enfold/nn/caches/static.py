"""The cache of fixed size, for compiled models."""

from __future__ import annotations

from typing import Any

import torch

from enfold.nn.caches.dynamic import Cache
from enfold.nn.caches.layers import StaticLayer

__all__ = ["StaticCache"]


class StaticCache(Cache):
    """A cache with room for ``max_cache_len`` positions from the start: shapes never change, so ``torch.compile`` and
    ``torch.export`` see one graph.

    Layers with a sliding window have the same room; what they must not see is hidden by the mask.

    Args:
        config: of the model; says how many layers there are.
        max_cache_len: how many positions fit, prompt included.
        max_batch_size, device, dtype: allocate now, for this many rows, there, of this type; else with the first
            tokens.

    Example:
        >>> from types import SimpleNamespace
        >>> config = SimpleNamespace(num_hidden_layers=1)
        >>> config.get_text_config = lambda **_: config
        >>> cache = StaticCache(config, max_cache_len=8)
        >>> keys, values = cache.update(torch.zeros(1, 2, 3, 4), torch.zeros(1, 2, 3, 4), 0)
        >>> keys.shape, int(cache.get_seq_length()), cache.get_max_cache_shape(), cache.is_compileable
        (torch.Size([1, 2, 8, 4]), 3, 8, True)
    """

    layer_class = StaticLayer

    def __init__(
        self,
        config: Any,
        max_cache_len: int,
        *,
        max_batch_size: int | None = None,
        device: Any = None,
        dtype: torch.dtype = torch.float32,
        **_: Any,
    ) -> None:
        super().__init__()
        config = config.get_text_config(decoder=True)
        self.layers = [self.layer_class(max_cache_len) for _ in range(config.num_hidden_layers)]
        if max_batch_size is not None and device is not None:
            dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
            heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
            self.early_initialization(max_batch_size, heads, dim, dtype, device)

    def early_initialization(
        self, batch_size: int, num_heads: int, head_dim: int, dtype: torch.dtype, device: Any
    ) -> None:
        """Allocate the room of every layer now."""
        for layer in self.layers:
            assert isinstance(layer, StaticLayer)
            layer.prepare(batch_size, num_heads, head_dim, dtype, device)

    @property
    def max_cache_len(self) -> int:
        """How many positions fit."""
        return self.get_max_cache_shape()
