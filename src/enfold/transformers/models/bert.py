"""BERT (Devlin et al., 2018, "BERT: Pre-training of Deep Bidirectional Transformers").

Shapes: B rows, T tokens, H heads, D width, V words.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from enfold.errors import EnfoldError
from enfold.nn.activations import activation
from enfold.nn.cache import Cache, EncoderDecoderCache
from enfold.nn.linear import project
from enfold.nn.losses import token_loss
from enfold.nn.mask import causal_mask, encoder_mask
from enfold.transformers.configs.bert import BertConfig
from enfold.transformers.encoders import (
    DecodingEncoder,
    EncoderHead,
    PooledMultipleChoice,
    PooledSequenceClassifier,
    QuestionAnswerer,
    TokenClassifier,
)
from enfold.transformers.generation.mixin import GenerationMixin
from enfold.transformers.heads import Head, MaskedLMHead, as_asked
from enfold.transformers.modeling import PreTrainedModel
from enfold.transformers.models.bert_encoder import BertEmbeddings, BertEncoder, BertLayer, BertPooler
from enfold.transformers.outputs import (
    BaseModelOutputWithPoolingAndCrossAttentions,
    BertForPreTrainingOutput,
    NextSentencePredictorOutput,
)

__all__ = [
    "BertConfig",
    "BertForMaskedLM",
    "BertForMultipleChoice",
    "BertForNextSentencePrediction",
    "BertForPreTraining",
    "BertForQuestionAnswering",
    "BertForSequenceClassification",
    "BertForTokenClassification",
    "BertLMHeadModel",
    "BertLayer",
    "BertModel",
    "BertPreTrainedModel",
]


class BertTransform(nn.Module):
    """The step between the last layer and the words."""

    def __init__(self, config: Any, width: int | None = None) -> None:
        super().__init__()
        width = config.hidden_size if width is None else width
        self.dense = nn.Linear(config.hidden_size, width)
        self.act = activation(config.hidden_act)
        self.LayerNorm = nn.LayerNorm(width, eps=config.layer_norm_eps)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, T, width) for (B, T, D)."""
        return self.LayerNorm(project(self.dense, x, self.act))


class BertPredictions(nn.Module):
    """The words: a decoder that shares the embeddings, with a bias of its own.

    Args:
        config: its numbers.
        width: of the embeddings; the model's own by default.
    """

    def __init__(self, config: BertConfig, width: int | None = None) -> None:
        super().__init__()
        self.transform = BertTransform(config, width)
        self.decoder = nn.Linear(config.hidden_size if width is None else width, config.vocab_size)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, T, V) for (B, T, D)."""
        return project(self.decoder, self.transform(x))


class BertHeads(nn.Module):
    """What sits under ``cls``: words, next sentence, or both."""

    def __init__(self, config: BertConfig, words: bool = True, next_sentence: bool = False) -> None:
        super().__init__()
        if words:
            self.predictions = BertPredictions(config)
        if next_sentence:
            self.seq_relationship = nn.Linear(config.hidden_size, 2)


class BertPreTrainedModel(PreTrainedModel):
    """What all BERT models share."""

    config_class = BertConfig
    base_model_prefix = "bert"
    _supports_sdpa = True
    _no_split_modules = ["BertLayer"]
    _keys_to_ignore_on_load_unexpected = [r"position_ids$"]

    def make_encoder(self, config: BertConfig, pooled: bool) -> nn.Module:
        """Return the base model."""
        return BertModel(config, add_pooling_layer=pooled)

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, BertPredictions):
            module.bias.zero_()


class BertModel(BertPreTrainedModel):
    """BERT without a head.

    Args:
        config: its numbers.
        add_pooling_layer: make ``pooler_output`` too.
    """

    _input_embed_layer = "embeddings.word_embeddings"

    def __init__(self, config: BertConfig, add_pooling_layer: bool = True) -> None:
        super().__init__(config)
        if config.add_cross_attention and not config.is_decoder:
            raise EnfoldError("config.add_cross_attention needs config.is_decoder: only a decoder looks at an encoder")
        self.embeddings = self.make_embeddings(config)
        self.encoder = BertEncoder(config)
        self.pooler = BertPooler(config) if add_pooling_layer else None
        self.post_init()

    def make_embeddings(self, config: BertConfig) -> BertEmbeddings:
        """Return the embeddings; families of BERT differ here."""
        return BertEmbeddings(config)

    def positions(self, input_ids: Tensor | None, words: Tensor, past: int, mask: Tensor | None) -> Tensor:
        """Return the positions (B | 1, T) of tokens that come after ``past`` others."""
        return torch.arange(past, past + words.shape[1], device=words.device)[None]

    def embed(self, words: Tensor, positions: Tensor, segments: Tensor) -> Tensor:
        """Return what the first layer is given, (B, T, D)."""
        return self.embeddings(words, positions, segments)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        past_key_values: Cache | Any | None = None,
        use_cache: bool | None = None,
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
            inputs_embeds: (B, T, D), instead of ``input_ids``.
            encoder_hidden_states: (B, S, D), what a decoder with ``config.add_cross_attention`` looks at.
            encoder_attention_mask: (B, S), 1 for a state, 0 for padding.
            past_key_values: keys and values of earlier tokens (only with ``config.is_decoder``).
            use_cache: return the cache (only with ``config.is_decoder``).
            output_attentions: return the attention weights.
            output_hidden_states: return the states between the layers.
            return_dict: False returns a tuple.
        """
        config, memory = self.config, encoder_hidden_states if self.config.is_decoder else None
        if memory is not None and not config.add_cross_attention:
            raise EnfoldError("encoder_hidden_states need a model with config.add_cross_attention=True")
        words = self.embeddings.word_embeddings(input_ids) if inputs_embeds is None else inputs_embeds
        length = words.shape[1]
        cache = self.cache_for(past_key_values, use_cache if config.is_decoder else False)
        if cache is not None and memory is not None and not isinstance(cache, EncoderDecoderCache):
            cache = EncoderDecoderCache(cache)
        past = 0 if cache is None else cache.get_seq_length()
        if position_ids is None:
            position_ids = self.positions(input_ids, words, past, attention_mask)
        if token_type_ids is None:
            token_type_ids = torch.zeros(1, length, dtype=torch.long, device=words.device)
        causal = False
        if config.is_decoder:
            mask, causal = causal_mask(attention_mask, length, past, device=words.device)
        else:
            mask = encoder_mask(attention_mask)
        memory_mask = encoder_mask(encoder_attention_mask)
        record = self.recording(output_attentions, output_hidden_states)

        x = self.embed(words, position_ids, token_type_ids)
        x = self.decode(self.encoder.layer, x, record, mask, causal, memory, memory_mask, cache=cache)
        record.finish(x)
        output = BaseModelOutputWithPoolingAndCrossAttentions(
            last_hidden_state=x,
            pooler_output=None if self.pooler is None else self.pooler(x),
            hidden_states=record.hidden_states,
            past_key_values=cache,
            attentions=record.attentions,
            cross_attentions=record.cross_attentions,
        )
        return as_asked(output, return_dict, config.return_dict)


