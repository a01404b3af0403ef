"""CLAP hears ten seconds: a recording's mel spectrogram, repeated when it is short, sampled when it is long."""

from __future__ import annotations

from typing import Any

import numpy as np

from enfold.errors import nearest
from enfold.transformers.audio.extractor import SequenceFeatureExtractor
from enfold.transformers.audio.spectrogram import mel_filter_bank, spectrogram, window_function
from enfold.transformers.processing.features import BatchFeature

__all__ = ["ClapFeatureExtractor"]

TRUNCATIONS, PADDINGS = ("fusion", "rand_trunc"), ("repeatpad", "repeat", "pad")


class ClapFeatureExtractor(SequenceFeatureExtractor):
    """Mel spectrograms of equal length (Wu et al., 2022, "Large-scale Contrastive Language-Audio Pretraining").

    Args:
        feature_size: mel filters.
        sampling_rate: samples a second.
        hop_length: samples between frames.
        max_length_s: seconds that the model hears.
        fft_window_size: samples of a frame.
        padding_value: what fills rows up.
        return_attention_mask: accepted; no mask is made.
        frequency_min, frequency_max: hertz between which the filters lie.
        top_db: accepted.
        truncation: long recordings: ``"fusion"`` gives three pieces and the whole made shorter, ``"rand_trunc"`` one
            piece. Pieces are drawn by numpy's global generator.
        padding: short recordings: ``"repeatpad"`` whole repetitions, then silence; ``"repeat"``; ``"pad"``.
    """

    model_input_names = ["input_features", "is_longer"]

    def __init__(
        self,
        feature_size: int = 64,
        sampling_rate: int = 48000,
        hop_length: int = 480,
        max_length_s: int = 10,
        fft_window_size: int = 1024,
        padding_value: float = 0.0,
        return_attention_mask: bool = False,
        frequency_min: float = 0,
        frequency_max: float = 14000,
        top_db: int | None = None,
        truncation: str = "fusion",
        padding: str = "repeatpad",
        **kwargs: Any,
    ) -> None:
        for derived in ("nb_max_samples", "nb_frequency_bins", "mel_filters", "mel_filters_slaney"):
            kwargs.pop(derived, None)
        super().__init__(
            feature_size, sampling_rate, padding_value, return_attention_mask=return_attention_mask, **kwargs
        )
        self.hop_length, self.max_length_s, self.fft_window_size = hop_length, max_length_s, fft_window_size
        self.frequency_min, self.frequency_max, self.top_db = frequency_min, frequency_max, top_db
        self.truncation, self.padding = truncation, padding
        self.nb_max_samples = max_length_s * sampling_rate
        self.nb_frequency_bins = fft_window_size // 2 + 1
        shape = (self.nb_frequency_bins, feature_size, frequency_min, frequency_max, sampling_rate)
        # the published models were trained with one kind of filters for each way of truncation
        self._filters = {
            "fusion": mel_filter_bank(*shape, norm=None, mel_scale="htk"),
            "rand_trunc": mel_filter_bank(*shape, norm="slaney", mel_scale="slaney"),
        }

    def __call__(
        self,
        raw_speech: Any,
        truncation: str | None = None,
        padding: bool | str | None = None,
        max_length: int | None = None,
        sampling_rate: int | None = None,
        return_tensors: Any = None,
        **_: Any,
    ) -> BatchFeature:
        """Return ``input_features`` (B, 4 or 1, frames, feature_size) and ``is_longer`` (B, 1).

        Args:
            raw_speech: one recording or several, mono.
            truncation, padding: as in the constructor.
            max_length: samples that the model hears; ``max_length_s`` by default.
            sampling_rate: samples a second of the recordings.
            return_tensors: "pt", "np", "tf" or "jax".
        """
        truncation = truncation or self.truncation
        padding = self.padding if padding in (True, None) else padding
        for name, value, known in (("truncation", truncation, TRUNCATIONS), ("padding", padding, PADDINGS)):
            if value not in known:
                raise ValueError(f"{name}={value!r}{nearest(str(value), known)}; there are {', '.join(known)}")
        rows = self.rows(raw_speech, sampling_rate, np.float64)
        made = [self._heard(row, max_length or self.nb_max_samples, truncation, str(padding)) for row in rows]
        longer = [long for _, long in made]
        if truncation == "fusion" and not any(longer):
            longer[np.random.randint(0, len(longer))] = True  # the model's fusion needs one row to work on
        return BatchFeature(
            {"input_features": [mel for mel, _ in made], "is_longer": [[long] for long in longer]}, return_tensors
        )

    def _mel(self, samples: np.ndarray, truncation: str) -> np.ndarray:
        """Return (frames, feature_size) in decibels."""
        return spectrogram(
            samples,
            window_function(self.fft_window_size),
            self.fft_window_size,
            self.hop_length,
            power=2.0,
            mel_filters=self._filters[truncation],
            log_mel="dB",
        ).T

    def _heard(self, samples: np.ndarray, length: int, truncation: str, padding: str) -> tuple[np.ndarray, bool]:
        """Return what the model hears of one recording, and whether the recording is longer than that."""
        if len(samples) > length and truncation == "rand_trunc":
            start = np.random.randint(0, len(samples) - length + 1)
            return self._mel(samples[start : start + length], truncation)[None], True
        if len(samples) > length:
            mel = self._mel(samples, truncation)
            frames = length // self.hop_length + 1
            return (np.stack([mel] * 4), False) if frames == len(mel) else (self._fused(mel, frames), True)
        if padding == "repeat":
            samples = np.resize(samples, length)
        elif padding == "repeatpad":
            samples = np.tile(samples, length // len(samples))
        mel = self._mel(np.pad(samples, (0, length - len(samples))), truncation)
        return (np.stack([mel] * 4) if truncation == "fusion" else mel[None]), False

    def _fused(self, mel: np.ndarray, frames: int) -> np.ndarray:
        """Return the whole made shorter, and a piece of its first, second and last third: (4, frames, features)."""
        thirds = [
            part if len(part) else np.zeros(1, int) for part in np.array_split(np.arange(len(mel) - frames + 1), 3)
        ]
        pieces = [mel[start : start + frames] for start in (np.random.choice(part) for part in thirds)]
        return np.stack([_shortened(mel, frames), *pieces])


def _shortened(mel: np.ndarray, frames: int) -> np.ndarray:
    """Return (T, F) as (frames, F) by linear interpolation between the middles of frames."""
    places = np.clip((np.arange(frames) + 0.5) * (len(mel) / frames) - 0.5, 0, len(mel) - 1)
    low = np.floor(places).astype(int)
    high = np.minimum(low + 1, len(mel) - 1)
    share = (places - low)[:, None].astype(mel.dtype)
    return mel[low] * (1 - share) + mel[high] * share
