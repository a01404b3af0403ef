"""OWL-ViT's configurations."""

from __future__ import annotations

from typing import Any

from enfold.transformers.config import PretrainedConfig
from enfold.transformers.configs.composite import CompositeConfig

__all__ = ["OwlViTConfig", "OwlViTTextConfig", "OwlViTVisionConfig"]


class OwlViTTextConfig(PretrainedConfig):
    """The numbers of OWL-ViT's text encoder."""

    model_type = "owlvit_text_model"
    base_config_key = "text_config"

    vocab_size: int = 49408
    hidden_size: int = 512
    intermediate_size: int = 2048
    num_hidden_layers: int = 12
    num_attention_heads: int = 8
    max_position_embeddings: int = 16
    hidden_act: str = "quick_gelu"
    layer_norm_eps: float = 1e-5
    attention_dropout: float = 0.0
    initializer_range: float = 0.02
    initializer_factor: float = 1.0
    pad_token_id: int | None = 0
    bos_token_id: int | None = 49406
    eos_token_id: int | list[int] | None = 49407


class OwlViTVisionConfig(PretrainedConfig):
    """The numbers of OWL-ViT's image encoder."""

    model_type = "owlvit_vision_model"
    base_config_key = "vision_config"

    hidden_size: int = 768
    intermediate_size: int = 3072
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    num_channels: int = 3
    image_size: int = 768
    patch_size: int = 32
    hidden_act: str = "quick_gelu"
    layer_norm_eps: float = 1e-5
    attention_dropout: float = 0.0
    initializer_range: float = 0.02
    initializer_factor: float = 1.0


class OwlViTConfig(CompositeConfig):
    """The numbers of an OWL-ViT model: its text encoder's, its image encoder's, and the width in which they meet.

    Example:
        >>> OwlViTConfig(vision_config={"patch_size": 16}).vision_config.patch_size
        16
    """

    model_type = "owlvit"
    sub_configs = {"text_config": OwlViTTextConfig, "vision_config": OwlViTVisionConfig}

    text_config: Any = None
    vision_config: Any = None
    projection_dim: int = 512
    logit_scale_init_value: float = 2.6592
    initializer_factor: float = 1.0
