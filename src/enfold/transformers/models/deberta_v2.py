"""DeBERTa-v2 and v3 (He et al., 2020, "DeBERTa: Decoding-enhanced BERT with Disentangled Attention"): contents look at
distances, and distances at contents.

Shapes: B rows, T tokens, H heads, D width, d of a head, E width of the embeddings, S the span of distances, V words.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from enfold.nn.activations import activation
from enfold.nn.attention import Manner, attend, merge_heads, split_heads
from enfold.nn.embedding import Positions
from enfold.nn.losses import token_loss
from enfold.nn.mask import unpadded
from enfold.nn.relative import scores_of
from enfold.transformers.configs.deberta_v2 import DebertaV2Config
from enfold.transformers.encoders import EncoderHead, QuestionAnswerer, TokenClassifier
from enfold.transformers.heads import MaskedLMHead, MultipleChoiceHead, SequenceClassificationHead, as_asked
from enfold.transformers.modeling import PreTrainedModel
from enfold.transformers.models.bert import BertPredictions, BertTransform
from enfold.transformers.models.bert_encoder import BertIntermediate, BertResidual
from enfold.transformers.outputs import BaseModelOutput

__all__ = [
    "DebertaV2Config",
    "DebertaV2ForMaskedLM",
    "DebertaV2ForMultipleChoice",
    "DebertaV2ForQuestionAnswering",
    "DebertaV2ForSequenceClassification",
    "DebertaV2ForTokenClassification",
    "DebertaV2Model",
    "DebertaV2PreTrainedModel",
]


def log_buckets(distance: Tensor, buckets: int, farthest: int) -> Tensor:
    """Return distances with those beyond ``buckets`` / 2 squeezed to their logarithm: at ``farthest``, ``buckets``.

    Example:
        >>> log_buckets(torch.tensor([-50, -2, 0, 3, 9]), 8, 64).tolist()
        [-7, -2, 0, 3, 5]
    """
    middle = buckets // 2
    size = distance.abs().clamp(min=middle)
    steps = torch.log(size / middle) / math.log((farthest - 1) / middle) * (middle - 1)
    far = (steps.ceil().long() + middle) * distance.sign()
    return torch.where(distance.abs() <= middle, distance, far)


class DebertaV2SelfAttention(nn.Module):
    """The attention itself: scores of contents, of contents for distances, of distances for contents."""

    def __init__(self, config: DebertaV2Config) -> None:
        super().__init__()
        self.head_dim = config.option("attention_head_size", config.hidden_size // config.num_attention_heads)
        inner = self.head_dim * config.num_attention_heads
        self.query_proj = nn.Linear(config.hidden_size, inner)
        self.key_proj = nn.Linear(config.hidden_size, inner)
        self.value_proj = nn.Linear(config.hidden_size, inner)
        kinds = config.pos_att_type or []
        self.from_content, self.from_distance = "c2p" in kinds, "p2c" in kinds
        if config.relative_attention and not config.option("share_att_key", False):
            if self.from_content:
                self.pos_key_proj = nn.Linear(config.hidden_size, inner)
            if self.from_distance:
                self.pos_query_proj = nn.Linear(config.hidden_size, inner)
        self.scale = (self.head_dim * (1 + self.from_content + self.from_distance)) ** -0.5
        self.dropout = nn.Dropout(config.attention_probs_dropout_prob)
        self.pos_dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(
        self, x: Tensor, table: Tensor | None, index: Tensor, mask: Tensor | None, weights: Manner
    ) -> tuple[Tensor, Tensor | None]:
        """Return (B, T, D) and, with ``weights``, (B, H, T, T).

        Args:
            x: (B, T, D).
            table: (2S, D), a row for each distance, or None.
            index: (T, T), the row of the distance of query and key.
            mask: boolean (B, 1, T, T), or None.
            weights: return the attention weights.
        """
        q, k, v = (split_heads(layer(x), self.head_dim) for layer in (self.query_proj, self.key_proj, self.value_proj))
        bias = q.new_zeros(1, 1, *index.shape) if table is None else self._distances(q, k, table, index) * self.scale
        scores = scores_of(mask, False, bias)
        dropout = self.dropout.p if self.training else 0.0
        out, shares = attend(q, k, v, scores, scale=self.scale, dropout=dropout, weights=weights)
        return merge_heads(out), shares

    def _distances(self, q: Tensor, k: Tensor, table: Tensor, index: Tensor) -> Tensor:
        """Return the scores (B, H, T, T) that distances add, for queries and keys (B, H, T, d)."""
        table = self.pos_dropout(table)[None]  # (1, 2S, D)
        rows = index.expand(*q.shape[:2], *index.shape)
        scores = torch.zeros_like(rows, dtype=q.dtype)
        if self.from_content:
            key = split_heads(getattr(self, "pos_key_proj", self.key_proj)(table), self.head_dim)  # (1, H, 2S, d)
            scores = scores + (q @ key.transpose(2, 3)).gather(-1, rows)
        if self.from_distance:
            query = split_heads(getattr(self, "pos_query_proj", self.query_proj)(table), self.head_dim)
            # A key sees its query at the opposite distance, which the transposed table of rows names.
            scores = scores + (k @ query.transpose(2, 3)).gather(-1, rows.transpose(2, 3)).transpose(2, 3)
        return scores


class DebertaV2Attention(nn.Module):
    """Attention with its residual."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.self = DebertaV2SelfAttention(config)
        self.output = BertResidual(config.hidden_size, config)


