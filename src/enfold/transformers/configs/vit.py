"""ViT's configuration."""

from __future__ import annotations

from enfold.transformers.config import PretrainedConfig

__all__ = ["ViTConfig"]


class ViTConfig(PretrainedConfig):
    """The numbers of a ViT model; the defaults are those of google/vit-base-patch16-224.

    Example:
        >>> ViTConfig(image_size=64).image_size
        64
    """

    model_type = "vit"

    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    hidden_dropout_prob: float = 0.0
    attention_probs_dropout_prob: float = 0.0
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-12
    image_size: int | list[int] = 224
    patch_size: int | list[int] = 16
    num_channels: int = 3
    qkv_bias: bool = True
    encoder_stride: int = 16
    pooler_output_size: int | None = None
    pooler_act: str = "tanh"

    def complete(self) -> None:
        """Let the pooler be as wide as the model where nothing else is said."""
        self.pooler_output_size = self.pooler_output_size or self.hidden_size
