"""SmolLM3 (Bakouch et al., 2025, "SmolLM3: smol, multilingual, long-context reasoner"): Llama in which some layers do
not know positions (Yang et al., 2025, "RoPE to NoPE and Back Again")."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from enfold.transformers.configs.smollm3 import SmolLM3Config
from enfold.transformers.models.llama import (
    Angles,
    LlamaAttention,
    LlamaDecoderLayer,
    LlamaForCausalLM,
    LlamaForQuestionAnswering,
    LlamaForSequenceClassification,
    LlamaForTokenClassification,
    LlamaModel,
    LlamaPreTrainedModel,
)

__all__ = [
    "SmolLM3Config",
    "SmolLM3ForCausalLM",
    "SmolLM3ForQuestionAnswering",
    "SmolLM3ForSequenceClassification",
    "SmolLM3ForTokenClassification",
    "SmolLM3Model",
    "SmolLM3PreTrainedModel",
]


class SmolLM3Attention(LlamaAttention):
    """Llama's attention, with or without positions."""

    def __init__(self, config: Any, index: int) -> None:
        super().__init__(config, index)
        self.use_rope = bool(config.no_rope_layers[index])

    def place(self, q: Tensor, k: Tensor, angles: Angles) -> tuple[Tensor, Tensor]:
        """Return queries and keys, which know their positions or do not."""
        return super().place(q, k, angles) if self.use_rope else (q, k)


class SmolLM3DecoderLayer(LlamaDecoderLayer):
    """One layer."""

    attention_class = SmolLM3Attention


class SmolLM3PreTrainedModel(LlamaPreTrainedModel):
    """What all SmolLM3 models share."""

    config_class = SmolLM3Config
    layer_class = SmolLM3DecoderLayer
    _no_split_modules = ["SmolLM3DecoderLayer"]


class SmolLM3Model(LlamaModel, SmolLM3PreTrainedModel):
    """SmolLM3 without a head."""


SmolLM3PreTrainedModel.model_class = SmolLM3Model


class SmolLM3ForCausalLM(LlamaForCausalLM, SmolLM3PreTrainedModel):
    """SmolLM3 that continues a text."""


class SmolLM3ForSequenceClassification(LlamaForSequenceClassification, SmolLM3PreTrainedModel):
    """SmolLM3 with one prediction a row, at its last token."""


class SmolLM3ForTokenClassification(LlamaForTokenClassification, SmolLM3PreTrainedModel):
    """SmolLM3 with one prediction a token."""


class SmolLM3ForQuestionAnswering(LlamaForQuestionAnswering, SmolLM3PreTrainedModel):
    """SmolLM3 that marks an answer in a text; its checkpoints keep the model under ``transformer``."""
