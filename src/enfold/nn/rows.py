"""What decoders compute for a few tokens at a time, by the C++ core: products, and what goes on between them.

A product of few rows is as fast as its weight is read, and torch's own library reads one at less than half of the
memory's speed; the small steps between products cost more in calls than in numbers. Weights are used where they lie.
Each sum is made in the same order whatever the number of rows, so that a token's numbers do not depend on what else is
read with it.

In single precision, on processors with AVX2, where no gradient is wanted and text is being written (`writing`): a model
that is only called computes as torch does, to the last bit. ``ENFOLD_SIMD=portable`` and
``torch.backends.mkldnn.flags(enabled=False)`` leave everything to torch.

Shapes: … any leading axes, I inputs, O outputs, H heads, d width of a head, N tokens.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor

__all__ = [
    "attended",
    "core",
    "gated",
    "has_few",
    "has_some",
    "has_turnable",
    "is_writing",
    "kept",
    "normed",
    "product",
    "rotated",
    "writing",
]

# Up to so many rows products are ahead of torch's, and up to so many tokens everything else.
FEW, MANY = 32, 256


class _Here(threading.local):
    writes = False


_here = _Here()


@contextmanager
def writing() -> Iterator[None]:
    """Let this thread's layers compute few tokens by the core; what generates text does so. A block, or a decorator."""
    before, _here.writes = _here.writes, True
    try:
        yield
    finally:
        _here.writes = before


@cache
def core() -> Any:
    """Return the module of the C++ core, or None where the processor lacks the instructions."""
    from enfold import _native

    return _native if _native.has_rows() else None


def is_writing() -> bool:
    """Return whether text is being written in this thread."""
    return _here.writes


def has_few(x: Tensor, weight: Tensor) -> bool:
    """Return whether a product of (…, I) with (O, I), in plain inference, is one for the core."""
    return (
        _here.writes
        and x.dtype is torch.float32
        and weight.dtype is torch.float32
        and x.numel() <= FEW * x.shape[-1]
        and core() is not None
    )


def has_some(x: Tensor) -> bool:
    """Return whether (…, I) has so few rows that the core's steps between products are ahead."""
    return _here.writes and 0 < x.numel() <= MANY * x.shape[-1] and core() is not None


def has_turnable(x: Tensor, cos: Tensor) -> bool:
    """Return whether heads and angles have the shapes, and are so few, that the core turns them."""
    return (
        _here.writes
        and x.ndim == cos.ndim == 4
        and x.shape[0] * x.shape[2] <= MANY
        and cos.shape[0] in (1, x.shape[0])
        and cos.shape[1] == 1
        and cos.shape[2] == x.shape[2]
        and core() is not None
    )


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None, onto: Tensor | None = None) -> Tensor:
    """Return ``x · weightᵀ + bias + onto``, (…, O).

    Args:
        x: (…, I).
        weight: (O, I), in order.
        bias: (O,), or None.
        onto: (…, O), or None.
    """
    out = len(weight)
    rows = x.detach().reshape(-1, x.shape[-1]).contiguous()
    made = rows.new_empty(len(rows), out)
    added = None if onto is None else onto.detach().reshape(-1, out).contiguous()
    own = None if bias is None else bias.detach().contiguous()
    core().rows_multiply(rows, weight.detach(), own, added, made, torch.get_num_threads())
    return made.view(*x.shape[:-1], out)


def normed(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Return (…, D) divided by the root of its mean square, and scaled by ``weight`` (D,)."""
    rows = x.detach().reshape(-1, x.shape[-1]).contiguous()
    made = torch.empty_like(rows)
    core().rows_norm(rows, weight.detach(), eps, made)
    return made.view(x.shape)


def gated(gate: Tensor, up: Tensor) -> Tensor:
    """Return ``silu(gate) · up`` for two tensors (…, D)."""
    first, second = (part.detach().reshape(-1, part.shape[-1]).contiguous() for part in (gate, up))
    made = torch.empty_like(first)
    core().rows_gate(first, second, made)
    return made.view(gate.shape)


def rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Return heads (B, H, T, d) whose pairs are turned by the angles (B | 1, 1, T, at most d/2)."""
    x = x.detach()
    x = x if x.stride(-1) == 1 else x.contiguous()
    made = torch.empty_like(x)
    core().rows_rotate(x, cos.contiguous(), sin.contiguous(), made)
    return made


def kept(x: Tensor, where: Tensor, pages: Tensor) -> None:
    """Write tokens (1, K, N, d) into their slots (N,) of pages (1, K, S, d)."""
    core().rows_keep(x.detach(), where, pages)


def attended(query: Tensor, keys: Tensor, values: Tensor, starts: Tensor, runs: Tensor, scale: float) -> Tensor:
    """Return what each token finds in its own runs of the pages, (N, H, d).

    Args:
        query: (1, H, N, d).
        keys, values: (1, K, S, d), where K divides H and 16 divides d.
        starts: (N + 1,), the first run of each token, and their number.
        runs: (R, 2), first slot and number of slots of each.
        scale: of the scores.
    """
    _, heads, count, width = query.shape
    query = query.detach()
    query = query if query.stride(-1) == 1 else query.contiguous()
    made = query.new_empty(count, heads * width)
    core().rows_attend(query, keys, values, starts, runs, scale, made, torch.get_num_threads())
    return made.view(count, heads, width)
