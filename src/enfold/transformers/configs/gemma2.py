"""Gemma 2's configuration."""

from __future__ import annotations

from typing import Any

from enfold.transformers.configs.rope import RopeConfig

__all__ = ["Gemma2Config"]


class Gemma2Config(RopeConfig):
    """The numbers of a Gemma 2 model; the defaults are those of google/gemma-2-2b.

    Example:
        >>> Gemma2Config(num_hidden_layers=3).layer_types
        ['sliding_attention', 'full_attention', 'sliding_attention']
    """

    model_type = "gemma2"
    keys_to_ignore_at_inference = ["past_key_values"]
    attribute_map = {"hidden_act": "hidden_activation"}
    period = 2  # every second layer sees everything

    vocab_size: int = 256000
    hidden_size: int = 2304
    intermediate_size: int = 9216
    num_hidden_layers: int = 26
    num_attention_heads: int = 8
    num_key_value_heads: int = 4
    head_dim: int = 256
    hidden_activation: str = "gelu_pytorch_tanh"
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
    query_pre_attn_scalar: int = 256
    sliding_window: int | None = 4096
    layer_types: list[str] = None  # type: ignore[assignment]  # by turns
    final_logit_softcapping: float | None = 30.0
    attn_logit_softcapping: float | None = 50.0
    use_bidirectional_attention: bool | None = None

    def complete(self) -> None:
        """Fill in what each layer looks at."""
        super().complete()
        if self.layer_types is None:
            kinds = ("full_attention", "sliding_attention")
            self.layer_types = [kinds[(i + 1) % self.period != 0] for i in range(self.num_hidden_layers)]
