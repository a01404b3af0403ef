"""Streams under the module of their name, with the sources that programs make streams of by hand."""

from __future__ import annotations

from typing import Any

from .streaming.columns import IterableColumn
from .streaming.combining import concatenate_streams as _concatenate_iterable_datasets
from .streaming.combining import interleave_streams as _interleave_iterable_datasets
from .streaming.dataset import IterableDataset
from .streaming.keyed import ArrowExamplesIterable, ExamplesIterable

__all__ = [
    "ArrowExamplesIterable",
    "ExamplesIterable",
    "IterableColumn",
    "IterableDataset",
    "_concatenate_iterable_datasets",
    "_interleave_iterable_datasets",
]


def __getattr__(name: str) -> Any:
    from enfold import datasets

    return getattr(datasets, name)
