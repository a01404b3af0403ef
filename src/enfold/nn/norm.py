"""Root-mean-square normalisation."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["RMSNorm", "rms_norm"]


def rms_norm(x: Tensor, weight: Tensor, eps: float = 1e-6) -> Tensor:
    """Divide ``x`` by the root of its mean square over the last dimension, then scale it.

    Computed in single precision and cast back before the scale, as the published Llama weights expect.

    Args:
        x: (…, D).
        weight: (D,).
        eps: added to the mean square.

    Source: Zhang & Sennrich, 2019, "Root Mean Square Layer Normalization".
    """
    wide = x.float()
    return weight * (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps)).to(x.dtype)


class RMSNorm(nn.Module):
    """``rms_norm`` with its weight.

    Args:
        size: D, the last dimension.
        eps: added to the mean square.
    """

    def __init__(self, size: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` (…, D) normalised and scaled."""
        return rms_norm(x, self.weight, self.eps)

    def extra_repr(self) -> str:
        """Describe the sizes for ``print(model)``."""
        return f"{tuple(self.weight.shape)}, eps={self.eps}"
