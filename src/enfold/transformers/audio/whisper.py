"""Whisper hears thirty seconds at a time, as a mel spectrogram in logarithms."""

from __future__ import annotations

from typing import Any

import numpy as np

from enfold.transformers.audio.extractor import SequenceFeatureExtractor, standardized
from enfold.transformers.audio.spectrogram import mel_filter_bank, spectrogram, window_function
from enfold.transformers.processing.features import BatchFeature

__all__ = ["WhisperFeatureExtractor"]


class WhisperFeatureExtractor(SequenceFeatureExtractor):
    """Log-mel spectrograms (Radford et al., 2022, section 2.2).

    Args:
        feature_size: mel filters: 80, or 128 for large-v3.
        sampling_rate: samples a second.
        hop_length: samples between frames.
        chunk_length: seconds that the model hears at once.
        n_fft: samples of a frame.
        padding_value: what fills rows up.
        dither: standard deviation of noise added to each frame.
        return_attention_mask: give ``attention_mask``.

    Example:
        >>> import numpy as np
        >>> WhisperFeatureExtractor()(np.zeros(16000), sampling_rate=16000)["input_features"].shape
        (1, 80, 3000)
    """

    model_input_names = ["input_features"]

    def __init__(
        self,
        feature_size: int = 80,
        sampling_rate: int = 16000,
        hop_length: int = 160,
        chunk_length: int = 30,
        n_fft: int = 400,
        padding_value: float = 0.0,
        dither: float = 0.0,
        return_attention_mask: bool = False,
        **kwargs: Any,
    ) -> None:
        for derived in ("n_samples", "nb_max_frames", "mel_filters"):
            kwargs.pop(derived, None)
        super().__init__(
            feature_size, sampling_rate, padding_value, return_attention_mask=return_attention_mask, **kwargs
        )
        self.hop_length, self.chunk_length, self.n_fft, self.dither = hop_length, chunk_length, n_fft, dither
        self.n_samples = chunk_length * sampling_rate
        self.nb_max_frames = self.n_samples // hop_length
        self._filters = mel_filter_bank(1 + n_fft // 2, feature_size, 0.0, 8000.0, sampling_rate, "slaney", "slaney")

    @property
    def mel_filters(self) -> np.ndarray:
        """The filters, (bins, feature_size)."""
        return self._filters

    def __call__(
        self,
        raw_speech: Any,
        truncation: bool = True,
        pad_to_multiple_of: int | None = None,
        return_tensors: Any = None,
        return_attention_mask: bool | None = None,
        padding: bool | str = "max_length",
        max_length: int | None = None,
        sampling_rate: int | None = None,
        do_normalize: bool | None = None,
        device: Any = "cpu",
        **_: Any,
    ) -> BatchFeature:
        """Return ``input_features`` (B, feature_size, frames) and, where wanted, ``attention_mask`` (B, frames).

        Args:
            raw_speech: one recording or several, mono.
            truncation, pad_to_multiple_of, return_attention_mask, padding, max_length: as ``pad``; thirty seconds
                by default.
            return_tensors: "pt", "np", "tf" or "jax".
            sampling_rate: samples a second of the recordings.
            do_normalize: bring every recording to mean 0 and variance 1 first.
            device: accepted; spectrograms are computed on the CPU.
        """
        padded = self.pad(
            {"input_features": self.rows(raw_speech, sampling_rate)},
            padding=padding,
            max_length=max_length or self.n_samples,
            truncation=truncation,
            pad_to_multiple_of=pad_to_multiple_of,
            return_attention_mask=bool(return_attention_mask or do_normalize),
        )
        rows = list(padded["input_features"])
        if do_normalize:
            rows = standardized(rows, [int(mask.sum()) for mask in padded["attention_mask"]], self.padding_value or 0.0)
        made: dict[str, Any] = {"input_features": [self.log_mel(row) for row in rows]}
        if return_attention_mask:
            frames = rows[0].shape[0] // self.hop_length
            made["attention_mask"] = [mask[:: self.hop_length][:frames] for mask in padded["attention_mask"]]
        return BatchFeature(made, tensor_type=return_tensors or "np")

    def log_mel(self, samples: np.ndarray) -> np.ndarray:
        """Return the spectrogram (feature_size, samples // hop_length), within 8 powers of ten of its loudest."""
        levels = spectrogram(
            samples,
            window_function(self.n_fft),
            self.n_fft,
            self.hop_length,
            power=2.0,
            dither=self.dither,
            mel_filters=self._filters,
            log_mel="log10",
        )[:, :-1]
        return (np.maximum(levels, levels.max() - 8.0) + 4.0) / 4.0
