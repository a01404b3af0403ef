"""Optimizers that know which of an adapter's two factors they move: LoRA+ and LoRA-FA."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from enfold.peft.lora import LoraEmbedding, LoraLayer
from enfold.peft.model import PeftModel

__all__ = ["LoraFAOptimizer", "create_lorafa_optimizer", "create_loraplus_optimizer"]


def create_loraplus_optimizer(
    model: nn.Module, optimizer_cls: type[torch.optim.Optimizer], *, lr: float, loraplus_lr_ratio: float, **kwargs: Any
) -> torch.optim.Optimizer:
    """Make an optimizer that moves B faster than A.

    Args:
        model: a model with LoRA adapters.
        optimizer_cls: the optimizer's class.
        lr: learning rate of A, and of all that is no adapter.
        loraplus_lr_ratio: how many times faster B and vectors learn; above 1.
        kwargs: ``loraplus_weight_decay`` (0) of matrices and ``loraplus_lr_embedding`` (1e-6) of adapters on
            embeddings; everything else goes to ``optimizer_cls``.

    Returns:
        The optimizer, with a group each for A, embeddings, B, and what does not decay.

    Source: Hayou et al., "LoRA+: Efficient Low Rank Adaptation of Large Models", https://arxiv.org/abs/2402.12354
    """
    decay, slow = kwargs.pop("loraplus_weight_decay", 0.0), kwargs.pop("loraplus_lr_embedding", 1e-6)
    tables = [name for name, module in model.named_modules() if isinstance(module, LoraEmbedding)]
    norms = [name for name, module in model.named_modules() if "norm" in type(module).__name__.lower()]
    groups: dict[str, list[Tensor]] = {"a": [], "embedding": [], "b": [], "plain": []}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        if any(name.startswith(f"{table}.lora_") for table in tables):
            groups["embedding"].append(parameter)
        elif "lora_B" not in name and parameter.ndim != 1:
            groups["a"].append(parameter)
        else:
            decays = "bias" not in name and not any(name.startswith(f"{norm}.") for norm in norms)
            groups["b" if decays else "plain"].append(parameter)
    rates = {"a": lr, "embedding": slow, "b": lr * loraplus_lr_ratio, "plain": lr * loraplus_lr_ratio}
    made = [
        {"params": parameters, "lr": rates[kind], "weight_decay": 0.0 if kind == "plain" else decay}
        for kind, parameters in groups.items()
    ]
    return optimizer_cls(made, lr=lr, **kwargs)  # type: ignore[call-arg]


class LoraFAOptimizer(torch.optim.Optimizer):
    """AdamW that leaves A where it began, and gives B the gradient that comes nearest to that of the whole weight.

    Args:
        params: parameters, or groups of them.
        lr, betas, eps, weight_decay: as of AdamW.
        correct_bias: correct the means of the first steps.
        pairs: each B → its A of shape (r, in), and the scale of their product.

    Source: Zhang et al., "LoRA-FA: Memory-efficient Low-rank Adaptation for Large Language Models Fine-tuning",
    https://arxiv.org/abs/2308.03303
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        correct_bias: bool = True,
        pairs: Mapping[Tensor, tuple[Tensor, float]] | None = None,
    ) -> None:
        if lr < 0 or eps < 0 or not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"lr {lr} and eps {eps} may not be negative, and betas {betas} lie between 0 and 1")
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "correct_bias": correct_bias}
        super().__init__(params, defaults)
        self.pairs = dict(pairs or {})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """Move the parameters; return what ``closure`` does, if it is given."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    pair = self.pairs.get(parameter)
                    grad = parameter.grad if pair is None else _whole_gradient(parameter.grad, *pair)
                    self._move(parameter, grad, group)
        return loss

    def _move(self, parameter: Tensor, grad: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state.update(step=0, exp_avg=torch.zeros_like(parameter), exp_avg_sq=torch.zeros_like(parameter))
        (beta1, beta2), rate = group["betas"], group["lr"]
        state["step"] += 1
        state["exp_avg"].lerp_(grad, 1 - beta1)
        state["exp_avg_sq"].mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        size = rate
        if group["correct_bias"]:
            size *= math.sqrt(1 - beta2 ** state["step"]) / (1 - beta1 ** state["step"])
        parameter.addcdiv_(state["exp_avg"], state["exp_avg_sq"].sqrt().add_(group["eps"]), value=-size)
        if group["weight_decay"] > 0:
            parameter.mul_(1 - rate * group["weight_decay"])


def _whole_gradient(grad: Tensor, first: Tensor, scale: float) -> Tensor:
    """Return the gradient of B (out, r) whose s · B A comes nearest to the gradient of the weight itself.

    That is (1/s²) · grad · (A Aᵀ)⁻¹, for A of shape (r, in).
    """
    square = first.float() @ first.float().T
    inverse = torch.linalg.pinv(square + 1e-8 * torch.eye(len(square), device=square.device))
    return ((grad.float() @ inverse) / scale**2).to(grad.dtype)


def create_lorafa_optimizer(
    model: PeftModel,
    r: int,
    lora_alpha: int,
    lr: float,
    weight_decay: float = 0.0,
    use_rslora: bool | None = None,
) -> LoraFAOptimizer:
    """Make an optimizer that trains B alone; the model's A stop training.

    Args:
        model: a model with LoRA adapters on linear layers.
        r, lora_alpha: rank and alpha, for layers that do not know their scale.
        lr: learning rate.
        weight_decay: decay of all that trains.
        use_rslora: as the adapters in use are configured, if it is given.

    Raises:
        ValueError: an adapter in use has another ``use_rslora``.
    """
    own = {name: bool(getattr(model.peft_config[name], "use_rslora", False)) for name in model.active_adapters}
    wrong = [name for name, ranked in own.items() if use_rslora is not None and ranked != use_rslora]
    if wrong:
        raise ValueError(f"use_rslora={use_rslora}, but {', '.join(wrong)} is configured with {not use_rslora}")
    usual = lora_alpha / (math.sqrt(r) if own and all(own.values()) else r)
    pairs: dict[Tensor, tuple[Tensor, float]] = {}
    for layer in model.modules():
        if isinstance(layer, LoraLayer):
            for name in layer.names():
                if name in layer.lora_A:
                    first, second = layer.factors(name)
                    first.requires_grad_(False)
                    pairs[second] = (first, float(layer.scaling.get(name, usual)))
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return LoraFAOptimizer(trained, lr=lr, weight_decay=weight_decay, pairs=pairs)
