"""Gemma, Mixtral, Falcon, and GPT-2 with an encoder, beside transformers'."""

from __future__ import annotations

from parity.architectures.pieces import Pieces


class TestMoreDecoders(Pieces):
    """The group."""

    group = "decoders_more"
