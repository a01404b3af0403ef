"""Products of few rows in bfloat16, on processors with AMX: a weight is read once, and what follows is added to it.

oneDNN rearranges a weight before it multiplies, at every call; of up to 128 rows that takes as long as the product
itself or longer. Our core uses the weight where it lies. Sums, bias and activation are in single precision, and rounded
once.

Shapes: … any leading axes, R rows in all, I inputs, O outputs.
"""

from __future__ import annotations

import torch
from torch import Tensor

from enfold import _native

__all__ = ["fits", "product"]

# Rows up to which ours is ahead of oneDNN: 1.1 to 2.3 times as fast with up to 64, 1.0 to 1.6 with these. The first
# number is that of weights that are stored input first.
FEW, ROWS = 32, 128
# What a tile holds of a row, and outputs that are made at a time.
DEPTH, PANEL = 32, 32


def fits(x: Tensor, weight: Tensor, input_first: bool = False) -> bool:
    """Return whether this is the faster way to ``x @ weight.T``, of two tensors on a processor.

    Args:
        x: (…, I).
        weight: (O, I), contiguous.
        input_first: whether it is (I, O), for ``x @ weight``.
    """
    outputs, inputs = weight.shape[::-1] if input_first else weight.shape
    return (
        x.dtype is weight.dtype is torch.bfloat16
        and inputs % DEPTH == 0
        and (outputs % PANEL == 0 if input_first else outputs >= PANEL)
        and 0 < x.numel() <= (FEW if input_first else ROWS) * inputs
        and _native.has_amx()
    )


def product(x: Tensor, weight: Tensor, bias: Tensor | None, then: str = "", input_first: bool = False) -> Tensor:
    """Return ``then(x @ weight.T + bias)``.

    Args:
        x: (…, I).
        weight: (O, I), contiguous; the two must be such that `fits` says so.
        bias: (O), or none; in any precision, rounded to bfloat16.
        then: an activation as oneDNN names it and its variant (``"relu"``, ``"gelunone"``, ``"gelutanh"``, ``"swish"``,
            ``"tanh"``), or nothing.
        input_first: whether the weight is (I, O), for ``x @ weight``.

    Returns:
        (…, O), bfloat16.
    """
    outputs, inputs = weight.shape[::-1] if input_first else weight.shape
    x = x.contiguous()
    if bias is not None:
        bias = bias.to(torch.bfloat16).contiguous()
    made = x.new_empty(*x.shape[:-1], outputs)
    _native.bfloat16_linear(
        x.data_ptr(), x.numel() // inputs, weight.data_ptr(), 0 if bias is None else bias.data_ptr(),
        inputs, outputs, input_first, then, made.data_ptr(), torch.get_num_threads(),
    )  # fmt: skip
    return made
