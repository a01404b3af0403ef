"""XNLI: accuracy of natural language inference in many languages."""

from __future__ import annotations

from typing import ClassVar

from enfold.evaluate.tasks import ACCURACY, TaskMetric

__all__ = ["Xnli"]


class Xnli(TaskMetric):
    """The share of sentence pairs whose relation was predicted: the same in every language.

    Source: A. Conneau et al., "XNLI: evaluating cross-lingual sentence representations", 2018.

    Example:
        >>> Xnli().compute(predictions=[0, 1], references=[0, 2])
        {'accuracy': 0.5}
    """

    tasks: ClassVar = {"default": ACCURACY}
