"""Marian's configuration."""

from __future__ import annotations

from enfold.transformers.configs.bart import BartLikeConfig

__all__ = ["MarianConfig"]


class MarianConfig(BartLikeConfig):
    """The numbers of a Marian model; the defaults are those of opus-mt-en-de.

    Example:
        >>> MarianConfig(encoder_layers=2).num_hidden_layers
        2
    """

    model_type = "marian"

    vocab_size: int = 58101
    decoder_vocab_size: int = None  # type: ignore[assignment]  # as many as the encoder knows
    pad_token_id: int | None = 58100
    bos_token_id: int | None = None
    eos_token_id: int | list[int] | None = 0
    decoder_start_token_id: int | None = 58100
    forced_eos_token_id: int | list[int] | None = 0
    share_encoder_decoder_embeddings: bool = True

    def complete(self) -> None:
        """Fill in the words that the decoder knows."""
        self.decoder_vocab_size = self.decoder_vocab_size or self.vocab_size
