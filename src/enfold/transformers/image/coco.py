"""COCO's annotations: boxes, polygons and panoptic pictures, as arrays.

Source: https://cocodataset.org/#format-data.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import PIL.Image

from enfold.errors import EnfoldError, nearest
from enfold.transformers.image.transforms import ids_of_colours

__all__ = ["FORMATS", "polygon_mask", "read_annotation"]

# format → the keys that its annotations have
FORMATS: dict[str, tuple[str, ...]] = {
    "coco_detection": ("image_id", "annotations"),
    "coco_panoptic": ("image_id", "segments_info", "file_name"),
}


def read_annotation(
    form: str, given: Mapping[str, Any], size: Sequence[int], masks: bool | None, folder: Any
) -> dict[str, np.ndarray]:
    """Return the annotations of one image as arrays by name.

    Args:
        form: one of ``FORMATS``.
        given: the annotations.
        size: height and width of the image.
        masks: whether masks are wanted; None: as the format has them.
        folder: where the panoptic format's pictures are.

    Raises:
        EnfoldError: for another format, or missing keys.
    """
    if form not in FORMATS:
        raise EnfoldError(f"format is one of {', '.join(FORMATS)}, not {form!r}{nearest(form, FORMATS)}")
    missing = [key for key in FORMATS[form] if key not in given and not (key == "image_id" and "id" in given)]
    if missing:
        raise EnfoldError(
            f"annotations of {form} have {', '.join(FORMATS[form])}; these lack {', '.join(missing)} and have "
            f"{', '.join(map(str, given))}"
        )
    if form == "coco_panoptic":
        return _panoptic(given, size, True if masks is None else masks, folder)
    return _detection(given, size, bool(masks))


def _detection(given: Mapping[str, Any], size: Sequence[int], masks: bool) -> dict[str, np.ndarray]:
    height, width = size
    objects = [one for one in given["annotations"] if not one.get("iscrowd")]
    boxes = np.asarray([one["bbox"] for one in objects], dtype=np.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]  # left, top, width, height → left, top, right, bottom
    boxes[:, 0::2] = boxes[:, 0::2].clip(0, width)
    boxes[:, 1::2] = boxes[:, 1::2].clip(0, height)
    kept = (boxes[:, 3] > boxes[:, 1]) & (boxes[:, 2] > boxes[:, 0])
    found: dict[str, np.ndarray] = {
        "image_id": np.asarray([given.get("image_id", given.get("id"))], dtype=np.int64),
        "class_labels": np.asarray([one["category_id"] for one in objects], dtype=np.int64)[kept],
        "boxes": boxes[kept],
        "area": np.asarray([one["area"] for one in objects], dtype=np.float32)[kept],
        "iscrowd": np.asarray([one.get("iscrowd", 0) for one in objects], dtype=np.int64)[kept],
        "orig_size": np.asarray(size, dtype=np.int64),
    }
    if objects and "keypoints" in objects[0]:
        points = np.asarray([one["keypoints"] for one in objects], dtype=np.float32)[kept]
        found["keypoints"] = points.reshape(-1, 3) if len(points) else points
    if masks:
        drawn = [_mask(one["segmentation"], height, width) for one in objects]
        found["masks"] = np.asarray(drawn, dtype=bool).reshape(-1, height, width)[kept]
    return found


def _panoptic(given: Mapping[str, Any], size: Sequence[int], masks: bool, folder: Any) -> dict[str, np.ndarray]:
    if not isinstance(folder, str | os.PathLike):
        raise EnfoldError(f"masks_path is the folder of the panoptic pictures, not {type(folder).__name__}")
    segments = given["segments_info"]
    with PIL.Image.open(os.path.join(folder, given["file_name"])) as picture:
        numbers = ids_of_colours(np.asarray(picture))
    drawn = (numbers == np.array([one["id"] for one in segments]).reshape(-1, 1, 1)).astype(np.uint8)
    found: dict[str, np.ndarray] = {
        "image_id": np.asarray([given.get("image_id", given.get("id"))], dtype=np.int64),
        "size": np.asarray(size, dtype=np.int64),
        "orig_size": np.asarray(size, dtype=np.int64),
        "boxes": _hulls(drawn),
        "class_labels": np.array([one["category_id"] for one in segments], dtype=np.int64),
        "iscrowd": np.asarray([one["iscrowd"] for one in segments], dtype=np.int64),
        "area": np.asarray([one["area"] for one in segments], dtype=np.float32),
    }
    return {**found, "masks": drawn} if masks else found


def _hulls(masks: np.ndarray) -> np.ndarray:
    """Return left, top, right and bottom of the pixels of each mask (N, height, width)."""
    boxes = np.zeros((len(masks), 4), dtype=np.float32)
    for box, mask in zip(boxes, masks, strict=True):
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        # a mask without pixels has a box that no picture holds
        box[:] = (columns[0], rows[0], columns[-1], rows[-1]) if len(rows) else (1e8, 1e8, 0, 0)
    return boxes


def _mask(segmentation: Any, height: int, width: int) -> np.ndarray:
    """Return the mask (height, width) of polygons or of uncompressed runs."""
    if isinstance(segmentation, Mapping):
        counts = segmentation["counts"]
        if isinstance(counts, str | bytes):
            raise EnfoldError("compressed runs are not read; decode them to a list of counts")
        runs = np.repeat(np.arange(len(counts)) % 2, counts)
        return runs.reshape(width, height).T.astype(bool)
    return np.any([polygon_mask(polygon, height, width) for polygon in segmentation] or [np.zeros((height, width))], 0)


def polygon_mask(polygon: Sequence[float], height: int, width: int) -> np.ndarray:
    """Return the pixels (height, width) inside a polygon, as COCO's own tools draw them.

    Args:
        polygon: x and y of each corner, one after the other.
        height, width: of the mask.

    Source: rleFrPoly in https://github.com/cocodataset/cocoapi/blob/master/common/maskApi.c: edges are drawn five times
    larger; where an edge passes from column to column, the inside begins or ends, column by column.

    Example:
        >>> polygon_mask([1, 1, 3, 1, 3, 3, 1, 3], 4, 4).astype(int).tolist()
        [[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]]
    """
    scale = 5
    corners = (scale * np.asarray(polygon, dtype=np.float64).reshape(-1, 2) + 0.5).astype(np.int64)
    points = []
    for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        long = int(np.abs(end - start).argmax() if abs(end[0] - start[0]) != abs(end[1] - start[1]) else 0)
        flipped = start[long] > end[long]
        low, high = (end, start) if flipped else (start, end)
        steps = np.arange(int(high[long] - low[long]) + 1)
        slope = (high[1 - long] - low[1 - long]) / max(len(steps) - 1, 1)
        line = np.empty((len(steps), 2), dtype=np.int64)
        line[:, long] = low[long] + steps
        line[:, 1 - long] = (low[1 - long] + slope * steps + 0.5).astype(np.int64)
        points.append(line[::-1] if flipped else line)
    x, y = np.concatenate(points).T
    moved = np.flatnonzero(x[1:] != x[:-1]) + 1
    column = (np.where(x[moved] < x[moved - 1], x[moved], x[moved] - 1) + 0.5) / scale - 0.5
    row = np.ceil(((np.minimum(y[moved], y[moved - 1]) + 0.5) / scale - 0.5).clip(0, height)).astype(np.int64)
    kept = (np.floor(column) == column) & (column >= 0) & (column <= width - 1)
    edges = np.bincount(column[kept].astype(np.int64) * height + row[kept], minlength=height * width + 1)
    return (np.cumsum(edges[: height * width]) % 2).reshape(width, height).T.astype(bool)
