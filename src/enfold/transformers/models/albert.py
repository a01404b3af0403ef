"""ALBERT (Lan et al., 2019, "ALBERT: A Lite BERT"): narrow embeddings, and layers that share their weights.

Shapes: B rows, T tokens, H heads, D width, E width of the embeddings, V words.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from enfold.nn.activations import activation
from enfold.nn.attention import Manner, attend, merge_heads, split_heads
from enfold.nn.losses import token_loss
from enfold.nn.mask import encoder_mask
from enfold.transformers.configs.albert import AlbertConfig
from enfold.transformers.encoders import (
    EncoderHead,
    PooledMultipleChoice,
    PooledSequenceClassifier,
    QuestionAnswerer,
    TokenClassifier,
)
from enfold.transformers.heads import MaskedLMHead, as_asked
from enfold.transformers.modeling import PreTrainedModel
from enfold.transformers.models.bert_encoder import BertEmbeddings
from enfold.transformers.outputs import BaseModelOutputWithPooling, Layers, ModelOutput

__all__ = [
    "AlbertConfig",
    "AlbertForMaskedLM",
    "AlbertForMultipleChoice",
    "AlbertForPreTraining",
    "AlbertForQuestionAnswering",
    "AlbertForSequenceClassification",
    "AlbertForTokenClassification",
    "AlbertModel",
    "AlbertPreTrainedModel",
]


@dataclass
class AlbertForPreTrainingOutput(ModelOutput):
    """Logits of both of ALBERT's training tasks: words (B, T, V) and the order of two texts (B, 2)."""

    loss: Tensor | None = None
    prediction_logits: Tensor | None = None
    sop_logits: Tensor | None = None
    hidden_states: Layers | None = None
    attentions: Layers | None = None


class AlbertAttention(nn.Module):
    """Attention with its residual."""

    def __init__(self, config: AlbertConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.dense = nn.Linear(width, width)
        self.LayerNorm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.attention_dropout = nn.Dropout(config.attention_probs_dropout_prob)
        self.output_dropout = nn.Dropout(config.hidden_dropout_prob)
        self.head_dim = width // config.num_attention_heads

    def forward(self, x: Tensor, mask: Tensor | None, weights: Manner) -> tuple[Tensor, Tensor | None]:
        """Return (B, T, D) and, with ``weights``, (B, H, T, T)."""
        q, k, v = (split_heads(layer(x), self.head_dim) for layer in (self.query, self.key, self.value))  # (B, H, T, d)
        dropout = self.attention_dropout.p if self.training else 0.0
        out, shares = attend(q, k, v, mask, dropout=dropout, weights=weights)
        return self.LayerNorm(x + self.output_dropout(self.dense(merge_heads(out)))), shares


class AlbertLayer(nn.Module):
    """One layer: attention, then feed-forward, each normalised after its residual."""

    def __init__(self, config: AlbertConfig) -> None:
        super().__init__()
        self.full_layer_layer_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.attention = AlbertAttention(config)
        self.ffn = nn.Linear(config.hidden_size, config.intermediate_size)
        self.ffn_output = nn.Linear(config.intermediate_size, config.hidden_size)
        self.act = activation(config.hidden_act)

    def forward(self, x: Tensor, mask: Tensor | None, weights: Manner) -> tuple[Tensor, Tensor | None]:
        """Return (B, T, D) and, with ``weights``, the attention weights."""
        x, shares = self.attention(x, mask, weights)
        return self.full_layer_layer_norm(self.ffn_output(self.act(self.ffn(x))) + x), shares


class AlbertLayerGroup(nn.Module):
    """Layers that run one after another wherever their group does."""

    def __init__(self, config: AlbertConfig) -> None:
        super().__init__()
        self.albert_layers = nn.ModuleList(AlbertLayer(config) for _ in range(config.inner_group_num))


class AlbertTransformer(nn.Module):
    """The groups, and the way from the embeddings to their width."""

    def __init__(self, config: AlbertConfig) -> None:
        super().__init__()
        self.embedding_hidden_mapping_in = nn.Linear(config.embedding_size, config.hidden_size)
        self.albert_layer_groups = nn.ModuleList(AlbertLayerGroup(config) for _ in range(config.num_hidden_groups))
        self.steps = config.num_hidden_layers

    def layers(self) -> Iterator[nn.Module]:
        """Yield the layers in the order in which they run, each as often as it does."""
        for step in range(self.steps):
            group: Any = self.albert_layer_groups[step * len(self.albert_layer_groups) // self.steps]
            yield from group.albert_layers


class AlbertPredictions(nn.Module):
    """The words: a decoder that shares the embeddings, with a bias of its own."""

    def __init__(self, config: AlbertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.embedding_size)
        self.act = activation(config.hidden_act)
        self.LayerNorm = nn.LayerNorm(config.embedding_size, eps=config.layer_norm_eps)
        self.decoder = nn.Linear(config.embedding_size, config.vocab_size)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, T, V) for (B, T, D)."""
        return self.decoder(self.LayerNorm(self.act(self.dense(x))))


class AlbertOrder(nn.Module):
    """Whether two texts stand in their order."""

    def __init__(self, config: AlbertConfig) -> None:
        super().__init__()
        self.dropout = nn.Dropout(config.classifier_dropout_prob)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, 2) for (B, D)."""
        return self.classifier(self.dropout(x))


class AlbertPreTrainedModel(PreTrainedModel):
    """What all ALBERT models share."""

    config_class = AlbertConfig
    base_model_prefix = "albert"
    _supports_sdpa = True
    _no_split_modules = ["AlbertLayer"]
    _keys_to_ignore_on_load_unexpected = [r"position_ids$"]

    def make_encoder(self, config: AlbertConfig, pooled: bool) -> nn.Module:
        """Return the base model."""
        return AlbertModel(config, add_pooling_layer=pooled)

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, AlbertPredictions):
            module.bias.zero_()


