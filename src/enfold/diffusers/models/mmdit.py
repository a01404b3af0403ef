"""Multimodal diffusion transformers: SD3Transformer2DModel and FluxTransformer2DModel.

Source: Esser et al., 2024, "Scaling Rectified Flow Transformers for High-Resolution Image Synthesis"
(https://arxiv.org/abs/2403.03206).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from enfold.diffusers.configuration import register_to_config
from enfold.diffusers.loaders.single_file import SingleFileMixin
from enfold.diffusers.models.adapters import weighed_by_scale
from enfold.diffusers.models.attention import Transformer2DModelOutput
from enfold.diffusers.models.blocks import TimestepEmbedding, Timesteps
from enfold.diffusers.models.joint_blocks import (
    AdaLayerNorm,
    JointAttnProcessor,
    JointTransformerBlock,
    SingleTransformerBlock,
    modulate,
    rotary_positions,
)
from enfold.diffusers.models.modeling import ModelMixin

__all__ = ["FluxTransformer2DModel", "SD3Transformer2DModel"]


class TimeTextEmbedding(nn.Module):
    """The sum of embeddings of the time, of a pooled text, and of the strength of guidance where there is one."""

    def __init__(self, dim: int, pooled: int, guided: bool = False) -> None:
        super().__init__()
        self.time_proj = Timesteps(256, flip_sin_to_cos=True, downscale_freq_shift=0)
        self.timestep_embedder = TimestepEmbedding(256, dim)
        self.guidance_embedder = TimestepEmbedding(256, dim) if guided else None
        self.text_embedder = TimestepEmbedding(pooled, dim)

    def forward(self, timestep: Tensor, pooled: Tensor, guidance: Tensor | None = None) -> Tensor:
        """Return (B, dim) from ``timestep`` (B,), ``pooled`` (B, P) and ``guidance`` (B,)."""
        emb = self.timestep_embedder(self.time_proj(timestep).to(pooled.dtype))
        if (guidance is None) != (self.guidance_embedder is None):
            wanted = "wants guidance, shape (B,)" if guidance is None else "was trained without guidance; give none"
            raise ValueError(f"this model {wanted}")
        if guidance is not None and self.guidance_embedder is not None:
            emb = emb + self.guidance_embedder(self.time_proj(guidance).to(pooled.dtype))
        return emb + self.text_embedder(pooled)


class PatchEmbed(nn.Module):
    """A picture's patches as states, and their places on a fixed grid, from the middle of which smaller ones are cut.

    Args:
        size: height and width of the pictures of training, whose places are one apart.
        patch: height and width of a patch.
        in_channels: channels of the picture.
        dim: width of the states.
        grid: patches of the grid in each direction.
    """

    pos_embed: Tensor

    def __init__(self, size: int, patch: int, in_channels: int, dim: int, grid: int) -> None:
        super().__init__()
        self.base, self.patch, self.grid = size // patch, patch, grid
        self.proj = nn.Conv2d(in_channels, dim, patch, stride=patch)
        self.register_buffer("pos_embed", self._places())

    def _places(self) -> Tensor:
        quarter = self.proj.out_channels // 4
        places = (torch.arange(self.grid, dtype=torch.float32) / (self.grid / self.base)).double()
        waves = places[:, None] * torch.pow(10000, -torch.arange(quarter, dtype=torch.float64) / quarter)
        one = torch.cat([waves.sin(), waves.cos()], dim=-1).float()  # of one direction: (grid, dim / 2)
        across, down = one[None].expand(self.grid, -1, -1), one[:, None].expand(-1, self.grid, -1)
        return torch.cat([across, down], dim=-1).flatten(0, 1)[None]

    def reset_parameters(self) -> None:
        """Compute the places anew, where a file lacks them."""
        self.pos_embed.copy_(self._places())

    def forward(self, picture: Tensor) -> Tensor:
        """Return (B, T, dim) from (B, C, H, W)."""
        height, width = (side // self.patch for side in picture.shape[-2:])
        if (height * self.patch, width * self.patch) != tuple(picture.shape[-2:]) or max(height, width) > self.grid:
            raise ValueError(
                f"the latents are {picture.shape[-2]} by {picture.shape[-1]}; expected multiples of {self.patch}, "
                f"{self.grid * self.patch} at most"
            )
        top, left = (self.grid - height) // 2, (self.grid - width) // 2
        places = self.pos_embed.view(self.grid, self.grid, -1)[top : top + height, left : left + width].flatten(0, 1)
        states = self.proj(picture).flatten(2).transpose(1, 2)
        return (states + places).to(states.dtype)


class MMDiT(SingleFileMixin, ModelMixin):
    """What both models have: blocks that take and give a text's states and a picture's, and one last layer."""

    gradient_checkpointing = False

    def _ends(self, dim: int, patch: int, channels: int) -> None:
        self.norm_out = AdaLayerNorm(dim, 2)
        self.proj_out = nn.Linear(dim, patch * patch * channels)

    def _last(self, hidden: Tensor, temb: Tensor) -> Tensor:
        normed, (scale, shift) = self.norm_out(hidden, temb)
        return self.proj_out(modulate(normed, shift, scale))

    def _run(self, block: nn.Module, *given: Any) -> tuple[Any, Tensor]:
        if self.gradient_checkpointing and torch.is_grad_enabled():
            return checkpoint(block, *given, use_reentrant=False)
        return block(*given)

    def set_default_attn_processor(self) -> None:
        """Compute attention without adapters again."""
        self.set_attn_processor(JointAttnProcessor())


class SD3Transformer2DModel(MMDiT):
    """The network of Stable Diffusion 3 and 3.5.

    Args:
        sample_size: height and width of the latents of training.
        patch_size: height and width of a patch of them.
        in_channels: channels of the latents.
        num_layers: how many blocks.
        attention_head_dim: width of each head.
        num_attention_heads: how many heads.
        joint_attention_dim: width of the text's states.
        caption_projection_dim: what they are brought to: the width of the network.
        pooled_projection_dim: width of the pooled text.
        out_channels: channels of the result; by default those of the latents.
        pos_embed_max_size: patches, in each direction, of the largest latents.
        dual_attention_layers: blocks with a second attention.
        qk_norm: None, "rms_norm" or "layer_norm".

    Example:
        >>> model = SD3Transformer2DModel(
        ...     sample_size=8, in_channels=4, out_channels=4, num_layers=1, attention_head_dim=8, num_attention_heads=2,
        ...     joint_attention_dim=6, caption_projection_dim=16, pooled_projection_dim=5, pos_embed_max_size=4)
        >>> model(torch.zeros(1, 4, 8, 8), torch.zeros(1, 3, 6), torch.zeros(1, 5), 10).sample.shape
        torch.Size([1, 4, 8, 8])
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
        joint_attention_dim: int = 4096,
        caption_projection_dim: int = 1152,
        pooled_projection_dim: int = 2048,
        out_channels: int | None = 16,
        pos_embed_max_size: int = 96,
        dual_attention_layers: tuple[int, ...] = (),
        qk_norm: str | None = None,
    ) -> None:
        super().__init__()
        dim = self.inner_dim = num_attention_heads * attention_head_dim
        if caption_projection_dim != dim:
            raise ValueError(
                f"caption_projection_dim is {caption_projection_dim}; expected {dim}, the width of the network: "
                "num_attention_heads times attention_head_dim"
            )
        self.out_channels = in_channels if out_channels is None else out_channels
        self.pos_embed = PatchEmbed(sample_size, patch_size, in_channels, dim, pos_embed_max_size)
        self.time_text_embed = TimeTextEmbedding(dim, pooled_projection_dim)
        self.context_embedder = nn.Linear(joint_attention_dim, caption_projection_dim)
        self.transformer_blocks = nn.ModuleList(
            JointTransformerBlock(
                dim,
                num_attention_heads,
                attention_head_dim,
                qk_norm=qk_norm,
                context_pre_only=i == num_layers - 1,
                use_dual_attention=i in dual_attention_layers,
            )
            for i in range(num_layers)
        )
        self._ends(dim, patch_size, self.out_channels)

    @weighed_by_scale
    def forward(
        self,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        pooled_projections: Tensor,
        timestep: Tensor | float,
        block_controlnet_hidden_states: Sequence[Tensor] | None = None,
        joint_attention_kwargs: dict[str, Any] | None = None,
        return_dict: bool = True,
        skip_layers: Sequence[int] | None = None,
    ) -> Any:
        """Predict from noisy latents.

        Args:
            hidden_states: the latents, (B, in_channels, H, W).
            encoder_hidden_states: states of the text, (B, S, joint_attention_dim).
            pooled_projections: the pooled text, (B, pooled_projection_dim).
            timestep: one for all, or shape (B,), from 0 to 1000.
            block_controlnet_hidden_states: added after the blocks, each after as many of them.
            joint_attention_kwargs: for the attention's processors.
            return_dict: return a ``Transformer2DModelOutput`` instead of a tuple.
            skip_layers: blocks to leave out.
        """
        batch, _, height, width = hidden_states.shape
        patch, count = self.config["patch_size"], len(self.transformer_blocks)
        states = self.pos_embed(hidden_states)
        timestep = torch.as_tensor(timestep, device=states.device).expand(batch)
        temb = self.time_text_embed(timestep, pooled_projections)
        text = self.context_embedder(encoder_hidden_states)
        for index, block in enumerate(self.transformer_blocks):
            if index not in (skip_layers or ()):
                text, states = self._run(block, states, text, temb, None, joint_attention_kwargs)
            if block_controlnet_hidden_states is not None and not block.context_pre_only:
                every = count / len(block_controlnet_hidden_states)
                states = states + block_controlnet_hidden_states[int(index / every)]
        states = self._last(states, temb).unflatten(-1, (patch, patch, -1))
        states = states.unflatten(1, (height // patch, width // patch))  # (B, h, w, p, q, C)
        sample = states.permute(0, 5, 1, 3, 2, 4).reshape(batch, -1, height, width)
        return Transformer2DModelOutput(sample) if return_dict else (sample,)


class FluxTransformer2DModel(MMDiT):
    """The network of FLUX.1.

    Args:
        patch_size: height and width of a patch of the latents; they come already cut, so 1.
        in_channels: channels of a patch.
        out_channels: channels of the result; by default those of a patch.
        num_layers: how many blocks with layers for text and picture apart.
        num_single_layers: how many blocks after them, over both as one sequence.
        attention_head_dim: width of each head.
        num_attention_heads: how many heads.
        joint_attention_dim: width of the text's states.
        pooled_projection_dim: width of the pooled text.
        guidance_embeds: the strength of guidance is an input.
        axes_dims_rope: channels of a head that are turned by each of three coordinates.

    Example:
        >>> model = FluxTransformer2DModel(
        ...     in_channels=4, num_layers=1, num_single_layers=1, attention_head_dim=8, num_attention_heads=2,
        ...     joint_attention_dim=6, pooled_projection_dim=5, axes_dims_rope=(2, 2, 4))
        >>> places = {"img_ids": torch.zeros(9, 3), "txt_ids": torch.zeros(3, 3)}
        >>> model(torch.zeros(1, 9, 4), torch.zeros(1, 3, 6), torch.zeros(1, 5), 0.5, **places).sample.shape
        torch.Size([1, 9, 4])
    """

    @register_to_config
    def __init__(
        self,
        patch_size: int = 1,
        in_channels: int = 64,
        out_channels: int | None = None,
        num_layers: int = 19,
        num_single_layers: int = 38,
        attention_head_dim: int = 128,
        num_attention_heads: int = 24,
        joint_attention_dim: int = 4096,
        pooled_projection_dim: int = 768,
        guidance_embeds: bool = False,
        axes_dims_rope: tuple[int, ...] = (16, 56, 56),
    ) -> None:
        super().__init__()
        if sum(axes_dims_rope) != attention_head_dim:
            raise ValueError(
                f"axes_dims_rope adds up to {sum(axes_dims_rope)}; expected {attention_head_dim}, attention_head_dim"
            )
        dim = self.inner_dim = num_attention_heads * attention_head_dim
        self.out_channels = out_channels or in_channels
        shape = (dim, num_attention_heads, attention_head_dim)
        self.time_text_embed = TimeTextEmbedding(dim, pooled_projection_dim, guidance_embeds)
        self.context_embedder = nn.Linear(joint_attention_dim, dim)
        self.x_embedder = nn.Linear(in_channels, dim)
        self.transformer_blocks = nn.ModuleList(
            JointTransformerBlock(*shape, qk_norm="rms_norm") for _ in range(num_layers)
        )
        self.single_transformer_blocks = nn.ModuleList(SingleTransformerBlock(*shape) for _ in range(num_single_layers))
        self._ends(dim, patch_size, self.out_channels)

    @weighed_by_scale
    def forward(
        self,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        pooled_projections: Tensor,
        timestep: Tensor | float,
        img_ids: Tensor,
        txt_ids: Tensor,
        guidance: Tensor | None = None,
        joint_attention_kwargs: dict[str, Any] | None = None,
        controlnet_block_samples: Sequence[Tensor] | None = None,
        controlnet_single_block_samples: Sequence[Tensor] | None = None,
        return_dict: bool = True,
        controlnet_blocks_repeat: bool = False,
    ) -> Any:
        """Predict from noisy latents.

        Args:
            hidden_states: patches of the latents, (B, T, in_channels).
            encoder_hidden_states: states of the text, (B, S, joint_attention_dim).
            pooled_projections: the pooled text, (B, pooled_projection_dim).
            timestep: one for all, or shape (B,), from 0 to 1.
            img_ids: coordinates of the patches, (T, 3).
            txt_ids: coordinates of the text, (S, 3), zeros.
            guidance: its strength, (B,), for a model with ``guidance_embeds``.
            joint_attention_kwargs: for the attention's processors.
            controlnet_block_samples: added after the first blocks, each after as many of them.
            controlnet_single_block_samples: added after the blocks after them.
            return_dict: return a ``Transformer2DModelOutput`` instead of a tuple.
            controlnet_blocks_repeat: the samples are added in turn instead.
        """
        states = self.x_embedder(hidden_states)
        timestep = torch.as_tensor(timestep, device=states.device).to(states.dtype).expand(states.shape[0]) * 1000
        guidance = None if guidance is None else guidance.to(states.dtype) * 1000
        temb = self.time_text_embed(timestep, pooled_projections, guidance)
        text = self.context_embedder(encoder_hidden_states)
        # older callers give the same coordinates for each of a batch
        ids = torch.cat([ids[0] if ids.dim() == 3 else ids for ids in (txt_ids, img_ids)])
        turned = rotary_positions(ids, self.config["axes_dims_rope"])
        stages = (
            (self.transformer_blocks, controlnet_block_samples, controlnet_blocks_repeat),
            (self.single_transformer_blocks, controlnet_single_block_samples, False),
        )
        for blocks, samples, in_turn in stages:
            for index, block in enumerate(blocks):
                text, states = self._run(block, states, text, temb, turned, joint_attention_kwargs)
                if samples:
                    which = index % len(samples) if in_turn else index // math.ceil(len(blocks) / len(samples))
                    states = states + samples[which]
        sample = self._last(states, temb)
        return Transformer2DModelOutput(sample) if return_dict else (sample,)
