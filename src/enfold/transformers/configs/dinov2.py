"""DINOv2's configuration."""

from __future__ import annotations

from enfold.transformers.configs.backbone import BackboneConfig

__all__ = ["Dinov2Config"]


class Dinov2Config(BackboneConfig):
    """The numbers of a DINOv2 model; the defaults are those of facebook/dinov2-base.

    Example:
        >>> Dinov2Config(num_hidden_layers=2, out_features=["stage1", "stage2"]).out_indices
        [1, 2]
    """

    model_type = "dinov2"

    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    mlp_ratio: int = 4
    hidden_act: str = "gelu"
    hidden_dropout_prob: float = 0.0
    attention_probs_dropout_prob: float = 0.0
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-6
    image_size: int | list[int] = 224
    patch_size: int | list[int] = 14
    num_channels: int = 3
    qkv_bias: bool = True
    layerscale_value: float = 1.0
    drop_path_rate: float = 0.0
    use_swiglu_ffn: bool = False
    apply_layernorm: bool = True
    reshape_hidden_states: bool = True
    use_mask_token: bool = True
