"""Object detection: what is on a picture, and where."""

from __future__ import annotations

from typing import Any

from enfold.transformers.pipelines.images import ImagePipeline, fields

__all__ = ["ObjectDetectionPipeline"]


class ObjectDetectionPipeline(ImagePipeline):
    """Finds objects.

    Arguments of a call (or of ``pipeline``): ``threshold``, the score to pass (0.5), ``timeout`` of URLs in seconds.

    Returns ``[{"score", "label", "box": {"xmin", "ymin", "xmax", "ymax"}}]`` for a picture, in pixels.
    """

    def _sanitize_parameters(
        self, threshold: float | None = None, timeout: float | None = None, **_: Any
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        before = {} if timeout is None else {"timeout": timeout}
        return before, {}, {} if threshold is None else {"threshold": threshold}

    def postprocess(self, model_outputs: Any, threshold: float = 0.5) -> list[dict[str, Any]]:  # type: ignore[override]
        """Turn logits and boxes into labelled boxes in pixels."""
        found = self.image_processor.post_process_object_detection(
            fields(model_outputs), threshold, model_outputs["target_size"]
        )[0]
        names = self.model.config.id2label
        return [
            {
                "score": score,
                "label": names[label],
                "box": dict(zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)),
            }
            for score, label, box in zip(
                found["scores"].tolist(), found["labels"].tolist(), found["boxes"].int().tolist(), strict=True
            )
        ]
