"""Llama (Touvron et al., 2023, "LLaMA: Open and Efficient Foundation Language Models", and its successors).

Shapes: B rows, T tokens, S tokens with the past, H heads, K heads of keys, d width of a head, D width, V words.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from enfold.nn.activations import activation
from enfold.nn.attention import attend, merge_heads, split_heads
from enfold.nn.cache import Cache, CacheLayer
from enfold.nn.losses import causal_lm_loss
from enfold.nn.mask import causal_mask
from enfold.nn.norm import RMSNorm
from enfold.nn.rotary import Rotary, rotate
from enfold.transformers.configs.llama import LlamaConfig
from enfold.transformers.generation.mixin import GenerationMixin
from enfold.transformers.heads import (
    LastTokenClassificationHead,
    QuestionAnsweringHead,
    TokenClassificationHead,
    as_asked,
)
from enfold.transformers.modeling import PreTrainedModel
from enfold.transformers.outputs import BaseModelOutputWithPast, CausalLMOutputWithPast

__all__ = [
    "LlamaConfig",
    "LlamaForCausalLM",
    "LlamaForQuestionAnswering",
    "LlamaForSequenceClassification",
    "LlamaForTokenClassification",
    "LlamaModel",
    "LlamaPreTrainedModel",
]

Angles = tuple[Tensor, Tensor]


class LlamaAttention(nn.Module):
    """Causal attention with rotary positions; several queries may share one head of keys."""

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        width, dim, bias = config.hidden_size, config.head_dim, config.attention_bias
        self.q_proj = nn.Linear(width, config.num_attention_heads * dim, bias=bias)
        self.k_proj = nn.Linear(width, config.num_key_value_heads * dim, bias=bias)
        self.v_proj = nn.Linear(width, config.num_key_value_heads * dim, bias=bias)
        self.o_proj = nn.Linear(config.num_attention_heads * dim, width, bias=bias)
        self.head_dim = dim
        self.drop = config.attention_dropout

    def forward(
        self, x: Tensor, angles: Angles, mask: Tensor | None, causal: bool, cache: CacheLayer | None, weights: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Return (B, T, D) and, with ``weights``, (B, H, T, S)."""
        q = rotate(split_heads(self.q_proj(x), self.head_dim), *angles)  # (B, H, T, d)
        k = rotate(split_heads(self.k_proj(x), self.head_dim), *angles)  # (B, K, T, d)
        v = split_heads(self.v_proj(x), self.head_dim)  # (B, K, T, d)
        if cache is not None:
            k, v = cache.update_and_fetch(k, v)  # (B, K, S, d)
        dropout = self.drop if self.training else 0.0
        out, shares = attend(q, k, v, mask, causal=causal, dropout=dropout, weights=weights)
        return self.o_proj(merge_heads(out)), shares


class LlamaMLP(nn.Module):
    """The gated feed-forward (Shazeer, 2020, "GLU Variants Improve Transformer")."""

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        width, inner, bias = config.hidden_size, config.intermediate_size, config.mlp_bias
        self.gate_proj = nn.Linear(width, inner, bias=bias)
        self.up_proj = nn.Linear(width, inner, bias=bias)
        self.down_proj = nn.Linear(inner, width, bias=bias)
        self.act = activation(config.hidden_act)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, T, D) for (B, T, D)."""
        return self.down_proj(self.act(self.gate_proj(x)) * self.up_proj(x))


class LlamaDecoderLayer(nn.Module):
    """One layer: attention, then feed-forward, each normalised before."""

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        self.self_attn = LlamaAttention(config)
        self.mlp = LlamaMLP(config)
        self.input_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)

    def forward(
        self, x: Tensor, angles: Angles, mask: Tensor | None, causal: bool, cache: CacheLayer | None, weights: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Return (B, T, D) and, with ``weights``, the attention weights."""
        attended, shares = self.self_attn(self.input_layernorm(x), angles, mask, causal, cache, weights)
        x = x + attended
        return x + self.mlp(self.post_attention_layernorm(x)), shares


class LlamaPreTrainedModel(PreTrainedModel):
    """What all Llama models share."""

    config_class = LlamaConfig
    base_model_prefix = "model"
    _no_split_modules = ["LlamaDecoderLayer"]
    _keys_to_ignore_on_load_unexpected = [r"rotary_emb\.inv_freq$"]


