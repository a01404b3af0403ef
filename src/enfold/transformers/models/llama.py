"""Llama (Touvron et al., 2023, "LLaMA: Open and Efficient Foundation Language Models", and its successors).

Its relatives (Mistral, Qwen, Gemma, Phi-3, SmolLM3 …) are subclasses that say what differs: a block by ``*_class``, a
number by a class attribute.

Shapes: B rows, T tokens, S tokens with the past, H heads, K heads of keys, d width of a head, D width, V words.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from enfold.nn.attention import Manner, attend, merge_heads, split_heads
from enfold.nn.cache import Cache, CacheLayer
from enfold.nn.linear import project
from enfold.nn.mask import layer_kinds, masks_by_kind
from enfold.nn.mlp import GatedMLP
from enfold.nn.norm import RMSNorm
from enfold.nn.outputs import ModelOutput
from enfold.nn.record import Record
from enfold.nn.rotary import Rotary, rotate
from enfold.nn.step import Parts
from enfold.transformers.configs.llama import LlamaConfig
from enfold.transformers.decoders import CausalLMHead
from enfold.transformers.heads import (
    LastTokenClassificationHead,
    QuestionAnsweringHead,
    TokenClassificationHead,
    as_asked,
)
from enfold.transformers.modeling import PreTrainedModel
from enfold.transformers.outputs import BaseModelOutputWithPast

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


def head_width(config: Any) -> int:
    """Return d: what the configuration says, or its share of the width."""
    return getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads


class LlamaAttention(nn.Module):
    """Causal attention with rotary positions; several queries may share one head of keys."""

    qkv_bias: ClassVar[bool | None] = None  # None does as ``config.attention_bias`` says
    out_bias: ClassVar[bool | None] = None
    scale: float | None = None  # of the scores; 1 / √d by default
    softcap: float | None = None

    def __init__(self, config: Any, index: int) -> None:
        super().__init__()
        width, dim = config.hidden_size, head_width(config)
        asked = getattr(config, "attention_bias", False)
        bias = asked if self.qkv_bias is None else self.qkv_bias
        self.q_proj = nn.Linear(width, config.num_attention_heads * dim, bias=bias)
        self.k_proj = nn.Linear(width, config.num_key_value_heads * dim, bias=bias)
        self.v_proj = nn.Linear(width, config.num_key_value_heads * dim, bias=bias)
        bias = asked if self.out_bias is None else self.out_bias
        self.o_proj = nn.Linear(config.num_attention_heads * dim, width, bias=bias)
        self.head_dim = dim
        self.drop = config.attention_dropout

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries (B, H, T, d), keys and values (B, K, T, d)."""
        q, k, v = project(self.q_proj, x), project(self.k_proj, x), project(self.v_proj, x)
        return split_heads(q, self.head_dim), split_heads(k, self.head_dim), split_heads(v, self.head_dim)

    def place(self, q: Tensor, k: Tensor, angles: Angles) -> tuple[Tensor, Tensor]:
        """Return queries and keys that know their positions."""
        return rotate(q, *angles), rotate(k, *angles)

    def forward(
        self, x: Tensor, angles: Angles, mask: Tensor | None, causal: bool, cache: CacheLayer | None, weights: Manner
    ) -> tuple[Tensor, Tensor | None]:
        """Return (B, T, D) and, with ``weights``, (B, H, T, S)."""
        q, k, v = self.project(x)
        q, k = self.place(q, k, angles)
        if cache is not None:
            k, v = cache.update_and_fetch(k, v)  # (B, K, S, d)
        dropout = self.drop if self.training else 0.0
        out, shares = attend(
            q, k, v, mask, causal=causal, scale=self.scale, softcap=self.softcap, dropout=dropout, weights=weights
        )
        return project(self.o_proj, merge_heads(out)), shares


