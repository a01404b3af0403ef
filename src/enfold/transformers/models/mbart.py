"""mBART (Liu et al., 2020, "Multilingual Denoising Pre-training for Neural Machine Translation"): BART that normalises
before each part, in many languages; a text is written after the token of its language."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from enfold.transformers.configs.mbart import MBartConfig
from enfold.transformers.models.bart import (
    BartForCausalLM,
    BartForConditionalGeneration,
    BartForQuestionAnswering,
    BartForSequenceClassification,
    BartModel,
    DecoderAlone,
)
from enfold.transformers.models.bart_core import BartDecoder, BartEncoder, BartPreTrainedModel

__all__ = [
    "MBartConfig",
    "MBartForCausalLM",
    "MBartForConditionalGeneration",
    "MBartForQuestionAnswering",
    "MBartForSequenceClassification",
    "MBartModel",
    "MBartPreTrainedModel",
]


class MBartPreTrainedModel(BartPreTrainedModel):
    """What all mBART models share."""

    config_class = MBartConfig
    norm_first = norm_last = True


class MBartEncoder(BartEncoder, MBartPreTrainedModel):
    """The part that reads."""


class MBartDecoder(BartDecoder, MBartPreTrainedModel):
    """The part that writes."""


class MBartModel(BartModel, MBartPreTrainedModel):
    """mBART without a head."""

    encoder_kind, decoder_kind = MBartEncoder, MBartDecoder

    def start_of(self, tokens: Tensor) -> Tensor:
        """Return the decoder's inputs that go with ``tokens`` (B, T): their last one, the language, comes first."""
        pad = self.config.pad_token_id
        tokens = tokens.masked_fill(tokens == -100, pad)
        language = tokens.gather(1, (tokens != pad).sum(1, keepdim=True) - 1)
        return tokens.roll(1, 1).index_copy(1, language.new_zeros(1), language)


class MBartForConditionalGeneration(BartForConditionalGeneration, MBartPreTrainedModel):
    """mBART that translates."""

    model_kind = MBartModel


class MBartForSequenceClassification(BartForSequenceClassification, MBartPreTrainedModel):
    """mBART with one prediction a row."""

    model_kind = MBartModel


class MBartForQuestionAnswering(BartForQuestionAnswering, MBartPreTrainedModel):
    """mBART that marks an answer in a text."""

    model_kind = MBartModel


class MBartDecoderAlone(DecoderAlone, MBartPreTrainedModel):
    """The decoder alone."""

    decoder_kind: ClassVar[type[BartDecoder]] = MBartDecoder


class MBartForCausalLM(BartForCausalLM, MBartPreTrainedModel):
    """mBART's decoder alone, which continues a text."""

    model_kind = MBartDecoderAlone
