"""DETR's configuration."""

from __future__ import annotations

from typing import Any

from enfold.errors import EnfoldError, nearest
from enfold.transformers.config import PretrainedConfig
from enfold.transformers.configs.backbone import sub_config

__all__ = ["DetrConfig"]

POSITIONS = ("sine", "learned")


class DetrConfig(PretrainedConfig):
    """The numbers of a DETR; the defaults are those of facebook/detr-resnet-50.

    The backbone is a ResNet under timm's names (``backbone``, ``dilation``; v5 writes a ``timm_backbone`` into
    ``backbone_config``), or, with ``use_timm_backbone=False``, the model of ``backbone_config``.

    Example:
        >>> DetrConfig(use_timm_backbone=False).backbone_config.out_features
        ['stage4']
    """

    model_type = "detr"
    keys_to_ignore_at_inference = ["past_key_values"]
    attribute_map = {
        "hidden_size": "d_model",
        "num_attention_heads": "encoder_attention_heads",
        "num_hidden_layers": "encoder_layers",
    }

    use_timm_backbone: bool = True
    backbone_config: Any = None
    num_channels: int = 3
    num_queries: int = 100
    encoder_layers: int = 6
    encoder_ffn_dim: int = 2048
    encoder_attention_heads: int = 8
    decoder_layers: int = 6
    decoder_ffn_dim: int = 2048
    decoder_attention_heads: int = 8
    encoder_layerdrop: float = 0.0
    decoder_layerdrop: float = 0.0
    is_encoder_decoder: bool = True
    activation_function: str = "relu"
    d_model: int = 256
    dropout: float = 0.1
    attention_dropout: float = 0.0
    activation_dropout: float = 0.0
    init_std: float = 0.02
    init_xavier_std: float = 1.0
    auxiliary_loss: bool = False
    position_embedding_type: str = "sine"
    backbone: str | None = "resnet50"
    use_pretrained_backbone: bool = True
    backbone_kwargs: dict[str, Any] | None = None
    dilation: bool = False
    class_cost: float = 1
    bbox_cost: float = 5
    giou_cost: float = 2
    mask_loss_coefficient: float = 1
    dice_loss_coefficient: float = 1
    bbox_loss_coefficient: float = 5
    giou_loss_coefficient: float = 2
    eos_coefficient: float = 0.1

    def complete(self) -> None:
        """Say in both spellings which backbone there is."""
        if self.position_embedding_type not in POSITIONS:
            raise EnfoldError(
                f"position_embedding_type is one of {', '.join(POSITIONS)}, not {self.position_embedding_type!r}"
                f"{nearest(self.position_embedding_type, POSITIONS)}"
            )
        given = sub_config(self.backbone_config)
        if given is not None and given.model_type == "timm_backbone":
            self.use_timm_backbone, self.backbone = True, given.backbone
            self.dilation, given = given.output_stride == 16, None
        elif given is not None or not self.use_timm_backbone:
            given = given or sub_config(None, model_type="resnet", out_features=["stage4"])
            self.use_timm_backbone, self.backbone, self.dilation = False, None, False
            self.use_pretrained_backbone = False  # v4 would look for a name to fetch weights by
        self.backbone_config = given
