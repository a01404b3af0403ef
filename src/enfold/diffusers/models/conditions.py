"""What UNets and ControlNets are conditioned on besides the text: time, classes, sizes, pictures."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from enfold.diffusers.loaders.single_file import SingleFileMixin
from enfold.diffusers.models.blocks import GaussianFourierProjection, TimestepEmbedding, Timesteps
from enfold.diffusers.models.modeling import ModelMixin
from enfold.nn.attention import attend, merge_heads, split_heads

__all__ = ["ConditionedModel", "ImageProjection", "spread"]


def spread(value: Any, levels: int, name: str) -> list[Any]:
    """Return one value for each level of a UNet from one for all, or from a list of as many.

    Example:
        >>> spread(2, 3, "layers_per_block"), spread((1, 2), 2, "layers_per_block")
        ([2, 2, 2], [1, 2])
    """
    found = [*value] if isinstance(value, list | tuple) else [value] * levels
    if len(found) != levels:
        raise ValueError(f"{name} has {len(found)} entries for {levels} levels; expected one, or one for each level")
    return found


class ImageProjection(nn.Module):
    """A picture's embedding as ``num_image_text_embeds`` tokens that stand beside a text's."""

    def __init__(
        self, image_embed_dim: int = 768, cross_attention_dim: int = 768, num_image_text_embeds: int = 32
    ) -> None:
        super().__init__()
        self.num_image_text_embeds = num_image_text_embeds
        self.image_embeds = nn.Linear(image_embed_dim, num_image_text_embeds * cross_attention_dim)
        self.norm = nn.LayerNorm(cross_attention_dim)

    def forward(self, image_embeds: Tensor) -> Tensor:
        """Return (B, tokens, cross_attention_dim) for (B, image_embed_dim)."""
        tokens = self.image_embeds(image_embeds.to(self.image_embeds.weight.dtype))
        return self.norm(tokens.unflatten(-1, (self.num_image_text_embeds, -1)))


class AttentionPooling(nn.Module):
    """One token from all tokens of a text: it looks at them and at their mean."""

    def __init__(self, num_heads: int, embed_dim: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.positional_embedding = nn.Parameter(torch.randn(1, embed_dim) / embed_dim**0.5)
        self.k_proj = nn.Linear(embed_dim, embed_dim)
        self.q_proj = nn.Linear(embed_dim, embed_dim)
        self.v_proj = nn.Linear(embed_dim, embed_dim)

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean(dim=1, keepdim=True) + self.positional_embedding.to(x.dtype)
        x = torch.cat([mean, x], dim=1)
        width = x.shape[-1] // self.num_heads
        query = split_heads(self.q_proj(mean), width)
        return merge_heads(attend(query, split_heads(self.k_proj(x), width), split_heads(self.v_proj(x), width))[0])[
            :, 0
        ]


class TextTimeEmbedding(nn.Module):
    """A text's states as something to add to the embedding of time."""

    def __init__(self, encoder_dim: int, time_embed_dim: int, num_heads: int = 64) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(encoder_dim)
        self.pool = AttentionPooling(num_heads, encoder_dim)
        self.proj = nn.Linear(encoder_dim, time_embed_dim)
        self.norm2 = nn.LayerNorm(time_embed_dim)

    def forward(self, hidden_states: Tensor) -> Tensor:
        return self.norm2(self.proj(self.pool(self.norm1(hidden_states))))


