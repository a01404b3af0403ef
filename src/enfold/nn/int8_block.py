"""One token a row through a decoder's layers whose weights are in eight bits: one native call for all of them.

A layer of a small model has so little to compute for one token that most of its time passes between its operations: a
weight that was read from memory has pushed Python's own data out of the caches. A model file says what its layer is
made of (`Parts`); what runs is decided here, and whoever watches, replaces or changes a part of a layer sees it run as
ever.

Shapes: B rows, D width of the states, S positions with the new one, H heads, K heads of keys, d width of a head.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from enfold.nn.caches.layers import CacheLayer
from enfold.nn.int8 import AFTER, Int8Linear
from enfold.nn.linear import is_plain_inference
from enfold.nn.norm import RMSNorm

__all__ = ["Parts", "step"]


@dataclass(frozen=True)
class Parts:
    """A layer that computes ``x = x + output(attend(inputs(before(x))))``, then ``x = x + feed_forward(between(x))``.

    Attributes:
        before, between: the norms.
        inputs: what makes queries, keys and values, one after another: one layer, or three.
        output: the projection of what was attended to.
        gate: the feed-forward is ``down(act(gate(x)) · up(x))``; without it ``down(act(up(x)))``.
        up, down: its other layers.
        act: the activation.
        dim: d.
        scale: factor of the scores; 1 / √d by default.
    """

    before: Any
    between: Any
    inputs: tuple[Any, ...]
    output: Any
    gate: Any
    up: Any
    down: Any
    act: Callable[[Tensor], Tensor]
    dim: int
    scale: float | None = None


def step(layers: Any, x: Tensor, given: Sequence[tuple[Any, ...]], cache: Any) -> Tensor | None:
    """Return the states of one new token a row after all layers, or None where they are to be run one by one.

    Args:
        layers: a list of modules. Their ``parts()`` says what they are made of, or None; ``sight(*given)`` which mask
            (B | 1, 1, 1, S; True where a row may look, or None) and which angles by which queries and keys are turned
            (cosines and sines (B | 1, 1, 1, d / 2 or fewer), or None) are among what they are given, or None for more.
        x: (B, 1, D).
        given: what each layer takes beside the states.
        cache: where the layers keep their keys and values, which grow by one position.

    Returns:
        (B, 1, D).
    """
    if type(layers) is not nn.ModuleList or not is_plain_inference(layers, x):
        return None
    if x.dtype is not torch.float32 or x.shape[1] != 1 or not len(layers):
        return None
    plan = layers.__dict__.get("_plan")
    if type(plan) is not _Plan or not plan.holds():
        first = getattr(layers[0], "parts", None)
        parts = None if first is None else first()
        if parts is None or type(parts.output) is not Int8Linear:
            return None
        plan = layers.__dict__["_plan"] = _Plan(layers)
    if not plan.blocks:
        return None
    rows, known, steps = x.shape[0], dict[Any, tuple[int, ...]](), list[Any]()
    kept = [cache.layer(index) for index in range(len(plan.blocks))]
    blocks: Any = layers
    for block, layer, own, place in zip(plan.blocks, blocks, given, kept, strict=True):
        sight = layer.sight(*own)
        room = place.room() if type(place) is CacheLayer and sight is not None else None
        if room is None or x.shape[2:] != (block.native.width,) or not block.takes(room, rows):
            return None
        # Layers of one kind share what they are given.
        seen = known.get(key := (id(sight[0]), id(sight[1]), place.offset))
        if seen is None:
            hidden, turned = _hidden(sight[0], rows, place.offset + 1), _turned(sight[1], rows, block.dim)
            if hidden is None or turned is None:
                return None
            seen = known[key] = (*turned, *hidden, place.offset)
        keys, values = room
        steps.append((block.native, (keys.data_ptr(), values.data_ptr(), *keys.stride()[:3]), seen))
    x = x.contiguous()
    made = torch.empty_like(x)
    plan.run(steps, x.data_ptr(), made.data_ptr(), rows, torch.get_num_threads())
    for place in kept:
        place.offset += 1
    return made


def _hidden(mask: Tensor | None, rows: int, length: int) -> tuple[int, int] | None:
    """Return the address of a mask and the distance between its rows, or None for one of another kind."""
    if mask is None:
        return 0, 0
    if mask.dtype is not torch.bool or mask.shape[1:] != (1, 1, length) or mask.stride(3) != 1 or not mask.is_cpu:
        return None
    if mask.shape[0] not in (1, rows):
        return None
    return mask.data_ptr(), mask.stride(0) if mask.shape[0] > 1 else 0


def _turned(angles: tuple[Tensor, Tensor] | None, rows: int, dim: int) -> tuple[int, int, int, int] | None:
    """Return the addresses of angles, the distance between their rows, and how many there are; None for others."""
    if angles is None:
        return 0, 0, 0, 0
    cos, sin = angles
    half = cos.shape[-1]
    fits = cos.shape == sin.shape and cos.shape[:3] in ((1, 1, 1), (rows, 1, 1)) and 2 * half <= dim
    if not fits or cos.dtype is not torch.float32 or sin.dtype is not torch.float32:
        return None
    if not (cos.is_contiguous() and sin.is_contiguous()):
        return None
    return cos.data_ptr(), sin.data_ptr(), half if cos.shape[0] > 1 else 0, half


class _Plan:
    """The native counterparts of layers, for as long as all parts are what they were; none where one layer has none.

    Args:
        layers: a list of them.
    """

    def __init__(self, layers: nn.ModuleList) -> None:
        from enfold._native import step_int8_blocks

        self.run: Any = step_int8_blocks
        # What has to stay as it is: who the parts are, that nothing watches them, and where their numbers lie.
        self.states = [module.__dict__ for module in layers.modules()]
        self.children = [(state["_modules"], dict(state["_modules"])) for state in self.states if state["_modules"]]
        self.kept: list[tuple[dict[str, Any], str, Any]] = []
        self.lying: list[tuple[Tensor, int]] = []
        self.blocks: list[_Block] = []
        self.plain = self._is_plain()
        for layer in layers if self.plain else ():
            made = getattr(layer, "parts", lambda: None)()
            block = None if made is None else self._made(made)
            if block is None:
                self.blocks = []
                break
            self.blocks.append(block)

    def __deepcopy__(self, memo: dict[int, Any]) -> None:
        return None  # other layers make their own

    def __reduce__(self) -> tuple[Any, tuple[()]]:
        return type(None), ()

    def holds(self) -> bool:
        """Return whether everything is what it was when this was made."""
        return (
            all(now == before for now, before in self.children)
            and self._is_plain() is self.plain
            and all(state[name] is what for state, name, what in self.kept)
            and all(tensor.data_ptr() == address for tensor, address in self.lying)
        )

    def _is_plain(self) -> bool:
        return not any(
            state["training"] or state["_forward_hooks"] or state["_forward_pre_hooks"] or "forward" in state
            for state in self.states
        )

    def _made(self, parts: Parts) -> _Block | None:
        from enfold._native import Int8Block

        linears = (*parts.inputs, parts.output, parts.up, parts.down, *(() if parts.gate is None else (parts.gate,)))
        after = AFTER.get(parts.act)
        if after is None or not all(type(linear) is Int8Linear for linear in linears):
            return None
        norms = [self._norm(norm) for norm in (parts.before, parts.between)]
        if None in norms:
            return None
        queries = parts.output.in_features // parts.dim
        given = sum(linear.out_features for linear in parts.inputs)
        heads = (given // parts.dim - queries) // 2
        native = Int8Block(
            *norms,
            [self._linear(linear) for linear in parts.inputs],
            self._linear(parts.output),
            None if parts.gate is None else self._linear(parts.gate),
            self._linear(parts.up),
            self._linear(parts.down),
            after,
            queries,
            heads,
            parts.dim,
            parts.dim**-0.5 if parts.scale is None else parts.scale,
        )
        return _Block(native, heads, parts.dim)

    def _norm(self, norm: Any) -> tuple[int, int, float] | None:
        """Return addresses of a norm's weight and bias, and its epsilon; None for one of another kind."""
        if type(norm) not in (nn.LayerNorm, RMSNorm) or norm.weight is None:
            return None
        names = ("weight", "bias") if type(norm) is nn.LayerNorm else ("weight",)
        held = [self._address(norm.__dict__["_parameters"], name) for name in names]
        self.kept.append((norm.__dict__, "eps", norm.eps))
        if None in held:
            return None
        return held[0] or 0, (held[1] if len(held) > 1 else 0) or 0, norm.eps

    def _linear(self, linear: Any) -> tuple[Any, int]:
        self.kept.append((linear.__dict__, "packed", linear.packed))
        bias = 0 if linear.bias is None else self._address(linear.__dict__, "bias")
        return linear.packed.native, bias or 0

    def _address(self, holder: dict[str, Any], name: str) -> int | None:
        tensor = holder[name]
        if tensor is None or tensor.dtype is not torch.float32 or not tensor.is_cpu or not tensor.is_contiguous():
            return None
        self.kept.append((holder, name, tensor))
        self.lying.append((tensor, tensor.data_ptr()))
        return tensor.data_ptr()


@dataclass(frozen=True)
class _Block:
    """A layer's native counterpart, with K heads of width d."""

    native: Any
    heads: int
    dim: int

    def takes(self, room: tuple[Tensor, Tensor], rows: int) -> bool:
        """Return whether keys and values for these rows lie as they have to."""
        keys, values = room
        return (
            keys.dtype is values.dtype is torch.float32
            and keys.shape[:2] == values.shape[:2] == (rows, self.heads)
            and keys.shape[3] == values.shape[3] == self.dim
            and keys.stride() == values.stride()
            and keys.stride(3) == 1
            and keys.is_cpu
        )
