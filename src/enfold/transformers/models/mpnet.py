"""MPNet (Song et al., 2020, "MPNet: Masked and Permuted Pre-training for Language Understanding"): BERT whose
attention adds what the distance of two tokens says; no segments.

Shapes: B rows, T tokens, H heads, D width, V words.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from enfold.nn.attention import Manner, attend, merge_heads, split_heads
from enfold.nn.embedding import Positions
from enfold.nn.mask import encoder_mask
from enfold.nn.relative import bucketed_distances, scores_of
from enfold.transformers.configs.mpnet import MPNetConfig
from enfold.transformers.encoders import (
    EncoderHead,
    FirstTokenClassifier,
    PooledMultipleChoice,
    QuestionAnswerer,
    TokenClassifier,
    positions_after_padding,
)
from enfold.transformers.heads import MaskedLMHead, as_asked
from enfold.transformers.modeling import PreTrainedModel
from enfold.transformers.models.bert_encoder import BertIntermediate, BertPooler, BertResidual
from enfold.transformers.models.roberta import RobertaLMHead
from enfold.transformers.outputs import BaseModelOutputWithPooling

__all__ = [
    "MPNetConfig",
    "MPNetForMaskedLM",
    "MPNetForMultipleChoice",
    "MPNetForQuestionAnswering",
    "MPNetForSequenceClassification",
    "MPNetForTokenClassification",
    "MPNetLayer",
    "MPNetModel",
    "MPNetPreTrainedModel",
]

PADDING = 1  # the published code fixes it, whatever pad_token_id says
BUCKETS, FARTHEST = 32, 128  # likewise, whatever relative_attention_num_buckets says


class MPNetEmbeddings(nn.Module):
    """Words and positions, added and normalised."""

    def __init__(self, config: MPNetConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.word_embeddings = nn.Embedding(config.vocab_size, width, padding_idx=PADDING)
        self.position_embeddings = Positions(config.max_position_embeddings, width, padding_idx=PADDING)
        self.LayerNorm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, words: Tensor, positions: Tensor) -> Tensor:
        """Return (B, T, D) for embedded words (B, T, D) and positions (B | 1, T)."""
        return self.dropout(self.LayerNorm(words + self.position_embeddings(positions)))


class MPNetSelfAttention(nn.Module):
    """The attention itself."""

    def __init__(self, config: MPNetConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.q = nn.Linear(width, width)
        self.k = nn.Linear(width, width)
        self.v = nn.Linear(width, width)
        self.o = nn.Linear(width, width)
        self.dropout = nn.Dropout(config.attention_probs_dropout_prob)
        self.head_dim = width // config.num_attention_heads

    def forward(self, x: Tensor, bias: Tensor, weights: Manner) -> tuple[Tensor, Tensor | None]:
        """Return (B, T, D) and, with ``weights``, (B, H, T, T); ``bias`` (B | 1, H, T, T) is added to the scores."""
        q, k, v = (split_heads(layer(x), self.head_dim) for layer in (self.q, self.k, self.v))  # (B, H, T, d)
        out, shares = attend(q, k, v, bias, dropout=self.dropout.p if self.training else 0.0, weights=weights)
        return self.o(merge_heads(out)), shares


class MPNetAttention(nn.Module):
    """Attention with its residual."""

    def __init__(self, config: MPNetConfig) -> None:
        super().__init__()
        self.attn = MPNetSelfAttention(config)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, x: Tensor, bias: Tensor, weights: Manner) -> tuple[Tensor, Tensor | None]:
        """Return (B, T, D) and, with ``weights``, the attention weights."""
        attended, shares = self.attn(x, bias, weights)
        return self.LayerNorm(self.dropout(attended) + x), shares


class MPNetLayer(nn.Module):
    """One layer: attention, then feed-forward, each normalised after its residual."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.attention = MPNetAttention(config)
        self.intermediate = BertIntermediate(config)
        self.output = BertResidual(config.intermediate_size, config)

    def forward(self, x: Tensor, bias: Tensor, weights: Manner) -> tuple[Tensor, Tensor | None]:
        """Return (B, T, D) and, with ``weights``, the attention weights."""
        x, shares = self.attention(x, bias, weights)
        return self.output(self.intermediate(x), x), shares


