"""F1: precision and recall in one number."""

from __future__ import annotations

from typing import Any

from enfold.evaluate.classification import Counts, LabelMetric

__all__ = ["F1"]


class F1(LabelMetric):
    """The harmonic mean of precision and recall: 2 tp / (2 tp + fp + fn).

    Options of ``compute``: ``labels``, ``pos_label=1``, ``average="binary"``, ``sample_weight``,
    ``zero_division="warn"``; see `LabelMetric`.

    Example:
        >>> F1().compute(predictions=[0, 1, 1], references=[0, 1, 0])
        {'f1': 0.6666666666666666}
    """

    def _fraction(self, found: Counts) -> tuple[Any, Any]:
        return 2 * found.hits, found.predicted + found.actual
