"""Calls of the pipelines for pictures that both sides make, on the same tiny models."""

from __future__ import annotations

from typing import Any

from parity.architectures.detection import DETR, EVERY, detr, sam
from parity.architectures.vision import DINO, DPT, SEG, VIT

SQUARE = {"height": 12, "width": 12}
SIDES = {"size": {"shortest_edge": 64, "longest_edge": 90}}

# folder → (class, configuration or a function of the library to it, image processor, its settings)
MODELS: dict[str, tuple[str, Any, str, dict[str, Any]]] = {
    "vit": ("ViTForImageClassification", {**VIT, "num_labels": 7}, "ViTImageProcessor", {"size": SQUARE}),
    "vit-one": ("ViTForImageClassification", {**VIT, "num_labels": 1}, "ViTImageProcessor", {"size": SQUARE}),
    "vit-states": ("ViTModel", VIT, "ViTImageProcessor", {"size": SQUARE}),
    "dinov2": (
        "Dinov2Model",
        DINO,
        "BitImageProcessor",
        {"size": {"shortest_edge": 15}, "crop_size": {"height": 12, "width": 12}},
    ),
    "detr": ("DetrForObjectDetection", detr(), "DetrImageProcessor", SIDES),
    "detr-masks": ("DetrForSegmentation", detr(*EVERY), "DetrImageProcessor", SIDES),
    "segformer": (
        "SegformerForSemanticSegmentation",
        {**SEG, "num_labels": 5},
        "SegformerImageProcessor",
        {"size": {"height": 32, "width": 40}},
    ),
    "dpt": ("DPTForDepthEstimation", DPT, "DPTImageProcessor", {"size": {"height": 16, "width": 16}}),
    "sam": (
        "SamModel",
        sam(),
        "SamImageProcessor",
        {"size": {"longest_edge": 20}, "pad_size": {"height": 20, "width": 20}},
    ),
}
LABELS = DETR["num_labels"]

# name → (task, folder, arguments of the call)
RUNS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "labels": ("image-classification", "vit", {}),
    "labels-two": ("image-classification", "vit", {"top_k": 2}),
    "labels-many": ("image-classification", "vit", {"top_k": 30, "function_to_apply": "sigmoid"}),
    "labels-raw": ("image-classification", "vit", {"function_to_apply": "none"}),
    "labels-one": ("image-classification", "vit-one", {}),
    "states": ("image-feature-extraction", "vit-states", {}),
    "states-pooled": ("image-feature-extraction", "vit-states", {"pool": True}),
    "states-dinov2": ("image-feature-extraction", "dinov2", {"image_processor_kwargs": {"do_center_crop": False}}),
    "objects": ("object-detection", "detr", {}),
    "objects-most": ("object-detection", "detr", {"threshold": 0.1}),
    "panoptic": (
        "image-segmentation",
        "detr-masks",
        {"threshold": 0.1, "mask_threshold": 0.2, "overlap_mask_area_threshold": 0.05},
    ),
    "panoptic-default": ("image-segmentation", "detr-masks", {}),
    "instance": (
        "image-segmentation",
        "detr-masks",
        {"subtask": "instance", "threshold": 0.2, "mask_threshold": 0.2, "overlap_mask_area_threshold": 0.1},
    ),
    "semantic": ("image-segmentation", "detr-masks", {"subtask": "semantic"}),
    "semantic-segformer": ("image-segmentation", "segformer", {}),
    "depth": ("depth-estimation", "dpt", {}),
    "masks": (
        "mask-generation",
        "sam",
        {
            "points_per_crop": 5,
            "points_per_batch": 5,
            "pred_iou_thresh": -9,
            "stability_score_thresh": 0,
            "output_rle_mask": True,
            "output_bboxes_mask": True,
        },
    ),
    "masks-few": (
        "mask-generation",
        "sam",
        {
            "points_per_crop": 4,
            "points_per_batch": 8,
            "pred_iou_thresh": 0,
            "stability_score_offset": 0.001,
            "stability_score_thresh": 0.5,
            "crops_nms_thresh": 0.8,
        },
    ),
}


def pictures() -> list[Any]:
    """Return three pictures of odd sizes."""
    import numpy as np
    from PIL import Image

    draw = np.random.default_rng(4)
    sizes = ((37, 53), (64, 41), (24, 24))
    small = [draw.integers(0, 256, (5, 6, 3), dtype=np.uint8) for _ in sizes]
    return [Image.fromarray(one).resize((w, h), 3) for one, (h, w) in zip(small, sizes, strict=True)]


def plain(value: Any) -> Any:
    """Return an answer as JSON can hold it: pictures and arrays as nested lists."""
    import numpy as np

    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, str | int | float | None):
        return value
    return np.asarray(value).tolist()


def lend_suppression() -> None:
    """Give the peer what it takes from torchvision: of boxes that overlap, the surest stays."""
    import sys
    import types
    from importlib import import_module

    import torch

    def batched_nms(boxes: Any, scores: Any, idxs: Any, iou_threshold: float) -> Any:
        kept: list[int] = []
        for place in scores.argsort(descending=True, stable=True).tolist():
            low = torch.maximum(boxes[place, :2], boxes[kept][:, :2])
            high = torch.minimum(boxes[place, 2:], boxes[kept][:, 2:])
            shared = (high - low).clamp(min=0).prod(1)
            areas = [(rows[:, 2:] - rows[:, :2]).prod(1) for rows in (boxes[place : place + 1], boxes[kept])]
            if not (shared / (areas[0] + areas[1] - shared) > iou_threshold).any():
                kept.append(place)
        return torch.tensor(kept, dtype=torch.long)

    import transformers

    four = transformers.__version__.startswith("4.")
    own = import_module(f"transformers.models.sam.image_processing_{'' if four else 'pil_'}sam")
    kind = own.SamImageProcessor if four else own.SamImageProcessorPil
    own.batched_nms = batched_nms  # type: ignore[attr-defined]
    for name in ("torchvision", "torchvision.ops", "torchvision.ops.boxes"):
        sys.modules[name] = types.ModuleType(name)
    sys.modules["torchvision.ops.boxes"].batched_nms = batched_nms  # type: ignore[attr-defined]
    method = kind.post_process_for_mask_generation
    kind.post_process_for_mask_generation = getattr(method, "__wrapped__", method)


def answers(library: Any, root: Any) -> dict[str, Any]:
    """Return the answers of every call, one by one, and as a list."""
    found = {}
    for name, (task, folder, options) in RUNS.items():
        pipe = library.pipeline(task, model=str(root / folder), device=-1)
        found[name] = plain([pipe(picture, **options) for picture in pictures()])
        found[f"{name}-list"] = plain(pipe(pictures()[:2], **options))
    return found
