"""SAM's image processor: pictures of 1024 pixels, masks at their own size, and the masks of a whole picture."""

from __future__ import annotations

import math
from itertools import product
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np

from enfold.errors import EnfoldError
from enfold.transformers.image import transforms
from enfold.transformers.image.base import IMAGENET_MEAN, IMAGENET_STD, BaseImageProcessor, flat
from enfold.transformers.processing.features import BatchFeature

__all__ = ["SamImageProcessor"]


class SamImageProcessor(BaseImageProcessor):
    """SAM's: the longest side 1024 pixels, padded below and on the right to a square.

    Args:
        settings: as the base's, ``do_pad`` and ``pad_size``, and ``mask_size`` and ``mask_pad_size``, the same of maps
            of classes.
    """

    square = False
    pad_size: dict[str, int]
    DEFAULTS: ClassVar[dict[str, Any]] = {
        "size": {"longest_edge": 1024},
        "mask_size": {"longest_edge": 256},
        "image_mean": IMAGENET_MEAN,
        "image_std": IMAGENET_STD,
        "do_pad": True,
        "pad_size": {"height": 1024, "width": 1024},
        "mask_pad_size": {"height": 256, "width": 256},
        "do_convert_rgb": True,
    }
    SIZES: ClassVar[dict[str, bool]] = {"pad_size": True, "mask_size": False, "mask_pad_size": True}

    def __init__(self, **settings: Any) -> None:
        for name in ("size", "mask_size"):  # a number is the longest side
            if isinstance(settings.get(name), int):
                settings[name] = {"longest_edge": settings[name]}
        super().__init__(**settings)

    def __call__(self, images: Any, segmentation_maps: Any = None, **kwargs: Any) -> BatchFeature:
        """Do ``preprocess``."""
        return self.preprocess(images, segmentation_maps, **kwargs)

    def preprocess(  # type: ignore[override]
        self,
        images: Any,
        segmentation_maps: Any = None,
        return_tensors: Any = None,
        data_format: str = "channels_first",
        input_data_format: str | None = None,
        **overrides: Any,
    ) -> BatchFeature:
        """Turn pictures into ``pixel_values``, ``original_sizes`` and ``reshaped_input_sizes``.

        Args:
            images: as the base's.
            segmentation_maps: a class a pixel (height, width), one or many, which become ``labels``.
            return_tensors: "pt", "np", "tf" or "jax"; lists by default.
            data_format: "channels_first" or "channels_last", of what is returned.
            input_data_format: of what is given.
            overrides: settings for this call.
        """
        plan = self.plan(overrides)
        arrays = self.arrays(images, plan, input_data_format)
        made, reshaped = [], []
        for image in arrays:
            changed = self.resized(image, plan) if plan.do_resize else image
            reshaped.append(tuple(changed.shape[-2:]))
            changed = self.scaled(changed, plan)
            made.append(transforms.pad(changed, _sides(plan.pad_size)) if plan.do_pad else changed)
        features: dict[str, Any] = {
            "pixel_values": self.formatted(made, data_format),
            "original_sizes": [tuple(image.shape[-2:]) for image in arrays],
            "reshaped_input_sizes": reshaped,
        }
        if segmentation_maps is not None:
            features["labels"] = [
                self.label(transforms.to_array(one), image.shape[-2:], plan)
                for one, image in zip(flat(segmentation_maps), arrays, strict=True)
            ]
        return BatchFeature(features, tensor_type=return_tensors)

    def label(self, classes: np.ndarray, size: tuple[int, ...], plan: SimpleNamespace) -> np.ndarray:
        """Return a map of classes (height, width), resized and padded."""
        if classes.shape[-2:] != tuple(size):
            raise EnfoldError(f"a map of classes is of its image's size, {tuple(size)}, not {classes.shape[-2:]}")
        x = classes.reshape(1, *size)
        if plan.do_resize:
            x = transforms.resize(x, transforms.target_size((size[0], size[1]), plan.mask_size), transforms.NEAREST)
        if plan.do_pad:
            x = transforms.pad(x, _sides(plan.mask_pad_size))
        return x[0].astype(np.int64)

    def resized(self, image: np.ndarray, plan: SimpleNamespace) -> np.ndarray:
        """Return a picture whose longest side is ``plan.size["longest_edge"]``."""
        if "longest_edge" not in plan.size:
            raise EnfoldError(f"size has longest_edge here, not {', '.join(plan.size)}")
        return super().resized(image, plan)

    # --- what becomes of outputs

    def post_process_masks(
        self,
        masks: Any,
        original_sizes: Any,
        reshaped_input_sizes: Any,
        mask_threshold: float = 0.0,
        binarize: bool = True,
        pad_size: Any = None,
        return_tensors: str = "pt",
        **_: Any,
    ) -> list[Any]:
        """Return masks at the size of their pictures.

        Args:
            masks: (B, prompts, masks, h, w), logits, or a list of such without B.
            original_sizes: (height, width) of each picture.
            reshaped_input_sizes: (height, width) of each picture as the model saw it, without padding.
            mask_threshold: from which a pixel belongs to a mask.
            binarize: return booleans; False returns logits.
            pad_size: height and width that the model saw, with padding.
            return_tensors: "pt" alone.
        """
        import torch
        import torch.nn.functional as F

        if return_tensors != "pt":
            raise EnfoldError(f"masks are torch tensors: return_tensors is 'pt', not {return_tensors!r}")
        seen = _sides(pad_size or self.pad_size)
        found = []
        for mask, size, inner in zip(masks, _rows(original_sizes), _rows(reshaped_input_sizes), strict=True):
            x = torch.from_numpy(mask) if isinstance(mask, np.ndarray) else mask
            x = F.interpolate(x, seen, mode="bilinear", align_corners=False)[..., : inner[0], : inner[1]]
            x = F.interpolate(x, size, mode="bilinear", align_corners=False)
            found.append(x > mask_threshold if binarize else x)
        return found

    def generate_crop_boxes(
        self,
        image: Any,
        target_size: int,
        crop_n_layers: int = 0,
        overlap_ratio: float = 512 / 1500,
        points_per_crop: int = 32,
        crop_n_points_downscale_factor: int = 1,
        device: Any = None,
        input_data_format: str | None = None,
        return_tensors: str = "pt",
    ) -> tuple[Any, Any, list[np.ndarray], Any]:
        """Return parts of a picture and a grid of points on each, for masks of everything.

        Args:
            image: the picture.
            target_size: the longest side that the model sees.
            crop_n_layers: 0: the whole picture alone; layer i adds 4^i parts.
            overlap_ratio: by how much neighbouring parts overlap, of the shorter side.
            points_per_crop: points a side of the grid.
            crop_n_points_downscale_factor: each layer's grid has this many times fewer points a side.
            device: of the tensors.
            input_data_format: where the picture's channels are.
            return_tensors: "pt" alone.

        Returns:
            boxes (parts, 4), points (1, points, parts, 2), the parts, labels (1, points, parts).
        """
        import torch

        array = transforms.channels_first(transforms.to_array(image), input_data_format)
        size = (array.shape[-2], array.shape[-1])
        boxes, layers = _parts(size, crop_n_layers, overlap_ratio)
        crops, points = [], []
        for (left, top, right, bottom), layer in zip(boxes, layers, strict=True):
            crops.append(np.moveaxis(array[:, top:bottom, left:right], 0, -1))
            grid = _grid(int(points_per_crop / crop_n_points_downscale_factor**layer))
            points.append(scaled_points(grid * [right - left, bottom - top], (bottom - top, right - left), target_size))
        placed = np.array([points]).transpose(0, 2, 1, 3)
        return (
            torch.tensor(np.array(boxes, dtype=np.float32), device=device),
            torch.tensor(placed, device=device),
            crops,
            torch.ones(placed.shape[:3], dtype=torch.long, device=device),
        )

    def filter_masks(
        self,
        masks: Any,
        iou_scores: Any,
        original_size: Any,
        cropped_box_image: Any,
        pred_iou_thresh: float = 0.88,
        stability_score_thresh: float = 0.95,
        mask_threshold: float = 0,
        stability_score_offset: float = 1,
        return_tensors: str = "pt",
    ) -> tuple[list[dict[str, Any]], Any, Any]:
        """Return the good masks of a part as runs, their scores and their boxes, all of the whole picture.

        Args:
            masks: (prompts, masks, height, width), logits.
            iou_scores: (prompts, masks), how good the model thinks each is.
            original_size: (height, width) of the picture.
            cropped_box_image: left, top, right and bottom of the part.
            pred_iou_thresh: the score to pass.
            stability_score_thresh: how much of a mask must stay when its threshold moves.
            mask_threshold: from which a pixel belongs to a mask.
            stability_score_offset: by how much the threshold moves.
            return_tensors: "pt" alone.
        """
        import torch
        import torch.nn.functional as F

        masks, scores = masks.flatten(0, 1), iou_scores.flatten(0, 1).to(masks.device)
        kept = torch.ones(len(masks), dtype=torch.bool, device=masks.device)
        if pred_iou_thresh > 0:
            kept &= scores > pred_iou_thresh
        if stability_score_thresh > 0:
            inner = (masks > mask_threshold + stability_score_offset).sum((1, 2))
            outer = (masks > mask_threshold - stability_score_offset).sum((1, 2))
            kept &= inner / outer > stability_score_thresh
        scores, masks = scores[kept], masks[kept] > mask_threshold
        boxes = mask_boxes(masks)
        part = torch.as_tensor(cropped_box_image, dtype=torch.float, device=boxes.device)
        whole = torch.tensor([0.0, 0.0, original_size[1], original_size[0]], device=boxes.device)
        placed = (boxes + part[:2].repeat(2)).float()
        # a mask that ends at the edge of its part, but not of the picture, is likely cut
        cut = (torch.isclose(placed, part, atol=20.0, rtol=0) & ~torch.isclose(placed, whole, atol=20.0, rtol=0)).any(1)
        scores, masks, boxes = scores[~cut], masks[~cut], boxes[~cut]
        left, top, right, bottom = (int(side) for side in part.tolist())
        boxes = boxes + torch.tensor([left, top, left, top], device=boxes.device)
        masks = F.pad(masks, (left, original_size[1] - right, top, original_size[0] - bottom))
        return [runs(mask) for mask in masks.cpu().numpy()], scores, boxes

    def post_process_for_mask_generation(
        self, all_masks: Any, all_scores: Any, all_boxes: Any, crops_nms_thresh: float, return_tensors: str = "pt"
    ) -> tuple[list[np.ndarray], Any, list[dict[str, Any]], Any]:
        """Return masks, scores, runs and boxes of what is left when of boxes that overlap the surest stays."""
        kept = non_maximum_suppression(all_boxes.float(), all_scores, crops_nms_thresh)
        found = [all_masks[place] for place in kept.tolist()]
        return [mask_of(one) for one in found], all_scores[kept], found, all_boxes[kept]


