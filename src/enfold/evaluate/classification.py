"""Precision, recall and F1 from the counts of each label; conventions as in scikit-learn, which the ecosystem calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from enfold.evaluate.arrays import weights_of
from enfold.evaluate.counting import Counting
from enfold.evaluate.errors import EvaluationError
from enfold.evaluate.info import MetricInfo
from enfold.evaluate.module import Metric
from enfold.log import get_logger

__all__ = ["Counts", "LabelMetric", "Table", "Tally", "accuracy_and_f1", "matrix", "selected", "table_of", "tally"]

AVERAGES = ("binary", "micro", "macro", "weighted", "samples", None)

logger = get_logger(__name__)

#: label → [hits, predicted, actual]
Tally = dict[Any, Any]
#: true class → predicted class → how often
Table = dict[Any, dict[Any, Any]]


class Counts:
    """True positives, predicted and actual positives, each an array over labels (or over rows for ``samples``)."""

    def __init__(self, counts: Any, weights: Any = None) -> None:
        self.hits, self.predicted, self.actual = counts.T
        self.weights = weights  # of the rows, for the mean over rows


class LabelMetric(Counting, Metric):
    """The base of precision, recall and F1, which differ in what they divide.

    The configuration ``multilabel`` takes 0/1 rows, one entry for each label.

    Options of ``compute``:
        labels: the labels to count, in order; by default all that occur.
        pos_label: the positive class of ``average="binary"``, 1 by default.
        average: binary (the default), micro, macro, weighted, samples, or None for an array over labels.
        sample_weight: a weight for each example.
        zero_division: the score where the denominator is 0: 0, 1, nan, or "warn" for 0 and a line in the log.
    """

    _counts_early = True

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

    def _needs_inputs(self, **options: Any) -> list[str]:
        # labels and averages are chosen among counts; only these two look at single examples
        rows = ["average"] if options.get("average") == "samples" else []
        return rows if options.get("sample_weight") is None else [*rows, "sample_weight"]

    def _count(
        self,
        *,
        predictions: Any,
        references: Any,
        labels: Sequence[int] | None = None,
        average: str | None = None,
        sample_weight: Sequence[float] | None = None,
    ) -> dict[str, Any]:
        """Return the counts of ``labels`` (a tally), of ``columns`` (several labels per example), or of ``rows``."""
        import numpy as np

        if average not in AVERAGES:
            raise EvaluationError(f"average is one of {', '.join(map(str, AVERAGES))}, not {average!r}")
        weights = weights_of(sample_weight, len(references))
        if not (_is_indicator(predictions) or _is_indicator(references)):
            if average == "samples":
                raise EvaluationError(
                    "average='samples' is for several labels per example: load the configuration multilabel"
                )
            return {"labels": tally(predictions, references, weights)}
        cells = _indicator(predictions, references)
        if average == "samples":
            chosen = cells if labels is None else cells[:, :, labels]
            size = np.ones(len(references)) if weights is None else weights
            return {"rows": np.column_stack([*chosen.sum(2), size]).tolist()}
        return {"columns": (cells.sum(1) if weights is None else weights @ cells).T}

    def _score(
        self,
        counts: dict[str, Any],
        *,
        labels: Sequence[int] | None = None,
        pos_label: int = 1,
        average: str | None = "binary",
        zero_division: float | str = "warn",
    ) -> dict[str, Any]:
        import numpy as np

        if average not in AVERAGES:
            raise EvaluationError(f"average is one of {', '.join(map(str, AVERAGES))}, not {average!r}")
        if "rows" in counts:
            rows = np.asarray(counts["rows"])
            found = Counts(rows[:, :3], rows[:, 3])
        elif "columns" in counts:
            if average == "binary":
                raise EvaluationError(
                    "average='binary' is for one label per example; "
                    "with several choose micro, macro, weighted, samples or None"
                )
            found = Counts(counts["columns"] if labels is None else counts["columns"][labels])
        else:
            found = selected(counts["labels"], labels, pos_label, average)
        return {self.name: score(*self._fraction(found), found, average, zero_division, self.name)}


def tally(predictions: Any, references: Any, weights: Any = None) -> Tally:
    """Count hits by label.

    Args:
        predictions: integers of shape (rows,).
        references: the same for what is right.
        weights: float64 of shape (rows,), or None.

    Returns:
        For each label that occurs an array of true positives, predicted and actual positives.
    """
    import numpy as np

    present, numbers = _numbered(np.concatenate([references, predictions]))
    right, said = numbers[: len(references)], numbers[len(references) :]
    agree = right == said
    size = len(present)
    hits = np.bincount(right[agree], None if weights is None else weights[agree], size)
    counts = np.stack([hits, np.bincount(said, weights, size), np.bincount(right, weights, size)], axis=1)
    return dict(zip(present.tolist(), counts, strict=True))


def selected(found: Tally, labels: Sequence[int] | None, pos_label: int, average: str | None) -> Counts:
    """Take the counts of some labels.

    Args:
        found: the counts of all labels.
        labels: the labels to take, in order; all that occur by default. One that never occurs counts nothing.
        pos_label: the one label to take with ``average="binary"``.
        average: as for `LabelMetric`.

    Raises:
        EvaluationError: the averaging does not fit the labels, or ``pos_label`` does not occur.
    """
    import numpy as np

    present = sorted(found)
    if average == "binary":
        if len(present) > 2:
            raise EvaluationError(
                f"average='binary' is for two classes, but there are {len(present)}; "
                "choose average='micro', 'macro', 'weighted' or None"
            )
        if len(present) == 2 and pos_label not in found:
            raise EvaluationError(f"pos_label={pos_label!r} does not occur; it is one of {present}")
        chosen: Sequence[int] = [pos_label]
    else:
        chosen = present if labels is None else np.asarray(labels).tolist()
    return Counts(np.array([found.get(label, (0, 0, 0)) for label in chosen], np.float64))


def accuracy_and_f1(found: Tally, average: str = "binary") -> dict[str, float]:
    """Return accuracy, and F1 of class 1 (``"binary"``) or its mean over classes (``"macro"``); 0 where undefined."""
    import numpy as np

    counts = selected(found, None, 1, average)
    both = counts.predicted + counts.actual
    f1 = np.divide(2 * counts.hits, both, out=np.zeros(len(both)), where=both > 0)
    every = sum(found.values(), np.zeros(3))
    return {"accuracy": float(every[0] / every[2]), "f1": float(f1.mean())}


def table_of(predictions: Any, references: Any, weights: Any = None) -> Table:
    """Count how often each true class was predicted as each class.

    Args:
        predictions: integers of shape (rows,).
        references: the same for what is right.
        weights: float64 of shape (rows,), or None.

    Returns:
        True class → predicted class → how often; classes that occur on one side only have a row, perhaps an empty one.
    """
    import numpy as np

    present, numbers = _numbered(np.concatenate([references, predictions]))
    right, said = numbers[: len(references)], numbers[len(references) :]
    size = len(present)
    cells, place = _numbered(right * size + said)
    counts = np.bincount(place, weights)
    found: Table = {label: {} for label in present.tolist()}
    names = present.tolist()
    for cell, count in zip(cells.tolist(), counts.tolist(), strict=True):
        found[names[cell // size]][names[cell % size]] = count
    return found


def matrix(found: Table, labels: Sequence[Any]) -> Any:
    """Return a table as an array of shape (classes, classes), true classes down; other classes are left out.

    Returns:
        int64, or float64 where examples had weights.
    """
    import numpy as np

    weighted = any(isinstance(count, float) for row in found.values() for count in row.values())
    cells = [[found.get(right, {}).get(said, 0) for said in labels] for right in labels]
    return np.array(cells, np.float64 if weighted else np.int64)


def score(
    numerator: Any, denominator: Any, found: Counts, average: str | None, zero_division: float | str, name: str
) -> Any:
    """Divide the counts and average them.

    Args:
        numerator: an array over labels.
        denominator: the same; where it is 0 the score is ``zero_division``.
        found: the counts, for the weights of labels and rows.
        average: as for `LabelMetric`.
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


def _indicator(predictions: Any, references: Any) -> Any:
    """Return hits, predicted and actual labels of every row, of shape (3, rows, labels)."""
    import numpy as np

    if isinstance(predictions, list) or isinstance(references, list):
        try:
            predictions, references = np.stack(list(predictions)), np.stack(list(references))
        except ValueError:
            raise EvaluationError("every example must have the same number of labels, each 0 or 1") from None
    if predictions.shape != references.shape:
        raise EvaluationError(f"predictions have the shape {predictions.shape}, references {references.shape}")
    for values in (predictions, references):
        if not np.isin(values, (0, 1)).all():
            raise EvaluationError("with several labels per example every entry is 0 or 1")
    return np.stack([predictions & references, predictions, references]).astype(np.float64)
