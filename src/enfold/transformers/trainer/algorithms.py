"""Optimizers that torch does not have, or has in another form: Adafactor, Lion and AdEMAMix."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

__all__ = ["AdEMAMix", "Adafactor", "AdafactorSchedule", "Lion", "get_adafactor_schedule"]


class _PerTensor(Optimizer):
    """An optimizer that moves each tensor by itself; half-precision weights move in float32."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Move the weights; ``closure`` computes the loss anew and is called first."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                if parameter.grad.is_sparse:
                    raise RuntimeError(f"{type(self).__name__} takes no sparse gradients")
                half = parameter.dtype in (torch.float16, torch.bfloat16)
                weight = parameter.float() if half else parameter
                grad = parameter.grad.float() if half else parameter.grad
                self.move(weight, grad, self.state[parameter], group)
                if half:
                    parameter.copy_(weight)
        return loss

    def move(self, weight: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        """Change ``weight`` and ``state`` in place."""
        raise NotImplementedError


def _rms(tensor: Tensor) -> Tensor:
    return tensor.norm(2) / tensor.numel() ** 0.5


class Adafactor(_PerTensor):
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
    ) -> None:
        if lr is not None and relative_step:
            raise ValueError("Adafactor takes either lr or relative_step=True, not both")
        if warmup_init and not relative_step:
            raise ValueError("Adafactor's warmup_init=True needs relative_step=True")
        names = ("lr", "eps", "clip_threshold", "decay_rate", "beta1", "weight_decay")
        values = (lr, eps, clip_threshold, decay_rate, beta1, weight_decay)
        chosen = {"scale_parameter": scale_parameter, "relative_step": relative_step, "warmup_init": warmup_init}
        super().__init__(params, {**dict(zip(names, values, strict=True)), **chosen})

    @staticmethod
    def _get_lr(group: dict[str, Any], state: dict[str, Any]) -> Any:
        rate = group["lr"]
        if group["relative_step"]:
            most = 1e-6 * state["step"] if group["warmup_init"] else 1e-2
            rate = min(most, 1.0 / math.sqrt(state["step"]))
        return rate * max(group["eps"][1], state["RMS"]) if group["scale_parameter"] else rate

    def move(self, weight: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        """Change ``weight`` and ``state`` in place."""
        factored = grad.ndim >= 2
        if not state:
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
            update = state["exp_avg"].mul_(group["beta1"]).add_(update, alpha=1 - group["beta1"])
        if group["weight_decay"]:
            weight.mul_(1 - group["weight_decay"] * rate)
        weight.sub_(update)


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


class Lion(_PerTensor):
    """Moves every weight by the rate, in the direction that momentum and gradient agree on.

    Args:
        params: parameters, or groups of them.
        lr: rate; about a tenth of Adam's.
        betas: weight of the momentum in the direction, and in itself.
        weight_decay: share of the weights, times the rate, that is taken off at each step.

    Source: https://arxiv.org/abs/2302.06675
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    def move(self, weight: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        """Change ``weight`` and ``state`` in place."""
        first, second = group["betas"]
        if not state:
            state["exp_avg"] = torch.zeros_like(grad)
        direction = torch.lerp(grad, state["exp_avg"], first).sign_()
        weight.mul_(1 - group["lr"] * group["weight_decay"]).sub_(direction, alpha=group["lr"])
        state["exp_avg"].lerp_(grad, 1 - second)


class AdEMAMix(_PerTensor):
    """Adam with a second, much longer memory of the gradients.

    Args:
        params: parameters, or groups of them.
        lr: rate.
        betas: memory of the gradients, of their squares, and the long one.
        alpha: weight of the long memory.
        t_alpha, t_beta3: steps over which ``alpha`` and the long memory grow to these values; None for none.
        eps: added to the root of the second moments.
        weight_decay: share of the weights, times the rate, that is taken off at each step.

    Source: https://arxiv.org/abs/2409.03137
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float, float] = (0.9, 0.999, 0.9999),
        alpha: float = 5.0,
        t_alpha: int | None = None,
        t_beta3: int | None = None,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        options = {"alpha": alpha, "t_alpha": t_alpha, "t_beta3": t_beta3}
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, **options})

    def move(self, weight: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        """Change ``weight`` and ``state`` in place."""
        if not state:
            state.update(step=0, **{name: torch.zeros_like(grad) for name in ("exp_avg", "exp_avg_slow", "exp_avg_sq")})
        state["step"] += 1
        step, (short, square, long) = state["step"], group["betas"]
        alpha = group["alpha"] * min(step / group["t_alpha"], 1.0) if group["t_alpha"] else group["alpha"]
        if group["t_beta3"]:
            # The half-life grows evenly from the short memory's to the long one's (appendix A.1 of the paper).
            share = min(step / group["t_beta3"], 1.0)
            near, far = math.log(short), math.log(long)
            long = min(math.exp(near * far / ((1 - share) * far + share * near)), long)
        state["exp_avg"].lerp_(grad, 1 - short)
        state["exp_avg_slow"].lerp_(grad, 1 - long)
        state["exp_avg_sq"].mul_(square).addcmul_(grad, grad, value=1 - square)
        root = (state["exp_avg_sq"] / (1 - square**step)).sqrt_().add_(group["eps"])
        update = (state["exp_avg"] / (1 - short**step)).add_(state["exp_avg_slow"], alpha=alpha).div_(root)
        weight.mul_(1 - group["lr"] * group["weight_decay"]).sub_(update, alpha=group["lr"])