def _sides(size: Any) -> tuple[int, int]:
    return (size["height"], size["width"])


def _rows(sizes: Any) -> list[tuple[int, int]]:
    return [(int(height), int(width)) for height, width in (sizes.tolist() if hasattr(sizes, "tolist") else sizes)]


def scaled_points(points: np.ndarray, size: tuple[int, int], longest: int) -> np.ndarray:
    """Return points (…, 2), x and y on a picture of (height, width), on the same picture as the model sees it."""
    height, width = transforms.target_size((int(size[0]), int(size[1])), {"longest_edge": longest})
    return np.asarray(points, dtype=float) * [width / size[1], height / size[0]]


def _grid(side: int) -> np.ndarray:
    """Return side² points (x, y) between 0 and 1, row by row."""
    places = np.linspace(1 / (2 * side), 1 - 1 / (2 * side), side)
    return np.stack(np.meshgrid(places, places), axis=-1).reshape(-1, 2)


def _parts(size: tuple[int, int], layers: int, ratio: float) -> tuple[list[list[int]], list[int]]:
    """Return the boxes of a picture's parts, the whole first, and the layer of each."""
    height, width = size
    boxes, numbers = [[0, 0, width, height]], [0]
    for layer in range(1, layers + 1):
        count = 2**layer
        shared = int(ratio * min(size) * (2 / count))
        wide, high = (math.ceil((shared * (count - 1) + side) / count) for side in (width, height))
        lefts, tops = ([(side - shared) * place for place in range(count)] for side in (wide, high))
        for left, top in product(lefts, tops):
            boxes.append([left, top, min(left + wide, width), min(top + high, height)])
            numbers.append(layer)
    return boxes, numbers


