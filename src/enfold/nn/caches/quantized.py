"""A cache that keeps old keys and values in few bits."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from enfold.errors import EnfoldError
from enfold.nn.caches.dynamic import Cache
from enfold.nn.caches.layers import CacheLayer

__all__ = ["Packed", "QuantizedCache", "QuantizedLayer", "pack", "unpack"]


class Packed(NamedTuple):
    """Numbers in few bits: of each group its lowest number, the step between levels, and the level of each number.

    Attributes:
        levels: (B, H, T, D · bits / 8) bytes; two or four levels share one.
        step: (B, H, T, groups).
        low: (B, H, T, groups).
    """

    levels: Tensor
    step: Tensor
    low: Tensor


def pack(x: Tensor, bits: int, group: int) -> Packed:
    """Return ``x`` (B, H, T, D) in 2, 4 or 8 bits a number.

    Args:
        x: the numbers.
        bits: of a number.
        group: this many neighbours along D share a lowest number and a step; it divides D.

    Example:
        >>> packed = pack(torch.linspace(0, 3, 8).view(1, 1, 1, 8), bits=4, group=8)
        >>> packed.levels.shape, float((unpack(packed, 4, torch.float32) - torch.linspace(0, 3, 8)).abs().max()) < 0.11
        (torch.Size([1, 1, 1, 4]), True)
    """
    grouped = x.unflatten(-1, (-1, group)).float()  # (B, H, T, groups, group)
    low, high = grouped.aminmax(dim=-1)
    step = ((high - low) / (2**bits - 1)).clamp(min=1e-8)
    levels = ((grouped - low[..., None]) / step[..., None]).round_().to(torch.uint8).flatten(-2)
    share = 8 // bits
    if share > 1:
        parts = levels.unflatten(-1, (-1, share))
        levels = parts[..., 0]
        for place in range(1, share):
            levels = levels | parts[..., place] << bits * place
    return Packed(levels, step.to(x.dtype), low.to(x.dtype))


def unpack(packed: Packed, bits: int, dtype: torch.dtype) -> Tensor:
    """Return the numbers (B, H, T, D) that were packed, up to half a step."""
    levels, share = packed.levels, 8 // bits
    if share > 1:
        mask = 2**bits - 1
        levels = torch.stack([levels >> bits * place & mask for place in range(share)], -1).flatten(-2)
    grouped = levels.unflatten(-1, (packed.low.shape[-1], -1)).to(dtype)
    return torch.addcmul(packed.low[..., None], grouped, packed.step[..., None]).flatten(-2)


class QuantizedLayer(CacheLayer):
    """A layer whose newest positions are exact and whose older ones are kept in few bits.

    A position is rounded once, on its own, when ``residual_length`` newer ones have come; so a cache can be cropped
    and reordered like any other.

    Args:
        nbits: of a number: 2, 4 or 8.
        q_group_size: how many neighbours of a head share a step at most.
        residual_length: how many of the newest positions stay exact; they are rounded in lots of as many.

    Raises:
        EnfoldError: for other numbers of bits.

    Example:
        >>> layer = QuantizedLayer(nbits=8, residual_length=4)
        >>> keys, _ = layer.update_and_fetch(torch.ones(1, 1, 9, 8), torch.zeros(1, 1, 9, 8))
        >>> keys, _ = layer.update_and_fetch(torch.ones(1, 1, 1, 8), torch.zeros(1, 1, 1, 8))
        >>> keys.shape, layer.rounded, layer.offset
        (torch.Size([1, 1, 10, 8]), 8, 10)
    """

    def __init__(self, nbits: int = 4, q_group_size: int = 64, residual_length: int = 128) -> None:
        super().__init__()
        if nbits not in (2, 4, 8):
            raise EnfoldError(f"nbits={nbits}: a cache keeps 2, 4 or 8 bits of a number")
        self.nbits, self.q_group_size, self.residual_length = nbits, q_group_size, max(residual_length, 1)
        self.rounded = 0  # positions in few bits; those after them are exact
        self._old: list[list[Packed]] = [[], []]  # of keys and of values, lots one after the other
        self._dtype = torch.float32

    @property
    def keys(self) -> Tensor | None:
        """The keys (B, H, offset, D), or None."""
        return None if self._keys is None else self._whole(0, self._keys)

    @property
    def values(self) -> Tensor | None:
        """The values (B, H, offset, D), or None."""
        return None if self._values is None else self._whole(1, self._values)

    def update_and_fetch(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Append ``keys`` and ``values`` (B, H, T, D) and return all of them (B, H, offset, D)."""
        self._dtype = keys.dtype
        if self._keys is None or self._values is None:
            self._keys, self._values = keys, values
        else:
            self._keys, self._values = torch.cat((self._keys, keys), 2), torch.cat((self._values, values), 2)
        self.offset += keys.shape[2]
        found = self._whole(0, self._keys), self._whole(1, self._values)
        # Rounding begins with the next token: this one's queries still see the exact numbers.
        lot = (self._keys.shape[2] - 1) // self.residual_length * self.residual_length
        if lot:
            for place, exact in enumerate((self._keys, self._values)):
                group = self._group(exact.shape[3])
                self._old[place].append(pack(exact[:, :, :lot], self.nbits, group))
            self._keys, self._values = self._keys[:, :, lot:].clone(), self._values[:, :, lot:].clone()
            self.rounded += lot
        return found

    def crop(self, length: int) -> None:
        """Keep the first ``length`` positions; a negative number drops that many from the end."""
        end = max(self.offset + length, 0) if length < 0 else min(self.offset, length)
        if self._keys is None or self._values is None:
            return
        exact = max(end - self.rounded, 0)
        self._keys, self._values = self._keys[:, :, :exact], self._values[:, :, :exact]
        if end < self.rounded:
            for place, lots in enumerate(self._old):
                kept, left = [], end
                for lot in lots:
                    if left > 0:
                        kept.append(Packed(*(part[:, :, :left] for part in lot)))
                    left -= lot.low.shape[2]
                self._old[place] = kept
            self.rounded = end
        self.offset = end

    def select(self, rows: Tensor) -> None:
        """Keep the given rows of the batch, in that order (an index may repeat)."""
        super().select(rows)
        self._old = [[Packed(*(part.index_select(0, rows) for part in lot)) for lot in lots] for lots in self._old]

    def reset(self) -> None:
        """Forget everything."""
        super().reset()
        self.rounded, self._old = 0, [[], []]

    def nbytes(self) -> int:
        """Return how many bytes the kept numbers take."""
        parts = [part for lots in self._old for lot in lots for part in lot]
        return sum(part.nbytes for part in (*parts, self._keys, self._values) if part is not None)

    def _group(self, dim: int) -> int:
        """Return how many neighbours share a step: the largest divisor of D that is not above what was asked for."""
        return max(size for size in range(1, min(self.q_group_size, dim) + 1) if dim % size == 0)

    def _whole(self, place: int, exact: Tensor) -> Tensor:
        if not self._old[place]:
            return exact
        return torch.cat([*(unpack(lot, self.nbits, self._dtype) for lot in self._old[place]), exact], 2)


