"""OWL-ViT's image processor, and the boxes of what it finds."""

from __future__ import annotations

from typing import Any, ClassVar

from enfold.errors import EnfoldError
from enfold.transformers.image import transforms
from enfold.transformers.image.base import CLIP_MEAN, CLIP_STD, BaseImageProcessor
from enfold.transformers.image.segments import found_objects, scaled_boxes

__all__ = ["OwlViTImageProcessor"]


class OwlViTImageProcessor(BaseImageProcessor):
    """OWL-ViT's: a square of 768 pixels, normalised as CLIP's."""

    DEFAULTS: ClassVar[dict[str, Any]] = {
        "size": {"height": 768, "width": 768},
        "resample": transforms.BICUBIC,
        "crop_size": {"height": 768, "width": 768},
        "image_mean": CLIP_MEAN,
        "image_std": CLIP_STD,
    }

    def __init__(self, rescale: bool | None = None, **settings: Any) -> None:
        if rescale is not None:  # of old, a flag
            settings["do_rescale"] = rescale
        super().__init__(**settings)

    def post_process_object_detection(
        self, outputs: Any, threshold: float = 0.1, target_sizes: Any = None
    ) -> list[dict[str, Any]]:
        """Return ``scores``, ``labels`` and ``boxes`` of each image.

        Args:
            outputs: with ``logits`` (B, N, queries) and ``pred_boxes`` (B, N, 4).
            threshold: the score to pass.
            target_sizes: (height, width) of each image, for boxes in pixels.
        """
        best, labels = outputs.logits.max(-1)
        return found_objects(best.sigmoid(), labels, outputs.pred_boxes, threshold, target_sizes)

    def post_process_image_guided_detection(
        self, outputs: Any, threshold: float = 0.0, nms_threshold: float = 0.3, target_sizes: Any = None
    ) -> list[dict[str, Any]]:
        """Return ``scores`` and ``boxes`` of what looks like the query image, ``labels`` None.

        Args:
            outputs: with ``logits`` (B, N, 1) and ``target_pred_boxes`` (B, N, 4).
            threshold: the score to pass.
            nms_threshold: of boxes that overlap more, the surest stays.
            target_sizes: (height, width) of each image, for boxes in pixels.
        """
        import torch

        from enfold.nn.boxes import box_iou, center_to_corners

        if len(outputs.logits.shape) != 3:
            raise EnfoldError("outputs of image_guided_detection have logits (images, boxes, 1)")
        scores = outputs.logits.max(-1).values.sigmoid()
        boxes = center_to_corners(outputs.target_pred_boxes)
        if nms_threshold < 1.0:
            for place in range(len(boxes)):
                for one in torch.argsort(-scores[place]):
                    if scores[place, one] > 0:
                        overlap = box_iou(boxes[place, one][None], boxes[place])[0][0]
                        overlap[one] = -1.0
                        scores[place][overlap > nms_threshold] = 0.0
        placed = scaled_boxes(boxes, target_sizes)
        found = []
        for score, box in zip(scores, placed, strict=True):
            score[score < threshold] = 0.0
            # a score is told relative to the best one: a tenth of it is 0, itself 1
            best = score.max() + 1e-6
            shown = ((score - best * 0.1) / (best * 0.9)).clip(0.0, 1.0)
            found.append({"scores": shown[shown > 0], "labels": None, "boxes": box[shown > 0]})
        return found
