"""ELECTRA (Clark et al., 2020, "ELECTRA: Pre-training Text Encoders as Discriminators Rather Than Generators"):
BERT with narrow embeddings; a generator fills masked words, a discriminator finds the words that it replaced.

Shapes: B rows, T tokens, D width, E width of the embeddings, V words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from enfold.errors import EnfoldError, nearest
from enfold.nn.activations import activation
from enfold.transformers.configs.bert import BertConfig
from enfold.transformers.configs.electra import ElectraConfig
from enfold.transformers.encoders import (
    DecodingEncoder,
    EncoderHead,
    FirstTokenClassifier,
    QuestionAnswerer,
    TokenClassifier,
)
from enfold.transformers.generation.mixin import GenerationMixin
from enfold.transformers.heads import MaskedLMHead, MultipleChoiceHead, as_asked
from enfold.transformers.models.bert import BertModel, BertPreTrainedModel
from enfold.transformers.models.bert_encoder import BertEmbeddings
from enfold.transformers.outputs import Layers, ModelOutput

__all__ = [
    "ElectraConfig",
    "ElectraForCausalLM",
    "ElectraForMaskedLM",
    "ElectraForMultipleChoice",
    "ElectraForPreTraining",
    "ElectraForQuestionAnswering",
    "ElectraForSequenceClassification",
    "ElectraForTokenClassification",
    "ElectraModel",
    "ElectraPreTrainedModel",
]


@dataclass
class ElectraForPreTrainingOutput(ModelOutput):
    """Logits (B, T): above zero where a word was replaced."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    hidden_states: Layers | None = None
    attentions: Layers | None = None


