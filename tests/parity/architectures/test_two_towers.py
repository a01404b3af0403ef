"""CLIP and SigLIP beside transformers'."""

from __future__ import annotations

from parity.architectures.comparing import Comparison


class TestTwoTowers(Comparison):
    """Models that compare texts with images."""

    group = "two_towers"
