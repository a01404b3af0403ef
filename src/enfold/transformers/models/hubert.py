"""HuBERT (Hsu et al., 2021, "HuBERT: Self-Supervised Speech Representation Learning by Masked Prediction of Hidden
Units"): wav2vec 2.0's encoder, trained otherwise."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import nn

from enfold.transformers.configs.hubert import HubertConfig
from enfold.transformers.models.speech import (
    SpeechForCTC,
    SpeechForSequenceClassification,
    SpeechModel,
    SpeechPreTrainedModel,
)

__all__ = [
    "HubertConfig",
    "HubertForCTC",
    "HubertForSequenceClassification",
    "HubertModel",
    "HubertPreTrainedModel",
]


class HubertPreTrainedModel(SpeechPreTrainedModel):
    """What all HuBERT models share."""

    config_class: ClassVar[Any] = HubertConfig
    base_model_prefix = "hubert"

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, nn.BatchNorm1d):
            module.reset_parameters()


class HubertModel(SpeechModel, HubertPreTrainedModel):
    """HuBERT without a head."""


class HubertForCTC(SpeechForCTC, HubertPreTrainedModel):
    """HuBERT that spells a recording."""

    base_class = HubertModel


class HubertForSequenceClassification(SpeechForSequenceClassification, HubertPreTrainedModel):
    """HuBERT with one prediction a recording."""

    base_class = HubertModel
