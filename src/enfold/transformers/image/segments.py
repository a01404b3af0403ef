"""From the logits of models to boxes, maps of classes, and segments; torch is loaded when tensors arrive."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from enfold.errors import EnfoldError

__all__ = ["checked_sizes", "found_objects", "run_lengths", "segments_of", "semantic_maps"]

Sizes = list[tuple[int, int]]


def checked_sizes(sizes: Any, images: int) -> Sizes | None:
    """Return (height, width) of each image as whole numbers, or None.

    Raises:
        EnfoldError: as many sizes as there are no images.
    """
    if sizes is None:
        return None
    rows = sizes.tolist() if hasattr(sizes, "tolist") else list(sizes)
    if len(rows) != images:
        raise EnfoldError(f"there are {images} images and {len(rows)} target_sizes")
    return [(int(height), int(width)) for height, width in rows]


def scaled_boxes(boxes: Any, sizes: Any) -> Any:
    """Return boxes (B, N, 4) between 0 and 1 in pixels of images of (height, width) each."""
    import torch

    found = checked_sizes(sizes, len(boxes))
    if found is None:
        return boxes
    scale = torch.tensor([[width, height, width, height] for height, width in found], device=boxes.device)
    return boxes * scale[:, None]


def found_objects(scores: Any, labels: Any, boxes: Any, threshold: float, sizes: Any) -> list[dict[str, Any]]:
    """Return ``scores``, ``labels`` and ``boxes`` of the objects of each image whose score is above a threshold.

    Args:
        scores: (B, N).
        labels: (B, N).
        boxes: (B, N, 4), centre, width and height between 0 and 1.
        threshold: the score to pass.
        sizes: (height, width) of each image: boxes are then left, top, right and bottom in pixels.
    """
    from enfold.nn.boxes import center_to_corners

    placed = scaled_boxes(center_to_corners(boxes), sizes)
    found = []
    for score, label, box in zip(scores, labels, placed, strict=True):
        kept = score > threshold
        found.append({"scores": score[kept], "labels": label[kept], "boxes": box[kept]})
    return found


def semantic_maps(logits: Any, sizes: Any) -> list[Any]:
    """Return the best class of every pixel (height, width) of each image, for logits (B, C, h, w)."""
    import torch.nn.functional as F

    found = checked_sizes(sizes, len(logits))
    if found is None:
        return list(logits.argmax(1))
    return [
        F.interpolate(one[None], size=size, mode="bilinear", align_corners=False)[0].argmax(0)
        for one, size in zip(logits, found, strict=True)
    ]


def segments_of(
    logits: Any,
    masks: Any,
    *,
    threshold: float,
    mask_threshold: float,
    overlap: float,
    fused: Collection[int] = (),
    sizes: Any = None,
) -> list[dict[str, Any]]:
    """Return ``segmentation`` (height, width), the number of a segment or 0, and ``segments_info`` for each image.

    Each pixel goes to the query whose mask, weighed by its score, is surest there; a segment is kept where enough of
    its mask is left.

    Args:
        logits: (B, Q, C + 1), the last for "no object".
        masks: (B, Q, h, w), logits.
        threshold: the score to pass.
        mask_threshold: from which a pixel counts to a mask.
        overlap: the part of a mask that must be left.
        fused: classes whose segments become one.
        sizes: (height, width) of each image; the masks' own by default.
    """
    import torch
    import torch.nn.functional as F

    found = checked_sizes(sizes, len(logits))
    best, labels = logits.softmax(-1).max(-1)
    results = []
    for place, (score, label, mask) in enumerate(zip(best, labels, masks.sigmoid(), strict=True)):
        kept = (label != logits.shape[-1] - 1) & (score > threshold)
        score, label, mask = score[kept], label[kept], mask[kept]
        size = found[place] if found is not None else tuple(masks.shape[-2:])
        if not len(mask):
            results.append({"segmentation": torch.zeros(size) - 1, "segments_info": []})
            continue
        if found is not None:
            mask = F.interpolate(mask[None], size=size, mode="bilinear", align_corners=False)[0]
        mask = mask * score[:, None, None]
        owner = mask.argmax(0)
        picture = torch.zeros(size, dtype=torch.int32, device=mask.device)
        segments: list[dict[str, Any]] = []
        number = 0
        seen: dict[int, int] = {}
        for query, kind in enumerate(label.tolist()):
            own = owner == query
            left, whole = int(own.sum()), int((mask[query] >= mask_threshold).sum())
            if not left or not whole or left / whole <= overlap:
                continue
            number = seen.get(kind, number + 1)
            picture[own] = number
            segments.append(
                {
                    "id": number,
                    "label_id": kind,
                    "was_fused": kind in fused,
                    "score": round(float(score[query]), 6),
                }
            )
            if kind in fused:
                seen[kind] = number
        results.append({"segmentation": picture, "segments_info": segments})
    return results


def run_lengths(segmentation: Any) -> list[list[int]]:
    """Return, for each number in a picture (height, width), where its runs start (from 1) and how long they are."""
    picture = np.asarray(segmentation)
    encoded = []
    for number in np.unique(picture):
        edges = np.flatnonzero(np.diff(np.concatenate([[0], (picture == number).ravel().astype(int), [0]]))) + 1
        edges[1::2] -= edges[::2]
        encoded.append(edges.tolist())
    return encoded