class LlamaDecoderLayer(nn.Module):
    """One layer: attention, then feed-forward, each normalised before."""

    attention_class: ClassVar[Any] = LlamaAttention
    norm_class: ClassVar[type[RMSNorm]] = RMSNorm

    def __init__(self, config: Any, index: int) -> None:
        super().__init__()
        self.self_attn = self.attention_class(config, index)
        self.mlp = self.feed_forward(config)
        self.input_layernorm = self.norm_class(config.hidden_size, config.rms_norm_eps)
        self.post_attention_layernorm = self.norm_class(config.hidden_size, config.rms_norm_eps)

    def feed_forward(self, config: Any) -> nn.Module:
        """Return the feed-forward."""
        bias = getattr(config, "mlp_bias", False)
        return GatedMLP(config.hidden_size, config.intermediate_size, config.hidden_act, bias=bias)

    def parts(self) -> Parts | None:
        """Return what the layer is made of, or None where a relative computes otherwise."""
        attn, mlp, own = self.self_attn, self.mlp, LlamaAttention
        kind = type(attn)
        if (kind.forward, kind.project, kind.place) != (own.forward, own.project, own.place) or kind.softcap:
            return None
        if type(self).forward is not LlamaDecoderLayer.forward or type(mlp) is not GatedMLP:
            return None
        inputs = attn.q_proj, attn.k_proj, attn.v_proj
        norms = self.input_layernorm, self.post_attention_layernorm
        feed = mlp.gate_proj, mlp.up_proj, mlp.down_proj
        return Parts(*norms, inputs, attn.o_proj, *feed, mlp.act, attn.head_dim, attn.scale)

    def sight(self, angles: Angles, mask: Tensor | None, causal: bool) -> tuple[Tensor | None, Angles]:
        """Return the mask and the angles among what the layer is given beside the states."""
        return mask, angles

    def forward(
        self, x: Tensor, angles: Angles, mask: Tensor | None, causal: bool, cache: CacheLayer | None, weights: Manner
    ) -> tuple[Tensor, Tensor | None]:
        """Return (B, T, D) and, with ``weights``, the attention weights."""
        attended, shares = self.self_attn(self.input_layernorm(x), angles, mask, causal, cache, weights)
        x = x + attended
        return x + self.mlp(self.post_attention_layernorm(x)), shares


class LlamaPreTrainedModel(PreTrainedModel):
    """What all Llama models share."""

    config_class: ClassVar[Any] = LlamaConfig
    base_model_prefix = "model"
    _supports_sdpa = True
    model_class: ClassVar[Any]  # the model without a head, set below it
    layer_class: ClassVar[Any] = LlamaDecoderLayer
    norm_class: ClassVar[type[RMSNorm]] = RMSNorm
    _no_split_modules = ["LlamaDecoderLayer"]
    _keys_to_ignore_on_load_unexpected = [r"rotary_emb\.inv_freq$"]


