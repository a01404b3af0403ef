"""mT5's configuration."""

from __future__ import annotations

from enfold.transformers.configs.t5 import T5Config

__all__ = ["MT5Config"]


class MT5Config(T5Config):
    """The numbers of an mT5 model; the defaults are those of mt5-small.

    Example:
        >>> MT5Config().feed_forward_proj
        'gated-gelu'
    """

    model_type = "mt5"

    vocab_size: int = 250112
    d_ff: int = 1024
    num_layers: int = 8
    num_heads: int = 6
    feed_forward_proj: str = "gated-gelu"
    tie_word_embeddings: bool = False
    decoder_start_token_id: int | None = 0
    tokenizer_class: str | None = "T5Tokenizer"
    scale_decoder_outputs: bool = False
