"""Learning rates over the steps of a training: warm up, then one of the usual curves.

Every schedule is a factor of the optimizer's own rate as a function of the step (0 before the first update).
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

from enfold.errors import nearest
from enfold.transformers.trainer.greedy import GreedyLR, get_greedy_schedule

__all__ = [
    "SchedulerType",
    "follows_a_metric",
    "get_constant_schedule",
    "get_constant_schedule_with_warmup",
    "get_cosine_schedule_with_warmup",
    "get_cosine_with_hard_restarts_schedule_with_warmup",
    "get_cosine_with_min_lr_schedule_with_warmup",
    "get_cosine_with_min_lr_schedule_with_warmup_lr_rate",
    "get_inverse_sqrt_schedule",
    "get_linear_schedule_with_warmup",
    "get_polynomial_decay_schedule_with_warmup",
    "get_reduce_on_plateau_schedule",
    "get_scheduler",
    "get_wsd_schedule",
]

Factor = Callable[[int], float]  # step → factor
Curve = Callable[[float], float]  # progress through a stage, 0 to 1 → factor


class SchedulerType(str, enum.Enum):
    """The names that ``lr_scheduler_type`` takes."""

    LINEAR = "linear"
    COSINE = "cosine"
    COSINE_WITH_RESTARTS = "cosine_with_restarts"
    POLYNOMIAL = "polynomial"
    CONSTANT = "constant"
    CONSTANT_WITH_WARMUP = "constant_with_warmup"
    INVERSE_SQRT = "inverse_sqrt"
    REDUCE_ON_PLATEAU = "reduce_lr_on_plateau"
    COSINE_WITH_MIN_LR = "cosine_with_min_lr"
    COSINE_WARMUP_WITH_MIN_LR = "cosine_warmup_with_min_lr"
    WARMUP_STABLE_DECAY = "warmup_stable_decay"
    GREEDY = "greedy"


def _warmed(warmup: float, after: Factor) -> Factor:
    """Rise linearly from 0 over ``warmup`` steps, then follow ``after``."""
    return lambda step: step / max(1, warmup) if step < warmup else after(step)


def _progress(step: int, warmup: float, total: float) -> float:
    return (step - warmup) / max(1, total - warmup)


def _minimum(optimizer: Optimizer, min_lr: float | None, min_lr_rate: float | None) -> float:
    if (min_lr is None) == (min_lr_rate is None):
        raise ValueError("give exactly one of min_lr and min_lr_rate")
    return min_lr_rate if min_lr_rate is not None else float(min_lr or 0.0) / optimizer.defaults["lr"]


def get_constant_schedule(optimizer: Optimizer, last_epoch: int = -1) -> LambdaLR:
    """Keep the optimizer's own rate.

    Args:
        optimizer: whose rate is set.
        last_epoch: steps already done, when a training goes on.
    """
    return LambdaLR(optimizer, lambda step: 1.0, last_epoch)


def get_constant_schedule_with_warmup(optimizer: Optimizer, num_warmup_steps: int, last_epoch: int = -1) -> LambdaLR:
    """Rise linearly over ``num_warmup_steps``, then stay."""
    return LambdaLR(optimizer, _warmed(num_warmup_steps, lambda step: 1.0), last_epoch)


def get_linear_schedule_with_warmup(
    optimizer: Optimizer, num_warmup_steps: int, num_training_steps: int, last_epoch: int = -1
) -> LambdaLR:
    """Rise linearly over ``num_warmup_steps``, then fall linearly to 0 at ``num_training_steps``.

    Example:
        >>> import torch
        >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        >>> get_linear_schedule_with_warmup(optimizer, 2, 10).get_last_lr()
        [0.0]
    """

    def fall(step: int) -> float:
        return max(0.0, (num_training_steps - step) / max(1, num_training_steps - num_warmup_steps))

    return LambdaLR(optimizer, _warmed(num_warmup_steps, fall), last_epoch)


def get_cosine_schedule_with_warmup(
    optimizer: Optimizer,
    num_warmup_steps: int,
    num_training_steps: int,
    num_cycles: float = 0.5,
    last_epoch: int = -1,
) -> LambdaLR:
    """Rise linearly, then follow ``num_cycles`` waves of a cosine; half a wave falls to 0 once."""

    def wave(step: int) -> float:
        progress = _progress(step, num_warmup_steps, num_training_steps)
        return max(0.0, 0.5 * (1.0 + math.cos(math.pi * num_cycles * 2.0 * progress)))

    return LambdaLR(optimizer, _warmed(num_warmup_steps, wave), last_epoch)


def get_cosine_with_hard_restarts_schedule_with_warmup(
    optimizer: Optimizer, num_warmup_steps: int, num_training_steps: int, num_cycles: int = 1, last_epoch: int = -1
) -> LambdaLR:
    """Rise linearly, then fall along half a cosine ``num_cycles`` times, starting at the top each time."""

    def wave(step: int) -> float:
        progress = _progress(step, num_warmup_steps, num_training_steps)
        if progress >= 1.0:
            return 0.0
        return max(0.0, 0.5 * (1.0 + math.cos(math.pi * ((num_cycles * progress) % 1.0))))

    return LambdaLR(optimizer, _warmed(num_warmup_steps, wave), last_epoch)


def get_cosine_with_min_lr_schedule_with_warmup(
    optimizer: Optimizer,
    num_warmup_steps: int,
    num_training_steps: int,
    num_cycles: float = 0.5,
    last_epoch: int = -1,
    min_lr: float | None = None,
    min_lr_rate: float | None = None,
) -> LambdaLR:
    """Rise linearly, then follow a cosine down to ``min_lr`` (or to the share ``min_lr_rate`` of the rate)."""
    low = _minimum(optimizer, min_lr, min_lr_rate)

    def wave(step: int) -> float:
        progress = _progress(step, num_warmup_steps, num_training_steps)
        return max(0.0, 0.5 * (1.0 + math.cos(math.pi * num_cycles * 2.0 * progress)) * (1 - low) + low)

    return LambdaLR(optimizer, _warmed(num_warmup_steps, wave), last_epoch)


def get_cosine_with_min_lr_schedule_with_warmup_lr_rate(
    optimizer: Optimizer,
    num_warmup_steps: int,
    num_training_steps: int,
    num_cycles: float = 0.5,
    last_epoch: int = -1,
    min_lr: float | None = None,
    min_lr_rate: float | None = None,
    warmup_lr_rate: float | None = None,
) -> LambdaLR:
    """Like the one with a minimum, with a first step that is above 0 already.

    Args:
        optimizer: whose rate is set.
        num_warmup_steps, num_training_steps: lengths in steps.
        num_cycles: waves of the cosine.
        last_epoch: steps already done.
        min_lr, min_lr_rate: the lowest rate, or its share of the rate; one of them.
        warmup_lr_rate: share that the first step begins at; by default one warm-up step's worth.
    """
    low = _minimum(optimizer, min_lr, min_lr_rate)

    def factor(step: int) -> float:
        if step < num_warmup_steps:
            if warmup_lr_rate is None:
                return (step + 1.0) / max(1.0, num_warmup_steps)
            return warmup_lr_rate + (1.0 - warmup_lr_rate) * step / max(1, num_warmup_steps - 1)
        progress = (step - num_warmup_steps + 1.0) / max(1.0, num_training_steps - num_warmup_steps)
        return max(0.0, 0.5 * (1.0 + math.cos(math.pi * num_cycles * 2.0 * progress)) * (1 - low) + low)

    return LambdaLR(optimizer, factor, last_epoch)


def get_polynomial_decay_schedule_with_warmup(
    optimizer: Optimizer,
    num_warmup_steps: int,
    num_training_steps: int,
    lr_end: float = 1e-7,
    power: float = 1.0,
    last_epoch: int = -1,
) -> LambdaLR:
    """Rise linearly, then fall to ``lr_end`` along a polynomial of degree ``power``."""
    start = optimizer.defaults["lr"]
    if not start > lr_end:
        raise ValueError(f"lr_end ({lr_end}) must be below the optimizer's rate ({start})")

    def fall(step: int) -> float:
        if step > num_training_steps:
            return lr_end / start
        left = 1 - (step - num_warmup_steps) / (num_training_steps - num_warmup_steps)
        return ((start - lr_end) * left**power + lr_end) / start

    return LambdaLR(optimizer, _warmed(num_warmup_steps, fall), last_epoch)


def get_inverse_sqrt_schedule(
    optimizer: Optimizer, num_warmup_steps: int, timescale: int | None = None, last_epoch: int = -1
) -> LambdaLR:
    """Rise linearly, then fall with the square root of the step.

    Args:
        optimizer: whose rate is set.
        num_warmup_steps: length of the rise.
        timescale: steps after which the rate has fallen noticeably; by default the warm-up's length, or 10,000.
        last_epoch: steps already done.
    """
    scale = timescale if timescale is not None else num_warmup_steps or 10_000
    return LambdaLR(
        optimizer,
        _warmed(num_warmup_steps, lambda step: 1.0 / math.sqrt((step + scale - num_warmup_steps) / scale)),
        last_epoch,
    )


_RISES: dict[str, Curve] = {
    "linear": lambda progress: progress,
    "cosine": lambda progress: 0.5 * (1.0 - math.cos(math.pi * progress)),
    "1-sqrt": lambda progress: 1.0 - math.sqrt(1.0 - progress),
}


def get_wsd_schedule(
    optimizer: Optimizer,
    num_warmup_steps: int,
    num_decay_steps: int,
    num_training_steps: int | None = None,
    num_stable_steps: int | None = None,
    warmup_type: str = "linear",
    decay_type: str = "cosine",
    min_lr_ratio: float = 0,
    num_cycles: float = 0.5,
    last_epoch: int = -1,
) -> LambdaLR:
    """Warm up, stay, decay.

    Args:
        optimizer: whose rate is set.
        num_warmup_steps, num_decay_steps: lengths of the first and last stage.
        num_training_steps: whole length, from which the middle stage follows, or
        num_stable_steps: length of the middle stage.
        warmup_type, decay_type: ``"linear"``, ``"cosine"`` or ``"1-sqrt"``.
        min_lr_ratio: share of the rate to begin and end with.
        num_cycles: waves of a cosine decay.
        last_epoch: steps already done.

    Source: https://arxiv.org/abs/2404.06395
    """
    for kind in (warmup_type, decay_type):
        if kind not in _RISES:
            raise ValueError(f"unknown stage {kind!r}; expected one of {', '.join(_RISES)}")
    if num_stable_steps is None:
        if num_training_steps is None:
            raise ValueError("give num_training_steps or num_stable_steps")
        num_stable_steps = num_training_steps - num_warmup_steps - num_decay_steps
    decay_start = num_warmup_steps + num_stable_steps
    falls: dict[str, Curve] = {
        "linear": lambda progress: 1.0 - progress,
        "cosine": lambda progress: 0.5 * (1.0 + math.cos(math.pi * num_cycles * 2.0 * progress)),
        "1-sqrt": lambda progress: 1.0 - math.sqrt(progress),
    }

    def factor(step: int) -> float:
        if step < num_warmup_steps:
            value = _RISES[warmup_type](step / max(1, num_warmup_steps))
        elif step < decay_start:
            return 1.0
        elif step < decay_start + num_decay_steps:
            value = falls[decay_type]((step - decay_start) / max(1, num_decay_steps))
        else:
            return min_lr_ratio
        return max(0.0, value * (1.0 - min_lr_ratio) + min_lr_ratio)

    return LambdaLR(optimizer, factor, last_epoch)


def get_reduce_on_plateau_schedule(optimizer: Optimizer, **kwargs: Any) -> ReduceLROnPlateau:
    """Lower the rate when a metric stops improving; keyword arguments are torch's ``ReduceLROnPlateau``'s."""
    return ReduceLROnPlateau(optimizer, **kwargs)


# name → (function, takes the warm-up's length, takes the training's length)
_SCHEDULES: dict[str, tuple[Callable[..., Any], bool, bool]] = {
    "linear": (get_linear_schedule_with_warmup, True, True),
    "cosine": (get_cosine_schedule_with_warmup, True, True),
    "cosine_with_restarts": (get_cosine_with_hard_restarts_schedule_with_warmup, True, True),
    "polynomial": (get_polynomial_decay_schedule_with_warmup, True, True),
    "constant": (get_constant_schedule, False, False),
    "constant_with_warmup": (get_constant_schedule_with_warmup, True, False),
    "inverse_sqrt": (get_inverse_sqrt_schedule, True, False),
    "reduce_lr_on_plateau": (get_reduce_on_plateau_schedule, False, False),
    "cosine_with_min_lr": (get_cosine_with_min_lr_schedule_with_warmup, True, True),
    "cosine_warmup_with_min_lr": (get_cosine_with_min_lr_schedule_with_warmup_lr_rate, True, True),
    "warmup_stable_decay": (get_wsd_schedule, True, True),
    "greedy": (get_greedy_schedule, False, False),
}


def follows_a_metric(schedule: Any) -> bool:
    """Return whether a schedule's step takes the metric of an evaluation."""
    return isinstance(schedule, (ReduceLROnPlateau, GreedyLR))


