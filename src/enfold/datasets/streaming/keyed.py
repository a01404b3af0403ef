"""Sources of streams from functions that yield keys with their rows, as builders have them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from .shards import Source, generator_shards

__all__ = ["ArrowExamplesIterable", "ExamplesIterable"]


class ExamplesIterable(Source):
    """The rows of a function that yields ``(key, row)``.

    Args:
        generate_examples_fn: the function; a row is a dict.
        kwargs: its keyword arguments. The items of the lists among them are the stream's shards.
        generate_more_kwargs_fn: accepted for compatibility.

    Raises:
        ValueError: lists of different lengths.

    Example:
        >>> from enfold.datasets import IterableDataset
        >>> def rows(start):
        ...     yield "first", {"a": start}
        ...     yield "second", {"a": start + 1}
        >>> list(IterableDataset(ExamplesIterable(rows, {"start": 3})))
        [{'a': 3}, {'a': 4}]
    """

    def __init__(
        self,
        generate_examples_fn: Callable[..., Any],
        kwargs: Mapping[str, Any],
        generate_more_kwargs_fn: Callable[..., Any] | None = None,
    ) -> None:
        super().__init__(generator_shards(_WithoutKeys(generate_examples_fn), kwargs))


class ArrowExamplesIterable(ExamplesIterable):
    """The rows of a function that yields ``(key, table)``; the arguments are those of :class:`ExamplesIterable`."""

    def __init__(
        self,
        generate_tables_fn: Callable[..., Any],
        kwargs: Mapping[str, Any],
        generate_more_kwargs_fn: Callable[..., Any] | None = None,
    ) -> None:
        super().__init__(generate_tables_fn, kwargs)


class _WithoutKeys:
    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, **arguments: Any) -> Iterator[Any]:
        for _, rows in self.function(**arguments):
            yield rows
