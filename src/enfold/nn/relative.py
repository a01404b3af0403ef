"""What is added to the scores of an attention: distances between tokens, near ones exactly, far ones roughly."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["bucketed_distances", "scores_of"]


def bucketed_distances(distance: Tensor, buckets: int, farthest: int, *, both_ways: bool) -> Tensor:
    """Return the bucket of each distance.

    Half of the buckets (of a direction) hold one distance each, the other half ranges that grow like the logarithm;
    what is ``farthest`` away or farther falls into the last.

    Args:
        distance: place of the key less that of the query, any shape of whole numbers.
        buckets: how many there are.
        farthest: where the last begins.
        both_ways: keys after the query have buckets of their own, the upper half; else they all fall into bucket 0.

    Source: Raffel et al., 2020, section 2.1, as Mesh TensorFlow computes it.

    Example:
        >>> bucketed_distances(torch.tensor([-200, -3, 0, 3]), 8, 20, both_ways=True).tolist()
        [3, 2, 0, 6]
    """
    side = torch.zeros_like(distance)
    if both_ways:
        buckets //= 2
        side = (distance > 0).long() * buckets
        distance = distance.abs()
    else:
        distance = (-distance).clamp(min=0)
    exact = buckets // 2
    steps = torch.log(distance.clamp(min=1).float() / exact) / math.log(farthest / exact) * (buckets - exact)
    far = (exact + steps.long()).clamp(max=buckets - 1)
    return side + torch.where(distance < exact, distance, far)


def scores_of(mask: Tensor | None, causal: bool, bias: Tensor) -> Tensor:
    """Return a mask and what a model adds to its scores (distances, slopes) as one table.

    Args:
        mask: what ``causal_mask`` or ``encoder_mask`` returned.
        causal: likewise.
        bias: (B | 1, H, T, S), added where a query may look.

    Returns:
        (B | 1, H, T, S), for ``attend``'s mask.

    Example:
        >>> scores_of(None, True, torch.zeros(1, 1, 2, 2))[0, 0, 1].tolist()
        [0.0, 0.0]
    """
    if causal:
        mask = torch.ones(bias.shape[-2:], dtype=torch.bool, device=bias.device).tril()
    if mask is None:
        return bias
    return bias.masked_fill(~mask, torch.finfo(bias.dtype).min) if mask.dtype == torch.bool else bias + mask
