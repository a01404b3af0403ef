"""The text part of Gemma 3 (Gemma Team, 2025, "Gemma 3 Technical Report"): Gemma 2 with normalised queries and keys
instead of bounds, and angles of their own in layers with a window."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from enfold.nn.mask import encoder_mask
from enfold.nn.norm import CenteredRMSNorm
from enfold.nn.rotary import Rotary
from enfold.transformers.configs.gemma3 import Gemma3TextConfig
from enfold.transformers.models.gemma2 import (
    Gemma2Attention,
    Gemma2DecoderLayer,
    Gemma2ForCausalLM,
    Gemma2ForSequenceClassification,
    Gemma2Model,
    Gemma2PreTrainedModel,
)
from enfold.transformers.models.qwen3 import NormedAttention

__all__ = [
    "Gemma3ForCausalLM",
    "Gemma3PreTrainedModel",
    "Gemma3TextConfig",
    "Gemma3TextForSequenceClassification",
    "Gemma3TextModel",
]


class Gemma3Attention(Gemma2Attention, NormedAttention):
    """Gemma 2's attention with queries and keys normalised over the width of a head."""

    norm_class = CenteredRMSNorm


class Gemma3DecoderLayer(Gemma2DecoderLayer):
    """One layer."""

    attention_class = Gemma3Attention


class Gemma3PreTrainedModel(Gemma2PreTrainedModel):
    """What all Gemma 3 models share."""

    config_class = Gemma3TextConfig
    _supports_sdpa = True
    layer_class = Gemma3DecoderLayer
    _no_split_modules = ["Gemma3DecoderLayer"]


class Gemma3TextModel(Gemma2Model, Gemma3PreTrainedModel):
    """Gemma 3 without a head.

    With ``config.use_bidirectional_attention`` a token looks to both sides, as embedding models do.
    """

    def rotaries(self, config: Any) -> dict[str, Rotary]:
        """Return what turns queries and keys, for each kind of layer."""
        numbers = config.rope_parameters
        return {
            kind: Rotary(config.head_dim, numbers[kind]["rope_theta"], numbers[kind], config.max_position_embeddings)
            for kind in self.kinds
        }

    def masks(
        self, attention_mask: Any, length: int, cache: Any, device: torch.device
    ) -> dict[str, tuple[Tensor | None, bool]]:
        """Return mask and causality for each kind of layer."""
        if not self.config.use_bidirectional_attention or (cache is not None and cache.is_initialized):
            return super().masks(attention_mask, length, cache, device)
        real = encoder_mask(attention_mask)
        near, place = real, torch.arange(length, device=device)
        if self.window is not None and self.window < length:
            near = (place[:, None] - place).abs()[None, None] < self.window
            near = near if real is None else near & real
        return {"full_attention": (real, False), "sliding_attention": (near, False)}


Gemma3PreTrainedModel.model_class = Gemma3TextModel


class Gemma3ForCausalLM(Gemma2ForCausalLM, Gemma3PreTrainedModel):
    """Gemma 3 that continues a text."""


class Gemma3TextForSequenceClassification(Gemma2ForSequenceClassification, Gemma3PreTrainedModel):
    """Gemma 3 with one prediction a row, at its last token."""
