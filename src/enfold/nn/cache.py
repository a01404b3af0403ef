"""Where decoders keep keys and values; each kind of cache has a room in ``caches``."""

from enfold.nn.caches.crossed import EncoderDecoderCache, EncoderDecoderLayer
from enfold.nn.caches.dynamic import Cache, DynamicCache
from enfold.nn.caches.layers import CacheLayer, SlidingLayer, StaticLayer
from enfold.nn.caches.offloaded import OffloadedCache, OffloadedLayer, OffloadedStaticCache, OffloadedStaticLayer
from enfold.nn.caches.quantized import QuantizedCache, QuantizedLayer
from enfold.nn.caches.static import StaticCache

__all__ = [
    "Cache",
    "CacheLayer",
    "DynamicCache",
    "DynamicLayer",
    "DynamicSlidingWindowLayer",
    "EncoderDecoderCache",
    "EncoderDecoderLayer",
    "HQQQuantizedCache",
    "HybridCache",
    "HybridChunkedCache",
    "OffloadedCache",
    "OffloadedHybridCache",
    "OffloadedLayer",
    "OffloadedStaticCache",
    "OffloadedStaticLayer",
    "QuantizedCache",
    "QuantizedLayer",
    "QuantoQuantizedCache",
    "SlidingLayer",
    "SlidingWindowCache",
    "StaticCache",
    "StaticLayer",
]

# v4 had a class for each mixture of layers; the configuration says which layers slide.
HybridCache = HybridChunkedCache = SlidingWindowCache = StaticCache
OffloadedHybridCache = OffloadedStaticCache
# Both had one for each library that rounds.
QuantoQuantizedCache = HQQQuantizedCache = QuantizedCache
# The ecosystem's names of layers.
DynamicLayer, DynamicSlidingWindowLayer = CacheLayer, SlidingLayer
