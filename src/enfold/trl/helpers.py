"""The ecosystem's helpers by their old address, ``trl.trainer.utils``."""

from __future__ import annotations

import torch
from torch import Tensor

from enfold.trl.collators import DataCollatorForLanguageModeling, pad
from enfold.trl.logprobs import chosen_log_probs
from enfold.trl.losses.policy import nan_std
from enfold.trl.online import RepeatSampler
from enfold.trl.preparing import create_model_from_path, disable_dropout_in_model, use_adapter
from enfold.trl.scripts import get_kbit_device_map, get_peft_config, get_quantization_config
from enfold.trl.showing import print_completions

__all__ = [
    "DataCollatorForLanguageModeling",
    "RepeatSampler",
    "chosen_log_probs",
    "create_model_from_path",
    "disable_dropout_in_model",
    "entropy_from_logits",
    "flush_left",
    "get_kbit_device_map",
    "get_peft_config",
    "get_quantization_config",
    "nanstd",
    "pad",
    "pad_to_length",
    "print_completions",
    "selective_log_softmax",
    "use_adapter",
]

nanstd = nan_std


def selective_log_softmax(logits: Tensor, index: Tensor) -> Tensor:
    """Return the log-probabilities of chosen tokens, in the index's shape.

    Args:
        logits: (…, V).
        index: (…) tokens, or (…, K).

    Example:
        >>> selective_log_softmax(torch.zeros(1, 4), torch.tensor([2])).exp()
        tensor([0.2500])
    """
    one = index.ndim == logits.ndim - 1
    places = index[..., None] if one else index
    found = logits.gather(-1, places) - logits.logsumexp(-1, keepdim=True)
    return found.squeeze(-1) if one else found


def entropy_from_logits(logits: Tensor) -> Tensor:
    """Return the entropy of the distributions of logits (…, V), in nats."""
    logs = logits.log_softmax(-1)
    return -(logs.exp() * logs).sum(-1)


def pad_to_length(tensor: Tensor, length: int, pad_value: float, dim: int = -1) -> Tensor:
    """Return a tensor filled up to a length; a longer one as it is."""
    missing = length - tensor.shape[dim]
    if missing <= 0:
        return tensor
    shape = list(tensor.shape)
    shape[dim] = missing
    return torch.cat([tensor, tensor.new_full(shape, pad_value)], dim)


def flush_left(mask: Tensor, *tensors: Tensor) -> Tensor | tuple[Tensor, ...]:
    """Move every row's tokens to the left, and cut off what no row fills.

    Args:
        mask: (B, T), 1 for a token.
        tensors: (B, T), moved along; zero where nothing comes.

    Example:
        >>> flush_left(torch.tensor([[0, 1, 1]]), torch.tensor([[7, 8, 9]]))
        (tensor([[1, 1]]), tensor([[8, 9]]))
    """
    first = torch.where(mask.bool().any(1), mask.bool().long().argmax(1), mask.shape[1])
    index = torch.arange(mask.shape[1], device=mask.device) + first[:, None]
    inside = index < mask.shape[1]
    moved = [(part.gather(1, index.clamp(max=mask.shape[1] - 1)) * inside) for part in (mask, *tensors)]
    width = int((moved[0] != 0).any(0).nonzero().max()) + 1 if bool(mask.any()) else 0
    cut = [part[:, :width] for part in moved]
    return cut[0] if not tensors else tuple(cut)
