"""Loaders: batches of any size dealt out, passes counted, beginnings left out, loaders inside one another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch.utils.data import BatchSampler, DataLoader, IterableDataset

from enfold.accelerate import (
    BatchSamplerShard,
    DataLoaderDispatcher,
    DataLoaderShard,
    DataLoaderStateMixin,
    SkipDataLoader,
    prepare_data_loader,
    skip_first_batches,
)
from enfold.accelerate.state import GradientState


class Counted(BatchSampler):
    """Batches of two of six, which are told the epoch."""

    def __init__(self) -> None:
        super().__init__(range(6), 2, False)
        self.epochs: list[int] = []

    def set_epoch(self, epoch: int) -> None:
        self.epochs.append(epoch)


class Ready(IterableDataset):  # type: ignore[type-arg]
    """A stream of batches that are ready."""

    def __iter__(self) -> Iterator[torch.Tensor]:
        return iter([torch.zeros(3), torch.ones(2)])


def test_batches_of_any_size_are_dealt_out_evenly() -> None:
    whole: Any = [[0], [1, 2], [3, 4, 5], [6], [7, 8], [9, 10], [11, 12]]
    shards = [list(BatchSamplerShard(whole, 3, index)) for index in range(3)]
    assert shards == [[[0], [6], [11, 12]], [[1, 2], [7, 8], [0]], [[3, 4, 5], [9, 10], [1, 2]]]
    alone: Any = [[0, 1]]
    assert [list(BatchSamplerShard(alone, 3, index)) for index in range(3)] == [[[0, 1]]] * 3
    with pytest.raises(ValueError, match="split_batches needs a batch sampler with a batch_size"):
        BatchSamplerShard(whole, 3, 0, split_batches=True)


def test_batches_that_are_ready_stay_as_they_are() -> None:
    shapes = [tuple(batch.shape) for batch in prepare_data_loader(DataLoader(Ready(), batch_size=None))]
    assert shapes == [(3,), (2,)]


def test_every_pass_tells_the_sampler_its_epoch() -> None:
    sampler = Counted()
    loader = prepare_data_loader(DataLoader(range(6), batch_sampler=sampler))  # type: ignore[arg-type]
    for _ in range(2):
        assert len(list(loader)) == 3
    assert sampler.epochs == [0, 1] and loader.iteration == 2
    next(iter(loader))  # a pass that is left early is not one
    assert sampler.epochs == [0, 1, 2] and loader.iteration == 2
    assert loader.state_dict()["iteration"] == 2
    loader.load_state_dict({"_num_yielded": 0, "iteration": 7})
    assert loader.iteration == 7


@pytest.mark.parametrize("kind", [DataLoaderShard, DataLoaderDispatcher])
def test_a_loader_without_its_beginning_is_in_the_same_epoch(kind: type[DataLoaderShard]) -> None:
    sampler = Counted()
    loader = kind(range(6), batch_sampler=sampler)
    loader.set_epoch(3)
    rest = skip_first_batches(loader, 2)
    assert type(rest) is kind and rest.iteration == 3  # type: ignore[attr-defined]
    assert [batch.tolist() for batch in rest] == [[4, 5]]
    assert sampler.epochs == [3, 3]


def test_first_batches_are_left_out_in_every_pass() -> None:
    loader = SkipDataLoader(list(range(16)), skip_batches=2, batch_size=4)
    for _ in range(2):
        assert [batch.tolist() for batch in loader] == [[8, 9, 10, 11], [12, 13, 14, 15]]
    assert len(loader) == 2 and isinstance(loader.base_dataloader, DataLoader)


def test_loaders_are_read_inside_one_another() -> None:
    state = GradientState()
    outer, inner = DataLoaderShard(range(4), batch_size=2), DataLoaderDispatcher(range(5), batch_size=2)
    assert isinstance(outer, DataLoaderStateMixin) and isinstance(inner, DataLoaderStateMixin)
    for _ in outer:
        seen = [(state.active_dataloader is inner, state.end_of_dataloader) for _ in inner]
        assert seen == [(True, False), (True, False), (True, True)] and inner.remainder == 1
        assert state.active_dataloader is outer
    assert state.active_dataloader is None and outer.end_of_dataloader
