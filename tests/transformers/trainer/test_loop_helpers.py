"""Helpers that programs with loops of their own import from the ecosystem's utility modules."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from enfold.transformers import trainer as names
from enfold.transformers.trainer import (
    DistributedLengthGroupedSampler,
    EvalLoopContainer,
    FSDPOption,
    ParallelMode,
    ShardSampler,
    TrainingArguments,
    rotate_checkpoints,
    sort_checkpoints,
)
from enfold.transformers.trainer.sharding import WORDS


def test_processes_read_every_row_between_them() -> None:
    shares = [list(ShardSampler(range(11), 2, num_processes=3, process_index=index)) for index in range(3)]
    assert {len(share) for share in shares} == {4} and set().union(*shares) == set(range(11))
    assert [len(ShardSampler(range(11), 2, True, 3, index)) for index in range(3)] == [2, 2, 2]
    lengths = [3, 9, 4, 8, 1, 7, 2, 6, 5]
    grouped = [DistributedLengthGroupedSampler(2, None, 2, rank, lengths=lengths) for rank in range(2)]
    rows = [list(sampler) for sampler in grouped]
    assert [len(share) for share in rows] == [5, 5] == [len(sampler) for sampler in grouped]
    assert set(rows[0]) | set(rows[1]) == set(range(9))
    assert rows[0] == list(grouped[0])  # the order is of seed and epoch alone
    grouped[0].set_epoch(1)
    assert rows[0] != list(grouped[0])


def test_outputs_of_batches_of_other_widths_become_one_array() -> None:
    kept = EvalLoopContainer()
    kept.add((torch.ones(2, 3), torch.zeros(2)))
    kept.to_cpu_and_numpy()
    kept.add((torch.ones(1, 4), torch.zeros(1)))
    wide, flat = kept.get_arrays()
    assert wide.shape == (3, 4) and wide[0, 3] == -100 and flat.shape == (3,)
    apart = EvalLoopContainer(do_nested_concat=False)
    apart.add(torch.ones(2, 3))
    apart.add(torch.ones(1, 4))
    assert [array.shape for array in apart.get_arrays()] == [(2, 3), (1, 4)]
    assert EvalLoopContainer().get_arrays() is None


def test_nested_arrays_are_made_widened_and_gathered() -> None:
    made = names.nested_new_like((np.zeros((2, 3)), {"a": np.zeros(2, dtype=int)}), 5)
    assert made[0].shape == (5, 3) and made[1]["a"].tolist() == [-100] * 5
    assert names.expand_like(np.ones((1, 2)), 3).tolist() == [[1, 1, -100]]
    assert names.nested_gather(None) is None
    assert names.nested_gather({"a": torch.tensor(3)})["a"].tolist() == [3]
    assert names.distributed_concat(torch.arange(4), 3).tolist() == [0, 1, 2]
    model = torch.nn.Sequential(torch.nn.Linear(1, 1))
    assert names.get_module_class_from_name(model, "Linear") is torch.nn.Linear
    assert names.get_module_class_from_name(model, "Conv1d") is None


def test_checkpoints_are_sorted_by_step_or_time_and_rotated_around_the_best(tmp_path: Path) -> None:
    for number, step in enumerate((20, 3, 100)):
        (tmp_path / f"checkpoint-{step}").mkdir()
        os.utime(tmp_path / f"checkpoint-{step}", (number, number))
    (tmp_path / "checkpoint-x").mkdir()
    steps = [Path(path).name.rpartition("-")[2] for path in sort_checkpoints(str(tmp_path))]
    assert steps == ["3", "20", "100"]
    by_time = sort_checkpoints(str(tmp_path), use_mtime=True)
    assert [Path(path).name.rpartition("-")[2] for path in by_time] == ["20", "3", "100"]
    best = str(tmp_path / "checkpoint-3")
    assert sort_checkpoints(str(tmp_path), best_model_checkpoint=best)[-2] == best
    rotate_checkpoints(str(tmp_path), 2, best_model_checkpoint=best)
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint-3", "checkpoint-100", "checkpoint-x"}


def test_enumerations_are_the_words_that_arguments_hold(tmp_path: Path) -> None:
    assert TrainingArguments(str(tmp_path), use_cpu=True).parallel_mode == ParallelMode.NOT_PARALLEL
    assert {option.value for option in FSDPOption} - {"no_shard"} == set(WORDS)
    with names.torch_distributed_zero_first(-1):
        pass
    with pytest.raises(ValueError, match="give a dataset or lengths"):
        DistributedLengthGroupedSampler(2, None, 2, 0)
