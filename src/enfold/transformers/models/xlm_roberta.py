"""XLM-RoBERTa (Conneau et al., 2019, "Unsupervised Cross-lingual Representation Learning at Scale"): RoBERTa itself,
trained on a hundred languages."""

from __future__ import annotations

from torch import nn

from enfold.transformers.configs.bert import BertConfig
from enfold.transformers.configs.xlm_roberta import XLMRobertaConfig
from enfold.transformers.models import roberta

__all__ = [
    "XLMRobertaConfig",
    "XLMRobertaForCausalLM",
    "XLMRobertaForMaskedLM",
    "XLMRobertaForMultipleChoice",
    "XLMRobertaForQuestionAnswering",
    "XLMRobertaForSequenceClassification",
    "XLMRobertaForTokenClassification",
    "XLMRobertaModel",
    "XLMRobertaPreTrainedModel",
]


class XLMRobertaPreTrainedModel(roberta.RobertaPreTrainedModel):
    """What all XLM-RoBERTa models share."""

    config_class = XLMRobertaConfig

    def make_encoder(self, config: BertConfig, pooled: bool) -> nn.Module:
        """Return the base model."""
        return XLMRobertaModel(config, add_pooling_layer=pooled)


class XLMRobertaModel(XLMRobertaPreTrainedModel, roberta.RobertaModel):
    """XLM-RoBERTa without a head; arguments and results are those of ``BertModel``."""


class XLMRobertaForMaskedLM(XLMRobertaPreTrainedModel, roberta.RobertaForMaskedLM):
    """XLM-RoBERTa that fills masked words."""


class XLMRobertaForCausalLM(XLMRobertaPreTrainedModel, roberta.RobertaForCausalLM):
    """XLM-RoBERTa that continues a text; ``config.is_decoder`` makes its attention causal."""


class XLMRobertaForSequenceClassification(XLMRobertaPreTrainedModel, roberta.RobertaForSequenceClassification):
    """XLM-RoBERTa with one prediction a row."""


class XLMRobertaForMultipleChoice(XLMRobertaPreTrainedModel, roberta.RobertaForMultipleChoice):
    """XLM-RoBERTa that chooses among texts."""


class XLMRobertaForTokenClassification(XLMRobertaPreTrainedModel, roberta.RobertaForTokenClassification):
    """XLM-RoBERTa with one prediction a token."""


class XLMRobertaForQuestionAnswering(XLMRobertaPreTrainedModel, roberta.RobertaForQuestionAnswering):
    """XLM-RoBERTa that marks an answer in a text."""
