"""ControlNet: a copy of a UNet's way down that a drawing steers (Zhang et al., 2023, https://arxiv.org/abs/2302.05543)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from enfold.diffusers.configuration import register_to_config
from enfold.diffusers.models.conditions import ConditionedModel, additive, spread
from enfold.diffusers.models.modeling import ModelMixin
from enfold.diffusers.models.unet_2d_condition import UNet2DConditionModel
from enfold.diffusers.models.unet_blocks import Conditions, DownBlock, Level, MidBlock
from enfold.nn.outputs import ModelOutput

__all__ = ["ControlNetModel", "ControlNetOutput", "MultiControlNetModel"]

Layer = TypeVar("Layer", bound=nn.Module)

# Fields that a ControlNet takes over from the UNet it steers.
SHARED = (
    "in_channels flip_sin_to_cos freq_shift down_block_types mid_block_type only_cross_attention block_out_channels "
    "layers_per_block downsample_padding mid_block_scale_factor act_fn norm_num_groups norm_eps cross_attention_dim "
    "transformer_layers_per_block encoder_hid_dim encoder_hid_dim_type attention_head_dim use_linear_projection "
    "class_embed_type addition_embed_type addition_time_embed_dim num_class_embeds upcast_attention "
    "resnet_time_scale_shift projection_class_embeddings_input_dim"
).split()


@dataclass
class ControlNetOutput(ModelOutput):
    """What is added to a UNet's states: one for each state of its way down, and one for its lowest level."""

    down_block_res_samples: Any = None
    mid_block_res_sample: Tensor | None = None


class ControlNetConditioningEmbedding(nn.Module):
    """A drawing as states of an eighth of its size; at first it says nothing."""

    def __init__(
        self,
        conditioning_embedding_channels: int,
        conditioning_channels: int = 3,
        block_out_channels: Sequence[int] = (16, 32, 96, 256),
    ) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(conditioning_channels, block_out_channels[0], 3, padding=1)
        self.blocks = nn.ModuleList()
        for before, after in pairwise(block_out_channels):
            self.blocks.append(nn.Conv2d(before, before, 3, padding=1))
            self.blocks.append(nn.Conv2d(before, after, 3, padding=1, stride=2))
        self.conv_out = silent(nn.Conv2d(block_out_channels[-1], conditioning_embedding_channels, 3, padding=1))

    def forward(self, conditioning: Tensor) -> Tensor:
        hidden = F.silu(self.conv_in(conditioning))
        for block in self.blocks:
            hidden = F.silu(block(hidden))
        return self.conv_out(hidden)


def silent(layer: Layer) -> Layer:
    """Return a layer whose output is 0 until it is trained."""
    for weight in layer.parameters():
        nn.init.zeros_(weight)
    return layer


