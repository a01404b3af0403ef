"""SmolLM3's configuration."""

from __future__ import annotations

from typing import Any

from enfold.transformers.configs.rope import RopeConfig

__all__ = ["SmolLM3Config"]


class SmolLM3Config(RopeConfig):
    """The numbers of a SmolLM3 model; the defaults are those of HuggingFaceTB/SmolLM3-3B.

    ``no_rope_layers`` has a 1 for each layer that knows positions and a 0 for each that does not.

    Example:
        >>> SmolLM3Config(num_hidden_layers=5).no_rope_layers
        [1, 1, 1, 0, 1]
    """

    model_type = "smollm3"
    keys_to_ignore_at_inference = ["past_key_values"]
    default_theta = 2000000.0

    vocab_size: int = 128256
    hidden_size: int = 2048
    intermediate_size: int = 11008
    num_hidden_layers: int = 36
    num_attention_heads: int = 16
    num_key_value_heads: int = 4
    hidden_act: str = "silu"
    max_position_embeddings: int = 32768
    initializer_range: float = 0.02
    rms_norm_eps: float = 1e-6
    use_cache: bool = True
    pad_token_id: int | None = 128004
    bos_token_id: int | None = 128000
    eos_token_id: int | list[int] | None = 128001
    rope_parameters: dict[str, Any] = {}
    use_sliding_window: bool = False
    sliding_window: int | None = None
    no_rope_layers: list[int] = None  # type: ignore[assignment]  # by no_rope_layer_interval
    no_rope_layer_interval: int = 4
    layer_types: list[str] = None  # type: ignore[assignment]  # windows, where asked for, in layers without positions
    attention_bias: bool = False
    attention_dropout: float = 0.0
    mlp_bias: bool = False
    tie_word_embeddings: bool = True

    def complete(self) -> None:
        """Fill in which layers know positions, and what each looks at."""
        super().complete()
        layers = range(self.num_hidden_layers)
        if self.no_rope_layers is None:
            self.no_rope_layers = [int((index + 1) % self.no_rope_layer_interval != 0) for index in layers]
        if self.layer_types is None:
            slides = self.use_sliding_window and self.sliding_window is not None
            kinds = ("full_attention", "sliding_attention")
            self.layer_types = [kinds[slides and not self.no_rope_layers[index]] for index in layers]
