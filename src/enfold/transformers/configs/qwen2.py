"""Qwen2's configuration."""

from __future__ import annotations

from typing import Any

from enfold.transformers.configs.rope import RopeConfig

__all__ = ["Qwen2Config"]


class Qwen2Config(RopeConfig):
    """The numbers of a Qwen2 (and Qwen2.5) model; the defaults are those of transformers.

    Example:
        >>> config = Qwen2Config(num_hidden_layers=3, use_sliding_window=True, max_window_layers=2)
        >>> config.layer_types
        ['full_attention', 'full_attention', 'sliding_attention']
    """

    model_type = "qwen2"
    keys_to_ignore_at_inference = ["past_key_values"]

    vocab_size: int = 151936
    hidden_size: int = 4096
    intermediate_size: int = 22016
    num_hidden_layers: int = 32
    num_attention_heads: int = 32
    num_key_value_heads: int = 32
    hidden_act: str = "silu"
    max_position_embeddings: int = 32768
    initializer_range: float = 0.02
    rms_norm_eps: float = 1e-6
    use_cache: bool = True
    tie_word_embeddings: bool = False
    rope_parameters: dict[str, Any] = {}
    use_sliding_window: bool = False
    sliding_window: int | None = 4096
    max_window_layers: int = 28
    layer_types: list[str] = None  # type: ignore[assignment]  # by the three fields above
    attention_dropout: float = 0.0
    pad_token_id: int | None = None
    bos_token_id: int | None = None
    eos_token_id: int | list[int] | None = None

    def complete(self) -> None:
        """Fill in what each layer looks at."""
        super().complete()
        if not self.use_sliding_window:
            self.sliding_window = None
        if self.layer_types is None:
            full = self.num_hidden_layers if self.sliding_window is None else self.max_window_layers
            kinds = ("full_attention", "sliding_attention")
            self.layer_types = [kinds[index >= full] for index in range(self.num_hidden_layers)]
