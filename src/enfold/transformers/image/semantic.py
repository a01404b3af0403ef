"""Image processors of models with a number a pixel: SegFormer's and DPT's, which read maps of classes too."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np

from enfold.errors import EnfoldError
from enfold.transformers.image import transforms
from enfold.transformers.image.base import IMAGENET_MEAN, IMAGENET_STD, BaseImageProcessor, flat
from enfold.transformers.image.segments import checked_sizes, semantic_maps
from enfold.transformers.processing.features import BatchFeature

__all__ = ["DPTImageProcessor", "SegformerImageProcessor"]


class _Dense(BaseImageProcessor):
    """What both share: maps of classes beside pictures, and what becomes of logits."""

    RENAMED: ClassVar[dict[str, str]] = {"reduce_labels": "do_reduce_labels"}

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
        """Turn pictures into ``pixel_values``, and maps of classes into ``labels``.

        Args:
            images: as the base's.
            segmentation_maps: a class a pixel (height, width), one, many, or a batch of them.
            return_tensors: "pt", "np", "tf" or "jax"; lists of arrays by default.
            data_format: "channels_first" or "channels_last", of what is returned.
            input_data_format: of what is given.
            overrides: settings for this call.
        """
        plan = self.plan(overrides)
        made = [self.transform(image, plan) for image in self.arrays(images, plan, input_data_format)]
        features: dict[str, Any] = {"pixel_values": self.formatted(made, data_format)}
        if segmentation_maps is not None:
            given = segmentation_maps
            if getattr(given, "ndim", 0) == 3 and given.shape[0] != 1:
                given = list(given)
            features["labels"] = [self.label(transforms.to_array(one), plan) for one in flat(given)]
        return BatchFeature(features, tensor_type=return_tensors)

    def label(self, classes: np.ndarray, plan: SimpleNamespace) -> np.ndarray:
        """Return a map of classes (height, width), reduced and resized."""
        if classes.ndim == 3 and classes.shape[0] == 1:
            classes = classes[0]
        if classes.ndim != 2:
            raise EnfoldError(f"a map of classes is (height, width), not {classes.shape}")
        if plan.do_reduce_labels:  # 0 was the background, which is no class: every class moves down by one
            classes = np.where((classes == 0) | (classes == 255), 255, classes.astype(np.int64) - 1)
        if plan.do_resize:
            nearest = SimpleNamespace(**{**vars(plan), "resample": self.label_filter(plan)})
            classes = self.resized(classes[None].astype(np.uint8), nearest)[0]
        return classes.astype(np.int64)

    def label_filter(self, plan: SimpleNamespace) -> int:
        """Return how maps of classes are resized: by the nearest pixel."""
        return transforms.NEAREST

    def post_process_semantic_segmentation(self, outputs: Any, target_sizes: Any = None) -> list[Any]:
        """Return a map of classes (height, width) for each image.

        Args:
            outputs: with ``logits`` (B, C, h, w).
            target_sizes: (height, width) of each image; the logits' own by default.
        """
        return semantic_maps(outputs.logits, target_sizes)


class SegformerImageProcessor(_Dense):
    """SegFormer's: a square of 512 pixels.

    Args:
        settings: as the base's, and ``do_reduce_labels``: class 0 becomes 255, every other moves down by one.
    """

    DEFAULTS: ClassVar[dict[str, Any]] = {
        "size": {"height": 512, "width": 512},
        "image_mean": IMAGENET_MEAN,
        "image_std": IMAGENET_STD,
        "do_reduce_labels": False,
    }


class DPTImageProcessor(_Dense):
    """DPT's: about 384 pixels a side, of the picture's own proportions and multiples of a number where asked for.

    Args:
        settings: as the base's, ``keep_aspect_ratio``, ``ensure_multiple_of``, ``do_reduce_labels``, and ``do_pad``
            with ``size_divisor``: pixels all around until the sides are multiples of it.
    """

    DEFAULTS: ClassVar[dict[str, Any]] = {
        "size": {"height": 384, "width": 384},
        "resample": transforms.BICUBIC,
        "keep_aspect_ratio": False,
        "ensure_multiple_of": 1,
        "do_pad": False,
        "size_divisor": None,
        "do_reduce_labels": False,
    }

    def label_filter(self, plan: SimpleNamespace) -> int:
        """Return how maps of classes are resized: as the pictures, which is how DPT was published."""
        return plan.resample

    def resized(self, image: np.ndarray, plan: SimpleNamespace) -> np.ndarray:
        """Return a picture of ``plan.size``, or of its own proportions near it."""
        if "height" not in plan.size:
            raise EnfoldError(f"size has height and width here, not {', '.join(plan.size)}")
        sides = image.shape[-2:]
        scales = [plan.size["height"] / sides[0], plan.size["width"] / sides[1]]
        if plan.keep_aspect_ratio:  # scale as little as possible
            scales = [scales[1] if abs(1 - scales[1]) < abs(1 - scales[0]) else scales[0]] * 2
        unit = plan.ensure_multiple_of
        high, wide = (
            max(round(scale * side / unit) * unit, unit if scale * side > 0 else 0)
            for scale, side in zip(scales, sides, strict=True)
        )
        return transforms.resize(image, (high, wide), plan.resample)

    def transform(self, image: np.ndarray, plan: SimpleNamespace) -> np.ndarray:
        """Return a picture after all steps, padded all around where the settings say so."""
        image = super().transform(image, plan)
        if not plan.do_pad or not plan.size_divisor:
            return image
        around = [(0, 0)]
        for side in image.shape[-2:]:
            missing = math.ceil(side / plan.size_divisor) * plan.size_divisor - side
            around.append((missing // 2, missing - missing // 2))
        return np.pad(image, around)

    def post_process_depth_estimation(self, outputs: Any, target_sizes: Any = None) -> list[dict[str, Any]]:
        """Return ``{"predicted_depth"}`` (height, width) for each image.

        Args:
            outputs: with ``predicted_depth`` (B, h, w).
            target_sizes: (height, width) of each image; the depth's own by default.
        """
        import torch.nn.functional as F

        depths = outputs.predicted_depth
        sizes: Any = checked_sizes(target_sizes, len(depths)) or [None] * len(depths)
        return [
            {
                "predicted_depth": depth
                if size is None
                else F.interpolate(depth[None, None], size=size, mode="bicubic", align_corners=False).squeeze()
            }
            for depth, size in zip(depths, sizes, strict=True)
        ]
