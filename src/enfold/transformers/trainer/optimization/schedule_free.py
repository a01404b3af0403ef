"""Optimizers that need no schedule: gradients are taken between a fast sequence and its running mean.

In training the weights are ``y``, where gradients are taken; after :meth:`eval` they are ``x``, the mean, which is what
is evaluated and saved; the state holds ``z``, the fast sequence. Source: https://arxiv.org/abs/2405.15682
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from enfold.transformers.trainer.optimization.moving import PerTensor

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from enfold.transformers.trainer.optimization.moving import Keeping

__all__ = ["AdamWScheduleFree", "RAdamScheduleFree", "SGDScheduleFree"]


class ScheduleFree(PerTensor):
    """What the three share."""

    def __init__(
        self,
        params: Iterable[Any],
        options: dict[str, Any],
        warmup_steps: int,
        r: float,
        weight_lr_power: float,
        **keeping: Unpack[Keeping],
    ) -> None:
        shared = {"warmup_steps": warmup_steps, "r": r, "weight_lr_power": weight_lr_power}
        counted = {"k": 0, "train_mode": False, "weight_sum": 0.0, "lr_max": -1.0, "scheduled_lr": 0.0}
        super().__init__(params, {**options, **shared, **counted}, **keeping)

    @staticmethod
    def _towards_mean(group: dict[str, Any]) -> float:
        """How close ``y`` is to the mean: 1 there, 0 at ``z``."""
        return float(group["momentum"] if "momentum" in group else group["betas"][0])

    @torch.no_grad()
    def _shift(self, training: bool) -> None:
        for group in self.param_groups:
            if group["train_mode"] == training:
                continue
            group["train_mode"] = training
            share = self._towards_mean(group)
            for parameter in group["params"]:
                if "z" in self.state.get(parameter, {}):
                    fast = self.state[parameter]["z"].to(parameter.dtype)
                    parameter.lerp_(fast, 1 - share if training else 1 - 1 / share)

    def train(self) -> None:
        """Put the weights where gradients are taken."""
        super().train()
        self._shift(True)

    def eval(self) -> None:
        """Put the weights at the mean, to evaluate or save them."""
        super().eval()
        self._shift(False)

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Move the weights; ``closure`` computes the loss anew and is called first."""
        if not all(group["train_mode"] for group in self.param_groups):
            raise RuntimeError(f"{type(self).__name__} evaluates: call its train() before a step")
        return super().step(closure)

    def rate(self, group: dict[str, Any]) -> float:
        """Return the rate of a step, with its warm-up."""
        warm = (group["k"] + 1) / group["warmup_steps"] if group["k"] < group["warmup_steps"] else 1.0
        return float(group["lr"]) * warm

    def begin(self, group: dict[str, Any], moving: list[Tensor]) -> None:
        """Count the step, and say how much its ``z`` weighs in the mean."""
        rate = group["scheduled_lr"] = self.rate(group)
        group["k"] += 1
        group["lr_max"] = max(rate, group["lr_max"])
        weight = group["k"] ** group["r"] * group["lr_max"] ** group["weight_lr_power"]
        group["weight_sum"] += weight
        self._share = weight / group["weight_sum"] if group["weight_sum"] else 0.0

    def move(self, weight: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> Tensor:
        """Move ``z`` and the weights; nothing else is to take off them."""
        if "z" not in state:
            state["z"] = weight.clone()
        direction, _ = self.kept(weight, grad, state, group)
        if group["weight_decay"]:
            direction = direction.add(weight, alpha=group["weight_decay"])
        rate, fast = group["scheduled_lr"], state["z"]
        weight.lerp_(fast, self._share)
        fast.sub_(direction, alpha=rate)
        return direction * (rate * (1 - self._towards_mean(group) * (1 - self._share)))


class SGDScheduleFree(ScheduleFree):
    """Gradient descent without a schedule.

    Args:
        params: parameters, or groups of them.
        lr: rate.
        momentum: how close to the mean gradients are taken, between 0 and 1.
        weight_decay: share of the weights that is added to the gradient.
        warmup_steps: steps over which the rate rises.
        r: power of the step's number in its weight in the mean.
        weight_lr_power: power of the largest rate so far in that weight.
        keeping: see :class:`Keeping`.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1.0,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        warmup_steps: int = 0,
        r: float = 0.0,
        weight_lr_power: float = 2.0,
        **keeping: Unpack[Keeping],
    ) -> None:
        if not 0 < momentum < 1:
            raise ValueError(f"momentum must be between 0 and 1, got {momentum}")
        options = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay}
        super().__init__(params, options, warmup_steps, r, weight_lr_power, **keeping)

    def update(
        self, weight: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any]
    ) -> tuple[Tensor, float | Tensor]:
        """Return the direction of a step."""
        return grad, 0.0


class AdamWScheduleFree(ScheduleFree):
    """Adam without a schedule.

    Args:
        params, weight_decay, warmup_steps, r, weight_lr_power: as of :class:`SGDScheduleFree`.
        lr: rate.
        betas: how close to the mean gradients are taken, and the memory of their squares.
        eps: added to the root of the second moments.
        keeping: see :class:`Keeping`.
    """

    packed: ClassVar[Mapping[str, bool]] = {"exp_avg_sq": False}

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 0.0025,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        warmup_steps: int = 0,
        r: float = 0.0,
        weight_lr_power: float = 2.0,
        **keeping: Unpack[Keeping],
    ) -> None:
        options = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, options, warmup_steps, r, weight_lr_power, **keeping)

    def update(
        self, weight: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any]
    ) -> tuple[Tensor, float | Tensor]:
        """Return the direction of a step."""
        long = group["betas"][1]
        square = state.setdefault("exp_avg_sq", torch.zeros_like(grad))
        square.mul_(long).addcmul_(grad, grad, value=1 - long)
        return grad / (square / (1 - long ** group["k"])).sqrt_().add_(group["eps"]), 0.0


class RAdamScheduleFree(AdamWScheduleFree):
    """Adam without a schedule or a warm-up: a step is shorter while its second moments are uncertain.

    Args:
        params, lr, betas, eps, weight_decay, r, weight_lr_power: as of :class:`AdamWScheduleFree`.
        silent_sgd_phase: leave the weights alone in the first steps, instead of moving them by plain gradients.
        keeping: see :class:`Keeping`.

    Source: https://arxiv.org/abs/1908.03265 (the rectified rate)
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 0.0025,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        r: float = 0.0,
        weight_lr_power: float = 2.0,
        silent_sgd_phase: bool = True,
        **keeping: Unpack[Keeping],
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, 0, r, weight_lr_power, **keeping)
        self._also(silent_sgd_phase=silent_sgd_phase)

    @staticmethod
    def _certainty(group: dict[str, Any], step: int) -> tuple[float, float]:
        """The length of the memory that second moments have, at a step and at last."""
        long = group["betas"][1]
        most = 2 / (1 - long) - 1
        return most - 2 * step * long**step / (1 - long**step), most

    def rate(self, group: dict[str, Any]) -> float:
        """Return the rate of a step."""
        now, most = self._certainty(group, group["k"] + 1)
        if now <= 4:
            return 0.0 if group["silent_sgd_phase"] else float(group["lr"])
        share = (now - 4) * (now - 2) * most / ((most - 4) * (most - 2) * now)
        return float(group["lr"]) * math.sqrt(share)

    def update(
        self, weight: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any]
    ) -> tuple[Tensor, float | Tensor]:
        """Return the direction of a step."""
        direction, decay = super().update(weight, grad, state, group)
        return (direction if self._certainty(group, group["k"])[0] > 4 else grad), decay
