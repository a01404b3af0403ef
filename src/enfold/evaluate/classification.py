"""Precision, recall and F1 from the counts of each label; conventions as in scikit-learn, which the ecosystem calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from enfold.evaluate.errors import EvaluationError
from enfold.evaluate.info import MetricInfo
from enfold.evaluate.module import Metric
from enfold.log import get_logger

__all__ = ["Counts", "LabelMetric", "confusion", "counts", "score"]

AVERAGES = ("binary", "micro", "macro", "weighted", "samples", None)

logger = get_logger(__name__)


class Counts:
    """True positives, predicted and actual positives, each an array over labels (or over rows for ``samples``)."""

    def __init__(self, hits: Any, predicted: Any, actual: Any, weights: Any) -> None:
        self.hits, self.predicted, self.actual = hits, predicted, actual
        self.weights = weights  # of the rows, for the mean over rows


class LabelMetric(Metric):
    """The base of precision, recall and F1, which differ in what they divide.

    The configuration ``multilabel`` takes 0/1 rows, one entry for each label.

    Options of ``compute``:
        labels: the labels to count, in order; by default all that occur.
        pos_label: the positive class of ``average="binary"``, 1 by default.
        average: binary (the default), micro, macro, weighted, samples, or None for an array over labels.
        sample_weight: a weight for each example.
        zero_division: the score where the denominator is 0: 0, 1, nan, or "warn" for 0 and a line in the log.
    """

    _takes_arrays = True

    def _info(self) -> MetricInfo:
        one: Any = ["int32"] if self.config_name == "multilabel" else "int32"
        return MetricInfo(
            description=(type(self).__doc__ or "").split("\n")[0],
            citation="",
            features={"predictions": one, "references": one},
            inputs_description="labels, pos_label=1, average='binary', sample_weight, zero_division='warn'.",
        )

    def _fraction(self, found: Counts) -> tuple[Any, Any]:
        """Return what is divided by what."""
        raise EvaluationError(f"{type(self).__name__} does not say what it divides")

    def _compute(
        self,
        *,
        predictions: Any,
        references: Any,
        labels: Sequence[int] | None = None,
        pos_label: int = 1,
        average: str | None = "binary",
        sample_weight: Sequence[float] | None = None,
        zero_division: float | str = "warn",
    ) -> dict[str, Any]:
        found = counts(
            predictions,
            references,
            labels=labels,
            pos_label=pos_label,
            average=average,
            sample_weight=sample_weight,
        )
        return {self.name: score(*self._fraction(found), found, average, zero_division, self.name)}


def counts(
    predictions: Any,
    references: Any,
    *,
    labels: Sequence[int] | None,
    pos_label: int,
    average: str | None,
    sample_weight: Sequence[float] | None,
) -> Counts:
    """Count hits by label.

    Args:
        predictions: integers of shape (rows,), or 0/1 of shape (rows, labels) where several labels may hold at once.
        references: the same for what is right.
        labels: the labels to count, in order; all that occur by default.
        pos_label: the one label to count with ``average="binary"``.
        average: one of binary, micro, macro, weighted, samples, None.
        sample_weight: a weight for each row.

    Returns:
        Counts as float64 arrays.

    Raises:
        EvaluationError: the averaging does not fit the targets, or a label does not occur.
    """
    import numpy as np

    if average not in AVERAGES:
        raise EvaluationError(f"average is one of {', '.join(map(str, AVERAGES))}, not {average!r}")
    weights = None if sample_weight is None else np.asarray(sample_weight, np.float64)
    if weights is not None and weights.shape != (len(references),):
        raise EvaluationError(f"sample_weight has {weights.size} entries for {len(references)} examples")
    if _is_indicator(predictions) or _is_indicator(references):
        hits, predicted, actual = _indicator(predictions, references, labels, average)
        if average == "samples":
            return Counts(hits.sum(1), predicted.sum(1), actual.sum(1), weights)
        row = np.ones(len(references)) if weights is None else weights
        return Counts(row @ hits, row @ predicted, row @ actual, None)
    if average == "samples":
        raise EvaluationError("average='samples' is for several labels per example: load the configuration multilabel")

    present, numbers = _numbered(np.concatenate([references, predictions]))
    right, said = numbers[: len(references)], numbers[len(references) :]
    if average == "binary":
        chosen = _positive(present, pos_label)
    else:
        chosen = present if labels is None else np.asarray(labels)
    agree = right == said
    size = len(present)
    hits = np.bincount(right[agree], None if weights is None else weights[agree], size)
    predicted = np.bincount(said, weights, size)
    actual = np.bincount(right, weights, size)
    # a label that was asked for but never occurs has no hits and no rows
    place = np.searchsorted(present, chosen)
    known = present[np.minimum(place, size - 1)] == chosen
    place = np.minimum(place, size - 1)
    hits, predicted, actual = (np.where(known, array[place], 0.0) for array in (hits, predicted, actual))
    return Counts(hits, predicted, actual, None)


def confusion(predictions: Any, references: Any, labels: Sequence[int] | None, weights: Any) -> tuple[Any, Any]:
    """Count how often each true class was predicted as each class.

    Args:
        predictions: integers of shape (rows,).
        references: the same for what is right.
        labels: the classes, in order; by default all that occur, sorted. Rows with another class are left out.
        weights: float64 of shape (rows,), or None.

    Returns:
        The classes, and an array of shape (classes, classes), true classes down: int64, or float64 with weights.
    """
    import numpy as np

    present, numbers = _numbered(np.concatenate([references, predictions]))
    right, said = numbers[: len(references)], numbers[len(references) :]
    size = len(present)
    if labels is not None:
        chosen = np.asarray(labels)
        size = len(chosen)
        order = np.argsort(chosen, kind="stable")
        place = np.minimum(np.searchsorted(chosen[order], present), size - 1)
        row = np.where(chosen[order][place] == present, order[place], -1)
        right, said = row[right], row[said]
        inside = (right >= 0) & (said >= 0)
        right, said, weights = right[inside], said[inside], None if weights is None else weights[inside]
        present = chosen
    found = np.bincount(right * size + said, weights, size * size).reshape(size, size)
    return present, found


def score(
    numerator: Any, denominator: Any, found: Counts, average: str | None, zero_division: float | str, name: str
) -> Any:
    """Divide the counts and average them.

    Args:
        numerator: an array over labels.
        denominator: the same; where it is 0 the score is ``zero_division``.
        found: the counts, for the weights of labels and rows.
        average: as for `counts`.
        zero_division: 0, 1, nan, or ``"warn"``, which is 0 with a line in the log.
        name: the score's name, for that line.

    Returns:
        A float, or with ``average=None`` a float64 array over labels.
    """
    import numpy as np

    if isinstance(zero_division, str) and zero_division != "warn":
        raise EvaluationError(f"zero_division is 0, 1, nan or 'warn', not {zero_division!r}")
    if average == "micro":
        numerator, denominator = numerator.sum(keepdims=True), denominator.sum(keepdims=True)
    empty = denominator == 0
    if empty.any() and zero_division == "warn":
        logger.warning("%s has no defined value where nothing is counted; it is taken as 0 (zero_division)", name)
    filler = 0.0 if zero_division == "warn" else float(zero_division)
    values = np.full(len(numerator), filler)
    np.divide(numerator, denominator, out=values, where=~empty)
    if average is None:
        return values
    if average in ("binary", "micro"):
        return float(values[0])
    weights = {"weighted": found.actual, "samples": found.weights}.get(average)
    defined = ~np.isnan(values)
    if not defined.any():
        return float("nan")
    if weights is None or not weights[defined].sum():
        return float(values[defined].mean())
    return float(np.average(values[defined], weights=weights[defined]))


def _numbered(values: Any) -> tuple[Any, Any]:
    """Return the sorted distinct values, and each value's place among them."""
    import numpy as np

    low = int(values.min())
    span = int(values.max()) - low + 1
    if span > 2 * len(values) + 1024:
        return np.unique(values, return_inverse=True)
    # labels lie close together as a rule: counting them is faster than sorting
    occurs = np.bincount(values - low, minlength=span) > 0
    return np.flatnonzero(occurs) + low, (np.cumsum(occurs) - 1)[values - low]


