"""Adam with decoupled decay, and what others made of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from enfold.transformers.trainer.optimization.moving import PerTensor

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from enfold.transformers.trainer.optimization.moving import Keeping

__all__ = ["AdamW", "AnyPrecisionAdamW", "GrokAdamW", "Moments", "StableAdamW", "moments"]


class Moments(NamedTuple):
    """Means of gradients and of their squares, and how far both are from their full size."""

    first: Tensor
    second: Tensor
    short_of_first: float
    short_of_second: float


def moments(grad: Tensor, state: dict[str, Any], group: dict[str, Any], shrink: float = 1.0) -> Moments:
    """Take a gradient into the means of a state; ``shrink`` shortens the memory of the first."""
    if "exp_avg" not in state:
        state["step"] = 0
        state["exp_avg"] = torch.zeros_like(grad, dtype=group.get("momentum_dtype"))
        state["exp_avg_sq"] = torch.zeros_like(grad, dtype=group.get("variance_dtype"))
    state["step"] += 1
    short, long = group["betas"]
    first, second = state["exp_avg"].to(grad.dtype), state["exp_avg_sq"].to(grad.dtype)
    first.lerp_(grad, 1 - short * shrink)
    second.mul_(long).addcmul_(grad, grad, value=1 - long)
    for name, value in (("exp_avg", first), ("exp_avg_sq", second)):
        state[name] = value if state[name] is value else value.to(state[name].dtype)
    return Moments(first, second, 1 - short ** state["step"], 1 - long ** state["step"])


class AdamW(PerTensor):
    """Adam with decoupled weight decay.

    ``torch.optim.AdamW`` is the faster one where the state stays in 32 bits and the weights do too.

    Args:
        params: parameters, or groups of them.
        lr: rate.
        betas: memory of the gradients, and of their squares.
        eps: added to the root of the second moments.
        weight_decay: share of the weights, times the rate, that is taken off at each step.
        keeping: how the state is kept; see :class:`Keeping`.

    Source: https://arxiv.org/abs/1711.05101

    Example:
        >>> weight = torch.nn.Parameter(torch.ones(2)); weight.grad = torch.tensor([1.0, -1.0])
        >>> _ = AdamW([weight], lr=0.1).step()
        >>> [round(value, 3) for value in weight.tolist()]
        [0.9, 1.1]
    """

    packed: ClassVar[Mapping[str, bool]] = {"exp_avg": True, "exp_avg_sq": False}

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        **keeping: Unpack[Keeping],
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}, **keeping)

    def update(
        self, weight: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any]
    ) -> tuple[Tensor, float | Tensor]:
        """Return what to take off the weights, and before that, which share of the weights."""
        first, second, short_of_first, short_of_second = moments(grad, state, group)
        root = (second / short_of_second).sqrt_().add_(group["eps"])
        return (first / root).mul_(group["lr"] / short_of_first), group["lr"] * group["weight_decay"]


class AnyPrecisionAdamW(AdamW):
    """Adam whose moments are kept in types of one's choice, and whose sums remember what rounding took.

    Args:
        params, lr, betas, eps, weight_decay: as of :class:`AdamW`.
        use_kahan_summation: keep what rounding takes off the weights.
        momentum_dtype, variance_dtype: types of the means of gradients, and of their squares.
        compensation_buffer_dtype: type of what rounding took.
        keeping: as of :class:`AdamW`.

    Source: https://arxiv.org/abs/2010.06192
    """

    packed: ClassVar[Mapping[str, bool]] = {}

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        use_kahan_summation: bool = False,
        momentum_dtype: torch.dtype = torch.bfloat16,
        variance_dtype: torch.dtype = torch.bfloat16,
        compensation_buffer_dtype: torch.dtype = torch.bfloat16,
        **keeping: Unpack[Keeping],
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, **keeping)
        self._also(momentum_dtype=momentum_dtype, variance_dtype=variance_dtype)
        self._also(kahan_sum=use_kahan_summation, compensation_buffer_dtype=compensation_buffer_dtype)


class StableAdamW(AdamW):
    """Adam that slows down where a gradient is larger than its second moments expect.

    Args:
        params, lr, betas, eps, weight_decay: as of :class:`AdamW`.
        decouple_lr: take ``weight_decay`` itself off the weights while the rate is at its largest.
        max_lr: the largest rate of the schedule, for ``decouple_lr``; by default ``lr``.
        kahan_sum: keep what rounding takes off the weights; None for half-precision weights only.
        keeping: as of :class:`AdamW`.

    Source: https://arxiv.org/abs/2304.13013
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.99),
        eps: float = 1e-6,
        weight_decay: float = 1e-2,
        decouple_lr: bool = False,
        max_lr: float | None = None,
        kahan_sum: bool | None = None,
        **keeping: Unpack[Keeping],
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, **keeping)
        self._also(decouple_lr=decouple_lr, max_lr=lr if max_lr is None else max_lr, kahan_sum=kahan_sum)

    def update(
        self, weight: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any]
    ) -> tuple[Tensor, float | Tensor]:
        """Return what to take off the weights, and before that, which share of the weights."""
        first, second, short_of_first, short_of_second = moments(grad, state, group)
        square, eps = second / short_of_second, group["eps"]
        surprise = (grad * grad).div_(square.clamp(min=eps**2)).mean().sqrt_()
        rate = group["lr"] / surprise.clamp_(min=1.0)
        share = rate / group["max_lr"] if group["decouple_lr"] else rate
        update = (first / square.sqrt_().add_(eps)).mul_(rate / short_of_first)
        return update, share * group["weight_decay"]


