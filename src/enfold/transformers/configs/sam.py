"""SAM's configurations: its three parts, and the whole."""

from __future__ import annotations

from typing import Any, ClassVar

from enfold.transformers.config import PretrainedConfig

__all__ = ["SamConfig", "SamMaskDecoderConfig", "SamPromptEncoderConfig", "SamVisionConfig"]


class SamVisionConfig(PretrainedConfig):
    """The numbers of SAM's reader of images; the defaults are those of facebook/sam-vit-base.

    Example:
        >>> SamVisionConfig(hidden_size=64, num_attention_heads=4).mlp_dim
        256
    """

    model_type = "sam_vision_model"
    base_config_key = "vision_config"

    hidden_size: int = 768
    output_channels: int = 256
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    num_channels: int = 3
    image_size: int = 1024
    patch_size: int = 16
    hidden_act: str = "gelu"
    layer_norm_eps: float = 1e-6
    attention_dropout: float = 0.0
    initializer_range: float = 1e-10
    qkv_bias: bool = True
    mlp_ratio: float = 4.0
    use_abs_pos: bool = True
    use_rel_pos: bool = True
    window_size: int = 14
    global_attn_indexes: list[int] = [2, 5, 8, 11]
    num_pos_feats: int = 128
    mlp_dim: int | None = None

    def complete(self) -> None:
        """Compute the feed-forward's width, and how far the frequencies of positions spread."""
        self.mlp_dim = int(self.hidden_size * self.mlp_ratio) if self.mlp_dim is None else self.mlp_dim
        self.scale = self.hidden_size // 2


class SamPromptEncoderConfig(PretrainedConfig):
    """The numbers of SAM's reader of points, boxes and masks.

    Example:
        >>> SamPromptEncoderConfig().image_embedding_size
        64
    """

    model_type = "sam_prompt_encoder"
    base_config_key = "prompt_encoder_config"

    hidden_size: int = 256
    image_size: int = 1024
    patch_size: int = 16
    mask_input_channels: int = 16
    num_point_embeddings: int = 4
    hidden_act: str = "gelu"
    layer_norm_eps: float = 1e-6

    def complete(self) -> None:
        """Compute the side of the image in patches."""
        self.image_embedding_size = self.image_size // self.patch_size


class SamMaskDecoderConfig(PretrainedConfig):
    """The numbers of SAM's decoder of masks.

    Example:
        >>> SamMaskDecoderConfig().num_multimask_outputs
        3
    """

    model_type = "sam_mask_decoder"
    base_config_key = "mask_decoder_config"

    hidden_size: int = 256
    hidden_act: str = "relu"
    mlp_dim: int = 2048
    num_hidden_layers: int = 2
    num_attention_heads: int = 8
    attention_downsample_rate: int = 2
    num_multimask_outputs: int = 3
    iou_head_depth: int = 3
    iou_head_hidden_dim: int = 256
    layer_norm_eps: float = 1e-6


class SamConfig(PretrainedConfig):
    """SAM's three parts; each is given as a configuration or a dictionary.

    Example:
        >>> SamConfig(vision_config={"num_hidden_layers": 2}).vision_config.num_hidden_layers
        2
    """

    model_type = "sam"
    sub_configs: ClassVar[dict[str, Any]] = {
        "vision_config": SamVisionConfig,
        "prompt_encoder_config": SamPromptEncoderConfig,
        "mask_decoder_config": SamMaskDecoderConfig,
    }

    vision_config: Any = None
    prompt_encoder_config: Any = None
    mask_decoder_config: Any = None
    initializer_range: float = 0.02
    tie_word_embeddings: bool = True

    def complete(self) -> None:
        """Make configurations of dictionaries."""
        for name, kind in self.sub_configs.items():
            value = getattr(self, name)
            if not isinstance(value, PretrainedConfig):
                setattr(self, name, kind(**(value or {})))
