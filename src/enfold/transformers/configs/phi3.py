"""Phi-3's configuration."""

from __future__ import annotations

from typing import Any

from enfold.transformers.configs.rope import RopeConfig

__all__ = ["Phi3Config"]


class Phi3Config(RopeConfig):
    """The numbers of a Phi-3 model; the defaults are those of microsoft/Phi-3-mini-4k-instruct.

    Example:
        >>> Phi3Config(partial_rotary_factor=0.75).rope_parameters["partial_rotary_factor"]
        0.75
    """

    model_type = "phi3"
    keys_to_ignore_at_inference = ["past_key_values"]

    vocab_size: int = 32064
    hidden_size: int = 3072
    intermediate_size: int = 8192
    num_hidden_layers: int = 32
    num_attention_heads: int = 32
    num_key_value_heads: int = None  # type: ignore[assignment]  # as many as attention heads
    resid_pdrop: float = 0.0
    embd_pdrop: float = 0.0
    attention_dropout: float = 0.0
    hidden_act: str = "silu"
    max_position_embeddings: int = 4096
    original_max_position_embeddings: int = 4096
    initializer_range: float = 0.02
    rms_norm_eps: float = 1e-5
    use_cache: bool = True
    tie_word_embeddings: bool = False
    rope_parameters: dict[str, Any] = {}
    bos_token_id: int | None = 1
    eos_token_id: int | list[int] | None = 32000
    pad_token_id: int | None = 32000
    sliding_window: int | None = None

    def complete(self) -> None:
        """Give the long angles the name they have today: the first files called them ``su`` and ``yarn``."""
        rope = self.rope_parameters
        if rope["rope_type"] in ("su", "yarn"):
            rope["rope_type"] = "longrope"
        rope.setdefault("partial_rotary_factor", 1.0)
        super().complete()
