"""DistilBERT (Sanh et al., 2019, "DistilBERT, a distilled version of BERT"): half of BERT's layers, no segments.

Shapes: B rows, T tokens, H heads, D width, V words.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from enfold.nn.activations import activation
from enfold.nn.attention import Manner, attend, merge_heads, split_heads
from enfold.nn.embedding import Positions
from enfold.nn.linear import project
from enfold.nn.mask import encoder_mask
from enfold.transformers.configs.distilbert import DistilBertConfig
from enfold.transformers.heads import (
    MaskedLMHead,
    MultipleChoiceHead,
    QuestionAnsweringHead,
    SequenceClassificationHead,
    TokenClassificationHead,
    as_asked,
)
from enfold.transformers.modeling import PreTrainedModel
from enfold.transformers.outputs import BaseModelOutput

__all__ = [
    "DistilBertConfig",
    "DistilBertForMaskedLM",
    "DistilBertForMultipleChoice",
    "DistilBertForQuestionAnswering",
    "DistilBertForSequenceClassification",
    "DistilBertForTokenClassification",
    "DistilBertModel",
    "DistilBertPreTrainedModel",
]

NORM_EPS = 1e-12


def sinusoids(positions: int, width: int) -> Tensor:
    """Return the fixed position table (positions, width) of Vaswani et al., 2017: sines in even columns."""
    column = torch.arange(width)
    angles = torch.arange(positions)[:, None] / 10000.0 ** (2 * (column // 2) / width)
    return torch.where(column % 2 == 0, angles.sin(), angles.cos())


class Embeddings(nn.Module):
    """Words and positions, added and normalised."""

    def __init__(self, config: DistilBertConfig) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(config.vocab_size, config.dim, padding_idx=config.pad_token_id)
        self.position_embeddings = Positions(config.max_position_embeddings, config.dim)
        self.LayerNorm = nn.LayerNorm(config.dim, eps=NORM_EPS)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, words: Tensor, positions: Tensor) -> Tensor:
        """Return (B, T, D) for embedded words (B, T, D) and positions (B | 1, T)."""
        return self.dropout(self.LayerNorm(words + self.position_embeddings(positions)))


class Attention(nn.Module):
    """Attention with its output projection."""

    def __init__(self, config: DistilBertConfig) -> None:
        super().__init__()
        self.q_lin = nn.Linear(config.dim, config.dim)
        self.k_lin = nn.Linear(config.dim, config.dim)
        self.v_lin = nn.Linear(config.dim, config.dim)
        self.out_lin = nn.Linear(config.dim, config.dim)
        self.head_dim = config.dim // config.n_heads
        self.dropout = nn.Dropout(config.attention_dropout)

    def forward(self, x: Tensor, mask: Tensor | None, weights: Manner) -> tuple[Tensor, Tensor | None]:
        """Return (B, T, D) and, with ``weights``, (B, H, T, T)."""
        q, k, v = (split_heads(project(layer, x), self.head_dim) for layer in (self.q_lin, self.k_lin, self.v_lin))
        out, shares = attend(q, k, v, mask, dropout=self.dropout.p if self.training else 0.0, weights=weights)
        return project(self.out_lin, merge_heads(out)), shares


class FeedForward(nn.Module):
    """The feed-forward."""

    def __init__(self, config: DistilBertConfig) -> None:
        super().__init__()
        self.dropout = nn.Dropout(config.dropout)
        self.lin1 = nn.Linear(config.dim, config.hidden_dim)
        self.lin2 = nn.Linear(config.hidden_dim, config.dim)
        self.act = activation(config.activation)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, T, D) for (B, T, D)."""
        x = project(self.lin2, project(self.lin1, x, self.act))
        return self.dropout(x) if self.training else x


class TransformerBlock(nn.Module):
    """One layer: attention, then feed-forward, each normalised after its residual."""

    def __init__(self, config: DistilBertConfig) -> None:
        super().__init__()
        self.attention = Attention(config)
        self.sa_layer_norm = nn.LayerNorm(config.dim, eps=NORM_EPS)
        self.ffn = FeedForward(config)
        self.output_layer_norm = nn.LayerNorm(config.dim, eps=NORM_EPS)

    def forward(self, x: Tensor, mask: Tensor | None, weights: Manner) -> tuple[Tensor, Tensor | None]:
        """Return (B, T, D) and, with ``weights``, the attention weights."""
        attended, shares = self.attention(x, mask, weights)
        x = self.sa_layer_norm(attended + x)
        return self.output_layer_norm(self.ffn(x) + x), shares


class Transformer(nn.Module):
    """The layers."""

    def __init__(self, config: DistilBertConfig) -> None:
        super().__init__()
        self.layer = nn.ModuleList(TransformerBlock(config) for _ in range(config.n_layers))