def _is_indicator(values: Any) -> bool:
    return isinstance(values, list) or values.ndim == 2


def _indicator(predictions: Any, references: Any, labels: Sequence[int] | None, average: str | None) -> tuple:
    import numpy as np

    if isinstance(predictions, list) or isinstance(references, list):
        try:
            predictions, references = np.stack(list(predictions)), np.stack(list(references))
        except ValueError:
            raise EvaluationError("every example must have the same number of labels, each 0 or 1") from None
    if predictions.shape != references.shape:
        raise EvaluationError(f"predictions have the shape {predictions.shape}, references {references.shape}")
    if average == "binary":
        raise EvaluationError(
            "average='binary' is for one label per example; with several choose micro, macro, weighted, samples or None"
        )
    for values in (predictions, references):
        if not np.isin(values, (0, 1)).all():
            raise EvaluationError("with several labels per example every entry is 0 or 1")
    if labels is not None:
        predictions, references = predictions[:, labels], references[:, labels]
    both = (predictions & references).astype(np.float64)
    return both, predictions.astype(np.float64), references.astype(np.float64)


def _positive(present: Any, pos_label: int) -> Any:
    import numpy as np

    if len(present) > 2:
        raise EvaluationError(
            f"average='binary' is for two classes, but there are {len(present)}; "
            "choose average='micro', 'macro', 'weighted' or None"
        )
    if len(present) == 2 and pos_label not in present:
        raise EvaluationError(f"pos_label={pos_label!r} does not occur; it is one of {present.tolist()}")
    return np.asarray([pos_label])
