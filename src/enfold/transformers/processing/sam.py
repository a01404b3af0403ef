"""SAM's processor: pictures with points, labels and boxes on them."""

from __future__ import annotations

from typing import Any

import numpy as np

from enfold.errors import EnfoldError
from enfold.transformers.image.sam import scaled_points
from enfold.transformers.processing.features import BatchFeature
from enfold.transformers.processing.processor import ProcessorMixin

__all__ = ["SamProcessor"]


class SamProcessor(ProcessorMixin):
    """Prepares pictures, and moves points and boxes to where they are on the pictures that the model sees.

    Args:
        image_processor: a ``SamImageProcessor``.
    """

    attributes = ["image_processor"]
    image_processor_class = "SamImageProcessor"

    def __init__(self, image_processor: Any, **kwargs: Any) -> None:
        super().__init__(image_processor, **kwargs)
        self.target_size = image_processor.size["longest_edge"]

    @property
    def model_input_names(self) -> list[str]:
        """What the results hold."""
        return [*self.image_processor.model_input_names, "original_sizes", "reshaped_input_sizes"]

    def __call__(
        self,
        images: Any = None,
        segmentation_maps: Any = None,
        input_points: Any = None,
        input_labels: Any = None,
        input_boxes: Any = None,
        return_tensors: Any = None,
        point_pad_value: int = -10,
        **kwargs: Any,
    ) -> BatchFeature:
        """Return the pictures' features with ``input_points``, ``input_labels`` and ``input_boxes``.

        Args:
            images: as the image processor takes them.
            segmentation_maps: a class a pixel.
            input_points: x and y in pixels of each picture: [picture][point][2], or [picture][prompt][point][2].
            input_labels: 1 for the object, 0 for the background: [picture][point] or [picture][prompt][point].
            input_boxes: left, top, right, bottom: [picture][box][4].
            return_tensors: "pt", "np" …
            point_pad_value: label of the points that fill up pictures with fewer.
            kwargs: settings of the image processor.

        Raises:
            EnfoldError: points or boxes that are nested another way.
        """
        batch = self.image_processor(images, segmentation_maps, return_tensors=return_tensors, **kwargs)
        sizes = batch["original_sizes"]
        sizes = [tuple(map(int, size)) for size in (sizes.tolist() if hasattr(sizes, "tolist") else sizes)]
        extra: dict[str, np.ndarray] = {}
        if input_points is not None:
            points = self._placed(_nested(input_points, 3, "input_points"), sizes)
            labels = (
                None if input_labels is None else [np.array(one) for one in _nested(input_labels, 2, "input_labels")]
            )
            most = max(len(one) for one in points)
            if labels is not None and any(len(one) != most for one in points):
                labels = [_filled(one, most, point_pad_value) for one in labels]
                points = [_filled(one, most, point_pad_value) for one in points]
            stacked = np.array(points)
            extra["input_points"] = stacked if stacked.ndim == 4 else stacked[:, None]
            input_labels = labels
        if input_labels is not None:
            stacked = np.array(_nested(input_labels, 2, "input_labels"))
            extra["input_labels"] = stacked if stacked.ndim == 3 else stacked[:, None]
        if input_boxes is not None:
            boxes = [np.array(one, dtype=np.float32) for one in _nested(input_boxes, 3, "input_boxes")]
            corners = self._placed([one.reshape(-1, 2, 2) for one in boxes], sizes)
            extra["input_boxes"] = np.array([one.reshape(-1, 4) for one in corners])
        batch.update(BatchFeature(extra, tensor_type=return_tensors))
        return batch

    def _placed(self, rows: list[Any], sizes: list[tuple[int, ...]]) -> list[np.ndarray]:
        """Return points of each picture on what the model sees; those of one picture may come in several rows."""
        own = sizes if len(rows) == len(sizes) else [sizes[0]] * len(rows)
        return [
            scaled_points(np.array(row), (size[0], size[1]), self.target_size)
            for row, size in zip(rows, own, strict=True)
        ]

    def post_process_masks(self, *args: Any, **kwargs: Any) -> Any:
        """Do the image processor's ``post_process_masks``."""
        return self.image_processor.post_process_masks(*args, **kwargs)


def _nested(value: Any, depth: int, name: str) -> list[Any]:
    """Return nested lists, of at least ``depth`` levels."""
    rows = value.tolist() if hasattr(value, "tolist") else value
    level, seen = rows, 0
    while isinstance(level, list | tuple | np.ndarray) and len(level):
        level, seen = level[0], seen + 1
    if seen < depth:
        raise EnfoldError(f"{name} are nested {depth} levels deep, pictures first; these are {seen}")
    return list(rows)


def _filled(rows: np.ndarray, length: int, value: int) -> np.ndarray:
    """Return rows with further ones of a value up to a length."""
    missing = np.full((length - len(rows), *rows.shape[1:]), value, dtype=rows.dtype)
    return np.concatenate([rows, missing])
