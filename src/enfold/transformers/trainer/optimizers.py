"""The optimizer of a training: which parameters decay, and which algorithm moves them."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import nn

from enfold.transformers.trainer.algorithms import Adafactor, AdEMAMix, Lion
from enfold.transformers.trainer.arguments import TrainingArguments
from enfold.transformers.trainer.optimizer_names import algorithm_of

__all__ = ["AdamW", "decay_parameter_names", "get_parameter_names", "make_optimizer", "optimizer_class"]

AdamW = torch.optim.AdamW  # under the name that older programs import

# Biases and the scales of norms are not shrunk: they are few and their size carries no complexity.
_UNDECAYED = [r"bias", r"layernorm", r"rmsnorm", r"(^|\.)norm($|\.)", r"_norm($|\.)"]


def decay_parameter_names(model: nn.Module) -> list[str]:
    """Return the names of the parameters that weight decay applies to."""
    return get_parameter_names(model, [nn.LayerNorm], _UNDECAYED)


def get_parameter_names(
    model: nn.Module, forbidden_layer_types: list[type[nn.Module]], forbidden_layer_names: list[str] | None = None
) -> list[str]:
    """Return the names of the parameters that are in no module of some types, and match no pattern.

    Args:
        model: whose parameters.
        forbidden_layer_types: types of modules to leave out, with all that is inside.
        forbidden_layer_names: regular expressions of names to leave out.

    Example:
        >>> get_parameter_names(nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2)), [nn.LayerNorm], ["bias"])
        ['0.weight']
    """
    patterns = [re.compile(pattern) for pattern in forbidden_layer_names or ()]
    kinds = tuple(forbidden_layer_types)
    inside = {id(p) for module in model.modules() if isinstance(module, kinds) for p in module.parameters()}
    return [
        name
        for name, parameter in model.named_parameters()
        if id(parameter) not in inside and not any(pattern.search(name.lower()) for pattern in patterns)
    ]


def optimizer_class(args: TrainingArguments) -> tuple[type[torch.optim.Optimizer], dict[str, Any]]:
    """Return the optimizer's class and arguments that ``args`` asks for.

    Raises:
        OptimizerNotOffered: the algorithm is not here.
    """
    adam = {"betas": (args.adam_beta1, args.adam_beta2), "eps": args.adam_epsilon}
    table: dict[str, tuple[type[torch.optim.Optimizer], dict[str, Any]]] = {
        "adamw_torch": (torch.optim.AdamW, adam),
        "adamw_torch_fused": (torch.optim.AdamW, {**adam, "fused": True}),
        "adafactor": (Adafactor, {"scale_parameter": False, "relative_step": False}),
        "ademamix": (AdEMAMix, {"betas": (args.adam_beta1, args.adam_beta2, 0.9999), "eps": args.adam_epsilon}),
        "lion_32bit": (Lion, {"betas": (args.adam_beta1, args.adam_beta2)}),
        "sgd": (torch.optim.SGD, {}),
        "adagrad": (torch.optim.Adagrad, {}),
        "rmsprop": (torch.optim.RMSprop, {}),
    }
    kind, given = table[algorithm_of(args.optim)]
    return kind, {"lr": args.learning_rate, **given, **_parse(args.optim_args)}


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
