"""The native counterpart of a decoder's layer whose weights are in eight bits; see `enfold.nn.step`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from enfold.nn.activations import AFTER
from enfold.nn.caches.layers import Room
from enfold.nn.int8 import Int8Linear
from enfold.nn.norm import RMSNorm
from enfold.nn.step import Block, Held, Parts, Sight

__all__ = ["block", "suits"]


def suits(parts: Parts) -> bool:
    """Return whether layers of this kind may have one."""
    return type(parts.output) is Int8Linear


def block(parts: Parts, held: Held) -> Block | None:
    """Make it, or return None where one of the parts has no counterpart."""
    from enfold._native import Int8Block

    after = AFTER.get(parts.act)
    if after is None or not all(type(linear) is Int8Linear for linear in parts.linears):
        return None
    before, between = _norm(parts.before, held), _norm(parts.between, held)
    if before is None or between is None:
        return None
    queries, heads = parts.heads
    native = Int8Block(
        before,
        between,
        [_linear(linear, held) for linear in parts.inputs],
        _linear(parts.output, held),
        None if parts.gate is None else _linear(parts.gate, held),
        _linear(parts.up, held),
        _linear(parts.down, held),
        after,
        queries,
        heads,
        parts.dim,
        parts.factor,
    )
    return _Int8Block(native, heads, parts.dim)


def _norm(norm: Any, held: Held) -> tuple[int, int, float] | None:
    """Return addresses of a norm's weight and bias, and its epsilon; None for one of another kind."""
    if type(norm) not in (nn.LayerNorm, RMSNorm) or norm.weight is None:
        return None
    state = norm.__dict__["_parameters"]
    weight, bias = held.address(state, "weight"), held.address(state, "bias") if type(norm) is nn.LayerNorm else 0
    eps = held.keep(norm.__dict__, "eps")
    return None if weight is None or bias is None else (weight, bias, eps)


def _linear(linear: Any, held: Held) -> tuple[Any, int]:
    packed = held.keep(linear.__dict__, "packed")
    return packed.native, (0 if linear.bias is None else held.address(linear.__dict__, "bias")) or 0


class _Int8Block(Block):
    def takes(self, room: Room, tokens: int) -> bool:
        return room.where is None and super().takes(room, tokens)

    def argument(self, room: Room, sight: Sight) -> tuple[Any, ...]:
        place = (room.keys.data_ptr(), room.values.data_ptr(), *room.keys.stride()[:3])
        looks = (sight.cos, sight.sin, sight.by_angle, sight.half, sight.mask, sight.by_mask, room.offset)
        return self.native, place, looks

    def run(self, arguments: list[Any], x: Tensor, made: Tensor, tokens: int) -> None:
        from enfold._native import step_int8_blocks

        step_int8_blocks(arguments, x.data_ptr(), made.data_ptr(), tokens, torch.get_num_threads())
