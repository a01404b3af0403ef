"""From what DETR's queries found to their masks.

Shapes: B images, Q queries, H heads, D width, h · w pixels of the backbone's last map.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from enfold.errors import EnfoldError
from enfold.nn.attention import split_heads

__all__ = ["AttentionMap", "MaskHead"]


class AttentionMap(nn.Module):
    """Where each query looks: weights of attention without values."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.q_linear = nn.Linear(width, width)
        self.k_linear = nn.Linear(width, width)
        self.head_dim = width // heads

    def forward(self, queries: Tensor, pixels: Tensor, mask: Tensor) -> Tensor:
        """Return (B, Q, H, h, w), for queries (B, Q, D), pixels (B, D, h, w) and a mask (B, h, w) of real ones; all
        heads of a query share one softmax."""
        q = split_heads(self.q_linear(queries), self.head_dim)  # (B, H, Q, d)
        k = split_heads(self.k_linear(pixels.flatten(2).transpose(1, 2)), self.head_dim)
        scores = ((q * self.head_dim**-0.5) @ k.transpose(2, 3)).transpose(1, 2)  # (B, Q, H, T)
        scores = scores.masked_fill(~mask.flatten(1)[:, None, None], torch.finfo(scores.dtype).min)
        return scores.flatten(2).softmax(-1).view(*scores.shape[:3], *pixels.shape[2:])


class MaskHead(nn.Module):
    """From where a query looks to its mask, with the backbone's larger maps on the way."""

    def __init__(self, source: int, maps: list[int], width: int) -> None:
        super().__init__()
        if source % 8:
            raise EnfoldError(f"d_model and the attention heads together, {source}, must be a multiple of 8")
        widths = [source, source, width // 2, width // 4, width // 8, width // 16]
        for place in range(1, 6):
            self.add_module(f"lay{place}", nn.Conv2d(widths[place - 1], widths[place], 3, padding=1))
            self.add_module(f"gn{place}", nn.GroupNorm(min(8, widths[place]), widths[place]))
        self.out_lay = nn.Conv2d(widths[5], 1, 3, padding=1)
        for place, channels in enumerate(maps, start=1):
            self.add_module(f"adapter{place}", nn.Conv2d(channels, widths[place + 1], 1))

    def step(self, place: int, x: Tensor) -> Tensor:
        """Return ``x`` after a convolution, normalised."""
        return self.get_submodule(f"gn{place}")(self.get_submodule(f"lay{place}")(x)).relu()

    def forward(self, image: Tensor, looks: Tensor, maps: list[Tensor]) -> Tensor:
        """Return masks (B, Q, height, width).

        Args:
            image: (B, D, h, w), the backbone's last map projected.
            looks: (B, Q, H, h, w).
            maps: the backbone's other maps, the smallest first.
        """
        queries = looks.shape[1]
        x = torch.cat((image.repeat_interleave(queries, 0), looks.flatten(0, 1)), dim=1)  # (B · Q, D + H, h, w)
        x = self.step(2, self.step(1, x))
        for place, added in enumerate(maps, start=1):
            added = self.get_submodule(f"adapter{place}")(added).repeat_interleave(queries, 0)
            x = self.step(place + 2, added + F.interpolate(x, size=added.shape[-2:], mode="nearest"))
        return self.out_lay(x).view(image.shape[0], queries, *x.shape[2:])
