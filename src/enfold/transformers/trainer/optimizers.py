"""The optimizer of a training: which parameters decay, and which are projected or kept in other precision."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor, nn

from enfold.transformers.trainer.arguments import TrainingArguments
from enfold.transformers.trainer.recipes import recipe_of
from enfold.transformers.trainer.targets import target_parameters

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


def optimizer_class(
    args: TrainingArguments, model: nn.Module | None = None
) -> tuple[type[torch.optim.Optimizer], dict[str, Any]]:
    """Return the optimizer's class and arguments that ``args`` asks for.

    Where some parameters have options of their own, the arguments have ``params``: the groups that ``model`` falls
    into.

    Raises:
        UnknownOption: an option of ``optim_args`` is unknown.
        ValueError: the optimizer projects matrices, and there is no model or it has none that are meant.
    """
    recipe = recipe_of(args)
    options = dict(recipe.options)
    if recipe.target:
        if model is None:
            raise ValueError(f"optim={args.optim!r} needs the model, whose matrices it projects")
        matrices = target_parameters(model, args.optim_target_modules, args.optim)
        options["params"] = _apart(model, matrices, recipe.target)
    elif recipe.whole_embeddings and model is not None:
        tables = [module.weight for module in model.modules() if isinstance(module, nn.Embedding)]
        trained = [table for table in tables if table.requires_grad]
        if trained:
            options["params"] = _apart(model, trained, {"optim_bits": 32})
    return recipe.kind, options


def _apart(model: nn.Module, some: list[Tensor], options: dict[str, Any]) -> list[dict[str, Any]]:
    """Put some trainable parameters into a group with options, after that of the others."""
    chosen = {id(parameter) for parameter in some}
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    others = [parameter for parameter in trained if id(parameter) not in chosen]
    return [{"params": others}, {"params": [p for p in trained if id(p) in chosen], **options}]


def make_optimizer(
    model: nn.Module,
    args: TrainingArguments,
    given: tuple[type[torch.optim.Optimizer], dict[str, Any]] | None = None,
    decayed: list[str] | None = None,
) -> torch.optim.Optimizer:
    """Make the optimizer of the trainable parameters, in groups with and without weight decay.

    Args:
        model: whose parameters are moved.
        args: algorithm, learning rate and decay.
        given: class and arguments to use instead.
        decayed: names that decay applies to; by default all but biases and norms.
    """
    kind, options = given if given is not None else optimizer_class(args, model)
    names = set(decay_parameter_names(model) if decayed is None else decayed)
    options, trained = dict(options), [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    if not trained:
        raise ValueError("the model has no trainable parameter")
    groups: list[dict[str, Any]] = []
    for group in options.pop("params", None) or [{"params": [parameter for _, parameter in trained]}]:
        inside = {id(parameter) for parameter in group["params"]}
        for on, decay in ((True, args.weight_decay), (False, 0.0)):
            params = [p for n, p in trained if id(p) in inside and (n in names) == on]
            groups.append({"weight_decay": decay, **group, "params": params})
    if options.get("fused") and not all(p.is_floating_point() for group in groups for p in group["params"]):
        options = {**options, "fused": False}
    return kind(groups, **options)
