"""Training: lengths, windows, resuming, best models, callbacks, interrupts."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from trainer_small import Net, losses, rows, trainer, weights

from enfold.transformers.trainer import (
    EarlyStoppingCallback,
    EvalPrediction,
    TrainerCallback,
    TrainingArguments,
)
from enfold.transformers.trainer.parts import TrainerError
from enfold.transformers.trainer.persistence import CheckpointNotFound


def accuracy(prediction: EvalPrediction) -> dict[str, float]:
    logits, labels = prediction
    return {"accuracy": float((logits.argmax(-1) == labels).mean())}


def test_training_lowers_the_loss_and_reports_where_time_went(tmp_path: Path) -> None:
    made = trainer(tmp_path, num_train_epochs=12, dropout=0.0, eval_dataset=rows(), compute_metrics=accuracy)
    output = made.train()
    seen = losses(made)
    assert seen[-1] < 0.6 * seen[0]
    assert output.global_step == 12 * 13
    for stage in ("data", "forward", "backward", "optimizer"):
        assert output.metrics[f"train_{stage}_seconds"] > 0
    assert {"train_runtime", "train_samples_per_second", "train_loss"} <= set(output.metrics)
    assert made.evaluate()["eval_accuracy"] > 0.8


@pytest.mark.parametrize("window", [2, 3, 6])
def test_a_window_of_batches_equals_one_large_batch(tmp_path: Path, window: int) -> None:
    big = trainer(tmp_path, dropout=0.0, per_device_train_batch_size=12, optim="sgd", max_grad_norm=0)
    small = trainer(
        tmp_path,
        dropout=0.0,
        per_device_train_batch_size=12 // window,
        gradient_accumulation_steps=window,
        optim="sgd",
        max_grad_norm=0,
    )
    big.train()
    small.train()
    torch.testing.assert_close(weights(big), weights(small), atol=1e-5, rtol=1e-5)


def test_labels_that_do_not_count_weigh_nothing_in_a_window(tmp_path: Path) -> None:
    masked = [{**row, "labels": row["labels"] if index % 3 else -100} for index, row in enumerate(rows(48))]
    options: dict[str, Any] = {"dropout": 0.0, "optim": "sgd", "max_grad_norm": 0, "train_dataset": masked}
    big = trainer(tmp_path, per_device_train_batch_size=16, **options)
    small = trainer(tmp_path, per_device_train_batch_size=4, gradient_accumulation_steps=4, **options)
    big.train()
    small.train()
    torch.testing.assert_close(weights(big), weights(small), atol=1e-5, rtol=1e-5)


def test_a_loss_function_of_ones_own_is_given_the_windows_count(tmp_path: Path) -> None:
    counts = []

    def loss(outputs: Any, labels: torch.Tensor, num_items_in_batch: torch.Tensor | None = None) -> torch.Tensor:
        counts.append(int(num_items_in_batch))  # type: ignore[arg-type]
        return torch.nn.functional.cross_entropy(outputs["logits"], labels, reduction="sum") / num_items_in_batch

    options: dict[str, Any] = {"dropout": 0.0, "optim": "sgd", "max_grad_norm": 0, "max_steps": 3}
    own = trainer(tmp_path, gradient_accumulation_steps=2, compute_loss_func=loss, **options)
    usual = trainer(tmp_path, gradient_accumulation_steps=2, **options)
    own.train()
    usual.train()
    assert counts == [8] * 6
    torch.testing.assert_close(weights(own), weights(usual), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("step", [4, 9, 13, 20])
@pytest.mark.parametrize("window", [1, 2])
def test_resuming_gives_the_same_bits_as_never_having_stopped(tmp_path: Path, step: int, window: int) -> None:
    options: dict[str, Any] = {
        "gradient_accumulation_steps": window,
        "num_train_epochs": 4,
        "lr_scheduler_type": "cosine",
        "eval_strategy": "epoch",
        "eval_dataset": rows(),
        "logging_steps": 1,
    }
    straight = trainer(tmp_path / "a", **options)
    straight.train()
    first = trainer(tmp_path / "b", save_strategy="steps", save_steps=step, **options, callbacks=[_StopAt(step)])
    first.train()
    second = trainer(tmp_path / "b", **options)
    torch.rand(7)
    output = second.train(resume_from_checkpoint=True)
    assert output.global_step == straight.state.global_step
    assert torch.equal(weights(straight), weights(second))
    assert losses(second) == losses(straight)


class _StopAt(TrainerCallback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        control.should_training_stop = control.should_training_stop or state.global_step == self.step
        return control


def test_resuming_without_a_checkpoint_says_so(tmp_path: Path) -> None:
    with pytest.raises(CheckpointNotFound, match="resume"):
        trainer(tmp_path).train(resume_from_checkpoint=True)


def test_the_same_seed_gives_the_same_training_and_another_does_not(tmp_path: Path) -> None:
    made = []
    for seed in (5, 5, 6):
        made.append(trainer(tmp_path, seed=seed))
        made[-1].train()
    same, again, other = (weights(one) for one in made)
    assert torch.equal(same, again)
    assert not torch.equal(same, other)


def test_evaluation_in_between_does_not_change_the_training(tmp_path: Path) -> None:
    plain = trainer(tmp_path)
    plain.train()
    watched = trainer(tmp_path, eval_strategy="steps", eval_steps=3, eval_dataset=rows())
    watched.train()
    assert torch.equal(weights(plain), weights(watched))


def test_checkpoints_are_limited_and_the_best_one_comes_back(tmp_path: Path) -> None:
    made = trainer(
        tmp_path,
        num_train_epochs=5,
        learning_rate=0.3,
        eval_strategy="epoch",
        save_strategy="epoch",
        save_total_limit=2,
        load_best_model_at_end=True,
        eval_dataset=rows(),
    )
    made.train()
    seen = [log["eval_loss"] for log in made.state.log_history if "eval_loss" in log]
    assert made.state.best_metric == min(seen)
    assert made.evaluate()["eval_loss"] == pytest.approx(min(seen), abs=1e-6)
    folders = sorted(path.name for path in tmp_path.glob("checkpoint-*"))
    assert len(folders) == 2
    assert os.path.basename(str(made.state.best_model_checkpoint)) in folders


def test_a_checkpoint_holds_what_the_ecosystem_expects(tmp_path: Path) -> None:
    made = trainer(tmp_path, max_steps=4, save_strategy="steps", save_steps=2)
    made.train()
    files = {path.name for path in (tmp_path / "checkpoint-4").iterdir()}
    wanted = {"model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json"}
    assert files == {*wanted, "training_args.json"}
    state = json.loads((tmp_path / "checkpoint-4" / "trainer_state.json").read_text())
    assert (state["global_step"], state["max_steps"]) == (4, 4)
    for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth"):
        torch.load(tmp_path / "checkpoint-4" / name, weights_only=True)


LOGS = {"log.jsonl", "loss.svg"}


class _Interrupt(TrainerCallback):
    def __init__(self, event: str) -> None:
        self.event = event

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.event == "step" and state.global_step == 5:
            raise KeyboardInterrupt


def test_an_interrupt_leaves_earlier_checkpoints_whole(tmp_path: Path) -> None:
    made = trainer(tmp_path, save_strategy="steps", save_steps=4, callbacks=[_Interrupt("step")])
    with pytest.raises(KeyboardInterrupt):
        made.train()
    assert {path.name for path in tmp_path.iterdir()} - LOGS == {"checkpoint-4"}
    assert trainer(tmp_path).train(resume_from_checkpoint=True).global_step == 26


def test_an_interrupt_while_saving_leaves_nothing_half_written(tmp_path: Path, monkeypatch: Any) -> None:
    made = trainer(tmp_path, save_strategy="steps", save_steps=4)
    real = torch.save

    def save(*args: Any, **kwargs: Any) -> None:
        if made.state.global_step == 8:
            raise KeyboardInterrupt
        real(*args, **kwargs)

    monkeypatch.setattr(torch, "save", save)
    with pytest.raises(KeyboardInterrupt):
        made.train()
    assert {path.name for path in tmp_path.iterdir()} - LOGS == {"checkpoint-4"}


def test_early_stopping_stops(tmp_path: Path) -> None:
    made = trainer(
        tmp_path,
        num_train_epochs=50,
        learning_rate=1.0,
        eval_strategy="epoch",
        metric_for_best_model="loss",
        eval_dataset=rows(),
        callbacks=[EarlyStoppingCallback(2)],
    )
    assert made.train().global_step < 50 * 13


def test_callbacks_are_called_in_order_and_can_be_removed(tmp_path: Path) -> None:
    events: list[str] = []

    class Note(TrainerCallback):
        def __getattribute__(self, name: str) -> Any:
            if name.startswith("on_"):
                events.append(name)
            return object.__getattribute__(self, name)

    made = trainer(tmp_path, max_steps=1, gradient_accumulation_steps=2, callbacks=[Note])
    made.train()
    assert events == [
        "on_init_end",
        "on_train_begin",
        "on_epoch_begin",
        "on_step_begin",
        "on_substep_end",
        "on_pre_optimizer_step",
        "on_optimizer_step",
        "on_step_end",
        "on_epoch_end",
        "on_log",
        "on_train_end",
    ]
    assert isinstance(made.pop_callback(Note), Note)
    assert made.pop_callback(Note) is None


def test_predictions_come_in_the_order_of_the_rows_and_in_two_widths(tmp_path: Path) -> None:
    class Wide(torch.nn.Module):
        def forward(self, input_ids: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"logits": input_ids.float() + self.zero}

        def __init__(self) -> None:
            super().__init__()
            self.zero = torch.nn.Parameter(torch.zeros(1))

    class Tokenizer:
        pad_token_id, padding_side, model_input_names = 0, "right", ["input_ids"]

        def pad(self) -> None: ...

    from enfold.transformers.trainer import DataCollatorWithPadding

    data = [{"input_ids": list(range(10 * index + 1, 10 * index + 2 + index * 7 % 5))} for index in range(11)]
    for strategy in ("random", "group_by_length"):
        made = trainer(
            tmp_path,
            model=Wide(),
            data_collator=DataCollatorWithPadding(Tokenizer()),
            train_sampling_strategy=strategy,
            per_device_eval_batch_size=2,
        )
        found = made.predict(data).predictions
        assert found.shape == (11, 5)
        for row, values in zip(data, found, strict=True):
            assert values[: len(row["input_ids"])].tolist() == row["input_ids"]
            assert set(values[len(row["input_ids"]) :].tolist()) <= {0.0, -100.0}


def test_several_evaluation_sets_get_a_prefix_each(tmp_path: Path) -> None:
    made = trainer(tmp_path, eval_dataset={"near": rows(), "far": rows(20)}, compute_metrics=accuracy)
    metrics = made.evaluate()
    assert {"eval_near_loss", "eval_far_accuracy"} <= set(metrics)


def test_metrics_can_ask_for_inputs_and_losses(tmp_path: Path) -> None:
    seen: dict[str, Any] = {}

    def metrics(prediction: EvalPrediction) -> dict[str, float]:
        seen.update(inputs=prediction.inputs, losses=prediction.losses)
        return {"n": np.float64(len(prediction.predictions))}

    class Named(Net):
        main_input_name = "x"

    made = trainer(
        tmp_path, model=Named(), include_for_metrics=["inputs", "loss"], eval_dataset=rows(), compute_metrics=metrics
    )
    result = made.evaluate()
    assert seen["inputs"].shape == (50, 4)
    assert seen["losses"].shape == (50,)
    assert result["eval_n"] == 50 and type(result["eval_n"]) is float


def test_half_precision_evaluation_gives_the_weights_back(tmp_path: Path) -> None:
    made = trainer(tmp_path, bf16_full_eval=True, eval_dataset=rows())
    before = weights(made).clone()

    class Halved(TrainerCallback):
        def on_prediction_step(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
            assert next(model.parameters()).dtype == torch.bfloat16

    made.data_collator = lambda features: {
        "x": torch.tensor([row["x"] for row in features]).bfloat16(),
        "labels": torch.tensor([row["labels"] for row in features]),
    }
    made.add_callback(Halved)
    made.evaluate()
    assert torch.equal(weights(made), before)


def test_bf16_trains_close_to_float32(tmp_path: Path) -> None:
    full = trainer(tmp_path, dropout=0.0)
    half = trainer(tmp_path, dropout=0.0, bf16=True)
    full.train()
    half.train()
    assert losses(half) == pytest.approx(losses(full), abs=0.05)
    assert losses(half) != losses(full)
    assert next(half.model.parameters()).dtype == torch.float32


def test_a_stream_of_rows_needs_max_steps_and_can_be_resumed(tmp_path: Path) -> None:
    class Stream(torch.utils.data.IterableDataset):  # type: ignore[type-arg]
        def __iter__(self) -> Any:
            return iter([{"x": row["x"], "labels": row["labels"]} for row in rows()])

    with pytest.raises(TrainerError, match="max_steps"):
        trainer(tmp_path, train_dataset=Stream()).train()
    straight = trainer(tmp_path, train_dataset=Stream(), max_steps=20)
    straight.train()
    first = trainer(
        tmp_path, train_dataset=Stream(), max_steps=20, save_strategy="steps", save_steps=8, callbacks=[_StopAt(8)]
    )
    first.train()
    second = trainer(tmp_path, train_dataset=Stream(), max_steps=20)
    second.train(resume_from_checkpoint=True)
    assert torch.equal(weights(straight), weights(second))


def test_a_model_without_a_loss_is_explained(tmp_path: Path) -> None:
    class NoLoss(Net):
        def forward(self, x: torch.Tensor, labels: Any = None) -> dict[str, torch.Tensor]:
            return super().forward(x)

    with pytest.raises(TrainerError, match="no loss"):
        trainer(tmp_path, model=NoLoss()).train()


def test_logs_go_to_a_file_of_json_lines(tmp_path: Path) -> None:
    made = trainer(tmp_path / "out", logging_dir=str(tmp_path / "logs"), max_steps=10)
    made.train()
    lines = [json.loads(line) for line in (tmp_path / "logs" / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [5, 10, 10]
    assert lines[0]["loss"] == losses(made)[0]


def test_one_line_a_log_where_there_is_no_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trainer(tmp_path, max_steps=10).train()
    lines = [line for line in capsys.readouterr().err.splitlines() if "training" in line]
    assert len(lines) == 2
    assert all("step/s" in line and "loss" in line for line in lines)


@pytest.mark.parametrize("optim", ["adamw_torch", "adamw_torch_fused", "sgd", "adafactor", "adagrad", "rmsprop"])
def test_every_optimizer_moves_the_weights(tmp_path: Path, optim: str) -> None:
    made = trainer(tmp_path, optim=optim, max_steps=3)
    before = weights(made).clone()
    made.train()
    assert not torch.equal(before, weights(made))


def test_weight_decay_leaves_biases_and_norms_alone(tmp_path: Path) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.LayerNorm(2))
    made = trainer(tmp_path, model=model, weight_decay=0.1)
    groups = made.create_optimizer().param_groups
    assert [group["weight_decay"] for group in groups] == [0.1, 0.0]
    assert [len(group["params"]) for group in groups] == [1, 3]


def test_model_init_starts_afresh_each_time(tmp_path: Path) -> None:
    from enfold.transformers.trainer import Trainer

    args = TrainingArguments(str(tmp_path), max_steps=3, save_strategy="no", use_cpu=True)
    made = Trainer(args=args, model_init=Net, train_dataset=rows())
    made.train()
    first = weights(made).clone()
    made.train()
    assert torch.equal(first, weights(made))


def test_a_model_or_something_that_makes_one_is_needed(tmp_path: Path) -> None:
    from enfold.transformers.trainer import Trainer

    with pytest.raises(TrainerError, match="model_init"):
        Trainer(args=TrainingArguments(str(tmp_path)))
