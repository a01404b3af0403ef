"""Words that later layers know better than earlier ones."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from enfold.transformers.generation.config import GenerationError
from enfold.transformers.generation.processors import LogitsProcessor

__all__ = ["LayerContrast", "layers_of"]


def layers_of(asked: str | list[int], count: int, tied: bool) -> list[int]:
    """Return the numbers of the hidden states that the last layer is compared with; 0 is the embeddings'.

    Args:
        asked: ``"low"`` or ``"high"``, every second one of that half (of more than 40 layers, of 20); or the numbers.
        count: of layers.
        tied: whether the embeddings are the output's too: what they say of themselves says nothing.

    Raises:
        GenerationError: for anything else.

    Example:
        >>> layers_of("low", 12, tied=True), layers_of("high", 12, tied=True), layers_of([3, 12], 12, tied=False)
        ([2, 4], [6, 8, 10], [3])
    """
    first = 0 if not tied or count < 2 else min(count - 1, 2)
    far = 20 if count > 40 else None
    if asked == "low":
        return list(range(first, far or count // 2, 2)) or [first]
    if asked == "high":
        return list(range(count - far if far else count // 2, count, 2))
    if not isinstance(asked, list) or not all(isinstance(layer, int) and layer >= 0 for layer in asked):
        raise GenerationError(f"dola_layers={asked!r} must be 'low', 'high' or a list of layers")
    found = [layer for layer in asked if layer < count]
    if not found:
        raise GenerationError(f"dola_layers={asked} names none of the layers 0 to {count - 1}")
    return found


class LayerContrast(LogitsProcessor):
    """Scores a word by how much likelier it is after the last layer than after the earlier one that differs most.

    Words that are less than a tenth as likely as the likeliest are out.

    Args:
        model: whose output embeddings turn states into logits.
        layers: the earlier layers; see ``layers_of``.

    It looks at the states of ``run``, which is set once there is one.

    Source: Chuang et al., 2023, "DoLa: Decoding by Contrasting Layers Improves Factuality in Large Language Models".
    """

    def __init__(self, model: Any, layers: list[int]) -> None:
        self.head = model.get_output_embeddings()
        if self.head is None:
            raise GenerationError(f"{type(model).__name__} has no output embeddings, so its layers say no words")
        self.layers = layers
        self.run: Any = None  # whose latest output has the states of all layers

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return (R, V) for scores (R, V)."""
        states = self.run.latest.hidden_states  # one (R, T, D) a layer
        early = torch.stack([self.head(states[layer][:, -1]) for layer in self.layers]).float()  # (layers, R, V)
        late = scores.log_softmax(-1)
        base = early.log_softmax(-1)
        chosen = 0
        if len(self.layers) > 1:
            mean = 0.5 * (late.exp() + base.exp())
            apart = mean * (2 * mean.log() - late - base)  # twice the divergence that tells distributions apart
            chosen = int(torch.nan_to_num(apart).mean((1, 2)).argmax())
        unlikely = late < late.amax(-1, keepdim=True) + math.log(0.1)
        return (late - base[chosen]).masked_fill(unlikely, -math.inf)
