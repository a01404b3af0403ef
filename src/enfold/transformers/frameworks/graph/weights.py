"""A model's weights and buffers by name, shared ones once."""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["aliases", "leaves"]


def leaves(model: nn.Module) -> dict[str, Tensor]:
    """Return name → tensor of every parameter and buffer, each shared one once, under its first name."""
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def aliases(model: nn.Module) -> dict[str, str]:
    """Return the other names of shared parameters and buffers → the first one.

    Example:
        >>> from enfold.transformers import GPT2Config, GPT2LMHeadModel
        >>> aliases(GPT2LMHeadModel(GPT2Config(vocab_size=9, n_embd=8, n_layer=1, n_head=2)))
        {'lm_head.weight': 'transformer.wte.weight'}
    """
    first = {id(tensor): name for name, tensor in leaves(model).items()}
    every = [*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)]
    return {name: first[id(tensor)] for name, tensor in every if first[id(tensor)] != name}
