"""mBART's configuration."""

from __future__ import annotations

from enfold.transformers.configs.bart import BartLikeConfig

__all__ = ["MBartConfig"]


class MBartConfig(BartLikeConfig):
    """The numbers of an mBART model; the defaults are those of mbart-large-cc25.

    Example:
        >>> MBartConfig(encoder_layers=2).num_hidden_layers
        2
    """

    model_type = "mbart"

    forced_eos_token_id: int | list[int] | None = 2
