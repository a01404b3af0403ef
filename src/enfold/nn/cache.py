"""Where decoders keep keys and values; each kind of cache has a room in ``caches``."""

from enfold.nn.caches.crossed import EncoderDecoderCache, EncoderDecoderLayer
from enfold.nn.caches.dynamic import Cache, DynamicCache
from enfold.nn.caches.layers import CacheLayer, SlidingLayer, StaticLayer
from enfold.nn.caches.static import StaticCache

__all__ = [
    "Cache",
    "CacheLayer",
    "DynamicCache",
    "EncoderDecoderCache",
    "EncoderDecoderLayer",
    "HybridCache",
    "SlidingLayer",
    "SlidingWindowCache",
    "StaticCache",
    "StaticLayer",
]

# v4 had a class for each mixture of layers; the configuration says which layers slide.
HybridCache = SlidingWindowCache = StaticCache
