"""Phi-3 (Abdin et al., 2024, "Phi-3 Technical Report"): Llama with fused projections and two sets of angles."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from enfold.nn.activations import activation
from enfold.nn.attention import Manner, split_heads
from enfold.nn.cache import CacheLayer
from enfold.transformers.configs.phi3 import Phi3Config
from enfold.transformers.models.llama import (
    Angles,
    LlamaAttention,
    LlamaDecoderLayer,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    LlamaForTokenClassification,
    LlamaModel,
    LlamaPreTrainedModel,
    head_width,
)

__all__ = [
    "Phi3Config",
    "Phi3ForCausalLM",
    "Phi3ForSequenceClassification",
    "Phi3ForTokenClassification",
    "Phi3Model",
    "Phi3PreTrainedModel",
]


class Phi3Attention(LlamaAttention):
    """Llama's attention; one projection makes queries, keys and values."""

    def __init__(self, config: Any, index: int) -> None:
        nn.Module.__init__(self)
        self.head_dim = head_width(config)
        heads, shared = config.num_attention_heads, config.num_key_value_heads
        self.sizes = [heads * self.head_dim, shared * self.head_dim, shared * self.head_dim]
        self.o_proj = nn.Linear(self.sizes[0], config.hidden_size, bias=False)
        self.qkv_proj = nn.Linear(config.hidden_size, sum(self.sizes), bias=False)
        self.drop = config.attention_dropout

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries (B, H, T, d), keys and values (B, K, T, d)."""
        q, k, v = (split_heads(part, self.head_dim) for part in self.qkv_proj(x).split(self.sizes, dim=-1))
        return q, k, v


class Phi3MLP(nn.Module):
    """The gated feed-forward; one projection makes gate and value."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.gate_up_proj = nn.Linear(config.hidden_size, 2 * config.intermediate_size, bias=False)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)
        self.act = activation(config.hidden_act)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, T, D) for (B, T, D)."""
        gate, up = self.gate_up_proj(x).chunk(2, dim=-1)
        return self.down_proj(self.act(gate) * up)


class Phi3DecoderLayer(LlamaDecoderLayer):
    """One layer: attention, then feed-forward, each normalised before and dropped out behind."""

    attention_class = Phi3Attention

    def __init__(self, config: Any, index: int) -> None:
        super().__init__(config, index)
        self.resid_attn_dropout = nn.Dropout(config.resid_pdrop)
        self.resid_mlp_dropout = nn.Dropout(config.resid_pdrop)

    def feed_forward(self, config: Any) -> nn.Module:
        """Return the feed-forward."""
        return Phi3MLP(config)

    def forward(
        self, x: Tensor, angles: Angles, mask: Tensor | None, causal: bool, cache: CacheLayer | None, weights: Manner
    ) -> tuple[Tensor, Tensor | None]:
        """Return (B, T, D) and, with ``weights``, the attention weights."""
        attended, shares = self.self_attn(self.input_layernorm(x), angles, mask, causal, cache, weights)
        x = x + self.resid_attn_dropout(attended)
        return x + self.resid_mlp_dropout(self.mlp(self.post_attention_layernorm(x))), shares


class Phi3PreTrainedModel(LlamaPreTrainedModel):
    """What all Phi-3 models share."""

    config_class = Phi3Config
    layer_class = Phi3DecoderLayer
    _no_split_modules = ["Phi3DecoderLayer"]


class Phi3Model(LlamaModel, Phi3PreTrainedModel):
    """Phi-3 without a head."""


Phi3PreTrainedModel.model_class = Phi3Model


class Phi3ForCausalLM(LlamaForCausalLM, Phi3PreTrainedModel):
    """Phi-3 that continues a text."""

    def must_read_again(self, filled: int, length: int) -> bool:
        """Return whether the text has outgrown the trained length, where the angles of every token change."""
        rope = self.config.rope_parameters
        trained = self.config.original_max_position_embeddings
        return rope["rope_type"] == "longrope" and filled <= trained < length


class Phi3ForSequenceClassification(LlamaForSequenceClassification, Phi3PreTrainedModel):
    """Phi-3 with one prediction a row, at its last token."""


class Phi3ForTokenClassification(LlamaForTokenClassification, Phi3PreTrainedModel):
    """Phi-3 with one prediction a token."""
