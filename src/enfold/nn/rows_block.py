"""The native counterpart of a decoder's layer in single precision, while text is written; see `enfold.nn.step`.

Layers are those of Llama and its relatives: root-mean-square norms, three inputs, a gate with SiLU. Numbers are those
of `enfold.nn.rows`, to the last bit, where keys lie in pages; elsewhere attention is the core's too.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from enfold.nn import rows
from enfold.nn.caches.layers import Room
from enfold.nn.norm import RMSNorm
from enfold.nn.step import Block, Held, Parts, Sight

__all__ = ["block", "suits"]


def suits(parts: Parts) -> bool:
    """Return whether layers of this kind may have one now."""
    return type(parts.output) is nn.Linear and rows.is_writing() and rows.core() is not None


def block(parts: Parts, held: Held) -> Block | None:
    """Make it, or return None where one of the parts has no counterpart."""
    from enfold._native import RowsBlock

    if parts.act is not F.silu or parts.gate is None or len(parts.inputs) != 3 or parts.dim % 16:
        return None
    if not all(type(linear) is nn.Linear for linear in parts.linears):
        return None
    norms = [_norm(norm, held) for norm in (parts.before, parts.between)]
    linears = [_linear(linear, held) for linear in parts.linears]
    if None in norms or None in linears:
        return None
    queries, heads = parts.heads
    return _RowsBlock(RowsBlock(*norms, *linears, queries, heads, parts.dim, parts.factor), heads, parts.dim)


def _norm(norm: Any, held: Held) -> tuple[int, float] | None:
    if type(norm) is not RMSNorm:
        return None
    weight, eps = held.address(norm.__dict__["_parameters"], "weight"), held.keep(norm.__dict__, "eps")
    return (weight, eps) if weight else None


def _linear(linear: nn.Linear, held: Held) -> tuple[int, int, int, int] | None:
    """Return addresses of weight and bias, and the sizes."""
    state = linear.__dict__["_parameters"]
    weight, bias = held.address(state, "weight"), held.address(state, "bias")
    return None if not weight or bias is None else (weight, bias, linear.in_features, linear.out_features)


class _RowsBlock(Block):
    def takes(self, room: Room, tokens: int) -> bool:
        lies = tokens <= rows.FEW and rows.is_writing() and room.keys.stride(2) == self.dim
        return lies and super().takes(room, tokens)

    def argument(self, room: Room, sight: Sight) -> tuple[Any, ...]:
        keys, own = room.keys, (0, room.offset, 0, 0)
        if room.where is not None:
            starts, runs = room.seen
            own = room.where.data_ptr(), 0, starts.data_ptr(), runs.data_ptr()
        by_row = 0 if room.where is not None else keys.stride(0)
        place = (keys.data_ptr(), room.values.data_ptr(), by_row, keys.stride(1), *own)
        return self.native, place, (sight.cos, sight.sin, sight.by_angle, sight.half, sight.mask, sight.by_mask)

    def run(self, arguments: list[Any], x: Tensor, made: Tensor, tokens: int) -> None:
        from enfold._native import step_rows_blocks

        step_rows_blocks(arguments, x.data_ptr(), made.data_ptr(), tokens, torch.get_num_threads())
