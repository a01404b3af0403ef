"""M2M-100's configuration."""

from __future__ import annotations

from enfold.transformers.configs.bart import BartLikeConfig

__all__ = ["M2M100Config"]


class M2M100Config(BartLikeConfig):
    """The numbers of an M2M-100 or NLLB model; the defaults are those of m2m100_418M.

    Example:
        >>> M2M100Config(encoder_layers=2).num_hidden_layers
        2
    """

    model_type = "m2m_100"

    vocab_size: int = 128112
    encoder_layerdrop: float = 0.05
    decoder_layerdrop: float = 0.05
    activation_function: str = "relu"
    attention_dropout: float = 0.1
    scale_embedding: bool = True
    decoder_start_token_id: int | None = 2
