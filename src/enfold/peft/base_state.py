"""The weights of the model below the adapters, under the names that it has without them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from enfold.peft.layer import Adapted
from enfold.peft.weights import AdapterMismatch, LoadResult

__all__ = ["get_base_model_state_dict", "set_base_model_state_dict"]

_INSIDE = ("base_layer", "original_module")  # where wrappers hold what they wrap


def _plain_name(model: nn.Module, key: str) -> str | None:
    """Return the name that a tensor of ``model`` has without adapters, or None for what belongs to an adapter."""
    module: Any = model
    plain = []
    for step in key.split("."):
        if not isinstance(module, Adapted):
            plain.append(step)
        elif step not in _INSIDE:
            return None
        module = module._modules.get(step) if isinstance(module, nn.Module) else None
    return ".".join(plain)


def _tensors(model: nn.Module) -> dict[str, Tensor]:
    base: Any = model.get_base_model() if hasattr(model, "get_base_model") else model  # type: ignore[operator]
    named = ((_plain_name(base, key), tensor) for key, tensor in base.state_dict().items())
    return {name: tensor for name, tensor in named if name is not None}


def get_base_model_state_dict(model: nn.Module) -> dict[str, Tensor]:
    """Return the weights of the base model, without adapters, under its own names.

    Args:
        model: a model with adapters, wrapped or with them put into itself. What is merged into a weight is in it.

    Example:
        >>> from enfold.peft import LoraConfig, get_peft_model
        >>> model = get_peft_model(nn.Sequential(nn.Linear(2, 2)), LoraConfig(target_modules=["0"]))
        >>> sorted(get_base_model_state_dict(model))
        ['0.bias', '0.weight']
    """
    return _tensors(model)


@torch.no_grad()
def set_base_model_state_dict(model: nn.Module, state_dict: dict[str, Tensor], strict: bool = True) -> LoadResult:
    """Write the weights of the base model; its adapters stay as they are.

    Args:
        model: a model with adapters.
        state_dict: name in the base model → tensor.
        strict: refuse names that are missing or that the model does not have.

    Returns:
        Those names.

    Raises:
        AdapterMismatch: a shape does not fit, or names do not and ``strict``; nothing was changed.
    """
    own = _tensors(model)
    result = LoadResult(sorted(set(own) - set(state_dict)), sorted(set(state_dict) - set(own)))
    wrong = [
        f"{key}: {tuple(tensor.shape)} given, {tuple(own[key].shape)} in the model"
        for key, tensor in state_dict.items()
        if key in own and own[key].shape != tensor.shape
    ]
    if strict:
        wrong += [f"{key}: missing" for key in result.missing_keys]
        wrong += [f"{key}: not in the model" for key in result.unexpected_keys]
    if wrong:
        raise AdapterMismatch("these are the weights of another base model:\n  " + "\n  ".join(wrong))
    for key, tensor in state_dict.items():
        if key in own:
            own[key].copy_(tensor)
    return result
