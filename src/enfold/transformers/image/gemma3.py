"""Gemma 3's image processor: one square of each picture, and with ``do_pan_and_scan`` squares of its parts besides."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np

from enfold.errors import EnfoldError
from enfold.transformers.image.base import BaseImageProcessor
from enfold.transformers.processing.features import BatchFeature

__all__ = ["Gemma3ImageProcessor"]


class Gemma3ImageProcessor(BaseImageProcessor):
    """Gemma 3's: resized to a square; long pictures are also cut into parts, each of which becomes a square.

    Args:
        settings: as the base's; ``do_pan_and_scan`` cuts, where the longer side is at least
            ``pan_and_scan_min_ratio_to_activate`` times the shorter one, into at most ``pan_and_scan_max_num_crops``
            parts of no side below ``pan_and_scan_min_crop_size`` pixels.

    Source: Gemma Team, 2025, "Gemma 3 Technical Report", section 2.1.
    """

    model_input_names = ["pixel_values", "num_crops"]
    DEFAULTS: ClassVar[dict[str, Any]] = {
        "size": {"height": 224, "width": 224},
        "do_convert_rgb": True,
        "do_pan_and_scan": None,
        "pan_and_scan_min_crop_size": None,
        "pan_and_scan_max_num_crops": None,
        "pan_and_scan_min_ratio_to_activate": None,
    }

    def preprocess(
        self,
        images: Any,
        return_tensors: Any = None,
        data_format: str = "channels_first",
        input_data_format: str | None = None,
        **overrides: Any,
    ) -> BatchFeature:
        """Turn pictures into ``pixel_values``, each before its parts, and ``num_crops``, how many parts each has.

        Arguments as the base's.
        """
        plan = self.plan(overrides)
        made, counts = [], []
        for image in self.arrays(images, plan, input_data_format):
            parts = self.pan_and_scan(image, plan) if plan.do_pan_and_scan else []
            made += [self.transform(one, plan) for one in (image, *parts)]
            counts.append(len(parts))
        features = {"pixel_values": self.formatted(made, data_format), "num_crops": counts}
        return BatchFeature(features, tensor_type=return_tensors)

    def pan_and_scan(self, image: np.ndarray, plan: SimpleNamespace) -> list[np.ndarray]:
        """Return the parts of a picture (channels, height, width) along its longer side, or none."""
        least, most = plan.pan_and_scan_min_crop_size, plan.pan_and_scan_max_num_crops
        if least is None or most is None or plan.pan_and_scan_min_ratio_to_activate is None:
            raise EnfoldError(
                "do_pan_and_scan=True needs pan_and_scan_min_crop_size, pan_and_scan_max_num_crops and "
                "pan_and_scan_min_ratio_to_activate"
            )
        axis = -1 if image.shape[-1] >= image.shape[-2] else -2
        long, short = image.shape[axis], min(image.shape[-2:])
        if long / short < plan.pan_and_scan_min_ratio_to_activate:
            return []
        parts = min(most, max(2, min(long // least, math.floor(long / short + 0.5))))
        side = math.ceil(long / parts)
        if min(side, short) < least:
            return []
        return np.split(image, range(side, long, side), axis=axis)
