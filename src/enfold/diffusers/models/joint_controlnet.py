"""ControlNets of Stable Diffusion 3 and FLUX.1: what is added to a transformer so that pictures follow a drawing.

Source: Zhang et al., 2023, "Adding Conditional Control to Text-to-Image Diffusion Models"
(https://arxiv.org/abs/2302.05543).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from enfold.diffusers.configuration import register_to_config
from enfold.diffusers.models.adapters import weighed_by_scale
from enfold.diffusers.models.attention import FeedForward
from enfold.diffusers.models.controlnet import ControlNetConditioningEmbedding, silent
from enfold.diffusers.models.joint_blocks import (
    AdaLayerNorm,
    JointAttention,
    JointTransformerBlock,
    SingleTransformerBlock,
    modulate,
    rotary_positions,
)
from enfold.diffusers.models.mmdit import MMDiT, PatchEmbed, TimeTextEmbedding
from enfold.nn.outputs import ModelOutput

__all__ = ["FluxControlNetModel", "FluxControlNetOutput", "SD3ControlNetModel", "SD3ControlNetOutput"]


@dataclass
class FluxControlNetOutput(ModelOutput):
    """What is added to a transformer's states.

    Attributes:
        controlnet_block_samples: after its first blocks, each (B, T, width).
        controlnet_single_block_samples: after the blocks after them, likewise.
    """

    controlnet_block_samples: Any = None
    controlnet_single_block_samples: Any = None


@dataclass
class SD3ControlNetOutput(ModelOutput):
    """What is added to a transformer's states.

    Attributes:
        controlnet_block_samples: after its blocks, each (B, T, width).
    """

    controlnet_block_samples: Any = None


def _silent_layers(count: int, dim: int) -> nn.ModuleList:
    return nn.ModuleList(silent(nn.Linear(dim, dim)) for _ in range(count))


class FluxControlNetModel(MMDiT):
    """The ControlNet of FLUX.1.

    Args:
        num_mode: how many kinds of drawings one model knows; None: one.
        conditioning_embedding_channels: the drawing comes as a picture, and layers of so many channels make it small;
            None: it comes as latents.

    The others are those of ``FluxTransformer2DModel``.
    """

    @register_to_config
    def __init__(
        self,
        patch_size: int = 1,
        in_channels: int = 64,
        num_layers: int = 19,
        num_single_layers: int = 38,
        attention_head_dim: int = 128,
        num_attention_heads: int = 24,
        joint_attention_dim: int = 4096,
        pooled_projection_dim: int = 768,
        guidance_embeds: bool = False,
        axes_dims_rope: tuple[int, ...] = (16, 56, 56),
        num_mode: int | None = None,
        conditioning_embedding_channels: int | None = None,
    ) -> None:
        super().__init__()
        dim = self.inner_dim = num_attention_heads * attention_head_dim
        shape = (dim, num_attention_heads, attention_head_dim)
        self.time_text_embed = TimeTextEmbedding(dim, pooled_projection_dim, guidance_embeds)
        self.context_embedder = nn.Linear(joint_attention_dim, dim)
        self.x_embedder = nn.Linear(in_channels, dim)
        self.transformer_blocks = nn.ModuleList(
            JointTransformerBlock(*shape, qk_norm="rms_norm") for _ in range(num_layers)
        )
        self.single_transformer_blocks = nn.ModuleList(SingleTransformerBlock(*shape) for _ in range(num_single_layers))
        self.controlnet_blocks = _silent_layers(num_layers, dim)
        self.controlnet_single_blocks = _silent_layers(num_single_layers, dim)
        self.controlnet_mode_embedder = None if num_mode is None else nn.Embedding(num_mode, dim)
        self.input_hint_block: ControlNetConditioningEmbedding | None = None
        self.controlnet_x_embedder = nn.Linear(in_channels, dim)
        if conditioning_embedding_channels is None:
            silent(self.controlnet_x_embedder)
        else:
            self.input_hint_block = ControlNetConditioningEmbedding(
                conditioning_embedding_channels, block_out_channels=(16, 16, 16, 16)
            )

    @weighed_by_scale
    def forward(
        self,
        hidden_states: Tensor,
        controlnet_cond: Tensor,
        controlnet_mode: Tensor | None = None,
        conditioning_scale: float = 1.0,
        encoder_hidden_states: Tensor | None = None,
        pooled_projections: Tensor | None = None,
        timestep: Tensor | float | None = None,
        img_ids: Tensor | None = None,
        txt_ids: Tensor | None = None,
        guidance: Tensor | None = None,
        joint_attention_kwargs: dict[str, Any] | None = None,
        return_dict: bool = True,
    ) -> Any:
        """Return what is added after the blocks.

        Args:
            controlnet_cond: the drawing: patches of its latents, (B, T, in_channels), or a picture, (B, 3, H, W).
            controlnet_mode: which kind of drawing, (B, 1), for a model of several.
            conditioning_scale: what is added is multiplied by it.

        The others are those of ``FluxTransformer2DModel.forward``.
        """
        assert encoder_hidden_states is not None and pooled_projections is not None
        assert timestep is not None and img_ids is not None and txt_ids is not None
        states = self.x_embedder(hidden_states)
        if self.input_hint_block is not None:
            patch = self.config["patch_size"]
            seen = self.input_hint_block(controlnet_cond)
            seen = seen.unflatten(3, (-1, patch)).unflatten(2, (-1, patch))  # (B, C, h, p, w, q)
            controlnet_cond = seen.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)
        states = states + self.controlnet_x_embedder(controlnet_cond)
        timestep = torch.as_tensor(timestep, device=states.device).to(states.dtype).expand(states.shape[0]) * 1000
        guidance = None if guidance is None else guidance.to(states.dtype) * 1000
        temb = self.time_text_embed(timestep, pooled_projections, guidance)
        text = self.context_embedder(encoder_hidden_states)
        txt_ids, img_ids = (ids[0] if ids.dim() == 3 else ids for ids in (txt_ids, img_ids))
        if self.controlnet_mode_embedder is not None:
            if controlnet_mode is None:
                raise ValueError("this ControlNet knows several kinds of drawings; say which with controlnet_mode")
            text = torch.cat([self.controlnet_mode_embedder(controlnet_mode), text], dim=1)
            txt_ids = torch.cat([txt_ids[:1], txt_ids])
        turned = rotary_positions(torch.cat([txt_ids, img_ids]), self.config["axes_dims_rope"])
        added = []
        for blocks, layers in (
            (self.transformer_blocks, self.controlnet_blocks),
            (self.single_transformer_blocks, self.controlnet_single_blocks),
        ):
            samples = []
            for block, layer in zip(blocks, layers, strict=True):
                text, states = self._run(block, states, text, temb, turned, joint_attention_kwargs)
                samples.append(layer(states) * conditioning_scale)
            added.append(samples or None)
        return FluxControlNetOutput(*added) if return_dict else tuple(added)


class SD3SingleTransformerBlock(nn.Module):
    """Attention of a picture to itself and a feed-forward layer: ControlNets that read no text."""

    def __init__(self, dim: int, num_attention_heads: int, attention_head_dim: int) -> None:
        super().__init__()
        self.norm1 = AdaLayerNorm(dim, 6)
        self.attn = JointAttention(dim, num_attention_heads, attention_head_dim)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6, elementwise_affine=False)
        self.ff = FeedForward(dim, activation_fn="gelu-approximate")

    def forward(self, hidden_states: Tensor, encoder_hidden_states: None, temb: Tensor, *given: Any) -> Any:
        """Return None, and the states; see ``JointTransformerBlock.forward``."""
        normed, (shift, scale, gate, shift_ff, scale_ff, gate_ff) = self.norm1(hidden_states, temb)
        hidden_states = hidden_states + gate * self.attn(modulate(normed, shift, scale))
        fed = self.ff(modulate(self.norm2(hidden_states), shift_ff, scale_ff))
        return None, hidden_states + gate_ff * fed


class Patches(nn.Module):
    """A picture's patches as states, without places."""

    def __init__(self, patch: int, in_channels: int, dim: int) -> None:
        super().__init__()
        self.proj = silent(nn.Conv2d(in_channels, dim, patch, stride=patch))

    def forward(self, picture: Tensor) -> Tensor:
        """Return (B, T, dim) from (B, C, H, W)."""
        return self.proj(picture).flatten(2).transpose(1, 2)  # type: ignore[no-any-return]


