"""Exact match of texts."""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from typing import Any

from enfold.evaluate.counting import Counting
from enfold.evaluate.errors import EvaluationError
from enfold.evaluate.info import MetricInfo
from enfold.evaluate.module import Metric

__all__ = ["ExactMatch"]


class ExactMatch(Counting, Metric):
    """The share of predictions that equal their reference, letter by letter.

    Options of ``compute``:
        regexes_to_ignore: patterns that are removed from both sides first, in order.
        ignore_case: compare in lower case.
        ignore_punctuation: remove ASCII punctuation.
        ignore_numbers: remove the digits 0 to 9.

    Example:
        >>> float(ExactMatch().compute(predictions=["the cat", "a"], references=["The cat", "a"])["exact_match"])
        0.5
    """

    def _info(self) -> MetricInfo:
        return MetricInfo(
            description="The share of predictions that equal their reference.",
            citation="",
            features={"predictions": "string", "references": "string"},
            inputs_description="regexes_to_ignore, ignore_case, ignore_punctuation, ignore_numbers.",
        )

    def _count(
        self,
        *,
        predictions: list[str],
        references: list[str],
        regexes_to_ignore: Sequence[str] | None = None,
        ignore_case: bool = False,
        ignore_punctuation: bool = False,
        ignore_numbers: bool = False,
    ) -> dict[str, int]:
        if isinstance(regexes_to_ignore, str):
            raise EvaluationError("regexes_to_ignore is a list of patterns, not one text")
        patterns = [re.compile(pattern) for pattern in regexes_to_ignore or ()]
        dropped = string.punctuation * ignore_punctuation + string.digits * ignore_numbers
        table = str.maketrans("", "", dropped)

        def compared(text: str) -> str:
            for pattern in patterns:
                text = pattern.sub("", text)
            return (text.lower() if ignore_case else text).translate(table)

        same = [compared(a) == compared(b) for a, b in zip(predictions, references, strict=True)]
        return {"same": sum(same), "all": len(same)}

    def _score(self, counts: dict[str, int]) -> dict[str, Any]:
        import numpy as np

        return {"exact_match": np.float64(counts["same"] / counts["all"])}
