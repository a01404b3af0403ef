"""WaveFT: the change is given by few of its wavelet coefficients.

Source: Bilican et al., 2025, "Exploring Sparsity for Parameter Efficient Fine Tuning Using Wavelets",
https://arxiv.org/abs/2505.12532; the filters, Daubechies, 1992, "Ten Lectures on Wavelets"
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from enfold.errors import nearest
from enfold.peft.config import LayeredConfig, spelled
from enfold.peft.layer import AdapterLayer, plain_shape
from enfold.peft.targets import pattern_value
from enfold.peft.tuner import Tuner

__all__ = ["WaveFTConfig", "WaveFTLayer", "WaveFTModel", "daubechies"]

FAMILIES = tuple(f"db{order}" for order in range(1, 11))


@spelled({})
@dataclass
class WaveFTConfig(LayeredConfig):
    """How changes with few wavelet coefficients are put into a model.

    Args:
        target_modules, exclude_modules, modules_to_save, layers_to_transform, layers_pattern: which modules.
        n_frequency: how many coefficients of a layer train.
        scaling: what the change is multiplied by.
        wavelet_family: Daubechies' wavelets "db1" (Haar's) to "db10".
        use_idwt: the numbers are wavelet coefficients; numbers of the weight itself otherwise.
        random_loc_seed: seed that draws their places.
        n_frequency_pattern: module name or regular expression → number of coefficients.
        proportional_parameters: large layers have more coefficients, ``n_frequency`` on average.
        init_weights: begin with zeros; random otherwise.
        fan_in_fan_out: weights are stored as (in, out); set by itself.
        bias: which biases train.

    Example:
        >>> WaveFTConfig(n_frequency=64, target_modules=["q_proj"]).peft_type.value
        'WAVEFT'
    """

    kind: ClassVar[str | None] = "WAVEFT"

    n_frequency: int = 2592
    scaling: float = 25.0
    wavelet_family: str = "db1"
    use_idwt: bool = True
    random_loc_seed: int = 777
    fan_in_fan_out: bool = False
    bias: str = "none"
    n_frequency_pattern: dict[str, int] | None = field(default_factory=dict)
    proportional_parameters: bool = False
    init_weights: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.wavelet_family not in FAMILIES:
            hint = nearest(self.wavelet_family, FAMILIES)
            raise ValueError(f"wavelet_family={self.wavelet_family!r} is unknown{hint}; there are db1 to db10")


class WaveFTModel(Tuner):
    """A model with changes of few wavelet coefficients."""

    def prepare(self, name: str, config: Any, found: list[tuple[str, nn.Module]]) -> None:
        config.shares = {}
        if config.proportional_parameters:
            cells = {key: math.prod(plain_shape(module)) for key, module in found}
            budget = config.n_frequency * len(cells) / sum(cells.values())
            config.shares = {key: max(1, round(count * budget)) for key, count in cells.items()}


class WaveFTLayer(AdapterLayer):
    """A linear layer with a change of few wavelet coefficients."""

    kind: ClassVar[str] = "WAVEFT"
    holders = ("waveft_spectrum",)

    def make(self, name: str, config: Any, key: str) -> None:
        count = config.shares.get(key) or pattern_value(config.n_frequency_pattern or {}, key, config.n_frequency)
        cells = self.out_features * self.in_features
        if not 0 < count <= cells:
            raise ValueError(f"{key} has {cells} coefficients and n_frequency is {count}")
        drawn = torch.randperm(cells, generator=torch.Generator().manual_seed(config.random_loc_seed))[:count]
        spectrum = torch.zeros(count) if config.init_weights else torch.randn(count) * 0.01
        self.hold(name, waveft_spectrum=spectrum)
        self.settings[name] = (drawn // self.in_features, drawn % self.in_features, config)

    def delta(self, name: str) -> Tensor:
        row, column, config = self.settings[name]
        spectrum = self.waveft_spectrum[name].float()
        row, column = row.to(spectrum.device), column.to(spectrum.device)
        shape = (self.out_features, self.in_features)
        if not config.use_idwt:
            return spectrum.new_zeros(shape).index_put((row, column), spectrum) * config.scaling
        # Filters reach beyond the edge: the coefficients lie in the middle of what gives the shape back.
        reach = 2 * int(config.wavelet_family[2:]) - 2
        padded = tuple(side + reach + side % 2 for side in shape)
        row, column = (
            place + (wide - side) // 2 for place, wide, side in zip((row, column), padded, shape, strict=True)
        )
        made = _synthesis(spectrum.new_zeros(padded).index_put((row, column), spectrum), config.wavelet_family)
        top, left = ((have - side) // 2 for have, side in zip(made.shape, shape, strict=True))
        return made[top : top + shape[0], left : left + shape[1]] * config.scaling


def _synthesis(coefficients: Tensor, family: str) -> Tensor:
    """Return what wavelet coefficients stand for: a quarter (H / 2, W / 2) of means, and three of details beside it."""
    low = daubechies(int(family[2:])).to(coefficients)
    high = low.flip(0) * torch.tensor([1.0, -1.0]).repeat(len(low) // 2).to(low)
    # The quarter to the right holds details across rows, the one below those across columns.
    filters = torch.stack([torch.outer(a, b) for a, b in ((low, low), (high, low), (low, high), (high, high))])
    quarters = torch.stack([part for half in coefficients.chunk(2, 0) for part in half.chunk(2, 1)])
    made = F.conv_transpose2d(quarters[None], filters[:, None], stride=2)[0, 0]
    edge = len(low) - 2
    return made[edge : made.shape[0] - edge, edge : made.shape[1] - edge]


@functools.lru_cache
def daubechies(order: int) -> Tensor:
    """Return the low-pass filter (2 · order,) of Daubechies' wavelet with ``order`` vanishing moments.

    Args:
        order: 1 to 10; above, float64 is too narrow for the roots.

    Example:
        >>> [round(value, 4) for value in daubechies(2).tolist()]
        [0.483, 0.8365, 0.2241, -0.1294]
    """
    # |H|² = cos²ᴺ(ω/2) P(sin²(ω/2)); of each pair of roots z, 1/z of P the one inside the unit circle is H's.
    powers = [math.comb(order - 1 + k, k) for k in range(order)]
    roots = np.roots(powers[::-1]) if order > 1 else np.array([])
    half = 1 - 2 * roots.astype(complex)  # (z + 1/z) / 2
    inside = half - np.sqrt(half - 1) * np.sqrt(half + 1)
    inside = np.where(np.abs(inside) < 1, inside, 1 / inside)
    taps = np.poly(np.concatenate([np.full(order, -1.0), inside])).real
    return torch.from_numpy(taps / taps.sum() * math.sqrt(2))
