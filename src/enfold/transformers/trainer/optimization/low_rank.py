"""Optimizers that keep their state for a few directions of a matrix's gradients: GaLore and APOLLO.

A group that has a ``rank`` is of matrices whose gradients are projected; a group without is moved as by the algorithm
that it is built on.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from enfold.errors import nearest
from enfold.transformers.trainer.optimization.adafactor import Adafactor
from enfold.transformers.trainer.optimization.adam import AdamW, moments
from enfold.transformers.trainer.optimization.moving import PerTensor

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from enfold.transformers.trainer.optimization.moving import Keeping

__all__ = ["Apollo", "GaLoreAdafactor", "GaLoreAdamW"]

_TYPES = ("std", "reverse_std", "right", "left", "full")


def _sides(shape: torch.Size, kind: str) -> tuple[str, ...]:
    """Say from which sides a matrix is projected."""
    if kind not in _TYPES:
        raise ValueError(f"proj_type must be one of {', '.join(_TYPES)}, got {kind!r}{nearest(kind, _TYPES)}")
    if kind == "full":
        return ("left", "right")
    if kind in ("left", "right"):
        return (kind,)
    tall = shape[0] >= shape[1]
    return ("right",) if tall == (kind == "std") else ("left",)


class Projecting(PerTensor):
    """Finds the directions of a gradient, and goes there and back.

    The state of a matrix (m, n) holds ``left`` (m, rank), ``right`` (rank, n) or both.
    """

    def directions(self, grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        """Set ``left`` or ``right``: the singular vectors of the gradient with the largest values."""
        first, _, last = torch.linalg.svd(grad, full_matrices=False)
        for side in _sides(grad.shape, group.get("proj_type", "std")):
            found = first[:, : group["rank"]] if side == "left" else last[: group["rank"]]
            state[side] = found.contiguous()

    def down(self, grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> Tensor:
        """Return the gradient in the few directions, which are chosen anew every ``update_proj_gap`` steps."""
        if grad.ndim != 2:
            raise ValueError(f"only matrices can be projected, not a tensor of shape {tuple(grad.shape)}")
        if hasattr(grad, "to_local"):
            raise ValueError(f"{type(self).__name__} cannot project a matrix that is cut between processes")
        if state.get("step", 0) % group["update_proj_gap"] == 0 or not {"left", "right"} & state.keys():
            self.directions(grad, state, group)
        if "left" in state:
            grad = state["left"].T @ grad
        return grad @ state["right"].T if "right" in state else grad

    def up(self, update: Tensor, state: dict[str, Any]) -> Tensor:
        """Return what a step in the few directions is in all of them."""
        if "left" in state:
            update = state["left"] @ update
        return update @ state["right"] if "right" in state else update

    def move(self, weight: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> Tensor:
        """Take a step's decay off ``weight`` and return what else to take off."""
        if "rank" not in group:
            return super().move(weight, grad, state, group)
        update = super().move(weight, self.down(grad, state, group), state, group)
        return self.up(update, state).mul_(group["scale"])


class GaLoreAdamW(Projecting, AdamW):
    """Adam in the directions of the gradients' largest singular values.

    Args:
        params: parameters, or groups of them; a group of matrices to project has ``rank``, ``update_proj_gap`` (steps
            until the directions are chosen anew), ``scale`` (of the step) and ``proj_type`` (``std`` projects the
            longer side away, ``reverse_std`` the shorter, ``left``, ``right``, ``full`` both).
        lr, betas, eps, weight_decay: as of :class:`AdamW`; ``eps`` is added before the second moments are brought to
            their full size.
        keeping: how the state is kept; see :class:`Keeping`.

    Source: https://arxiv.org/abs/2403.03507

    Example:
        >>> weight = torch.nn.Parameter(torch.zeros(64, 32)); weight.grad = torch.ones(64, 32)
        >>> group = {"params": [weight], "rank": 4, "update_proj_gap": 200, "scale": 0.25, "proj_type": "std"}
        >>> optimizer = GaLoreAdamW([group]); _ = optimizer.step()
        >>> optimizer.state[weight]["exp_avg"].shape, optimizer.state[weight]["right"].shape
        (torch.Size([64, 4]), torch.Size([4, 32]))
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        **keeping: Unpack[Keeping],
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, **keeping)

    def update(
        self, weight: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any]
    ) -> tuple[Tensor, float | Tensor]:
        """Return what to take off the weights, and before that, which share of the weights."""
        first, second, short_of_first, short_of_second = moments(grad, state, group)
        rate = group["lr"] * math.sqrt(short_of_second) / short_of_first
        return first / second.sqrt().add_(group["eps"]) * rate, group["lr"] * group["weight_decay"]


class GaLoreAdafactor(Projecting, Adafactor):
    """Adafactor in the directions of the gradients' largest singular values; groups as of :class:`GaLoreAdamW`."""


