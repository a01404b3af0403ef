"""``deepspeed``: a configuration becomes the arguments that say the same, or is refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from trainer_small import Net

from enfold.transformers.trainer import TrainingArguments
from enfold.transformers.trainer.zero import NeedsDeepSpeed, schedule_of

AUTO: dict[str, Any] = {
    "bf16": {"enabled": "auto"},
    "optimizer": {
        "type": "AdamW",
        "params": {"lr": "auto", "betas": "auto", "eps": "auto", "weight_decay": "auto", "torch_adam": True},
    },
    "scheduler": {
        "type": "WarmupLR",
        "params": {"warmup_min_lr": "auto", "warmup_max_lr": "auto", "warmup_num_steps": "auto"},
    },
    "zero_optimization": {
        "stage": 3,
        "offload_optimizer": {"device": "cpu", "pin_memory": True},
        "overlap_comm": True,
        "stage3_prefetch_bucket_size": "auto",
        "stage3_gather_16bit_weights_on_model_save": True,
    },
    "gradient_accumulation_steps": "auto",
    "gradient_clipping": "auto",
    "steps_per_print": 2000,
    "train_batch_size": "auto",
    "train_micro_batch_size_per_gpu": "auto",
    "wall_clock_breakdown": False,
}


def test_a_file_of_automatic_values_leaves_the_arguments_and_chooses_fsdp(tmp_path: Path) -> None:
    (tmp_path / "zero3.json").write_text(json.dumps(AUTO))
    args = TrainingArguments("out", deepspeed=str(tmp_path / "zero3.json"), bf16=True, learning_rate=3e-5)
    assert args.fsdp == "full_shard offload" and args.optim == "adamw_torch"
    assert (args.bf16, args.learning_rate, args.max_grad_norm) == (True, 3e-5, 1.0)
    stage = {"zero_optimization": {"stage": 2}, "gradient_clipping": 0.5, "train_micro_batch_size_per_gpu": 3}
    args = TrainingArguments("out", deepspeed=stage)
    assert (args.fsdp, args.max_grad_norm, args.per_device_train_batch_size) == ("shard_grad_op", 0.5, 3)
    assert not TrainingArguments("out", deepspeed={"zero_optimization": {"stage": 0}}).fsdp


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"zero_optimization": {"stage": 3, "offload_param": {"device": "nvme"}}}, "offload_param.device='nvme'"),
        ({"optimizer": {"type": "OneBitAdam"}}, "optimizer.type='OneBitAdam' needs the package deepspeed"),
        ({"compression_training": {"x": 1}, "sparse_attention": {"mode": "fixed"}}, "x=1, sparse_attention.mode"),
        ({"optimizer": {"type": "Adam", "params": {"adam_w_mode": False}}}, "adam_w_mode=False"),
        (3, "deepspeed=int needs the package deepspeed"),
    ],
)
def test_what_only_the_engine_does_is_named(config: Any, message: str) -> None:
    with pytest.raises(ImportError, match=message) as caught:
        TrainingArguments("out", deepspeed=config)
    assert isinstance(caught.value, NeedsDeepSpeed) and "fsdp='full_shard'" in str(caught.value)


def test_contradictions_are_refused() -> None:
    with pytest.raises(ValueError, match=r"gradient_clipping=0.5 and max_grad_norm=2.0"):
        TrainingArguments("out", deepspeed={"gradient_clipping": 0.5}, max_grad_norm=2.0)
    with pytest.raises(ValueError, match="give one of them"):
        TrainingArguments("out", deepspeed={"zero_optimization": {"stage": 3}}, fsdp="shard_grad_op")
    with pytest.raises(ValueError, match="train_batch_size=64, but the arguments make 8"):
        TrainingArguments("out", use_cpu=True, deepspeed={"train_batch_size": 64}).check_supported()
    with pytest.raises(FileNotFoundError, match="is no file"):
        TrainingArguments("out", deepspeed="missing.json")


LINEAR: dict[str, Any] = {"warmup_num_steps": 4, "warmup_type": "linear", "total_num_steps": "auto"}

# Of 10 steps the first 8, at lr=0.1: what the classes of DeepSpeed 0.19.8 set.
RATES: list[tuple[str, dict[str, Any], list[float]]] = [
    (
        "WarmupLR",
        {"warmup_min_lr": 0.01, "warmup_max_lr": "auto", "warmup_num_steps": 4},
        [0.01, 0.01, 0.055, 0.0813233, 0.1, 0.1, 0.1, 0.1],
    ),
    (
        "WarmupDecayLR",
        {**LINEAR, "warmup_max_lr": "auto"},
        [0.0, 0.0, 0.025, 0.05, 0.075, 0.1, 0.0833333, 0.0666667],
    ),
    (
        "WarmupCosineLR",
        {**LINEAR, "cos_min_ratio": 0.1},
        [0.0, 0.0, 0.025, 0.05, 0.075, 0.0939711, 0.0775, 0.055],
    ),
]


@pytest.mark.parametrize(("kind", "params", "expected"), RATES)
def test_rates_are_the_engines_step_by_step(kind: str, params: dict[str, Any], expected: list[float]) -> None:
    args = TrainingArguments("out", learning_rate=0.1, deepspeed={"scheduler": {"type": kind, "params": params}})
    optimizer = torch.optim.SGD(Net().parameters(), lr=0.1)
    schedule = schedule_of(args, optimizer, 10)
    assert schedule is not None
    found = []
    for _ in range(8):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert found == pytest.approx(expected, abs=1e-6)


def test_an_option_of_a_schedule_that_is_unknown_is_named() -> None:
    args = TrainingArguments("out", deepspeed={"scheduler": {"type": "WarmupLR", "params": {"cycle": 2}}})
    with pytest.raises(NeedsDeepSpeed, match=r"scheduler\.params\.cycle"):
        schedule_of(args, torch.optim.SGD(Net().parameters(), lr=0.1), 10)
