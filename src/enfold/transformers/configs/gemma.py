"""Gemma's configuration."""

from __future__ import annotations

from typing import Any

from enfold.transformers.configs.rope import RopeConfig

__all__ = ["GemmaConfig"]


class GemmaConfig(RopeConfig):
    """The numbers of a Gemma model; the defaults are those of google/gemma-7b.

    Example:
        >>> GemmaConfig(hidden_act="gelu").hidden_act
        'gelu_pytorch_tanh'
    """

    model_type = "gemma"
    keys_to_ignore_at_inference = ["past_key_values"]

    vocab_size: int = 256000
    hidden_size: int = 3072
    intermediate_size: int = 24576
    num_hidden_layers: int = 28
    num_attention_heads: int = 16
    num_key_value_heads: int = 16
    head_dim: int = 256
    hidden_act: str = "gelu_pytorch_tanh"
    max_position_embeddings: int = 8192
    initializer_range: float = 0.02
    rms_norm_eps: float = 1e-6
    use_cache: bool = True
    pad_token_id: int | None = 0
    eos_token_id: int | list[int] | None = 1
    bos_token_id: int | None = 2
    tie_word_embeddings: bool = True
    rope_parameters: dict[str, Any] = {}
    attention_bias: bool = False
    attention_dropout: float = 0.0
    use_bidirectional_attention: bool | None = None

    def complete(self) -> None:
        """Read the first files as they were meant: their ``gelu`` is the approximation by tanh."""
        super().complete()
        if self.hidden_act == "gelu":
            self.hidden_act = "gelu_pytorch_tanh"
