"""ResNet's configuration."""

from __future__ import annotations

from enfold.errors import EnfoldError, nearest
from enfold.transformers.configs.backbone import BackboneConfig

__all__ = ["ResNetConfig"]

LAYERS = ("basic", "bottleneck")


class ResNetConfig(BackboneConfig):
    """The numbers of a ResNet; the defaults are those of microsoft/resnet-50.

    Example:
        >>> ResNetConfig(depths=[2, 2], hidden_sizes=[64, 128]).stage_names
        ['stem', 'stage1', 'stage2']
    """

    model_type = "resnet"
    layer_types = list(LAYERS)

    num_channels: int = 3
    embedding_size: int = 64
    hidden_sizes: list[int] = [256, 512, 1024, 2048]
    depths: list[int] = [3, 4, 6, 3]
    layer_type: str = "bottleneck"
    hidden_act: str = "relu"
    downsample_in_first_stage: bool = False
    downsample_in_bottleneck: bool = False

    def complete(self) -> None:
        """Check the kind of layers."""
        if self.layer_type not in LAYERS:
            raise EnfoldError(f"layer_type is one of {', '.join(LAYERS)}, not {self.layer_type!r}"
                              f"{nearest(self.layer_type, LAYERS)}")  # fmt: skip
        self.hidden_sizes = list(self.hidden_sizes)

    def stages(self) -> int:
        """Return the number of stages after the stem."""
        return len(self.depths)
