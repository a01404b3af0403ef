"""How many texts of a data set stand there more than once."""

from __future__ import annotations

from collections import Counter
from typing import Any

from enfold.evaluate.counting import Counting
from enfold.evaluate.info import MeasurementInfo
from enfold.evaluate.module import Measurement

__all__ = ["TextDuplicates"]


class TextDuplicates(Counting, Measurement):
    """The share of texts that repeat an earlier one, white space at both ends aside.

    Options of ``compute``:
        list_duplicates: also give ``duplicates_dict``, how often each repeated text stands there.

    Example:
        >>> TextDuplicates().compute(data=["hello sun", "hello moon", "hello sun"], list_duplicates=True)
        {'duplicate_fraction': 0.33333333333333337, 'duplicates_dict': {'hello sun': 2}}
    """

    def _info(self) -> MeasurementInfo:
        return MeasurementInfo(
            description="The share of texts that repeat an earlier one.",
            citation="",
            features={"data": "string"},
            inputs_description="list_duplicates=False.",
        )

    _counts_early = True

    def _count(self, *, data: list[str]) -> dict[str, int]:
        return dict(Counter(data))

    def _score(self, counts: dict[str, int], *, list_duplicates: bool = False) -> dict[str, Any]:
        distinct = len({text.strip() for text in counts})
        result: dict[str, Any] = {"duplicate_fraction": 1 - distinct / sum(counts.values())}
        if list_duplicates:
            result["duplicates_dict"] = {text: count for text, count in counts.items() if count > 1}
        return result
