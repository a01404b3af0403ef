"""Qwen3 (Yang et al., 2025, "Qwen3 Technical Report"): Llama whose queries and keys are normalised, head by head."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from enfold.nn.norm import RMSNorm
from enfold.transformers.configs.qwen3 import Qwen3Config
from enfold.transformers.models.llama import (
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
    "Qwen3Config",
    "Qwen3ForCausalLM",
    "Qwen3ForQuestionAnswering",
    "Qwen3ForSequenceClassification",
    "Qwen3ForTokenClassification",
    "Qwen3Model",
    "Qwen3PreTrainedModel",
]


class NormedAttention(LlamaAttention):
    """Llama's attention with queries and keys normalised over the width of a head."""

    norm_class: ClassVar[type[RMSNorm]] = RMSNorm

    def __init__(self, config: Any, index: int) -> None:
        super().__init__(config, index)
        self.q_norm = self.norm_class(self.head_dim, config.rms_norm_eps)
        self.k_norm = self.norm_class(self.head_dim, config.rms_norm_eps)

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries (B, H, T, d), keys and values (B, K, T, d)."""
        q, k, v = super().project(x)
        return self.q_norm(q), self.k_norm(k), v


class Qwen3DecoderLayer(LlamaDecoderLayer):
    """One layer."""

    attention_class = NormedAttention


class Qwen3PreTrainedModel(LlamaPreTrainedModel):
    """What all Qwen3 models share."""

    config_class = Qwen3Config
    layer_class = Qwen3DecoderLayer
    _no_split_modules = ["Qwen3DecoderLayer"]


class Qwen3Model(LlamaModel, Qwen3PreTrainedModel):
    """Qwen3 without a head."""


Qwen3PreTrainedModel.model_class = Qwen3Model


class Qwen3ForCausalLM(LlamaForCausalLM, Qwen3PreTrainedModel):
    """Qwen3 that continues a text."""


class Qwen3ForSequenceClassification(LlamaForSequenceClassification, Qwen3PreTrainedModel):
    """Qwen3 with one prediction a row, at its last token."""


class Qwen3ForTokenClassification(LlamaForTokenClassification, Qwen3PreTrainedModel):
    """Qwen3 with one prediction a token."""


class Qwen3ForQuestionAnswering(LlamaForQuestionAnswering, Qwen3PreTrainedModel):
    """Qwen3 that marks an answer in a text; its checkpoints keep the model under ``transformer``."""
