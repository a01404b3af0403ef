"""Recordings: stored as files, decoded by libsndfile and resampled by scipy when their samples are asked for."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import gcd
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from enfold.errors import required

from .media import MediaFile

__all__ = ["Audio", "AudioSamples", "Recording", "resample"]


def _soundfile() -> Any:
    return required("soundfile", "reading and writing recordings", "audio")


def resample(samples: np.ndarray, rate: int, wanted: int) -> np.ndarray:
    """Return samples at another rate, by a polyphase filter that keeps what both rates can hold.

    Args:
        samples: shape (channels, samples).
        rate: samples a second now.
        wanted: samples a second in the result.

    Returns:
        Samples of shape (channels, ceil(samples × wanted / rate)), float32.
    """
    if rate == wanted:
        return samples
    signal = required("scipy.signal", "resampling of recordings", "audio")
    shared = gcd(rate, wanted)
    made = signal.resample_poly(samples.astype(np.float64), wanted // shared, rate // shared, axis=-1)
    return made.astype(np.float32)


@dataclass
class AudioSamples:
    """A stretch of a recording.

    Args:
        data: the samples, shape (channels, samples), float32 in -1 to 1: a torch tensor where torch is loaded.
        pts_seconds: where the stretch begins.
        duration_seconds: how long it is.
        sample_rate: samples a second.
    """

    data: Any
    pts_seconds: float
    duration_seconds: float
    sample_rate: int


@dataclass
class AudioStreamMetadata:
    """What a recording's header says."""

    sample_rate: int
    num_channels: int
    duration_seconds_from_header: float
    codec: str
    path: str | None = None

    @property
    def duration_seconds(self) -> float:
        """The recording's length."""
        return self.duration_seconds_from_header


class Recording(Mapping[str, Any]):
    """A recording whose samples are read when they are asked for.

    It is used as the mapping ``{"array": …, "path": …, "sampling_rate": …}``, or with the methods of a decoder such as
    :meth:`get_all_samples`.

    Args:
        source: the file's path or its bytes.
        sampling_rate: the rate to resample to; the file's own where None.
        num_channels: 1 to average the channels, another number to repeat a single one; the file's own where None.
        stream_index: which stream of the file; 0 or None, as files that libsndfile reads have one.
        path: the name to show.

    Raises:
        ValueError: a stream that the file does not have.
        RuntimeError: the file is no recording that libsndfile reads.
    """

    def __init__(
        self,
        source: str | bytes,
        *,
        sampling_rate: int | None = None,
        num_channels: int | None = None,
        stream_index: int | None = None,
        path: str | None = None,
    ) -> None:
        if stream_index:
            raise ValueError(f"the recording has one stream; there is no stream {stream_index}")
        self._source, self._wanted, self._channels = source, sampling_rate, num_channels
        self._path = path if path is not None or isinstance(source, bytes) else source
        #: what is stored when the recording is written into a dataset again
        self._stored = {
            "bytes": source if isinstance(source, bytes) else None,
            "path": path if path is not None else (source if isinstance(source, str) else None),
        }

    def _open(self) -> Any:
        library = _soundfile()
        try:
            return library.SoundFile(io.BytesIO(self._source) if isinstance(self._source, bytes) else self._source)
        except library.LibsndfileError as error:
            shown = self._path or f"{len(self._source)} bytes"
            raise RuntimeError(f"{shown}: no recording that libsndfile reads: {error}") from error

    @cached_property
    def metadata(self) -> AudioStreamMetadata:
        """What the file's header says: the rate and channels that the recording was stored with."""
        with self._open() as file:
            seconds = file.frames / file.samplerate
            return AudioStreamMetadata(file.samplerate, file.channels, seconds, file.subtype.lower(), self._path)

    def _mixed(self, samples: np.ndarray) -> np.ndarray:
        have, wanted = samples.shape[0], self._channels
        if wanted is None or wanted == have:
            return samples
        if wanted == 1:
            return samples.mean(axis=0, keepdims=True)
        if have == 1:
            return np.repeat(samples, wanted, axis=0)
        raise ValueError(f"a recording of {have} channels cannot be given as {wanted}; ask for 1 or for {have}")

    @cached_property
    def _samples(self) -> np.ndarray:
        """All samples, shape (channels, samples), float32."""
        with self._open() as file:
            read = file.read(dtype="float32", always_2d=True).T
            rate = file.samplerate
        return resample(self._mixed(np.ascontiguousarray(read)), rate, self.sampling_rate)

    @property
    def sampling_rate(self) -> int:
        """Samples a second, as they are given."""
        return self._wanted or self.metadata.sample_rate

    def get_all_samples(self) -> AudioSamples:
        """Return the whole recording."""
        return self.get_samples_played_in_range(0.0)

    def get_samples_played_in_range(
        self, start_seconds: float = 0.0, stop_seconds: float | None = None
    ) -> AudioSamples:
        """Return the samples between two moments.

        Raises:
            ValueError: the end is before the beginning.
        """
        if stop_seconds is not None and stop_seconds < start_seconds:
            raise ValueError(f"the stretch ends at {stop_seconds} s, before it begins at {start_seconds} s")
        rate = self.sampling_rate
        first = round(start_seconds * rate)
        last = self._samples.shape[1] if stop_seconds is None else round(stop_seconds * rate)
        part = self._samples[:, first:last]
        return AudioSamples(_tensor(part), first / rate, part.shape[1] / rate, rate)

    def __getitem__(self, key: str) -> Any:
        """Return ``"array"`` (float32, shape (samples,): the mean of the channels), ``"path"``, ``"sampling_rate"``."""
        if key == "array":
            return self._samples.mean(axis=0) if self._samples.shape[0] > 1 else self._samples[0]
        if key == "sampling_rate":
            return self.sampling_rate
        if key == "path":
            return self._path
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return iter(("path", "array", "sampling_rate"))

    def __len__(self) -> int:
        return 3

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Recording) and self._key() == other._key())

    def _key(self) -> Any:
        return self._source, self._wanted, self._channels

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Recording(path={self._path!r}, sampling_rate={self._wanted}, num_channels={self._channels})"


