"""What the rooms of the trainer share: its attributes, and what it raises."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from enfold.accelerate.accelerator import Accelerator
from enfold.errors import EnfoldError
from enfold.transformers.trainer.arguments import TrainingArguments
from enfold.transformers.trainer.callbacks import CallbackHandler, TrainerControl, TrainerState
from enfold.transformers.trainer.memory import MemoryMeter
from enfold.transformers.trainer.outcomes import get_last_checkpoint

__all__ = ["STAGES", "NonFiniteLoss", "Parts", "TrainerError"]

STAGES = ("data", "forward", "backward", "optimizer", "evaluation", "saving")


class TrainerError(ValueError, EnfoldError):
    """A training cannot begin or go on: something it needs is missing or does not fit."""


class NonFiniteLoss(TrainerError):
    """The loss of a step is not a number: the training stopped before it reached the weights."""

    @classmethod
    def at(cls, step: int, value: float, batch: str, output_dir: str | None) -> NonFiniteLoss:
        """Return the error for a step's batch; it names the checkpoint to go on from."""
        last = get_last_checkpoint(output_dir or "")
        kept = f"the last good checkpoint is {last}" if last else "no checkpoint had been written"
        return cls(
            f"the loss of step {step} is {value} ({batch}). Training stopped before the weights took it in; {kept}. "
            "Lower learning_rate, set max_grad_norm, look at that batch's labels, or train on with "
            "logging_nan_inf_filter=False"
        )


class Parts:
    """The attributes of a trainer, which its constructor sets."""

    args: TrainingArguments
    model: nn.Module
    model_wrapped: nn.Module
    accelerator: Accelerator
    processing_class: Any
    data_collator: Any
    train_dataset: Any
    eval_dataset: Any
    optimizer: torch.optim.Optimizer | None
    lr_scheduler: Any
    compute_loss_func: Callable[..., Tensor] | None
    label_names: list[str]
    loss_is_scaled_for_ga: bool | None
    state: TrainerState
    control: TrainerControl
    callback_handler: CallbackHandler
    timings: dict[str, float]
    _own_scheduler: bool
    _batch_weight: float = 1.0  # share of a batch in its window
    _shifts: bool  # labels are shifted by one inside the model
    _flops: float
    _main_input: str
    _rate: float
    _grad_norm: Any
    _loss_sum: Tensor
    _loss_total: float
    _last_log: int
    _fitting_rows: int  # rows of a batch that fit memory, once that was found out; 0 for all
    _meter: MemoryMeter
    _trial: Any  # of a search
    _judge: Callable[[dict[str, float]], Any]
    _objective: Any
    # What the loop calls, and a subclass may replace.
    evaluate: Callable[..., dict[str, float]]
    log: Callable[..., None]
    save_model: Callable[..., None]
    training_step: Callable[..., Tensor]
    create_optimizer_and_scheduler: Callable[[int], None]
    get_learning_rates: Callable[[], list[float]]
    get_total_train_batch_size: Callable[..., int]
    compare_trainer_and_checkpoint_args: Callable[[TrainingArguments, TrainerState], None]
    is_local_process_zero: Callable[[], bool]
    is_world_process_zero: Callable[[], bool]
    _optimizer_trains: Callable[[bool], None]
    _event: Callable[..., TrainerControl]
