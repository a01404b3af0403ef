"""Linear layers whose weights are stored in four bits, and computed with in more.

Shapes: … any leading axes, I inputs, O outputs, n numbers of a weight, b of a block.

Source: Dettmers et al., 2023, "QLoRA: Efficient Finetuning of Quantized LLMs", https://arxiv.org/abs/2305.14314, and
the tables of bitsandbytes, whose files hold the same codes.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from enfold.errors import EnfoldError, nearest

__all__ = ["CODES", "Linear4bit", "Packed", "quantize_4bit", "rounded_8bit", "to_4bit"]

# Sixteen numbers in -1 … 1. NF4: quantiles of a normal distribution, with an exact zero; FP4: one bit of fraction.
CODES = {
    "nf4": (
        -1.0,
        -0.6961928009986877,
        -0.5250730514526367,
        -0.39491748809814453,
        -0.28444138169288635,
        -0.18477343022823334,
        -0.09105003625154495,
        0.0,
        0.07958029955625534,
        0.16093020141124725,
        0.24611230194568634,
        0.33791524171829224,
        0.44070982933044434,
        0.5626170039176941,
        0.7229568362236023,
        1.0,
    ),
    "fp4": tuple(sign * value / 12 for sign in (1, -1) for value in (0.0, 0.0625, 8.0, 12.0, 4.0, 6.0, 2.0, 3.0)),
}
BLOCK, NESTED_BLOCK = 64, 256


@functools.lru_cache
def _code(kind: str) -> Tensor:
    return torch.tensor(CODES[kind])


@functools.lru_cache
def _dynamic() -> Tensor:
    """Return the 256 numbers in which scales are stored: of each power of ten the finer the larger it is."""
    values = [0.0, 1.0]
    for power in range(7):
        edges = torch.linspace(0.1, 1, 2**power + 1, dtype=torch.float64)
        middles = (edges[:-1] + edges[1:]) / 2 * 10.0 ** (power - 6)
        values += [*middles.tolist(), *(-middles).tolist()]
    return torch.tensor(sorted(values), dtype=torch.float32)


def _nearest(values: Tensor, code: Tensor) -> Tensor:
    """Return the place in ``code`` of the number nearest to each value."""
    ordered, order = code.sort()
    return order[torch.bucketize(values, (ordered[:-1] + ordered[1:]) / 2)]


class Packed(NamedTuple):
    """A weight in four bits.

    Attributes:
        codes: (⌈n / 2⌉,) two codes a byte, the first in the upper half.
        scales: largest magnitude of each block of 64, in single precision; or its place among 256 numbers.
        nested: (scale of each 256 of those, their mean), or None where they are not stored in eight bits.
        kind: "nf4" or "fp4".
        shape: of the weight.
        dtype: of the weight as it was.
    """

    codes: Tensor
    scales: Tensor
    nested: tuple[Tensor, Tensor] | None
    kind: str
    shape: tuple[int, ...]
    dtype: torch.dtype

    def dequantize(self, dtype: torch.dtype | None = None) -> Tensor:
        """Return the weight that this stands for."""
        count = 1
        for size in self.shape:
            count *= size
        scales = self.scales
        if self.nested is not None:
            outer, mean = self.nested
            read = _dynamic().to(scales.device)[scales.long()]
            scales = F.pad(read, (0, -len(read) % NESTED_BLOCK)).view(-1, NESTED_BLOCK) * outer[:, None]
            scales = scales.flatten()[: len(read)] + mean
        # One look-up gives both numbers of a byte.
        code = _code(self.kind).to(scales.device)
        pairs = torch.stack((code.repeat_interleave(16), code.repeat(16)), 1)
        values = pairs[self.codes.long()].flatten()[:count]
        whole = F.pad(values, (0, -count % BLOCK)).view(-1, BLOCK) * scales[:, None]
        return whole.flatten()[:count].view(self.shape).to(dtype or self.dtype)


def quantize_4bit(weight: Tensor, kind: str = "nf4", nested: bool = False) -> Packed:
    """Return a weight in four bits: each block of 64 numbers over its largest magnitude, as the nearest of 16.

    Args:
        weight: any shape.
        kind: "nf4" or "fp4".
        nested: store the magnitudes in eight bits too ("double quantisation"), 0.37 bits a number less.

    Raises:
        EnfoldError: another kind.

    Example:
        >>> weight = torch.randn(8, 64)
        >>> bool((quantize_4bit(weight).dequantize() - weight).abs().max() < 0.16 * weight.abs().max())
        True
    """
    if kind not in CODES:
        raise EnfoldError(f"there is no four-bit type {kind!r}{nearest(kind, CODES)}; there are {', '.join(CODES)}")
    flat = weight.detach().float().flatten()
    blocks = F.pad(flat, (0, -len(flat) % BLOCK)).view(-1, BLOCK)
    scales = blocks.abs().amax(1)
    shares = blocks / scales.clamp(min=torch.finfo(torch.float32).tiny)[:, None]
    codes = _nearest(shares, _code(kind).to(flat.device)).flatten()[: len(flat)].to(torch.uint8)
    codes = F.pad(codes, (0, len(codes) % 2))
    packed = codes[::2] << 4 | codes[1::2]
    outer = None
    if nested:
        mean = scales.mean()
        rest = scales - mean
        groups = F.pad(rest, (0, -len(rest) % NESTED_BLOCK)).view(-1, NESTED_BLOCK)
        largest = groups.abs().amax(1)
        shares = groups / largest.clamp(min=torch.finfo(torch.float32).tiny)[:, None]
        places = _nearest(shares, _dynamic().to(flat.device)).flatten()[: len(rest)]
        scales, outer = places.to(torch.uint8), (largest, mean)
    return Packed(packed, scales, outer, kind, tuple(weight.shape), weight.dtype)


def rounded_8bit(weight: Tensor) -> Tensor:
    """Return a weight (O, I) as eight bits would hold it, with one step a row."""
    steps = weight.abs().amax(1, keepdim=True).clamp(min=torch.finfo(torch.float32).tiny) / 127
    return (weight / steps).round() * steps


class _Product(torch.autograd.Function):
    """x Wᵀ + b, whose backward pass reads W from its four bits again instead of keeping it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: Linear4bit, dtype: torch.dtype) -> Tensor:
        ctx.layer, ctx.dtype = layer, dtype
        bias = None if layer.bias is None else layer.bias.to(dtype)
        return F.linear(x.to(dtype), layer.packed.dequantize(dtype), bias)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        return grads[0].to(ctx.dtype) @ ctx.layer.packed.dequantize(ctx.dtype), None, None


