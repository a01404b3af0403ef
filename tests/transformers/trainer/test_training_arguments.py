"""TrainingArguments: both generations' names, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from trainer_small import trainer

from enfold.transformers.trainer import IntervalStrategy, TrainingArguments
from enfold.transformers.trainer.arguments import UnsupportedArgument
from enfold.transformers.trainer.spellings import ALIASES, IGNORED


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


def test_every_other_name_reads_as_its_field(tmp_path: Path) -> None:
    args = TrainingArguments("out")
    for old, spelling in ALIASES.items():
        assert getattr(args, old) == spelling.back(getattr(args, spelling.field)), old
    args.group_by_length = True  # type: ignore[attr-defined]
    assert args.train_sampling_strategy == "group_by_length" and args.group_by_length  # type: ignore[attr-defined]
    assert TrainingArguments("out", adafactor=True).adafactor  # type: ignore[attr-defined,call-arg]


def test_arguments_without_effect_can_be_read(tmp_path: Path) -> None:
    assert TrainingArguments("out").overwrite_output_dir is False  # type: ignore[attr-defined]
    assert TrainingArguments("out", overwrite_output_dir=True).overwrite_output_dir  # type: ignore[attr-defined,call-arg]


def test_arguments_are_set_in_groups_and_checked() -> None:
    args = TrainingArguments("out")
    args.set_training(learning_rate=1e-4, batch_size=32, num_epochs=2, activation_checkpointing=True)
    args.set_evaluate(strategy="steps", steps=7, batch_size=5).set_testing(batch_size=6).set_save(
        steps=9, total_limit=2
    )
    args.set_logging(steps=3, report_to="none", level="info").set_optimizer(name="sgd", args="momentum=0.9")
    args.set_lr_scheduler(name="cosine", warmup_steps=0.1).set_dataloader(num_workers=2, sampler_seed=4)
    args.set_push_to_hub("me/model", strategy="end", token="hf_x")
    assert args.do_train and args.do_eval and args.do_predict and args.push_to_hub
    assert (args.learning_rate, args.eval_steps, args.save_steps, args.logging_steps) == (5e-5, 7, 9, 3)
    assert (args.optim, args.lr_scheduler_type, args.data_seed, args.hub_strategy) == ("sgd", "cosine", 4, "end")
    assert args.get_process_log_level() == 20
    with pytest.raises(ValueError, match="save_steps must be positive"):
        args.set_save(strategy="steps", steps=0)


def test_logs_go_to_tensorboard_where_a_folder_is_named_and_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    from enfold.transformers.trainer import reporting

    there = ["tensorboard", "wandb"]
    monkeypatch.setattr(reporting, "get_available_reporting_integrations", lambda: there)
    assert TrainingArguments("out").report_to == []
    assert TrainingArguments("out", logging_dir="logs").report_to == ["tensorboard"]
    assert TrainingArguments("out", logging_dir="logs", report_to="none").report_to == []
    assert TrainingArguments("out", report_to="all").report_to == there
    assert TrainingArguments("out", report_to=None).report_to == there


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
        {"optim": "adamw_torchh"},
        {"debug": "underflow"},
        {"log_level": "loud"},
        {"logging_steps": 0},
        {"gradient_accumulation_steps": 0},
    ],
)
def test_arguments_that_contradict_each_other_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        TrainingArguments("out", **options)


def test_features_that_are_absent_are_named_when_a_trainer_is_made(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedArgument):
        trainer(tmp_path, fp16=True, use_cpu=True)


def test_the_best_models_direction_follows_its_metric() -> None:
    common: dict[str, Any] = {"eval_strategy": "epoch", "save_strategy": "epoch", "load_best_model_at_end": True}
    assert TrainingArguments("out", **common).greater_is_better is False
    assert TrainingArguments("out", metric_for_best_model="f1", **common).greater_is_better is True


def test_the_token_is_not_written(tmp_path: Path) -> None:
    text = TrainingArguments("out", hub_token="hf_secret").to_json_string()
    assert "hf_secret" not in text
    assert json.loads(text)["learning_rate"] == 5e-5