class Apollo(Projecting, AdamW):
    """Gradient descent whose rates, for each channel or matrix, are what Adam makes of a small random projection.

    Args:
        params: parameters, or groups of them; a group of matrices to project has ``rank``, ``update_proj_gap`` and
            ``proj_type`` as of :class:`GaLoreAdamW`, ``proj`` (``random`` or ``svd``), ``scale_type`` (``channel`` or
            ``tensor``) and ``scale``, whose root the step is multiplied by.
        lr, betas, eps, weight_decay: as of :class:`GaLoreAdamW`.
        keeping: how the state is kept; see :class:`Keeping`.

    Source: https://arxiv.org/abs/2412.05270; the step's norm grows by at most 1 % (https://arxiv.org/abs/2410.01623).
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        **keeping: Unpack[Keeping],
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, **keeping)
        every = [parameter for group in self.param_groups for parameter in group["params"]]
        self._seeds = {parameter: number for number, parameter in enumerate(every, start=1)}
        for group in self.param_groups:
            for name, known in (("proj", ("random", "svd")), ("scale_type", ("channel", "tensor"))):
                if name in group and group[name] not in known:
                    raise ValueError(f"{name} must be one of {', '.join(known)}, got {group[name]!r}")

    def _move(self, parameter: Any, group: dict[str, Any]) -> None:
        if "rank" in group:
            self.state[parameter].setdefault("seed", self._seeds.get(parameter, 0))
        super()._move(parameter, group)

    def directions(self, grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        """Set ``left`` or ``right``: random directions, or those of the largest singular values."""
        if group["proj"] == "svd":
            super().directions(grad, state, group)
            return
        rank, (rows, columns) = group["rank"], grad.shape
        (side, *more) = _sides(grad.shape, group.get("proj_type", "std"))
        if more:
            raise ValueError("proj_type='full' needs proj='svd'")
        generator = torch.Generator(grad.device).manual_seed(state["seed"])
        shape = (rows, rank) if side == "left" else (rank, columns)
        state[side] = torch.randn(shape, generator=generator, device=grad.device) / math.sqrt(rank)
        # The seed of the next directions, as the reference implementation draws it.
        generator = torch.Generator().manual_seed(state["seed"])
        state["seed"] = int(torch.randint(0, torch.iinfo(torch.int64).max, (15,), generator=generator)[-1])

    def move(self, weight: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> Tensor:
        """Take a step's decay off ``weight`` and return what else to take off."""
        if "rank" not in group:
            return super().move(weight, grad, state, group)
        low = self.down(grad, state, group)
        step, decay = self.kept(weight, low, state, group)
        if decay:
            weight.mul_(1 - decay)
        if group["scale_type"] == "channel":
            axis = 0 if grad.shape[0] < grad.shape[1] else 1
            factor = step.norm(dim=axis, keepdim=True) / (low.norm(dim=axis, keepdim=True) + 1e-8)
        else:
            factor = step.norm() / (low.norm() + 1e-8)
        scaled = grad * factor
        norm = scaled.norm()
        if "scaled_grad" in state:
            limit = (norm / (state["scaled_grad"] + 1e-8)).clamp_(min=1.01) / 1.01
            scaled, norm = scaled / limit, norm / limit
        state["scaled_grad"] = norm
        return scaled * (math.sqrt(group["scale"]) * self._rate(state, group))

    @staticmethod
    def _rate(state: dict[str, Any], group: dict[str, Any]) -> float:
        short, long = group["betas"]
        step = state["step"]
        return float(group["lr"] * math.sqrt(1 - long**step) / (1 - short**step))

    def update(
        self, weight: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any]
    ) -> tuple[Tensor, float | Tensor]:
        """Return Adam's step, for a projected matrix without its rate, and the share to take off the weights."""
        first, second, *_ = moments(grad, state, group)
        step = first / second.sqrt().add_(group["eps"])
        return step if "rank" in group else step.mul_(self._rate(state, group)), group["lr"] * group["weight_decay"]
