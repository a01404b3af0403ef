"""Rotary position embeddings and their published ways of reaching further than the training length."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from enfold.errors import EnfoldError, nearest
from enfold.nn import rows
from enfold.nn.linear import is_plain_call

__all__ = ["Rotary", "rotate"]


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate each pair (i, i + R/2) of the first R numbers of a head by its angle; the others stay as they are.

    Args:
        x: (B, H, T, D).
        cos, sin: (B | 1, 1, T, R/2), of ``Rotary.tables``.

    Source: Su et al., 2021, "RoFormer"; the pairing is that of GPT-NeoX and Llama.
    """
    if x.dtype is cos.dtype is torch.float32 and is_plain_call(x) and rows.has_turnable(x, cos):
        return rows.rotated(x, cos, sin)
    width = 2 * cos.shape[-1]
    if width < x.shape[-1]:
        return torch.cat((rotate(x[..., :width], cos, sin), x[..., width:]), dim=-1)
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)


class Rotary:
    """The angles of rotary embeddings: plain data, no weights and no buffers, so that it needs no checkpoint.

    Args:
        dim: D, the size of a head.
        theta: base of the wavelengths.
        scaling: ``rope_type`` (or ``type``) with the numbers it needs: ``default``; ``linear`` (factor); ``dynamic``
            (factor); ``yarn`` (factor, original_max_position_embeddings; beta_fast, beta_slow, truncate, mscale,
            mscale_all_dim, attention_factor); ``longrope`` (short_factor, long_factor,
            original_max_position_embeddings; factor, attention_factor); ``llama3`` (factor, low_freq_factor,
            high_freq_factor, original_max_position_embeddings). With any of them ``partial_rotary_factor``, the share
            of a head that is rotated.
        max_positions: the length the model reaches.

    Raises:
        EnfoldError: for an unknown ``rope_type``, or one whose numbers are missing.

    Example:
        >>> cos, sin = Rotary(8).tables(torch.arange(3)[None], torch.float32)
        >>> cos.shape
        torch.Size([1, 1, 3, 4])
    """

    def __init__(
        self, dim: int, theta: float = 10000.0, scaling: Mapping[str, Any] | None = None, max_positions: int = 2048
    ) -> None:
        self.scaling = dict(scaling or {})
        share = self.scaling.get("partial_rotary_factor")
        self.dim = dim if share is None else int(dim * share)
        self.theta, self.max_positions = float(theta), max_positions
        self.kind = str(self.scaling.get("rope_type", self.scaling.get("type", "default")) or "default")
        if self.kind not in KINDS:
            raise EnfoldError(f"unknown rope_type {self.kind!r}{nearest(self.kind, KINDS)}; expected {sorted(KINDS)}")
        missing = [name for name in NEEDED.get(self.kind, ()) if name not in self.scaling]
        if missing:
            raise EnfoldError(f"rope_type {self.kind!r} needs {', '.join(missing)} too")
        self.trained: int = self.scaling.get("original_max_position_embeddings") or max_positions
        self.strength = _strength(self)  # what cosines and sines are multiplied with
        self._frequencies: dict[torch.device, Tensor] = {}

    def frequencies(self, positions: Tensor) -> Tensor:
        """Return the angle a position adds in each pair, (D/2,); some kinds look at the greatest of ``positions``."""
        device = positions.device
        if self.kind in GROWING:
            return KINDS[self.kind](self, positions.max() + 1, device)
        if device not in self._frequencies:
            made = KINDS[self.kind](self, positions, device)
            if torch.compiler.is_compiling():
                return made  # a tensor of the traced graph has no values to keep
            self._frequencies[device] = made
        return self._frequencies[device]

    def tables(self, positions: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Return cosines and sines (B | 1, 1, T, D/2) for ``positions`` (B | 1, T), computed in single precision."""
        angles = positions[:, None, :, None].float() * self.frequencies(positions)
        cos, sin = angles.cos(), angles.sin()
        if self.strength != 1.0:
            cos, sin = cos * self.strength, sin * self.strength
        return cos.to(dtype), sin.to(dtype)


def _plain(theta: float, dim: int, device: torch.device) -> Tensor:
    return 1.0 / theta ** (torch.arange(0, dim, 2, dtype=torch.int64, device=device).float() / dim)


def _default(rotary: Rotary, length: Tensor, device: torch.device) -> Tensor:
    return _plain(rotary.theta, rotary.dim, device)


def _linear(rotary: Rotary, length: Tensor, device: torch.device) -> Tensor:
    """Positions squeezed by a factor (Chen et al., 2023, "Extending Context Window … via Position Interpolation")."""
    return _plain(rotary.theta, rotary.dim, device) / rotary.scaling["factor"]


def _dynamic(rotary: Rotary, length: Tensor, device: torch.device) -> Tensor:
    """A base that grows with the length beyond the trained one (NTK-aware scaling, bloc97 and emozilla, 2023)."""
    factor = rotary.scaling["factor"]
    stretch = factor * length.clamp(min=rotary.trained) / rotary.trained - (factor - 1)
    base = rotary.theta * stretch ** (rotary.dim / (rotary.dim - 2))
    return 1.0 / base ** (torch.arange(0, rotary.dim, 2, device=device).float() / rotary.dim)


def _yarn(rotary: Rotary, length: Tensor, device: torch.device) -> Tensor:
    """Slow pairs squeezed, fast ones kept, a ramp between (Peng et al., 2023, "YaRN", section 3.2)."""
    scaling, dim = rotary.scaling, rotary.dim

    def pair(turns: float) -> float:
        """Return the pair that makes this many turns over the trained length."""
        return dim * math.log(rotary.trained / (turns * 2 * math.pi)) / (2 * math.log(rotary.theta))

    low, high = pair(scaling.get("beta_fast") or 32), pair(scaling.get("beta_slow") or 1)
    if scaling.get("truncate", True):
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, dim - 1)
    span = high - low or 0.001
    squeezed = ((torch.arange(dim // 2, device=device).float() - low) / span).clamp(0, 1)  # 0 keeps, 1 squeezes
    plain = _plain(rotary.theta, dim, device)
    return plain / _factor(rotary) * squeezed + plain * (1 - squeezed)


def _longrope(rotary: Rotary, length: Tensor, device: torch.device) -> Tensor:
    """A factor for each pair, of one list up to the trained length and of another beyond (Ding et al., 2024,
    "LongRoPE")."""
    short, long = (torch.tensor(rotary.scaling[name], device=device) for name in ("short_factor", "long_factor"))
    return _plain(rotary.theta, rotary.dim, device) / torch.where(length > rotary.trained, long, short)


def _llama3(rotary: Rotary, length: Tensor, device: torch.device) -> Tensor:
    """Long waves stretched, short ones kept, those between blended (Llama 3.1, Meta, 2024)."""
    scaling = rotary.scaling
    plain = _plain(rotary.theta, rotary.dim, device)
    trained = rotary.trained
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    waves = 2 * math.pi / plain
    blend = (trained / waves - low) / (high - low)
    mixed = (1 - blend) * plain / scaling["factor"] + blend * plain
    stretched = torch.where(waves > trained / low, plain / scaling["factor"], plain)
    between = (waves >= trained / high) & (waves <= trained / low)
    return torch.where(between, mixed, stretched)


def _factor(rotary: Rotary) -> float:
    """Return how many times the trained length is reached."""
    return rotary.scaling.get("factor") or rotary.max_positions / rotary.trained


def _strength(rotary: Rotary) -> float:
    """Return what cosines and sines are multiplied with, so that attention stays as sharp over a longer text."""
    scaling = rotary.scaling
    if rotary.kind not in ("yarn", "longrope"):
        return 1.0
    if scaling.get("attention_factor") is not None:
        return float(scaling["attention_factor"])
    factor = _factor(rotary)
    if factor <= 1.0:
        return 1.0
    if rotary.kind == "longrope":
        return math.sqrt(1 + math.log(factor) / math.log(rotary.trained))
    above, below = scaling.get("mscale"), scaling.get("mscale_all_dim")
    if above and below:
        return (0.1 * above * math.log(factor) + 1.0) / (0.1 * below * math.log(factor) + 1.0)
    return 0.1 * math.log(factor) + 1.0


KINDS = {
    "default": _default,
    "linear": _linear,
    "dynamic": _dynamic,
    "yarn": _yarn,
    "longrope": _longrope,
    "llama3": _llama3,
}
GROWING = ("dynamic", "longrope")  # kinds whose angles depend on how far the text reaches
NEEDED = {
    "linear": ("factor",),
    "dynamic": ("factor",),
    "longrope": ("short_factor", "long_factor"),
    "llama3": ("factor", "low_freq_factor", "high_freq_factor"),
}
