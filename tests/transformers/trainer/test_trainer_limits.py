"""Where a training ends badly: no number for a loss, too little memory, a run that is killed while it writes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from trainer_small import Net, losses, rows, trainer, weights

from enfold.transformers.trainer import TrainerCallback, get_last_checkpoint, persistence
from enfold.transformers.trainer.memory import BatchTooLarge
from enfold.transformers.trainer.parts import NonFiniteLoss


class Breaking(Net):
    """Gives a loss that is no number in one forward of the training."""

    def __init__(self, at: int, value: float = float("nan")) -> None:
        super().__init__(0.0)
        self.at, self.value, self.seen = at, value, 0

    def forward(self, x: torch.Tensor, labels: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
        out = super().forward(x, labels)
        self.seen += 1
        if self.seen == self.at:
            out["loss"] = out["loss"] * self.value
        return out


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_names_its_step_and_the_checkpoint_before_it(tmp_path: Path, value: float) -> None:
    made = trainer(tmp_path, model=Breaking(10, value), save_strategy="steps", save_steps=4, save_total_limit=1)
    with pytest.raises(
        NonFiniteLoss, match=r"the loss of step 10 is (nan|inf) \(x \(4, 4\), labels \(4,\)\)"
    ) as caught:
        made.train()
    last = get_last_checkpoint(str(tmp_path))
    assert last is not None and last.endswith("checkpoint-8") and last in str(caught.value)
    assert all(torch.isfinite(parameter).all() for parameter in made.model.parameters())
    assert trainer(tmp_path, dropout=0.0).train(resume_from_checkpoint=True).global_step == 26


def test_a_batch_without_a_label_that_counts_is_named(tmp_path: Path) -> None:
    data = [{**row, "labels": -100} for row in rows()]
    with pytest.raises(NonFiniteLoss, match="no label of it counts"):
        trainer(tmp_path, train_dataset=data).train()


def test_a_loss_that_is_no_number_can_be_looked_at_instead(tmp_path: Path) -> None:
    made = trainer(tmp_path, model=Breaking(3), logging_nan_inf_filter=False, logging_steps=1, max_steps=5)
    made.train()
    assert [loss == loss for loss in losses(made)] == [True, True, False, False, False]


def test_weights_that_are_no_numbers_are_not_saved(tmp_path: Path) -> None:
    class Spoil(TrainerCallback):
        def on_optimizer_step(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
            if state.global_step == 7:
                model.first.weight.data[0, 0] = float("nan")

    made = trainer(tmp_path, save_strategy="steps", save_steps=4, save_total_limit=1, callbacks=[Spoil()])
    with pytest.raises(NonFiniteLoss, match=r"step 8 is nan \(parameter first.weight"):
        made.train()
    assert get_last_checkpoint(str(tmp_path)) == str(tmp_path / "checkpoint-4")


class Crowded(Net):
    """Has room for some rows only."""

    def __init__(self, room: int, error: Callable[[], Exception]) -> None:
        super().__init__(0.0)
        self.room, self.error, self.widths = room, error, list[int]()

    def forward(self, x: torch.Tensor, labels: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
        if len(x) > self.room:
            raise self.error()
        self.widths.append(len(x))
        return super().forward(x, labels)


def _torch_error() -> Exception:
    return RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried")


@pytest.mark.parametrize("error", [_torch_error, MemoryError, torch.OutOfMemoryError])
def test_a_batch_that_does_not_fit_memory_says_what_to_change(tmp_path: Path, error: Callable[[], Exception]) -> None:
    made = trainer(tmp_path, model=Crowded(2, error), per_device_train_batch_size=8)
    with pytest.raises(BatchTooLarge) as caught:
        made.train()
    told = str(caught.value)
    assert "x (8, 4)" in told and "per_device_train_batch_size=4 with gradient_accumulation_steps=2" in told
    assert "auto_find_batch_size=True" in told and "gradient_checkpointing=True" in told
    assert type(caught.value.__cause__) is type(error())


@pytest.mark.parametrize("window", [1, 2])
def test_a_batch_that_does_not_fit_is_computed_in_parts_and_counts_as_one(tmp_path: Path, window: int) -> None:
    options: dict[str, Any] = {"per_device_train_batch_size": 8, "gradient_accumulation_steps": window}
    whole = trainer(tmp_path, dropout=0.0, **options)
    torch.manual_seed(1)
    model = Crowded(3, _torch_error)
    model.load_state_dict(whole.model.state_dict())
    parts = trainer(tmp_path, model=model, auto_find_batch_size=True, **options)
    whole.train()
    parts.train()
    assert max(model.widths) == 2
    torch.testing.assert_close(weights(parts), weights(whole), atol=1e-6, rtol=1e-5)
    assert losses(parts) == pytest.approx(losses(whole), abs=1e-6)
    assert parts.state.global_step == whole.state.global_step


def test_other_errors_pass_unchanged(tmp_path: Path) -> None:
    made = trainer(tmp_path, model=Crowded(2, lambda: RuntimeError("shapes differ")), auto_find_batch_size=True)
    with pytest.raises(RuntimeError, match="shapes differ"):
        made.train()


class Words(nn.Module):
    """Predicts a label for each token; the loss is the mean over those that count."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.table, self.head = nn.Embedding(11, 6), nn.Linear(6, 11)

    def forward(self, input_ids: torch.Tensor, labels: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
        out = {"logits": self.head(self.table(input_ids))}
        if labels is not None:
            out["loss"] = nn.functional.cross_entropy(out["logits"].flatten(0, 1), labels.flatten())
        return out


@settings(max_examples=25, deadline=None)
@given(
    window=st.integers(1, 4),
    rows=st.integers(1, 3),
    counted=st.lists(st.integers(0, 5), min_size=12, max_size=12),
    smoothing=st.sampled_from([0.0, 0.1]),
)
def test_k_batches_of_b_rows_are_one_batch_of_k_times_b(
    tmp_path_factory: pytest.TempPathFactory, window: int, rows: int, counted: list[int], smoothing: float
) -> None:
    generator = torch.Generator().manual_seed(1)
    # rows of five tokens of which some count, from none to all; the first of all always
    counted = [max(counted[0], 1), *counted[1:]]
    data = []
    for number in counted[: window * rows]:
        ids = torch.randint(0, 11, (5,), generator=generator).tolist()
        data.append({"input_ids": ids, "labels": [*ids[:number], *[-100] * (5 - number)]})
    folder = tmp_path_factory.mktemp("window")
    moved = []
    for batch, accumulated in ((rows, window), (rows * window, 1)):
        made = trainer(
            folder,
            model=Words(),
            train_dataset=data,
            train_sampling_strategy="sequential",
            per_device_train_batch_size=batch,
            gradient_accumulation_steps=accumulated,
            max_steps=1,
            logging_steps=1,
            optim="sgd",
            learning_rate=0.5,
            label_smoothing_factor=smoothing,
            logging_strategy="steps",
            disable_tqdm=True,
        )
        made.train()
        moved.append((weights(made), losses(made)[0]))
    torch.testing.assert_close(moved[0][0], moved[1][0], atol=1e-6, rtol=1e-5)
    assert moved[0][1] == pytest.approx(moved[1][1], abs=1e-6)


CALLS = ((os, "replace"), (os, "rename"), (os, "makedirs"), (torch, "save"), (shutil, "rmtree"))


def _killed_at(made: Any, number: int) -> bool:
    """Save a checkpoint in a process of its own that is killed at one of its calls; return whether it was."""
    child = os.fork()
    if child == 0:
        left = number

        def deadly(real: Any) -> Any:
            def call(*args: Any, **kwargs: Any) -> Any:
                nonlocal left
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*args, **kwargs)

            return call

        for module, name in CALLS:
            setattr(module, name, deadly(getattr(module, name)))
        try:
            persistence.save_checkpoint(made)
        except BaseException:
            os._exit(3)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


