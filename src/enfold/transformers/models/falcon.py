"""Falcon (Almazrouei et al., 2023, "The Falcon Series of Open Language Models").

Three layouts of one architecture: 7B shares one head of keys (``multi_query``), 40B and 180B share a few
(``new_decoder_architecture``), and the small first models have as many as queries, with ``alibi`` for positions.

Shapes: B rows, T tokens, S tokens with the past, H heads, K heads of keys, d width of a head, D width, V words.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from enfold.errors import EnfoldError
from enfold.nn.activations import activation
from enfold.nn.alibi import alibi
from enfold.nn.attention import Manner, attend, merge_heads
from enfold.nn.cache import Cache, CacheLayer
from enfold.nn.mask import causal_mask
from enfold.nn.rotary import Rotary, rotate
from enfold.transformers.configs.falcon import FalconConfig
from enfold.transformers.decoders import CausalLMHead
from enfold.transformers.heads import (
    LastTokenClassificationHead,
    QuestionAnsweringHead,
    TokenClassificationHead,
    as_asked,
)
from enfold.transformers.modeling import PreTrainedModel
from enfold.transformers.outputs import BaseModelOutputWithPastAndCrossAttentions, CausalLMOutputWithCrossAttentions

__all__ = [
    "FalconConfig",
    "FalconForCausalLM",
    "FalconForQuestionAnswering",
    "FalconForSequenceClassification",
    "FalconForTokenClassification",
    "FalconModel",
    "FalconPreTrainedModel",
]

Angles = tuple[Tensor, Tensor] | None


class FalconAttention(nn.Module):
    """Causal attention; one projection makes queries, keys and values, group by group."""

    def __init__(self, config: FalconConfig) -> None:
        super().__init__()
        width, heads = config.hidden_size, config.num_attention_heads
        if width % heads:
            raise EnfoldError(f"hidden_size {width} is no multiple of num_attention_heads {heads}")
        self.head_dim = width // heads
        many = config.new_decoder_architecture or not config.multi_query
        shared = (config.num_kv_heads if config.new_decoder_architecture else heads) if many else 1
        self.group = heads // shared  # queries that share a head of keys; they lie side by side, then key and value
        self.query_key_value = nn.Linear(width, shared * (self.group + 2) * self.head_dim, bias=config.bias)
        self.dense = nn.Linear(width, width, bias=config.bias)
        self.attention_dropout = nn.Dropout(config.attention_dropout)

    def forward(
        self, x: Tensor, angles: Angles, mask: Tensor | None, causal: bool, cache: CacheLayer | None, weights: Manner
    ) -> tuple[Tensor, Tensor | None]:
        """Return (B, T, D) and, with ``weights``, (B, H, T, S)."""
        batch, length, _ = x.shape
        fused = self.query_key_value(x).view(batch, length, -1, self.group + 2, self.head_dim)
        q = fused[:, :, :, :-2].flatten(2, 3).transpose(1, 2)  # (B, H, T, d)
        k, v = fused[:, :, :, -2].transpose(1, 2), fused[:, :, :, -1].transpose(1, 2)  # (B, K, T, d)
        if angles is not None:
            q, k = rotate(q, *angles), rotate(k, *angles)
        if cache is not None:
            k, v = cache.update_and_fetch(k, v)  # (B, K, S, d)
        # Published as it was trained: weights are dropped with alibi only.
        dropout = self.attention_dropout.p if self.training and angles is None else 0.0
        out, shares = attend(q, k, v, mask, causal=causal, dropout=dropout, weights=weights)
        return self.dense(merge_heads(out)), shares


class FalconMLP(nn.Module):
    """The feed-forward."""

    def __init__(self, config: FalconConfig) -> None:
        super().__init__()
        self.dense_h_to_4h = nn.Linear(config.hidden_size, config.ffn_hidden_size, bias=config.bias)
        self.dense_4h_to_h = nn.Linear(config.ffn_hidden_size, config.hidden_size, bias=config.bias)
        self.act = activation(config.activation)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, T, D) for (B, T, D)."""
        return self.dense_4h_to_h(self.act(self.dense_h_to_4h(x)))


class FalconDecoderLayer(nn.Module):
    """One layer: attention and feed-forward beside each other, or one after the other in the small models."""

    def __init__(self, config: FalconConfig) -> None:
        super().__init__()
        width, eps = config.hidden_size, config.layer_norm_epsilon
        norms = config.num_ln_in_parallel_attn
        if norms is None and config.new_decoder_architecture:
            norms = 2
        self.parallel = config.parallel_attn
        self.self_attention = FalconAttention(config)
        self.mlp = FalconMLP(config)
        self.two_norms = self.parallel and norms == 2
        if self.two_norms:
            self.ln_attn = nn.LayerNorm(width, eps=eps)
            self.ln_mlp = nn.LayerNorm(width, eps=eps)
        else:
            self.input_layernorm = nn.LayerNorm(width, eps=eps)
        if not self.parallel:
            self.post_attention_layernorm = nn.LayerNorm(width, eps=eps)
        self.attention_dropout = nn.Dropout(config.attention_dropout)
        self.hidden_dropout = nn.Dropout(config.hidden_dropout)

    def forward(
        self, x: Tensor, angles: Angles, mask: Tensor | None, causal: bool, cache: CacheLayer | None, weights: Manner
    ) -> tuple[Tensor, Tensor | None]:
        """Return (B, T, D) and, with ``weights``, the attention weights."""
        before = self.ln_attn(x) if self.two_norms else self.input_layernorm(x)
        attended, shares = self.self_attention(before, angles, mask, causal, cache, weights)
        if self.parallel:
            fed = self.mlp(self.ln_mlp(x) if self.two_norms else before)
            return x + self.hidden_dropout(fed + attended), shares
        x = x + self.attention_dropout(attended)
        return x + self.hidden_dropout(self.mlp(self.post_attention_layernorm(x))), shares


