"""Losses of predictions that come in no order: each label is first given to one prediction.

Source: Carion et al., 2020, "End-to-End Object Detection with Transformers".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from enfold.errors import MissingExtra
from enfold.nn.boxes import center_to_corners, generalized_box_iou

__all__ = ["dice_loss", "focal_loss", "match", "set_loss"]

Labels = Sequence[Mapping[str, Tensor]]
Pairs = list[tuple[Tensor, Tensor]]


def focal_loss(logits: Tensor, targets: Tensor, count: float, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """Return the binary cross entropy in which what is easy counts little, summed over rows and divided by a count.

    Args:
        logits: (N, P).
        targets: (N, P), zeros and ones.
        count: divides the sum of the rows' means.
        alpha: weight of the ones.
        gamma: how much less easy places count.

    Source: Lin et al., 2017, "Focal Loss for Dense Object Detection".
    """
    sure = logits.sigmoid()
    right = sure * targets + (1 - sure) * (1 - targets)
    loss = F.binary_cross_entropy_with_logits(logits, targets, reduction="none") * (1 - right) ** gamma
    return ((alpha * targets + (1 - alpha) * (1 - targets)) * loss).mean(1).sum() / count


def dice_loss(logits: Tensor, targets: Tensor, count: float) -> Tensor:
    """Return one less twice the overlap over the sum of the areas, summed over rows (N, P) and divided by a count.

    Source: Milletari et al., 2016, "V-Net".
    """
    sure = logits.sigmoid()
    shared, areas = 2 * (sure * targets).sum(1), sure.sum(1) + targets.sum(1)
    return (1 - (shared + 1) / (areas + 1)).sum() / count


@torch.no_grad()
def match(
    logits: Tensor, boxes: Tensor, labels: Labels, class_cost: float, bbox_cost: float, giou_cost: float
) -> Pairs:
    """Return, for each image, the predictions and the labels that belong together at the least cost.

    Args:
        logits: (B, Q, C + 1).
        boxes: (B, Q, 4), centre, width and height between 0 and 1.
        labels: one an image: ``class_labels`` (N,) and ``boxes`` (N, 4).
        class_cost: weight of the probability of the label's class.
        bbox_cost: weight of the distance of the boxes.
        giou_cost: weight of their overlap.
    """
    try:
        from scipy.optimize import linear_sum_assignment
    except ModuleNotFoundError:
        raise MissingExtra("matching predictions with labels", "vision") from None

    sizes = [len(label["boxes"]) for label in labels]
    classes = torch.cat([label["class_labels"] for label in labels])
    wanted = torch.cat([label["boxes"] for label in labels])
    flat = boxes.flatten(0, 1)
    cost = (
        bbox_cost * torch.cdist(flat, wanted, p=1)
        - class_cost * logits.flatten(0, 1).softmax(-1)[:, classes]
        - giou_cost * generalized_box_iou(center_to_corners(flat), center_to_corners(wanted))
    )
    worst = torch.finfo(cost.dtype).max  # what is no number is matched last
    cost = torch.nan_to_num(cost, nan=worst, posinf=worst, neginf=worst).view(*logits.shape[:2], -1).cpu()
    found = (linear_sum_assignment(part[place]) for place, part in enumerate(cost.split(sizes, -1)))
    return [(torch.as_tensor(rows), torch.as_tensor(columns)) for rows, columns in found]


def set_loss(
    config: Any, labels: Labels, outputs: Mapping[str, Tensor], auxiliary: Sequence[Mapping[str, Tensor]] = ()
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return DETR's loss and its parts by name.

    Args:
        config: costs (``class_cost`` …), weights (``bbox_loss_coefficient`` …), ``num_labels`` and
            ``eos_coefficient``, the weight of "no object".
        labels: one an image: ``class_labels`` (N,), ``boxes`` (N, 4), and ``masks`` (N, H, W) where masks are given.
        outputs: ``logits`` (B, Q, C + 1), ``pred_boxes`` (B, Q, 4), and ``pred_masks`` (B, Q, h, w) or none.
        auxiliary: the same, without masks, of earlier layers; their parts' names end with ``_`` and their place.
    """
    count = float(sum(len(label["class_labels"]) for label in labels))
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        total = torch.tensor(count, device=outputs["logits"].device)
        torch.distributed.all_reduce(total)
        count = float(total) / torch.distributed.get_world_size()
    count = max(count, 1.0)
    parts = _parts(config, labels, outputs, count)
    for place, earlier in enumerate(auxiliary):
        parts |= {f"{name}_{place}": part for name, part in _parts(config, labels, earlier, count).items()}
    weights = {
        "loss_ce": 1,
        "loss_bbox": config.bbox_loss_coefficient,
        "loss_giou": config.giou_loss_coefficient,
        "loss_mask": config.mask_loss_coefficient,
        "loss_dice": config.dice_loss_coefficient,
    }
    kinds = {name: "_".join(name.split("_")[:2]) for name in parts}
    total_loss = sum(part * weights[kinds[name]] for name, part in parts.items() if kinds[name] in weights)
    return total_loss, parts  # type: ignore[return-value]


def _parts(config: Any, labels: Labels, outputs: Mapping[str, Tensor], count: float) -> dict[str, Tensor]:
    """Return the loss of classes, boxes and masks, and how many objects too many or too few there are."""
    logits, boxes = outputs["logits"], outputs["pred_boxes"]
    pairs = match(logits, boxes, labels, config.class_cost, config.bbox_cost, config.giou_cost)
    images = torch.cat([torch.full_like(rows, place) for place, (rows, _) in enumerate(pairs)])
    queries = torch.cat([rows for rows, _ in pairs])
    taken = [(label, columns.to(label["boxes"].device)) for label, (_, columns) in zip(labels, pairs, strict=True)]

    classes = torch.full(logits.shape[:2], config.num_labels, device=logits.device)
    classes[images, queries] = torch.cat([label["class_labels"][columns] for label, columns in taken])
    weight = torch.ones(config.num_labels + 1, device=logits.device, dtype=logits.dtype)
    weight[-1] = config.eos_coefficient
    with torch.no_grad():
        there = (logits.argmax(-1) != logits.shape[-1] - 1).sum(1).float()
        sizes = torch.tensor([float(len(label["class_labels"])) for label in labels], device=logits.device)
    found, wanted = boxes[images, queries], torch.cat([label["boxes"][columns] for label, columns in taken])
    overlap = generalized_box_iou(center_to_corners(found), center_to_corners(wanted)).diagonal()
    parts = {
        "loss_ce": F.cross_entropy(logits.transpose(1, 2), classes, weight),
        "loss_bbox": F.l1_loss(found, wanted, reduction="none").sum() / count,
        "loss_giou": (1 - overlap).sum() / count,
        "cardinality_error": F.l1_loss(there, sizes),
    }
    if "pred_masks" in outputs:
        masks = outputs["pred_masks"][images, queries]
        high, wide = (max(label["masks"].shape[side] for label in labels) for side in (1, 2))
        full = torch.cat(
            [
                F.pad(label["masks"], (0, wide - label["masks"].shape[2], 0, high - label["masks"].shape[1]))[columns]
                for label, columns in taken
            ]
        ).to(masks)
        masks = F.interpolate(masks[:, None], size=(high, wide), mode="bilinear", align_corners=False)
        flat = masks[:, 0].flatten(1)
        parts["loss_mask"] = focal_loss(flat, full.flatten(1), count)
        parts["loss_dice"] = dice_loss(flat, full.flatten(1), count)
    return parts
