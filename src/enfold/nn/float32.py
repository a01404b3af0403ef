"""Products of many rows in single precision on processors with AVX2, by the C++ core.

Bias, activation and what the result is added to are taken care of while the next sums are made. Weights are used where
they lie, and nothing is kept of them. Each sum is made in the same order whatever the number of rows. Products in
bfloat16 are made so too, and rounded once: torch's own take eight times as long there.

Processors with wider vectors have torch's own libraries, which are as fast there.

Shapes: … any leading axes, I inputs, O outputs.
"""

from __future__ import annotations

import torch
from torch import Tensor

from enfold import _native

__all__ = ["fits", "product"]

# From so many rows on, and of weights of at least this size; smaller ones stay with torch, to the last bit.
ROWS, SIZE = 8, 2**16


def fits(x: Tensor, weight: Tensor) -> bool:
    """Return whether this is the faster way to ``x @ weight.T``, of two tensors on a processor.

    Args:
        x: (…, I).
        weight: (O, I), contiguous.
    """
    return (
        x.dtype is weight.dtype
        and x.dtype in (torch.float32, torch.bfloat16)
        and weight.numel() >= SIZE
        and x.numel() >= ROWS * x.shape[-1]
        and _native.has_float32()
    )


def product(x: Tensor, weight: Tensor, bias: Tensor | None, then: str = "none", onto: Tensor | None = None) -> Tensor:
    """Return ``then(x @ weight.T + bias) + onto``.

    Args:
        x: (…, I).
        weight: (O, I), contiguous; the two must be such that `fits` says so.
        bias: (O,), or None.
        then: an activation's name in ``enfold.nn.activations.AFTER``, or ``"none"``.
        onto: (…, O), of the type of ``x``, or None.

    Returns:
        (…, O), of the type of ``x``.
    """
    outputs, inputs = weight.shape
    x = x.contiguous()
    if bias is not None:
        bias = (bias if bias.shape == (outputs,) else bias.expand(outputs)).to(x.dtype).contiguous()
    onto = None if onto is None else onto.contiguous()
    made = x.new_empty(*x.shape[:-1], outputs)
    addresses = [0 if each is None else each.data_ptr() for each in (bias, onto)]
    _native.float32_linear(
        x.dtype is torch.bfloat16, x.data_ptr(), x.numel() // inputs, weight.data_ptr(), *addresses,
        inputs, outputs, then, made.data_ptr(), torch.get_num_threads(),
    )  # fmt: skip
    return made
