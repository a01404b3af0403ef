"""Learning rates over a training: the Trainer's schedules under diffusers' arguments, and steps between constants."""

from __future__ import annotations

from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from enfold.errors import EnfoldError
from enfold.lazy import face

__all__ = ["get_piecewise_constant_schedule", "get_scheduler"]

_trainer, __dir__, _ = face(
    __name__,
    {
        "enfold.transformers.trainer": [
            "SchedulerType",
            "get_constant_schedule",
            "get_constant_schedule_with_warmup",
            "get_cosine_schedule_with_warmup",
            "get_cosine_with_hard_restarts_schedule_with_warmup",
            "get_linear_schedule_with_warmup",
            "get_polynomial_decay_schedule_with_warmup",
            "_by_name=get_scheduler",
        ]
    },
)
__getattr__ = _trainer


def get_piecewise_constant_schedule(optimizer: Optimizer, step_rules: str, last_epoch: int = -1) -> LambdaLR:
    """Multiply the learning rate by a constant up to a step, by another up to the next, and so on.

    Args:
        optimizer: whose rate is set.
        step_rules: ``"1:10,0.1:20,0.01"``: factor 1 before step 10, 0.1 before step 20, 0.01 afterwards.
        last_epoch: of a training that goes on.

    Example:
        >>> import torch
        >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        >>> get_piecewise_constant_schedule(optimizer, "1:1,0.5").get_last_lr()
        [1.0]
    """
    *rules, last = step_rules.split(",")
    try:
        limits = [(int(step), float(factor)) for factor, step in (rule.split(":") for rule in rules)]
        end = float(last)
    except ValueError:
        raise EnfoldError(
            f"step_rules are {step_rules!r}; expected FACTOR:STEP,…,FACTOR as in '1:10,0.1:20,0.01'"
        ) from None
    return LambdaLR(optimizer, lambda step: next((factor for limit, factor in limits if step < limit), end), last_epoch)


def get_scheduler(
    name: Any,
    optimizer: Optimizer,
    step_rules: str | None = None,
    num_warmup_steps: int | None = None,
    num_training_steps: int | None = None,
    num_cycles: int = 1,
    power: float = 1.0,
    last_epoch: int = -1,
) -> Any:
    """Make a schedule by name.

    Args:
        name: "linear", "cosine", "cosine_with_restarts", "polynomial", "constant", "constant_with_warmup" or
            "piecewise_constant".
        optimizer: whose rate is set.
        step_rules: for "piecewise_constant"; see ``get_piecewise_constant_schedule``.
        num_warmup_steps: length of the warm-up, where the schedule has one.
        num_training_steps: length of the training, where the schedule depends on it.
        num_cycles: how often "cosine_with_restarts" restarts.
        power: of "polynomial".
        last_epoch: of a training that goes on.
    """
    key = getattr(name, "value", name)
    if key == "piecewise_constant":
        return get_piecewise_constant_schedule(optimizer, step_rules or "", last_epoch)
    options: dict[str, dict[str, Any]] = {
        "cosine_with_restarts": {"num_cycles": num_cycles},
        "polynomial": {"power": power},
    }
    more = options.get(key, {})
    return _trainer("_by_name")(
        optimizer=optimizer,
        name=key,
        num_warmup_steps=num_warmup_steps,
        num_training_steps=num_training_steps,
        scheduler_specific_kwargs={**more, "last_epoch": last_epoch},
    )