class DebertaV2Layer(nn.Module):
    """One layer: attention, then feed-forward, each normalised after its residual."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.attention = DebertaV2Attention(config)
        self.intermediate = BertIntermediate(config)
        self.output = BertResidual(config.intermediate_size, config)

    def forward(
        self, x: Tensor, table: Tensor | None, index: Tensor, mask: Tensor | None, real: Tensor | None, weights: Manner
    ) -> tuple[Tensor, Tensor | None]:
        """Return (B, T, D) and, with ``weights``, the attention weights."""
        attended, shares = self.attention.self(x, table, index, mask, weights)
        x = self.attention.output(attended, x)
        return self.output(self.intermediate(x), x), shares


class DebertaV2Convolution(nn.Module):
    """Neighbours of the embeddings, added to the first layer's states."""

    def __init__(self, config: DebertaV2Config) -> None:
        super().__init__()
        size, groups = config.option("conv_kernel_size", 3), config.option("conv_groups", 1)
        width = config.hidden_size
        self.conv = nn.Conv1d(width, width, size, padding=(size - 1) // 2, groups=groups)
        self.LayerNorm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.act = activation(config.option("conv_act", "tanh"))

    def forward(self, x: Tensor, states: Tensor, real: Tensor | None) -> Tensor:
        """Return (B, T, D) for what the layer was given and returned, (B, T, D) each; ``real`` is (B, T, 1)."""
        near = self.conv(x.transpose(1, 2)).transpose(1, 2)
        if real is None:
            return self.LayerNorm(states + self.act(self.dropout(near)))
        return self.LayerNorm(states + self.act(self.dropout(near * real))) * real


class DebertaV2Embeddings(nn.Module):
    """Words and, where the configuration says so, positions and segments, added and normalised."""

    def __init__(self, config: DebertaV2Config) -> None:
        super().__init__()
        width = config.option("embedding_size", config.hidden_size)
        self.word_embeddings = nn.Embedding(config.vocab_size, width, padding_idx=config.pad_token_id)
        self.position_embeddings = (
            Positions(config.max_position_embeddings, width) if config.position_biased_input else None
        )
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, width) if config.type_vocab_size else None
        self.embed_proj = nn.Linear(width, config.hidden_size, bias=False) if width != config.hidden_size else None
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, x: Tensor, positions: Tensor, segments: Tensor, real: Tensor | None) -> Tensor:
        """Return (B, T, D) for embedded words (B, T, E), positions and segments (B | 1, T) and ``real`` (B, T, 1)."""
        if self.position_embeddings is not None:
            x = x + self.position_embeddings(positions)
        if self.token_type_embeddings is not None:
            x = x + self.token_type_embeddings(segments)
        if self.embed_proj is not None:
            x = self.embed_proj(x)
        x = self.LayerNorm(x)
        return self.dropout(x if real is None else x * real)


