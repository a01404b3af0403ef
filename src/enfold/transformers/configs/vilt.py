"""ViLT's configuration."""

from __future__ import annotations

from enfold.transformers.config import PretrainedConfig

__all__ = ["ViltConfig"]


class ViltConfig(PretrainedConfig):
    """The numbers of a ViLT model.

    Example:
        >>> ViltConfig(image_size=64).image_size
        64
    """

    model_type = "vilt"

    vocab_size: int = 30522
    type_vocab_size: int = 2
    modality_type_vocab_size: int = 2
    max_position_embeddings: int = 40
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    hidden_dropout_prob: float = 0.0
    attention_probs_dropout_prob: float = 0.0
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-12
    image_size: int = 384
    patch_size: int = 32
    num_channels: int = 3
    qkv_bias: bool = True
    max_image_length: int = -1
    tie_word_embeddings: bool = False
    num_images: int = -1
    pad_token_id: int | None = None
