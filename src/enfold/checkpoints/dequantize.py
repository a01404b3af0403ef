"""The blocks of GGUF's tensor types as numbers.

Every function gets blocks as bytes (N, size) and returns (N, values) in single precision. Names of fields are those of
``ggml-common.h``: d and m are a block's scale and minimum, qs its small numbers, qh their high bits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

__all__ = ["BLOCKS", "numbers"]

NON_LINEAR = (-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113)
FP4 = (0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12)


def _half(blocks: Tensor, at: int) -> Tensor:
    """Return the half-precision number at byte ``at`` of each block, (N, 1)."""
    return blocks[:, at : at + 2].contiguous().view(torch.float16).float()


def _nibbles(qs: Tensor) -> Tensor:
    """Return (…, n) bytes as (…, 2, n) numbers below 16: the low halves, then the high ones."""
    return torch.stack((qs & 15, qs >> 4), dim=-2)


def _fifth_bits(qh: Tensor) -> Tensor:
    """Return four bytes a block as (N, 32) bits, lowest first, worth 16."""
    bits = qh[:, :, None] >> torch.arange(8, dtype=torch.uint8)
    return (bits & 1).flatten(1) << 4


def q4_0(blocks: Tensor) -> Tensor:
    """32 numbers of four bits: d · (q - 8)."""
    return _half(blocks, 0) * (_nibbles(blocks[:, 2:]).flatten(1).float() - 8)


def q4_1(blocks: Tensor) -> Tensor:
    """32 numbers of four bits: d · q + m."""
    return _half(blocks, 0) * _nibbles(blocks[:, 4:]).flatten(1).float() + _half(blocks, 2)


def q5_0(blocks: Tensor) -> Tensor:
    """32 numbers of five bits: d · (q - 16)."""
    low = _nibbles(blocks[:, 6:]).flatten(1)
    return _half(blocks, 0) * ((low | _fifth_bits(blocks[:, 2:6])).float() - 16)


def q5_1(blocks: Tensor) -> Tensor:
    """32 numbers of five bits: d · q + m."""
    low = _nibbles(blocks[:, 8:]).flatten(1)
    return _half(blocks, 0) * (low | _fifth_bits(blocks[:, 4:8])).float() + _half(blocks, 2)


def q8_0(blocks: Tensor) -> Tensor:
    """32 numbers of eight bits: d · q."""
    return _half(blocks, 0) * blocks[:, 2:].view(torch.int8).float()


def q8_k(blocks: Tensor) -> Tensor:
    """256 numbers of eight bits: d · q, d in single precision."""
    return blocks[:, :4].contiguous().view(torch.float32) * blocks[:, 4:260].view(torch.int8).float()


def _crumbs(qs: Tensor) -> Tensor:
    """Return 64 bytes a block as (N, 2, 4, 32) numbers below four: two halves, four shifts each."""
    shifts = torch.tensor([0, 2, 4, 6], dtype=torch.uint8)[:, None]
    return (qs.view(-1, 2, 1, 32) >> shifts) & 3


def q2_k(blocks: Tensor) -> Tensor:
    """256 numbers of two bits in 16 groups, each with a scale and a minimum of four bits."""
    scales = blocks[:, :16]
    d, m = _half(blocks, 80), _half(blocks, 82)
    scale, low = d * (scales & 15).float(), m * (scales >> 4).float()  # (N, 16)
    q = _crumbs(blocks[:, 16:80]).reshape(-1, 16, 16).float()
    return (scale[:, :, None] * q - low[:, :, None]).flatten(1)


def q3_k(blocks: Tensor) -> Tensor:
    """256 numbers of three bits in 16 groups, each with a scale of six bits."""
    packed = blocks[:, 96:108]
    low = torch.cat((packed[:, :8] & 15, packed[:, :8] >> 4), 1)  # (N, 16)
    high = ((packed[:, None, 8:] >> torch.tensor([0, 2, 4, 6], dtype=torch.uint8)[:, None]) & 3).flatten(1)
    scale = _half(blocks, 108) * ((low | (high << 4)).float() - 32)
    third = (blocks[:, None, :32] >> torch.arange(8, dtype=torch.uint8)[:, None]) & 1  # (N, 8, 32)
    q = _crumbs(blocks[:, 32:96]).reshape(-1, 8, 32).float() - 4 * (1 - third.float())
    return (scale[:, :, None] * q.reshape(-1, 16, 16)).flatten(1)


def _six_bits(packed: Tensor) -> tuple[Tensor, Tensor]:
    """Return 12 bytes a block as eight scales and eight minima of six bits, (N, 8) each."""
    first, second, third = packed[:, :4], packed[:, 4:8], packed[:, 8:12]
    scale = torch.cat((first & 63, (third & 15) | ((first >> 6) << 4)), 1)
    low = torch.cat((second & 63, (third >> 4) | ((second >> 6) << 4)), 1)
    return scale.float(), low.float()


def q4_k(blocks: Tensor) -> Tensor:
    """256 numbers of four bits in eight groups, each with a scale and a minimum of six bits."""
    scale, low = _six_bits(blocks[:, 4:16])
    scale, low = _half(blocks, 0) * scale, _half(blocks, 2) * low
    q = _nibbles(blocks[:, 16:].reshape(-1, 4, 32)).reshape(-1, 8, 32).float()
    return (scale[:, :, None] * q - low[:, :, None]).flatten(1)


def q5_k(blocks: Tensor) -> Tensor:
    """256 numbers of five bits in eight groups, each with a scale and a minimum of six bits."""
    scale, low = _six_bits(blocks[:, 4:16])
    scale, low = _half(blocks, 0) * scale, _half(blocks, 2) * low
    fifth = ((blocks[:, None, 16:48] >> torch.arange(8, dtype=torch.uint8)[:, None]) & 1) << 4  # (N, 8, 32)
    q = (_nibbles(blocks[:, 48:].reshape(-1, 4, 32)).reshape(-1, 8, 32) | fifth).float()
    return (scale[:, :, None] * q - low[:, :, None]).flatten(1)


def q6_k(blocks: Tensor) -> Tensor:
    """256 numbers of six bits in 16 groups, each with a scale of eight bits."""
    low = _nibbles(blocks[:, :128].reshape(-1, 2, 64)).reshape(-1, 2, 4, 32)
    high = _crumbs(blocks[:, 128:192])
    q = (low | (high << 4)).float() - 32  # (N, 2, 4, 32)
    scale = _half(blocks, 208) * blocks[:, 192:208].contiguous().view(torch.int8).float()
    return (scale[:, :, None] * q.reshape(-1, 16, 16)).flatten(1)


def iq4_nl(blocks: Tensor) -> Tensor:
    """32 numbers of four bits that name one of 16 uneven steps."""
    steps = torch.tensor(NON_LINEAR, dtype=torch.float32)
    return _half(blocks, 0) * steps[_nibbles(blocks[:, 2:]).flatten(1).long()]


def iq4_xs(blocks: Tensor) -> Tensor:
    """256 numbers of four bits that name one of 16 uneven steps, in eight groups with a scale of six bits."""
    steps = torch.tensor(NON_LINEAR, dtype=torch.float32)
    wide = blocks[:, 2:4].contiguous().view(torch.int16).int()
    high = (wide >> (2 * torch.arange(8))) & 3  # (N, 8)
    low = _nibbles(blocks[:, 4:8]).transpose(1, 2).flatten(1)
    scale = _half(blocks, 0) * ((low.int() | (high << 4)).float() - 32)
    q = steps[_nibbles(blocks[:, 8:].reshape(-1, 8, 16)).flatten(2).long()]  # (N, 8, 32)
    return (scale[:, :, None] * q).flatten(1)


def mxfp4(blocks: Tensor) -> Tensor:
    """32 floating-point numbers of four bits with a power of two, halved (OCP Microscaling Formats, 2023)."""
    steps = torch.tensor(FP4, dtype=torch.float32)
    power = blocks[:, :1].int() - 128
    scale = torch.ldexp(torch.ones(power.shape), power)
    return scale * steps[_nibbles(blocks[:, 1:]).flatten(1).long()]


# types that torch has itself: name → type
PLAIN = {
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F64": torch.float64,
    "I8": torch.int8,
    "I16": torch.int16,
    "I32": torch.int32,
    "I64": torch.int64,
}
PACKED: dict[str, tuple[int, int, Callable[[Tensor], Tensor]]] = {
    "Q4_0": (32, 18, q4_0),
    "Q4_1": (32, 20, q4_1),
    "Q5_0": (32, 22, q5_0),
    "Q5_1": (32, 24, q5_1),
    "Q8_0": (32, 34, q8_0),
    "Q2_K": (256, 84, q2_k),
    "Q3_K": (256, 110, q3_k),
    "Q4_K": (256, 144, q4_k),
    "Q5_K": (256, 176, q5_k),
    "Q6_K": (256, 210, q6_k),
    "Q8_K": (256, 292, q8_k),
    "IQ4_NL": (32, 18, iq4_nl),
    "IQ4_XS": (256, 136, iq4_xs),
    "MXFP4": (32, 17, mxfp4),
}
# name of a type → numbers in a block, bytes of a block
BLOCKS: dict[str, tuple[int, int]] = {
    **{name: (1, dtype.itemsize) for name, dtype in PLAIN.items()},
    **{name: (values, size) for name, (values, size, _) in PACKED.items()},
}


def numbers(kind: str, data: Any, offset: int, length: int) -> Tensor:
    """Return the numbers in ``length`` bytes of ``data`` from ``offset`` on.

    Args:
        kind: one of ``BLOCKS``.
        data: a buffer, such as a mapped file. Where the type is one of torch's, the tensor lies in it.
    """
    if not length:
        return torch.empty(0, dtype=PLAIN.get(kind, torch.float32))
    if kind in PLAIN:
        return torch.frombuffer(data, dtype=PLAIN[kind], count=length // PLAIN[kind].itemsize, offset=offset)
    raw = torch.frombuffer(data, dtype=torch.uint8, count=length, offset=offset)
    _, size, unpack = PACKED[kind]
    return unpack(raw.view(-1, size)).flatten()
