"""TrainingArguments: both generations' names, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from trainer_small import trainer

from enfold.transformers.trainer import IntervalStrategy, TrainingArguments
from enfold.transformers.trainer.arguments import IGNORED, UnsupportedArgument


@pytest.mark.parametrize(
    ("old", "value", "field", "becomes"),
    [
        ("evaluation_strategy", "epoch", "eval_strategy", IntervalStrategy.EPOCH),
        ("no_cuda", True, "use_cpu", True),
        ("per_gpu_train_batch_size", 3, "per_device_train_batch_size", 3),
        ("group_by_length", True, "train_sampling_strategy", "group_by_length"),
        ("group_by_length", False, "train_sampling_strategy", "random"),
        ("adafactor", True, "optim", "adafactor"),
        ("include_inputs_for_metrics", True, "include_for_metrics", ["inputs"]),
        ("push_to_hub_model_id", "a/b", "hub_model_id", "a/b"),
        ("activation_checkpointing", True, "gradient_checkpointing", True),
    ],
)
def test_old_names_set_the_new_fields(old: str, value: Any, field: str, becomes: Any) -> None:
    assert getattr(TrainingArguments("out", **{old: value}), field) == becomes


def test_renamed_fields_can_be_read_and_set_under_both_names() -> None:
    args = TrainingArguments("out", eval_strategy="epoch")
    assert args.evaluation_strategy == "epoch"  # type: ignore[attr-defined]
    args.no_cuda = True  # type: ignore[attr-defined]
    assert args.use_cpu


def test_arguments_of_absent_back_ends_are_accepted() -> None:
    TrainingArguments("out", **dict.fromkeys(sorted(IGNORED)))  # type: ignore[arg-type]


def test_a_misspelt_argument_names_the_right_one() -> None:
    with pytest.raises(TypeError, match="did you mean 'learning_rate'"):
        TrainingArguments("out", learning_rat=1e-3)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("steps", "ratio", "total", "expected"),
    [(10, None, 100, 10), (0.1, None, 101, 11), (0, 0.2, 100, 20), (5, 0.5, 100, 5), (0, None, 100, 0)],
)
def test_warm_up_is_a_number_of_steps_or_a_share(steps: float, ratio: float | None, total: int, expected: int) -> None:
    assert TrainingArguments("out", warmup_steps=steps, warmup_ratio=ratio).get_warmup_steps(total) == expected


@pytest.mark.parametrize(
    "options",
    [
        {"load_best_model_at_end": True},
        {"load_best_model_at_end": True, "eval_strategy": "epoch"},
        {"load_best_model_at_end": True, "eval_strategy": "steps", "eval_steps": 3, "save_steps": 4},
        {"bf16": True, "fp16": True},
        {"eval_strategy": "sometimes"},
        {"optim": "adamw_bnb_8bit"},
        {"logging_steps": 0},
        {"gradient_accumulation_steps": 0},
    ],
)
def test_arguments_that_contradict_each_other_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        TrainingArguments("out", **options)


@pytest.mark.parametrize(
    "options", [{"deepspeed": "x.json"}, {"neftune_noise_alpha": 5.0}, {"fp16": True, "use_cpu": True}]
)
def test_features_that_are_absent_are_named_when_a_trainer_is_made(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedArgument):
        trainer(tmp_path, **options)


def test_the_best_models_direction_follows_its_metric() -> None:
    common: dict[str, Any] = {"eval_strategy": "epoch", "save_strategy": "epoch", "load_best_model_at_end": True}
    assert TrainingArguments("out", **common).greater_is_better is False
    assert TrainingArguments("out", metric_for_best_model="f1", **common).greater_is_better is True


def test_the_token_is_not_written(tmp_path: Path) -> None:
    text = TrainingArguments("out", hub_token="hf_secret").to_json_string()
    assert "hf_secret" not in text
    assert json.loads(text)["learning_rate"] == 5e-5
