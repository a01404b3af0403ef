"""BLIP's configurations."""

from __future__ import annotations

from typing import Any

from enfold.transformers.config import PretrainedConfig
from enfold.transformers.configs.composite import CompositeConfig

__all__ = ["BlipConfig", "BlipTextConfig", "BlipVisionConfig"]


class BlipTextConfig(PretrainedConfig):
    """The numbers of BLIP's text encoder and decoder."""

    model_type = "blip_text_model"
    base_config_key = "text_config"

    vocab_size: int = 30524
    hidden_size: int = 768
    encoder_hidden_size: int = 768
    intermediate_size: int = 3072
    projection_dim: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 8
    max_position_embeddings: int = 512
    hidden_act: str = "gelu"
    layer_norm_eps: float = 1e-12
    hidden_dropout_prob: float = 0.0
    attention_probs_dropout_prob: float = 0.0
    initializer_range: float = 0.02
    bos_token_id: int | None = 30522
    eos_token_id: int | list[int] | None = 2
    pad_token_id: int | None = 0
    sep_token_id: int | None = 102
    is_decoder: bool = True
    use_cache: bool = True
    tie_word_embeddings: bool = True
    label_smoothing: float = 0.0


class BlipVisionConfig(PretrainedConfig):
    """The numbers of BLIP's image encoder."""

    model_type = "blip_vision_model"
    base_config_key = "vision_config"

    hidden_size: int = 768
    intermediate_size: int = 3072
    projection_dim: int = 512
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    image_size: int = 384
    patch_size: int = 16
    hidden_act: str = "gelu"
    layer_norm_eps: float = 1e-5
    attention_dropout: float = 0.0
    initializer_range: float = 1e-10


class BlipConfig(CompositeConfig):
    """The numbers of a BLIP model: its texts' and its images'.

    Example:
        >>> BlipConfig(vision_config={"hidden_size": 64}).text_config.encoder_hidden_size
        64
    """

    model_type = "blip"
    sub_configs = {"text_config": BlipTextConfig, "vision_config": BlipVisionConfig}

    text_config: Any = None
    vision_config: Any = None
    projection_dim: int = 512
    logit_scale_init_value: float = 2.6592
    image_text_hidden_size: int = 256
    label_smoothing: float = 0.0
    tie_word_embeddings: bool = True
    initializer_factor: float = 1.0
    initializer_range: float = 0.02

    def complete(self) -> None:
        """Let texts look at images of their width."""
        super().complete()
        self.text_config.encoder_hidden_size = self.vision_config.hidden_size
