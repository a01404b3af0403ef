"""Large pictures through an autoencoder in bounded memory: one at a time, or tile by tile."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["Tiled", "blended"]


class Tiled:
    """The switches of an autoencoder over how it takes batches and large pictures."""

    use_slicing = False
    use_tiling = False

    def enable_slicing(self) -> None:
        """Take the pictures of a batch one after the other."""
        self.use_slicing = True

    def disable_slicing(self) -> None:
        """Take batches whole again."""
        self.use_slicing = False

    def enable_tiling(self, use_tiling: bool = True) -> None:
        """Take pictures larger than those of training tile by tile; seams are blended."""
        self.use_tiling = use_tiling

    def disable_tiling(self) -> None:
        """Take pictures whole again."""
        self.use_tiling = False

    def _in_parts(
        self, x: Tensor, whole: Callable[[Tensor], Tensor], side: int, tiled: Callable[[Tensor], Tensor]
    ) -> Tensor:
        """Compute a batch as the switches say.

        Args:
            x: (B, C, H, W).
            whole: what computes it.
            side: larger ones are computed in tiles.
            tiled: what computes it so.
        """
        compute = tiled if self.use_tiling and max(x.shape[-2:]) > side else whole
        if self.use_slicing and x.shape[0] > 1:
            return torch.cat([compute(one) for one in x.split(1)])
        return compute(x)


def blended(x: Tensor, compute: Callable[[Tensor], Tensor], side: int, made: int, overlap: float) -> Tensor:
    """Compute tiles that overlap, and fade each into the next.

    Args:
        x: (B, C, H, W).
        compute: what makes a tile of ``made`` from one of ``side``.
        side: height and width of the tiles.
        made: height and width of what is made of them.
        overlap: share of a tile that the next one covers, too.

    Returns:
        (B, C', H·made/side, W·made/side).
    """
    stride, fade = int(side * (1 - overlap)), int(made * overlap)
    kept = made - fade
    rows: list[list[Tensor]] = []
    for top in range(0, x.shape[2], stride):
        starts = range(0, x.shape[3], stride)
        rows.append([compute(x[:, :, top : top + side, left : left + side]) for left in starts])
    lines = []
    for i, row in enumerate(rows):
        line = []
        for j, tile in enumerate(row):
            if i > 0:
                tile = _faded(rows[i - 1][j], tile, fade, 2)
            if j > 0:
                tile = _faded(row[j - 1], tile, fade, 3)
            row[j] = tile  # the next one fades from what is seen
            line.append(tile[:, :, :kept, :kept])
        lines.append(torch.cat(line, dim=3))
    return torch.cat(lines, dim=2)


def _faded(before: Tensor, after: Tensor, width: int, dim: int) -> Tensor:
    """Return a tile whose first rows (or columns) come out of the last ones of the tile before it."""
    width = min(before.shape[dim], after.shape[dim], width)
    share = torch.arange(width, device=after.device, dtype=after.dtype) / max(width, 1)
    share = share.reshape([-1, 1] if dim == 2 else [-1])
    seam = before.narrow(dim, before.shape[dim] - width, width) * (1 - share) + after.narrow(dim, 0, width) * share
    return torch.cat([seam, after.narrow(dim, width, after.shape[dim] - width)], dim=dim)
