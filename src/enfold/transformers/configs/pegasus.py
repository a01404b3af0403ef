"""Pegasus's configuration."""

from __future__ import annotations

from enfold.transformers.configs.bart import BartLikeConfig

__all__ = ["PegasusConfig"]


class PegasusConfig(BartLikeConfig):
    """The numbers of a Pegasus model; the defaults are those of pegasus-large.

    Example:
        >>> PegasusConfig(encoder_layers=2).num_hidden_layers
        2
    """

    model_type = "pegasus"

    pad_token_id: int | None = 0
    bos_token_id: int | None = None
    eos_token_id: int | list[int] | None = 1
    decoder_start_token_id: int | None = 0
    forced_eos_token_id: int | list[int] | None = 1
