"""Convolutional blocks and embeddings of time, under the names that checkpoints of diffusion models have."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from enfold.nn.activations import activation
from enfold.nn.winograd import convolve

__all__ = [
    "Downsample2D",
    "GaussianFourierProjection",
    "ResnetBlock2D",
    "TimestepEmbedding",
    "Timesteps",
    "Upsample2D",
    "get_timestep_embedding",
]


def get_timestep_embedding(
    timesteps: Tensor,
    embedding_dim: int,
    flip_sin_to_cos: bool = False,
    downscale_freq_shift: float = 1,
    scale: float = 1,
    max_period: int = 10000,
) -> Tensor:
    """Return sines and cosines of timesteps at falling frequencies.

    Args:
        timesteps: shape (B,).
        embedding_dim: width D of the result; an odd one ends with a zero.
        flip_sin_to_cos: cosines first.
        downscale_freq_shift: with 1 the last frequency is ``1 / max_period``, with 0 the one before it would be.
        scale: factor of the angles.
        max_period: longest period, in timesteps.

    Returns:
        float32, shape (B, D).

    Source: Ho et al., 2020, appendix B, after Vaswani et al., 2017.

    Example:
        >>> get_timestep_embedding(torch.tensor([0]), 4).tolist()
        [[0.0, 0.0, 1.0, 1.0]]
    """
    half = embedding_dim // 2
    steps = torch.arange(half, dtype=torch.float32, device=timesteps.device)
    frequencies = torch.exp(-math.log(max_period) * steps / (half - downscale_freq_shift))
    angles = scale * (timesteps[:, None].float() * frequencies)
    waves = (angles.cos(), angles.sin()) if flip_sin_to_cos else (angles.sin(), angles.cos())
    return F.pad(torch.cat(waves, dim=-1), (0, embedding_dim % 2))


class Timesteps(nn.Module):
    """``get_timestep_embedding`` as a module."""

    def __init__(self, num_channels: int, flip_sin_to_cos: bool, downscale_freq_shift: float, scale: float = 1) -> None:
        super().__init__()
        self.num_channels, self.flip, self.shift, self.scale = (
            num_channels,
            flip_sin_to_cos,
            downscale_freq_shift,
            scale,
        )

    def forward(self, timesteps: Tensor) -> Tensor:
        return get_timestep_embedding(timesteps, self.num_channels, self.flip, self.shift, self.scale)


class GaussianFourierProjection(nn.Module):
    """Sines and cosines at random frequencies that stay as they were drawn (Song et al., 2020, score SDE)."""

    def __init__(
        self, embedding_size: int = 256, scale: float = 1.0, log: bool = True, flip_sin_to_cos: bool = False
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(embedding_size) * scale, requires_grad=False)
        self.log, self.flip = log, flip_sin_to_cos

    def forward(self, x: Tensor) -> Tensor:
        x = torch.log(x) if self.log else x
        angles = x[:, None] * self.weight[None, :] * 2 * math.pi
        return torch.cat((angles.cos(), angles.sin()) if self.flip else (angles.sin(), angles.cos()), dim=-1)


class TimestepEmbedding(nn.Module):
    """Two layers over what ``Timesteps`` gives: (B, in_channels) to (B, time_embed_dim)."""

    def __init__(
        self,
        in_channels: int,
        time_embed_dim: int,
        act_fn: str = "silu",
        out_dim: int | None = None,
        post_act_fn: str | None = None,
        cond_proj_dim: int | None = None,
        sample_proj_bias: bool = True,
    ) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(in_channels, time_embed_dim, bias=sample_proj_bias)
        self.cond_proj = nn.Linear(cond_proj_dim, in_channels, bias=False) if cond_proj_dim is not None else None
        self.linear_2 = nn.Linear(time_embed_dim, out_dim or time_embed_dim, bias=sample_proj_bias)
        self.act = activation(act_fn)
        self.post_act = activation(post_act_fn) if post_act_fn else None

    def forward(self, sample: Tensor, condition: Tensor | None = None) -> Tensor:
        if condition is not None and self.cond_proj is not None:
            sample = sample + self.cond_proj(condition)
        sample = self.linear_2(self.act(self.linear_1(sample)))
        return sample if self.post_act is None else self.post_act(sample)


class Downsample2D(nn.Module):
    """Half the height and width, by a convolution or by means."""

    def __init__(
        self, channels: int, use_conv: bool = False, out_channels: int | None = None, padding: int = 1
    ) -> None:
        super().__init__()
        self.conv: nn.Module = nn.AvgPool2d(2, 2)
        if use_conv:
            self.conv = nn.Conv2d(channels, out_channels or channels, 3, stride=2, padding=padding)
        self.one_sided = use_conv and padding == 0

    def forward(self, hidden_states: Tensor) -> Tensor:
        return self.conv(F.pad(hidden_states, (0, 1, 0, 1)) if self.one_sided else hidden_states)


class Upsample2D(nn.Module):
    """Twice the height and width by repetition, then a convolution."""

    def __init__(self, channels: int, use_conv: bool = False, out_channels: int | None = None) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, out_channels or channels, 3, padding=1) if use_conv else None

    def forward(self, hidden_states: Tensor, output_size: Any = None) -> Tensor:
        """Return the picture twice as large, or of ``output_size`` where halving it had rounded up."""
        if output_size is None:
            hidden_states = F.interpolate(hidden_states, scale_factor=2.0, mode="nearest")
        else:
            hidden_states = F.interpolate(hidden_states, size=output_size, mode="nearest")
        return hidden_states if self.conv is None else convolve(self.conv, hidden_states)


class ResnetBlock2D(nn.Module):
    """Two convolutions with a shortcut; between them comes the embedding of time.

    Args:
        in_channels: channels of the input.
        out_channels: of the output.
        temb_channels: width of the embedding of time; None where there is none.
        groups: of the normalisations.
        eps: of the normalisations.
        non_linearity: name of the activation.
        dropout: probability before the second convolution.
        time_embedding_norm: "default" adds the embedding; "scale_shift" scales and shifts with it.
        skip_time_act: the embedding comes with its activation.
        output_scale_factor: by it the result is divided.
        up: double the height and width.
        down: halve them.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        out_channels: int | None = None,
        temb_channels: int | None = 512,
        groups: int = 32,
        eps: float = 1e-6,
        non_linearity: str = "swish",
        dropout: float = 0.0,
        time_embedding_norm: str = "default",
        skip_time_act: bool = False,
        output_scale_factor: float = 1.0,
        up: bool = False,
        down: bool = False,
    ) -> None:
        super().__init__()
        if time_embedding_norm not in ("default", "scale_shift"):
            raise ValueError(f"time_embedding_norm is {time_embedding_norm!r}; expected 'default' or 'scale_shift'")
        out_channels = out_channels or in_channels
        self.in_channels, self.out_channels = in_channels, out_channels
        self.output_scale_factor, self.skip_time_act = output_scale_factor, skip_time_act
        self.scale_shift = time_embedding_norm == "scale_shift"
        self.norm1 = nn.GroupNorm(groups, in_channels, eps=eps)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        if temb_channels is not None:
            self.time_emb_proj = nn.Linear(temb_channels, out_channels * (2 if self.scale_shift else 1))
        self.norm2 = nn.GroupNorm(groups, out_channels, eps=eps)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.nonlinearity = activation("silu" if non_linearity == "swish" else non_linearity)
        self.resample: nn.Module | None = None
        if up or down:
            self.resample = Upsample2D(in_channels) if up else Downsample2D(in_channels)
        self.conv_shortcut = nn.Conv2d(in_channels, out_channels, 1) if in_channels != out_channels else None

    def forward(self, input_tensor: Tensor, temb: Tensor | None = None) -> Tensor:
        hidden = self.nonlinearity(self.norm1(input_tensor))
        if self.resample is not None:
            input_tensor, hidden = self.resample(input_tensor), self.resample(hidden)
        hidden = convolve(self.conv1, hidden)
        if temb is not None and hasattr(self, "time_emb_proj"):
            temb = self.time_emb_proj(temb if self.skip_time_act else self.nonlinearity(temb))[:, :, None, None]
        if self.scale_shift and temb is not None:
            scale, shift = temb.chunk(2, dim=1)
            hidden = self.norm2(hidden) * (1 + scale) + shift
        else:
            hidden = self.norm2(hidden if temb is None else hidden + temb)
        hidden = convolve(self.conv2, self.dropout(self.nonlinearity(hidden)))
        if self.conv_shortcut is not None:
            input_tensor = self.conv_shortcut(input_tensor)
        total = input_tensor + hidden
        return total if self.output_scale_factor == 1 else total / self.output_scale_factor
