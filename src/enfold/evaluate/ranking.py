"""The area under the receiver operating characteristic, from ranks; conventions as in scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from enfold.evaluate.errors import EvaluationError

__all__ = ["area", "area_of_classes", "area_of_labels"]


def area(positive: Any, scores: Any, weights: Any = None, max_fpr: float | None = None) -> float:
    """Return the area under the curve of true over false positives.

    Args:
        positive: bool of shape (rows,).
        scores: float64 of shape (rows,), higher for what is more likely positive.
        weights: float64 of shape (rows,), or None.
        max_fpr: take only the part of the curve up to this share of false positives, and scale it so that chance
            gives 0.5 (D. McClish, "Analyzing a portion of the ROC curve", 1989).

    Returns:
        A float; nan when all rows are of one class.
    """
    import numpy as np

    order = np.argsort(-scores, kind="stable")
    positive, scores = positive[order], scores[order]
    size = np.ones(len(scores)) if weights is None else weights[order]
    last = np.append(np.flatnonzero(np.diff(scores)), len(scores) - 1)  # of each run of equal scores
    hits = np.append(0.0, np.cumsum(size * positive)[last])
    alarms = np.append(0.0, np.cumsum(size * ~positive)[last])
    if hits[-1] <= 0 or alarms[-1] <= 0:
        return float("nan")
    hits, alarms = hits / hits[-1], alarms / alarms[-1]
    if max_fpr is None or max_fpr == 1:
        return _under(alarms, hits)
    if not 0 < max_fpr <= 1:
        raise EvaluationError(f"max_fpr is above 0 and at most 1, not {max_fpr}")
    stop = int(np.searchsorted(alarms, max_fpr, "right"))
    edge = np.interp(max_fpr, alarms[stop - 1 : stop + 1], hits[stop - 1 : stop + 1])
    part = _under(np.append(alarms[:stop], max_fpr), np.append(hits[:stop], edge))
    chance = 0.5 * max_fpr**2
    return 0.5 * (1 + (part - chance) / (max_fpr - chance))


def _under(across: Any, up: Any) -> float:
    return float(((across[1:] - across[:-1]) * (up[1:] + up[:-1])).sum() / 2)


def area_of_labels(truth: Any, scores: Any, average: str | None, weights: Any, max_fpr: float | None) -> Any:
    """Average the areas of several labels.

    Args:
        truth: 0/1 of shape (rows, labels).
        scores: float64 of shape (rows, labels).
        average: ``"macro"``, ``"micro"``, ``"weighted"`` (by true labels), ``"samples"``, or None for an array.
        weights: float64 of shape (rows,), or None.
        max_fpr: as for `area`.
    """
    import numpy as np

    if average not in ("macro", "micro", "weighted", "samples", None):
        raise EvaluationError(f"average is 'macro', 'micro', 'weighted', 'samples' or None, not {average!r}")
    truth = truth.astype(bool)
    if average == "micro":
        repeated = None if weights is None else np.repeat(weights, truth.shape[1])
        return area(truth.ravel(), scores.ravel(), repeated, max_fpr)
    if average == "samples":
        each = np.array([area(a, b, None, max_fpr) for a, b in zip(truth, scores, strict=True)])
        return float(np.average(each, weights=weights))
    each = np.array([area(a, b, weights, max_fpr) for a, b in zip(truth.T, scores.T, strict=True)])
    if average is None:
        return each
    if average == "macro":
        return float(each.mean())
    share = truth.sum(0) if weights is None else weights @ truth
    return float(np.average(each, weights=share)) if share.sum() else 0.0


def area_of_classes(
    references: Any,
    scores: Any,
    multi_class: str,
    average: str | None,
    weights: Any,
    labels: Sequence[int] | None,
) -> Any:
    """Average the areas of several classes.

    Args:
        references: class numbers of shape (rows,).
        scores: probabilities of shape (rows, classes).
        multi_class: ``"ovr"``, each class against the rest, or ``"ovo"``, each pair of classes.
        average: ``"macro"``, ``"weighted"``; with ovr also ``"micro"`` or None for an array.
        weights: float64 of shape (rows,), or None (ovr only).
        labels: the classes of the columns; by default those that occur, sorted.
    """
    import numpy as np

    if multi_class not in ("ovr", "ovo"):
        raise EvaluationError(f"multi_class is 'ovr' or 'ovo' where there are several classes, not {multi_class!r}")
    allowed = ("macro", "weighted", "micro", None) if multi_class == "ovr" else ("macro", "weighted")
    if average not in allowed:
        raise EvaluationError(f"average is one of {', '.join(map(str, allowed))} with {multi_class}, not {average!r}")
    classes = np.unique(references) if labels is None else np.asarray(labels)
    if scores.shape != (len(references), len(classes)):
        raise EvaluationError(
            f"prediction_scores have {scores.shape[1]} columns for {len(classes)} classes; "
            "labels=… names the classes of the columns"
        )
    if not np.isin(references, classes).all():
        raise EvaluationError(f"references hold classes other than labels={classes.tolist()}")
    if not np.allclose(scores.sum(1), 1):
        raise EvaluationError("the probabilities of each example must sum up to 1")
    if multi_class == "ovr":
        return area_of_labels(references[:, None] == classes, scores, average, weights, None)
    if weights is not None:
        raise EvaluationError("sample_weight is not defined with multi_class='ovo'")
    values, shares = [], []
    for a in range(len(classes)):
        for b in range(a + 1, len(classes)):
            of_a, of_b = references == classes[a], references == classes[b]
            either = of_a | of_b
            one = area(of_a[either], scores[either, a]), area(of_b[either], scores[either, b])
            values.append(sum(one) / 2)
            shares.append(either.mean())
    return float(np.average(values, weights=shares if average == "weighted" else None))