def get_scheduler(
    name: str | SchedulerType,
    optimizer: Optimizer,
    num_warmup_steps: int | None = None,
    num_training_steps: int | None = None,
    scheduler_specific_kwargs: dict[str, Any] | None = None,
) -> Any:
    """Make a schedule by name.

    Args:
        name: one of :class:`SchedulerType`.
        optimizer: whose rate is set.
        num_warmup_steps: length of the warm-up, where the schedule has one.
        num_training_steps: length of the training, where the schedule depends on it.
        scheduler_specific_kwargs: further arguments of the schedule's own function.

    Raises:
        ValueError: the name is unknown or a length it needs is missing.
    """
    key = name.value if isinstance(name, SchedulerType) else str(name)
    if key not in _SCHEDULES:
        raise ValueError(f"unknown schedule {key!r}{nearest(key, _SCHEDULES)}; known: {', '.join(_SCHEDULES)}")
    function, warms, ends = _SCHEDULES[key]
    arguments = dict(scheduler_specific_kwargs or {})
    if warms:
        if num_warmup_steps is None:
            raise ValueError(f"schedule {key!r} needs num_warmup_steps")
        arguments["num_warmup_steps"] = num_warmup_steps
    if ends:
        if num_training_steps is None:
            raise ValueError(f"schedule {key!r} needs num_training_steps")
        arguments["num_training_steps"] = num_training_steps
    return function(optimizer, **arguments)
