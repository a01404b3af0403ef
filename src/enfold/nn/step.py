"""One token a row through a decoder's layers: one native call for all of them.

A layer of a small model has so little to compute for one token that most of its time passes between its operations: a
weight that was read from memory has pushed Python's own data out of the caches. A model file says what its layer is
made of (`Parts`); what runs is decided here, and whoever watches, replaces or changes a part of a layer sees it run as
ever. Two kinds of layers have a native counterpart: those in eight bits (`enfold.nn.int8_block`), and, while text is
written, those in single precision (`enfold.nn.rows_block`).

Shapes: B rows, N tokens, one of each row or of each text in pages, D width of the states, S positions with the new one,
H heads, K heads of keys, d width of a head.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from enfold.nn.caches.layers import Room
from enfold.nn.linear import is_plain_inference

__all__ = ["Block", "Held", "Parts", "Sight", "step"]


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

    @property
    def linears(self) -> tuple[Any, ...]:
        """All layers that multiply."""
        feed = (self.up, self.down) if self.gate is None else (self.gate, self.up, self.down)
        return (*self.inputs, self.output, *feed)

    @property
    def factor(self) -> float:
        """The factor of the scores."""
        return self.dim**-0.5 if self.scale is None else self.scale

    @property
    def heads(self) -> tuple[int, int]:
        """H and K."""
        queries = self.output.in_features // self.dim
        given = sum(linear.out_features for linear in self.inputs)
        return queries, (given // self.dim - queries) // 2


@dataclass(frozen=True)
class Sight:
    """Addresses of what tokens look with, for native code.

    Attributes:
        cos, sin: of the angles, or 0.
        by_angle: numbers between two tokens' angles, 0 where they share them.
        half: how many angles there are.
        mask: of what each token may see, or 0.
        by_mask: numbers between two tokens' masks.
    """

    cos: int
    sin: int
    by_angle: int
    half: int
    mask: int
    by_mask: int


class Block(ABC):
    """A layer's native counterpart, with K heads of keys of width d.

    Args:
        native: takes states of ``native.width``.
        heads: K.
        dim: d.
    """

    def __init__(self, native: Any, heads: int, dim: int) -> None:
        self.native, self.heads, self.dim = native, heads, dim

    @abstractmethod
    def argument(self, room: Room, sight: Sight) -> tuple[Any, ...]:
        """Return what the native call takes for this layer."""

    @abstractmethod
    def run(self, arguments: list[Any], x: Tensor, made: Tensor, tokens: int) -> None:
        """Run layers one after another, of which this is the first."""

    def takes(self, room: Room, tokens: int) -> bool:
        """Return whether so many tokens may go through now, and keys and values lie as they have to."""
        keys, values = room.keys, room.values
        return (
            keys.dtype is values.dtype is torch.float32
            and keys.shape == values.shape
            and keys.shape[1] == self.heads
            and keys.shape[0] == (tokens if room.where is None else 1)
            and keys.shape[3] == self.dim
            and keys.stride() == values.stride()
            and keys.stride(3) == 1
            and keys.is_cpu
        )


class Held:
    """What has to stay as it is for native counterparts to be right: who parts are, and where their numbers lie."""

    def __init__(self) -> None:
        self._kept: list[tuple[dict[str, Any], str, Any]] = []
        self._lying: list[tuple[Tensor, int]] = []

    def keep(self, holder: dict[str, Any], name: str) -> Any:
        """Return what a dictionary holds under a name, which has to stay the same."""
        what = holder[name]
        self._kept.append((holder, name, what))
        return what

    def address(self, holder: dict[str, Any], name: str) -> int | None:
        """Return where the numbers of a tensor lie, 0 for None, and None for those that native code cannot read."""
        tensor = self.keep(holder, name)
        if tensor is None:
            return 0
        if tensor.dtype is not torch.float32 or not tensor.is_cpu or not tensor.is_contiguous():
            return None
        self._lying.append((tensor, tensor.data_ptr()))
        return int(tensor.data_ptr())

    def holds(self) -> bool:
        """Return whether everything is what it was."""
        return all(state[name] is what for state, name, what in self._kept) and all(
            tensor.data_ptr() == address for tensor, address in self._lying
        )


def step(layers: Any, x: Tensor, given: Sequence[tuple[Any, ...]], cache: Any) -> Tensor | None:
    """Return the states of one new token of each text after all layers, or None where they are to be run one by one.

    Args:
        layers: a list of modules. Their ``parts()`` says what they are made of, or None; ``sight(*given)`` which mask
            (B | 1, 1, 1, S; True where a row may look, or None) and which angles by which queries and keys are turned
            (cosines and sines (B | 1, 1, N | 1, d / 2 or fewer), or None) are among what they are given, or None for
            more.
        x: (B, 1, D), or (1, N, D) where the cache keeps many texts in pages.
        given: what each layer takes beside the states.
        cache: where the layers keep their keys and values, which grow by one position.

    Returns:
        As ``x``.
    """
    if type(layers) is not nn.ModuleList or not len(layers) or not is_plain_inference(layers, x):
        return None
    if x.dtype is not torch.float32 or 1 not in x.shape[:2]:
        return None
    plan = layers.__dict__.get("_plan")
    if type(plan) is not _Plan or not plan.holds():
        first = getattr(layers[0], "parts", None)
        parts = None if first is None else first()
        maker = None if parts is None else _maker_for(parts)
        if maker is None:
            return None
        plan = layers.__dict__["_plan"] = _Plan(layers, maker)
    if not plan.blocks:
        return None
    tokens, known, arguments = x.shape[0] * x.shape[1], dict[Any, Sight](), list[Any]()
    kept = [cache.layer(index) for index in range(len(plan.blocks))]
    blocks: Any = layers
    for block, layer, own, place in zip(plan.blocks, blocks, given, kept, strict=True):
        sight = layer.sight(*own)
        room = place.room() if sight is not None else None
        if room is None or x.shape[2:] != (block.native.width,) or not block.takes(room, tokens):
            return None
        if x.shape[1 if room.where is None else 0] != 1 or (room.where is not None and len(room.where) != tokens):
            return None
        # Layers of one kind share what they are given.
        seen = known.get(key := (id(sight[0]), id(sight[1]), room.offset))
        if seen is None:
            mask = sight[0]
            if mask is not None and room.where is not None and mask.dtype is torch.bool:
                mask = None  # pages know themselves who sees what
            hidden, turned = _hidden(mask, tokens, room.offset + 1), _turned(sight[1], tokens, block.dim)
            if hidden is None or turned is None:
                return None
            seen = known[key] = Sight(*turned, *hidden)
        arguments.append(block.argument(room, seen))
    x = x.contiguous()
    made = torch.empty_like(x)
    plan.blocks[0].run(arguments, x, made, tokens)
    for place in kept:
        place.advance()
    return made


def _maker_for(parts: Parts) -> Callable[[Parts, Held], Block | None] | None:
    """Return what makes the native counterpart of a layer, or None where its kind has none, or none now."""
    from enfold.nn import int8_block, rows_block

    return next((kind.block for kind in (int8_block, rows_block) if kind.suits(parts)), None)


def _hidden(mask: Tensor | None, rows: int, length: int) -> tuple[int, int] | None:
    """Return the address of a mask and the distance between its rows, or None for one of another kind."""
    if mask is None:
        return 0, 0
    if mask.dtype is not torch.bool or mask.shape[1:] != (1, 1, length) or mask.stride(3) != 1 or not mask.is_cpu:
        return None
    if mask.shape[0] not in (1, rows):
        return None
    return mask.data_ptr(), mask.stride(0) if mask.shape[0] > 1 else 0


def _turned(angles: tuple[Tensor, Tensor] | None, tokens: int, dim: int) -> tuple[int, int, int, int] | None:
    """Return the addresses of angles, the distance between two tokens', and how many there are; None for others."""
    if angles is None:
        return 0, 0, 0, 0
    cos, sin = angles
    half, several = cos.shape[-1], cos.shape[0] * cos.shape[2] > 1
    fits = cos.shape == sin.shape and cos.shape[:3] in ((1, 1, 1), (tokens, 1, 1), (1, 1, tokens)) and 2 * half <= dim
    if not fits or cos.dtype is not torch.float32 or sin.dtype is not torch.float32:
        return None
    if not (cos.is_contiguous() and sin.is_contiguous()):
        return None
    return cos.data_ptr(), sin.data_ptr(), half if several else 0, half


class _Plan(Held):
    """The native counterparts of layers, for as long as all parts are what they were; none where one layer has none.

    Args:
        layers: a list of them.
        make: makes one of a layer's parts.
    """

    def __init__(self, layers: nn.ModuleList, make: Callable[[Parts, Held], Block | None]) -> None:
        super().__init__()
        self.states = [module.__dict__ for module in layers.modules()]
        self.children = [(state["_modules"], dict(state["_modules"])) for state in self.states if state["_modules"]]
        self.blocks: list[Block] = []
        self.plain = self._is_plain()
        for layer in layers if self.plain else ():
            parts = getattr(layer, "parts", lambda: None)()
            block = None if parts is None else make(parts, self)
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
            all(now == before for now, before in self.children) and self._is_plain() is self.plain and super().holds()
        )

    def _is_plain(self) -> bool:
        return not any(
            state["training"] or state["_forward_hooks"] or state["_forward_pre_hooks"] or "forward" in state
            for state in self.states
        )
