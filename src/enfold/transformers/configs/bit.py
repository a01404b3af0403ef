"""BiT's configuration."""

from __future__ import annotations

from enfold.errors import EnfoldError, nearest
from enfold.transformers.configs.backbone import BackboneConfig

__all__ = ["BitConfig"]

LAYERS, PADDINGS = ("preactivation", "bottleneck"), ("SAME", "VALID")


class BitConfig(BackboneConfig):
    """The numbers of a BiT; the defaults are those of google/bit-50.

    Example:
        >>> BitConfig(global_padding="same").global_padding
        'SAME'
    """

    model_type = "bit"
    layer_types = list(LAYERS)
    supported_padding = list(PADDINGS)

    num_channels: int = 3
    embedding_size: int = 64
    hidden_sizes: list[int] = [256, 512, 1024, 2048]
    depths: list[int] = [3, 4, 6, 3]
    layer_type: str = "preactivation"
    hidden_act: str = "relu"
    global_padding: str | None = None
    num_groups: int = 32
    drop_path_rate: float = 0.0
    embedding_dynamic_padding: bool = False
    output_stride: int = 32
    width_factor: int = 1

    def complete(self) -> None:
        """Check the kinds of layers and of padding."""
        if self.global_padding is not None:
            self.global_padding = self.global_padding.upper()
        for name, known in (("layer_type", LAYERS), ("global_padding", (None, *PADDINGS))):
            value, texts = getattr(self, name), [str(one) for one in known]
            if value not in known:
                raise EnfoldError(f"{name} is one of {', '.join(texts)}, not {value!r}{nearest(str(value), texts)}")

    def stages(self) -> int:
        """Return the number of stages after the stem."""
        return len(self.depths)