class AlbertModel(AlbertPreTrainedModel):
    """ALBERT without a head.

    Args:
        config: its numbers.
        add_pooling_layer: make ``pooler_output`` too.
    """

    _input_embed_layer = "embeddings.word_embeddings"

    def __init__(self, config: AlbertConfig, add_pooling_layer: bool = True) -> None:
        super().__init__(config)
        self.embeddings = BertEmbeddings(config, width=config.embedding_size)
        self.encoder = AlbertTransformer(config)
        self.pooler = nn.Linear(config.hidden_size, config.hidden_size) if add_pooling_layer else None
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        **_: Any,
    ) -> Any:
        """Return the states of every token.

        Args:
            input_ids: (B, T).
            attention_mask: (B, T), 1 for a token, 0 for padding.
            token_type_ids: (B, T), the segment of each token; zeros by default.
            position_ids: (B | 1, T); 0, 1, … by default.
            inputs_embeds: (B, T, E), instead of ``input_ids``.
            output_attentions: return the attention weights.
            output_hidden_states: return the states between the layers.
            return_dict: False returns a tuple.
        """
        words = self.embeddings.word_embeddings(input_ids) if inputs_embeds is None else inputs_embeds
        if position_ids is None:
            position_ids = torch.arange(words.shape[1], device=words.device)[None]
        if token_type_ids is None:
            token_type_ids = torch.zeros(1, words.shape[1], dtype=torch.long, device=words.device)
        record = self.recording(output_attentions, output_hidden_states)

        x = self.encoder.embedding_hidden_mapping_in(self.embeddings(words, position_ids, token_type_ids))
        x = self.encode(self.encoder.layers(), x, record, encoder_mask(attention_mask))
        record.finish(x)
        pooled = None if self.pooler is None else torch.tanh(self.pooler(x[:, 0]))
        output = BaseModelOutputWithPooling(x, pooled, record.hidden_states, record.attentions)
        return as_asked(output, return_dict, self.config.return_dict)


class _Words(AlbertPreTrainedModel):
    """A model that predicts words."""

    _tied_weights_keys = {
        "predictions.decoder.weight": "albert.embeddings.word_embeddings.weight",
        "predictions.decoder.bias": "predictions.bias",
    }

    def __init__(self, config: AlbertConfig) -> None:
        super().__init__(config)
        self.predictions = AlbertPredictions(config)

    def get_output_embeddings(self) -> nn.Module:
        """Return the decoder of words."""
        return self.predictions.decoder

    def set_output_embeddings(self, value: Any) -> None:
        """Replace the decoder of words."""
        self.predictions.decoder = value

    def read(self, output: Any) -> Tensor:
        """Return the words' logits (B, T, V)."""
        return self.predictions(output.last_hidden_state)


class AlbertForMaskedLM(MaskedLMHead, EncoderHead, _Words):
    """ALBERT that fills masked words."""

    def __init__(self, config: AlbertConfig) -> None:
        super().__init__(config)
        self.post_init()


class AlbertForPreTraining(EncoderHead, _Words):
    """ALBERT with both heads it was trained with."""

    def __init__(self, config: AlbertConfig) -> None:
        super().__init__(config, pooled=True)
        self.sop_classifier = AlbertOrder(config)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        sentence_order_label: Tensor | None = None,
        return_dict: bool | None = None,
        **extra: Any,
    ) -> Any:
        """Return (B, T, V) and (B, 2); ``labels`` (B, T) and ``sentence_order_label`` (B,) together give a loss."""
        states = self.states(
            input_ids,
            attention_mask=attention_mask,
            token_type_ids=token_type_ids,
            position_ids=position_ids,
            inputs_embeds=inputs_embeds,
            **extra,
        )
        words, order = self.read(states), self.sop_classifier(states.pooler_output)
        loss = None
        if labels is not None and sentence_order_label is not None:
            loss = token_loss(words, labels) + token_loss(order, sentence_order_label)
        output = AlbertForPreTrainingOutput(loss, words, order, states.hidden_states, states.attentions)
        return as_asked(output, return_dict, self.config.return_dict)


class AlbertForSequenceClassification(PooledSequenceClassifier, AlbertPreTrainedModel):
    """ALBERT with one prediction a row."""


class AlbertForMultipleChoice(PooledMultipleChoice, AlbertPreTrainedModel):
    """ALBERT that chooses among texts."""


class AlbertForTokenClassification(TokenClassifier, AlbertPreTrainedModel):
    """ALBERT with one prediction a token."""


class AlbertForQuestionAnswering(QuestionAnswerer, AlbertPreTrainedModel):
    """ALBERT that marks an answer in a text."""
