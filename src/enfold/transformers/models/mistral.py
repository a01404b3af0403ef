"""Mistral (Jiang et al., 2023, "Mistral 7B"): Llama whose layers look at a window."""

from __future__ import annotations

from typing import Any, ClassVar

from enfold.transformers.configs.mistral import MistralConfig
from enfold.transformers.models.llama import (
    LlamaDecoderLayer,
    LlamaForCausalLM,
    LlamaForQuestionAnswering,
    LlamaForSequenceClassification,
    LlamaForTokenClassification,
    LlamaModel,
    LlamaPreTrainedModel,
)

__all__ = [
    "MistralConfig",
    "MistralForCausalLM",
    "MistralForQuestionAnswering",
    "MistralForSequenceClassification",
    "MistralForTokenClassification",
    "MistralModel",
    "MistralPreTrainedModel",
]


class MistralDecoderLayer(LlamaDecoderLayer):
    """One layer; the window is in the mask that it is given."""


class MistralPreTrainedModel(LlamaPreTrainedModel):
    """What all Mistral models share."""

    config_class: ClassVar[Any] = MistralConfig
    layer_class: ClassVar[Any] = MistralDecoderLayer
    _no_split_modules = ["MistralDecoderLayer"]


class MistralModel(LlamaModel, MistralPreTrainedModel):
    """Mistral without a head."""


MistralPreTrainedModel.model_class = MistralModel


class MistralForCausalLM(LlamaForCausalLM, MistralPreTrainedModel):
    """Mistral that continues a text."""


class MistralForSequenceClassification(LlamaForSequenceClassification, MistralPreTrainedModel):
    """Mistral with one prediction a row, at its last token."""


class MistralForTokenClassification(LlamaForTokenClassification, MistralPreTrainedModel):
    """Mistral with one prediction a token."""


class MistralForQuestionAnswering(LlamaForQuestionAnswering, MistralPreTrainedModel):
    """Mistral that marks an answer in a text."""

    base_model_prefix = "model"
