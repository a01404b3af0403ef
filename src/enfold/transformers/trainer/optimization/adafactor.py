"""Adafactor, and its relative that moves inside the backward pass: what keeps the least state of all."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from enfold.transformers.trainer.optimization.moving import PerTensor

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from enfold.transformers.trainer.optimization.moving import Keeping

__all__ = ["AdaLomo", "Adafactor", "AdafactorSchedule", "Lomo", "get_adafactor_schedule"]


def _rms(tensor: Tensor) -> Tensor:
    return tensor.norm(2) / tensor.numel() ** 0.5


class Adafactor(PerTensor):
    """Adam whose second moments are kept as a row and a column for each matrix, and that can choose its own rate.

    Args:
        params: parameters, or groups of them.
        lr: rate; None with ``relative_step``.
        eps: added to squared gradients, and the smallest scale of a parameter.
        clip_threshold: largest root mean square of an update.
        decay_rate: how fast the memory of second moments grows with the steps.
        beta1: weight of past updates; None keeps none.
        weight_decay: share of the weights, times the rate, that is taken off at each step.
        scale_parameter: multiply the rate by the parameter's root mean square.
        relative_step: choose the rate from the number of steps.
        warmup_init: begin that with a small rate.
        keeping: when it moves; see :class:`Keeping`.

    Source: https://arxiv.org/abs/1804.04235
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | None = None,
        eps: tuple[float, float] = (1e-30, 1e-3),
        clip_threshold: float = 1.0,
        decay_rate: float = -0.8,
        beta1: float | None = None,
        weight_decay: float = 0.0,
        scale_parameter: bool = True,
        relative_step: bool = True,
        warmup_init: bool = False,
        **keeping: Unpack[Keeping],
    ) -> None:
        if lr is not None and relative_step:
            raise ValueError("Adafactor takes either lr or relative_step=True, not both")
        if warmup_init and not relative_step:
            raise ValueError("Adafactor's warmup_init=True needs relative_step=True")
        names = ("lr", "eps", "clip_threshold", "decay_rate", "beta1", "weight_decay")
        values = (lr, eps, clip_threshold, decay_rate, beta1, weight_decay)
        chosen = {"scale_parameter": scale_parameter, "relative_step": relative_step, "warmup_init": warmup_init}
        super().__init__(params, {**dict(zip(names, values, strict=True)), **chosen}, **keeping)

    @staticmethod
    def _get_lr(group: dict[str, Any], state: dict[str, Any]) -> Any:
        rate = group["lr"]
        if group["relative_step"]:
            most = 1e-6 * state["step"] if group["warmup_init"] else 1e-2
            rate = min(most, 1.0 / math.sqrt(state["step"]))
        return rate * max(group["eps"][1], state["RMS"]) if group["scale_parameter"] else rate

    def update(
        self, weight: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any]
    ) -> tuple[Tensor, float | Tensor]:
        """Return what to take off the weights, and before that, which share of the weights."""
        factored = grad.ndim >= 2
        if "step" not in state:
            state["step"] = 0
            if group["beta1"] is not None:
                state["exp_avg"] = torch.zeros_like(grad)
            if factored:
                state["exp_avg_sq_row"] = grad.new_zeros(grad.shape[:-1])
                state["exp_avg_sq_col"] = grad.new_zeros(grad.shape[:-2] + grad.shape[-1:])
            else:
                state["exp_avg_sq"] = torch.zeros_like(grad)
        state["step"] += 1
        state["RMS"] = _rms(weight)
        rate = self._get_lr(group, state)
        kept = 1.0 - math.pow(state["step"], group["decay_rate"])
        square = grad**2 + group["eps"][0]
        if factored:
            row, column = state["exp_avg_sq_row"], state["exp_avg_sq_col"]
            row.mul_(kept).add_(square.mean(dim=-1), alpha=1.0 - kept)
            column.mul_(kept).add_(square.mean(dim=-2), alpha=1.0 - kept)
            shares = (row / row.mean(dim=-1, keepdim=True)).rsqrt_().unsqueeze(-1)
            update = shares * column.unsqueeze(-2).rsqrt() * grad
        else:
            update = state["exp_avg_sq"].mul_(kept).add_(square, alpha=1.0 - kept).rsqrt().mul_(grad)
        update.div_((_rms(update) / group["clip_threshold"]).clamp_(min=1.0)).mul_(rate)
        if group["beta1"] is not None:
            update = state["exp_avg"].mul_(group["beta1"]).add_(update, alpha=1 - group["beta1"]).clone()
        return update, group["weight_decay"] * rate if group["weight_decay"] else 0.0


