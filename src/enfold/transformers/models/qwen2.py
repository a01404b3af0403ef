"""Qwen2 (Yang et al., 2024, "Qwen2 Technical Report") and Qwen2.5: Llama with biases for queries, keys and values."""

from __future__ import annotations

from enfold.nn.norm import RMSNorm
from enfold.transformers.configs.qwen2 import Qwen2Config
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
    "Qwen2Config",
    "Qwen2ForCausalLM",
    "Qwen2ForQuestionAnswering",
    "Qwen2ForSequenceClassification",
    "Qwen2ForTokenClassification",
    "Qwen2Model",
    "Qwen2PreTrainedModel",
    "Qwen2RMSNorm",
]

Qwen2RMSNorm = RMSNorm


class Qwen2Attention(LlamaAttention):
    """Llama's attention with biases where they come in."""

    qkv_bias = True
    out_bias = False


class Qwen2DecoderLayer(LlamaDecoderLayer):
    """One layer."""

    attention_class = Qwen2Attention


class Qwen2PreTrainedModel(LlamaPreTrainedModel):
    """What all Qwen2 models share."""

    config_class = Qwen2Config
    layer_class = Qwen2DecoderLayer
    _no_split_modules = ["Qwen2DecoderLayer"]


class Qwen2Model(LlamaModel, Qwen2PreTrainedModel):
    """Qwen2 without a head."""


Qwen2PreTrainedModel.model_class = Qwen2Model


class Qwen2ForCausalLM(LlamaForCausalLM, Qwen2PreTrainedModel):
    """Qwen2 that continues a text."""


class Qwen2ForSequenceClassification(LlamaForSequenceClassification, Qwen2PreTrainedModel):
    """Qwen2 with one prediction a row, at its last token."""


class Qwen2ForTokenClassification(LlamaForTokenClassification, Qwen2PreTrainedModel):
    """Qwen2 with one prediction a token."""


class Qwen2ForQuestionAnswering(LlamaForQuestionAnswering, Qwen2PreTrainedModel):
    """Qwen2 that marks an answer in a text; its checkpoints keep the model under ``transformer``."""
