"""EnCodec hears samples of one or two channels, cut into chunks where the model works in chunks."""

from __future__ import annotations

from typing import Any

import numpy as np

from enfold.transformers.audio.extractor import SequenceFeatureExtractor
from enfold.transformers.processing.features import BatchFeature

__all__ = ["EncodecFeatureExtractor"]


class EncodecFeatureExtractor(SequenceFeatureExtractor):
    """Samples by channel, padded to whole chunks.

    Args:
        feature_size: channels: 1 or 2.
        sampling_rate: samples a second.
        padding_value: what fills rows up.
        chunk_length_s: seconds of a chunk; None takes a recording whole.
        overlap: share of a chunk that the next one covers too.
    """

    model_input_names = ["input_values", "padding_mask"]

    def __init__(
        self,
        feature_size: int = 1,
        sampling_rate: int = 24000,
        padding_value: float = 0.0,
        chunk_length_s: float | None = None,
        overlap: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(feature_size, sampling_rate, padding_value, **kwargs)
        self.chunk_length_s, self.overlap = chunk_length_s, overlap

    @property
    def chunk_length(self) -> int | None:
        """Samples of a chunk, or None."""
        return None if self.chunk_length_s is None else int(self.chunk_length_s * self.sampling_rate)

    @property
    def chunk_stride(self) -> int | None:
        """Samples between the beginnings of two chunks, or None."""
        length = self.chunk_length
        return None if length is None or self.overlap is None else max(1, int((1.0 - self.overlap) * length))

    def __call__(
        self,
        raw_audio: Any,
        padding: bool | str | None = None,
        truncation: bool | None = False,
        max_length: int | None = None,
        return_tensors: Any = None,
        sampling_rate: int | None = None,
    ) -> BatchFeature:
        """Return ``input_values`` (B, channels, samples) and, with padding, ``padding_mask`` (B, samples).

        Args:
            raw_audio: one recording or a list of them: (samples,), or (2, samples) for two channels.
            padding: as ``pad``; True by default. Padding and truncation exclude each other.
            truncation: cut to the shortest, in whole chunks.
            max_length: samples to pad or cut to.
            return_tensors: "pt", "np", "tf" or "jax".
            sampling_rate: samples a second of the recordings.
        """
        if padding and truncation:
            raise ValueError("padding and truncation exclude each other; pass one of them")
        padding = True if padding is None else padding
        many = isinstance(raw_audio, list | tuple) and len(raw_audio) > 0 and np.ndim(raw_audio[0]) > 0
        self.rows(np.zeros(1), sampling_rate)  # the sampling rate is checked as everywhere
        rows = [np.asarray(one, np.float32).T for one in (raw_audio if many else [raw_audio])]
        for row in rows:
            channels = 1 if row.ndim == 1 else row.shape[-1]
            if row.ndim > 2 or channels != self.feature_size:
                raise ValueError(
                    f"a recording of shape {row.T.shape} was given, {self.feature_size} channel(s) expected"
                )
            if row.size == 0:
                raise ValueError("a recording has no samples")
        length, stride = self.chunk_length, self.chunk_stride
        if length is not None and stride is not None and max_length is None and (truncation or padding):
            edge = min(map(len, rows)) if truncation else max(map(len, rows))
            steps = edge // stride if truncation else -(-edge // stride)
            max_length = (steps - 1) * stride + length
            padding = "max_length" if padding else padding
        elif length is not None and stride is not None and max_length is None:
            return BatchFeature({"input_values": [np.atleast_2d(row.T) for row in rows]}, return_tensors)
        padded = self.pad(
            {"input_values": rows},
            padding=padding,
            max_length=max_length,
            truncation=bool(truncation),
            return_attention_mask=bool(padding),
        )
        made = {"input_values": [np.atleast_2d(row.T) for row in padded["input_values"]]}
        if padding:
            made["padding_mask"] = padded["attention_mask"]
        return BatchFeature(made, tensor_type=return_tensors)
