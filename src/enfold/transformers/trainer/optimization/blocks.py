"""An optimizer's state in 8 or 4 bits: a table of values, and one scale for each block of them.

Sources: https://arxiv.org/abs/2110.02861 (8 bits, dynamic tree quantization, section 2), https://arxiv.org/abs/2309.01507
(4 bits; second moments on a line without zero).
"""

from __future__ import annotations

import functools
import math
from typing import Any

import torch
from torch import Tensor

__all__ = ["code_values", "pack", "unpack"]


@functools.cache
def code_values(signed: bool, bits: int = 8) -> Tensor:
    """Return the values that codes stand for, ascending, the largest 1.

    Of a code's bits some say the power of ten and the others the fraction: small values are as exact, relative to
    themselves, as large ones. In 4 bits, values without a sign lie on a line and none of them is 0, by which second
    moments divide.

    Returns:
        Values, shape (2**bits,).

    Example:
        >>> code_values(True).shape, float(code_values(False)[0]), float(code_values(True)[-1])
        (torch.Size([256]), 0.0, 1.0)
    """
    if bits == 4 and not signed:
        return torch.linspace(0, 1, 17)[1:]
    powers = bits - 1 if bits == 8 else 3
    values = [torch.tensor([0.0, 1.0])]
    for index in range(powers):
        edges = torch.linspace(0.1, 1, 2 ** (index + (0 if signed else 1)) + 1)
        middles = 10 ** (index + 1 - powers) * ((edges[:-1] + edges[1:]) / 2)
        values += [middles, -middles] if signed else [middles]
    return torch.cat(values).sort().values


@functools.lru_cache(maxsize=32)
def _tables(signed: bool, bits: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Values, and what lies between each two of them: the borders of what rounds to each."""
    values = code_values(signed, bits)
    return values.to(device), ((values[:-1] + values[1:]) / 2).to(device)


def in_whole_rows(shape: tuple[int, ...], block: int) -> bool:
    """Say whether every row of a matrix is whole blocks, so that the matrix may be cut between any two rows."""
    return len(shape) >= 2 and shape[-1] % block == 0


def pack(value: Tensor, signed: bool, bits: int = 8, block: int = 256) -> tuple[Tensor, Tensor]:
    """Round a tensor to codes.

    Args:
        value: any shape; float.
        signed: whether it may be below 0.
        bits: 8, or 4 (two codes to a byte).
        block: values that share a scale.

    Returns:
        Codes (uint8) and the largest magnitude of each block (float32). Where rows are whole blocks both keep the
        leading dimensions, (…, columns · bits / 8) and (…, columns / block); otherwise both are flat.

    Example:
        >>> codes, scales = pack(torch.tensor([0.5, -2.0, 0.0]), signed=True)
        >>> unpack(codes, scales, torch.Size([3]), signed=True)
        tensor([ 0.4953, -1.9859,  0.0000])
    """
    shape = tuple(value.shape)
    if hasattr(value, "to_local"):
        return _wrapped(pack(value.to_local(), signed, bits, block), value)  # type: ignore[return-value]
    rows = in_whole_rows(shape, block)
    flat = value.reshape(-1).float()
    if len(flat) % block:
        flat = torch.nn.functional.pad(flat, (0, block - len(flat) % block))
    grid = flat.view(-1, block)
    scales = grid.abs().amax(1) if len(grid) else grid.new_zeros(0)
    borders = _tables(signed, bits, value.device)[1]
    codes = torch.bucketize(grid / scales.masked_fill(scales == 0, 1.0).unsqueeze(1), borders, out_int32=True)
    if not signed and bits == 8:
        # What others are divided by is never rounded to nothing: a momentum that outlives its squares would explode.
        codes = codes.maximum((grid > 0).int())
    codes = codes.to(torch.uint8)
    if bits == 4:
        codes = codes[:, ::2] << 4 | codes[:, 1::2]
    if rows:
        return codes.view(*shape[:-1], shape[-1] * bits // 8), scales.view(*shape[:-1], shape[-1] // block)
    return codes.view(-1), scales


def unpack(codes: Tensor, scales: Tensor, shape: torch.Size, signed: bool, bits: int = 8, block: int = 256) -> Tensor:
    """Return the values (float32) that codes stand for; arguments as :func:`pack` takes and gives them."""
    if hasattr(codes, "to_local"):
        local: Any = scales
        rows = codes.to_local().shape[:-1]
        inner = unpack(codes.to_local(), local.to_local(), torch.Size([*rows, shape[-1]]), signed, bits, block)
        return _wrapped((inner,), codes, shape)[0]
    values = _tables(signed, bits, codes.device)[0]
    if bits == 4:
        codes = torch.stack([codes >> 4, codes & 15], dim=-1)
    grid = values[codes.reshape(-1).int()].view(-1, block).mul_(scales.reshape(-1, 1))
    return grid.view(-1)[: math.prod(shape)].view(shape)


def _wrapped(parts: tuple[Tensor, ...], like: Any, shape: torch.Size | None = None) -> tuple[Tensor, ...]:
    """Cut tensors between processes as ``like`` is, of which they are this process's part."""
    from torch.distributed.tensor import DTensor

    made = []
    for part in parts:
        whole = shape if shape is not None else torch.Size([*like.shape[:-1], part.shape[-1]])
        strides = [math.prod(whole[index + 1 :]) for index in range(len(whole))]
        cut = DTensor.from_local(
            part, like.device_mesh, like.placements, run_check=False, shape=whole, stride=tuple(strides)
        )
        made.append(cut)
    return tuple(made)
