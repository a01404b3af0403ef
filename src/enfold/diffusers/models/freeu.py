"""FreeU: a better picture from the same weights, by weighing what the way up is given (https://arxiv.org/abs/2309.11497)."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["FreeU"]


class FreeU:
    """Weighs a level's states and, in frequency, what the way down passes to it.

    Args:
        backbone: factor of the first half of the channels of the states.
        skip: factor of the slowest waves of what is passed.
    """

    def __init__(self, backbone: float, skip: float) -> None:
        self.backbone, self.skip = backbone, skip

    def __call__(self, hidden: Tensor, passed: Tensor) -> tuple[Tensor, Tensor]:
        half = hidden.shape[1] // 2
        weighed = torch.cat([hidden[:, :half] * self.backbone, hidden[:, half:]], dim=1)
        return weighed, damped(passed, self.skip)


def damped(x: Tensor, factor: float, threshold: int = 1) -> Tensor:
    """Return pictures whose waves of up to ``threshold`` periods are multiplied by a factor.

    Args:
        x: (B, C, H, W).
        factor: of the slow waves.
        threshold: half the side of the square of frequencies around 0 that counts as slow.
    """
    waves = torch.fft.fftshift(torch.fft.fftn(x.float(), dim=(-2, -1)), dim=(-2, -1))
    row, column = waves.shape[-2] // 2, waves.shape[-1] // 2
    weights = torch.ones(waves.shape[-2:], device=x.device)
    weights[row - threshold : row + threshold, column - threshold : column + threshold] = factor
    waves = torch.fft.ifftshift(waves * weights, dim=(-2, -1))
    return torch.fft.ifftn(waves, dim=(-2, -1)).real.to(x.dtype)
