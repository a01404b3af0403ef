"""What models return, under the ecosystem's names. Shapes: B rows, T tokens, H heads, D width, V words, C classes."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from enfold.nn.cache import Cache
from enfold.nn.outputs import ModelOutput

__all__ = [
    "BaseModelOutput",
    "BaseModelOutputWithPast",
    "BaseModelOutputWithPastAndCrossAttentions",
    "BaseModelOutputWithPooling",
    "BaseModelOutputWithPoolingAndCrossAttentions",
    "BertForPreTrainingOutput",
    "CausalLMOutput",
    "CausalLMOutputWithCrossAttentions",
    "CausalLMOutputWithPast",
    "MaskedLMOutput",
    "ModelOutput",
    "MultipleChoiceModelOutput",
    "NextSentencePredictorOutput",
    "QuestionAnsweringModelOutput",
    "SequenceClassifierOutput",
    "SequenceClassifierOutputWithPast",
    "TokenClassifierOutput",
]

Layers = tuple[Tensor, ...]


@dataclass
class BaseModelOutput(ModelOutput):
    """An encoder's states: last_hidden_state (B, T, D), hidden_states, one (B, T, D) before each layer and after the
    last, attentions, one (B, H, T, T) a layer."""

    last_hidden_state: Tensor | None = None
    hidden_states: Layers | None = None
    attentions: Layers | None = None


@dataclass
class BaseModelOutputWithPooling(ModelOutput):
    """An encoder's states with pooler_output (B, D), made of the first token."""

    last_hidden_state: Tensor | None = None
    pooler_output: Tensor | None = None
    hidden_states: Layers | None = None
    attentions: Layers | None = None


@dataclass
class BaseModelOutputWithPast(ModelOutput):
    """A decoder's states with the cache of its keys and values."""

    last_hidden_state: Tensor | None = None
    past_key_values: Cache | None = None
    hidden_states: Layers | None = None
    attentions: Layers | None = None


@dataclass
class BaseModelOutputWithPastAndCrossAttentions(ModelOutput):
    """A decoder's states with its cache and its attentions to an encoder."""

    last_hidden_state: Tensor | None = None
    past_key_values: Cache | None = None
    hidden_states: Layers | None = None
    attentions: Layers | None = None
    cross_attentions: Layers | None = None


@dataclass
class BaseModelOutputWithPoolingAndCrossAttentions(ModelOutput):
    """BERT's states: the pooled first token, and the cache where it decodes."""

    last_hidden_state: Tensor | None = None
    pooler_output: Tensor | None = None
    hidden_states: Layers | None = None
    past_key_values: Cache | None = None
    attentions: Layers | None = None
    cross_attentions: Layers | None = None


@dataclass
class CausalLMOutput(ModelOutput):
    """Next-token logits (B, T, V), and the loss when labels were given."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    hidden_states: Layers | None = None
    attentions: Layers | None = None


@dataclass
class CausalLMOutputWithPast(ModelOutput):
    """Next-token logits (B, T, V) with the cache."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    past_key_values: Cache | None = None
    hidden_states: Layers | None = None
    attentions: Layers | None = None


@dataclass
class CausalLMOutputWithCrossAttentions(ModelOutput):
    """Next-token logits (B, T, V) with the cache and the attentions to an encoder."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    past_key_values: Cache | None = None
    hidden_states: Layers | None = None
    attentions: Layers | None = None
    cross_attentions: Layers | None = None


@dataclass
class MaskedLMOutput(ModelOutput):
    """Logits of every position (B, T, V)."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    hidden_states: Layers | None = None
    attentions: Layers | None = None


@dataclass
class SequenceClassifierOutput(ModelOutput):
    """Logits of each row (B, C)."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    hidden_states: Layers | None = None
    attentions: Layers | None = None


@dataclass
class SequenceClassifierOutputWithPast(ModelOutput):
    """Logits of each row (B, C), of a decoder."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    past_key_values: Cache | None = None
    hidden_states: Layers | None = None
    attentions: Layers | None = None


@dataclass
class TokenClassifierOutput(ModelOutput):
    """Logits of each token (B, T, C)."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    hidden_states: Layers | None = None
    attentions: Layers | None = None


@dataclass
class QuestionAnsweringModelOutput(ModelOutput):
    """Logits (B, T) of where an answer starts and ends."""

    loss: Tensor | None = None
    start_logits: Tensor | None = None
    end_logits: Tensor | None = None
    hidden_states: Layers | None = None
    attentions: Layers | None = None


@dataclass
class MultipleChoiceModelOutput(ModelOutput):
    """Logits (B, choices)."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    hidden_states: Layers | None = None
    attentions: Layers | None = None


@dataclass
class NextSentencePredictorOutput(ModelOutput):
    """Logits (B, 2): the second text follows the first, or is a random one."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    hidden_states: Layers | None = None
    attentions: Layers | None = None


@dataclass
class BertForPreTrainingOutput(ModelOutput):
    """Logits of both of BERT's training tasks: (B, T, V) and (B, 2)."""

    loss: Tensor | None = None
    prediction_logits: Tensor | None = None
    seq_relationship_logits: Tensor | None = None
    hidden_states: Layers | None = None
    attentions: Layers | None = None
