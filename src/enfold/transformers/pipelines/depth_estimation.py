"""Depth estimation: how far each pixel is."""

from __future__ import annotations

from typing import Any

import numpy as np
import PIL.Image

from enfold.transformers.pipelines.images import ImagePipeline, fields

__all__ = ["DepthEstimationPipeline"]


class DepthEstimationPipeline(ImagePipeline):
    """Tells how far each pixel is.

    Arguments of a call (or of ``pipeline``): ``timeout`` of URLs in seconds.

    Returns ``{"predicted_depth", "depth"}`` for a picture: a tensor (height, width), and the same as a grey image
    between its smallest and largest number.
    """

    def _sanitize_parameters(
        self, timeout: float | None = None, parameters: dict[str, Any] | None = None, **_: Any
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        wait = (parameters or {}).get("timeout", timeout)
        return {} if wait is None else {"timeout": wait}, {}, {}

    def postprocess(self, model_outputs: Any, **_: Any) -> dict[str, Any]:  # type: ignore[override]
        """Turn a model's depth into one of the picture's size."""
        found = self.image_processor.post_process_depth_estimation(fields(model_outputs), model_outputs["target_size"])
        depth = found[0]["predicted_depth"]
        low, high = depth.min(), depth.max()
        grey = (depth - low) / (high - low) if high > low else depth * 0
        return {
            "predicted_depth": depth,
            "depth": PIL.Image.fromarray((grey.float().numpy() * 255).astype(np.uint8)),
        }
