"""CLIP's configurations."""

from __future__ import annotations

from typing import Any

from enfold.transformers.config import PretrainedConfig
from enfold.transformers.configs.composite import CompositeConfig

__all__ = ["CLIPConfig", "CLIPTextConfig", "CLIPVisionConfig"]


class CLIPTextConfig(PretrainedConfig):
    """The numbers of CLIP's text encoder."""

    model_type = "clip_text_model"
    base_config_key = "text_config"

    vocab_size: int = 49408
    hidden_size: int = 512
    intermediate_size: int = 2048
    projection_dim: int = 512
    num_hidden_layers: int = 12
    num_attention_heads: int = 8
    max_position_embeddings: int = 77
    hidden_act: str = "quick_gelu"
    layer_norm_eps: float = 1e-5
    attention_dropout: float = 0.0
    initializer_range: float = 0.02
    initializer_factor: float = 1.0
    pad_token_id: int | None = 1
    bos_token_id: int | None = 49406
    eos_token_id: int | list[int] | None = 49407


class CLIPVisionConfig(PretrainedConfig):
    """The numbers of CLIP's image encoder."""

    model_type = "clip_vision_model"
    base_config_key = "vision_config"

    hidden_size: int = 768
    intermediate_size: int = 3072
    projection_dim: int = 512
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    num_channels: int = 3
    image_size: int = 224
    patch_size: int = 32
    hidden_act: str = "quick_gelu"
    layer_norm_eps: float = 1e-5
    attention_dropout: float = 0.0
    initializer_range: float = 0.02
    initializer_factor: float = 1.0


class CLIPConfig(CompositeConfig):
    """The numbers of a CLIP model: its text encoder's, its image encoder's, and the width in which they meet.

    Example:
        >>> CLIPConfig(text_config={"hidden_size": 64}).text_config.hidden_size
        64
    """

    model_type = "clip"
    sub_configs = {"text_config": CLIPTextConfig, "vision_config": CLIPVisionConfig}

    text_config: Any = None
    vision_config: Any = None
    projection_dim: int = 512
    logit_scale_init_value: float = 2.6592
    initializer_factor: float = 1.0
