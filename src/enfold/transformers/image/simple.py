"""The image processors whose steps are the shared ones: they differ in settings alone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np

from enfold.errors import EnfoldError
from enfold.transformers.image import transforms
from enfold.transformers.image.base import CLIP_MEAN, CLIP_STD, BaseImageProcessor

__all__ = [
    "BitImageProcessor",
    "BlipImageProcessor",
    "CLIPImageProcessor",
    "ConvNextImageProcessor",
    "DeiTImageProcessor",
    "SiglipImageProcessor",
    "ViTImageProcessor",
]


class ViTImageProcessor(BaseImageProcessor):
    """ViT's: resized to a square, pixels between -1 and 1.

    Example:
        >>> ViTImageProcessor()(np.zeros((40, 30, 3), np.uint8), return_tensors="np").pixel_values.shape
        (1, 3, 224, 224)
    """

    DEFAULTS: ClassVar[dict[str, Any]] = {"size": {"height": 224, "width": 224}}


class SiglipImageProcessor(BaseImageProcessor):
    """SigLIP's: as ViT's, bicubic, always RGB."""

    DEFAULTS: ClassVar[dict[str, Any]] = {
        "size": {"height": 224, "width": 224},
        "resample": transforms.BICUBIC,
        "do_convert_rgb": True,
    }


class BlipImageProcessor(BaseImageProcessor):
    """BLIP's: a square of 384 pixels, bicubic, normalised as CLIP's."""

    DEFAULTS: ClassVar[dict[str, Any]] = {
        "size": {"height": 384, "width": 384},
        "resample": transforms.BICUBIC,
        "do_convert_rgb": True,
        "image_mean": CLIP_MEAN,
        "image_std": CLIP_STD,
    }


class DeiTImageProcessor(BaseImageProcessor):
    """DeiT's: resized to a square, of which the middle is kept."""

    DEFAULTS: ClassVar[dict[str, Any]] = {
        "size": {"height": 256, "width": 256},
        "resample": transforms.BICUBIC,
        "do_center_crop": True,
        "crop_size": {"height": 224, "width": 224},
    }


class CLIPImageProcessor(BaseImageProcessor):
    """CLIP's: the shortest side resized, of which the middle square is kept."""

    square = False
    DEFAULTS: ClassVar[dict[str, Any]] = {
        "size": {"shortest_edge": 224},
        "resample": transforms.BICUBIC,
        "do_center_crop": True,
        "crop_size": {"height": 224, "width": 224},
        "do_convert_rgb": True,
        "image_mean": CLIP_MEAN,
        "image_std": CLIP_STD,
    }

    def __init__(self, use_square_size: bool = False, **settings: Any) -> None:
        if use_square_size:
            side = transforms.size_dict(settings.get("size") or {"shortest_edge": 224}, False)["shortest_edge"]
            settings["size"] = {"height": side, "width": side}
        super().__init__(**settings)


class BitImageProcessor(CLIPImageProcessor):
    """BiT's, which DINOv2 uses: as CLIP's."""


class ConvNextImageProcessor(BaseImageProcessor):
    """ConvNeXt's, which ResNet uses: small sizes are the middle of a larger image, others the whole image.

    Args:
        settings: as the base's, and ``crop_pct``, the part of a side that is kept below 384 pixels.
    """

    square = False
    DEFAULTS: ClassVar[dict[str, Any]] = {
        "size": {"shortest_edge": 384},
        "crop_pct": 224 / 256,
        "resample": transforms.BILINEAR,
    }

    def resized(self, image: np.ndarray, plan: SimpleNamespace) -> np.ndarray:
        """Return a square picture of ``plan.size["shortest_edge"]`` pixels."""
        if "shortest_edge" not in plan.size:
            raise EnfoldError(f"size has shortest_edge here, not {', '.join(plan.size)}")
        side = plan.size["shortest_edge"]
        if side >= 384:
            return transforms.resize(image, (side, side), plan.resample)
        height, width = image.shape[-2:]
        larger = transforms.target_size((height, width), {"shortest_edge": int(side / plan.crop_pct)})
        return transforms.center_crop(transforms.resize(image, larger, plan.resample), (side, side))
