"""Convolutions of 3 × 3 by Winograd's method: results of direct sums, with a quarter of the products.

Where no gradient is wanted, a processor with AVX2 or AVX-512 computes single-precision convolutions of stride 1 on
tiles of 4 × 4 or 2 × 2 (Lavin & Gray, arXiv 1509.09308). Errors are those of direct sums for tiles of 2 × 2, and
about four times them, 1e-6 of the largest result, for those of 4 × 4. The weight is transformed first: at each call
for large images, once by whoever calls often (`Filters`).

``torch.backends.mkldnn.flags(enabled=False)`` leaves everything to torch.

Shapes: N images, I and O channels, H × W pixels.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from enfold.nn.linear import is_plain_inference

__all__ = ["Filters", "best_tile", "convolve", "filter_bytes", "is_three_by_three"]

# Below so many channels there is too little to sum. From so many channels and tiles on those of 4 × 4 are worth it: for
# less those of 2 × 2 take about as long, and are as exact as direct sums.
CHANNELS, WIDE, TILES = 32, 64, 16
# From so many pixels on a call gains more than it takes to transform the weight (twice what the two cost alike).
PIXELS = 2048


def convolve(layer: nn.Module, x: Tensor) -> Tensor:
    """Return ``layer(x)``.

    Args:
        layer: a convolution, or anything that stands in its place; what is not a plain one is called as it is.
        x: (N, I, H, W).

    Returns:
        (N, O, H, W).

    Example:
        >>> layer, x = nn.Conv2d(64, 8, 3, padding=1), torch.randn(1, 64, 64, 64)
        >>> with torch.no_grad():
        ...     bool(torch.allclose(convolve(layer, x), layer(x), atol=1e-5))
        True
    """
    if type(layer) is nn.Conv2d and x.ndim == 4 and len(x) * x.shape[2] * x.shape[3] >= PIXELS:
        tile = best_tile(layer, x) if "forward" not in layer.__dict__ and is_three_by_three(layer) else 0
        if tile:
            return Filters(layer, tile)(x)
    return layer(x)  # type: ignore[no-any-return]


def is_three_by_three(layer: nn.Conv2d) -> bool:
    """Return whether a layer is of the kind that the method is for."""
    return (
        layer.kernel_size == (3, 3)
        and layer.stride == layer.dilation == (1, 1)
        and layer.padding in ((1, 1), "same")
        and layer.groups == 1
        and layer.padding_mode == "zeros"
        and layer.in_channels >= CHANNELS
        and layer.weight.dtype is torch.float32
    )


def best_tile(layer: nn.Conv2d, x: Tensor) -> int:
    """Return how wide tiles should be, 4 or 2, or 0 where the call is left to torch."""
    if x.ndim != 4 or x.shape[1] != layer.in_channels or x.dtype is not torch.float32:
        return 0
    if not is_plain_inference(layer, x) or layer.weight.dtype is not torch.float32 or not _has_winograd():
        return 0
    tiles = len(x) * -(x.shape[2] // -4) * -(x.shape[3] // -4)
    return 4 if layer.in_channels >= WIDE and tiles >= TILES else 2


def filter_bytes(layer: nn.Conv2d, tile: int = 4) -> int:
    """Return how much memory a layer's transformed weight takes, at most."""
    return (tile + 2) ** 2 * -(layer.in_channels // -16) * 16 * -(layer.out_channels // -32) * 32 * 4


class Filters:
    """A layer's weight, transformed: what it is at this moment.

    Args:
        layer: one for which `is_three_by_three` holds.
        tile: what `best_tile` says.
    """

    def __init__(self, layer: nn.Conv2d, tile: int) -> None:
        from enfold._native import Winograd

        self.layer = layer
        self.native: Any = Winograd(layer.weight.detach(), tile, torch.get_num_threads())

    def __call__(self, x: Tensor) -> Tensor:
        """Return the convolution of (N, I, H, W) with them, plus the layer's bias."""
        layer = self.layer
        bias = None if layer.bias is None else layer.bias.detach()
        made = x.new_empty(len(x), layer.out_channels, *x.shape[2:])
        self.native.apply(x.detach().contiguous(), bias, made, torch.get_num_threads())
        return made


@cache
def _has_winograd() -> bool:
    from enfold._native import has_winograd

    return has_winograd()  # type: ignore[no-any-return]
