"""Classifier-free guidance: how far to go from what a model writes unasked towards what it writes when asked."""

from __future__ import annotations

from torch import Tensor

from enfold.transformers.generation.processors import LogitsProcessor

__all__ = ["ClassifierFreeGuidanceLogitsProcessor"]


class ClassifierFreeGuidanceLogitsProcessor(LogitsProcessor):
    """Mixes the logits of rows with a condition and, after them, of the same rows without one.

    Args:
        guidance_scale: above 1, how much further than the condition alone to go.

    Source: Ho and Salimans, 2022, "Classifier-Free Diffusion Guidance".
    """

    def __init__(self, guidance_scale: float) -> None:
        if guidance_scale <= 1:
            raise ValueError(f"guidance_scale must be above 1 to guide anything, not {guidance_scale}")
        self.guidance_scale = guidance_scale

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return (R, V) for scores (2 · R, V) and ids (R, T)."""
        if len(scores) != 2 * len(input_ids):
            raise ValueError(f"guidance needs two rows of scores a row of ids, not {len(scores)} for {len(input_ids)}")
        asked, unasked = scores.chunk(2)
        return unasked + (asked - unasked) * self.guidance_scale