class MPNetEncoder(nn.Module):
    """The layers, and what distances say to all of them."""

    def __init__(self, config: MPNetConfig) -> None:
        super().__init__()
        self.layer = nn.ModuleList(MPNetLayer(config) for _ in range(config.num_hidden_layers))
        self.relative_attention_bias = nn.Embedding(config.relative_attention_num_buckets, config.num_attention_heads)

    def bias(self, length: int) -> Tensor:
        """Return what is added to the scores, (1, H, T, T)."""
        place = torch.arange(length, device=self.relative_attention_bias.weight.device)
        bucket = bucketed_distances(place[None] - place[:, None], BUCKETS, FARTHEST, both_ways=True)  # (T, T)
        return self.relative_attention_bias(bucket).permute(2, 0, 1)[None]


class MPNetPreTrainedModel(PreTrainedModel):
    """What all MPNet models share."""

    config_class = MPNetConfig
    base_model_prefix = "mpnet"
    _supports_sdpa = True
    _no_split_modules = ["MPNetLayer"]
    _keys_to_ignore_on_load_unexpected = [r"position_ids$"]

    def make_encoder(self, config: MPNetConfig, pooled: bool) -> nn.Module:
        """Return the base model."""
        return MPNetModel(config, add_pooling_layer=pooled)

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, RobertaLMHead):
            module.bias.zero_()


class MPNetModel(MPNetPreTrainedModel):
    """MPNet without a head.

    Args:
        config: its numbers.
        add_pooling_layer: make ``pooler_output`` too.
    """

    _input_embed_layer = "embeddings.word_embeddings"

    def __init__(self, config: Any, add_pooling_layer: bool = True) -> None:
        super().__init__(config)
        self.embeddings = MPNetEmbeddings(config)
        self.encoder = MPNetEncoder(config)
        self.pooler = BertPooler(config) if add_pooling_layer else None
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
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
            position_ids: (B | 1, T); by default real tokens are counted from 2.
            inputs_embeds: (B, T, D), instead of ``input_ids``.
            output_attentions: return the attention weights.
            output_hidden_states: return the states between the layers.
            return_dict: False returns a tuple.
        """
        words = self.embeddings.word_embeddings(input_ids) if inputs_embeds is None else inputs_embeds
        if position_ids is None:
            position_ids = positions_after_padding(input_ids, words, PADDING)
        bias = scores_of(encoder_mask(attention_mask), False, self.encoder.bias(words.shape[1]))
        record = self.recording(output_attentions, output_hidden_states)

        x = self.embeddings(words, position_ids)
        x = self.encode(self.encoder.layer, x, record, bias)
        record.finish(x)
        pooled = None if self.pooler is None else self.pooler(x)
        output = BaseModelOutputWithPooling(x, pooled, record.hidden_states, record.attentions)
        return as_asked(output, return_dict, self.config.return_dict)


class MPNetForMaskedLM(MaskedLMHead, EncoderHead, MPNetPreTrainedModel):
    """MPNet that fills masked words."""

    _tied_weights_keys = {
        "lm_head.decoder.weight": "mpnet.embeddings.word_embeddings.weight",
        "lm_head.decoder.bias": "lm_head.bias",
    }

    def __init__(self, config: MPNetConfig) -> None:
        super().__init__(config)
        self.lm_head = RobertaLMHead(config)
        self.post_init()

    def get_output_embeddings(self) -> nn.Module:
        """Return the decoder of words."""
        return self.lm_head.decoder

    def set_output_embeddings(self, value: Any) -> None:
        """Replace the decoder of words."""
        self.lm_head.decoder = value

    def read(self, output: Any) -> Tensor:
        """Return the words' logits (B, T, V)."""
        return self.lm_head(output.last_hidden_state)


class MPNetForSequenceClassification(FirstTokenClassifier, MPNetPreTrainedModel):
    """MPNet with one prediction a row."""


class MPNetForMultipleChoice(PooledMultipleChoice, MPNetPreTrainedModel):
    """MPNet that chooses among texts."""


class MPNetForTokenClassification(TokenClassifier, MPNetPreTrainedModel):
    """MPNet with one prediction a token."""


class MPNetForQuestionAnswering(QuestionAnswerer, MPNetPreTrainedModel):
    """MPNet that marks an answer in a text."""
