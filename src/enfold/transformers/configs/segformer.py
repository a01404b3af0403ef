"""SegFormer's configuration."""

from __future__ import annotations

from enfold.transformers.config import PretrainedConfig

__all__ = ["SegformerConfig"]


class SegformerConfig(PretrainedConfig):
    """The numbers of a SegFormer, lists with one number a stage; the defaults are those of nvidia/mit-b0.

    Example:
        >>> SegformerConfig(num_labels=150).hidden_sizes
        [32, 64, 160, 256]
    """

    model_type = "segformer"
    attribute_map = {"num_hidden_layers": "num_encoder_blocks"}

    num_channels: int = 3
    num_encoder_blocks: int = 4
    depths: list[int] = [2, 2, 2, 2]
    sr_ratios: list[int] = [8, 4, 2, 1]
    hidden_sizes: list[int] = [32, 64, 160, 256]
    patch_sizes: list[int] = [7, 3, 3, 3]
    strides: list[int] = [4, 2, 2, 2]
    num_attention_heads: list[int] = [1, 2, 5, 8]
    mlp_ratios: list[int] = [4, 4, 4, 4]
    hidden_act: str = "gelu"
    hidden_dropout_prob: float = 0.0
    attention_probs_dropout_prob: float = 0.0
    classifier_dropout_prob: float = 0.1
    initializer_range: float = 0.02
    drop_path_rate: float = 0.1
    layer_norm_eps: float = 1e-6
    decoder_hidden_size: int = 256
    semantic_loss_ignore_index: int = 255
    reshape_last_stage: bool = True