class DebertaV2Encoder(nn.Module):
    """The layers, the embeddings of distances, and the convolution beside the first layer."""

    def __init__(self, config: DebertaV2Config) -> None:
        super().__init__()
        self.layer = nn.ModuleList(DebertaV2Layer(config) for _ in range(config.num_hidden_layers))
        farthest = config.max_relative_positions
        self.farthest = config.max_position_embeddings if farthest < 1 else farthest
        self.buckets = max(config.option("position_buckets", -1), 0)
        self.span = self.buckets or self.farthest
        if config.relative_attention:
            self.rel_embeddings = nn.Embedding(2 * self.span, config.hidden_size)
        if "layer_norm" in config.option("norm_rel_ebd", "none").lower():
            self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.conv = DebertaV2Convolution(config) if config.option("conv_kernel_size", 0) > 0 else None

    def table(self) -> Tensor | None:
        """Return what stands for each distance, (2S, D), or None where distances do not count."""
        if not hasattr(self, "rel_embeddings"):
            return None
        table = self.rel_embeddings.weight
        return self.LayerNorm(table) if hasattr(self, "LayerNorm") else table

    def index(self, length: int, device: torch.device) -> Tensor:
        """Return the table's row for each query and key, (T, T)."""
        place = torch.arange(length, device=device)
        distance = place[:, None] - place[None]
        if self.buckets:
            distance = log_buckets(distance, self.buckets, self.farthest)
        return (distance + self.span).clamp(0, 2 * self.span - 1)

    def first(self, x: Tensor, *inputs: Any) -> tuple[Tensor, Tensor | None]:
        """Run the first layer with the convolution beside it."""
        states, shares = self.layer[0](x, *inputs)
        assert self.conv is not None
        return self.conv(x, states, inputs[-2]), shares


class DebertaV2PreTrainedModel(PreTrainedModel):
    """What all DeBERTa-v2 models share."""

    config_class = DebertaV2Config
    base_model_prefix = "deberta"
    _no_split_modules = ["DebertaV2Layer"]
    _keys_to_ignore_on_load_unexpected = ["position_embeddings", r"position_ids$", "mask_predictions"]

    def make_encoder(self, config: DebertaV2Config, pooled: bool) -> nn.Module:
        """Return the base model."""
        return DebertaV2Model(config)

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, BertPredictions | DebertaV2LMHead):
            module.bias.zero_()


class DebertaV2Model(DebertaV2PreTrainedModel):
    """DeBERTa-v2 without a head."""

    _input_embed_layer = "embeddings.word_embeddings"

    def __init__(self, config: DebertaV2Config) -> None:
        super().__init__(config)
        self.embeddings = DebertaV2Embeddings(config)
        self.encoder = DebertaV2Encoder(config)
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
        length, device = words.shape[1], words.device
        if position_ids is None:
            position_ids = torch.arange(length, device=device)[None]
        if token_type_ids is None:
            token_type_ids = torch.zeros(1, length, dtype=torch.long, device=device)
        mask = real = None
        if attention_mask is not None and not unpadded(attention_mask):
            seen = attention_mask.bool()
            mask = seen[:, None, None] & seen[:, None, :, None]  # (B, 1, T, T): padding sees nothing either
            real = seen[..., None].to(words.dtype)
        record = self.recording(output_attentions, output_hidden_states)

        x = self.embeddings(words, position_ids, token_type_ids, real)
        encoder = self.encoder
        layers = encoder.layer if encoder.conv is None else (encoder.first, *encoder.layer[1:])
        x = self.encode(layers, x, record, encoder.table(), encoder.index(length, device), mask, real)
        record.finish(x)
        return as_asked(
            BaseModelOutput(x, record.hidden_states, record.attentions), return_dict, self.config.return_dict
        )


class DebertaV2LegacyHead(nn.Module):
    """The words as BERT predicts them, whose decoder old checkpoints do not hold."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.predictions = BertPredictions(config, config.option("embedding_size", config.hidden_size))

    def forward(self, x: Tensor, embeddings: nn.Embedding) -> Tensor:
        """Return (B, T, V) for (B, T, D)."""
        return self.predictions(x)


class DebertaV2LMHead(BertTransform):
    """The words, by the embeddings themselves: the head the checkpoints were trained with."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))


