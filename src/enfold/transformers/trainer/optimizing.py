"""The optimizer and the schedule of a trainer: made once, unless they were given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from enfold.errors import nearest
from enfold.transformers.trainer.arguments import TrainingArguments
from enfold.transformers.trainer.optimizers import decay_parameter_names, make_optimizer, optimizer_class
from enfold.transformers.trainer.parts import Parts, TrainerError
from enfold.transformers.trainer.schedules import get_scheduler
from enfold.transformers.trainer.zero import schedule_of

__all__ = ["Optimizing"]


class Optimizing(Parts):
    """The optimizer of a trainer."""

    optimizer_cls_and_kwargs: tuple[type[torch.optim.Optimizer], dict[str, Any]] | None
    create_model_card: Callable[..., None]

    def get_decay_parameter_names(self, model: nn.Module) -> list[str]:
        """Return the names of the parameters that weight decay applies to."""
        return decay_parameter_names(model)

    @staticmethod
    def get_optimizer_cls_and_kwargs(
        args: TrainingArguments, model: nn.Module | None = None
    ) -> tuple[type[torch.optim.Optimizer], dict[str, Any]]:
        """Return the optimizer's class and arguments that ``args`` asks for."""
        return optimizer_class(args, model)

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """Make the optimizer unless there is one, and return it."""
        if self.optimizer is None:
            target = model if model is not None else self.model
            names = self.get_decay_parameter_names(target)
            given = self.optimizer_cls_and_kwargs or self.get_optimizer_cls_and_kwargs(self.args, target)
            self.optimizer = make_optimizer(target, self.args, given, names)
        return self.optimizer

    def _optimizer_trains(self, trains: bool) -> None:
        """Tell an optimizer that makes a difference whether the weights are to be trained, or evaluated and saved."""
        tell = getattr(self.optimizer, "train" if trains else "eval", None)
        if callable(tell):
            tell()

    def create_scheduler(self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None) -> Any:
        """Make the schedule of the learning rate unless there is one, and return it."""
        if self.lr_scheduler is None:
            target = optimizer if optimizer is not None else self.optimizer
            if target is None:
                raise TrainerError("a schedule needs an optimizer: call create_optimizer first")
            engines = schedule_of(self.args, target, num_training_steps) if self.args.deepspeed else None
            self.lr_scheduler = engines or get_scheduler(
                self.args.lr_scheduler_type,
                target,
                self.args.get_warmup_steps(num_training_steps),
                num_training_steps,
                self.args.lr_scheduler_kwargs,  # type: ignore[arg-type]
            )
        return self.lr_scheduler

    def create_optimizer_and_scheduler(self, num_training_steps: int) -> None:
        """Make optimizer and schedule."""
        self.create_optimizer()
        self.create_scheduler(num_training_steps, self.optimizer)

    def get_learning_rates(self) -> list[float]:
        """Return the learning rate of each group of parameters."""
        return [float(group["lr"]) for group in self.optimizer.param_groups] if self.optimizer is not None else []

    def get_num_trainable_parameters(self) -> int:
        """Return how many parameters train."""
        return sum(parameter.numel() for parameter in self.model.parameters() if parameter.requires_grad)

    def get_optimizer_group(self, param: str | nn.Parameter | None = None) -> Any:
        """Return the optimizer's group that a parameter (or the one of that name) is in; all groups without one."""
        if self.optimizer is None:
            raise TrainerError("there is no optimizer yet: call create_optimizer first")
        if param is None:
            return [group["params"] for group in self.optimizer.param_groups]
        if isinstance(param, str):
            named = dict(self.model.named_parameters())
            if param not in named:
                raise TrainerError(f"the model has no parameter {param!r}{nearest(param, named)}")
            param = named[param]
        return next(
            (group for group in self.optimizer.param_groups if any(item is param for item in group["params"])), None
        )
