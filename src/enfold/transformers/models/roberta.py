"""RoBERTa (Liu et al., 2019, "RoBERTa: A Robustly Optimized BERT Pretraining Approach"): BERT with other heads.

Shapes: B rows, T tokens, D width, V words.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from enfold.transformers.configs.bert import BertConfig
from enfold.transformers.configs.roberta import RobertaConfig
from enfold.transformers.encoders import (
    DecodingEncoder,
    EncoderHead,
    FirstTokenClassifier,
    PooledMultipleChoice,
    QuestionAnswerer,
    TokenClassifier,
    positions_after_padding,
)
from enfold.transformers.generation.mixin import GenerationMixin
from enfold.transformers.heads import MaskedLMHead
from enfold.transformers.models.bert import BertModel, BertPreTrainedModel
from enfold.transformers.models.bert_encoder import BertEmbeddings

__all__ = [
    "RobertaConfig",
    "RobertaForCausalLM",
    "RobertaForMaskedLM",
    "RobertaForMultipleChoice",
    "RobertaForQuestionAnswering",
    "RobertaForSequenceClassification",
    "RobertaForTokenClassification",
    "RobertaModel",
    "RobertaPreTrainedModel",
]


class RobertaLMHead(nn.Module):
    """The words: a decoder that shares the embeddings, with a bias of its own."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.layer_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.decoder = nn.Linear(config.hidden_size, config.vocab_size)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, T, V) for (B, T, D)."""
        return self.decoder(self.layer_norm(F.gelu(self.dense(x))))


class RobertaPreTrainedModel(BertPreTrainedModel):
    """What all RoBERTa models share."""

    config_class = RobertaConfig
    base_model_prefix = "roberta"

    def make_encoder(self, config: BertConfig, pooled: bool) -> nn.Module:
        """Return the base model."""
        return RobertaModel(config, add_pooling_layer=pooled)

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, RobertaLMHead):
            module.bias.zero_()


class RobertaModel(RobertaPreTrainedModel, BertModel):
    """RoBERTa without a head; arguments and results are those of ``BertModel``."""

    def make_embeddings(self, config: BertConfig) -> BertEmbeddings:
        """Return embeddings whose position ``pad_token_id`` stands for padding."""
        return BertEmbeddings(config, padding_position=config.pad_token_id)

    def positions(self, input_ids: Tensor | None, words: Tensor, past: int, mask: Tensor | None) -> Tensor:
        """Return the positions (B | 1, T), which padding does not move, also where a cache holds it."""
        padding = self.config.pad_token_id
        if past and mask is not None and mask.dim() == 2:
            return (mask.cumsum(1) * mask + padding)[:, -words.shape[1] :]
        return positions_after_padding(input_ids, words, padding, past)


class _Words(RobertaPreTrainedModel):
    """A model that predicts words."""

    _tied_weights_keys = {
        "lm_head.decoder.weight": "roberta.embeddings.word_embeddings.weight",
        "lm_head.decoder.bias": "lm_head.bias",
    }
    lm_head: RobertaLMHead

    def get_output_embeddings(self) -> nn.Module:
        """Return the decoder of words."""
        return self.lm_head.decoder

    def set_output_embeddings(self, value: Any) -> None:
        """Replace the decoder of words."""
        self.lm_head.decoder = value

    def read(self, output: Any) -> Tensor:
        """Return the words' logits (B, T, V)."""
        return self.lm_head(output.last_hidden_state)


class RobertaForMaskedLM(MaskedLMHead, EncoderHead, _Words):
    """RoBERTa that fills masked words."""

    def __init__(self, config: RobertaConfig) -> None:
        super().__init__(config)
        self.lm_head = RobertaLMHead(config)
        self.post_init()


class RobertaForCausalLM(DecodingEncoder, _Words, GenerationMixin):
    """RoBERTa that continues a text; ``config.is_decoder`` makes its attention causal."""

    counts_positions = True  # from pad_token_id + 1: generation leaves them to the model

    def __init__(self, config: RobertaConfig) -> None:
        super().__init__(config)
        self.lm_head = RobertaLMHead(config)
        self.post_init()


class RobertaForSequenceClassification(FirstTokenClassifier, RobertaPreTrainedModel):
    """RoBERTa with one prediction a row.

    Example:
        >>> config = RobertaConfig(vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
        ...                        intermediate_size=8, num_labels=3)
        >>> RobertaForSequenceClassification(config).eval()(torch.tensor([[0, 2]])).logits.shape
        torch.Size([1, 3])
    """


class RobertaForMultipleChoice(PooledMultipleChoice, RobertaPreTrainedModel):
    """RoBERTa that chooses among texts."""

    drop = staticmethod(lambda config: config.hidden_dropout_prob)


class RobertaForTokenClassification(TokenClassifier, RobertaPreTrainedModel):
    """RoBERTa with one prediction a token."""


class RobertaForQuestionAnswering(QuestionAnswerer, RobertaPreTrainedModel):
    """RoBERTa that marks an answer in a text."""
