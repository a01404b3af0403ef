"""Spectrograms: windows, mel filters, short-time Fourier transforms, decibels, cepstral coefficients.

Sources: O'Shaughnessy, 1987 (the HTK mel scale); Slaney, 1998, "Auditory Toolbox" (the other one, and filters of equal
area); Davis and Mermelstein, 1980 (cepstral coefficients).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from enfold.errors import EnfoldError, nearest

__all__ = [
    "amplitude_to_db",
    "hertz_to_mel",
    "mel_filter_bank",
    "mel_to_hertz",
    "mfcc",
    "power_to_db",
    "spectrogram",
    "window_function",
]


class _Scale(NamedTuple):
    """``mel = factor · ln(1 + hertz / corner)``; ``linear`` hertz a mel below the corner, for Slaney's."""

    factor: float
    corner: float


_SCALES = {"htk": _Scale(2595.0 / np.log(10.0), 700.0), "kaldi": _Scale(1127.0, 700.0), "slaney": _Scale(0.0, 1000.0)}
_SLANEY_LINEAR = 200.0 / 3.0  # hertz a mel, up to 1000 Hz, which are 15 mels
_SLANEY_STEP = np.log(6.4) / 27.0  # logarithm of the ratio of hertz a mel, above


def _scale(name: str) -> _Scale:
    if name not in _SCALES:
        raise EnfoldError(f"mel_scale={name!r}{nearest(name, _SCALES)}; there are {', '.join(_SCALES)}")
    return _SCALES[name]


def hertz_to_mel(freq: Any, mel_scale: str = "htk") -> Any:
    """Return frequencies in hertz as mels.

    Args:
        freq: a number or an array.
        mel_scale: ``"htk"``, ``"kaldi"`` or ``"slaney"``.

    Example:
        >>> round(hertz_to_mel(1000.0), 1), hertz_to_mel(1000.0, "slaney")
        (1000.0, 15.0)
    """
    scale = _scale(mel_scale)
    if mel_scale != "slaney":
        return scale.factor * np.log1p(np.asarray(freq, np.float64) / scale.corner)[()]
    freq = np.asarray(freq, np.float64)
    above = 15.0 + np.log(np.maximum(freq, scale.corner) / scale.corner) / _SLANEY_STEP
    return np.where(freq < scale.corner, freq / _SLANEY_LINEAR, above)[()]


def mel_to_hertz(mels: Any, mel_scale: str = "htk") -> Any:
    """Return mels as frequencies in hertz; the inverse of ``hertz_to_mel``."""
    scale = _scale(mel_scale)
    mels = np.asarray(mels, np.float64)
    if mel_scale != "slaney":
        return (scale.corner * np.expm1(mels / scale.factor))[()]
    above = scale.corner * np.exp(_SLANEY_STEP * (np.maximum(mels, 15.0) - 15.0))
    return np.where(mels < 15.0, mels * _SLANEY_LINEAR, above)[()]


