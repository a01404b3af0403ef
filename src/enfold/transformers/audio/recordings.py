"""Recordings in every form that people have them in, as one row of samples at a rate."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

__all__ = ["load_audio", "mono"]


def load_audio(audio: Any, sampling_rate: int, timeout: float | None = None) -> np.ndarray:
    """Return a recording as samples (samples,), float32, at ``sampling_rate``.

    Args:
        audio: a path, a URL, the bytes of a file; samples (samples,) or (channels, samples) at that rate already; a
            mapping with ``"array"`` or ``"raw"`` and ``"sampling_rate"``, such as a data set's; or a decoder with
            ``get_all_samples``.
        sampling_rate: samples a second.
        timeout: seconds to wait for a URL.

    Raises:
        ValueError: for what is no recording, has too many channels, or has no samples.
        OSError: for a file that is not there, or that is no recording.

    Example:
        >>> load_audio({"array": np.zeros(8000), "sampling_rate": 8000}, 16000).shape
        (16000,)
    """
    rate: int = sampling_rate
    if isinstance(audio, str | os.PathLike):
        audio = _bytes(os.fspath(audio), timeout)
    if isinstance(audio, bytes | bytearray):
        from enfold.datasets.features.audio import Recording

        try:
            decoded = Recording(bytes(audio), num_channels=1, sampling_rate=sampling_rate)
            samples: Any = np.asarray(decoded["array"])
        except RuntimeError as error:
            raise OSError(str(error)) from error
    elif hasattr(audio, "get_all_samples"):
        whole = audio.get_all_samples()
        samples, rate = whole.data, whole.sample_rate
    elif hasattr(audio, "keys"):
        samples = next((audio[name] for name in ("raw", "array") if name in audio), None)
        if samples is None or "sampling_rate" not in audio:
            raise ValueError(
                "a recording given as a dictionary has 'sampling_rate' and 'array' (or 'raw'); "
                f"this one has {', '.join(map(repr, audio)) or 'nothing'}"
            )
        rate = int(audio["sampling_rate"])
    else:
        samples = audio
    if hasattr(samples, "detach"):
        samples = samples.detach().cpu().numpy()
    if not isinstance(samples, np.ndarray | list | tuple):
        raise ValueError(f"a recording is a path, bytes, samples or a dictionary of them, not {type(audio).__name__}")
    row = mono(np.asarray(samples, dtype=np.float32))
    if row.size == 0:
        raise ValueError("the recording has no samples")
    if rate != sampling_rate:
        from enfold.datasets.features.audio import resample

        row = resample(row[None], rate, sampling_rate)[0]
    return row


def mono(samples: np.ndarray) -> np.ndarray:
    """Return (samples,) or (channels, samples) as (samples,), the mean of one or two channels.

    Raises:
        ValueError: for other shapes, which cannot be told from samples by channels.
    """
    if samples.ndim == 1:
        return samples
    if samples.ndim == 2 and samples.shape[0] <= 2:
        return samples.mean(axis=0)
    raise ValueError(
        f"a recording of shape {samples.shape} is neither (samples,) nor (channels, samples) with one or two channels; "
        "transpose (samples, channels), and mix down more channels yourself"
    )


def _bytes(place: str, timeout: float | None) -> bytes:
    if place.startswith(("http://", "https://")):
        import httpx

        answer = httpx.get(place, follow_redirects=True, timeout=timeout)
        if answer.status_code != 200:
            raise OSError(f"{place} answered {answer.status_code}")
        return answer.content
    with open(place, "rb") as file:
        return file.read()
