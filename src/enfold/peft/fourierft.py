"""FourierFT: the change is a matrix with few frequencies, whose strengths train.

Source: Gao et al., 2024, "Parameter-Efficient Fine-Tuning with Discrete Fourier Transform",
https://arxiv.org/abs/2405.03003
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from enfold.peft.config import LayeredConfig, spelled
from enfold.peft.layer import AdapterLayer
from enfold.peft.targets import pattern_value

__all__ = ["FourierFTConfig", "FourierFTLayer"]


@spelled({})
@dataclass
class FourierFTConfig(LayeredConfig):
    """How changes with few frequencies are put into a model.

    Args:
        target_modules, exclude_modules, modules_to_save, layers_to_transform, layers_pattern: which modules.
        n_frequency: how many frequencies of a layer train.
        scaling: what the change is multiplied by.
        random_loc_seed: seed that draws which frequencies those are.
        fan_in_fan_out: weights are stored as (in, out); set by itself.
        bias: which biases train.
        n_frequency_pattern: module name or regular expression → number of frequencies.
        init_weights: begin with zeros; random otherwise.
    """

    kind: ClassVar[str | None] = "FOURIERFT"

    n_frequency: int = 1000
    scaling: float = 150.0
    random_loc_seed: int | None = 777
    fan_in_fan_out: bool = False
    bias: str = "none"
    n_frequency_pattern: dict[str, int] = field(default_factory=dict)
    init_weights: bool = False

    @property
    def prefix(self) -> str:
        """What names of this kind begin with."""
        return "fourier"


class FourierFTLayer(AdapterLayer):
    """A linear layer with a change of few frequencies."""

    kind: ClassVar[str] = "FOURIERFT"
    holders = ("fourierft_spectrum",)

    def make(self, name: str, config: Any, key: str) -> None:
        count = pattern_value(config.n_frequency_pattern, key, config.n_frequency)
        cells = self.out_features * self.in_features
        if not 0 < count <= cells:
            raise ValueError(f"{key} has {cells} frequencies and n_frequency is {count}")
        rows, width = self.out_features, self.in_features
        drawn = torch.randperm(cells, generator=torch.Generator().manual_seed(config.random_loc_seed))[:count]
        spectrum = torch.randn(count)
        self.hold(name, fourierft_spectrum=torch.zeros(count) if config.init_weights else spectrum)
        self.settings[name] = (drawn // width, drawn % width, rows, width, config.scaling)

    def delta(self, name: str) -> Tensor:
        row, column, rows, width, scale = self.settings[name]
        spectrum = self.fourierft_spectrum[name]
        dense = torch.zeros(rows, width, device=spectrum.device)
        dense = dense.index_put((row.to(spectrum.device), column.to(spectrum.device)), spectrum.float())
        return torch.fft.ifft2(dense).real * scale
