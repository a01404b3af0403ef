"""Training adapters on models of few bits, or of mixed precision."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from enfold.peft.layer import is_quantized
from enfold.peft.lora import LoraLayer

__all__ = ["cast_mixed_precision_params", "prepare_model_for_kbit_training", "replace_lora_weights_loftq"]


def prepare_model_for_kbit_training(
    model: Any,
    use_gradient_checkpointing: bool = True,
    gradient_checkpointing_kwargs: dict[str, Any] | None = None,
) -> Any:
    """Freeze a model of few bits, compute its norms and head in single precision, and save memory as it trains.

    Args:
        model: the model, changed in place.
        use_gradient_checkpointing: compute activations twice instead of keeping them, where the model can.
        gradient_checkpointing_kwargs: for that.

    Returns:
        ``model``.

    Source: Dettmers et al., 2023, "QLoRA", https://arxiv.org/abs/2305.14314
    """
    model.requires_grad_(False)
    few = any(is_quantized(module) for module in model.modules())
    for parameter in model.parameters():
        if parameter.dtype in (torch.float16, torch.bfloat16):
            parameter.data = parameter.data.float()
    if few and use_gradient_checkpointing and hasattr(model, "gradient_checkpointing_enable"):
        # Activations that are computed twice need an input with a gradient, which frozen embeddings do not give.
        if hasattr(model, "enable_input_require_grads"):
            model.enable_input_require_grads()
        elif hasattr(model, "get_input_embeddings"):
            model.get_input_embeddings().register_forward_hook(lambda _, __, output: output.requires_grad_(True))
        if gradient_checkpointing_kwargs:
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs=gradient_checkpointing_kwargs)
        else:
            model.gradient_checkpointing_enable()
    return model


def cast_mixed_precision_params(model: nn.Module, dtype: torch.dtype) -> None:
    """Keep what trains in single precision and put everything else into ``dtype``, in place.

    Args:
        model: a model with adapters.
        dtype: ``torch.float16`` or ``torch.bfloat16``.
    """
    for parameter in model.parameters():
        if not parameter.is_floating_point():
            continue
        parameter.data = parameter.data.to(torch.float32 if parameter.requires_grad else dtype)


@torch.no_grad()
def replace_lora_weights_loftq(
    peft_model: Any,
    model_path: str | os.PathLike[str] | None = None,
    adapter_name: str = "default",
    callback: Callable[[Any, str], bool] | None = None,
) -> None:
    """Let low-rank adapters of a four-bit model begin with what its weights lost (LoftQ, https://arxiv.org/abs/2310.08659).

    Args:
        peft_model: a four-bit model with adapters.
        model_path: folder or file of the weights as they were; the model's own by default.
        adapter_name: which adapter.
        callback: (model, module name) → whether the new factors of that module stay.

    Raises:
        ValueError: the model has no four-bit layers with such adapters.
    """
    from enfold.checkpoints import find_weights, read_state_dict

    base = peft_model.get_base_model()
    source = os.fspath(model_path or base.config.name_or_path)
    files = [source] if os.path.isfile(source) else find_weights(source)
    tensors = {key: value for file in files for key, value in read_state_dict(file).items()}
    lead = getattr(base, "base_model_prefix", "")
    found = 0
    for name, layer in base.named_modules():
        if not (
            isinstance(layer, LoraLayer) and is_quantized(layer.get_base_layer()) and layer.has_adapter(adapter_name)
        ):
            continue
        found += 1
        key = f"{name}.weight"
        exact = tensors[key if key in tensors else key.removeprefix(f"{lead}.")].float()
        left, size, right = torch.linalg.svd(exact - layer.get_weight().float(), full_matrices=False)
        rank = layer.r[adapter_name]
        root = size[:rank].sqrt()
        factors = layer.factors(adapter_name)
        before = [factor.clone() for factor in factors]
        factors[0].copy_(root[:, None] * right[:rank])
        factors[1].copy_(left[:, :rank] * root)
        if callback is not None and not callback(peft_model, name):
            for factor, old in zip(factors, before, strict=True):
                factor.copy_(old)
    if not found:
        raise ValueError("the model has no four-bit layers with low-rank adapters")
