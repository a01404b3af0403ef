"""The configuration of a backbone that timm names."""

from __future__ import annotations

from typing import Any

from enfold.transformers.config import PretrainedConfig

__all__ = ["TimmBackboneConfig"]


class TimmBackboneConfig(PretrainedConfig):
    """A backbone by its name in timm; its ResNets are read (``models.timm_resnet``).

    Example:
        >>> TimmBackboneConfig(backbone="resnet18").out_indices
        [-1]
    """

    model_type = "timm_backbone"

    backbone: str | None = None
    num_channels: int = 3
    features_only: bool = True
    use_pretrained_backbone: bool = True
    out_indices: list[int] = [-1]
    freeze_batch_norm_2d: bool = False
    output_stride: int | None = None

    def complete(self) -> None:
        """Write places as a list."""
        given: Any = self.out_indices
        self.out_indices = [-1] if given is None else list(given)
