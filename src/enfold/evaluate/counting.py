"""Modules whose inputs can be counted part by part: by several processes, or while they come in.

Such a module is made of two functions. `_count` turns inputs into counts that add up: over parts of the inputs, their
sum is the count of the whole. `_score` turns counts into the score. Processes that evaluate together then exchange
counts, not inputs, and inputs that were counted need not be kept.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, ClassVar

from enfold.evaluate.errors import EvaluationError
from enfold.evaluate.module import EvaluationModule, _seeded

__all__ = ["Counting", "added", "taken"]

WAITING = 1 << 20  # examples that are kept before they are counted


def added(first: Any, second: Any) -> Any:
    """Add two counts: numbers and arrays as they do, lists behind each other, dictionaries key by key.

    Example:
        >>> added({"hits": 2, "rows": [1]}, {"hits": 1, "rows": [0], "misses": 1})
        {'hits': 3, 'rows': [1, 0], 'misses': 1}
    """
    if isinstance(first, dict):
        joined = dict(first)
        for key, value in second.items():
            joined[key] = added(joined[key], value) if key in joined else value
        return joined
    return first + second


class Counting(EvaluationModule):
    """The base of modules that count: ``class Accuracy(Counting, Metric)``.

    A subclass defines ``_count``, which gets the inputs and the options that change what is counted, and ``_score``,
    which gets the counts and the options that change what is made of them; an option may go to both. Counts are
    numbers, numpy arrays, lists and dictionaries of these (see `added`).
    """

    _takes_arrays = True
    #: whether inputs that were added are counted, and forgotten, once there are a million of them
    _counts_early: ClassVar[bool] = False

    _count: Callable[..., Any]
    _score: Callable[..., Any]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._counted: Any = None
        self._counted_rows = 0
        self._early = self._counts_early and not self.keep_in_memory

    def _adds_up(self, **options: Any) -> bool:
        """Return whether the counts of parts add up with these options; if not, processes exchange their inputs."""
        return True

    def _needs_inputs(self, **options: Any) -> list[str]:
        """Return the options that need all inputs at once: by default those that change what is counted."""
        parameters = _options(self._count)
        return [name for name, value in options.items() if name in parameters and value is not parameters[name].default]

    def _option_names(self) -> set[str]:
        parameters = [*_options(self._count).values(), *_options(self._score).values()]
        names = {item.name for item in parameters if item.kind is item.KEYWORD_ONLY}
        return names - set(self._feature_names())

    def _compute(self, **given: Any) -> Any:
        return self._scored(self._counts(given), given)

    def _counts(self, given: dict[str, Any]) -> Any:
        return self._count(**taken(self._count, given))

    def _scored(self, counts: Any, options: dict[str, Any]) -> Any:
        return self._score(counts, **taken(self._score, options))

    def _added(self) -> None:
        if self._early and len(self) - self._counted_rows >= WAITING:
            self._count_waiting({})

    def _count_waiting(self, options: dict[str, Any]) -> None:
        """Count what was added since the last time, and forget it."""
        if not self._columns:
            return
        counts = self._counts({**options, **self._joined_columns()})
        self._counted = counts if self._counted is None else added(self._counted, counts)
        self._counted_rows = len(self)
        self._columns = {}

    def _check_options(self, options: dict[str, Any]) -> None:
        late = self._needs_inputs(**options) if self._counted is not None else []
        if late:
            raise EvaluationError(
                f"{self.name}: {', '.join(late)} cannot be used any more: more than {WAITING} examples were added, and "
                "they were counted without it. Nothing is lost: compute without it, or load the module with "
                "keep_in_memory=True next time"
            )

    def _forget(self) -> None:
        super()._forget()
        self._counted, self._counted_rows = None, 0

    def _result(self, options: dict[str, Any]) -> Any:
        alone = self._gathering is None
        if not self._adds_up(**options) or (alone and self._counted is None):
            return super()._result(options)
        self._count_waiting(options)
        counts = self._counted
        if self._gathering is not None:
            everyone = self._gathering.exchange(counts)
            if everyone is None:
                return None
            counts = None
            for part in everyone:
                if part is not None:
                    counts = part if counts is None else added(counts, part)
        if counts is None:
            raise self._nothing()
        with _seeded(self.seed):
            return self._scored(counts, options)


def _options(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    return dict(inspect.signature(function).parameters)


def taken(function: Callable[..., Any], given: dict[str, Any]) -> dict[str, Any]:
    """Return what a function takes of the given arguments; one with ``**`` takes all."""
    names = _options(function)
    if any(item.kind is item.VAR_KEYWORD for item in names.values()):
        return given
    return {name: value for name, value in given.items() if name in names}
