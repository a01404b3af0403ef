"""Rotary position embeddings and their published ways of reaching further than the training length."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from enfold.errors import EnfoldError, nearest

__all__ = ["Rotary", "rotate"]


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate each pair (i, i + D/2) of ``x`` by its angle.

    Args:
        x: (B, H, T, D).
        cos, sin: (B | 1, 1, T, D/2), of ``Rotary.tables``.

    Source: Su et al., 2021, "RoFormer"; the pairing is that of GPT-NeoX and Llama.
    """
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)


class Rotary:
    """The angles of rotary embeddings: plain data, no weights and no buffers, so that it needs no checkpoint.

    Args:
        dim: D, the size of the rotated part of a head.
        theta: base of the wavelengths.
        scaling: ``rope_type`` (or ``type``) with the numbers it needs: ``default``; ``linear`` (factor); ``dynamic``
            (factor); ``llama3`` (factor, low_freq_factor, high_freq_factor, original_max_position_embeddings).
        max_positions: the length the model was trained with.

    Raises:
        EnfoldError: for an unknown ``rope_type``.

    Example:
        >>> cos, sin = Rotary(8).tables(torch.arange(3)[None], torch.float32)
        >>> cos.shape
        torch.Size([1, 1, 3, 4])
    """

    def __init__(
        self, dim: int, theta: float = 10000.0, scaling: Mapping[str, Any] | None = None, max_positions: int = 2048
    ) -> None:
        self.dim, self.theta, self.max_positions = dim, float(theta), max_positions
        self.scaling = dict(scaling or {})
        self.kind = str(self.scaling.get("rope_type", self.scaling.get("type", "default")) or "default")
        if self.kind not in KINDS:
            raise EnfoldError(f"unknown rope_type {self.kind!r}{nearest(self.kind, KINDS)}; expected {sorted(KINDS)}")
        self._frequencies: dict[torch.device, Tensor] = {}

    def frequencies(self, length: int, device: torch.device) -> Tensor:
        """Return the angle a position adds in each pair, (D/2,); ``length`` matters to ``dynamic`` only."""
        if self.kind == "dynamic":
            return KINDS[self.kind](self, length, device)
        if device not in self._frequencies:
            self._frequencies[device] = KINDS[self.kind](self, length, device)
        return self._frequencies[device]

    def tables(self, positions: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Return cosines and sines (B | 1, 1, T, D/2) for ``positions`` (B | 1, T), computed in single precision."""
        length = int(positions.max()) + 1 if self.kind == "dynamic" else 0
        angles = positions[:, None, :, None].float() * self.frequencies(length, positions.device)
        return angles.cos().to(dtype), angles.sin().to(dtype)


def _plain(theta: float, dim: int, device: torch.device) -> Tensor:
    return 1.0 / theta ** (torch.arange(0, dim, 2, dtype=torch.int64, device=device).float() / dim)


def _default(rotary: Rotary, length: int, device: torch.device) -> Tensor:
    return _plain(rotary.theta, rotary.dim, device)


def _linear(rotary: Rotary, length: int, device: torch.device) -> Tensor:
    """Positions squeezed by a factor (Chen et al., 2023, "Extending Context Window … via Position Interpolation")."""
    return _plain(rotary.theta, rotary.dim, device) / rotary.scaling["factor"]


def _dynamic(rotary: Rotary, length: int, device: torch.device) -> Tensor:
    """A base that grows with the length beyond the trained one (NTK-aware scaling, bloc97 and emozilla, 2023)."""
    factor = rotary.scaling["factor"]
    trained = rotary.scaling.get("original_max_position_embeddings") or rotary.max_positions
    stretch = factor * max(length, trained) / trained - (factor - 1)
    return _plain(rotary.theta * stretch ** (rotary.dim / (rotary.dim - 2)), rotary.dim, device)


def _llama3(rotary: Rotary, length: int, device: torch.device) -> Tensor:
    """Long waves stretched, short ones kept, those between blended (Llama 3.1, Meta, 2024)."""
    scaling = rotary.scaling
    plain = _plain(rotary.theta, rotary.dim, device)
    trained = scaling["original_max_position_embeddings"]
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    waves = 2 * math.pi / plain
    blend = (trained / waves - low) / (high - low)
    mixed = (1 - blend) * plain / scaling["factor"] + blend * plain
    stretched = torch.where(waves > trained / low, plain / scaling["factor"], plain)
    between = (waves >= trained / high) & (waves <= trained / low)
    return torch.where(between, mixed, stretched)


KINDS = {"default": _default, "linear": _linear, "dynamic": _dynamic, "llama3": _llama3}