class GrokAdamW(AdamW):
    """Adam on gradients whose slow part is made stronger, with a shorter memory for each further tensor of a group.

    Args:
        params, lr, betas, eps, weight_decay: as of :class:`AdamW`.
        alpha_init: memory of the slow part.
        lamb: how much stronger it is made.
        gamma: how much shorter the memory of each further tensor is.
        grokking_signal_fns: functions whose mean, the signal, shortens the memory of the slow part; by default how far
            ``group["eval_loss"]`` is above ``group["train_loss"]``, where a program sets both.
        grokking_signal_decay_rate: how much the signal does so.
        gradient_clipping: longest gradient of one tensor; 0 for any.
        keeping: as of :class:`AdamW`.

    Source: https://arxiv.org/abs/2405.20233 (the slow gradients), and the package ``grokadamw``.
    """

    packed: ClassVar[Mapping[str, bool]] = {"exp_avg": True, "exp_avg_sq": False, "grok_ema": True}

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        alpha_init: float = 0.98,
        lamb: float = 2.0,
        gamma: float = 0.1,
        grokking_signal_fns: list[Callable[[], float | None]] | None = None,
        grokking_signal_decay_rate: float = 0.1,
        gradient_clipping: float = 1.0,
        **keeping: Unpack[Keeping],
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, **keeping)
        self.grokking_signal_fns = list(grokking_signal_fns or ())
        self._also(alpha_init=alpha_init, lamb=lamb, gamma=gamma, gradient_clipping=gradient_clipping)
        self._also(grokking_signal_decay_rate=grokking_signal_decay_rate)

    def _signal(self, group: dict[str, Any]) -> float:
        if self.grokking_signal_fns:
            said = [value for value in (function() for function in self.grokking_signal_fns) if value is not None]
            return sum(said) / len(said) if said else 0.0
        train, held_out = group.get("train_loss"), group.get("eval_loss")
        if train is None or held_out is None or max(train, held_out) <= 0:
            return 0.0
        return float(max(0.0, held_out - train) / max(train, held_out))

    def begin(self, group: dict[str, Any], moving: list[Tensor]) -> None:
        """Number the tensors, and read the signal."""
        self._memory = group["alpha_init"] * math.exp(-group["grokking_signal_decay_rate"] * self._signal(group))
        for place, parameter in enumerate(moving):
            self.state[parameter]["place"] = place

    def update(
        self, weight: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any]
    ) -> tuple[Tensor, float | Tensor]:
        """Return what to take off the weights, and before that, which share of the weights."""
        if group["gradient_clipping"] > 0:
            grad = grad * (group["gradient_clipping"] / (grad.norm() + 1e-6)).clamp_(max=1.0)
        slow = state.setdefault("grok_ema", torch.zeros_like(grad))
        slow.lerp_(grad, 1 - self._memory)
        shrink = (1 - group["gamma"]) ** state["place"]
        strong = grad.add(slow, alpha=group["lamb"])
        first, second, short_of_first, short_of_second = moments(strong, state, group, shrink)
        rate = group["lr"] * math.sqrt(short_of_second) / short_of_first
        return first / second.sqrt().add_(group["eps"]) * rate, group["lr"] * group["weight_decay"]
