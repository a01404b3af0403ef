"""Mean intersection over union of segmented images."""

from __future__ import annotations

from typing import Any

from enfold.evaluate.counting import Counting
from enfold.evaluate.errors import EvaluationError
from enfold.evaluate.info import MetricInfo
from enfold.evaluate.module import Metric

__all__ = ["MeanIou"]


class MeanIou(Counting, Metric):
    """How far predicted and true segments overlap: intersection over union, mean over classes.

    Predictions and references are maps of class numbers, of shape (height, width), which may differ between images.

    Options of ``compute``:
        num_labels: the number of classes.
        ignore_index: the class number in the references that is not counted.
        nan_to_num: what stands for the score of a class that does not occur; nan by default.
        label_map: {class number in the references: number to take for it}.
        reduce_labels: in the references 0 is background: it is not counted, and the others count from 0.

    ``compute`` gives ``mean_iou``, ``mean_accuracy``, ``overall_accuracy``, ``per_category_iou`` and
    ``per_category_accuracy`` (arrays over classes).

    Source: M. Everingham et al., "The PASCAL visual object classes challenge", 2015; conventions of mmsegmentation.

    Example:
        >>> said, right = [[[0, 1], [1, 1]]], [[[0, 1], [0, 1]]]
        >>> scores = MeanIou().compute(predictions=said, references=right, num_labels=2, ignore_index=255)
        >>> float(scores["overall_accuracy"])
        0.75
    """

    def _info(self) -> MetricInfo:
        return MetricInfo(
            description="Intersection over union of predicted and true segments, mean over classes.",
            citation="",
            features={"predictions": [["uint16"]], "references": [["uint16"]]},
            inputs_description="num_labels, ignore_index, nan_to_num, label_map, reduce_labels=False.",
        )

    def _count(
        self,
        *,
        predictions: list[Any],
        references: list[Any],
        num_labels: int | None = None,
        ignore_index: int | None = None,
        label_map: dict[int, int] | None = None,
        reduce_labels: bool = False,
    ) -> Any:
        """Return the pixels of each class in both, in the predictions and in the references: of shape (3, classes)."""
        import numpy as np

        if num_labels is None:
            raise EvaluationError("mean_iou needs num_labels=…, the number of classes")
        both, predicted, actual = np.zeros((3, num_labels))
        for place, (said, right) in enumerate(zip(predictions, references, strict=True)):
            said, right = np.asarray(said), np.array(right)
            if said.shape != right.shape:
                raise EvaluationError(f"image {place}: predictions {said.shape} and references {right.shape} differ")
            mapped = right.copy()
            for old, new in (label_map or {}).items():
                mapped[right == old] = new
            right = mapped
            if reduce_labels:
                right = np.where(right == 0, 255, right - 1)
                right[right == 254] = 255
            counted = right != ignore_index if ignore_index is not None else np.ones(right.shape, bool)
            said, right = said[counted], right[counted]
            for counts, values in ((both, said[said == right]), (predicted, said), (actual, right)):
                counts += np.bincount(values[(values >= 0) & (values < num_labels)], minlength=num_labels)
        return np.stack([both, predicted, actual])

    def _score(self, counts: Any, *, nan_to_num: float | None = None) -> dict[str, Any]:
        import numpy as np

        both, predicted, actual = counts
        with np.errstate(divide="ignore", invalid="ignore"):
            iou, accuracy = both / (predicted + actual - both), both / actual
            overall = both.sum() / actual.sum()
        result = {
            "mean_iou": np.nanmean(iou) if not np.isnan(iou).all() else np.float64("nan"),
            "mean_accuracy": np.nanmean(accuracy) if not np.isnan(accuracy).all() else np.float64("nan"),
            "overall_accuracy": overall,
            "per_category_iou": iou,
            "per_category_accuracy": accuracy,
        }
        if nan_to_num is not None:
            return {name: np.nan_to_num(value, nan=nan_to_num) for name, value in result.items()}
        return result
