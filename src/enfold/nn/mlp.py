"""Feed-forward blocks that families share."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from enfold.nn import rows
from enfold.nn.activations import activation
from enfold.nn.linear import is_plain_call, project

__all__ = ["GatedMLP"]


class GatedMLP(nn.Module):
    """``down(act(gate(x)) · up(x))``, the gated feed-forward of Llama and its relatives.

    Args:
        width: D, of what comes and goes.
        inner: size between.
        act: name of the activation, or a function.
        bias: whether the projections have biases.

    Source: Shazeer, 2020, "GLU Variants Improve Transformer".

    Example:
        >>> import torch
        >>> GatedMLP(4, 6, "silu")(torch.zeros(1, 2, 4)).shape
        torch.Size([1, 2, 4])
    """

    def __init__(self, width: int, inner: int, act: str | Callable[[Tensor], Tensor], *, bias: bool = False) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(width, inner, bias=bias)
        self.up_proj = nn.Linear(width, inner, bias=bias)
        self.down_proj = nn.Linear(inner, width, bias=bias)
        self.act = activation(act)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, T, D) for (B, T, D)."""
        if x.dtype is torch.float32 and self.act is F.silu and is_plain_call(x) and rows.has_some(x):
            gate, up = project(self.gate_proj, x), project(self.up_proj, x)
            inner = rows.gated(gate, up) if gate.dtype is up.dtype is torch.float32 else self.act(gate) * up
            return project(self.down_proj, inner)
        return project(self.down_proj, project(self.gate_proj, x, self.act) * project(self.up_proj, x))
