"""Mask generation: everything on a picture, cut out by asking at a grid of points."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from enfold.transformers.image.loading import load_image
from enfold.transformers.pipelines.base import ChunkPipeline

__all__ = ["MaskGenerationPipeline"]

BEFORE = (
    "points_per_batch",
    "points_per_crop",
    "crops_n_layers",
    "crop_overlap_ratio",
    "crop_n_points_downscale_factor",
    "timeout",
)
WITHIN = ("pred_iou_thresh", "stability_score_offset", "mask_threshold", "stability_score_thresh")
AFTER = ("crops_nms_thresh", "output_rle_mask", "output_bboxes_mask")


class MaskGenerationPipeline(ChunkPipeline):
    """Cuts out everything on a picture.

    Arguments of a call (or of ``pipeline``): ``points_per_batch`` (64; None: all at once), ``points_per_crop`` a side
    of the grid (32), ``crops_n_layers`` (0: the whole picture alone), ``crop_overlap_ratio``,
    ``crop_n_points_downscale_factor``; ``pred_iou_thresh`` (0.88), ``stability_score_thresh`` (0.95),
    ``stability_score_offset`` (1), ``mask_threshold`` (0); ``crops_nms_thresh`` (0.7), ``output_rle_mask``,
    ``output_bboxes_mask``; ``timeout`` of URLs in seconds.

    Returns ``{"masks", "scores"}`` for a picture: boolean arrays (height, width), the surest first; with ``"rle_mask"``
    and ``"bounding_boxes"`` where asked for.
    """

    _load_image_processor = True
    _load_tokenizer = _load_feature_extractor = _load_processor = False

    def _sanitize_parameters(self, **given: Any) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        before, within, after = (
            {name: given[name] for name in names if name in given} for names in (BEFORE, WITHIN, AFTER)
        )
        size = before.get("points_per_batch")
        if size is not None and size < 1:
            raise ValueError(f"points_per_batch is at least 1, or None for all points at once, not {size}")
        return before, within, after

    def preprocess(  # type: ignore[override]
        self,
        inputs: Any,
        points_per_batch: int | None = 64,
        crops_n_layers: int = 0,
        crop_overlap_ratio: float = 512 / 1500,
        points_per_crop: int = 32,
        crop_n_points_downscale_factor: int = 1,
        timeout: float | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Read the picture and its parts once, and yield their points by batches."""
        image, processor = load_image(inputs, timeout), self.image_processor
        longest = processor.size.get("longest_edge", processor.size.get("height"))
        boxes, points, crops, labels = processor.generate_crop_boxes(
            image, longest, crops_n_layers, crop_overlap_ratio, points_per_crop, crop_n_points_downscale_factor
        )
        # parts come one by one: each has a size of its own, and its points beside it
        for place, crop in enumerate(crops):
            made = processor(images=crop, return_tensors="pt").to(dtype=self.dtype)
            with torch.inference_mode():
                seen = self.model.get_image_embeddings(made["pixel_values"].to(self.device))
            count = points.shape[1]
            step = points_per_batch or count
            for start in range(0, count, step):
                yield {
                    "input_points": points[:, start : start + step, place, None].to(self.dtype),
                    "input_labels": labels[:, start : start + step, place, None],
                    "image_embeddings": seen,
                    "box": boxes[place].tolist(),
                    "whole": (image.height, image.width),
                    "original_sizes": made["original_sizes"],
                    "reshaped_input_sizes": made["reshaped_input_sizes"],
                }

    def _forward(  # type: ignore[override]
        self,
        model_inputs: Any,
        pred_iou_thresh: float = 0.88,
        stability_score_thresh: float = 0.95,
        mask_threshold: float = 0,
        stability_score_offset: float = 1,
    ) -> Any:
        box, whole = model_inputs.pop("box"), model_inputs.pop("whole")
        sizes, inner = model_inputs.pop("original_sizes"), model_inputs.pop("reshaped_input_sizes")
        found = self.model(**model_inputs)
        masks = self.image_processor.post_process_masks(
            found["pred_masks"], sizes, inner, mask_threshold, binarize=False
        )
        kept, scores, boxes = self.image_processor.filter_masks(
            masks[0],
            found["iou_scores"][0],
            whole,
            box,
            pred_iou_thresh,
            stability_score_thresh,
            mask_threshold,
            stability_score_offset,
        )
        return {"masks": kept, "iou_scores": scores, "boxes": boxes}

    def postprocess(  # type: ignore[override]
        self,
        model_outputs: Any,
        output_rle_mask: bool = False,
        output_bboxes_mask: bool = False,
        crops_nms_thresh: float = 0.7,
    ) -> dict[str, Any]:
        """Put the masks of all points together, without those that others cover."""
        masks, scores, runs, boxes = self.image_processor.post_process_for_mask_generation(
            [mask for part in model_outputs for mask in part["masks"]],
            torch.cat([part["iou_scores"] for part in model_outputs]),
            torch.cat([part["boxes"] for part in model_outputs]),
            crops_nms_thresh,
        )
        answer: dict[str, Any] = {"masks": masks, "scores": scores}
        if output_rle_mask:
            answer["rle_mask"] = runs
        if output_bboxes_mask:
            answer["bounding_boxes"] = boxes
        return answer