def mask_boxes(masks: Any) -> Any:
    """Return left, top, right and bottom of the pixels of each mask (N, height, width); zeros where there are none."""
    import torch

    if not masks.numel():
        return torch.zeros(*masks.shape[:-2], 4, device=masks.device)
    edges = []
    for side in (1, 2):  # whether a column, then whether a row, has pixels
        there = masks.any(side).int()
        first, last = there.argmax(1), there.shape[1] - 1 - there.flip(1).argmax(1)
        edges.append((first, last))
    (left, right), (top, bottom) = edges
    return torch.stack([left, top, right, bottom], dim=1) * masks.flatten(1).any(1)[:, None]


def runs(mask: np.ndarray) -> dict[str, Any]:
    """Return a mask (height, width) as the lengths of its runs, column by column, the first of zeros."""
    column = mask.T.ravel()
    edges = np.flatnonzero(column[1:] != column[:-1]) + 1
    counts = np.diff(np.concatenate([[0], edges, [column.size]])).tolist()
    return {"size": list(mask.shape), "counts": ([0] if column.size and column[0] else []) + counts}


def mask_of(encoded: dict[str, Any]) -> np.ndarray:
    """Return the mask (height, width) of its runs."""
    height, width = encoded["size"]
    column = np.repeat(np.arange(len(encoded["counts"])) % 2 == 1, encoded["counts"])
    return column.reshape(width, height).T


def non_maximum_suppression(boxes: Any, scores: Any, threshold: float) -> Any:
    """Return the places of the boxes (N, 4) that stay, the surest first: each removes those that overlap it more."""
    import torch

    from enfold.nn.boxes import box_iou

    order = scores.argsort(descending=True, stable=True)
    kept = []
    while len(order):
        kept.append(order[0])
        overlap = box_iou(boxes[order[:1]], boxes[order[1:]])[0][0]
        order = order[1:][~(overlap > threshold)]
    return torch.stack(kept) if kept else order
