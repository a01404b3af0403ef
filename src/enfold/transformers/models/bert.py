"""BERT (Devlin et al., 2018, "BERT: Pre-training of Deep Bidirectional Transformers").

Shapes: B rows, T tokens, H heads, D width, V words.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from enfold.errors import EnfoldError
from enfold.log import get_logger
from enfold.nn.activations import activation
from enfold.nn.attention import attend, merge_heads, split_heads
from enfold.nn.cache import Cache, CacheLayer
from enfold.nn.losses import causal_lm_loss, token_loss
from enfold.nn.mask import causal_mask, encoder_mask
from enfold.transformers.configs.bert import BertConfig
from enfold.transformers.generation.mixin import GenerationMixin
from enfold.transformers.heads import (
    Head,
    MaskedLMHead,
    MultipleChoiceHead,
    QuestionAnsweringHead,
    SequenceClassificationHead,
    TokenClassificationHead,
    as_asked,
)
from enfold.transformers.modeling import PreTrainedModel
from enfold.transformers.outputs import (
    BaseModelOutputWithPoolingAndCrossAttentions,
    BertForPreTrainingOutput,
    CausalLMOutputWithCrossAttentions,
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
    "BertModel",
    "BertPreTrainedModel",
]

logger = get_logger(__name__)


class BertEmbeddings(nn.Module):
    """Words, positions and segments, added and normalised."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.word_embeddings = nn.Embedding(config.vocab_size, width, padding_idx=config.pad_token_id)
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, width)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, width)
        self.LayerNorm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, words: Tensor, positions: Tensor, segments: Tensor) -> Tensor:
        """Return (B, T, D) for embedded words (B, T, D), positions (B | 1, T) and segments (B | 1, T)."""
        x = words + self.token_type_embeddings(segments) + self.position_embeddings(positions)
        return self.dropout(self.LayerNorm(x))


class BertSelfAttention(nn.Module):
    """The attention itself."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        width, heads = config.hidden_size, config.num_attention_heads
        if width % heads:
            raise EnfoldError(f"hidden_size {width} is no multiple of num_attention_heads {heads}")
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.head_dim = width // heads
        self.dropout = nn.Dropout(config.attention_probs_dropout_prob)

    def forward(
        self, x: Tensor, mask: Tensor | None, causal: bool, cache: CacheLayer | None, weights: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Return (B, T, D) and, with ``weights``, (B, H, T, S)."""
        q, k, v = (split_heads(layer(x), self.head_dim) for layer in (self.query, self.key, self.value))  # (B, H, T, d)
        if cache is not None:
            k, v = cache.update_and_fetch(k, v)  # (B, H, S, d)
        dropout = self.dropout.p if self.training else 0.0
        out, shares = attend(q, k, v, mask, causal=causal, dropout=dropout, weights=weights)
        return merge_heads(out), shares


