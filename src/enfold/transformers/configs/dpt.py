"""DPT's configuration."""

from __future__ import annotations

from typing import Any

from enfold.errors import EnfoldError
from enfold.transformers.config import PretrainedConfig
from enfold.transformers.configs.backbone import sub_config

__all__ = ["DPTConfig"]

# the backbone of Intel/dpt-hybrid-midas
HYBRID: dict[str, Any] = {
    "model_type": "bit",
    "global_padding": "same",
    "layer_type": "bottleneck",
    "depths": [3, 4, 9],
    "out_features": ["stage1", "stage2", "stage3"],
    "embedding_dynamic_padding": True,
}


class DPTConfig(PretrainedConfig):
    """The numbers of a DPT; the defaults are those of Intel/dpt-large.

    The images are read by a ViT of its own, by another model (``backbone_config``), or, with ``is_hybrid``, by a ViT on
    the last of three feature maps of ``backbone_config``.

    Example:
        >>> DPTConfig(backbone_config={"model_type": "dinov2"}).backbone_config.patch_size
        14
    """

    model_type = "dpt"

    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    hidden_dropout_prob: float = 0.0
    attention_probs_dropout_prob: float = 0.0
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-12
    image_size: int | list[int] = 384
    patch_size: int | list[int] = 16
    num_channels: int = 3
    is_hybrid: bool = False
    qkv_bias: bool = True
    backbone_out_indices: list[int] | None = [2, 5, 8, 11]
    readout_type: str = "project"
    reassemble_factors: list[float] = [4, 2, 1, 0.5]
    neck_hidden_sizes: list[int] = [96, 192, 384, 768]
    fusion_hidden_size: int = 256
    head_in_index: int = -1
    use_batch_norm_in_fusion_residual: bool = False
    use_bias_in_fusion_residual: bool | None = None
    add_projection: bool = False
    use_auxiliary_head: bool = True
    auxiliary_loss_weight: float = 0.4
    semantic_loss_ignore_index: int = 255
    semantic_classifier_dropout: float = 0.1
    backbone_featmap_shape: list[int] | None = [1, 1024, 24, 24]
    neck_ignore_stages: list[int] = [0, 1]
    backbone_config: Any = None
    pooler_output_size: int | None = None
    pooler_act: str = "tanh"

    def complete(self) -> None:
        """Make the backbone's configuration, and leave out what only hybrid models have."""
        if self.readout_type not in ("ignore", "add", "project") or (self.is_hybrid and self.readout_type != "project"):
            raise EnfoldError(
                f"readout_type is 'ignore', 'add' or 'project', and 'project' for hybrid models, not "
                f"{self.readout_type!r}"
            )
        if self.is_hybrid:
            given = self.backbone_config
            given = {"model_type": "bit", **given} if isinstance(given, dict) else given
            self.backbone_config = sub_config(given, **HYBRID)
        else:
            self.backbone_config = sub_config(self.backbone_config)
            self.backbone_featmap_shape, self.neck_ignore_stages = None, []
        self.pooler_output_size = self.pooler_output_size or self.hidden_size
