"""Videos: stored as files, decoded by PyAV (FFmpeg) frame by frame when they are asked for."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from enfold.errors import required

from .media import MediaFile

__all__ = ["Clip", "Video"]


@dataclass
class FrameBatch:
    """Frames of a video.

    Args:
        data: shape (frames, channels, height, width), uint8, or with the channels last.
        pts_seconds: when each frame begins, shape (frames,).
        duration_seconds: how long each is shown, shape (frames,).
    """

    data: Any
    pts_seconds: Any
    duration_seconds: Any


@dataclass
class VideoStreamMetadata:
    """What a video's header says."""

    width: int
    height: int
    num_frames: int
    average_fps: float
    duration_seconds: float
    codec: str
    path: str | None = None


class Clip:
    """A video whose frames are decoded when they are asked for.

    Args:
        source: the file's path or its bytes.
        stream_index: which of the file's video streams; the best where None.
        dimension_order: ``"NCHW"`` or ``"NHWC"``.
        num_ffmpeg_threads: threads that decode.
        path: the name to show.
    """

    def __init__(
        self,
        source: str | bytes,
        *,
        stream_index: int | None = None,
        dimension_order: str = "NCHW",
        num_ffmpeg_threads: int = 1,
        path: str | None = None,
    ) -> None:
        self._source, self._stream, self._order = source, stream_index, dimension_order
        self._threads, self._path = num_ffmpeg_threads, path
        self._stored = {"bytes": source if isinstance(source, bytes) else None, "path": path}

    def _decoded(self) -> Iterator[Any]:
        with self._open() as container:
            stream = container.streams.video[self._stream or 0]
            stream.thread_count = self._threads
            yield from container.decode(stream)

    def _open(self) -> Any:
        av = required("av", "reading videos", "video")
        return av.open(io.BytesIO(self._source) if isinstance(self._source, bytes) else self._source)

    @cached_property
    def _times(self) -> tuple[np.ndarray, np.ndarray]:
        times = np.array([float(frame.time or 0.0) for frame in self._decoded()])
        steps = np.diff(times, append=times[-1:] + (times[-1] - times[-2] if len(times) > 1 else 1 / 25))
        return times, steps

    @cached_property
    def metadata(self) -> VideoStreamMetadata:
        """What the file's header says."""
        with self._open() as container:
            stream = container.streams.video[self._stream or 0]
            rate = float(stream.average_rate or 0)
            seconds = float(stream.duration * stream.time_base) if stream.duration else len(self) / (rate or 25.0)
            return VideoStreamMetadata(
                stream.width, stream.height, stream.frames or len(self), rate, seconds, stream.name, self._path
            )

    def __len__(self) -> int:
        return len(self._times[0])

    def get_frames_at(self, indices: Any) -> FrameBatch:
        """Return the frames of several numbers.

        Raises:
            IndexError: a frame that the video does not have.
        """
        numbers = [int(index) + (len(self) if index < 0 else 0) for index in indices]
        for number in numbers:
            if not 0 <= number < len(self):
                raise IndexError(f"frame {number} is out of range: the video has {len(self)} frames")
        wanted, found = set(numbers), {}
        for number, frame in enumerate(self._decoded()):
            if number in wanted:
                found[number] = frame.to_ndarray(format="rgb24")
            if len(found) == len(wanted):
                break
        shape = (0, self.metadata.height, self.metadata.width, 3)
        data = np.stack([found[number] for number in numbers]) if numbers else np.zeros(shape, np.uint8)
        if self._order == "NCHW":
            data = data.transpose(0, 3, 1, 2)
        times, steps = self._times
        return FrameBatch(_tensor(data), _tensor(times[numbers]), _tensor(steps[numbers]))

    def get_frames_in_range(self, start: int, stop: int, step: int = 1) -> FrameBatch:
        """Return the frames of a range of numbers."""
        return self.get_frames_at(range(start, min(stop, len(self)), step))

    def get_frame_at(self, index: int) -> FrameBatch:
        """Return one frame, without the first dimension."""
        batch = self.get_frames_at([index])
        return FrameBatch(batch.data[0], batch.pts_seconds[0], batch.duration_seconds[0])

    def get_frame_played_at(self, seconds: float) -> FrameBatch:
        """Return the frame that is shown at a moment."""
        return self.get_frame_at(max(int(np.searchsorted(self._times[0], seconds, side="right")) - 1, 0))

    def __getitem__(self, key: int | slice) -> Any:
        if isinstance(key, slice):
            return self.get_frames_at(range(*key.indices(len(self)))).data
        return self.get_frame_at(key).data

    def __iter__(self) -> Iterator[Any]:
        for frame in self._decoded():
            data = frame.to_ndarray(format="rgb24")
            yield _tensor(data.transpose(2, 0, 1) if self._order == "NCHW" else data)

    def __repr__(self) -> str:
        return f"Clip(path={self._path!r})"


def _tensor(values: np.ndarray) -> Any:
    try:
        import torch
    except ImportError:
        return values
    return torch.from_numpy(np.ascontiguousarray(values))


@dataclass
class Video(MediaFile):
    """A column of videos: paths, bytes, or dicts of them; rows give a :class:`Clip`.

    Args:
        decode: give clips; else ``{"bytes": …, "path": …}``.
        stream_index: which of a file's video streams.
        dimension_order: ``"NCHW"`` or ``"NHWC"``.
        num_ffmpeg_threads: threads that decode one video.
        device: accepted for compatibility; frames are decoded on the processor.
        seek_mode: accepted for compatibility; frames are found exactly.
    """

    decode: bool = True
    stream_index: int | None = None
    dimension_order: str = "NCHW"
    num_ffmpeg_threads: int = 1
    device: Any = "cpu"
    seek_mode: str = "exact"
    id: str | None = field(default=None, repr=False, compare=False)

    dtype: ClassVar[str] = "torchcodec.decoders.VideoDecoder"
    _noun: ClassVar[str] = "video"

    def __post_init__(self) -> None:
        if self.dimension_order not in ("NCHW", "NHWC"):
            raise ValueError(f"dimension_order is 'NCHW' or 'NHWC', not {self.dimension_order!r}")

    def _encode_object(self, value: Any) -> dict[str, Any] | None:
        return dict(value._stored) if isinstance(value, Clip) else None

    def decode_example(self, value: Any, token_per_repo_id: Mapping[str, Any] | None = None) -> Any:
        """Return the clip of a stored value; a clip is given back as it is.

        Raises:
            ValueError: neither bytes nor a path.
            enfold.errors.MissingExtra: PyAV is not installed, once frames are asked for.
        """
        self._must_decode()
        if value is None or not isinstance(value, Mapping):
            return value
        path, source = value.get("path"), value.get("bytes")
        if source is None and (path is None or "://" in path):
            source = self._opened(value, token_per_repo_id)
        return Clip(
            source if source is not None else str(path),
            stream_index=self.stream_index,
            dimension_order=self.dimension_order,
            num_ffmpeg_threads=self.num_ffmpeg_threads,
            path=path,
        )
