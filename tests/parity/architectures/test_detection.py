"""Models that find objects and masks beside transformers'."""

from __future__ import annotations

from parity.architectures.comparing import Comparison


class TestDetection(Comparison):
    """SAM and DETR."""

    group = "detection"
