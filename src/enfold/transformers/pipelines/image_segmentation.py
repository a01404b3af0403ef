"""Image segmentation: which pixels belong to what."""

from __future__ import annotations

from typing import Any

import PIL.Image
import torch

from enfold.errors import nearest
from enfold.transformers.pipelines.images import ImagePipeline, fields

__all__ = ["ImageSegmentationPipeline"]

SUBTASKS = ("panoptic", "instance", "semantic")
OPTIONS = ("threshold", "mask_threshold", "overlap_mask_area_threshold")


class ImageSegmentationPipeline(ImagePipeline):
    """Cuts pictures into what is on them.

    Arguments of a call (or of ``pipeline``): ``subtask`` ("panoptic", "instance", "semantic"; the first that the model
    can do by default), ``threshold`` of scores (0.9), ``mask_threshold`` of pixels (0.5),
    ``overlap_mask_area_threshold``, the part of a mask that must be left (0.5), ``timeout`` of URLs in seconds.

    Returns ``[{"score", "label", "mask"}]`` for a picture; masks are grey images of its size, white where the thing is,
    and scores None for the semantic subtask.
    """

    def _sanitize_parameters(self, **given: Any) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        subtask = given.get("subtask")
        if subtask is not None and subtask not in SUBTASKS:
            raise ValueError(
                f"subtask is one of {', '.join(SUBTASKS)}, not {subtask!r}{nearest(str(subtask), SUBTASKS)}"
            )
        before = {"timeout": given["timeout"]} if given.get("timeout") is not None else {}
        return before, {}, {name: given[name] for name in ("subtask", *OPTIONS) if given.get(name) is not None}

    def postprocess(  # type: ignore[override]
        self, model_outputs: Any, subtask: str | None = None, threshold: float = 0.9, **options: float
    ) -> list[dict[str, Any]]:
        """Turn a model's outputs into labelled masks."""
        outputs, names = fields(model_outputs), self.model.config.id2label
        sizes = model_outputs["target_size"]
        ways = {kind: getattr(self.image_processor, f"post_process_{kind}_segmentation", None) for kind in SUBTASKS}
        kind = subtask or next((kind for kind, way in ways.items() if way is not None), SUBTASKS[0])
        way = ways[kind]
        if way is None:
            able = ", ".join(name for name, other in ways.items() if other is not None) or "none"
            raise ValueError(f"{type(self.model).__name__} does no {kind} segmentation; its subtasks: {able}")
        if kind == "semantic":
            classes = way(outputs, target_sizes=sizes)[0]
            return [
                {"score": None, "label": names[label], "mask": _mask(classes == label)}
                for label in classes.unique().tolist()
            ]
        settings = {"mask_threshold": 0.5, "overlap_mask_area_threshold": 0.5, **options}
        found = way(outputs, threshold=threshold, target_sizes=sizes, **settings)[0]
        return [
            {
                "score": segment["score"],
                "label": names[segment["label_id"]],
                "mask": _mask(found["segmentation"] == segment["id"]),
            }
            for segment in found["segments_info"]
        ]


def _mask(there: torch.Tensor) -> PIL.Image.Image:
    return PIL.Image.fromarray((there * 255).to(torch.uint8).numpy())
