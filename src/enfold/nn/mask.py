"""Attention masks, decided once at a model's entry: a batch without padding gets none."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["causal_mask", "encoder_mask", "unpadded"]


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
    attention_mask: Tensor | None, length: int, past: int = 0, *, device: torch.device | None = None
) -> tuple[Tensor | None, bool]:
    """Return the mask with which a token looks at the real tokens up to itself.

    Args:
        attention_mask: (B, past + T), 1 for a token and 0 for padding; or (B, 1 | H, T, S), returned as it is.
        length: T, the number of queries.
        past: the number of keys before the first query (those of a cache).
        device: where the mask is needed, when ``attention_mask`` is None.

    Returns:
        ``(mask, causal)``: a boolean mask (B | 1, 1, T, past + T) or None, and whether plain causality, which kernels
        know without a mask, says it all.

    Example:
        >>> causal_mask(None, 4)
        (None, True)
        >>> causal_mask(None, 1, past=3)
        (None, False)
    """
    if attention_mask is not None and attention_mask.dim() == 4:
        return attention_mask, False
    real = None if attention_mask is None or unpadded(attention_mask) else attention_mask[:, None, None].bool()
    if length == 1:
        return real, False  # the newest token sees all that is real
    if real is None and past == 0:
        return None, True
    home = attention_mask.device if attention_mask is not None else device
    lower = torch.ones(length, past + length, dtype=torch.bool, device=home).tril(past)  # (T, S)
    return (lower[None, None] if real is None else real & lower), False