class ElectraDiscriminatorPredictions(nn.Module):
    """Whether each word was replaced."""

    def __init__(self, config: ElectraConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.act = activation(config.hidden_act)
        self.dense_prediction = nn.Linear(config.hidden_size, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, T) for (B, T, D)."""
        return self.dense_prediction(self.act(self.dense(x))).squeeze(-1)


class ElectraGeneratorPredictions(nn.Module):
    """The step between the last layer and the words."""

    def __init__(self, config: ElectraConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.embedding_size)
        self.LayerNorm = nn.LayerNorm(config.embedding_size, eps=config.layer_norm_eps)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, T, E) for (B, T, D)."""
        return self.LayerNorm(F.gelu(self.dense(x)))


# how a row (B, T, D) is summed up → (B, D); without a marked token "cls_index" takes the last one
_SUMMARIES = {
    "first": lambda x: x[:, 0],
    "last": lambda x: x[:, -1],
    "cls_index": lambda x: x[:, -1],
    "mean": lambda x: x.mean(1),
}


class ElectraSequenceSummary(nn.Module):
    """One vector a row."""

    def __init__(self, config: ElectraConfig) -> None:
        super().__init__()
        if config.summary_type not in _SUMMARIES:
            hint = nearest(config.summary_type, _SUMMARIES)
            raise EnfoldError(f"unknown summary_type {config.summary_type!r}{hint}; expected one of {list(_SUMMARIES)}")
        self.take = _SUMMARIES[config.summary_type]
        self.summary = nn.Linear(config.hidden_size, config.hidden_size) if config.summary_use_proj else nn.Identity()
        self.act = activation(config.summary_activation or "linear")
        self.dropout = nn.Dropout(config.summary_last_dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, D) for (B, T, D)."""
        return self.dropout(self.act(self.summary(self.take(x))))


class ElectraPreTrainedModel(BertPreTrainedModel):
    """What all ELECTRA models share."""

    config_class = ElectraConfig
    base_model_prefix = "electra"

    def make_encoder(self, config: BertConfig, pooled: bool) -> nn.Module:
        """Return the base model."""
        return ElectraModel(config)  # type: ignore[arg-type]


class ElectraModel(ElectraPreTrainedModel, BertModel):
    """ELECTRA without a head; arguments and results are those of ``BertModel``, without a pooled token."""

    def __init__(self, config: ElectraConfig) -> None:
        super().__init__(config, add_pooling_layer=False)
        if config.embedding_size != config.hidden_size:
            self.embeddings_project = nn.Linear(config.embedding_size, config.hidden_size)
        self.post_init()

    def make_embeddings(self, config: BertConfig) -> BertEmbeddings:
        """Return embeddings of their own width."""
        return BertEmbeddings(config, width=config.embedding_size)

    def embed(self, words: Tensor, positions: Tensor, segments: Tensor) -> Tensor:
        """Return what the first layer is given, (B, T, D)."""
        x = self.embeddings(words, positions, segments)
        return self.embeddings_project(x) if hasattr(self, "embeddings_project") else x


class _Words(ElectraPreTrainedModel):
    """A generator: predicts words."""

    _tied_weights_keys = {"generator_lm_head.weight": "electra.embeddings.word_embeddings.weight"}

    def __init__(self, config: ElectraConfig) -> None:
        super().__init__(config)
        self.generator_predictions = ElectraGeneratorPredictions(config)
        self.generator_lm_head = nn.Linear(config.embedding_size, config.vocab_size)

    def get_output_embeddings(self) -> nn.Module:
        """Return the decoder of words."""
        return self.generator_lm_head

    def set_output_embeddings(self, value: Any) -> None:
        """Replace the decoder of words."""
        self.generator_lm_head = value

    def read(self, output: Any) -> Tensor:
        """Return the words' logits (B, T, V)."""
        return self.generator_lm_head(self.generator_predictions(output.last_hidden_state))


class ElectraForMaskedLM(MaskedLMHead, EncoderHead, _Words):
    """ELECTRA's generator: fills masked words."""

    def __init__(self, config: ElectraConfig) -> None:
        super().__init__(config)
        self.post_init()


class ElectraForCausalLM(DecodingEncoder, _Words, GenerationMixin):
    """ELECTRA that continues a text; ``config.is_decoder`` makes its attention causal."""

    def __init__(self, config: ElectraConfig) -> None:
        super().__init__(config)
        self.post_init()


class ElectraForPreTraining(EncoderHead, ElectraPreTrainedModel):
    """ELECTRA's discriminator: finds the words that were replaced."""

    def __init__(self, config: ElectraConfig) -> None:
        super().__init__(config)
        self.discriminator_predictions = ElectraDiscriminatorPredictions(config)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        return_dict: bool | None = None,
        **extra: Any,
    ) -> Any:
        """Return logits (B, T); ``labels`` (B, T) are 1 where a word was replaced, padding is skipped."""
        states = self.states(
            input_ids,
            attention_mask=attention_mask,
            token_type_ids=token_type_ids,
            position_ids=position_ids,
            inputs_embeds=inputs_embeds,
            **extra,
        )
        logits = self.discriminator_predictions(states.last_hidden_state)
        loss = None
        if labels is not None:
            real = torch.ones_like(labels) if attention_mask is None else attention_mask
            real = real == 1
            loss = F.binary_cross_entropy_with_logits(logits[real], labels[real].to(logits.dtype))
        output = ElectraForPreTrainingOutput(loss, logits, states.hidden_states, states.attentions)
        return as_asked(output, return_dict, self.config.return_dict)


class ElectraForSequenceClassification(FirstTokenClassifier, ElectraPreTrainedModel):
    """ELECTRA with one prediction a row."""

    act = "gelu"


class ElectraForTokenClassification(TokenClassifier, ElectraPreTrainedModel):
    """ELECTRA with one prediction a token."""


class ElectraForQuestionAnswering(QuestionAnswerer, ElectraPreTrainedModel):
    """ELECTRA that marks an answer in a text."""


class ElectraForMultipleChoice(MultipleChoiceHead, EncoderHead, ElectraPreTrainedModel):
    """ELECTRA that chooses among texts."""

    def __init__(self, config: ElectraConfig) -> None:
        super().__init__(config)
        self.sequence_summary = ElectraSequenceSummary(config)
        self.classifier = nn.Linear(config.hidden_size, 1)
        self.post_init()

    def read(self, output: Any) -> Tensor:
        """Return logits (B·choices, 1)."""
        return self.classifier(self.sequence_summary(output.last_hidden_state))
