"""Which cache a call of ``generate`` keeps its keys and values in, and whether its steps are compiled."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch

from enfold.errors import nearest
from enfold.nn.cache import Cache, DynamicCache, OffloadedCache, OffloadedStaticCache, QuantizedCache, StaticCache
from enfold.transformers.generation.config import GenerationConfig, GenerationError

__all__ = ["CompileConfig", "compiled_step", "new_cache"]


@dataclass
class CompileConfig:
    """How the steps of ``generate`` are compiled, in the words of ``torch.compile``.

    Args:
        fullgraph: refuse to compile in pieces.
        dynamic: expect shapes to change; None finds out.
        backend: what compiles.
        mode: what it optimises for.
        options: passed to the backend.

    Example:
        >>> CompileConfig(mode="default").to_dict()["backend"]
        'inductor'
    """

    fullgraph: bool = False
    dynamic: bool | None = None
    backend: Any = "inductor"
    mode: str | None = "reduce-overhead"
    options: dict[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields."""
        return asdict(self)


def new_cache(model: Any, config: GenerationConfig, prompt: int, length: int) -> Cache:
    """Return the empty cache that ``config.cache_implementation`` names.

    Args:
        model: whose keys and values it will keep.
        config: with ``cache_implementation``; for caches of one size ``max_cache_len``, for those that round
            ``cache_config``.
        prompt: how many positions come first.
        length: how many there may be in the end.

    Raises:
        GenerationError: for settings that the cache does not have.

    Growing caches keep no more than the window in layers that have one, unless they are named ``"dynamic_full"``.
    """
    name = config.cache_implementation or "dynamic"
    offloaded = name.startswith("offloaded")
    if name in config.FIXED_CACHES:
        fixed = OffloadedStaticCache if offloaded else StaticCache
        return fixed(model.config, max(length, config.max_cache_len or 0))
    options = config.cache_config or {}
    options = dict(options if isinstance(options, Mapping) else options.to_dict())
    if name == "quantized":
        taken = list(inspect.signature(QuantizedCache).parameters)
        for option in options:
            if option not in taken:
                raise GenerationError(f"cache_config has no {option!r}{nearest(option, taken)}")
        return QuantizedCache(config=model.config, **{n: v for n, v in options.items() if n != "config"})
    if options:
        raise GenerationError(f"cache_config is for cache_implementation='quantized', not {name!r}")
    reserve = min(length, prompt + 256)
    if offloaded:
        return OffloadedCache(reserve=reserve)
    return DynamicCache(config=None if name == "dynamic_full" else model.config, reserve=reserve)


def compiled_step(model: Any, config: GenerationConfig, cache: Cache | None) -> Any:
    """Return what runs single steps instead of the model, or None.

    Steps are compiled where ``config.compile_config`` says how and the cache keeps one size. The compiled model is
    kept with the model, so that the next call compiles nothing.
    """
    if config.compile_config is None or config.disable_compile or cache is None or not cache.is_compileable:
        return None
    options = config.compile_config
    options = dict(options if isinstance(options, dict) else options.to_dict())
    key = repr(sorted(options.items(), key=lambda item: item[0]))
    kept = model.__dict__.setdefault("_compiled_steps", {})
    if key not in kept:
        kept[key] = torch.compile(model.__call__, **{n: v for n, v in options.items() if v is not None})
    return kept[key]
