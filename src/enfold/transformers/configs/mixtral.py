"""Mixtral's configuration."""

from __future__ import annotations

from typing import Any

from enfold.transformers.configs.rope import RopeConfig

__all__ = ["MixtralConfig"]


class MixtralConfig(RopeConfig):
    """The numbers of a Mixtral model; the defaults are those of mistralai/Mixtral-8x7B-v0.1.

    Example:
        >>> MixtralConfig(num_local_experts=4).num_experts
        4
    """

    model_type = "mixtral"
    keys_to_ignore_at_inference = ["past_key_values"]
    attribute_map = {"num_experts": "num_local_experts"}
    default_theta = 1000000.0

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
    rms_norm_eps: float = 1e-5
    use_cache: bool = True
    pad_token_id: int | None = None
    bos_token_id: int | None = 1
    eos_token_id: int | list[int] | None = 2
    tie_word_embeddings: bool = False
    sliding_window: int | None = None
    attention_dropout: float = 0.0
    num_experts_per_tok: int = 2
    num_local_experts: int = 8
    output_router_logits: bool = False
    router_aux_loss_coef: float = 0.001
    router_jitter_noise: float = 0.0
    rope_parameters: dict[str, Any] = {}