class Linear4bit(nn.Module):
    """A linear layer whose weight is stored in four bits; gradients reach its inputs, and the weight stays.

    Args:
        linear: the layer.
        kind: "nf4" or "fp4".
        nested: store scales in eight bits too.
        compute_dtype: type of the products; that of the inputs by default.

    Example:
        >>> layer = nn.Linear(64, 32)
        >>> x = torch.randn(8, 64)
        >>> bool((Linear4bit(layer)(x) - layer(x)).norm() < 0.15 * layer(x).norm())
        True
    """

    def __init__(
        self, linear: nn.Linear, kind: str = "nf4", nested: bool = False, compute_dtype: torch.dtype | None = None
    ) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.compute_dtype, self.nested = compute_dtype, nested
        self.bias = linear.bias
        if self.bias is not None:
            self.bias.requires_grad_(False)
        self.store(quantize_4bit(linear.weight, kind, nested))

    def store(self, packed: Packed) -> None:
        """Take a weight that is in four bits already."""
        self.kind, self.dtype, self.shape = packed.kind, packed.dtype, packed.shape
        self.register_buffer("weight", packed.codes)
        self.register_buffer("scales", packed.scales)
        outer, mean = packed.nested if packed.nested is not None else (None, None)
        self.register_buffer("outer_scales", outer)
        self.register_buffer("mean_scale", mean)

    @property
    def packed(self) -> Packed:
        """The weight as it is stored."""
        held: Any = self
        nested = None if held.outer_scales is None else (held.outer_scales, held.mean_scale)
        return Packed(held.weight, held.scales, nested, self.kind, self.shape, self.dtype)

    def dequantize(self) -> Tensor:
        """Return the weight (O, I) that the four bits stand for."""
        return self.packed.dequantize()

    def requantize(self, weight: Tensor) -> None:
        """Store another weight (O, I)."""
        self.store(quantize_4bit(weight.to(self.dtype), self.kind, self.nested))

    def forward(self, x: Tensor) -> Tensor:
        """Return (…, O) for (…, I), in the type of ``x``."""
        y: Tensor = _Product.apply(x, self, self.compute_dtype or x.dtype)  # type: ignore[no-untyped-call]
        return y.to(x.dtype)

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        # ``half()`` and the like are for what computes: scales stay as exact as they are.
        before = {name: buffer for name, buffer in self._buffers.items() if buffer is not None}
        super()._apply(fn, recurse)
        for name, buffer in before.items():
            moved: Any = self._buffers[name]
            if moved.dtype != buffer.dtype:
                self._buffers[name] = buffer.to(moved.device)
        return self

    def extra_repr(self) -> str:
        """Return the numbers of inputs and outputs, and the type."""
        return f"in_features={self.in_features}, out_features={self.out_features}, kind={self.kind}"


def to_4bit(model: nn.Module, skip: Iterable[str] = (), **options: Any) -> int:
    """Put four-bit layers in the place of a model's linear layers, and return how many there are.

    Args:
        model: changed in place; its layers' weights are freed.
        skip: names, or parts of dotted names, of layers that stay as they are. A layer whose weight is shared with
            another part stays as well.
        options: of ``Linear4bit``.

    Example:
        >>> to_4bit(nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2)), skip=["2"])
        1
    """
    from enfold.nn.int8 import as_linear, replaceable

    found = replaceable(model, skip)
    for name, layer in found:
        parent, _, leaf = name.rpartition(".")
        setattr(model.get_submodule(parent), leaf, Linear4bit(as_linear(layer), **options))
    return len(found)
