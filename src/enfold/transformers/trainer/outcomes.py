"""What training, evaluation and prediction give back, and the small names they share."""

from __future__ import annotations

import enum
import os
import re
import time
from typing import Any, NamedTuple

import numpy as np

__all__ = [
    "EvalLoopOutput",
    "EvalPrediction",
    "FSDPOption",
    "HubStrategy",
    "IntervalStrategy",
    "PredictionOutput",
    "SaveStrategy",
    "TrainOutput",
    "get_last_checkpoint",
    "sort_checkpoints",
    "speed_metrics",
]

CHECKPOINT_PREFIX = "checkpoint"


class IntervalStrategy(str, enum.Enum):
    """When something happens during training."""

    NO = "no"
    STEPS = "steps"
    EPOCH = "epoch"


class SaveStrategy(str, enum.Enum):
    """When checkpoints are written."""

    NO = "no"
    STEPS = "steps"
    EPOCH = "epoch"
    BEST = "best"


class HubStrategy(str, enum.Enum):
    """What is pushed to the Hub, and when."""

    END = "end"
    EVERY_SAVE = "every_save"
    CHECKPOINT = "checkpoint"
    ALL_CHECKPOINTS = "all_checkpoints"


class FSDPOption(str, enum.Enum):
    """Words of the argument ``fsdp``."""

    FULL_SHARD = "full_shard"
    SHARD_GRAD_OP = "shard_grad_op"
    NO_SHARD = "no_shard"
    HYBRID_SHARD = "hybrid_shard"
    HYBRID_SHARD_ZERO2 = "hybrid_shard_zero2"
    OFFLOAD = "offload"
    AUTO_WRAP = "auto_wrap"


class TrainOutput(NamedTuple):
    """What :meth:`Trainer.train` returns."""

    global_step: int
    training_loss: float
    metrics: dict[str, float]


class PredictionOutput(NamedTuple):
    """What :meth:`Trainer.predict` returns."""

    predictions: np.ndarray[Any, Any] | tuple[Any, ...]
    label_ids: np.ndarray[Any, Any] | tuple[Any, ...] | None
    metrics: dict[str, float] | None


class EvalLoopOutput(NamedTuple):
    """What the evaluation loop returns."""

    predictions: Any
    label_ids: Any
    metrics: dict[str, float] | None
    num_samples: int | None


class EvalPrediction:
    """What ``compute_metrics`` gets; unpacks as ``predictions, labels``.

    Args:
        predictions: the model's outputs for all rows, shape (rows, …), or a tuple of such arrays.
        label_ids: the labels, shape (rows, …).
        inputs: the model's inputs, when ``include_for_metrics`` has "inputs".
        losses: the loss of each row's batch, when it has "loss".

    Example:
        >>> predictions, labels = EvalPrediction(np.zeros(2), np.ones(2))
        >>> labels
        array([1., 1.])
    """

    def __init__(self, predictions: Any, label_ids: Any, inputs: Any = None, losses: Any = None) -> None:
        self.predictions, self.label_ids, self.inputs, self.losses = predictions, label_ids, inputs, losses
        self.elements = (predictions, label_ids, *(extra for extra in (inputs, losses) if extra is not None))

    def __iter__(self) -> Any:
        return iter(self.elements)

    def __getitem__(self, index: int) -> Any:
        return self.elements[index]

    def __len__(self) -> int:
        return len(self.elements)


def speed_metrics(
    split: str, start_time: float, num_samples: float | None = None, num_steps: int | None = None
) -> dict[str, float]:
    """Return runtime in seconds and rates since ``start_time`` (of ``time.time()``), prefixed with ``split``.

    Example:
        >>> sorted(speed_metrics("eval", time.time() - 2, num_samples=10))
        ['eval_runtime', 'eval_samples_per_second']
    """
    runtime = time.time() - start_time
    metrics = {f"{split}_runtime": round(runtime, 4)}
    if runtime > 0:
        if num_samples is not None:
            metrics[f"{split}_samples_per_second"] = round(num_samples / runtime, 3)
        if num_steps is not None:
            metrics[f"{split}_steps_per_second"] = round(num_steps / runtime, 3)
    return metrics


def checkpoint_step(name: str) -> int | None:
    """Return the step of a folder named ``checkpoint-N``, or None."""
    found = re.fullmatch(rf"{CHECKPOINT_PREFIX}-(\d+)", name)
    return int(found.group(1)) if found else None


def get_last_checkpoint(folder: str) -> str | None:
    """Return the newest ``checkpoint-N`` folder inside ``folder``, or None."""
    if not os.path.isdir(folder):
        return None
    steps = {checkpoint_step(name): name for name in os.listdir(folder) if os.path.isdir(os.path.join(folder, name))}
    known = [step for step in steps if step is not None]
    return os.path.join(folder, steps[max(known)]) if known else None


def sort_checkpoints(
    output_dir: str,
    checkpoint_prefix: str = CHECKPOINT_PREFIX,
    use_mtime: bool = False,
    best_model_checkpoint: str | None = None,
) -> list[str]:
    """Return the checkpoints in a folder, oldest first.

    Args:
        output_dir: the folder.
        checkpoint_prefix: what their names begin with.
        use_mtime: by the time of their last change instead of by their steps.
        best_model_checkpoint: one to put right before the newest, out of reach of a rotation.
    """
    found: list[tuple[float, str]] = []
    for name in os.listdir(output_dir):
        path, step = os.path.join(output_dir, name), re.fullmatch(rf"{re.escape(checkpoint_prefix)}-(\d+)", name)
        if step and os.path.isdir(path):
            found.append((os.path.getmtime(path) if use_mtime else int(step.group(1)), path))
    ordered = [path for _, path in sorted(found)]
    best = next((path for path in ordered if path == os.path.normpath(best_model_checkpoint or "")), None)
    if best is not None and best != ordered[-1]:
        ordered.remove(best)
        ordered.insert(len(ordered) - 1, best)
    return ordered
