"""UNet2DModel: the network of unconditional diffusion (Ho et al., 2020, https://arxiv.org/abs/2006.11239)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from enfold.diffusers.configuration import register_to_config
from enfold.diffusers.models.blocks import GaussianFourierProjection, TimestepEmbedding, Timesteps
from enfold.diffusers.models.modeling import ModelMixin
from enfold.diffusers.models.unet_blocks import Conditions, DownBlock, Level, MidBlock, UpBlock
from enfold.nn.outputs import ModelOutput

__all__ = ["UNet2DModel", "UNet2DOutput"]


@dataclass
class UNet2DOutput(ModelOutput):
    """What the model predicts, (B, out_channels, H, W)."""

    sample: Tensor | None = None


class UNet2DModel(ModelMixin):
    """A UNet with attention among the places of a picture.

    Args:
        sample_size: height and width of the pictures, for pipelines.
        in_channels: channels of the input.
        out_channels: channels of the output.
        center_input_sample: the input is moved from [0, 1] to [-1, 1].
        time_embedding_type: "positional", "fourier" or "learned" (from ``num_train_timesteps``).
        time_embedding_dim: width of the embedding of time; four times the first level by default.
        freq_shift: see ``get_timestep_embedding``.
        flip_sin_to_cos: cosines come first.
        down_block_types: the levels on the way down: "DownBlock2D", "AttnDownBlock2D", "ResnetDownsampleBlock2D".
        mid_block_type: "UNetMidBlock2D" or None.
        up_block_types: the levels on the way up: "UpBlock2D", "AttnUpBlock2D", "ResnetUpsampleBlock2D".
        block_out_channels: channels of each level.
        layers_per_block: residual blocks of each level (one more on the way up).
        mid_block_scale_factor: by it results of the lowest level are divided.
        downsample_padding: of the convolutions that halve the size.
        downsample_type: "conv" or "resnet".
        upsample_type: "conv" or "resnet".
        dropout: probability in residual blocks.
        act_fn: name of the activation.
        attention_head_dim: width of each head; None: one head.
        norm_num_groups: groups of the normalisations.
        attn_norm_num_groups: of the one before attention, in the lowest level.
        norm_eps: of the normalisations.
        resnet_time_scale_shift: "default" or "scale_shift".
        class_embed_type: None, "timestep" or "identity".
        num_class_embeds: how many classes.
        add_attention: whether the lowest level has attention.
        num_train_timesteps: for ``time_embedding_type="learned"``.

    Example:
        >>> model = UNet2DModel(
        ...     sample_size=8, block_out_channels=(32, 64), norm_num_groups=8, attention_head_dim=8,
        ...     down_block_types=("DownBlock2D", "AttnDownBlock2D"), up_block_types=("AttnUpBlock2D", "UpBlock2D"))
        >>> model(torch.zeros(1, 3, 8, 8), 10).sample.shape
        torch.Size([1, 3, 8, 8])
    """

    _old_keys = {
        r"(attentions\.\d+)\.query\.": r"\1.to_q.",
        r"(attentions\.\d+)\.key\.": r"\1.to_k.",
        r"(attentions\.\d+)\.value\.": r"\1.to_v.",
        r"(attentions\.\d+)\.proj_attn\.": r"\1.to_out.0.",
    }

    @register_to_config
    def __init__(
        self,
        sample_size: int | tuple[int, int] | None = None,
        in_channels: int = 3,
        out_channels: int = 3,
        center_input_sample: bool = False,
        time_embedding_type: str = "positional",
        time_embedding_dim: int | None = None,
        freq_shift: int = 0,
        flip_sin_to_cos: bool = True,
        down_block_types: tuple[str, ...] = ("DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"),
        mid_block_type: str | None = "UNetMidBlock2D",
        up_block_types: tuple[str, ...] = ("AttnUpBlock2D", "AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
        block_out_channels: tuple[int, ...] = (224, 448, 672, 896),
        layers_per_block: int = 2,
        mid_block_scale_factor: float = 1,
        downsample_padding: int = 1,
        downsample_type: str = "conv",
        upsample_type: str = "conv",
        dropout: float = 0.0,
        act_fn: str = "silu",
        attention_head_dim: int | None = 8,
        norm_num_groups: int = 32,
        attn_norm_num_groups: int | None = None,
        norm_eps: float = 1e-5,
        resnet_time_scale_shift: str = "default",
        class_embed_type: str | None = None,
        num_class_embeds: int | None = None,
        add_attention: bool = True,
        num_train_timesteps: int | None = None,
    ) -> None:
        super().__init__()
        if not len(down_block_types) == len(up_block_types) == len(block_out_channels):
            raise ValueError(
                f"{len(down_block_types)} down_block_types, {len(up_block_types)} up_block_types and "
                f"{len(block_out_channels)} block_out_channels; expected as many of each"
            )
        first, width = block_out_channels[0], time_embedding_dim or block_out_channels[0] * 4
        self.conv_in = nn.Conv2d(in_channels, first, 3, padding=1)
        self.time_proj: nn.Module
        if time_embedding_type == "fourier":
            self.time_proj = GaussianFourierProjection(first, scale=16)
        elif time_embedding_type == "positional":
            self.time_proj = Timesteps(first, flip_sin_to_cos, freq_shift)
        elif time_embedding_type == "learned" and num_train_timesteps is not None:
            self.time_proj = nn.Embedding(num_train_timesteps, first)
        else:
            raise ValueError(
                f"time_embedding_type is {time_embedding_type!r}; expected 'positional', 'fourier', or 'learned' with "
                "num_train_timesteps"
            )
        known = 2 * first if time_embedding_type == "fourier" else first
        self.time_embedding = TimestepEmbedding(known, width)
        self.class_embedding: nn.Module | None = None
        if class_embed_type is None and num_class_embeds is not None:
            self.class_embedding = nn.Embedding(num_class_embeds, width)
        elif class_embed_type == "timestep":
            self.class_embedding = TimestepEmbedding(known, width)
        elif class_embed_type == "identity":
            self.class_embedding = nn.Identity()

        def level(kind: str, layers: int, **more: Any) -> Level:
            return Level(
                kind,
                layers,
                width,
                eps=norm_eps,
                groups=norm_num_groups,
                act_fn=act_fn,
                dropout=dropout,
                scale_shift=resnet_time_scale_shift,
                head_dim=attention_head_dim,
                padding=downsample_padding,
                **{"attention_groups": norm_num_groups, **more},
            )

        last = len(block_out_channels) - 1
        self.down_blocks = nn.ModuleList()
        before, passed = first, [first]
        for i, (kind, after) in enumerate(zip(down_block_types, block_out_channels, strict=True)):
            built = level(kind, layers_per_block, resample=downsample_type)
            self.down_blocks.append(DownBlock(built, before, after, shrink=i != last))
            passed += [after] * (layers_per_block + (self.down_blocks[-1].downsamplers is not None))
            before = after
        self.mid_block: MidBlock | None = None
        if mid_block_type is not None:
            normed = attn_norm_num_groups is not None or resnet_time_scale_shift == "default"
            groups = (attn_norm_num_groups or norm_num_groups) if normed else None
            lowest = level(mid_block_type, 1, scale=mid_block_scale_factor, attention_groups=groups)
            self.mid_block = MidBlock(lowest, before, attended=add_attention)
        self.up_blocks = nn.ModuleList()
        for i, (kind, after) in enumerate(zip(up_block_types, reversed(block_out_channels), strict=True)):
            skips = [passed.pop() for _ in range(layers_per_block + 1)]
            built = level(kind, layers_per_block + 1, resample=upsample_type)
            self.up_blocks.append(UpBlock(built, before, after, skips, grow=i != last))
            before = after
        self.conv_norm_out = nn.GroupNorm(norm_num_groups, first, eps=norm_eps)
        self.conv_act = nn.SiLU()
        self.conv_out = nn.Conv2d(first, out_channels, 3, padding=1)

    def forward(
        self,
        sample: Tensor,
        timestep: Tensor | float,
        class_labels: Tensor | None = None,
        return_dict: bool = True,
    ) -> Any:
        """Predict from noisy pictures.

        Args:
            sample: (B, in_channels, H, W).
            timestep: one for all, or shape (B,).
            class_labels: shape (B,), for a model of classes.
            return_dict: return a ``UNet2DOutput`` instead of a tuple.
        """
        if self.config["center_input_sample"]:
            sample = 2 * sample - 1.0
        timesteps = torch.as_tensor(timestep, device=sample.device).expand(sample.shape[0])
        emb = self.time_embedding(self.time_proj(timesteps).to(self.dtype))
        if self.class_embedding is not None:
            if class_labels is None:
                raise ValueError("this model is one of classes; give class_labels, shape (B,)")
            if self.config["class_embed_type"] == "timestep":
                class_labels = self.time_proj(class_labels)
            emb = emb + self.class_embedding(class_labels).to(self.dtype)
        elif class_labels is not None:
            raise ValueError("class_labels were given, but this model knows no classes")
        given = Conditions(emb)
        sample = self.conv_in(sample)
        passed = [sample]
        for block in self.down_blocks:
            sample, states = block(sample, given)
            passed += states
        if self.mid_block is not None:
            sample = self.mid_block(sample, given)
        for block in self.up_blocks:
            sample = block(sample, given, passed)
        sample = self.conv_out(self.conv_act(self.conv_norm_out(sample)))
        if self.config["time_embedding_type"] == "fourier":
            sample = sample / timesteps.reshape(-1, 1, 1, 1)
        return UNet2DOutput(sample) if return_dict else (sample,)
