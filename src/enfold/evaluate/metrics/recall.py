"""Recall: how much of what there is was found."""

from __future__ import annotations

from typing import Any

from enfold.evaluate.classification import Counts, LabelMetric

__all__ = ["Recall"]


class Recall(LabelMetric):
    """The share of the positive examples that were predicted as such: tp / (tp + fn).

    Options of ``compute``: ``labels``, ``pos_label=1``, ``average="binary"``, ``sample_weight``,
    ``zero_division="warn"``; see `LabelMetric`.

    Example:
        >>> Recall().compute(predictions=[0, 1, 1], references=[0, 1, 0])
        {'recall': 1.0}
    """

    def _fraction(self, found: Counts) -> tuple[Any, Any]:
        return found.hits, found.actual
