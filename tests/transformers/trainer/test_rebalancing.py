"""Batches of equal cost: which rows go together, and a training with them."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from trainer_small import losses, trainer, weights

from enfold.transformers.trainer.rebalancing import BatchRebalanceSampler, cost, equally_dear, in_steps


def _lengths(count: int, seed: int = 0) -> list[int]:
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(count, generator=generator).exp() * 40).int().clamp(1, 900).tolist()


def _dearest(lengths: list[int], counts: list[int]) -> float:
    starts = [sum(counts[:place]) for place in range(len(counts))]
    return max(cost(size, lengths[start]) for size, start in zip(counts, starts, strict=True))


@pytest.mark.parametrize("seed", range(6))
def test_no_other_cut_has_a_cheaper_dearest_group(seed: int) -> None:
    lengths = sorted(_lengths(11, seed), reverse=True)
    for groups in (1, 2, 4, 11):
        counts = equally_dear(lengths, groups)
        assert sum(counts) == 11 and len(counts) == groups and min(counts) >= 1
        cuts = itertools.combinations(range(1, 11), groups - 1)
        every = [[b - a for a, b in itertools.pairwise((0, *cut, 11))] for cut in cuts]
        assert _dearest(lengths, counts) == pytest.approx(min(_dearest(lengths, other) for other in every))


def _time(lengths: list[int], steps: list[list[list[int]]]) -> float:
    return sum(max(cost(len(rows), lengths[rows[0]]) for rows in step) for step in steps)


@pytest.mark.parametrize(("processes", "steps"), [(1, 3), (2, 1), (2, 4), (4, 2), (3, 4)])
def test_steps_take_every_row_once_and_no_longer_than_batches_that_are_all_alike(processes: int, steps: int) -> None:
    for seed in range(6):
        lengths = sorted(_lengths(processes * steps * (1 + seed), seed), reverse=True)
        found = in_steps(lengths, processes, steps)
        assert [len(step) for step in found] == [processes] * steps
        assert sorted(row for step in found for rows in step for row in rows) == list(range(len(lengths)))
        sizes = equally_dear(lengths, processes * steps)
        starts = [sum(sizes[:place]) for place in range(len(sizes))]
        dear = sorted((cost(size, lengths[start]) for size, start in zip(sizes, starts, strict=True)), reverse=True)
        assert _time(lengths, found) <= sum(dear[::processes]) * (1 + 1e-9)


def test_what_waits_for_one_long_row_takes_as_much_as_fits() -> None:
    lengths = [2000, *[100] * 31]  # the row costs as much as 54 of the others
    first, *later = in_steps(lengths, 2, 4)
    assert sorted(map(len, first)) == [1, 25]  # all but a row for each batch that is to come
    assert [sorted(map(len, step)) for step in later] == [[1, 1]] * 3


@pytest.mark.parametrize("drop_last", [True, False])
def test_processes_share_the_rows_of_every_update(drop_last: bool) -> None:
    lengths = _lengths(101)
    made = [BatchRebalanceSampler(lengths, 16, 2, 2, rank=rank, drop_last=drop_last, seed=3) for rank in (0, 1)]
    batches = [list(sampler) for sampler in made]
    assert [len(found) for found in batches] == [len(sampler) for sampler in made] == [12 if drop_last else 14] * 2
    every: list[int] = []
    for start in range(0, 12, 2):
        rows = [row for found in batches for batch in found[start : start + 2] for row in batch]
        assert len(rows) == len(set(rows)) == 16  # of one update
        every += rows
        dear = [[cost(len(b[at]), max(lengths[row] for row in b[at])) for b in batches] for at in (start, start + 1)]
        assert min(dear[0]) >= max(dear[1])  # the dearest batches are computed at the same time
    assert len(set(every)) == 96
    if not drop_last:
        last = {row for found in batches for batch in found[12:] for row in batch}
        assert set(range(101)) - set(every) <= last and all(batch for found in batches for batch in found[12:])
    made[0].set_epoch(1)
    assert list(made[0]) != batches[0]
    with pytest.raises(ValueError, match="cannot fill 4 batches on 2 processes"):
        BatchRebalanceSampler(lengths, 7, 2, 4)


class Words(nn.Module):
    """Adds up words, over rows padded to each other."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(16, 3, padding_idx=0)

    def forward(self, input_ids: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        logits = self.table(input_ids).sum(1)
        return {"logits": logits, "loss": nn.functional.cross_entropy(logits, labels)}


def _collate(rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    ids = nn.utils.rnn.pad_sequence([torch.tensor(row["input_ids"]) for row in rows], batch_first=True)
    return {"input_ids": ids, "labels": torch.tensor([row["labels"] for row in rows])}


def test_a_training_with_them_resumes_bit_for_bit(tmp_path: Path) -> None:
    sizes = [size % 30 + 1 for size in _lengths(41)]
    data = [
        {"input_ids": [1 + (row + i) % 15 for i in range(size)], "labels": size % 3} for row, size in enumerate(sizes)
    ]
    options: dict[str, Any] = {"train_dataset": data, "data_collator": _collate, "gradient_accumulation_steps": 2}
    options |= {"train_sampling_strategy": "batch_rebalance", "save_strategy": "steps", "save_steps": 4}
    options |= {"learning_rate": 0.1, "num_train_epochs": 3}
    straight = trainer(tmp_path, model=Words(), **options)
    straight.train()
    assert straight.state.global_step == 18 and losses(straight)[-1] < losses(straight)[0]
    again = trainer(tmp_path, model=Words(), **options)
    again.train(resume_from_checkpoint=str(tmp_path / "checkpoint-8"))
    assert torch.equal(weights(again), weights(straight))
