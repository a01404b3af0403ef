"""ModernBERT's configuration."""

from __future__ import annotations

from typing import Any

from enfold.transformers.config import PretrainedConfig

__all__ = ["ModernBertConfig"]


class ModernBertConfig(PretrainedConfig):
    """The numbers of a ModernBERT model; the defaults are those of ModernBERT-base.

    ``layer_types`` and ``rope_parameters`` (v5) say the same as ``global_attn_every_n_layers``, ``global_rope_theta``
    and ``local_rope_theta`` (v4); whichever is given fills in the other, and both are saved.

    Example:
        >>> config = ModernBertConfig(num_hidden_layers=4, global_attn_every_n_layers=2)
        >>> config.layer_types
        ['full_attention', 'sliding_attention', 'full_attention', 'sliding_attention']
    """

    model_type = "modernbert"
    keys_to_ignore_at_inference = ["past_key_values"]

    vocab_size: int = 50368
    hidden_size: int = 768
    intermediate_size: int = 1152
    num_hidden_layers: int = 22
    num_attention_heads: int = 12
    hidden_activation: str = "gelu"
    max_position_embeddings: int = 8192
    initializer_range: float = 0.02
    initializer_cutoff_factor: float = 2.0
    norm_eps: float = 1e-5
    norm_bias: bool = False
    pad_token_id: int | None = 50283
    eos_token_id: int | list[int] | None = 50282
    bos_token_id: int | None = 50281
    cls_token_id: int | None = 50281
    sep_token_id: int | None = 50282
    global_rope_theta: float = None  # type: ignore[assignment]  # 160000
    attention_bias: bool = False
    attention_dropout: float = 0.0
    global_attn_every_n_layers: int = 3
    local_attention: int = 128
    local_rope_theta: float = None  # type: ignore[assignment]  # 10000
    embedding_dropout: float = 0.0
    mlp_bias: bool = False
    mlp_dropout: float = 0.0
    decoder_bias: bool = True
    classifier_pooling: str = "cls"
    classifier_dropout: float = 0.0
    classifier_bias: bool = False
    classifier_activation: str = "gelu"
    deterministic_flash_attn: bool = False
    sparse_prediction: bool = False
    sparse_pred_ignore_index: int = -100
    layer_types: list[str] = None  # type: ignore[assignment]
    rope_parameters: dict[str, dict[str, Any]] = None  # type: ignore[assignment]
    tie_word_embeddings: bool = True

    def complete(self) -> None:
        """Say in both spellings which layers look everywhere and how far apart their wavelengths are."""
        if self.layer_types is None:
            kinds = ("full_attention", "sliding_attention")
            self.layer_types = [
                kinds[bool(index % self.global_attn_every_n_layers)] for index in range(self.num_hidden_layers)
            ]
        rope = self.rope_parameters or {}
        for kind, field, usual in (
            ("full_attention", "global_rope_theta", 160000.0),
            ("sliding_attention", "local_rope_theta", 10000.0),
        ):
            given = {"rope_type": "default", **(rope.get(kind) or {})}
            theta = getattr(self, field)
            given.setdefault("rope_theta", usual if theta is None else theta)
            rope[kind] = given
            setattr(self, field, given["rope_theta"])
        self.rope_parameters = rope

    @property
    def sliding_window(self) -> int:
        """How far a token of a local layer sees in each direction: half of ``local_attention``."""
        return self.local_attention // 2

    @sliding_window.setter
    def sliding_window(self, distance: int) -> None:
        self.local_attention = 2 * distance