class LlamaModel(LlamaPreTrainedModel):
    """Llama without a head."""

    _input_embed_layer = "embed_tokens"

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.embed_tokens = self.embedding(config)
        self.layers = nn.ModuleList(self.layer_class(config, index) for index in range(config.num_hidden_layers))
        self.norm = self.norm_class(config.hidden_size, config.rms_norm_eps)
        self.kinds = layer_kinds(config)
        self.window = getattr(config, "sliding_window", None)
        self.rotary = self.rotaries(config)
        self.post_init()

    def embedding(self, config: Any) -> nn.Embedding:
        """Return the embedding of tokens."""
        return nn.Embedding(config.vocab_size, config.hidden_size, config.pad_token_id)

    def rotaries(self, config: Any) -> dict[str, Rotary]:
        """Return what turns queries and keys, for each kind of layer."""
        rope = config.rope_parameters
        one = Rotary(head_width(config), rope["rope_theta"], rope, config.max_position_embeddings)
        return dict.fromkeys(self.kinds, one)

    def angles(self, positions: Tensor, dtype: torch.dtype) -> dict[str, Angles]:
        """Return cosines and sines (B | 1, 1, T, d/2) for each kind of layer."""
        made: dict[int, Angles] = {}
        for rotary in self.rotary.values():
            if id(rotary) not in made:
                made[id(rotary)] = rotary.tables(positions, dtype)
        return {kind: made[id(rotary)] for kind, rotary in self.rotary.items()}

    def masks(
        self, attention_mask: Any, length: int, cache: Cache | None, device: torch.device
    ) -> dict[str, tuple[Tensor | None, bool]]:
        """Return mask and causality for each kind of layer."""
        return masks_by_kind(attention_mask, length, cache, self.kinds, window=self.window, device=device)

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
        **extra: Any,
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
            extra: ``output_router_logits``, in models with experts; the rest is not looked at.
        """
        x = self.embed_tokens(input_ids) if inputs_embeds is None else inputs_embeds
        length = x.shape[1]
        cache = self.cache_for(past_key_values, use_cache)
        if position_ids is None:
            position_ids = torch.arange(length, device=x.device)[None]
            if cache is not None:
                position_ids = position_ids + cache.get_seq_length()
        masks = self.masks(attention_mask, length, cache, x.device)
        angles = self.angles(position_ids, x.dtype)
        record = self.recording(output_attentions, output_hidden_states, extra.get("output_router_logits"))

        views = [(angles[kind], *masks[kind]) for kind in self.kinds]
        x = self.norm(self.decode(self.layers, x, record, cache=cache, each=views))
        record.finish(x)
        return as_asked(self.output(x, cache, record), return_dict, self.config.return_dict)

    def output(self, x: Tensor, cache: Cache | None, record: Record) -> ModelOutput:
        """Return the output for the last states (B, T, D)."""
        return BaseModelOutputWithPast(x, cache, record.hidden_states, record.attentions)


LlamaPreTrainedModel.model_class = LlamaModel


class LlamaForCausalLM(CausalLMHead, LlamaPreTrainedModel):
    """Llama that continues a text.

    Example:
        >>> model = LlamaForCausalLM(LlamaConfig(vocab_size=9, hidden_size=8, intermediate_size=8, num_hidden_layers=1,
        ...                                      num_attention_heads=2)).eval()
        >>> model.generate(torch.tensor([[1, 5]]), max_length=4, min_length=4).shape
        torch.Size([1, 4])
    """

    _tied_weights_keys = {"lm_head.weight": "model.embed_tokens.weight"}

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.vocab_size = config.vocab_size
        self.model = self.model_class(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()


class LlamaForSequenceClassification(LastTokenClassificationHead, LlamaPreTrainedModel):
    """Llama with one prediction a row, at its last token."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        self.model = self.model_class(config)
        self.score = nn.Linear(config.hidden_size, config.num_labels, bias=False)
        self.post_init()

    def read(self, output: Any) -> Tensor:
        """Return logits (B, T, C)."""
        return self.score(output.last_hidden_state)


class LlamaForTokenClassification(TokenClassificationHead, LlamaPreTrainedModel):
    """Llama with one prediction a token."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        drop = getattr(config, "classifier_dropout", None)
        drop = getattr(config, "hidden_dropout", None) if drop is None else drop
        self.model = self.model_class(config)
        self.dropout = nn.Dropout(0.1 if drop is None else drop)
        self.score = nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()

    def read(self, output: Any) -> Tensor:
        """Return logits (B, T, C)."""
        return self.score(self.dropout(output.last_hidden_state))


class LlamaForQuestionAnswering(QuestionAnsweringHead, LlamaPreTrainedModel):
    """Llama that marks an answer in a text; its checkpoints keep the model under ``transformer``."""

    base_model_prefix = "transformer"

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        setattr(self, self.base_model_prefix, self.model_class(config))
        self.qa_outputs = nn.Linear(config.hidden_size, 2)
        self.post_init()

    def read(self, output: Any) -> Tensor:
        """Return logits (B, T, 2)."""
        return self.qa_outputs(output.last_hidden_state)
