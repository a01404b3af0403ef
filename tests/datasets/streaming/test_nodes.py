"""Streams that were split among machines before something else was done to them."""

from __future__ import annotations

import pytest

from enfold.datasets import Dataset, IterableDataset, concatenate_datasets, interleave_datasets
from enfold.datasets.distributed import split_dataset_by_node


def shards(count: int) -> IterableDataset:
    def rows(numbers: list[int]) -> object:
        for number in numbers:
            yield {"a": number}

    return IterableDataset.from_generator(rows, gen_kwargs={"numbers": list(range(count))})


def values(stream: IterableDataset, column: str = "a") -> list[int]:
    return [row[column] for row in stream]


@pytest.mark.parametrize("strategy", ["auto", "examples"])
def test_streams_that_are_put_together_stay_split(strategy: str) -> None:
    one = IterableDataset.from_dict({"a": list(range(12))}, num_shards=3)
    two = IterableDataset.from_dict({"a": list(range(100, 112))}, num_shards=5)
    beside = two.rename_column("a", "b")
    seen: list[int] = []
    turns: list[int] = []
    for rank in range(3):
        mine = [split_dataset_by_node(part, rank, 3, strategy) for part in (one, two, beside)]
        chained = concatenate_datasets(mine[:2])
        assert values(chained) == values(split_dataset_by_node(concatenate_datasets([one, two]), rank, 3, strategy))
        seen += values(chained)
        wide = concatenate_datasets([mine[0], mine[2]], axis=1)
        whole = concatenate_datasets([one, beside], axis=1)
        assert list(wide) == list(split_dataset_by_node(whole, rank, 3, strategy))
        mixed = interleave_datasets(mine[:2], stopping_strategy="all_exhausted_without_replacement")
        turns += values(mixed)
    assert sorted(turns) == sorted(seen)
    assert sorted(seen) == [*range(12), *range(100, 112)]


def test_streams_that_are_split_otherwise_do_not_go_together() -> None:
    one = shards(4)
    with pytest.raises(ValueError, match="one way"):
        concatenate_datasets([split_dataset_by_node(one, 0, 2), one])


def test_whole_shards_go_to_machines_unevenly_where_asked_for() -> None:
    parts = [split_dataset_by_node(shards(5), rank, 3, "shards") for rank in range(3)]
    assert [values(part) for part in parts] == [[0, 3], [1, 4], [2]]
    assert [part.num_shards for part in parts] == [2, 2, 1]
    with pytest.raises(ValueError, match="2 shards do not suffice for 3"):
        split_dataset_by_node(shards(2), 0, 3, "shards")


def test_a_split_is_split_again_in_its_own_way() -> None:
    one = split_dataset_by_node(shards(16), 1, 2, "examples")
    parts = [split_dataset_by_node(one, rank, 2) for rank in range(2)]
    assert values(parts[0]) == list(range(2, 16, 4)) and values(parts[1]) == list(range(3, 16, 4))
    with pytest.raises(ValueError, match="examples"):
        split_dataset_by_node(one, 0, 2, "shards")


def test_a_datasets_rows_are_cut_into_runs_alone() -> None:
    with pytest.raises(ValueError, match="strategy"):
        split_dataset_by_node(Dataset.from_dict({"a": [1, 2]}), 0, 2, "examples")
