"""Mistral, Qwen, SmolLM3 and Phi-3 beside transformers'."""

from __future__ import annotations

from parity.architectures.pieces import Pieces


class TestDecoders(Pieces):
    """The group."""

    group = "decoders"
    whole = ("phi3-long",)
