"""Boxes: their forms, areas and overlaps."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["box_area", "box_iou", "center_to_corners", "generalized_box_iou"]


def center_to_corners(boxes: Tensor) -> Tensor:
    """Return boxes (…, 4) given by centre, width and height as left, top, right and bottom.

    Example:
        >>> center_to_corners(torch.tensor([0.5, 0.5, 0.25, 0.5])).tolist()
        [0.375, 0.25, 0.625, 0.75]
    """
    middle, half = boxes[..., :2], boxes[..., 2:] / 2
    return torch.cat((middle - half, middle + half), dim=-1)


def box_area(boxes: Tensor) -> Tensor:
    """Return the areas of boxes (…, 4), left, top, right, bottom."""
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def box_iou(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Return the overlap of every pair of boxes, as intersection over union, and the unions.

    Args:
        first: (N, 4), left, top, right, bottom.
        second: (M, 4).

    Returns:
        Two matrices (N, M).
    """
    low = torch.maximum(first[:, None, :2], second[:, :2])
    high = torch.minimum(first[:, None, 2:], second[:, 2:])
    shared = (high - low).clamp(min=0).prod(-1)
    union = box_area(first)[:, None] + box_area(second) - shared
    return shared / union, union


def generalized_box_iou(first: Tensor, second: Tensor) -> Tensor:
    """Return the overlap of every pair of boxes less the part of their hull that neither covers, (N, M).

    Args:
        first: (N, 4), left, top, right, bottom.
        second: (M, 4).

    Raises:
        ValueError: a box whose right or bottom lies before its left or top.

    Source: Rezatofighi et al., 2019, "Generalized Intersection over Union".
    """
    for boxes in (first, second):
        if not bool((boxes[:, 2:] >= boxes[:, :2]).all()):
            raise ValueError("boxes are left, top, right, bottom, with left ≤ right and top ≤ bottom")
    overlap, union = box_iou(first, second)
    low = torch.minimum(first[:, None, :2], second[:, :2])
    high = torch.maximum(first[:, None, 2:], second[:, 2:])
    hull = (high - low).clamp(min=0).prod(-1)
    return overlap - (hull - union) / hull
