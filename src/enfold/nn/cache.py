"""Where decoders keep keys and values; each kind of cache has a room in ``caches``."""

from enfold.nn.caches.crossed import EncoderDecoderCache, EncoderDecoderLayer
from enfold.nn.caches.dynamic import Cache, DynamicCache
from enfold.nn.caches.layers import CacheLayer

__all__ = ["Cache", "CacheLayer", "DynamicCache", "EncoderDecoderCache", "EncoderDecoderLayer"]
