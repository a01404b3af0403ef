"""Small helpers around adapters."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from enfold.peft.config import PeftConfig
from enfold.peft.lora import LoraLayer

__all__ = [
    "check_if_peft_model",
    "get_peft_config",
    "infer_device",
    "rescale_adapter_scale",
    "shift_tokens_right",
]


def infer_device() -> str:
    """Return the type of the device that computes fastest here: ``"cuda"``, ``"mps"``, … or ``"cpu"``."""
    found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return found.type if found is not None else "cpu"


def _get_submodules(model: nn.Module, key: str) -> tuple[nn.Module, nn.Module, str]:
    """Return the parent of the module called ``key``, that module, and its name in the parent."""
    parent, _, last = key.rpartition(".")
    return model.get_submodule(parent), model.get_submodule(key), last


def check_if_peft_model(model_name_or_path: str | os.PathLike[str]) -> bool:
    """Say whether a folder or a repository holds an adapter, rather than a whole model.

    Args:
        model_name_or_path: folder or repository id.
    """
    try:
        PeftConfig.from_pretrained(model_name_or_path)
    except (OSError, ValueError):
        return False
    return True


def get_peft_config(config_dict: dict[str, Any]) -> PeftConfig:
    """Return the configuration that a dictionary with ``peft_type`` describes.

    Example:
        >>> get_peft_config({"peft_type": "IA3", "target_modules": ["k_proj"], "feedforward_modules": []}).kind
        'IA3'
    """
    return PeftConfig.from_dict(config_dict)


@contextlib.contextmanager
def rescale_adapter_scale(model: nn.Module, multiplier: float) -> Iterator[None]:
    """Multiply the scales of all low-rank adapters, for the length of a ``with`` block.

    Args:
        model: has such adapters.
        multiplier: 0 turns them off, 1 leaves them.

    Raises:
        TypeError: the multiplier is no number.
        ValueError: the model has no such adapters.
    """
    if not isinstance(multiplier, (int, float)):
        raise TypeError(f"multiplier must be a number, not a {type(multiplier).__name__}")
    layers = [module for module in model.modules() if isinstance(module, LoraLayer)]
    if not layers:
        raise ValueError("the model has no low-rank adapters")
    before = [dict(layer.scaling) for layer in layers]
    for layer in layers:
        layer.scaling.update({name: scale * multiplier for name, scale in layer.scaling.items()})
    try:
        yield
    finally:
        for layer, scales in zip(layers, before, strict=True):
            layer.scaling.update(scales)


def shift_tokens_right(input_ids: Tensor, pad_token_id: int, decoder_start_token_id: int) -> Tensor:
    """Return what a decoder reads to write ``input_ids`` (B, T): the start token, then all but the last.

    Example:
        >>> import torch
        >>> shift_tokens_right(torch.tensor([[5, 6, -100]]), 0, 2).tolist()
        [[2, 5, 6]]
    """
    shifted = input_ids.roll(1, dims=1)
    shifted[:, 0] = decoder_start_token_id
    return shifted.masked_fill(shifted == -100, pad_token_id)
