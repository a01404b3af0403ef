"""Encoders of images beside transformers'."""

from __future__ import annotations

from parity.architectures.comparing import Comparison


class TestVision(Comparison):
    """ViT, DeiT, DINOv2, ResNet, SegFormer and DPT."""

    group = "vision"
