"""Optimizers by momentum or by squares alone: Lion, AdEMAMix and RMSprop."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from enfold.transformers.trainer.optimization.moving import PerTensor

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from enfold.transformers.trainer.optimization.moving import Keeping

__all__ = ["AdEMAMix", "Lion", "RMSprop"]


class Lion(PerTensor):
    """Moves every weight by the rate, in the direction that momentum and gradient agree on.

    Args:
        params: parameters, or groups of them.
        lr: rate; about a tenth of Adam's.
        betas: weight of the momentum in the direction, and in itself.
        weight_decay: share of the weights, times the rate, that is taken off at each step.
        keeping: how the state is kept; see :class:`Keeping`.

    Source: https://arxiv.org/abs/2302.06675
    """

    packed: ClassVar[Mapping[str, bool]] = {"exp_avg": True}

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        **keeping: Unpack[Keeping],
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay}, **keeping)

    def update(
        self, weight: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any]
    ) -> tuple[Tensor, float | Tensor]:
        """Return what to take off the weights, and before that, which share of the weights."""
        first, second = group["betas"]
        if "exp_avg" not in state:
            state["exp_avg"] = torch.zeros_like(grad)
        direction = torch.lerp(grad, state["exp_avg"], first).sign_()
        state["exp_avg"].lerp_(grad, 1 - second)
        return direction.mul_(group["lr"]), group["lr"] * group["weight_decay"]


class AdEMAMix(PerTensor):
    """Adam with a second, much longer memory of the gradients.

    Args:
        params: parameters, or groups of them.
        lr: rate.
        betas: memory of the gradients, of their squares, and the long one.
        alpha: weight of the long memory.
        t_alpha, t_beta3: steps over which ``alpha`` and the long memory grow to these values; None for none.
        eps: added to the root of the second moments.
        weight_decay: share of the weights, times the rate, that is taken off at each step.
        keeping: how the state is kept; see :class:`Keeping`.

    Source: https://arxiv.org/abs/2409.03137
    """

    packed: ClassVar[Mapping[str, bool]] = {"exp_avg": True, "exp_avg_slow": True, "exp_avg_sq": False}

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
        **keeping: Unpack[Keeping],
    ) -> None:
        options = {"alpha": alpha, "t_alpha": t_alpha, "t_beta3": t_beta3}
        values = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, **options}
        super().__init__(params, values, **keeping)

    def update(
        self, weight: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any]
    ) -> tuple[Tensor, float | Tensor]:
        """Return what to take off the weights, and before that, which share of the weights."""
        if "step" not in state:
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
        return update.mul_(group["lr"]), group["lr"] * group["weight_decay"]


class RMSprop(PerTensor):
    """Divides gradients by the root of their mean square, which may be kept in fewer bits.

    ``torch.optim.RMSprop`` is the faster one where the state stays in 32 bits.

    Args:
        params: parameters, or groups of them.
        lr: rate.
        alpha: memory of the squares.
        eps: added to their root.
        weight_decay: share of the weights that is added to the gradient.
        momentum: memory of the divided gradients.
        centered: subtract the square of the mean gradient from the mean square.
        keeping: how the state is kept; see :class:`Keeping`.
    """

    packed: ClassVar[Mapping[str, bool]] = {"square_avg": False, "momentum_buffer": True, "grad_avg": True}

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        **keeping: Unpack[Keeping],
    ) -> None:
        options = {"alpha": alpha, "eps": eps, "momentum": momentum, "centered": centered}
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, **options}, **keeping)

    def update(
        self, weight: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any]
    ) -> tuple[Tensor, float | Tensor]:
        """Return what to take off the weights, and before that, which share of the weights."""
        if group["weight_decay"]:
            grad = grad.add(weight, alpha=group["weight_decay"])
        names = {"square_avg": True, "momentum_buffer": group["momentum"], "grad_avg": group["centered"]}
        for name in [name for name, wanted in names.items() if wanted and name not in state]:
            state[name] = torch.zeros_like(grad)
        square = state["square_avg"].mul_(group["alpha"]).addcmul_(grad, grad, value=1 - group["alpha"])
        if group["centered"]:
            mean = state["grad_avg"].lerp_(grad, 1 - group["alpha"])
            square = square.addcmul(mean, mean, value=-1).clamp_(min=0)
        update = grad / square.sqrt().add_(group["eps"])
        if group["momentum"]:
            update = state["momentum_buffer"].mul_(group["momentum"]).add_(update)
        return update * group["lr"], 0.0
