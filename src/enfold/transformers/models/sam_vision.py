"""What SAM reads images with: layers that attend in windows, with terms for how far patches are apart.

Shapes: B images, T = h · w patches, H heads, D width.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from enfold.nn.activations import activation
from enfold.nn.attention import Manner, attend, merge_heads, split_heads
from enfold.transformers.configs.sam import SamVisionConfig

__all__ = ["MLP", "MapNorm", "VisionLayer", "VisionNeck"]


class MLP(nn.Module):
    """The feed-forward."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.lin1 = nn.Linear(config.hidden_size, config.mlp_dim)
        self.lin2 = nn.Linear(config.mlp_dim, config.hidden_size)
        self.act = activation(config.hidden_act)

    def forward(self, x: Tensor) -> Tensor:
        """Return (…, D) for (…, D)."""
        return self.lin2(self.act(self.lin1(x)))


class MapNorm(nn.LayerNorm):
    """Layer normalisation of the columns of a map (B, D, h, w)."""

    def __init__(self, width: int, eps: float = 1e-6) -> None:
        super().__init__(width, eps=eps)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` normalised."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def relative(table: Tensor, length: int) -> Tensor:
    """Return rows of a table (2 · length - 1, d) by how far a query is from a key: (length, length, d)."""
    places = torch.arange(length, device=table.device)
    return table[places[:, None] - places[None, :] + length - 1]


class VisionAttention(nn.Module):
    """Attention in a window or to the whole map, with a term for how far patches are apart."""

    def __init__(self, config: SamVisionConfig, window: int) -> None:
        super().__init__()
        side = window or config.image_size // config.patch_size
        self.head_dim = config.hidden_size // config.num_attention_heads
        self.qkv = nn.Linear(config.hidden_size, config.hidden_size * 3, bias=config.qkv_bias)
        self.proj = nn.Linear(config.hidden_size, config.hidden_size)
        self.dropout = nn.Dropout(config.attention_dropout)
        self.relative = config.use_rel_pos
        if self.relative:
            self.rel_pos_h = nn.Parameter(torch.zeros(2 * side - 1, self.head_dim))
            self.rel_pos_w = nn.Parameter(torch.zeros(2 * side - 1, self.head_dim))

    def forward(self, x: Tensor, weights: Manner) -> tuple[Tensor, Tensor | None]:
        """Return (B, h, w, D) and, with ``weights``, (B · H, T, T)."""
        height, width = x.shape[1:3]
        q, k, v = (split_heads(part, self.head_dim) for part in self.qkv(x).flatten(1, 2).chunk(3, dim=-1))
        bias = None
        if self.relative:
            at = q.unflatten(2, (height, width))  # (B, H, h, w, d)
            down = torch.einsum("bnhwd,hkd->bnhwk", at, relative(self.rel_pos_h, height))
            across = torch.einsum("bnhwd,wkd->bnhwk", at, relative(self.rel_pos_w, width))
            bias = (down[..., :, None] + across[..., None, :]).flatten(4).flatten(2, 3)  # (B, H, T, T)
        out, shares = attend(q, k, v, bias, dropout=self.dropout.p if self.training else 0.0, weights=weights)
        out = self.proj(merge_heads(out)).unflatten(1, (height, width))
        return out, None if shares is None else shares.flatten(0, 1)


class VisionLayer(nn.Module):
    """One layer; its attention sees windows, or the whole map where ``window`` is 0."""

    def __init__(self, config: SamVisionConfig, window: int) -> None:
        super().__init__()
        self.layer_norm1 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.attn = VisionAttention(config, window)
        self.layer_norm2 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.mlp = MLP(config)
        self.window = window

    def forward(self, x: Tensor, weights: Manner) -> tuple[Tensor, Tensor | None]:
        """Return (B, h, w, D) and, with ``weights``, the attention weights."""
        height, width, side = x.shape[1], x.shape[2], self.window
        inner = self.layer_norm1(x)
        if side:  # (B, h, w, D) → (B · windows, side, side, D), padded below and on the right
            inner = F.pad(inner, (0, 0, 0, -width % side, 0, -height % side))
            rows, columns = inner.shape[1] // side, inner.shape[2] // side
            inner = inner.unflatten(2, (columns, side)).unflatten(1, (rows, side)).transpose(2, 3).flatten(0, 2)
        inner, shares = self.attn(inner, weights)
        if side:
            inner = inner.unflatten(0, (-1, rows, columns)).transpose(2, 3).flatten(3, 4).flatten(1, 2)
            inner = inner[:, :height, :width]
        x = x + inner
        return x + self.mlp(self.layer_norm2(x)), shares


class VisionNeck(nn.Module):
    """Convolutions to the decoder's width."""

    def __init__(self, config: SamVisionConfig) -> None:
        super().__init__()
        width = config.output_channels
        self.conv1 = nn.Conv2d(config.hidden_size, width, kernel_size=1, bias=False)
        self.layer_norm1 = MapNorm(width)
        self.conv2 = nn.Conv2d(width, width, kernel_size=3, padding=1, bias=False)
        self.layer_norm2 = MapNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, width, h, w) for (B, h, w, D)."""
        return self.layer_norm2(self.conv2(self.layer_norm1(self.conv1(x.permute(0, 3, 1, 2)))))
