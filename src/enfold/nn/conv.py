"""The linear layer of the first GPT models, whose weight is stored input first."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Conv1D"]


class Conv1D(nn.Module):
    """A linear layer with weight (in, out), as GPT-2's checkpoints hold it.

    Args:
        nf: number of output features.
        nx: number of input features.

    Example:
        >>> Conv1D(6, 4)(torch.zeros(2, 3, 4)).shape
        torch.Size([2, 3, 6])
    """

    def __init__(self, nf: int, nx: int) -> None:
        super().__init__()
        self.nf, self.nx = nf, nx
        self.weight = nn.Parameter(torch.empty(nx, nf))
        self.bias = nn.Parameter(torch.zeros(nf))
        nn.init.normal_(self.weight, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        """Return (…, nf) for ``x`` (…, nx)."""
        return F.linear(x, self.weight.t(), self.bias)

    def extra_repr(self) -> str:
        """Describe the sizes for ``print(model)``."""
        return f"nf={self.nf}, nx={self.nx}"
