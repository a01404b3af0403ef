"""Qwen3's configuration."""

from __future__ import annotations

from enfold.transformers.configs.qwen2 import Qwen2Config

__all__ = ["Qwen3Config"]


class Qwen3Config(Qwen2Config):
    """The numbers of a Qwen3 model; the defaults are those of transformers.

    Example:
        >>> Qwen3Config().head_dim
        128
    """

    model_type = "qwen3"

    head_dim: int = 128
    attention_bias: bool = False