@pytest.fixture
def trained(tmp_path: Path) -> Iterator[tuple[Path, Any]]:
    made = trainer(tmp_path, save_strategy="steps", save_steps=4, max_steps=8, save_total_limit=2)
    made.train()
    yield tmp_path, made


@pytest.mark.parametrize("again", [False, True])
def test_a_run_that_is_killed_at_any_point_of_a_checkpoint_leaves_a_whole_one(
    trained: tuple[Path, Any], again: bool
) -> None:
    folder, made = trained
    if not again:
        made.state.global_step = 9
    number = 0
    while True:
        before = {path: path.stat().st_mtime_ns for path in folder.glob("checkpoint-*")}
        killed = _killed_at(made, number)
        following = trainer(folder, max_steps=12, save_total_limit=2)
        following.train(resume_from_checkpoint=True)  # reads model, optimizer, schedule and random states
        assert following.state.global_step == 12 and before
        assert {path.name for path in folder.iterdir() if path.is_dir()} <= {
            "checkpoint-4",
            "checkpoint-8",
            *(["checkpoint-9"] if not again else []),
        }
        if not killed:
            break
        number += 1
        shutil.rmtree(folder / "checkpoint-9", ignore_errors=True)
    assert number >= 8


SIGTERM = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from trainer_small import trainer
from enfold.transformers import TrainerCallback
class Notice(TrainerCallback):
    def on_step_begin(self, args, state, control, **kwargs):
        if state.global_step == 5:
            os.kill(os.getpid(), signal.SIGTERM)
before = signal.getsignal(signal.SIGTERM)
made = trainer(sys.argv[2], enable_jit_checkpoint=True, callbacks=[Notice()])
assert made.train().global_step == 6
assert signal.getsignal(signal.SIGTERM) is before
"""


def test_sigterm_turns_into_a_checkpoint(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SIGTERM, str(Path(__file__).parent), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)  # a process of its own, which it may end
    assert done.returncode == 0, done.stderr
    assert get_last_checkpoint(str(tmp_path)) == str(tmp_path / "checkpoint-6")


def test_the_log_goes_on_behind_the_checkpoint(tmp_path: Path) -> None:
    made = trainer(tmp_path, save_strategy="steps", save_steps=10)
    made.train()
    trainer(tmp_path, max_steps=15).train(resume_from_checkpoint=str(tmp_path / "checkpoint-10"))
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [5, 10, 15, 15]
