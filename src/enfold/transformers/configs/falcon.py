"""Falcon's configuration."""

from __future__ import annotations

from typing import Any

from enfold.transformers.configs.rope import RopeConfig

__all__ = ["FalconConfig"]


class FalconConfig(RopeConfig):
    """The numbers of a Falcon model; the defaults are those of tiiuae/falcon-7b.

    Example:
        >>> FalconConfig().head_dim, FalconConfig(alibi=True).rotary
        (64, False)
    """

    model_type = "falcon"
    keys_to_ignore_at_inference = ["past_key_values"]
    attribute_map = {"n_embed": "hidden_size", "n_layer": "num_hidden_layers", "n_head": "num_attention_heads"}

    vocab_size: int = 65024
    hidden_size: int = 4544
    num_hidden_layers: int = 32
    num_attention_heads: int = 71
    num_ln_in_parallel_attn: int | None = None
    layer_norm_epsilon: float = 1e-5
    initializer_range: float = 0.02
    use_cache: bool = True
    hidden_dropout: float = 0.0
    attention_dropout: float = 0.0
    num_kv_heads: int = None  # type: ignore[assignment]  # as many as attention heads
    alibi: bool = False
    new_decoder_architecture: bool = False
    multi_query: bool = True
    parallel_attn: bool = True
    bias: bool = False
    max_position_embeddings: int = 2048
    rope_parameters: dict[str, Any] = {}
    bos_token_id: int | None = 11
    eos_token_id: int | list[int] | None = 11
    pad_token_id: int | None = None
    ffn_hidden_size: int = None  # type: ignore[assignment]  # 4 · hidden_size
    activation: str = "gelu"
    tie_word_embeddings: bool = True

    def complete(self) -> None:
        """Fill in the number of key heads and the size of the feed-forward."""
        super().complete()
        if self.num_kv_heads is None:
            self.num_kv_heads = self.num_attention_heads
        if self.ffn_hidden_size is None:
            self.ffn_hidden_size = 4 * self.hidden_size

    @property
    def head_dim(self) -> int:
        """Size of a head."""
        return self.hidden_size // self.num_attention_heads

    @property
    def rotary(self) -> bool:
        """Whether positions turn queries and keys; else alibi weakens distant ones."""
        return not self.alibi
