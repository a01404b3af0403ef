"""The configuration of an encoder and a decoder of any families."""

from __future__ import annotations

from functools import partial
from typing import Any

from enfold.transformers.config import CONFIG_MAPPING, ConfigError, PretrainedConfig
from enfold.transformers.configs.composite import CompositeConfig

__all__ = ["EncoderDecoderConfig"]

WRITES = {"is_decoder": True, "add_cross_attention": True}


def any_kind(usual: str, **values: Any) -> PretrainedConfig:
    """Return the configuration of the model type that ``values`` name, or of the usual one; nothing else given, a
    decoder is made to look at its encoder."""
    kind = values.pop("model_type", None)
    if kind is not None and kind not in CONFIG_MAPPING:
        raise ConfigError(f"unknown model_type {kind!r} of a part of the model")
    return CONFIG_MAPPING[kind or usual](**values)


class EncoderDecoderConfig(CompositeConfig):
    """What reads and what writes, each with a configuration of its own.

    Example:
        >>> EncoderDecoderConfig(encoder={"model_type": "bert", "hidden_size": 24}).encoder.hidden_size
        24
    """

    model_type = "encoder-decoder"
    sub_configs = {"encoder": partial(any_kind, "bert"), "decoder": partial(any_kind, "bert")}

    encoder: Any = None
    decoder: Any = None
    pad_token_id: int | None = None
    decoder_start_token_id: int | None = None
    is_encoder_decoder: bool = True

    def complete(self) -> None:
        """Turn dictionaries into configurations."""
        if self.decoder is None:
            self.decoder = dict(WRITES)
        super().complete()

    def get_text_config(self, decoder: bool | None = None, encoder: bool | None = None) -> PretrainedConfig:
        """Return the configuration of the part that writes, or of the one that reads where it is asked for."""
        return self.encoder if encoder and not decoder else self.decoder

    @classmethod
    def from_encoder_decoder_configs(cls, encoder_config: Any, decoder_config: Any, **kwargs: Any) -> Any:
        """Put two configurations together; the decoder's is made to look at the encoder.

        Args:
            encoder_config: what reads.
            decoder_config: what writes; changed in place.
            kwargs: further values.
        """
        decoder_config.is_decoder = decoder_config.add_cross_attention = True
        return cls(encoder=encoder_config.to_dict(), decoder=decoder_config.to_dict(), **kwargs)
