"""DeBERTa-v2 and ModernBERT beside transformers'."""

from __future__ import annotations

from parity.architectures.comparing import Comparison


class TestNewerEncoders(Comparison):
    """DeBERTa-v2 and ModernBERT."""

    group = "newer_encoders"
