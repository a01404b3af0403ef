"""Gemma 2 (Gemma Team, 2024, "Gemma 2: Improving Open Language Models at a Practical Size"): Gemma with a norm on both
sides of each block, windows in every second layer, and scores and logits kept within bounds."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from enfold.nn.attention import Manner
from enfold.nn.cache import CacheLayer
from enfold.nn.norm import CenteredRMSNorm
from enfold.transformers.configs.gemma2 import Gemma2Config
from enfold.transformers.models.gemma import (
    GemmaForCausalLM,
    GemmaForSequenceClassification,
    GemmaForTokenClassification,
    GemmaModel,
    GemmaPreTrainedModel,
)
from enfold.transformers.models.llama import Angles, LlamaAttention, LlamaDecoderLayer

__all__ = [
    "Gemma2Config",
    "Gemma2ForCausalLM",
    "Gemma2ForSequenceClassification",
    "Gemma2ForTokenClassification",
    "Gemma2Model",
    "Gemma2PreTrainedModel",
]


class Gemma2Attention(LlamaAttention):
    """Llama's attention with a scale of its own and scores within bounds."""

    def __init__(self, config: Any, index: int) -> None:
        super().__init__(config, index)
        self.scale = config.query_pre_attn_scalar**-0.5
        self.softcap = config.attn_logit_softcapping


class Gemma2DecoderLayer(LlamaDecoderLayer):
    """One layer: attention, then feed-forward, each normalised before and behind."""

    attention_class = Gemma2Attention
    norm_class = CenteredRMSNorm

    def __init__(self, config: Any, index: int) -> None:
        super().__init__(config, index)
        self.pre_feedforward_layernorm = self.norm_class(config.hidden_size, config.rms_norm_eps)
        self.post_feedforward_layernorm = self.norm_class(config.hidden_size, config.rms_norm_eps)

    def forward(
        self, x: Tensor, angles: Angles, mask: Tensor | None, causal: bool, cache: CacheLayer | None, weights: Manner
    ) -> tuple[Tensor, Tensor | None]:
        """Return (B, T, D) and, with ``weights``, the attention weights."""
        attended, shares = self.self_attn(self.input_layernorm(x), angles, mask, causal, cache, weights)
        x = x + self.post_attention_layernorm(attended)
        return x + self.post_feedforward_layernorm(self.mlp(self.pre_feedforward_layernorm(x))), shares


class Gemma2PreTrainedModel(GemmaPreTrainedModel):
    """What all Gemma 2 models share."""

    config_class = Gemma2Config
    _supports_sdpa = False  # scores within bounds come from the explicit softmax
    layer_class = Gemma2DecoderLayer
    _no_split_modules = ["Gemma2DecoderLayer"]


class Gemma2Model(GemmaModel, Gemma2PreTrainedModel):
    """Gemma 2 without a head."""


Gemma2PreTrainedModel.model_class = Gemma2Model


class Gemma2ForCausalLM(GemmaForCausalLM, Gemma2PreTrainedModel):
    """Gemma 2 that continues a text."""

    def logits(self, x: Tensor) -> Tensor:
        """Return next-token logits (B, T, V), within bounds where the configuration has them."""
        logits, bound = super().logits(x), self.config.final_logit_softcapping
        return logits if bound is None else bound * torch.tanh(logits / bound)


class Gemma2ForSequenceClassification(GemmaForSequenceClassification, Gemma2PreTrainedModel):
    """Gemma 2 with one prediction a row, at its last token."""


class Gemma2ForTokenClassification(GemmaForTokenClassification, Gemma2PreTrainedModel):
    """Gemma 2 with one prediction a token."""
