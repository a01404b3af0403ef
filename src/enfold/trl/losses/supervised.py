"""Losses of texts that are to be written as they are.

Shapes: B rows, T next tokens.
"""

from __future__ import annotations

from torch import Tensor

__all__ = ["LOSSES", "supervised_loss"]

LOSSES = ("nll", "dft")


def supervised_loss(log_probs: Tensor, mask: Tensor, kind: str = "nll") -> Tensor:
    """Return the mean loss of the tokens that count; zero, with gradients, where there are none.

    Args:
        log_probs: (B, T), of each token.
        mask: (B, T), True where it counts.
        kind: ``"nll"``, minus the log-probability; ``"dft"``, that times the probability, which undoes how much more
            an unlikely token pulls (https://arxiv.org/abs/2508.05629).
    """
    losses = -log_probs * (log_probs.detach().exp() if kind == "dft" else 1.0)
    return (losses * mask).sum() / mask.sum().clamp(min=1)
