"""Precision: how much of what was found is right."""

from __future__ import annotations

from typing import Any

from enfold.evaluate.classification import Counts, LabelMetric

__all__ = ["Precision"]


class Precision(LabelMetric):
    """The share of the examples predicted as positive that are: tp / (tp + fp).

    Options of ``compute``: ``labels``, ``pos_label=1``, ``average="binary"``, ``sample_weight``,
    ``zero_division="warn"``; see `LabelMetric`.

    Example:
        >>> Precision().compute(predictions=[0, 1, 1], references=[0, 1, 0])
        {'precision': 0.5}
    """

    def _fraction(self, found: Counts) -> tuple[Any, Any]:
        return found.hits, found.predicted
