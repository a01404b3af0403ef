"""The layers of BERT, which RoBERTa, ELECTRA and others of its family build on.

Shapes: B rows, T tokens, S tokens looked at, H heads, D width.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from enfold.errors import EnfoldError
from enfold.nn.activations import activation
from enfold.nn.attention import Manner, attend, merge_heads, split_heads
from enfold.nn.cache import CacheLayer, EncoderDecoderLayer
from enfold.nn.embedding import Positions
from enfold.nn.linear import project
from enfold.transformers.configs.bert import BertConfig

__all__ = [
    "BertAttention",
    "BertEmbeddings",
    "BertEncoder",
    "BertIntermediate",
    "BertLayer",
    "BertPooler",
    "BertResidual",
    "BertSelfAttention",
]


class BertEmbeddings(nn.Module):
    """Words, positions and segments, added and normalised.

    Args:
        config: its numbers.
        width: of the embeddings; the model's own by default.
        padding_position: a position that stands for padding and is not learned, or None.
    """

    def __init__(self, config: Any, width: int | None = None, padding_position: int | None = None) -> None:
        super().__init__()
        width = config.hidden_size if width is None else width
        self.word_embeddings = nn.Embedding(config.vocab_size, width, padding_idx=config.pad_token_id)
        self.position_embeddings = Positions(config.max_position_embeddings, width, padding_idx=padding_position)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, width)
        self.LayerNorm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, words: Tensor, positions: Tensor, segments: Tensor) -> Tensor:
        """Return (B, T, D) for embedded words (B, T, D), positions (B | 1, T) and segments (B | 1, T)."""
        x = words + self.token_type_embeddings(segments) + self.position_embeddings(positions)
        return self.dropout(self.LayerNorm(x))


class BertSelfAttention(nn.Module):
    """The attention itself: to the text, or to an encoder's states."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        width, heads = config.hidden_size, config.num_attention_heads
        if width % heads:
            raise EnfoldError(f"hidden_size {width} is no multiple of num_attention_heads {heads}")
        kind = vars(config).get("position_embedding_type") or "absolute"
        if kind != "absolute":
            raise EnfoldError(f"position_embedding_type {kind!r} is not known; the family has 'absolute' positions")
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.head_dim = width // heads
        self.dropout = nn.Dropout(config.attention_probs_dropout_prob)

    def forward(
        self, x: Tensor, mask: Tensor | None, causal: bool, cache: CacheLayer | None, weights: Manner
    ) -> tuple[Tensor, Tensor | None]:
        """Return (B, T, D) and, with ``weights``, (B, H, T, S)."""
        # (B, H, T, d)
        q, k, v = (split_heads(project(layer, x), self.head_dim) for layer in (self.query, self.key, self.value))
        if cache is not None:
            k, v = cache.update_and_fetch(k, v)  # (B, H, S, d)
        return self._attend(q, k, v, mask, causal, weights)

    def cross(
        self, x: Tensor, memory: Tensor, mask: Tensor | None, kept: EncoderDecoderLayer | None, weights: Manner
    ) -> tuple[Tensor, Tensor | None]:
        """Return (B, T, D) and, with ``weights``, (B, H, T, S), for what ``x`` finds in ``memory`` (B, S, D)."""

        def looked_at() -> tuple[Tensor, Tensor]:
            keys, values = (split_heads(project(layer, memory), self.head_dim) for layer in (self.key, self.value))
            return keys, values  # (B, H, S, d)

        k, v = looked_at() if kept is None else kept.crossed(looked_at)
        return self._attend(split_heads(project(self.query, x), self.head_dim), k, v, mask, False, weights)

    def _attend(
        self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, causal: bool, weights: Manner
    ) -> tuple[Tensor, Tensor | None]:
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
        if self.training:
            return self.LayerNorm(self.dropout(project(self.dense, x)) + residual)
        return self.LayerNorm(project(self.dense, x, onto=residual))


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
        return project(self.dense, x, self.act)


class BertLayer(nn.Module):
    """One layer: attention, to the encoder too where it decodes, then feed-forward; each normalised after its residual.

    Args:
        config: its numbers.
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.attention = BertAttention(config)
        self.intermediate = BertIntermediate(config)
        self.output = BertResidual(config.intermediate_size, config)
        if config.add_cross_attention:
            self.crossattention = BertAttention(config)

    def forward(
        self,
        x: Tensor,
        mask: Tensor | None,
        causal: bool,
        memory: Tensor | None,
        memory_mask: Tensor | None,
        cache: CacheLayer | EncoderDecoderLayer | None,
        weights: Manner,
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Return (B, T, D) and, with ``weights``, what was looked at in the text and in ``memory`` (B, S, D)."""
        kept = cache if isinstance(cache, EncoderDecoderLayer) else None
        own = cache.own if isinstance(cache, EncoderDecoderLayer) else cache
        attended, shares = self.attention.self(x, mask, causal, own, weights)
        x = self.attention.output(attended, x)
        crossed = None
        if memory is not None:
            found, crossed = self.crossattention.self.cross(x, memory, memory_mask, kept, weights)
            x = self.crossattention.output(found, x)
        return self.output(self.intermediate(x), x), shares, crossed


class BertEncoder(nn.Module):
    """The layers."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.layer = nn.ModuleList(BertLayer(config) for _ in range(config.num_hidden_layers))


class BertPooler(nn.Module):
    """The first token, projected: a summary of the row."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, D) for (B, T, D)."""
        return torch.tanh(self.dense(x[:, 0]))
