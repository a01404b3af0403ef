"""Streams made by hand of functions that yield keys and rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from enfold.datasets import DatasetInfo, Features, IterableDataset, Value
from enfold.datasets.iterable_dataset import ArrowExamplesIterable, ExamplesIterable


def rows(starts: list[int], step: int = 1) -> Iterator[tuple[str, dict[str, int]]]:
    for start in starts:
        for number in range(start, start + 3 * step, step):
            yield f"key {number}", {"a": number}


def tables(starts: list[int]) -> Iterator[tuple[int, pa.Table]]:
    for start in starts:
        yield start, pa.table({"a": [start, start + 1]})


def test_rows_with_keys_are_a_stream_whose_shards_are_the_items_of_lists() -> None:
    stream = IterableDataset(ExamplesIterable(rows, {"starts": [0, 100], "step": 2}))
    assert stream.num_shards == 2
    assert [row["a"] for row in stream] == [0, 2, 4, 100, 102, 104]
    taken = stream.map(lambda row: {"b": row["a"] + 1}).skip(4)
    assert list(taken) == [{"a": 102, "b": 103}, {"a": 104, "b": 105}]
    iterator = iter(stream)
    next(iterator)
    again: Any = IterableDataset(ExamplesIterable(rows, {"starts": [0, 100], "step": 2}))
    again.load_state_dict(stream.state_dict())
    assert [row["a"] for row in again] == [2, 4, 100, 102, 104]


def test_tables_with_keys_are_a_stream() -> None:
    stream = IterableDataset(ArrowExamplesIterable(tables, {"starts": [0, 10]}))
    assert [batch["a"].to_pylist() for batch in stream.with_format("arrow").iter(3)] == [[0, 1, 10], [11]]


def test_features_say_what_becomes_of_the_rows() -> None:
    def gaps(count: int) -> Iterator[tuple[int, dict[str, int]]]:
        for number in range(count):
            yield number, {"ab"[number % 2]: number}

    features = Features({"a": Value("int64"), "b": Value("string")})
    stream = IterableDataset(ExamplesIterable(gaps, {"count": 2}), DatasetInfo(features=features))
    assert list(stream) == [{"a": 0, "b": None}, {"a": None, "b": "1"}]


def test_runs_of_one_value_are_whole_whatever_the_size_of_a_batch() -> None:
    stream = IterableDataset.from_dict({"a": [1, 1, 1, 2]}, num_shards=2)
    assert list(stream.batch(batch_size=2, by_column="a")) == [{"a": [1, 1, 1]}, {"a": [2]}]
