"""Models that read a text and an image at once, beside transformers'."""

from __future__ import annotations

from parity.architectures.comparing import Comparison


class TestImagesAndTexts(Comparison):
    """ViLT and its like."""

    group = "images_and_texts"
