"""Products in bfloat16 on processors with AMX, and what follows them.

Of few rows a weight is read once, where it lies; oneDNN rearranges it before it multiplies, at every call, which takes
as long as the product itself. Of many rows as much of it as the second cache holds is brought into the order of AMX at
a time, and what follows the sums is done while the next ones are made. Sums, bias and activation are in single
precision, and rounded once.

Shapes: … any leading axes, R rows in all, I inputs, O outputs.
"""

from __future__ import annotations

import torch
from torch import Tensor

from enfold import _native

__all__ = ["fits", "product"]

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
        and x.numel() > 0
        and _native.has_amx()
    )


def product(x: Tensor, weight: Tensor, bias: Tensor | None, then: str = "none", input_first: bool = False) -> Tensor:
    """Return ``then(x @ weight.T + bias)``.

    Args:
        x: (…, I).
        weight: (O, I), contiguous; the two must be such that `fits` says so.
        bias: (O), or none; in any precision, rounded to bfloat16.
        then: an activation's name in ``enfold.nn.activations.AFTER``, or ``"none"``.
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