class BertResidual(nn.Module):
    """Project, drop, add, normalise: what follows the attention and the feed-forward."""

    def __init__(self, size: int, config: BertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(size, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        """Return (B, T, D) for ``x`` (B, T, size) and ``residual`` (B, T, D)."""
        x = self.dense(x)
        return self.LayerNorm((self.dropout(x) if self.training else x) + residual)


class BertAttention(nn.Module):
    """Attention with its residual."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.self = BertSelfAttention(config)
        self.output = BertResidual(config.hidden_size, config)


class BertIntermediate(nn.Module):
    """The wide half of the feed-forward."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.intermediate_size)
        self.act = activation(config.hidden_act)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, T, intermediate) for (B, T, D)."""
        return self.act(self.dense(x))


class BertLayer(nn.Module):
    """One layer: attention, then feed-forward, each normalised after its residual."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.attention = BertAttention(config)
        self.intermediate = BertIntermediate(config)
        self.output = BertResidual(config.intermediate_size, config)

    def forward(
        self, x: Tensor, mask: Tensor | None, causal: bool, cache: CacheLayer | None, weights: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Return (B, T, D) and, with ``weights``, the attention weights."""
        attended, shares = self.attention.self(x, mask, causal, cache, weights)
        x = self.attention.output(attended, x)
        return self.output(self.intermediate(x), x), shares


class BertEncoder(nn.Module):
    """The layers."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.layer = nn.ModuleList(BertLayer(config) for _ in range(config.num_hidden_layers))


class BertPooler(nn.Module):
    """The first token, projected: a summary of the row."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, D) for (B, T, D)."""
        return torch.tanh(self.dense(x[:, 0]))


class BertTransform(nn.Module):
    """The step between the last layer and the words."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.act = activation(config.hidden_act)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, T, D) for (B, T, D)."""
        return self.LayerNorm(self.act(self.dense(x)))


class BertPredictions(nn.Module):
    """The words: a decoder that shares the embeddings, with a bias of its own."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.transform = BertTransform(config)
        self.decoder = nn.Linear(config.hidden_size, config.vocab_size)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, T, V) for (B, T, D)."""
        return self.decoder(self.transform(x))


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
    _no_split_modules = ["BertLayer"]
    _keys_to_ignore_on_load_unexpected = [r"position_ids$"]

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

    def __init__(self, config: BertConfig, add_pooling_layer: bool = True) -> None:
        super().__init__(config)
        if config.add_cross_attention:
            raise EnfoldError("BERT with cross-attention (config.add_cross_attention) is not available")
        self.embeddings = BertEmbeddings(config)
        self.encoder = BertEncoder(config)
        self.pooler = BertPooler(config) if add_pooling_layer else None
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """Return the embedding of words."""
        return self.embeddings.word_embeddings

    def set_input_embeddings(self, value: Any) -> None:
        """Replace the embedding of words."""
        self.embeddings.word_embeddings = value

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
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
            past_key_values: keys and values of earlier tokens (only with ``config.is_decoder``).
            use_cache: return the cache (only with ``config.is_decoder``).
            output_attentions: return the attention weights.
            output_hidden_states: return the states between the layers.
            return_dict: False returns a tuple.
        """
        config = self.config
        words = self.embeddings.word_embeddings(input_ids) if inputs_embeds is None else inputs_embeds
        length = words.shape[1]
        cache = self.cache_for(past_key_values, use_cache if config.is_decoder else False)
        past = 0 if cache is None else cache.get_seq_length()
        if position_ids is None:
            position_ids = torch.arange(past, past + length, device=words.device)[None]
        if token_type_ids is None:
            token_type_ids = torch.zeros(1, length, dtype=torch.long, device=words.device)
        causal = False
        if config.is_decoder:
            mask, causal = causal_mask(attention_mask, length, past, device=words.device)
        else:
            mask = encoder_mask(attention_mask)
        record = self.recording(output_attentions, output_hidden_states)

        x = self.embeddings(words, position_ids, token_type_ids)
        x = self.decode(self.encoder.layer, x, record, mask, causal, cache=cache)
        record.finish(x)
        output = BaseModelOutputWithPoolingAndCrossAttentions(
            last_hidden_state=x,
            pooler_output=None if self.pooler is None else self.pooler(x),
            hidden_states=record.hidden_states,
            past_key_values=cache,
            attentions=record.attentions,
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


class BertForMaskedLM(MaskedLMHead, _Words):
    """BERT that fills masked words."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config)
        self.bert = BertModel(config, add_pooling_layer=False)
        self.cls = BertHeads(config)
        self.post_init()


class BertLMHeadModel(_Words, GenerationMixin):
    """BERT that continues a text; ``config.is_decoder`` makes its attention causal."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config)
        if not config.is_decoder:
            logger.warning("BertLMHeadModel without config.is_decoder=True sees the whole text, also what follows")
        self.bert = BertModel(config, add_pooling_layer=False)
        self.cls = BertHeads(config)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        past_key_values: Any = None,
        use_cache: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        num_items_in_batch: Tensor | int | None = None,
        return_dict: bool | None = None,
        **extra: Any,
    ) -> Any:
        """Return next-token logits (B, T, V); ``labels`` (B, T) are the input ids, or -100."""
        states = self.bert(
            input_ids,
            attention_mask=attention_mask,
            token_type_ids=token_type_ids,
            position_ids=position_ids,
            inputs_embeds=inputs_embeds,
            past_key_values=past_key_values,
            use_cache=False if labels is not None else use_cache,
            return_dict=True,
            **extra,
        )
        kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        logits = self.cls.predictions(states.last_hidden_state[:, kept])
        loss = None if labels is None else causal_lm_loss(logits, labels, num_items_in_batch)
        output = CausalLMOutputWithCrossAttentions(
            loss, logits, states.past_key_values, states.hidden_states, states.attentions
        )
        return as_asked(output, return_dict, self.config.return_dict)


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


class _Classifier(BertPreTrainedModel):
    """A linear layer on the pooled first token."""

    classes: int | None = None  # None reads the configuration

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        drop = config.hidden_dropout_prob if config.classifier_dropout is None else config.classifier_dropout
        self.bert = BertModel(config)
        self.dropout = nn.Dropout(drop)
        self.classifier = nn.Linear(config.hidden_size, self.classes or config.num_labels)
        self.post_init()

    def read(self, output: Any) -> Tensor:
        """Return logits (B, C)."""
        return self.classifier(self.dropout(output.pooler_output))


class BertForSequenceClassification(SequenceClassificationHead, _Classifier):
    """BERT with one prediction a row.

    Example:
        >>> config = BertConfig(vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
        ...                     intermediate_size=8, num_labels=3)
        >>> BertForSequenceClassification(config).eval()(torch.tensor([[1, 2]])).logits.shape
        torch.Size([1, 3])
    """


class BertForMultipleChoice(MultipleChoiceHead, _Classifier):
    """BERT that chooses among texts."""

    classes = 1


class BertForTokenClassification(TokenClassificationHead, BertPreTrainedModel):
    """BERT with one prediction a token."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        drop = config.hidden_dropout_prob if config.classifier_dropout is None else config.classifier_dropout
        self.bert = BertModel(config, add_pooling_layer=False)
        self.dropout = nn.Dropout(drop)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()

    def read(self, output: Any) -> Tensor:
        """Return logits (B, T, C)."""
        return self.classifier(self.dropout(output.last_hidden_state))


class BertForQuestionAnswering(QuestionAnsweringHead, BertPreTrainedModel):
    """BERT that marks an answer in a text."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        self.bert = BertModel(config, add_pooling_layer=False)
        self.qa_outputs = nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()

    def read(self, output: Any) -> Tensor:
        """Return logits (B, T, 2)."""
        return self.qa_outputs(output.last_hidden_state)