def mel_filter_bank(
    num_frequency_bins: int,
    num_mel_filters: int,
    min_frequency: float,
    max_frequency: float,
    sampling_rate: int,
    norm: str | None = None,
    mel_scale: str = "htk",
    triangularize_in_mel_space: bool = False,
    dtype: Any = np.float64,
) -> np.ndarray:
    """Return the weights that turn a spectrogram into a mel spectrogram.

    Args:
        num_frequency_bins: bins of the spectrogram: half the transform's length and one.
        num_mel_filters: filters, overlapping triangles that are equally wide in mels.
        min_frequency: where the first begins, in hertz.
        max_frequency: where the last ends, in hertz.
        sampling_rate: samples a second.
        norm: ``"slaney"`` gives every filter the same area.
        mel_scale: as in ``hertz_to_mel``.
        triangularize_in_mel_space: triangles are straight in mels, as Kaldi's are, and not in hertz.
        dtype: type of the result.

    Returns:
        Shape (num_frequency_bins, num_mel_filters).

    Example:
        >>> mel_filter_bank(201, 80, 0.0, 8000.0, 16000, norm="slaney", mel_scale="slaney").shape
        (201, 80)
    """
    if norm not in (None, "slaney"):
        raise ValueError(f"norm is None or 'slaney', not {norm!r}")
    if num_frequency_bins < 2:
        raise ValueError(f"num_frequency_bins is at least 2, not {num_frequency_bins}")
    if min_frequency > max_frequency:
        raise ValueError(f"min_frequency {min_frequency} is above max_frequency {max_frequency}")
    ends = hertz_to_mel(min_frequency, mel_scale), hertz_to_mel(max_frequency, mel_scale)
    corners = np.linspace(*ends, num_mel_filters + 2)  # in mels
    hertz = mel_to_hertz(corners, mel_scale)
    if triangularize_in_mel_space:
        width = sampling_rate / ((num_frequency_bins - 1) * 2)
        bins, edges = hertz_to_mel(width * np.arange(num_frequency_bins), mel_scale), corners
    else:
        bins, edges = np.linspace(0, sampling_rate // 2, num_frequency_bins), hertz
    gaps = np.diff(edges)
    away = edges[None] - bins[:, None]  # (bins, filters + 2)
    rising, falling = -away[:, :-2] / gaps[:-1], away[:, 2:] / gaps[1:]
    filters = np.maximum(0.0, np.minimum(rising, falling)).astype(dtype, copy=False)
    if norm == "slaney":
        filters *= 2.0 / (hertz[2:] - hertz[:-2])
    if (filters.max(axis=0) == 0.0).any():
        warnings.warn(
            f"some of the {num_mel_filters} mel filters are narrower than a bin and let nothing through; "
            f"num_mel_filters is too high for {num_frequency_bins} bins",
            stacklevel=2,
        )
    return filters


def window_function(
    window_length: int,
    name: str = "hann",
    periodic: bool = True,
    frame_length: int | None = None,
    center: bool = True,
) -> np.ndarray:
    """Return a window.

    Args:
        window_length: samples.
        name: ``"boxcar"``, ``"hamming"``, ``"hann"`` or ``"povey"`` (a Hann window to the power of 0.85).
        periodic: the window continues itself; otherwise it is symmetric.
        frame_length: pad with zeros to this many samples.
        center: half of the padding before, half behind; otherwise all behind.

    Returns:
        Shape (frame_length or window_length,), float64.
    """
    shapes: dict[str, Callable[[int], Any]] = {
        "boxcar": np.ones,
        "hamming": np.hamming,
        "hann": np.hanning,
        "povey": lambda n: np.hanning(n) ** 0.85,
    }
    key = name.removesuffix("_window")
    if key not in shapes:
        raise ValueError(f"window {name!r}{nearest(key, shapes)}; there are {', '.join(shapes)}")
    window = shapes[key](window_length + periodic)[:window_length]
    if frame_length is None:
        return window
    if window_length > frame_length:
        raise ValueError(f"a window of {window_length} samples does not fit into a frame of {frame_length}")
    before = (frame_length - window_length) // 2 if center else 0
    return np.pad(window, (before, frame_length - window_length - before))


def spectrogram(
    waveform: np.ndarray,
    window: np.ndarray,
    frame_length: int,
    hop_length: int,
    fft_length: int | None = None,
    power: float | None = 1.0,
    center: bool = True,
    pad_mode: str = "reflect",
    onesided: bool = True,
    dither: float = 0.0,
    preemphasis: float | None = None,
    mel_filters: np.ndarray | None = None,
    mel_floor: float = 1e-10,
    log_mel: str | None = None,
    reference: float = 1.0,
    min_value: float = 1e-10,
    db_range: float | None = None,
    remove_dc_offset: bool = False,
    dtype: Any = np.float32,
) -> np.ndarray:
    """Return the short-time Fourier transform of a recording, as magnitudes, mels, logarithms or decibels.

    Args:
        waveform: (samples,).
        window: (frame_length,).
        frame_length: samples of a frame.
        hop_length: samples between the beginnings of two frames.
        fft_length: samples of the transform; frames are filled with zeros to it.
        power: of the magnitudes: 1 amplitudes, 2 powers; None returns complex numbers.
        center: pad so that frame t has its middle at ``t · hop_length``.
        pad_mode: how, as in ``numpy.pad``.
        onesided: leave out negative frequencies.
        dither: standard deviation of noise that is added to every frame.
        preemphasis: share of the sample before that is taken off every sample.
        mel_filters: (bins, filters), see ``mel_filter_bank``.
        mel_floor: least value of a mel spectrogram.
        log_mel: ``"log"``, ``"log10"`` or ``"dB"``.
        reference: what 0 dB is.
        min_value: least value before decibels.
        db_range: decibels below the loudest at which values are cut.
        remove_dc_offset: take every frame's mean off it.
        dtype: type of logarithms.

    Returns:
        Shape (bins or filters, frames).
    """
    fft_length = frame_length if fft_length is None else fft_length
    if frame_length > fft_length:
        raise ValueError(f"a frame of {frame_length} samples does not fit into a transform of {fft_length}")
    if len(window) != frame_length:
        raise ValueError(f"the window has {len(window)} samples and a frame {frame_length}; they must be equal")
    if hop_length <= 0:
        raise ValueError(f"hop_length is at least 1, not {hop_length}")
    if waveform.ndim != 1 or np.iscomplexobj(waveform):
        raise ValueError(f"a waveform is one row of real numbers, not {waveform.dtype} of shape {waveform.shape}")
    if power is None and mel_filters is not None:
        raise ValueError("mel filters need magnitudes: power=None has none")
    if center:
        waveform = np.pad(waveform, frame_length // 2, mode=pad_mode)  # type: ignore[call-overload]
    if waveform.size < frame_length:
        raise ValueError(f"{waveform.size} samples are less than one frame of {frame_length}")
    frames = np.lib.stride_tricks.sliding_window_view(waveform.astype(np.float64), frame_length)[::hop_length]
    if dither != 0.0:
        frames = frames + dither * np.random.randn(*frames.shape)
    if remove_dc_offset:
        frames = frames - frames.mean(axis=1, keepdims=True)
    if preemphasis is not None:
        before = np.concatenate((frames[:, :1], frames[:, :-1]), axis=1)
        frames = frames - preemphasis * before
    transform = np.fft.rfft if onesided else np.fft.fft
    found = transform(frames * window.astype(np.float64), n=fft_length, axis=1).astype(np.complex64).T
    if power is None:
        return found
    values = np.abs(found, dtype=np.float64) ** power
    if mel_filters is not None:
        values = np.maximum(mel_floor, mel_filters.T @ values)
    if log_mel is None:
        return values
    if log_mel == "dB" and power in (1.0, 2.0):
        decibels = amplitude_to_db if power == 1.0 else power_to_db
        return decibels(values, reference, min_value, db_range).astype(dtype)
    logarithms = {"log": np.log, "log10": np.log10}
    if log_mel not in logarithms:
        raise ValueError(f"log_mel={log_mel!r} with power={power}: there are log, log10, and dB of powers 1 and 2")
    return logarithms[log_mel](values).astype(dtype)


def power_to_db(
    spectrogram: np.ndarray, reference: float = 1.0, min_value: float = 1e-10, db_range: float | None = None
) -> np.ndarray:
    """Return powers in decibels: ``10 · log10(power / reference)``.

    Args:
        spectrogram: powers, any shape.
        reference: what 0 dB is.
        min_value: least power.
        db_range: cut what is further below the loudest than this.
    """
    return _decibels(spectrogram, 10.0, reference, min_value, db_range)


def amplitude_to_db(
    spectrogram: np.ndarray, reference: float = 1.0, min_value: float = 1e-5, db_range: float | None = None
) -> np.ndarray:
    """Return amplitudes in decibels: ``20 · log10(amplitude / reference)``; arguments as ``power_to_db``."""
    return _decibels(spectrogram, 20.0, reference, min_value, db_range)


def _decibels(values: np.ndarray, factor: float, reference: float, least: float, span: float | None) -> np.ndarray:
    if reference <= 0.0 or least <= 0.0 or (span is not None and span <= 0.0):
        raise ValueError("reference, min_value and db_range of decibels are above zero")
    levels = factor * (np.log10(np.maximum(values, least)) - np.log10(max(least, reference)))
    return levels if span is None else np.maximum(levels, levels.max() - span)


def mfcc(
    waveform: np.ndarray,
    sampling_rate: int,
    n_mfcc: int = 20,
    n_mels: int = 128,
    n_fft: int = 2048,
    hop_length: int = 512,
    db_range: float | None = 80.0,
) -> np.ndarray:
    """Return mel-frequency cepstral coefficients: the cosine transform of a mel spectrogram in decibels.

    Args:
        waveform: (samples,).
        sampling_rate: samples a second.
        n_mfcc: coefficients.
        n_mels: mel filters, Slaney's.
        n_fft: samples of a frame.
        hop_length: samples between frames.
        db_range: see ``power_to_db``.

    Returns:
        Shape (n_mfcc, frames), float32.
    """
    filters = mel_filter_bank(1 + n_fft // 2, n_mels, 0.0, sampling_rate / 2, sampling_rate, "slaney", "slaney")
    levels = spectrogram(
        waveform,
        window_function(n_fft),
        n_fft,
        hop_length,
        power=2.0,
        pad_mode="constant",
        mel_filters=filters,
        log_mel="dB",
        db_range=db_range,
        dtype=np.float64,
    )
    angles = np.pi / n_mels * (np.arange(n_mels) + 0.5)[None] * np.arange(n_mfcc)[:, None]
    basis = np.sqrt(2.0 / n_mels) * np.cos(angles)
    basis[0] /= np.sqrt(2.0)
    return (basis @ levels).astype(np.float32)
