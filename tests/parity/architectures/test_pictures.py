"""Models of pictures, alone and with texts, beside transformers'."""

from __future__ import annotations

from parity.architectures.comparing import Comparison


class TestVision(Comparison):
    """ViT, DeiT, DINOv2, ResNet, SegFormer and DPT."""

    group = "vision"


class TestDetection(Comparison):
    """SAM and DETR."""

    group = "detection"


class TestTwoTowers(Comparison):
    """Models that compare texts with images."""

    group = "two_towers"


class TestImagesAndTexts(Comparison):
    """ViLT and its like."""

    group = "images_and_texts"
