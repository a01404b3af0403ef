"""Models of sound, beside transformers'."""

from __future__ import annotations

from parity.architectures.comparing import Comparison


class TestSounds(Comparison):
    """EnCodec and what is made of it."""

    group = "sounds"