class LlamaModel(LlamaPreTrainedModel):
    """Llama without a head."""

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__(config)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size, config.pad_token_id)
        self.layers = nn.ModuleList(LlamaDecoderLayer(config) for _ in range(config.num_hidden_layers))
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        rope = config.rope_parameters
        self.rotary = Rotary(config.head_dim, rope["rope_theta"], rope, config.max_position_embeddings)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """Return the embedding of tokens."""
        return self.embed_tokens

    def set_input_embeddings(self, value: Any) -> None:
        """Replace the embedding of tokens."""
        self.embed_tokens = value

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Cache | Any | None = None,
        inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        **_: Any,
    ) -> Any:
        """Return the states of every token.

        Args:
            input_ids: (B, T).
            attention_mask: (B, S), 1 for a token, 0 for padding; the past included.
            position_ids: (B | 1, T); counted on from the past by default.
            past_key_values: keys and values of the tokens before.
            inputs_embeds: (B, T, D), instead of ``input_ids``.
            use_cache: return the cache; ``config.use_cache`` by default.
            output_attentions: return the attention weights.
            output_hidden_states: return the states between the layers.
            return_dict: False returns a tuple.
        """
        config = self.config
        x = self.embed_tokens(input_ids) if inputs_embeds is None else inputs_embeds
        length = x.shape[1]
        cache = self.cache_for(past_key_values, use_cache)
        past = 0 if cache is None else cache.get_seq_length()
        if position_ids is None:
            position_ids = torch.arange(past, past + length, device=x.device)[None]
        angles = self.rotary.tables(position_ids, x.dtype)  # (B | 1, 1, T, d/2) each
        mask, causal = causal_mask(attention_mask, length, past, device=x.device)
        record = self.recording(output_attentions, output_hidden_states)

        x = self.norm(self.decode(self.layers, x, record, angles, mask, causal, cache=cache))
        record.finish(x)
        output = BaseModelOutputWithPast(
            last_hidden_state=x,
            past_key_values=cache,
            hidden_states=record.hidden_states,
            attentions=record.attentions,
        )
        return as_asked(output, return_dict, config.return_dict)


class LlamaForCausalLM(LlamaPreTrainedModel, GenerationMixin):
    """Llama that continues a text."""

    _tied_weights_keys = {"lm_head.weight": "model.embed_tokens.weight"}

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__(config)
        self.vocab_size = config.vocab_size
        self.model = LlamaModel(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        num_items_in_batch: Tensor | int | None = None,
        return_dict: bool | None = None,
        **extra: Any,
    ) -> Any:
        """Return next-token logits (B, T, V); ``labels`` (B, T) are the input ids, or -100."""
        states = self.model(
            input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            use_cache=use_cache,
            return_dict=True,
            **extra,
        )
        kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        logits = self.lm_head(states.last_hidden_state[:, kept])
        loss = None if labels is None else causal_lm_loss(logits, labels, num_items_in_batch)
        output = CausalLMOutputWithPast(loss, logits, states.past_key_values, states.hidden_states, states.attentions)
        return as_asked(output, return_dict, self.config.return_dict)


class LlamaForSequenceClassification(LastTokenClassificationHead, LlamaPreTrainedModel):
    """Llama with one prediction a row, at its last token."""

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        self.model = LlamaModel(config)
        self.score = nn.Linear(config.hidden_size, config.num_labels, bias=False)
        self.post_init()

    def read(self, output: Any) -> Tensor:
        """Return logits (B, T, C)."""
        return self.score(output.last_hidden_state)


class LlamaForTokenClassification(TokenClassificationHead, LlamaPreTrainedModel):
    """Llama with one prediction a token."""

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        drop = getattr(config, "classifier_dropout", None)
        drop = getattr(config, "hidden_dropout", None) if drop is None else drop
        self.model = LlamaModel(config)
        self.dropout = nn.Dropout(0.1 if drop is None else drop)
        self.score = nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()

    def read(self, output: Any) -> Tensor:
        """Return logits (B, T, C)."""
        return self.score(self.dropout(output.last_hidden_state))


class LlamaForQuestionAnswering(QuestionAnsweringHead, LlamaPreTrainedModel):
    """Llama that marks an answer in a text; its checkpoints keep the model under ``transformer``."""

    base_model_prefix = "transformer"

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__(config)
        self.transformer = LlamaModel(config)
        self.qa_outputs = nn.Linear(config.hidden_size, 2)
        self.post_init()

    def read(self, output: Any) -> Tensor:
        """Return logits (B, T, 2)."""
        return self.qa_outputs(output.last_hidden_state)
