"""Attention that weakens with distance, instead of positions in the states."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["alibi", "alibi_slopes"]


def alibi_slopes(heads: int) -> Tensor:
    """Return how fast each head's attention weakens, (H,): a falling row of powers of two.

    Example:
        >>> alibi_slopes(4).tolist()
        [0.25, 0.0625, 0.015625, 0.00390625]
    """
    whole = 2 ** math.floor(math.log2(heads))
    base = torch.tensor(2 ** -(2 ** -(math.log2(whole) - 3)))
    slopes = base ** torch.arange(1, whole + 1)
    if whole < heads:
        # No power of two: every second slope of twice as many heads is put in between.
        base = torch.tensor(2 ** -(2 ** -(math.log2(2 * whole) - 3)))
        slopes = torch.cat((slopes, base ** torch.arange(1, 2 * (heads - whole) + 1, 2)))
    return slopes


def alibi(attention_mask: Tensor, heads: int, keys: int) -> Tensor:
    """Return what is added to scores, (B, H, 1, S): slope times position, which differs from minus slope times distance
    by a constant a row, and softmax does not see constants.

    Args:
        attention_mask: (B, ≤ S), 1 for a token and 0 for padding, which does not count as a position.
        heads: H.
        keys: S.

    Rounded to bfloat16, as the published Falcon and BLOOM weights were trained.

    Source: Press et al., 2021, "Train Short, Test Long".

    Example:
        >>> alibi(torch.tensor([[1, 1, 1]]), heads=1, keys=3).flatten().tolist()
        [0.0, 0.00390625, 0.0078125]
    """
    places = (attention_mask.cumsum(-1) - 1) * attention_mask
    places = F.pad(places, (0, keys - places.shape[1]))
    slopes = alibi_slopes(heads).to(places.device).bfloat16()[:, None, None]
    # A product of two such numbers is exact in single precision, where runtimes that lack this type can take it.
    return (slopes.float() * places.bfloat16().float()[:, None, None]).bfloat16()
