"""Gemma (Gemma Team, 2024, "Gemma: Open Models Based on Gemini Research and Technology"): Llama with larger embeddings
and norms that scale by one plus their weight."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from enfold.nn.norm import CenteredRMSNorm
from enfold.transformers.configs.gemma import GemmaConfig
from enfold.transformers.models.llama import (
    LlamaDecoderLayer,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    LlamaForTokenClassification,
    LlamaModel,
    LlamaPreTrainedModel,
)

__all__ = [
    "GemmaConfig",
    "GemmaForCausalLM",
    "GemmaForSequenceClassification",
    "GemmaForTokenClassification",
    "GemmaModel",
    "GemmaPreTrainedModel",
]


class GemmaEmbedding(nn.Embedding):
    """An embedding that scales by √D, rounded to the weights' type as the published models were trained."""

    def forward(self, ids: Tensor) -> Tensor:
        """Return (…, D) for ids (…)."""
        scale = torch.tensor(self.embedding_dim**0.5, dtype=self.weight.dtype, device=self.weight.device)
        return super().forward(ids) * scale


class GemmaDecoderLayer(LlamaDecoderLayer):
    """One layer."""

    norm_class = CenteredRMSNorm


class GemmaPreTrainedModel(LlamaPreTrainedModel):
    """What all Gemma models share."""

    config_class: ClassVar[Any] = GemmaConfig
    layer_class: ClassVar[Any] = GemmaDecoderLayer
    norm_class = CenteredRMSNorm
    _no_split_modules = ["GemmaDecoderLayer"]

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, CenteredRMSNorm):
            module.weight.zero_()


class GemmaModel(LlamaModel, GemmaPreTrainedModel):
    """Gemma without a head."""

    def embedding(self, config: Any) -> nn.Embedding:
        """Return the embedding of tokens."""
        return GemmaEmbedding(config.vocab_size, config.hidden_size, config.pad_token_id)


GemmaPreTrainedModel.model_class = GemmaModel


class GemmaForCausalLM(LlamaForCausalLM, GemmaPreTrainedModel):
    """Gemma that continues a text."""


class GemmaForSequenceClassification(LlamaForSequenceClassification, GemmaPreTrainedModel):
    """Gemma with one prediction a row, at its last token."""


class GemmaForTokenClassification(LlamaForTokenClassification, GemmaPreTrainedModel):
    """Gemma with one prediction a token."""
