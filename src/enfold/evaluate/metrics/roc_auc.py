"""The area under the receiver operating characteristic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from enfold.evaluate.arrays import table, weights_of
from enfold.evaluate.errors import EvaluationError
from enfold.evaluate.info import MetricInfo
from enfold.evaluate.module import Metric

__all__ = ["RocAuc"]


class RocAuc(Metric):
    """The chance that a positive example has a higher score than a negative one.

    By default the references are 0 or 1 and the scores numbers. The configuration ``multiclass`` takes class numbers
    and a probability for each class, ``multilabel`` 0/1 rows and a score for each label.

    Options of ``compute``:
        average: ``"macro"`` (the default), ``"micro"``, ``"weighted"``, ``"samples"``, or None for an array.
        sample_weight: a weight for each example.
        max_fpr: take only the part of the curve up to this share of false positives.
        multi_class: ``"ovr"`` (each class against the rest) or ``"ovo"`` (pairs); needed with several classes.
        labels: the classes of the columns, where not all of them occur.

    Source: T. Fawcett, "An introduction to ROC analysis", 2006; D. Hand and R. Till, 2001 (ovo).

    Example:
        >>> RocAuc().compute(prediction_scores=[0.1, 0.4, 0.35, 0.8], references=[0, 0, 1, 1])
        {'roc_auc': 0.75}
    """

    _takes_arrays = True

    def _info(self) -> MetricInfo:
        kinds: dict[str, tuple[Any, Any]] = {"multiclass": (["float"], "int32"), "multilabel": (["float"], ["int32"])}
        scores, truth = kinds.get(self.config_name, ("float", "int32"))
        return MetricInfo(
            description="The chance that a positive example has a higher score than a negative one.",
            citation="",
            features={"prediction_scores": scores, "references": truth},
            inputs_description="average='macro', sample_weight, max_fpr, multi_class='raise', labels.",
        )

    def _compute(
        self,
        *,
        prediction_scores: Any,
        references: Any,
        average: str | None = "macro",
        sample_weight: Sequence[float] | None = None,
        max_fpr: float | None = None,
        multi_class: str = "raise",
        labels: Sequence[int] | None = None,
    ) -> dict[str, Any]:
        import numpy as np

        from enfold.evaluate import ranking

        scores, truth = table(prediction_scores, "prediction_scores"), table(references, "references")
        weights = weights_of(sample_weight, len(truth))
        if truth.ndim == 2:
            if scores.shape != truth.shape:
                raise EvaluationError(f"prediction_scores have the shape {scores.shape}, references {truth.shape}")
            return {"roc_auc": ranking.area_of_labels(truth, scores, average, weights, max_fpr)}
        if scores.ndim == 2:
            return {"roc_auc": ranking.area_of_classes(truth, scores, multi_class, average, weights, labels)}
        classes = np.unique(truth)
        if len(classes) > 2:
            raise EvaluationError(
                f"the references have {len(classes)} classes: load the configuration 'multiclass', which takes "
                "a probability for each class"
            )
        return {
            "roc_auc": ranking.area(truth == classes[-1] if len(classes) == 2 else truth > 0, scores, weights, max_fpr)
        }
