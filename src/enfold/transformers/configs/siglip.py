"""SigLIP's configurations."""

from __future__ import annotations

from typing import Any

from enfold.transformers.config import PretrainedConfig
from enfold.transformers.configs.composite import CompositeConfig

__all__ = ["SiglipConfig", "SiglipTextConfig", "SiglipVisionConfig"]


class SiglipTextConfig(PretrainedConfig):
    """The numbers of SigLIP's text encoder."""

    model_type = "siglip_text_model"
    base_config_key = "text_config"

    vocab_size: int = 32000
    hidden_size: int = 768
    intermediate_size: int = 3072
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    max_position_embeddings: int = 64
    hidden_act: str = "gelu_pytorch_tanh"
    layer_norm_eps: float = 1e-6
    attention_dropout: float = 0.0
    pad_token_id: int | None = 1
    bos_token_id: int | None = 49406
    eos_token_id: int | list[int] | None = 49407
    projection_size: int = None  # type: ignore[assignment]  # hidden_size

    def complete(self) -> None:
        """Take texts to be projected to the encoder's own width."""
        if self.projection_size is None:
            self.projection_size = self.hidden_size


class SiglipVisionConfig(PretrainedConfig):
    """The numbers of SigLIP's image encoder."""

    model_type = "siglip_vision_model"
    base_config_key = "vision_config"

    hidden_size: int = 768
    intermediate_size: int = 3072
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    num_channels: int = 3
    image_size: int = 224
    patch_size: int = 16
    hidden_act: str = "gelu_pytorch_tanh"
    layer_norm_eps: float = 1e-6
    attention_dropout: float = 0.0
    vision_use_head: bool = True


class SiglipConfig(CompositeConfig):
    """The numbers of a SigLIP model: its text encoder's and its image encoder's.

    Example:
        >>> SiglipConfig(vision_config={"patch_size": 14}).vision_config.patch_size
        14
    """

    model_type = "siglip"
    sub_configs = {"text_config": SiglipTextConfig, "vision_config": SiglipVisionConfig}

    text_config: Any = None
    vision_config: Any = None
    initializer_factor: float = 1.0