def _tensor(samples: np.ndarray) -> Any:
    """Samples as torch code expects them; numpy alone where torch cannot be loaded."""
    try:
        import torch
    except ImportError:
        return samples
    return torch.from_numpy(np.ascontiguousarray(samples))


def recording_bytes(samples: Any, rate: int, channels: int | None = None) -> bytes:
    """Return samples, shape (samples,) or (channels, samples), as a WAV file of 32-bit floats or 16-bit integers."""
    values = np.asarray(samples.detach().cpu().numpy() if hasattr(samples, "detach") else samples)
    if values.dtype.kind not in "fiu":
        raise TypeError(f"samples are numbers, not {values.dtype}")
    if values.ndim == 1:
        values = np.repeat(values[None], channels or 1, axis=0)
    kind = "PCM_16" if values.dtype == np.int16 else "FLOAT"
    values = values if values.dtype == np.int16 else values.astype(np.float32)
    buffer = io.BytesIO()
    _soundfile().write(buffer, values.T, int(rate), format="WAV", subtype=kind)
    return buffer.getvalue()


@dataclass
class Audio(MediaFile):
    """A column of recordings.

    A value may be a path, bytes, a dict of them, or ``{"array": samples, "sampling_rate": rate}`` with samples of shape
    (samples,) or (channels, samples); rows give a :class:`Recording`.

    Args:
        sampling_rate: the rate to resample to, in samples a second; the files' own where None.
        decode: give recordings; else ``{"bytes": …, "path": …}``.
        num_channels: 1 for mono; the files' own where None.
        stream_index: which stream of a file.
        mono: the older spelling of ``num_channels=1``.

    Example:
        >>> Audio(sampling_rate=16000, mono=True)
        Audio(sampling_rate=16000, decode=True, num_channels=1, stream_index=None)
    """

    sampling_rate: int | None = None
    decode: bool = True
    num_channels: int | None = None
    stream_index: int | None = None
    id: str | None = field(default=None, repr=False, compare=False)
    mono: bool | None = field(default=None, repr=False, compare=False)

    dtype: ClassVar[str] = "dict"
    _noun: ClassVar[str] = "recording"

    def __post_init__(self) -> None:
        if self.mono and self.num_channels is None:
            self.num_channels = 1
        self.mono = None

    def _encode_object(self, value: Any) -> dict[str, Any] | None:
        if isinstance(value, Recording):
            return dict(value._stored)
        if hasattr(value, "get_all_samples"):  # the decoder of another library
            samples = value.get_all_samples()
            return {"bytes": recording_bytes(samples.data, samples.sample_rate), "path": None}
        if not isinstance(value, Mapping):
            return None
        rate = value.get("sampling_rate", self.sampling_rate)
        if value.get("array") is not None:
            if rate is None:
                raise ValueError("samples need a 'sampling_rate' beside their 'array'")
            path = value.get("path")
            return {"bytes": recording_bytes(value["array"], rate, self.num_channels), "path": path}
        path = value.get("path")
        if path is not None and os.fspath(path).endswith("pcm"):  # samples of 16 bits and nothing else
            if value.get("sampling_rate") is None:
                raise KeyError("a PCM file does not say its rate: give 'sampling_rate' beside its path")
            raw = value.get("bytes")
            raw = raw if raw is not None else self._opened({"path": path}, None)
            return {"bytes": recording_bytes(np.frombuffer(raw, np.int16), rate, self.num_channels), "path": None}
        return None

    def decode_example(self, value: Any, token_per_repo_id: Mapping[str, Any] | None = None) -> Any:
        """Return the recording of a stored value; nothing is read before its samples are asked for.

        Args:
            value: ``{"bytes": …, "path": …}``; a recording is given back as it is.
            token_per_repo_id: the token to read a repository with, by its id.

        Raises:
            ValueError: neither bytes nor a path.
        """
        self._must_decode()
        if isinstance(value, str):
            value = {"bytes": None, "path": value}
        if value is None or isinstance(value, Recording) or not isinstance(value, Mapping):
            return value
        path, source = value.get("path"), value.get("bytes")
        if source is None and (path is None or "://" in path):
            source = self._opened(value, token_per_repo_id)
        return Recording(
            source if source is not None else str(path),
            sampling_rate=self.sampling_rate,
            num_channels=self.num_channels,
            stream_index=self.stream_index,
            path=path,
        )

    def flatten(self) -> Any:
        """Return the fields of the stored form.

        Raises:
            ValueError: recordings are decoded, so that the column is not made of its fields.
        """
        if self.decode:
            raise ValueError("Cannot flatten a decoded Audio feature.")
        return super().flatten()

    def _cast_other(self, storage: pa.Array) -> pa.Array:
        kind = storage.type
        if pa.types.is_struct(kind) and kind.get_field_index("array") >= 0:
            from ..values import arrow_to_list

            values = arrow_to_list(storage)
            for value in values:
                if value is not None and value["array"] is not None:
                    value["array"] = np.asarray(value["array"], np.float32)
            return self._of_values(values)
        return super()._cast_other(storage)
