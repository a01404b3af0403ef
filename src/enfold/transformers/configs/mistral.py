"""Mistral's configuration."""

from __future__ import annotations

from typing import Any

from enfold.transformers.configs.rope import RopeConfig

__all__ = ["MistralConfig"]


class MistralConfig(RopeConfig):
    """The numbers of a Mistral model; the defaults are those of mistralai/Mistral-7B-v0.1.

    Example:
        >>> MistralConfig(sliding_window=None).head_dim
        128
    """

    model_type = "mistral"
    keys_to_ignore_at_inference = ["past_key_values"]

    vocab_size: int = 32000
    hidden_size: int = 4096
    intermediate_size: int = 14336
    num_hidden_layers: int = 32
    num_attention_heads: int = 32
    num_key_value_heads: int = 8
    head_dim: int = None  # type: ignore[assignment]  # hidden_size / num_attention_heads
    hidden_act: str = "silu"
    max_position_embeddings: int = 4096 * 32
    initializer_range: float = 0.02
    rms_norm_eps: float = 1e-6
    use_cache: bool = True
    pad_token_id: int | None = None
    bos_token_id: int | None = 1
    eos_token_id: int | list[int] | None = 2
    tie_word_embeddings: bool = False
    rope_parameters: dict[str, Any] = {}
    sliding_window: int | None = 4096
    attention_dropout: float = 0.0
