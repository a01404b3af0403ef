"""DETR's image processor: pictures of one batch padded to one size, COCO's annotations, boxes and segments."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np

from enfold.errors import EnfoldError
from enfold.transformers.image import transforms
from enfold.transformers.image.base import IMAGENET_MEAN, IMAGENET_STD, BaseImageProcessor, largest, pixel_masks
from enfold.transformers.image.coco import FORMATS, read_annotation
from enfold.transformers.image.segments import found_objects, run_lengths, segments_of, semantic_maps
from enfold.transformers.processing.features import BatchFeature

__all__ = ["DetrImageProcessor"]


class DetrImageProcessor(BaseImageProcessor):
    """DETR's: the shortest side 800 pixels, the longest at most 1333.

    Args:
        settings: as the base's, ``do_pad`` and ``pad_size``, ``format`` of annotations ("coco_detection" or
            "coco_panoptic"), and ``do_convert_annotations``: boxes become centre, width and height between 0 and 1.
    """

    model_input_names = ["pixel_values", "pixel_mask"]
    square = False
    do_convert_annotations: bool | None
    DEFAULTS: ClassVar[dict[str, Any]] = {
        "format": "coco_detection",
        "size": {"shortest_edge": 800, "longest_edge": 1333},
        "image_mean": IMAGENET_MEAN,
        "image_std": IMAGENET_STD,
        "do_convert_annotations": None,
        "do_pad": True,
        "pad_size": None,
    }
    RENAMED: ClassVar[dict[str, str]] = {"pad_and_return_pixel_mask": "do_pad"}
    SIZES: ClassVar[dict[str, bool]] = {"pad_size": True}

    def __init__(self, **settings: Any) -> None:
        size, longest = settings.get("size"), settings.pop("max_size", None)
        if isinstance(size, int):  # of old: a number, and a limit beside it
            settings["size"] = transforms.size_dict(size, False, longest or 1333)
        super().__init__(**settings)
        if self.do_convert_annotations is None:
            self.do_convert_annotations = self.do_normalize

    def __call__(self, images: Any, annotations: Any = None, masks_path: Any = None, **kwargs: Any) -> BatchFeature:
        """Do ``preprocess``."""
        return self.preprocess(images, annotations, masks_path=masks_path, **kwargs)

    def preprocess(  # type: ignore[override]
        self,
        images: Any,
        annotations: Mapping[str, Any] | list[Mapping[str, Any]] | None = None,
        return_segmentation_masks: bool | None = None,
        masks_path: Any = None,
        return_tensors: Any = None,
        data_format: str = "channels_first",
        input_data_format: str | None = None,
        **overrides: Any,
    ) -> BatchFeature:
        """Turn pictures into ``pixel_values`` and ``pixel_mask``, and annotations into ``labels``.

        Args:
            images: as the base's.
            annotations: one an image: ``{"image_id", "annotations"}`` of COCO's detection, or ``{"image_id" or "id",
                "file_name", "segments_info"}`` of its panoptic segmentation.
            return_segmentation_masks: masks beside boxes; the panoptic format has them by default.
            masks_path: folder of the panoptic format's pictures.
            return_tensors: "pt", "np", "tf" or "jax"; lists of arrays by default.
            data_format: "channels_first" or "channels_last", of what is returned.
            input_data_format: of what is given.
            overrides: settings for this call.

        Raises:
            EnfoldError: annotations of another form, or not one an image.
        """
        plan = self.plan(overrides)
        form = str(getattr(plan.format, "value", plan.format))
        arrays = self.arrays(images, plan, input_data_format)
        labels: list[dict[str, Any]] | None = None
        if annotations is not None:
            given = [annotations] if isinstance(annotations, Mapping) else list(annotations)
            if len(given) != len(arrays):
                raise EnfoldError(f"there are {len(arrays)} images and {len(given)} annotations")
            labels = [
                read_annotation(form, one, image.shape[-2:], return_segmentation_masks, masks_path)
                for one, image in zip(given, arrays, strict=True)
            ]
        elif form not in FORMATS:
            raise EnfoldError(f"format is one of {', '.join(FORMATS)}, not {form!r}")
        made = []
        for place, image in enumerate(arrays):
            changed = self.resized(image, plan) if plan.do_resize else image
            if labels is not None and plan.do_resize:
                labels[place] = resized_label(labels[place], image.shape[-2:], changed.shape[-2:])
            made.append(self.scaled(changed, plan))
        if labels is not None and plan.do_convert_annotations:
            labels = [relative_boxes(label, image.shape[-2:]) for label, image in zip(labels, made, strict=True)]
        features: dict[str, Any] = {}
        if plan.do_pad:
            size = largest(made) if plan.pad_size is None else (plan.pad_size["height"], plan.pad_size["width"])
            features["pixel_mask"] = pixel_masks(made, size)
            if labels is not None:
                labels = [
                    padded_label(label, image.shape[-2:], size, plan.do_convert_annotations)
                    for label, image in zip(labels, made, strict=True)
                ]
            made = [transforms.pad(image, size) for image in made]
        features = {"pixel_values": self.formatted(made, data_format), **features}
        batch = BatchFeature(features, tensor_type=return_tensors)
        if labels is not None:
            batch["labels"] = [BatchFeature(label, tensor_type=return_tensors) for label in labels]
        return batch

    def plan(self, overrides: dict[str, Any]) -> SimpleNamespace:
        """Return the settings of a call; ``max_size`` of old is the longest side."""
        longest = overrides.pop("max_size", None)
        if isinstance(overrides.get("size"), int):
            overrides["size"] = transforms.size_dict(overrides["size"], False, longest or 1333)
        return super().plan(overrides)

    # --- what becomes of outputs

    def post_process_object_detection(
        self, outputs: Any, threshold: float = 0.5, target_sizes: Any = None
    ) -> list[dict[str, Any]]:
        """Return ``scores``, ``labels`` and ``boxes`` of each image.

        Args:
            outputs: with ``logits`` (B, Q, C + 1) and ``pred_boxes`` (B, Q, 4).
            threshold: the score to pass.
            target_sizes: (height, width) of each image, for boxes in pixels.
        """
        scores, labels = outputs.logits.softmax(-1)[..., :-1].max(-1)
        return found_objects(scores, labels, outputs.pred_boxes, threshold, target_sizes)

    def post_process_semantic_segmentation(self, outputs: Any, target_sizes: Any = None) -> list[Any]:
        """Return a map of classes (height, width) for each image."""
        import torch

        classes, masks = outputs.logits.softmax(-1)[..., :-1], outputs.pred_masks.sigmoid()
        return semantic_maps(torch.einsum("bqc,bqhw->bchw", classes, masks), target_sizes)

    def post_process_instance_segmentation(
        self,
        outputs: Any,
        threshold: float = 0.5,
        mask_threshold: float = 0.5,
        overlap_mask_area_threshold: float = 0.8,
        target_sizes: Any = None,
        return_coco_annotation: bool = False,
    ) -> list[dict[str, Any]]:
        """Return ``segmentation`` and ``segments_info`` of each image; see ``segments.segments_of``."""
        found = segments_of(
            outputs.logits,
            outputs.pred_masks,
            threshold=threshold,
            mask_threshold=mask_threshold,
            overlap=overlap_mask_area_threshold,
            sizes=target_sizes,
        )
        if return_coco_annotation:
            for one in found:
                if one["segments_info"]:
                    one["segmentation"] = run_lengths(one["segmentation"])
        return found

    def post_process_panoptic_segmentation(
        self,
        outputs: Any,
        threshold: float = 0.5,
        mask_threshold: float = 0.5,
        overlap_mask_area_threshold: float = 0.8,
        label_ids_to_fuse: Collection[int] | None = None,
        target_sizes: Any = None,
    ) -> list[dict[str, Any]]:
        """Return ``segmentation`` and ``segments_info`` of each image; segments of ``label_ids_to_fuse`` become one."""
        return segments_of(
            outputs.logits,
            outputs.pred_masks,
            threshold=threshold,
            mask_threshold=mask_threshold,
            overlap=overlap_mask_area_threshold,
            fused=label_ids_to_fuse or (),
            sizes=target_sizes,
        )


def resized_label(label: dict[str, Any], given: tuple[int, ...], size: tuple[int, ...]) -> dict[str, Any]:
    """Return annotations of a picture that was resized from one (height, width) to another."""
    down, across = size[0] / given[0], size[1] / given[1]
    changed = {**label, "size": np.asarray(size, dtype=np.int64)}
    if "boxes" in label:
        changed["boxes"] = label["boxes"] * np.asarray([across, down, across, down], dtype=np.float32)
    if "area" in label:
        changed["area"] = label["area"] * (across * down)
    if "masks" in label:
        resized = [
            transforms.resize(mask[None].astype(np.uint8), (size[0], size[1]), transforms.NEAREST)[0] > 0.5
            for mask in label["masks"]
        ]
        changed["masks"] = np.array(resized).reshape(-1, *size)
    return changed


def relative_boxes(label: dict[str, Any], size: tuple[int, ...]) -> dict[str, Any]:
    """Return annotations with boxes as centre, width and height between 0 and 1 of a picture (height, width)."""
    if "boxes" not in label:
        return label
    scale = np.asarray([size[1], size[0], size[1], size[0]], dtype=np.float32)
    return {**label, "boxes": transforms.corners_to_center(label["boxes"]) / scale}


def padded_label(
    label: dict[str, Any], given: tuple[int, ...], size: tuple[int, int], relative: bool
) -> dict[str, Any]:
    """Return annotations of a picture that was padded from one (height, width) to another."""
    changed = {**label, "size": np.asarray(size, dtype=np.int64)}
    if "masks" in label:
        changed["masks"] = transforms.pad(label["masks"], size)
    if "boxes" in label and relative:
        down, across = given[0] / size[0], given[1] / size[1]
        changed["boxes"] = (label["boxes"] * np.asarray([across, down, across, down])).astype(label["boxes"].dtype)
    return changed
