"""Classifier-free guidance: how far to go from what a model writes unasked towards what it writes when asked."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from enfold.transformers.generation.processors import LogitsProcessor

__all__ = ["ClassifierFreeGuidanceLogitsProcessor", "UnbatchedClassifierFreeGuidanceLogitsProcessor"]


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


class UnbatchedClassifierFreeGuidanceLogitsProcessor(LogitsProcessor):
    """Moves scores away from those of the same text after another prompt, or after none but its last word.

    Args:
        guidance_scale: above 1, how much further than the prompt alone to go; 1 leaves probabilities as they are.
        model: what writes.
        unconditional_ids: (R, T), the other prompt.
        unconditional_attention_mask: (R, T), 0 for padding in it.
        use_cache: keep keys and values of the other text.

    Source: Sanchez et al., 2023, "Stay on topic with Classifier-Free Guidance".
    """

    def __init__(
        self,
        guidance_scale: float,
        model: Any,
        unconditional_ids: Tensor | None = None,
        unconditional_attention_mask: Tensor | None = None,
        use_cache: bool | None = True,
    ) -> None:
        self.guidance_scale, self.model, self.use_cache = guidance_scale, model, bool(use_cache)
        self.ids, self.mask = unconditional_ids, unconditional_attention_mask
        self.cache: Any = None
        self._begun = False

    def _unguided(self, input_ids: Tensor) -> Tensor:
        """Return the scores (R, V) after the other text, which goes on with the newest word."""
        newest = input_ids[:, -1:]
        if not self._begun:
            self.ids = newest if self.ids is None else self.ids
            self.mask = torch.ones_like(self.ids) if self.mask is None else self.mask
            self._begun = True
        else:
            assert self.ids is not None and self.mask is not None
            self.ids = newest if self.cache is not None else torch.cat((self.ids, newest), 1)
            self.mask = torch.cat((self.mask, torch.ones_like(newest)), 1)
        output = self.model(self.ids, attention_mask=self.mask, use_cache=self.use_cache, past_key_values=self.cache)
        self.cache = output.get("past_key_values") if self.use_cache else None
        return output.logits[:, -1]

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return (R, V) for scores (R, V) and ids (R, T)."""
        asked = scores.log_softmax(-1)
        if self.guidance_scale == 1:
            return asked
        unasked = self._unguided(input_ids).log_softmax(-1)
        return self.guidance_scale * (asked - unasked) + unasked
