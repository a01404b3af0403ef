"""Images as sequences of patches: the positions that a table does not have, and layers that are skipped at random."""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["DropPath", "Patches", "pair", "resize_positions"]


def pair(value: int | Iterable[int]) -> tuple[int, int]:
    """Return (height, width) of a number or of two.

    Example:
        >>> pair(16), pair([14, 28])
        ((16, 16), (14, 28))
    """
    if isinstance(value, int):
        return value, value
    height, width = value
    return int(height), int(width)


class Patches(nn.Module):
    """Cuts an image into patches and projects each.

    Args:
        channels: of the image.
        width: D, of a patch's vector.
        image: (height, width) that the model was made for.
        patch: (height, width) of a patch, in pixels.
    """

    def __init__(self, channels: int, width: int, image: int | Iterable[int], patch: int | Iterable[int]) -> None:
        super().__init__()
        self.image_size, self.patch_size, self.num_channels = pair(image), pair(patch), channels
        self.num_patches = (self.image_size[0] // self.patch_size[0]) * (self.image_size[1] // self.patch_size[1])
        self.projection = nn.Conv2d(channels, width, kernel_size=self.patch_size, stride=self.patch_size)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return (B, patches, D) for pixels (B, channels, height, width), row by row.

        Raises:
            ValueError: for another number of channels.
        """
        if pixels.shape[1] != self.num_channels:
            raise ValueError(f"images with {self.num_channels} channels were expected, not with {pixels.shape[1]}")
        return self.projection(pixels.to(self.projection.weight.dtype)).flatten(2).transpose(1, 2)


def resize_positions(table: Tensor, grid: tuple[int, int], special: int = 1, mode: str = "bicubic") -> Tensor:
    """Return a table of positions stretched to another grid of patches.

    Args:
        table: (1, special + S, D), where S is a square number.
        grid: patches in a column and in a row.
        special: rows at the start that belong to no patch.
        mode: ``"bicubic"`` or ``"bilinear"``.

    Source: Caron et al., 2021, "Emerging Properties in Self-Supervised Vision Transformers".

    Example:
        >>> resize_positions(torch.randn(1, 5, 8), (3, 4)).shape
        torch.Size([1, 13, 8])
    """
    first, patches = table[:, :special], table[:, special:]
    side = round(patches.shape[1] ** 0.5)
    square = patches.reshape(1, side, side, -1).permute(0, 3, 1, 2)  # (1, D, side, side)
    # in single precision: bicubic weights in half precision shift the positions
    stretched = F.interpolate(square.float(), size=grid, mode=mode, align_corners=False).to(table.dtype)
    return torch.cat((first, stretched.flatten(2).transpose(1, 2)), dim=1)


class DropPath(nn.Module):
    """Skips a residual branch for some rows of a batch while training.

    Args:
        rate: probability that a row's branch is skipped.

    Source: Huang et al., 2016, "Deep Networks with Stochastic Depth".
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` (B, …) with skipped rows zero and the others scaled up."""
        if not self.training or self.rate == 0:
            return x
        kept = x.new_empty(x.shape[0], *(1,) * (x.dim() - 1)).bernoulli_(1 - self.rate)
        return x * kept / (1 - self.rate)
