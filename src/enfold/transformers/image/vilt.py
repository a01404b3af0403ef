"""ViLT's image processor: sides that are multiples of 32, padded to the largest picture of a batch."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np

from enfold.errors import EnfoldError
from enfold.transformers.image import transforms
from enfold.transformers.image.base import BaseImageProcessor, largest, pixel_masks
from enfold.transformers.processing.features import BatchFeature

__all__ = ["ViltImageProcessor"]


class ViltImageProcessor(BaseImageProcessor):
    """ViLT's: the shortest side resized, the longest at most 1333 / 800 of it, both cut to multiples of 32.

    Args:
        settings: as the base's, ``size_divisor`` and ``do_pad``.
    """

    model_input_names = ["pixel_values", "pixel_mask"]
    square = False
    DEFAULTS: ClassVar[dict[str, Any]] = {
        "size": {"shortest_edge": 384},
        "size_divisor": 32,
        "resample": transforms.BICUBIC,
        "do_pad": True,
    }
    RENAMED: ClassVar[dict[str, str]] = {"pad_and_return_pixel_mask": "do_pad"}

    def preprocess(
        self,
        images: Any,
        return_tensors: Any = None,
        data_format: str = "channels_first",
        input_data_format: str | None = None,
        **overrides: Any,
    ) -> BatchFeature:
        """Turn pictures into ``pixel_values`` and ``pixel_mask``; arguments as the base's."""
        plan = self.plan(overrides)
        made = [self.transform(image, plan) for image in self.arrays(images, plan, input_data_format)]
        features: dict[str, Any] = {}
        if plan.do_pad:
            size = largest(made)
            features["pixel_mask"] = pixel_masks(made, size)
            made = [transforms.pad(image, size) for image in made]
        return BatchFeature({"pixel_values": self.formatted(made, data_format), **features}, tensor_type=return_tensors)

    def resized(self, image: np.ndarray, plan: SimpleNamespace) -> np.ndarray:
        """Return a picture whose sides are multiples of ``plan.size_divisor``."""
        if "shortest_edge" not in plan.size:
            raise EnfoldError(f"size has shortest_edge here, not {', '.join(plan.size)}")
        short = plan.size["shortest_edge"]
        long = int(1333 / 800 * short)
        height, width = image.shape[-2:]
        scale = short / min(height, width)
        sides = [short if height < width else scale * height, scale * width if height < width else short]
        if max(sides) > long:
            scale = long / max(sides)
            sides = [scale * side for side in sides]
        high, wide = (int(side + 0.5) // plan.size_divisor * plan.size_divisor for side in sides)
        return transforms.resize(image, (high, wide), plan.resample)
