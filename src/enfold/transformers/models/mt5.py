"""mT5 (Xue et al., 2021, "mT5: A Massively Multilingual Pre-trained Text-to-Text Transformer"): T5 1.1 for 101
languages."""

from __future__ import annotations

from enfold.transformers.configs.mt5 import MT5Config
from enfold.transformers.models.t5 import (
    T5EncoderModel,
    T5ForConditionalGeneration,
    T5ForQuestionAnswering,
    T5ForSequenceClassification,
    T5ForTokenClassification,
    T5Model,
    T5PreTrainedModel,
)

__all__ = [
    "MT5Config",
    "MT5EncoderModel",
    "MT5ForConditionalGeneration",
    "MT5ForQuestionAnswering",
    "MT5ForSequenceClassification",
    "MT5ForTokenClassification",
    "MT5Model",
    "MT5PreTrainedModel",
]


class MT5PreTrainedModel(T5PreTrainedModel):
    """What all mT5 models share."""

    config_class = MT5Config


class MT5Model(T5Model, MT5PreTrainedModel):
    """mT5 without a head."""


class MT5ForConditionalGeneration(T5ForConditionalGeneration, MT5PreTrainedModel):
    """mT5 that answers a text with a text."""


class MT5EncoderModel(T5EncoderModel, MT5PreTrainedModel):
    """mT5's encoder."""


class MT5ForSequenceClassification(T5ForSequenceClassification, MT5PreTrainedModel):
    """mT5 with one prediction a row."""


class MT5ForTokenClassification(T5ForTokenClassification, MT5PreTrainedModel):
    """mT5's encoder with one prediction a token."""


class MT5ForQuestionAnswering(T5ForQuestionAnswering, MT5PreTrainedModel):
    """mT5 that marks an answer in a text."""