class AdaLomo(Adafactor):
    """Adafactor with steps in proportion to the weights, each taken as soon as its gradient is there.

    Args:
        params: parameters, or groups of them.
        lr: rate, multiplied by each tensor's root mean square.
        eps, clip_threshold, decay_rate, weight_decay: as of :class:`Adafactor`.
        keeping: when it moves: inside the backward pass unless ``in_backward`` is False.

    Source: https://arxiv.org/abs/2310.10195
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        eps: tuple[float, float] = (1e-30, 1e-3),
        clip_threshold: float = 1.0,
        decay_rate: float = -0.8,
        weight_decay: float = 0.0,
        **keeping: Unpack[Keeping],
    ) -> None:
        keeping.setdefault("in_backward", True)
        chosen = {"weight_decay": weight_decay, "scale_parameter": True, "relative_step": False}
        super().__init__(params, lr, eps, clip_threshold, decay_rate, **chosen, **keeping)  # type: ignore[arg-type]


class Lomo(PerTensor):
    """Plain gradient descent, each step taken as soon as its gradient is there: no state, and one gradient at a time.

    Args:
        params: parameters, or groups of them.
        lr: rate.
        weight_decay: share of the weights, times the rate, that is taken off at each step.
        clip_grad_value: largest magnitude of a gradient's values; None for any.
        keeping: when it moves: inside the backward pass unless ``in_backward`` is False.

    Source: https://arxiv.org/abs/2306.09782
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        weight_decay: float = 0.0,
        clip_grad_value: float | None = None,
        **keeping: Unpack[Keeping],
    ) -> None:
        keeping.setdefault("in_backward", True)
        super().__init__(
            params, {"lr": lr, "weight_decay": weight_decay, "clip_grad_value": clip_grad_value}, **keeping
        )

    def update(
        self, weight: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any]
    ) -> tuple[Tensor, float | Tensor]:
        """Return what to take off the weights, and before that, which share of the weights."""
        most = group["clip_grad_value"]
        return (grad if most is None else grad.clamp(-most, most)) * group["lr"], group["lr"] * group["weight_decay"]


class AdafactorSchedule(LambdaLR):
    """Shows the rates that :class:`Adafactor` chooses for itself as a schedule, for loops that want one.

    Args:
        optimizer: the Adafactor.
        initial_lr: what to show before the first step.
    """

    def __init__(self, optimizer: Optimizer, initial_lr: float = 0.0) -> None:
        for group in optimizer.param_groups:
            group["initial_lr"] = initial_lr
        super().__init__(optimizer, lambda _: initial_lr)
        for group in optimizer.param_groups:
            del group["initial_lr"]

    def get_lr(self) -> list[Any]:
        """Return the rate of each group."""
        optimizer = self.optimizer
        firsts = [(group, group["params"][0]) for group in optimizer.param_groups]
        rates = [Adafactor._get_lr(group, optimizer.state[first]) for group, first in firsts if first.grad is not None]
        return rates or self.base_lrs


def get_adafactor_schedule(optimizer: Optimizer, initial_lr: float = 0.0) -> AdafactorSchedule:
    """Return a schedule that shows the rates an :class:`Adafactor` chooses for itself."""
    return AdafactorSchedule(optimizer, initial_lr)