class ControlNetModel(ConditionedModel):
    """What a drawing adds to the states of a UNet.

    Args:
        conditioning_channels: channels of the drawing.
        controlnet_conditioning_channel_order: "rgb" or "bgr".
        conditioning_embedding_out_channels: channels of the layers over the drawing.
        global_pool_conditions: add only the means over all places.

    The others are those of ``UNet2DConditionModel``; ``from_unet`` takes them, and the weights, from one.
    """

    @register_to_config
    def __init__(
        self,
        in_channels: int = 4,
        conditioning_channels: int = 3,
        flip_sin_to_cos: bool = True,
        freq_shift: int = 0,
        down_block_types: tuple[str, ...] = (
            "CrossAttnDownBlock2D",
            "CrossAttnDownBlock2D",
            "CrossAttnDownBlock2D",
            "DownBlock2D",
        ),
        mid_block_type: str | None = "UNetMidBlock2DCrossAttn",
        only_cross_attention: bool | tuple[bool, ...] = False,
        block_out_channels: tuple[int, ...] = (320, 640, 1280, 1280),
        layers_per_block: int = 2,
        downsample_padding: int = 1,
        mid_block_scale_factor: float = 1,
        act_fn: str = "silu",
        norm_num_groups: int | None = 32,
        norm_eps: float = 1e-5,
        cross_attention_dim: int = 1280,
        transformer_layers_per_block: int | tuple[int, ...] = 1,
        encoder_hid_dim: int | None = None,
        encoder_hid_dim_type: str | None = None,
        attention_head_dim: int | tuple[int, ...] = 8,
        num_attention_heads: int | tuple[int, ...] | None = None,
        use_linear_projection: bool = False,
        class_embed_type: str | None = None,
        addition_embed_type: str | None = None,
        addition_time_embed_dim: int | None = None,
        num_class_embeds: int | None = None,
        upcast_attention: bool = False,
        resnet_time_scale_shift: str = "default",
        projection_class_embeddings_input_dim: int | None = None,
        controlnet_conditioning_channel_order: str = "rgb",
        conditioning_embedding_out_channels: tuple[int, ...] | None = (16, 32, 96, 256),
        global_pool_conditions: bool = False,
        addition_embed_type_num_heads: int = 64,
    ) -> None:
        super().__init__()
        if controlnet_conditioning_channel_order not in ("rgb", "bgr"):
            raise ValueError(
                f"controlnet_conditioning_channel_order is {controlnet_conditioning_channel_order!r}; expected 'rgb' "
                "or 'bgr'"
            )
        count, first = len(block_out_channels), block_out_channels[0]
        self.conv_in = nn.Conv2d(in_channels, first, 3, padding=1)
        known, width = self._embed_time("positional", first, None, flip_sin_to_cos, freq_shift, act_fn=act_fn)
        given = projection_class_embeddings_input_dim
        self.encoder_hid_proj = nn.Linear(encoder_hid_dim, cross_attention_dim) if encoder_hid_dim else None
        self._embed_classes(class_embed_type, num_class_embeds, known, width, given)
        text = encoder_hid_dim or cross_attention_dim
        self._embed_more(
            addition_embed_type, width, text, addition_time_embed_dim, given, addition_embed_type_num_heads
        )
        drawn = conditioning_embedding_out_channels or (16, 32, 96, 256)
        self.controlnet_cond_embedding = ControlNetConditioningEmbedding(first, conditioning_channels, drawn)
        heads = spread(num_attention_heads or attention_head_dim, count, "attention_head_dim")
        depths = spread(transformer_layers_per_block, count, "transformer_layers_per_block")
        only = spread(only_cross_attention, count, "only_cross_attention")
        layers = spread(layers_per_block, count, "layers_per_block")

        def level(kind: str, at: int, number: int, **more: Any) -> Level:
            fields: dict[str, Any] = {
                "eps": norm_eps,
                "groups": norm_num_groups,
                "attention_groups": norm_num_groups,
                "act_fn": act_fn,
                "scale_shift": resnet_time_scale_shift,
                "head_dim": heads[at],
                "heads": heads[at],
                "depth": depths[at],
                "cross": cross_attention_dim,
                "linear": use_linear_projection,
                "only_cross": only[at],
                "padding": downsample_padding,
            }
            return Level(kind, number, width, **fields | more)

        self.down_blocks = nn.ModuleList()
        before, states = first, [first]
        for i, (kind, after) in enumerate(zip(down_block_types, block_out_channels, strict=True)):
            self.down_blocks.append(DownBlock(level(kind, i, layers[i]), before, after, shrink=i != count - 1))
            states += [after] * (layers[i] + (i != count - 1))
            before = after
        self.mid_block: MidBlock | None = None
        if mid_block_type is not None:
            number = 1 if mid_block_type == "UNetMidBlock2DCrossAttn" else 0
            lowest = level(mid_block_type, count - 1, number, scale=mid_block_scale_factor, only_cross=False)
            self.mid_block = MidBlock(lowest, before)
        self.controlnet_down_blocks = nn.ModuleList(silent(nn.Conv2d(size, size, 1)) for size in states)
        self.controlnet_mid_block = silent(nn.Conv2d(before, before, 1))

    @classmethod
    def from_unet(
        cls,
        unet: UNet2DConditionModel,
        controlnet_conditioning_channel_order: str = "rgb",
        conditioning_embedding_out_channels: tuple[int, ...] | None = (16, 32, 96, 256),
        load_weights_from_unet: bool = True,
        conditioning_channels: int = 3,
    ) -> ControlNetModel:
        """Build the ControlNet of a UNet, which adds nothing until it is trained.

        Args:
            unet: its configuration is taken over.
            controlnet_conditioning_channel_order: "rgb" or "bgr".
            conditioning_embedding_out_channels: channels of the layers over the drawing.
            load_weights_from_unet: whether its weights are taken over, too.
            conditioning_channels: channels of the drawing.
        """
        known = cls.init_fields()
        made = cls(
            **{name: unet.config[name] for name in SHARED if name in unet.config and name in known},
            controlnet_conditioning_channel_order=controlnet_conditioning_channel_order,
            conditioning_embedding_out_channels=conditioning_embedding_out_channels,
            conditioning_channels=conditioning_channels,
        )
        if load_weights_from_unet:
            own = made.state_dict()
            taken = {name: value for name, value in unet.state_dict().items() if name in own}
            made.load_state_dict({**own, **taken})
        return made.to(device=unet.device, dtype=unet.dtype)

    def forward(
        self,
        sample: Tensor,
        timestep: Tensor | float,
        encoder_hidden_states: Tensor,
        controlnet_cond: Tensor,
        conditioning_scale: float = 1.0,
        class_labels: Tensor | None = None,
        timestep_cond: Tensor | None = None,
        attention_mask: Tensor | None = None,
        added_cond_kwargs: dict[str, Any] | None = None,
        cross_attention_kwargs: dict[str, Any] | None = None,
        guess_mode: bool = False,
        return_dict: bool = True,
    ) -> Any:
        """Return what is added to the UNet's states.

        Args:
            sample: noisy latents, (B, in_channels, H, W).
            timestep: one for all, or shape (B,).
            encoder_hidden_states: states of the text, (B, S, cross_attention_dim).
            controlnet_cond: the drawing, (B, conditioning_channels, 8·H, 8·W), from 0 to 1.
            conditioning_scale: factor of the result.
            class_labels: shape (B,), for a model of classes.
            timestep_cond: (B, time_cond_proj_dim).
            attention_mask: ones and zeros over the places, (B, H·W).
            added_cond_kwargs: ``text_embeds`` and ``time_ids`` (SDXL).
            cross_attention_kwargs: for the attention's processors.
            guess_mode: weigh higher levels less, for pictures without a text.
            return_dict: return a ``ControlNetOutput`` instead of a tuple.
        """
        if self.config["controlnet_conditioning_channel_order"] == "bgr":
            controlnet_cond = controlnet_cond.flip(1)
        emb = self._embedding(sample, timestep, encoder_hidden_states, class_labels, timestep_cond, added_cond_kwargs)
        mask = additive(attention_mask, sample.dtype)
        given = Conditions(emb, encoder_hidden_states, mask, None, cross_attention_kwargs)
        sample, drawing = self.conv_in(sample), self.controlnet_cond_embedding(controlnet_cond)
        if sample.shape[-2:] != drawing.shape[-2:]:
            raise ValueError(
                f"the drawing is {tuple(controlnet_cond.shape[-2:])} and gives states of {tuple(drawing.shape[-2:])}; "
                f"latents of {tuple(sample.shape[-2:])} need one {controlnet_cond.shape[-1] // drawing.shape[-1]} "
                "times as large"
            )
        sample = sample + drawing
        states = [sample]
        for block in self.down_blocks:
            sample, passed = block(sample, given)
            states += passed
        if self.mid_block is not None:
            sample = self.mid_block(sample, given)
        down = [layer(state) for layer, state in zip(self.controlnet_down_blocks, states, strict=True)]
        added = [*down, self.controlnet_mid_block(sample)]
        pooled = self.config["global_pool_conditions"]
        weights: Any = [conditioning_scale] * len(added)
        if guess_mode and not pooled:
            weights = torch.logspace(-1, 0, len(added), device=sample.device) * conditioning_scale
        added = [state * weight for state, weight in zip(added, weights, strict=True)]
        if pooled:
            added = [state.mean(dim=(2, 3), keepdim=True) for state in added]
        return ControlNetOutput(added[:-1], added[-1]) if return_dict else (added[:-1], added[-1])