class DebertaV2Head(nn.Module):
    """What sits under ``lm_predictions``."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.lm_head = DebertaV2LMHead(config)

    def forward(self, x: Tensor, embeddings: nn.Embedding) -> Tensor:
        """Return (B, T, V) for (B, T, D)."""
        return self.lm_head(x) @ embeddings.weight.T + self.lm_head.bias


class DebertaV2ForMaskedLM(MaskedLMHead, EncoderHead, DebertaV2PreTrainedModel):
    """DeBERTa-v2 that fills masked words; ``config.legacy=False`` takes the head that checkpoints were trained with."""

    _tied_weights_keys = {
        "cls.predictions.decoder.weight": "deberta.embeddings.word_embeddings.weight",
        "cls.predictions.decoder.bias": "cls.predictions.bias",
    }

    def __init__(self, config: DebertaV2Config) -> None:
        super().__init__(config)
        if config.legacy:
            self.cls = DebertaV2LegacyHead(config)
        else:
            self._tied_weights_keys = {}  # type: ignore[misc]
            self.lm_predictions = DebertaV2Head(config)
        self.post_init()

    def get_output_embeddings(self) -> nn.Module | None:
        """Return the decoder of words; None where the embeddings are the decoder."""
        return self.cls.predictions.decoder if self.config.legacy else None

    def set_output_embeddings(self, value: Any) -> None:
        """Replace the decoder of words."""
        self.cls.predictions.decoder = value

    def set_input_embeddings(self, value: Any) -> None:
        """Replace the embedding of words, and fit the head's bias to it where the embeddings are the decoder."""
        super().set_input_embeddings(value)
        if not self.config.legacy:
            head, rows = self.lm_predictions.lm_head, value.num_embeddings
            grown = F.pad(head.bias.detach()[:rows], (0, max(rows - len(head.bias), 0)))
            head.bias = nn.Parameter(grown, requires_grad=head.bias.requires_grad)

    def read(self, output: Any) -> Tensor:
        """Return the words' logits (B, T, V)."""
        head: Any = self.cls if self.config.legacy else self.lm_predictions
        return head(output.last_hidden_state, self.get_input_embeddings())


class DebertaV2Pooler(nn.Module):
    """The first token, projected: a summary of the row."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.dense = nn.Linear(config.pooler_hidden_size, config.pooler_hidden_size)
        self.dropout = nn.Dropout(config.pooler_dropout)
        self.act = activation(config.pooler_hidden_act)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, D) for (B, T, D)."""
        return self.act(self.dense(self.dropout(x[:, 0])))


class _Pooled(EncoderHead, DebertaV2PreTrainedModel):
    """A linear layer on the pooled first token."""

    classes: int | None = None  # None reads the configuration

    def __init__(self, config: DebertaV2Config) -> None:
        super().__init__(config)
        self.pooler = DebertaV2Pooler(config)
        self.classifier = nn.Linear(config.hidden_size, self.classes or config.num_labels)
        self.dropout = nn.Dropout(config.option("cls_dropout", config.hidden_dropout_prob))
        self.post_init()

    def read(self, output: Any) -> Tensor:
        """Return logits (B, C)."""
        return self.classifier(self.dropout(self.pooler(output.last_hidden_state)))


class DebertaV2ForSequenceClassification(SequenceClassificationHead, _Pooled):
    """DeBERTa-v2 with one prediction a row."""

    def row_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss; without ``config.problem_type`` a negative class is skipped, and (B, C) are shares."""
        if self.config.problem_type is not None or self.num_labels == 1:
            return super().row_loss(logits, labels)
        if labels.dim() == 1 or labels.shape[-1] == 1:
            classes = labels.reshape(-1).long()
            return token_loss(logits, torch.where(classes < 0, -100, classes))
        return F.cross_entropy(logits, labels.to(logits.dtype))


class DebertaV2ForMultipleChoice(MultipleChoiceHead, _Pooled):
    """DeBERTa-v2 that chooses among texts."""

    classes = 1


class DebertaV2ForTokenClassification(TokenClassifier, DebertaV2PreTrainedModel):
    """DeBERTa-v2 with one prediction a token."""


class DebertaV2ForQuestionAnswering(QuestionAnswerer, DebertaV2PreTrainedModel):
    """DeBERTa-v2 that marks an answer in a text."""
