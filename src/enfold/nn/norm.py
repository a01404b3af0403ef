"""Normalisations that torch does not have: by the root of the mean square, and by statistics that never change."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from enfold.nn import rows
from enfold.nn.linear import is_plain_inference

__all__ = ["CenteredRMSNorm", "RMSNorm", "rms_norm"]


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
        plain = x.dtype is self.weight.dtype is torch.float32 and is_plain_inference(self, x)
        if plain and rows.has_some(x) and x.shape[-1:] == self.weight.shape:
            return rows.normed(x, self.weight, self.eps)
        return rms_norm(x, self.weight, self.eps)

    def extra_repr(self) -> str:
        """Describe the sizes for ``print(model)``."""
        return f"{tuple(self.weight.shape)}, eps={self.eps}"


class CenteredRMSNorm(RMSNorm):
    """Root-mean-square normalisation that scales by one plus its weight, before it is cast back.

    Source: Gemma Team, 2024, "Gemma: Open Models Based on Gemini Research and Technology".
    """

    def __init__(self, size: int, eps: float = 1e-6) -> None:
        super().__init__(size, eps)
        nn.init.zeros_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` (…, D) normalised and scaled."""
        return rms_norm(x.float(), 1.0 + self.weight.float(), self.eps).to(x.dtype)


class FrozenBatchNorm2d(nn.Module):
    """Batch normalisation with fixed statistics, scale and shift, none of which is trained.

    Args:
        size: C, the number of channels.
    """

    eps = 1e-5
    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        for name, value in (("weight", 1.0), ("bias", 0.0), ("running_mean", 0.0), ("running_var", 1.0)):
            self.register_buffer(name, torch.full((size,), value))

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` (B, C, height, width) normalised."""
        scale = self.weight * (self.running_var + self.eps).rsqrt()
        return x * scale[:, None, None] + (self.bias - self.running_mean * scale)[:, None, None]


def freeze_batch_norms(module: nn.Module) -> None:
    """Put a frozen batch normalisation in the place of every trained one inside a module, without its numbers."""
    for name, part in module.named_children():
        if isinstance(part, nn.BatchNorm2d):
            setattr(module, name, FrozenBatchNorm2d(part.num_features))
        else:
            freeze_batch_norms(part)
