"""Products of many rows, and attention, in single precision on processors with AVX2, by the C++ core.

Bias, activation and what the result is added to are taken care of while the next sums are made. Weights are used where
they lie, and nothing is kept of them. Each sum is made in the same order whatever the number of rows. Products in
bfloat16 are made so too, and rounded once: torch's own take eight times as long there.

Processors with wider vectors have torch's own libraries, which are as fast there.

Shapes: … any leading axes, I inputs, O outputs; B rows, H heads, T and S tokens, D width of a head.
"""

from __future__ import annotations

import torch
from torch import Tensor

from enfold import _native

__all__ = ["attended", "fits", "fits_attention", "product"]

# From so many rows on, and of weights of at least this size, they are ahead of torch's.
ROWS, SIZE = 8, 2**12


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


def fits_attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> bool:
    """Return whether this is the faster way to attend, in plain inference on a processor.

    Args:
        query: (B, H, T, D).
        key, value: (B, H, S, D).
        mask: (B | 1, 1, 1, S), boolean, for `attended`; None hides nothing.
    """
    batch, heads, tokens, width = query.shape
    return (
        query.dtype is key.dtype is value.dtype is torch.float32
        and type(key) is type(value) is Tensor
        and tokens >= ROWS
        and width % 8 == 0
        and key.shape == value.shape == (batch, heads, key.shape[2], width)
        and (mask is None or (mask.dtype is torch.bool and mask.shape in [(b, 1, 1, key.shape[2]) for b in (1, batch)]))
        and _native.has_float32()
    )


def attended(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scale: float | None = None) -> Tensor:
    """Return what queries find, (B, H, T, D), whose tokens lie behind each other with all their heads.

    Args:
        query: (B, H, T, D).
        key, value: (B, H, S, D).
        mask: (B | 1, 1, 1, S), False hides a key; None hides nothing. What sees nothing finds zeros.
        scale: of the scores; 1 / √D by default.
    """
    batch, heads, tokens, width = query.shape
    parts = [each if each.stride(-1) == 1 else each.contiguous() for each in (query, key, value)]
    places = [(*each.shape, *each.stride()[:3]) for each in parts]
    mask = None if mask is None else mask.contiguous()
    hidden = (0, 0) if mask is None else (mask.data_ptr(), mask.shape[3] if len(mask) > 1 else 0)
    made = query.new_empty(batch, tokens, heads, width)
    given = [item for part, place in zip(parts, places, strict=True) for item in (part.data_ptr(), place)]
    _native.float32_attend(
        *given, *hidden, width**-0.5 if scale is None else scale, made.data_ptr(), torch.get_num_threads()
    )
    return made.transpose(1, 2)