class FalconPreTrainedModel(PreTrainedModel):
    """What all Falcon models share."""

    config_class = FalconConfig
    base_model_prefix = "transformer"
    _supports_sdpa = True
    _no_split_modules = ["FalconDecoderLayer"]
    _keys_to_ignore_on_load_unexpected = [r"rotary(_emb)?\.inv_freq$"]


class FalconModel(FalconPreTrainedModel):
    """Falcon without a head."""

    _input_embed_layer = "word_embeddings"

    def __init__(self, config: FalconConfig) -> None:
        super().__init__(config)
        self.word_embeddings = nn.Embedding(config.vocab_size, config.hidden_size)
        self.h = nn.ModuleList(FalconDecoderLayer(config) for _ in range(config.num_hidden_layers))
        self.ln_f = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_epsilon)
        rope = config.rope_parameters
        self.rotary = Rotary(config.head_dim, rope["rope_theta"], rope, config.max_position_embeddings)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        past_key_values: Cache | Any | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        **_: Any,
    ) -> Any:
        """Return the states of every token; arguments as Llama's."""
        x = self.word_embeddings(input_ids) if inputs_embeds is None else inputs_embeds
        length = x.shape[1]
        cache = self.cache_for(past_key_values, use_cache)
        past = 0 if cache is None else cache.get_seq_length()
        keys = length if cache is None else cache.get_mask_sizes(length)[0]
        if position_ids is None:
            position_ids = (torch.arange(length, device=x.device) + past)[None]
        mask, causal = causal_mask(attention_mask, length, past, keys=keys, device=x.device)
        angles: Angles = None
        if self.config.alibi:
            mask, causal = self.biased(attention_mask, mask, x, past, keys), False
        else:
            angles = self.rotary.tables(position_ids, x.dtype)  # (B | 1, 1, T, d/2) each
        record = self.recording(output_attentions, output_hidden_states)

        x = self.ln_f(self.decode(self.h, x, record, angles, mask, causal, cache=cache))
        record.finish(x)
        output = BaseModelOutputWithPastAndCrossAttentions(x, cache, record.hidden_states, record.attentions)
        return as_asked(output, return_dict, self.config.return_dict)

    def biased(self, attention_mask: Tensor | None, mask: Tensor | None, x: Tensor, past: Any, keys: int) -> Tensor:
        """Return what is added to scores (B | 1, H, T, S): alibi, and a very low number where a query must not look."""
        config, length = self.config, x.shape[1]
        if attention_mask is None:
            attention_mask = torch.ones(1, keys, dtype=torch.long, device=x.device)
        bias = alibi(attention_mask, config.num_attention_heads, keys).to(x.dtype) * config.head_dim**-0.5
        if mask is None:
            place = torch.arange(keys, device=x.device)
            mask = (place <= (torch.arange(length, device=x.device) + past)[:, None])[None, None]
        return bias.masked_fill(~mask, torch.finfo(x.dtype).min)


class FalconForCausalLM(CausalLMHead, FalconPreTrainedModel):
    """Falcon that continues a text."""

    output_class = CausalLMOutputWithCrossAttentions
    _tied_weights_keys = {"lm_head.weight": "transformer.word_embeddings.weight"}

    def __init__(self, config: FalconConfig) -> None:
        super().__init__(config)
        self.transformer = FalconModel(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()


class FalconForSequenceClassification(LastTokenClassificationHead, FalconPreTrainedModel):
    """Falcon with one prediction a row, at its last token."""

    def __init__(self, config: FalconConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        self.transformer = FalconModel(config)
        self.score = nn.Linear(config.hidden_size, config.num_labels, bias=False)
        self.post_init()

    def read(self, output: Any) -> Tensor:
        """Return logits (B, T, C)."""
        return self.score(output.last_hidden_state)


class FalconForTokenClassification(TokenClassificationHead, FalconPreTrainedModel):
    """Falcon with one prediction a token."""

    def __init__(self, config: FalconConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        drop = getattr(config, "classifier_dropout", None)
        self.transformer = FalconModel(config)
        self.dropout = nn.Dropout(config.hidden_dropout if drop is None else drop)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()

    def read(self, output: Any) -> Tensor:
        """Return logits (B, T, C)."""
        return self.classifier(self.dropout(output.last_hidden_state))


class FalconForQuestionAnswering(QuestionAnsweringHead, FalconPreTrainedModel):
    """Falcon that marks an answer in a text."""

    def __init__(self, config: FalconConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        self.transformer = FalconModel(config)
        self.qa_outputs = nn.Linear(config.hidden_size, 2)
        self.post_init()

    def read(self, output: Any) -> Tensor:
        """Return logits (B, T, 2)."""
        return self.qa_outputs(output.last_hidden_state)