class SD3ControlNetModel(MMDiT):
    """The ControlNet of Stable Diffusion 3 and 3.5.

    Args:
        joint_attention_dim: width of the text's states; None: it reads no text.
        extra_conditioning_channels: channels of the drawing's latents beyond those of the picture's.
        pos_embed_type: accepted; places are sines and cosines.
        use_pos_embed: False: the latents come as states of the transformer's own ``pos_embed``.
        force_zeros_for_pooled_projection: pipelines give it no pooled text.

    The others are those of ``SD3Transformer2DModel``.
    """

    @register_to_config
    def __init__(
        self,
        sample_size: int = 128,
        patch_size: int = 2,
        in_channels: int = 16,
        num_layers: int = 18,
        attention_head_dim: int = 64,
        num_attention_heads: int = 18,
        joint_attention_dim: int | None = 4096,
        caption_projection_dim: int = 1152,
        pooled_projection_dim: int = 2048,
        out_channels: int = 16,
        pos_embed_max_size: int = 96,
        extra_conditioning_channels: int = 0,
        dual_attention_layers: tuple[int, ...] = (),
        qk_norm: str | None = None,
        pos_embed_type: str | None = "sincos",
        use_pos_embed: bool = True,
        force_zeros_for_pooled_projection: bool = True,
    ) -> None:
        super().__init__()
        dim = self.inner_dim = num_attention_heads * attention_head_dim
        shape = (dim, num_attention_heads, attention_head_dim)
        self.pos_embed: PatchEmbed | None = None
        if use_pos_embed:
            self.pos_embed = PatchEmbed(sample_size, patch_size, in_channels, dim, pos_embed_max_size)
        self.time_text_embed = TimeTextEmbedding(dim, pooled_projection_dim)
        self.context_embedder: nn.Linear | None = None
        blocks: list[nn.Module]
        if joint_attention_dim is None:
            blocks = [SD3SingleTransformerBlock(*shape) for _ in range(num_layers)]
        else:
            self.context_embedder = nn.Linear(joint_attention_dim, caption_projection_dim)
            blocks = [
                JointTransformerBlock(*shape, qk_norm=qk_norm, use_dual_attention=i in dual_attention_layers)
                for i in range(num_layers)
            ]
        self.transformer_blocks = nn.ModuleList(blocks)
        self.controlnet_blocks = _silent_layers(num_layers, dim)
        self.pos_embed_input = Patches(patch_size, in_channels + extra_conditioning_channels, dim)

    @weighed_by_scale
    def forward(
        self,
        hidden_states: Tensor,
        controlnet_cond: Tensor,
        conditioning_scale: float = 1.0,
        encoder_hidden_states: Tensor | None = None,
        pooled_projections: Tensor | None = None,
        timestep: Tensor | float | None = None,
        joint_attention_kwargs: dict[str, Any] | None = None,
        return_dict: bool = True,
    ) -> Any:
        """Return what is added after the blocks.

        Args:
            hidden_states: the noisy latents, (B, C, H, W); states, (B, T, width), where ``use_pos_embed`` is off.
            controlnet_cond: latents of the drawing, (B, C, H, W).
            conditioning_scale: what is added is multiplied by it.
            encoder_hidden_states: states of the text; None for a model that reads none.

        The others are those of ``SD3Transformer2DModel.forward``.
        """
        wanted = 3 if self.pos_embed is None else 4
        if hidden_states.dim() != wanted:
            raise ValueError(f"hidden_states have {hidden_states.dim()} dimensions; this ControlNet takes {wanted}")
        if (encoder_hidden_states is None) != (self.context_embedder is None):
            what = "reads a text; give encoder_hidden_states" if self.context_embedder else "reads no text"
            raise ValueError(f"this ControlNet {what}")
        assert pooled_projections is not None and timestep is not None
        states = hidden_states if self.pos_embed is None else self.pos_embed(hidden_states)
        timestep = torch.as_tensor(timestep, device=states.device).expand(states.shape[0])
        temb = self.time_text_embed(timestep, pooled_projections)
        text = None if self.context_embedder is None else self.context_embedder(encoder_hidden_states)
        states = states + self.pos_embed_input(controlnet_cond)
        samples = []
        for block, layer in zip(self.transformer_blocks, self.controlnet_blocks, strict=True):
            text, states = self._run(block, states, text, temb, None, joint_attention_kwargs)
            samples.append(layer(states) * conditioning_scale)
        return SD3ControlNetOutput(samples) if return_dict else (samples,)