class DistilBertPreTrainedModel(PreTrainedModel):
    """What all DistilBERT models share."""

    config_class = DistilBertConfig
    base_model_prefix = "distilbert"
    _supports_sdpa = True
    _no_split_modules = ["TransformerBlock"]
    _keys_to_ignore_on_load_unexpected = [r"position_ids$"]

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, Embeddings) and self.config.sinusoidal_pos_embds:
            table = module.position_embeddings.weight
            table.copy_(sinusoids(*table.shape))
            table.requires_grad_(False)


class DistilBertModel(DistilBertPreTrainedModel):
    """DistilBERT without a head."""

    _input_embed_layer = "embeddings.word_embeddings"

    def __init__(self, config: DistilBertConfig) -> None:
        super().__init__(config)
        self.embeddings = Embeddings(config)
        self.transformer = Transformer(config)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        position_ids: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        **_: Any,
    ) -> Any:
        """Return the states of every token.

        Args:
            input_ids: (B, T).
            attention_mask: (B, T), 1 for a token, 0 for padding.
            inputs_embeds: (B, T, D), instead of ``input_ids``.
            position_ids: (B | 1, T); 0, 1, … by default.
            output_attentions: return the attention weights.
            output_hidden_states: return the states between the layers.
            return_dict: False returns a tuple.
        """
        config = self.config
        words = self.embeddings.word_embeddings(input_ids) if inputs_embeds is None else inputs_embeds
        if position_ids is None:
            position_ids = torch.arange(words.shape[1], device=words.device)[None]
        mask = encoder_mask(attention_mask)
        record = self.recording(output_attentions, output_hidden_states)

        x = self.embeddings(words, position_ids)
        x = self.encode(self.transformer.layer, x, record, mask)
        record.finish(x)
        output = BaseModelOutput(x, record.hidden_states, record.attentions)
        return as_asked(output, return_dict, config.return_dict)


class DistilBertForMaskedLM(MaskedLMHead, DistilBertPreTrainedModel):
    """DistilBERT that fills masked words."""

    _tied_weights_keys = {"vocab_projector.weight": "distilbert.embeddings.word_embeddings.weight"}

    def __init__(self, config: DistilBertConfig) -> None:
        super().__init__(config)
        self.act = activation(config.activation)
        self.distilbert = DistilBertModel(config)
        self.vocab_transform = nn.Linear(config.dim, config.dim)
        self.vocab_layer_norm = nn.LayerNorm(config.dim, eps=NORM_EPS)
        self.vocab_projector = nn.Linear(config.dim, config.vocab_size)
        self.post_init()

    def get_output_embeddings(self) -> nn.Module:
        """Return the decoder of words."""
        return self.vocab_projector

    def set_output_embeddings(self, value: Any) -> None:
        """Replace the decoder of words."""
        self.vocab_projector = value

    def read(self, output: Any) -> Tensor:
        """Return the words' logits (B, T, V)."""
        return self.vocab_projector(self.vocab_layer_norm(self.act(self.vocab_transform(output.last_hidden_state))))


class _Classifier(DistilBertPreTrainedModel):
    """Two layers on the first token."""

    classes: int | None = None  # None reads the configuration

    def __init__(self, config: DistilBertConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        self.distilbert = DistilBertModel(config)
        self.pre_classifier = nn.Linear(config.dim, config.dim)
        self.classifier = nn.Linear(config.dim, self.classes or config.num_labels)
        self.dropout = nn.Dropout(config.seq_classif_dropout)
        self.post_init()

    def read(self, output: Any) -> Tensor:
        """Return logits (B, C)."""
        return self.classifier(self.dropout(torch.relu(self.pre_classifier(output.last_hidden_state[:, 0]))))


class DistilBertForSequenceClassification(SequenceClassificationHead, _Classifier):
    """DistilBERT with one prediction a row."""


class DistilBertForMultipleChoice(MultipleChoiceHead, _Classifier):
    """DistilBERT that chooses among texts."""

    classes = 1


class DistilBertForTokenClassification(TokenClassificationHead, DistilBertPreTrainedModel):
    """DistilBERT with one prediction a token."""

    def __init__(self, config: DistilBertConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        self.distilbert = DistilBertModel(config)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(config.dim, config.num_labels)
        self.post_init()

    def read(self, output: Any) -> Tensor:
        """Return logits (B, T, C)."""
        return self.classifier(self.dropout(output.last_hidden_state))


class DistilBertForQuestionAnswering(QuestionAnsweringHead, DistilBertPreTrainedModel):
    """DistilBERT that marks an answer in a text."""

    def __init__(self, config: DistilBertConfig) -> None:
        super().__init__(config)
        self.distilbert = DistilBertModel(config)
        self.qa_outputs = nn.Linear(config.dim, config.num_labels)
        self.dropout = nn.Dropout(config.qa_dropout)
        self.post_init()

    def read(self, output: Any) -> Tensor:
        """Return logits (B, T, 2)."""
        return self.qa_outputs(self.dropout(output.last_hidden_state))