_TIED = {
    "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
    "cls.predictions.decoder.bias": "cls.predictions.bias",
}


class _Words(BertPreTrainedModel):
    """A model that predicts words."""

    _tied_weights_keys = _TIED
    cls: Any

    def get_output_embeddings(self) -> nn.Module:
        """Return the decoder of words."""
        return self.cls.predictions.decoder

    def set_output_embeddings(self, value: Any) -> None:
        """Replace the decoder of words."""
        self.cls.predictions.decoder = value

    def read(self, output: Any) -> Tensor:
        """Return the words' logits (B, T, V)."""
        return self.cls.predictions(output.last_hidden_state)


class BertForMaskedLM(MaskedLMHead, EncoderHead, _Words):
    """BERT that fills masked words."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config)
        self.cls = BertHeads(config)
        self.post_init()


class BertLMHeadModel(DecodingEncoder, _Words, GenerationMixin):
    """BERT that continues a text; ``config.is_decoder`` makes its attention causal."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config)
        self.cls = BertHeads(config)
        self.post_init()


class BertForPreTraining(Head, _Words):
    """BERT with both heads it was trained with."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config)
        self.bert = BertModel(config)
        self.cls = BertHeads(config, next_sentence=True)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        next_sentence_label: Tensor | None = None,
        return_dict: bool | None = None,
        **extra: Any,
    ) -> Any:
        """Return (B, T, V) and (B, 2); ``labels`` (B, T) and ``next_sentence_label`` (B,) together give a loss."""
        states = self.states(
            input_ids,
            attention_mask=attention_mask,
            token_type_ids=token_type_ids,
            position_ids=position_ids,
            inputs_embeds=inputs_embeds,
            **extra,
        )
        words, follows = self.read(states), self.cls.seq_relationship(states.pooler_output)
        loss = None
        if labels is not None and next_sentence_label is not None:
            loss = token_loss(words, labels) + token_loss(follows, next_sentence_label)
        output = BertForPreTrainingOutput(loss, words, follows, states.hidden_states, states.attentions)
        return as_asked(output, return_dict, self.config.return_dict)


class BertForNextSentencePrediction(Head, BertPreTrainedModel):
    """BERT that says whether the second text follows the first (0) or is a random one (1)."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config)
        self.bert = BertModel(config)
        self.cls = BertHeads(config, words=False, next_sentence=True)
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
        """Return logits (B, 2); ``labels`` are (B,)."""
        states = self.states(
            input_ids,
            attention_mask=attention_mask,
            token_type_ids=token_type_ids,
            position_ids=position_ids,
            inputs_embeds=inputs_embeds,
            **extra,
        )
        logits = self.cls.seq_relationship(states.pooler_output)
        loss = None if labels is None else token_loss(logits, labels)
        output = NextSentencePredictorOutput(loss, logits, states.hidden_states, states.attentions)
        return as_asked(output, return_dict, self.config.return_dict)


class BertForSequenceClassification(PooledSequenceClassifier, BertPreTrainedModel):
    """BERT with one prediction a row.

    Example:
        >>> config = BertConfig(vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
        ...                     intermediate_size=8, num_labels=3)
        >>> BertForSequenceClassification(config).eval()(torch.tensor([[1, 2]])).logits.shape
        torch.Size([1, 3])
    """


class BertForMultipleChoice(PooledMultipleChoice, BertPreTrainedModel):
    """BERT that chooses among texts."""


class BertForTokenClassification(TokenClassifier, BertPreTrainedModel):
    """BERT with one prediction a token."""


class BertForQuestionAnswering(QuestionAnswerer, BertPreTrainedModel):
    """BERT that marks an answer in a text."""
