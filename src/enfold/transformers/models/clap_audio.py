"""CLAP's audio encoder, HTS-AT (Chen et al., 2022): a Swin transformer that sees a spectrogram as an image.

Shapes: B recordings, N windows, H heads, W tokens a window, D width, (h, w) rows and columns of patches.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from enfold.errors import EnfoldError
from enfold.nn.activations import activation
from enfold.nn.attention import Manner, attend, merge_heads, split_heads
from enfold.nn.patches import DropPath
from enfold.nn.record import Record

__all__ = ["ClapAudioEncoder", "ClapAudioSelfAttention"]


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])


class ClapAudioFusion(nn.Module):
    """Mixes what is heard close by into what is heard over all, as much of each as both of them say."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        width = config.patch_embeds_hidden_size
        self.local_att = nn.Sequential(*self._layers(width, width // config.aff_block_r))
        self.global_att = nn.Sequential(nn.AdaptiveAvgPool2d(1), *self._layers(width, width // config.aff_block_r))

    @staticmethod
    def _layers(width: int, inner: int) -> list[nn.Module]:
        into, out = nn.Conv2d(width, inner, 1), nn.Conv2d(inner, width, 1)
        return [into, nn.BatchNorm2d(inner), nn.ReLU(), out, nn.BatchNorm2d(width)]

    def forward(self, whole: Tensor, near: Tensor) -> Tensor:
        """Return (B, D, h, w) for two of that shape."""
        both = whole + near
        share = (self.local_att(both) + self.global_att(both)).sigmoid()
        return 2 * whole * share + 2 * near * (1 - share)


class ClapAudioPatches(nn.Module):
    """Patches of a spectrogram; those of long recordings are fused with the patches of three pieces of it."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.side, self.flat = config.spec_size, config.flatten_patch_embeds
        size, stride = _pair(config.patch_size), _pair(config.patch_stride)
        self.grid = (self.side // stride[0], self.side // stride[1])
        padding = ((size[0] - stride[0]) // 2, (size[1] - stride[1]) // 2)
        channels, width = config.patch_embed_input_channels, config.patch_embeds_hidden_size
        stacked = 4 if config.enable_fusion and config.fusion_type == "channel_map" else 1
        self.proj = nn.Conv2d(channels * stacked, width, size, stride=stride, padding=padding)
        self.norm = nn.LayerNorm(width) if config.enable_patch_layer_norm else nn.Identity()
        self.fusion_model = self.mel_conv2d = None
        if config.enable_fusion:
            self.fusion_model = ClapAudioFusion(config)
            self.mel_conv2d = nn.Conv2d(
                channels, width, (size[0], size[1] * 3), stride=(stride[0], stride[1] * 3), padding=padding
            )

    def forward(self, images: Tensor, longer: Tensor | None) -> Tensor:
        """Return (B, h·w, D) for images (B, channels, side, side); ``longer`` (B,) marks those to fuse."""
        if images.shape[2:] != (self.side, self.side):
            raise EnfoldError(
                f"a spectrogram has {tuple(images.shape[2:])} points, the model takes {self.side} squared"
            )
        if self.fusion_model is None or self.mel_conv2d is None:
            x = self.proj(images)
        else:
            if longer is None:
                raise EnfoldError("is_longer is needed: this model fuses pieces of recordings that were too long")
            x = self.proj(images[:, :1])
            places = longer.nonzero()[:, 0]
            if len(places):
                pieces = images[places, 1:]
                near = self.mel_conv2d(pieces.reshape(-1, 1, *pieces.shape[2:])).unflatten(0, pieces.shape[:2])
                near = near.permute(0, 2, 3, 1, 4).flatten(3)  # the pieces beside each other, in time
                near = F.pad(near, (0, x.shape[-1] - near.shape[-1]))
                x = x.index_copy(0, places, self.fusion_model(x[places], near))
        return self.norm(x.flatten(2).transpose(1, 2) if self.flat else x)


class ClapAudioSelfAttention(nn.Module):
    """Attention within windows, where two patches are as near as their rows and columns are."""

    def __init__(self, config: Any, width: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise EnfoldError(f"a width of {width} is no multiple of {heads} attention heads")
        side = config.window_size
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * side - 1) ** 2, heads))
        self.register_buffer("relative_position_index", self.distances(side))
        self.query, self.key, self.value = (nn.Linear(width, width, bias=config.qkv_bias) for _ in range(3))
        self.head_dim, self.drop = width // heads, config.attention_probs_dropout_prob

    relative_position_index: Tensor

    @staticmethod
    def distances(side: int) -> Tensor:
        """Return (W, W), the row of the table for every two of a window's patches."""
        rows = torch.arange(side).repeat_interleave(side)
        columns = torch.arange(side).repeat(side)
        down, along = (one[:, None] - one[None] + side - 1 for one in (rows, columns))
        return down * (2 * side - 1) + along

    def forward(self, x: Tensor, apart: Tensor | None, weights: Manner) -> tuple[Tensor, Tensor | None]:
        """Return (B·N, W, D) and, with ``weights``, (B·N, H, W, W).

        Args:
            x: (B·N, W, D).
            apart: (N, W, W), added to the scores: patches that a shift brought into one window.
            weights: return the attention weights.
        """
        bias = self.relative_position_bias_table[self.relative_position_index].permute(2, 0, 1)[None]  # (1, H, W, W)
        if apart is not None:
            rows = x.shape[0] // apart.shape[0]  # not len(…), which would fix the number in exported graphs
            bias = (bias + apart[:, None]).repeat(rows, 1, 1, 1)  # (B·N, H, W, W)
        q, k, v = (split_heads(layer(x), self.head_dim) for layer in (self.query, self.key, self.value))
        dropout = self.drop if self.training else 0.0
        out, shares = attend(q, k, v, bias, dropout=dropout, weights=weights)
        return merge_heads(out), shares


class ClapAudioDense(nn.Module):
    """A projection, with dropout after it."""

    def __init__(self, size: int, width: int, drop: float) -> None:
        super().__init__()
        self.dense = nn.Linear(size, width)
        self.dropout = nn.Dropout(drop)

    def forward(self, x: Tensor) -> Tensor:
        """Return (…, width) for (…, size)."""
        return self.dropout(self.dense(x))


class ClapAudioAttention(nn.Module):
    """Attention and its projection."""

    def __init__(self, config: Any, width: int, heads: int) -> None:
        super().__init__()
        self.self = ClapAudioSelfAttention(config, width, heads)
        self.output = ClapAudioDense(width, width, config.attention_probs_dropout_prob)


class ClapAudioLayer(nn.Module):
    """One layer: attention within windows, which every second layer shifts by half a window, then feed-forward."""

    def __init__(self, config: Any, width: int, heads: int, grid: tuple[int, int], shift: int, drop: float) -> None:
        super().__init__()
        self.grid, self.window = grid, config.window_size
        if min(grid) < self.window:
            raise EnfoldError(
                f"window_size {self.window} is more than the {min(grid)} patches of a layer's narrow side"
            )
        self.shift = 0 if min(grid) == self.window else shift
        self.layernorm_before = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.attention = ClapAudioAttention(config, width, heads)
        self.drop_path = DropPath(drop)
        self.layernorm_after = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.intermediate = ClapAudioDense(width, int(config.mlp_ratio * width), 0.0)
        self.output = ClapAudioDense(int(config.mlp_ratio * width), width, config.hidden_dropout_prob)
        self.act = activation(config.hidden_act)

    def windows(self, x: Tensor) -> Tensor:
        """Return (B·N, W, D) for (B, h, w, D)."""
        side = self.window
        cut = x.unflatten(1, (-1, side)).unflatten(3, (-1, side))  # (B, h / side, side, w / side, side, D)
        return cut.transpose(2, 3).reshape(-1, side * side, x.shape[-1])

    def whole(self, x: Tensor, height: int, width: int) -> Tensor:
        """Return (B, h, w, D) for (B·N, W, D)."""
        side = self.window
        return (
            x.reshape(-1, height // side, width // side, side, side, x.shape[-1])
            .transpose(2, 3)
            .flatten(1, 2)
            .flatten(2, 3)
        )

    def apart(self, height: int, width: int, like: Tensor) -> Tensor | None:
        """Return (N, W, W), 0 for patches that were neighbours before the shift, -100 for others."""
        if not self.shift:
            return None
        region = []
        for length in (height, width):
            place = torch.arange(length, device=like.device)
            region.append((place >= length - self.window).int() + (place >= length - self.shift).int())
        named = self.windows((region[0][:, None] * 3 + region[1][None])[None, :, :, None])[..., 0]  # (N, W)
        return (named[:, None] != named[:, :, None]).to(like.dtype) * -100.0

    def forward(self, x: Tensor, weights: Manner) -> tuple[Tensor, Tensor | None]:
        """Return (B, h·w, D) and, with ``weights``, (B·N, H, W, W)."""
        height, width = self.grid
        image = self.layernorm_before(x).unflatten(1, self.grid)
        below, beside = -height % self.window, -width % self.window
        image = F.pad(image, (0, 0, 0, beside, 0, below)) if below or beside else image
        apart = self.apart(height + below, width + beside, image)
        if self.shift:
            image = image.roll((-self.shift, -self.shift), (1, 2))
        attended, shares = self.attention.self(self.windows(image), apart, weights)
        image = self.whole(self.attention.output(attended), height + below, width + beside)
        if self.shift:
            image = image.roll((self.shift, self.shift), (1, 2))
        x = x + self.drop_path(image[:, :height, :width].flatten(1, 2))
        wide = self.act(self.intermediate(self.layernorm_after(x)))
        return x + self.output(wide), shares


class ClapAudioMerging(nn.Module):
    """Makes one patch of four."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.reduction = nn.Linear(4 * width, 2 * width, bias=False)
        self.norm = nn.LayerNorm(4 * width)

    def forward(self, x: Tensor, grid: tuple[int, int]) -> Tensor:
        """Return (B, ⌈h / 2⌉·⌈w / 2⌉, 2·D) for (B, h·w, D)."""
        image = F.pad(x.unflatten(1, grid), (0, 0, 0, grid[1] % 2, 0, grid[0] % 2))
        four = [image[:, row::2, column::2] for column in (0, 1) for row in (0, 1)]
        return self.reduction(self.norm(torch.cat(four, dim=-1).flatten(1, 2)))


class ClapAudioStage(nn.Module):
    """The layers that see patches of one size."""

    def __init__(
        self, config: Any, width: int, heads: int, grid: tuple[int, int], drops: list[float], last: bool
    ) -> None:
        super().__init__()
        self.grid, half = grid, config.window_size // 2
        self.blocks = nn.ModuleList(
            ClapAudioLayer(config, width, heads, grid, half if place % 2 else 0, drop)
            for place, drop in enumerate(drops)
        )
        self.downsample = None if last else ClapAudioMerging(width)

    def forward(self, x: Tensor, weights: Manner) -> tuple[Tensor, Tensor | None]:
        """Return the merged patches and, with ``weights``, those of the last layer."""
        shares = None
        for block in self.blocks:
            x, shares = block(x, weights)
        return x if self.downsample is None else self.downsample(x, self.grid), shares


class ClapAudioEncoder(nn.Module):
    """From spectrograms to states.

    Args:
        config: its numbers.
    """

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.patch_embed = ClapAudioPatches(config)
        stages, (rows, columns) = len(config.depths), self.patch_embed.grid
        self.grids = [(rows // 2**place, columns // 2**place) for place in range(stages)]
        drops = torch.linspace(0, config.drop_path_rate, sum(config.depths), device="cpu").split(config.depths)
        self.layers = nn.ModuleList(
            ClapAudioStage(
                config,
                config.patch_embeds_hidden_size * 2**place,
                config.num_attention_heads[place],
                self.grids[place],
                drops[place].tolist(),
                place == stages - 1,
            )
            for place in range(stages)
        )
        self.batch_norm = nn.BatchNorm2d(config.num_mel_bins)
        self.norm = nn.LayerNorm(config.patch_embeds_hidden_size * 2 ** (stages - 1))
        self.side, self.folds = config.spec_size, config.spec_size // config.num_mel_bins

    def image(self, features: Tensor) -> Tensor:
        """Return (B, channels, side, side): a spectrogram (B, channels, time, mels), in pieces above each other."""
        longest, highest = self.side * self.folds, self.side // self.folds
        time, mels = features.shape[2:]
        if time > longest or mels > highest:
            raise EnfoldError(f"a spectrogram of {time} × {mels} points is larger than {longest} × {highest}")
        if time < longest:
            features = F.interpolate(features, (longest, mels), mode="bicubic", align_corners=True)
        if mels < highest:
            features = F.interpolate(features, (longest, highest), mode="bicubic", align_corners=True)
        pieces = features.unflatten(2, (self.folds, -1)).transpose(3, 4)  # (B, channels, folds, mels, time / folds)
        return pieces.flatten(2, 3)

    def forward(self, features: Tensor, longer: Tensor | None, record: Record) -> tuple[Tensor, Tensor]:
        """Return the states (B, D, mels, time), and their mean (B, D)."""
        heard = self.batch_norm(features.transpose(1, 3)).transpose(1, 3)
        x = self.patch_embed(self.image(heard), longer)
        record.before(x.unflatten(1, self.grids[0]).permute(0, 3, 1, 2) if record.wants_states else x)
        for stage, grid in zip(self.layers, [*self.grids[1:], self.grids[-1]], strict=True):
            x, shares = stage(x, record.explicit)
            record.after(shares)
            record.finish(x.unflatten(1, grid).permute(0, 3, 1, 2) if record.wants_states else x)
        rows, columns = self.grids[-1]
        image = self.norm(x).transpose(1, 2).unflatten(2, (self.folds, rows // self.folds, columns))
        states = image.transpose(2, 3).flatten(3)  # the pieces beside each other again
        return states, states.flatten(2).mean(2)
