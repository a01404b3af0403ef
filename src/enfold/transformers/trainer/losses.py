"""Losses: smoothing labels, and counting what a window of batches is normalised by."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["LabelSmoother", "label_items", "predicts_next_token"]


def bare_model(model: nn.Module) -> nn.Module:
    """Return the model without adapters around it."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model  # type: ignore[operator]


def predicts_next_token(model: nn.Module) -> bool:
    """Say whether a model's labels are shifted by one inside it, as a causal language model's are."""
    return type(bare_model(model)).__name__.endswith(("ForCausalLM", "LMHeadModel"))


def label_items(labels: Any, shifted: bool) -> int:
    """Return how many labels count for the loss: those that are not -100, without each row's first if shifted."""
    if not isinstance(labels, Tensor):
        return 0
    counted = labels[..., 1:] if shifted and labels.ndim > 1 else labels
    return int((counted != -100).sum())


class LabelSmoother:
    """Cross-entropy against labels of which a little is spread over all classes.

    Args:
        epsilon: share that is spread, 0 to 1.
        ignore_index: label that does not count.

    Source: https://arxiv.org/abs/1512.00567
    """

    def __init__(self, epsilon: float = 0.1, ignore_index: int = -100) -> None:
        self.epsilon, self.ignore_index = epsilon, ignore_index

    def __call__(
        self, outputs: Any, labels: Tensor, shift_labels: bool = False, num_items_in_batch: Any = None
    ) -> Tensor:
        """Return the loss.

        Args:
            outputs: has ``logits``, or is a tuple with them first; shape (…, classes).
            labels: shape (…).
            shift_labels: each position predicts the next one's label.
            num_items_in_batch: what to divide by; by default the labels that count.
        """
        logits = outputs["logits"] if isinstance(outputs, dict) else outputs[0]
        if shift_labels:
            logits, labels = logits[..., :-1, :], labels[..., 1:]
        scores = -torch.log_softmax(logits.float(), dim=-1)
        counted = labels != self.ignore_index
        chosen = scores.gather(-1, labels.clamp(min=0).unsqueeze(-1)).squeeze(-1)[counted].sum()
        spread = scores.mean(dim=-1)[counted].sum()
        total = counted.sum() if num_items_in_batch is None else num_items_in_batch
        return ((1 - self.epsilon) * chosen + self.epsilon * spread) / total
