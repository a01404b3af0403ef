"""What models return, under the ecosystem's names. Shapes: B rows, T tokens, H heads, D width, V words, C classes."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from enfold.nn.cache import Cache
from enfold.nn.outputs import ModelOutput

__all__ = [
    "BackboneOutput",
    "BaseModelOutput",
    "BaseModelOutputWithNoAttention",
    "BaseModelOutputWithPast",
    "BaseModelOutputWithPastAndCrossAttentions",
    "BaseModelOutputWithPooling",
    "BaseModelOutputWithPoolingAndCrossAttentions",
    "BaseModelOutputWithPoolingAndNoAttention",
    "BertForPreTrainingOutput",
    "CausalLMOutput",
    "CausalLMOutputWithCrossAttentions",
    "CausalLMOutputWithPast",
    "DepthEstimatorOutput",
    "ImageClassifierOutput",
    "ImageClassifierOutputWithNoAttention",
    "MaskedImageModelingOutput",
    "MaskedLMOutput",
    "ModelOutput",
    "MoeCausalLMOutputWithPast",
    "MoeModelOutputWithPast",
    "MultipleChoiceModelOutput",
    "NextSentencePredictorOutput",
    "QuestionAnsweringModelOutput",
    "SemanticSegmenterOutput",
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
class MoeModelOutputWithPast(ModelOutput):
    """A decoder's states with its cache and its routers' logits, one (B·T, E) a layer with E experts."""

    last_hidden_state: Tensor | None = None
    past_key_values: Cache | None = None
    hidden_states: Layers | None = None
    attentions: Layers | None = None
    router_logits: Layers | None = None


@dataclass
class MoeCausalLMOutputWithPast(ModelOutput):
    """Next-token logits (B, T, V) with the cache, the routers' logits and their loss, aux_loss."""

    loss: Tensor | None = None
    aux_loss: Tensor | None = None
    logits: Tensor | None = None
    past_key_values: Cache | None = None
    hidden_states: Layers | None = None
    attentions: Layers | None = None
    router_logits: Layers | None = None


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


# --- images


@dataclass
class BackboneOutput(ModelOutput):
    """A backbone's feature maps, each (B, channels, height, width)."""

    feature_maps: Layers | None = None
    hidden_states: Layers | None = None
    attentions: Layers | None = None


@dataclass
class BaseModelOutputWithNoAttention(ModelOutput):
    """A convolutional network's states (B, channels, height, width)."""

    last_hidden_state: Tensor | None = None
    hidden_states: Layers | None = None


@dataclass
class BaseModelOutputWithPoolingAndNoAttention(ModelOutput):
    """A convolutional network's states and their mean, pooler_output (B, channels, 1, 1)."""

    last_hidden_state: Tensor | None = None
    pooler_output: Tensor | None = None
    hidden_states: Layers | None = None


@dataclass
class DepthEstimatorOutput(ModelOutput):
    """Depth of every pixel (B, height, width)."""

    loss: Tensor | None = None
    predicted_depth: Tensor | None = None
    hidden_states: Layers | None = None
    attentions: Layers | None = None


@dataclass
class ImageClassifierOutput(ModelOutput):
    """Logits of each image (B, C)."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    hidden_states: Layers | None = None
    attentions: Layers | None = None


@dataclass
class ImageClassifierOutputWithNoAttention(ModelOutput):
    """Logits of each image (B, C), of a convolutional network."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    hidden_states: Layers | None = None


@dataclass
class MaskedImageModelingOutput(ModelOutput):
    """Images filled in (B, channels, height, width)."""

    loss: Tensor | None = None
    reconstruction: Tensor | None = None
    hidden_states: Layers | None = None
    attentions: Layers | None = None


@dataclass
class SemanticSegmenterOutput(ModelOutput):
    """Logits of each pixel (B, C, height, width), often of a smaller image."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    hidden_states: Layers | None = None
    attentions: Layers | None = None


@dataclass
class Seq2SeqModelOutput(ModelOutput):
    """The states of a decoder (B, T, D) and of the encoder it looks at, with the decoder's cache; cross_attentions are
    (B, H, T, S) a layer."""

    last_hidden_state: Tensor | None = None
    past_key_values: Cache | None = None
    decoder_hidden_states: Layers | None = None
    decoder_attentions: Layers | None = None
    cross_attentions: Layers | None = None
    encoder_last_hidden_state: Tensor | None = None
    encoder_hidden_states: Layers | None = None
    encoder_attentions: Layers | None = None


@dataclass
class Seq2SeqLMOutput(ModelOutput):
    """Next-token logits (B, T, V) of a decoder, with all that ``Seq2SeqModelOutput`` has."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    past_key_values: Cache | None = None
    decoder_hidden_states: Layers | None = None
    decoder_attentions: Layers | None = None
    cross_attentions: Layers | None = None
    encoder_last_hidden_state: Tensor | None = None
    encoder_hidden_states: Layers | None = None
    encoder_attentions: Layers | None = None


@dataclass
class Seq2SeqSequenceClassifierOutput(ModelOutput):
    """Logits of each row (B, C), with all that ``Seq2SeqModelOutput`` has."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    past_key_values: Cache | None = None
    decoder_hidden_states: Layers | None = None
    decoder_attentions: Layers | None = None
    cross_attentions: Layers | None = None
    encoder_last_hidden_state: Tensor | None = None
    encoder_hidden_states: Layers | None = None
    encoder_attentions: Layers | None = None


@dataclass
class Seq2SeqQuestionAnsweringModelOutput(ModelOutput):
    """Logits (B, T) of where an answer starts and ends, with all that ``Seq2SeqModelOutput`` has."""

    loss: Tensor | None = None
    start_logits: Tensor | None = None
    end_logits: Tensor | None = None
    past_key_values: Cache | None = None
    decoder_hidden_states: Layers | None = None
    decoder_attentions: Layers | None = None
    cross_attentions: Layers | None = None
    encoder_last_hidden_state: Tensor | None = None
    encoder_hidden_states: Layers | None = None
    encoder_attentions: Layers | None = None
