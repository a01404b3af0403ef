"""wav2vec 2.0 and HuBERT hear samples as they are, standardized."""

from __future__ import annotations

from typing import Any

from enfold.transformers.audio.extractor import SequenceFeatureExtractor, standardized
from enfold.transformers.processing.features import BatchFeature

__all__ = ["Wav2Vec2FeatureExtractor"]


class Wav2Vec2FeatureExtractor(SequenceFeatureExtractor):
    """Samples with mean 0 and variance 1, padded.

    Args:
        feature_size: 1, a sample a moment.
        sampling_rate: samples a second.
        padding_value: what fills rows up.
        return_attention_mask: give ``attention_mask``; models whose convolutions normalize by layer want it, others
            were trained without.
        do_normalize: bring every recording to mean 0 and variance 1.

    Example:
        >>> import numpy as np
        >>> hear = Wav2Vec2FeatureExtractor()
        >>> hear([np.ones(5), np.arange(3.0)], sampling_rate=16000, padding=True)["input_values"].shape
        (2, 5)
    """

    model_input_names = ["input_values", "attention_mask"]

    def __init__(
        self,
        feature_size: int = 1,
        sampling_rate: int = 16000,
        padding_value: float = 0.0,
        return_attention_mask: bool = False,
        do_normalize: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            feature_size, sampling_rate, padding_value, return_attention_mask=return_attention_mask, **kwargs
        )
        self.do_normalize = do_normalize

    def __call__(
        self,
        raw_speech: Any,
        padding: bool | str = False,
        max_length: int | None = None,
        truncation: bool = False,
        pad_to_multiple_of: int | None = None,
        return_attention_mask: bool | None = None,
        return_tensors: Any = None,
        sampling_rate: int | None = None,
        **_: Any,
    ) -> BatchFeature:
        """Return ``input_values`` (B, samples) and, where wanted, ``attention_mask``.

        Args:
            raw_speech: one recording or several, mono.
            padding, max_length, truncation, pad_to_multiple_of, return_attention_mask: as ``pad``.
            return_tensors: "pt", "np", "tf" or "jax".
            sampling_rate: samples a second of the recordings.
        """
        made = self.pad(
            {"input_values": self.rows(raw_speech, sampling_rate)},
            padding=padding,
            max_length=max_length,
            truncation=truncation,
            pad_to_multiple_of=pad_to_multiple_of,
            return_attention_mask=return_attention_mask,
        )
        if self.do_normalize:
            masks = made.get("attention_mask")
            padded = str(getattr(padding, "value", padding)) not in ("False", "do_not_pad")
            lengths = [int(mask.sum()) for mask in masks] if masks is not None and padded else None
            rows = standardized(list(made["input_values"]), lengths, self.padding_value or 0.0)
            made["input_values"] = rows
        return made.convert_to_tensors(return_tensors or "np")
