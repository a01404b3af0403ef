"""Attention masks, decided once at a model's entry: a batch without padding gets none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["causal_mask", "encoder_mask", "layer_kinds", "masks_by_kind", "unpadded"]


def unpadded(attention_mask: Tensor | None) -> bool:
    """Return whether a (B, S) mask hides nothing; always False for a given mask while compiling or exporting,
    since a graph must not depend on the data it was traced with."""
    if attention_mask is None:
        return True
    if torch.compiler.is_compiling() or torch.jit.is_tracing() or attention_mask.is_meta:
        return False
    return bool(attention_mask.all())


def encoder_mask(attention_mask: Tensor | None) -> Tensor | None:
    """Return the mask with which every token looks at every real token.

    Args:
        attention_mask: (B, S), 1 for a token and 0 for padding; or (B, T, S); or (B, 1 | H, T, S), which is returned
            as it is (boolean, or scores to add). None hides nothing.

    Returns:
        A boolean mask (B, 1, 1 | T, S), True where a query may look, or None when nothing is hidden.

    Example:
        >>> encoder_mask(torch.tensor([[1, 1]])) is None
        True
        >>> encoder_mask(torch.tensor([[1, 0]])).tolist()
        [[[[True, False]]]]
    """
    if attention_mask is None or attention_mask.dim() == 4:
        return attention_mask
    if attention_mask.dim() == 3:
        return attention_mask[:, None].bool()
    return None if unpadded(attention_mask) else attention_mask[:, None, None].bool()


def causal_mask(
    attention_mask: Tensor | None,
    length: int,
    past: int | Tensor = 0,
    *,
    window: int | None = None,
    keys: int | None = None,
    first: int = 0,
    device: torch.device | None = None,
) -> tuple[Tensor | None, bool]:
    """Return the mask with which a token looks at the real tokens up to itself.

    Args:
        attention_mask: (B, past + T), 1 for a token and 0 for padding; or (B, 1 | H, T, S), returned as it is.
        length: T, the number of queries.
        past: the number of tokens before the first query (those of a cache).
        window: how many tokens a query sees, itself included; None sees all.
        keys: S, the number of keys; all of past + T by default. A cache of fixed size has more, one that slides less.
        first: the position of the first key.
        device: where the mask is needed, when ``attention_mask`` is None.

    Returns:
        ``(mask, causal)``: a boolean mask (B | 1, 1, T, S) or None, and whether plain causality, which kernels know
        without a mask, says it all.

    Example:
        >>> causal_mask(None, 4)
        (None, True)
        >>> causal_mask(None, 1, past=3)
        (None, False)
        >>> causal_mask(None, 3, window=2)[0].int().tolist()
        [[[[1, 0, 0], [1, 1, 0], [0, 1, 1]]]]
    """
    if attention_mask is not None and attention_mask.dim() == 4:
        return attention_mask, False
    home = attention_mask.device if attention_mask is not None else device
    if unpadded(attention_mask):
        attention_mask = None
    # A cache of fixed size has keys that are not filled yet: they lie in the future of every query.
    exact = not isinstance(past, Tensor) and (keys is None or first + keys == past + length)
    if keys is None:
        keys = (int(past) if isinstance(past, Tensor) else past) + length
    # While exporting, lengths are symbols: the window is always written out, since no length may decide.
    inside = window is None or (isinstance(keys, int) and keys <= window)
    real = None
    if attention_mask is not None:
        real = attention_mask[:, None, None, first : first + keys].bool()
        if real.shape[3] < keys:
            real = F.pad(real, (0, keys - real.shape[3]))
    if exact and inside and length == 1:
        return real, False  # the newest token sees all that is real
    if exact and inside and real is None and length == keys:
        return None, True
    place = torch.arange(first, first + keys, device=home)
    query = (torch.arange(length, device=home) + past)[:, None]
    seen = place <= query  # (T, S)
    if window is not None and not inside:
        seen = seen & (place > query - window)
    return (seen[None, None] if real is None else real & seen), False


def layer_kinds(config: Any) -> list[str]:
    """Return what each layer of a decoder looks at: ``"full_attention"``, or ``"sliding_attention"``, a window.

    Args:
        config: has ``layer_types``; or ``sliding_window``, of all layers; or neither.

    Example:
        >>> from types import SimpleNamespace
        >>> layer_kinds(SimpleNamespace(num_hidden_layers=2, sliding_window=8))
        ['sliding_attention', 'sliding_attention']
    """
    types = getattr(config, "layer_types", None)
    if types:
        return list(types)
    every = "full_attention" if getattr(config, "sliding_window", None) is None else "sliding_attention"
    return [every] * config.num_hidden_layers


def masks_by_kind(
    attention_mask: Tensor | Mapping[str, Tensor | None] | None,
    length: int,
    cache: Any,
    kinds: Sequence[str],
    *,
    window: int | None = None,
    device: torch.device | None = None,
) -> dict[str, tuple[Tensor | None, bool]]:
    """Return what ``causal_mask`` returns, for each kind of layer.

    Args:
        attention_mask: as there; or kind → mask (B, 1 | H, T, S), which is kept.
        length: T, the number of queries.
        cache: the cache, or None.
        kinds: of each layer; see ``layer_kinds``.
        window: of the layers that slide.
        device: where the masks are needed, when ``attention_mask`` is None.

    Example:
        >>> masks_by_kind(None, 3, None, ["full_attention"])
        {'full_attention': (None, True)}
    """
    if isinstance(attention_mask, Mapping):
        return {kind: (mask, mask is None and length > 1) for kind, mask in attention_mask.items()}
    if attention_mask is not None and attention_mask.dim() == 2:
        home = attention_mask.device
        device, attention_mask = home, None if unpadded(attention_mask) else attention_mask
    past = 0 if cache is None else cache.get_seq_length()
    masks = {}
    for kind in dict.fromkeys(kinds):
        keys, first = (length, 0) if cache is None else cache.get_mask_sizes(length, list(kinds).index(kind))
        wide = window if kind == "sliding_attention" else None
        masks[kind] = causal_mask(attention_mask, length, past, window=wide, keys=keys, first=first, device=device)
    return masks
