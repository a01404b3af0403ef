"""Llama's configuration."""

from __future__ import annotations

from typing import Any

from enfold.transformers.configs.rope import RopeConfig

__all__ = ["LlamaConfig"]


class LlamaConfig(RopeConfig):
    """The numbers of a Llama model; the defaults are those of the first 7B one.

    Example:
        >>> LlamaConfig(hidden_size=64, num_attention_heads=4).head_dim
        16
    """

    model_type = "llama"
    keys_to_ignore_at_inference = ["past_key_values"]

    vocab_size: int = 32000
    hidden_size: int = 4096
    intermediate_size: int = 11008
    num_hidden_layers: int = 32
    num_attention_heads: int = 32
    num_key_value_heads: int = None  # type: ignore[assignment]  # as many as attention heads
    hidden_act: str = "silu"
    max_position_embeddings: int = 2048
    initializer_range: float = 0.02
    rms_norm_eps: float = 1e-6
    use_cache: bool = True
    pad_token_id: int | None = None
    bos_token_id: int | None = 1
    eos_token_id: int | list[int] | None = 2
    pretraining_tp: int = 1
    tie_word_embeddings: bool = False
    rope_parameters: dict[str, Any] = {}
    attention_bias: bool = False
    attention_dropout: float = 0.0
    mlp_bias: bool = False
    head_dim: int = None  # type: ignore[assignment]  # hidden_size / num_attention_heads
