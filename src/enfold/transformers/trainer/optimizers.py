"""The optimizer of a training: which parameters decay, and which algorithm moves them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from enfold.transformers.trainer.arguments import TrainingArguments

__all__ = ["AdamW", "decay_parameter_names", "make_optimizer", "optimizer_class"]

AdamW = torch.optim.AdamW  # under the name that older programs import

# Biases and the scales of norms are not shrunk: they are few and their size carries no complexity.
_UNDECAYED = [
    re.compile(pattern) for pattern in (r"bias", r"layernorm", r"rmsnorm", r"(^|\.)norm($|\.)", r"_norm($|\.)")
]


def decay_parameter_names(model: nn.Module) -> list[str]:
    """Return the names of the parameters that weight decay applies to."""
    norms = {id(p) for module in model.modules() if isinstance(module, nn.LayerNorm) for p in module.parameters()}
    return [
        name
        for name, parameter in model.named_parameters()
        if id(parameter) not in norms and not any(pattern.search(name.lower()) for pattern in _UNDECAYED)
    ]


def optimizer_class(args: TrainingArguments) -> tuple[type[torch.optim.Optimizer], dict[str, Any]]:
    """Return the optimizer's class and arguments that ``args`` asks for."""
    extra = _parse(args.optim_args)
    adam = {"betas": (args.adam_beta1, args.adam_beta2), "eps": args.adam_epsilon}
    table: dict[str, Callable[[], tuple[type[torch.optim.Optimizer], dict[str, Any]]]] = {
        "adamw_torch": lambda: (torch.optim.AdamW, adam),
        "adamw_torch_fused": lambda: (torch.optim.AdamW, {**adam, "fused": True}),
        "adafactor": lambda: (torch.optim.Adafactor, {}),
        "sgd": lambda: (torch.optim.SGD, {}),
        "adagrad": lambda: (torch.optim.Adagrad, {}),
        "rmsprop": lambda: (torch.optim.RMSprop, {}),
    }
    kind, given = table[args.optim]()
    return kind, {"lr": args.learning_rate, **given, **extra}


def _parse(text: str | None) -> dict[str, Any]:
    """Read ``"momentum=0.9,nesterov=True"``."""
    import ast

    values: dict[str, Any] = {}
    for part in (text or "").replace(" ", "").split(","):
        if part:
            name, _, value = part.partition("=")
            try:
                values[name] = ast.literal_eval(value)
            except (ValueError, SyntaxError):
                values[name] = value
    return values


def make_optimizer(
    model: nn.Module,
    args: TrainingArguments,
    given: tuple[type[torch.optim.Optimizer], dict[str, Any]] | None = None,
    decayed: list[str] | None = None,
) -> torch.optim.Optimizer:
    """Make the optimizer of the trainable parameters, in two groups: with and without weight decay.

    Args:
        model: whose parameters are moved.
        args: algorithm, learning rate and decay.
        given: class and arguments to use instead.
        decayed: names that decay applies to; by default all but biases and norms.
    """
    kind, options = given if given is not None else optimizer_class(args)
    names = set(decay_parameter_names(model) if decayed is None else decayed)
    groups: list[dict[str, Any]] = [
        {
            "params": [p for n, p in model.named_parameters() if p.requires_grad and (n in names) == on],
            "weight_decay": decay,
        }
        for on, decay in ((True, args.weight_decay), (False, 0.0))
    ]
    if not any(group["params"] for group in groups):
        raise ValueError("the model has no trainable parameter")
    if options.get("fused") and not all(p.is_floating_point() for group in groups for p in group["params"]):
        options = {**options, "fused": False}
    return kind(groups, **options)
