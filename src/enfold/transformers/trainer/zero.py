"""``deepspeed``: a configuration of that engine, as what the same training is on torch's own parts."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.optim.lr_scheduler import LambdaLR

from enfold.errors import EnfoldError
from enfold.log import get_logger

if TYPE_CHECKING:
    from enfold.transformers.trainer.arguments import TrainingArguments

__all__ = ["NeedsDeepSpeed", "adopt", "schedule_of"]

logger = get_logger(__name__)


class NeedsDeepSpeed(ImportError, ValueError, EnfoldError):
    """A configuration asks for what only the engine itself does."""


# A key, and the argument that says the same.
_ARGUMENTS = {
    "train_micro_batch_size_per_gpu": "per_device_train_batch_size",
    "gradient_accumulation_steps": "gradient_accumulation_steps",
    "gradient_clipping": "max_grad_norm",
    "bf16.enabled": "bf16",
    "fp16.enabled": "fp16",
    "optimizer.params.lr": "learning_rate",
    "optimizer.params.eps": "adam_epsilon",
    "optimizer.params.weight_decay": "weight_decay",
}
_OPTIMIZERS = {"adam": "adamw_torch", "adamw": "adamw_torch", "lion": "lion_32bit", "sgd": "sgd", "adagrad": "adagrad"}
_SCHEDULES = ("WarmupLR", "WarmupDecayLR", "WarmupCosineLR")

# Keys that say how fast something is done, or what is printed, and change no weight.
_TUNING = (
    "steps_per_print", "wall_clock_breakdown", "dump_state", "memory_breakdown", "zero_allow_untested_optimizer",
    "zero_force_ds_cpu_optimizer", "aio.", "flops_profiler.", "comms_logger.", "fp16.auto_cast",
    "fp16.loss_scale_window",
    "fp16.initial_scale_power", "fp16.hysteresis", "fp16.min_loss_scale", "fp16.consecutive_hysteresis",
    "zero_optimization.overlap_comm", "zero_optimization.contiguous_gradients", "zero_optimization.reduce_bucket_size",
    "zero_optimization.reduce_scatter", "zero_optimization.allgather_bucket_size", "zero_optimization.sub_group_size",
    "zero_optimization.allgather_partitions", "zero_optimization.round_robin_gradients",
    "zero_optimization.ignore_unused_parameters", "zero_optimization.elastic_checkpoint",
    "zero_optimization.stage3_", "zero_optimization.offload_optimizer.", "zero_optimization.offload_param.",
    "optimizer.params.torch_adam",
)  # fmt: skip

# Keys that one value of asks for nothing.
_PLAIN: dict[str, Any] = {
    "fp16.loss_scale": 0,
    "optimizer.params.adam_w_mode": True,
    "optimizer.params.bias_correction": True,
    "prescale_gradients": False,
    "gradient_predivide_factor": 1.0,
}


def _read(given: Any) -> dict[str, Any]:
    if isinstance(given, (str, os.PathLike)):
        text = os.fspath(given)
        if not text.lstrip().startswith("{"):
            if not Path(text).is_file():
                raise FileNotFoundError(
                    f"deepspeed={text!r} is no file: give the path of a configuration, or a mapping"
                )
            text = Path(text).read_text("utf-8")
        given = json.loads(text)
    if not isinstance(given, dict):
        raise NeedsDeepSpeed(_needed(f"deepspeed={type(given).__name__}"))
    return given


def _flat(config: dict[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in config.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield before + name, value


def _needed(what: str) -> str:
    return (
        f"{what} needs the package deepspeed, which enfold does not drive. On torch's own parts fsdp='full_shard' cuts "
        "parameters, gradients and optimizer states between processes, 'shard_grad_op' keeps the parameters whole "
        "after the forward, 'full_shard offload' holds them in the processor's memory, parallelism_config cuts matrices"
    )


def adopt(args: TrainingArguments) -> None:
    """Set the arguments that a configuration stands for, and log what each of its keys became.

    ZeRO's stages become ``fsdp``. A value ``"auto"`` is the argument's; another one is taken over where the program
    did not name the argument itself.

    Raises:
        NeedsDeepSpeed: keys have no equivalent; the message names them.
        ValueError: configuration and arguments contradict each other.
    """
    config = dict(_flat(_read(args.deepspeed)))
    unknown: list[str] = []
    became: list[str] = []
    wrong: list[str] = []

    def take(key: str, name: str, value: Any) -> None:
        own = getattr(args, name)
        if value != "auto" and value != own:
            if name in args._given:
                wrong.append(f"{key}={value!r} and {name}={own!r}")
            setattr(args, name, value)
        became.append(f"{key} → {name}={getattr(args, name)!r}")

    for key, value in config.items():
        if key in _ARGUMENTS:
            take(key, _ARGUMENTS[key], value)
        elif key == "optimizer.params.betas":
            for name, beta in zip(
                ("adam_beta1", "adam_beta2"), value if value != "auto" else ("auto",) * 2, strict=True
            ):
                take(key, name, beta)
        elif key == "optimizer.type" and str(value).lower() in _OPTIMIZERS:
            take(key, "optim", _OPTIMIZERS[str(value).lower()])
        elif key == "scheduler.type" and value in _SCHEDULES:
            became.append(f"{key} → its own rates, step by step")
        elif key.startswith("scheduler.params.") or key in ("zero_optimization.stage", "train_batch_size"):
            pass
        elif key in ("zero_optimization.offload_optimizer.device", "zero_optimization.offload_param.device"):
            if value not in ("cpu", "none", None, "auto"):
                unknown.append(f"{key}={value!r}")
        elif key in _PLAIN and value in (_PLAIN[key], "auto"):
            became.append(f"{key}: nothing to do")
        elif any(key == name or (name[-1] in "._" and key.startswith(name)) for name in _TUNING):
            became.append(f"{key}: torch decides")
        elif value is False and key.endswith(".enabled"):
            became.append(f"{key}: off")
        else:
            unknown.append(f"{key}={value!r}")
    stage = config.get("zero_optimization.stage", 0)
    if stage not in (0, 1, 2, 3):
        unknown.append(f"zero_optimization.stage={stage!r}")
    if unknown:
        raise NeedsDeepSpeed(_needed(", ".join(unknown)))
    if wrong:
        raise ValueError(f"deepspeed and the arguments contradict each other: {'; '.join(wrong)}")
    away = "cpu" in (config.get(f"zero_optimization.offload_{what}.device") for what in ("optimizer", "param"))
    words = {0: "", 1: "shard_grad_op", 2: "shard_grad_op", 3: "full_shard"}[stage]
    if words:
        words += " offload" if away else ""
        if args.fsdp and args.fsdp != words:
            raise ValueError(f"deepspeed asks for fsdp={words!r}, but fsdp is {args.fsdp!r}: give one of them")
        args.fsdp = words
        became.append(f"zero_optimization.stage={stage} → fsdp={words!r}")
    if args.weight_decay and "optimizer.params.weight_decay" in config:
        became.append("weight_decay leaves out biases and norms, as it does without deepspeed")
    for line in became:
        logger.info("deepspeed: %s", line)


def check_rows(args: TrainingArguments) -> None:
    """Raise where ``train_batch_size`` is not what batches, windows and processes make."""
    whole = _read(args.deepspeed).get("train_batch_size", "auto")
    own = args.per_device_train_batch_size * args.gradient_accumulation_steps * args.world_size
    if whole not in ("auto", own):
        raise ValueError(f"deepspeed asks for train_batch_size={whole}, but the arguments make {own}")


def schedule_of(args: TrainingArguments, optimizer: torch.optim.Optimizer, steps: int) -> LambdaLR | None:
    """Return the schedule that a configuration asks for, or None.

    Args:
        args: its values ``"auto"`` are these arguments'.
        optimizer: whose rate follows.
        steps: of the whole training.
    """
    section = _read(args.deepspeed).get("scheduler")
    if not section:
        return None
    kind, params = section["type"], dict(section.get("params", {}))

    def value(name: str, auto: Any, default: Any) -> Any:
        given = params.pop(name, default)
        return auto if given == "auto" else given

    most = args.learning_rate
    warm = max(2, int(value("warmup_num_steps", args.get_warmup_steps(steps), 1000)))
    log = value("warmup_type", "log", "log") == "log"
    total = 0 if kind == "WarmupLR" else value("total_num_steps", steps, steps)
    if kind == "WarmupCosineLR":
        least, floor = value("warmup_min_ratio", 0.0, 0.0), value("cos_min_ratio", 0.0001, 0.0001)
    else:
        # The engine's rate is absolute; ours is a share of the optimizer's.
        least = value("warmup_min_lr", 0.0, 0.0) / most
        highest, floor = value("warmup_max_lr", most, most) / most, 0.0
    if params:
        raise NeedsDeepSpeed(_needed(", ".join(f"scheduler.params.{name}" for name in params)))

    def rising(step: int) -> float:
        return math.log(step + 1) / math.log(warm) if log else step / warm

    def cosine(step: int) -> float:
        if step < 0:
            return 0.0
        if step < warm:
            return float(least + (1 - least) * rising(step))
        done = min(1.0, (step - warm + 1) / max(1, total - warm))
        return float(max(0.0, floor + (1 - floor) * (1 + math.cos(math.pi * done)) / 2))

    def straight(step: int) -> float:
        if step < 0:
            return float(least)
        share = rising(step) if step < warm else 1.0
        if step >= warm and kind == "WarmupDecayLR":
            share = max(0.0, (total - step) / max(1.0, total - warm))
        return float(least + (highest - least) * share)

    rate: Callable[[int], float] = cosine if kind == "WarmupCosineLR" else straight
    # The engine's first step is at its smallest rate, before its own count begins.
    return LambdaLR(optimizer, lambda step: rate(step - 1))