class MultiControlNetModel(ModelMixin):
    """Several ControlNets whose results are added.

    Args:
        controlnets: one for each drawing.
    """

    def __init__(self, controlnets: Sequence[ControlNetModel]) -> None:
        super().__init__()
        self.nets: Any = nn.ModuleList(controlnets)

    def forward(
        self,
        sample: Tensor,
        timestep: Tensor | float,
        encoder_hidden_states: Tensor,
        controlnet_cond: Sequence[Tensor],
        conditioning_scale: Sequence[float],
        *args: Any,
        return_dict: bool = True,
        **kwargs: Any,
    ) -> Any:
        """Return the sum of what each adds; see ``ControlNetModel.forward``, with one drawing and scale for each."""
        total: tuple[list[Tensor], Tensor] | None = None
        for net, drawing, scale in zip(self.nets, controlnet_cond, conditioning_scale, strict=True):
            kwargs["return_dict"] = False
            down, mid = net(sample, timestep, encoder_hidden_states, drawing, scale, *args, **kwargs)
            if total is not None:
                down, mid = [one + other for one, other in zip(total[0], down, strict=True)], total[1] + mid
            total = down, mid
        assert total is not None
        return ControlNetOutput(*total) if return_dict else total

    def save_pretrained(self, save_directory: str | os.PathLike[str], **kwargs: Any) -> None:  # type: ignore[override]
        """Write each into a folder: the first into this one, the others beside it, ending with ``_1``, ``_2``, …."""
        for index, net in enumerate(self.nets):
            net.save_pretrained(f"{os.fspath(save_directory)}_{index}" if index else save_directory, **kwargs)

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | os.PathLike[str], **kwargs: Any) -> Any:
        """Read what ``save_pretrained`` wrote."""
        folders = [Path(pretrained_model_name_or_path)]
        while (following := Path(f"{folders[0]}_{len(folders)}")).is_dir():
            folders.append(following)
        return cls([ControlNetModel.from_pretrained(folder, **kwargs) for folder in folders])