class QuantizedCache(Cache):
    """A cache that keeps all but the newest positions in few bits: a quarter of the memory or less, at some precision.

    Args:
        backend: accepted, as other libraries have several; the rounding is our own.
        config: of the model; says how many layers there are.
        nbits: of a number: 2, 4 or 8.
        axis_key, axis_value: accepted; a step is shared by neighbours within a head.
        q_group_size: how many of them share it at most.
        residual_length: how many of the newest positions stay exact at least.

    Source: Liu et al., 2024, "KIVI: A Tuning-Free Asymmetric 2bit Quantization for KV Cache", whose exact newest
    positions and asymmetric steps this keeps; it rounds keys along positions instead.

    Example:
        >>> cache = QuantizedCache(nbits=8, residual_length=2)
        >>> keys, values = cache.update(torch.zeros(1, 2, 5, 4), torch.zeros(1, 2, 5, 4), layer_idx=0)
        >>> keys.shape, cache.get_seq_length(), cache.layers[0].rounded
        (torch.Size([1, 2, 5, 4]), 5, 4)
    """

    def __init__(
        self,
        backend: str | None = None,
        config: Any = None,
        nbits: int = 4,
        axis_key: int = 0,
        axis_value: int = 0,
        q_group_size: int = 64,
        residual_length: int = 128,
    ) -> None:
        super().__init__()
        self.options = {"nbits": nbits, "q_group_size": q_group_size, "residual_length": residual_length}
        self._new(0)  # bits that no layer takes are said now

    def _new(self, index: int) -> CacheLayer:
        return QuantizedLayer(**self.options)