class ConditionedModel(SingleFileMixin, ModelMixin):
    """Base of UNet2DConditionModel and ControlNetModel: the embedding that every block is given."""

    time_proj: nn.Module

    def _embed_time(
        self, kind: str, first: int, width: int | None, flip: bool, shift: float, **more: Any
    ) -> tuple[int, int]:
        """Make ``time_proj`` and ``time_embedding``; return the widths of the latter's input and output."""
        if kind == "positional":
            known, width = first, width or first * 4
            self.time_proj = Timesteps(first, flip, shift)
        elif kind == "fourier":
            known = width = width or first * 2
            self.time_proj = GaussianFourierProjection(width // 2, log=False, flip_sin_to_cos=flip)
        else:
            raise ValueError(f"time_embedding_type is {kind!r}; expected 'positional' or 'fourier'")
        self.time_embedding = TimestepEmbedding(known, width, **more)
        return known, width

    def _embed_classes(self, kind: str | None, count: int | None, known: int, width: int, given: int | None) -> None:
        """Make ``class_embedding``."""
        if kind in ("projection", "simple_projection") and given is None:
            raise ValueError(f"class_embed_type {kind!r} needs projection_class_embeddings_input_dim")
        found: nn.Module | None = None
        if kind is None and count is not None:
            found = nn.Embedding(count, width)
        elif kind == "timestep":
            found = TimestepEmbedding(known, width)
        elif kind == "identity":
            found = nn.Identity()
        elif kind == "projection":
            found = TimestepEmbedding(given or 0, width)
        elif kind == "simple_projection":
            found = nn.Linear(given or 0, width)
        elif kind is not None:
            raise ValueError(
                f"class_embed_type is {kind!r}; expected 'timestep', 'identity', 'projection' or 'simple_projection'"
            )
        self.class_embedding = found

    def _embed_more(
        self, kind: str | None, width: int, text: int, sizes: int | None, given: int | None, heads: int
    ) -> None:
        """Make ``add_embedding``: of the text ("text"), or of its pooled state and sizes ("text_time", SDXL)."""
        if kind == "text":
            self.add_embedding: nn.Module = TextTimeEmbedding(text, width, num_heads=heads)
        elif kind == "text_time":
            if sizes is None or given is None:
                raise ValueError(
                    "addition_embed_type 'text_time' needs addition_time_embed_dim and "
                    "projection_class_embeddings_input_dim"
                )
            self.add_time_proj = Timesteps(sizes, bool(self.config["flip_sin_to_cos"]), self.config["freq_shift"])
            self.add_embedding = TimestepEmbedding(given, width)
        elif kind is not None:
            raise ValueError(f"addition_embed_type is {kind!r}; expected 'text' or 'text_time'")

    def _embedding(
        self,
        sample: Tensor,
        timestep: Tensor | float,
        text: Tensor,
        class_labels: Tensor | None,
        timestep_cond: Tensor | None,
        added: dict[str, Any] | None,
    ) -> Tensor:
        """Return what every block is given, (B, width)."""
        timesteps = torch.as_tensor(timestep, device=sample.device).expand(sample.shape[0])
        emb = self.time_embedding(self.time_proj(timesteps).to(sample.dtype), timestep_cond)
        if self.class_embedding is not None:
            if class_labels is None:
                raise ValueError("this model is one of classes; give class_labels")
            if self.config["class_embed_type"] == "timestep":
                class_labels = self.time_proj(class_labels).to(sample.dtype)
            classes = self.class_embedding(class_labels).to(sample.dtype)
            emb = torch.cat([emb, classes], -1) if self.config.get("class_embeddings_concat") else emb + classes
        kind = self.config["addition_embed_type"]
        if kind == "text":
            return emb + self.add_embedding(text)
        if kind == "text_time":
            missing = {"text_embeds", "time_ids"} - {*(added or {})}
            if added is None or missing:
                raise ValueError(f"this model needs added_cond_kwargs with {' and '.join(sorted(missing))}")
            sizes = self.add_time_proj(added["time_ids"].flatten()).reshape(added["text_embeds"].shape[0], -1)
            return emb + self.add_embedding(torch.cat([added["text_embeds"], sizes], dim=-1).to(emb.dtype))
        return emb


def additive(mask: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    """Return a mask of ones and zeros, (B, S), as what is added to scores of shape (B, heads, T, S)."""
    return None if mask is None else ((1 - mask.to(dtype)) * -10000.0)[:, None, None, :]
