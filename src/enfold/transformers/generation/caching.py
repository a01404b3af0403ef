"""Which cache a call of ``generate`` keeps its keys and values in, and whether its steps are compiled."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch

from enfold.nn.cache import Cache, DynamicCache, StaticCache
from enfold.transformers.generation.config import GenerationConfig

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
        config: with ``cache_implementation`` and, for caches of one size, ``max_cache_len``.
        prompt: how many positions come first.
        length: how many there may be in the end.

    Growing caches keep no more than the window in layers that have one, unless they are named ``"dynamic_full"``.
    """
    name = config.cache_implementation or "dynamic"
    if name in config.FIXED_CACHES:
        return StaticCache(model.config, max(length, config.max_cache_len or 0))
    return DynamicCache(config=None if name == "dynamic_full" else model.config, reserve=min(length, prompt + 256))


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
