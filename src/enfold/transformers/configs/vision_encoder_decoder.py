"""The configuration of a model that looks at a picture and one that writes."""

from __future__ import annotations

from functools import partial

from enfold.transformers.configs.encoder_decoder import EncoderDecoderConfig, any_kind

__all__ = ["VisionEncoderDecoderConfig"]


class VisionEncoderDecoderConfig(EncoderDecoderConfig):
    """What looks and what writes, each with a configuration of its own.

    Example:
        >>> VisionEncoderDecoderConfig(decoder={"model_type": "gpt2", "n_embd": 24}).decoder.hidden_size
        24
    """

    model_type = "vision-encoder-decoder"
    sub_configs = {"encoder": partial(any_kind, "vit"), "decoder": partial(any_kind, "bert")}
