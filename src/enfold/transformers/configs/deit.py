"""DeiT's configuration."""

from __future__ import annotations

from enfold.transformers.configs.vit import ViTConfig

__all__ = ["DeiTConfig"]


class DeiTConfig(ViTConfig):
    """The numbers of a DeiT model; the defaults are those of facebook/deit-base-distilled-patch16-224.

    Example:
        >>> DeiTConfig(image_size=64).image_size
        64
    """

    model_type = "deit"
