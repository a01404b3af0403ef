"""Audio: sound to give, from a file or the microphone, or to hear."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from enfold.gradio.components.base import Common, Component, common
from enfold.gradio.components.image import check_kind
from enfold.gradio.components.options import WaveformOptions, made
from enfold.gradio.components.schemas import FILE, sample
from enfold.gradio.components.sound import read_sound, write_sound
from enfold.gradio.events import Event
from enfold.gradio.files import FileData, cached, is_url, keep_bytes, received, served
from enfold.gradio.lengths import sound_suffix

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["Audio"]


class Audio(Component):
    """Sound, to give (from a file or the microphone) or to hear.

    Args:
        value: a path, an address, bytes or ``(samples a second, array)`` to begin with, or a function that gives one.
        sources: of "upload" and "microphone" those offered, the first one open.
        type: what the function receives: "numpy", ``(samples a second, 16-bit array)``, or "filepath".
        streaming: as an input, the microphone sends sound continually; as an output, each value that a generator
            yields is the next piece (clients are told the address of a playlist that grows).
        format: the format files are turned into, such as "wav" or "mp3"; as they are when None, arrays as WAV.
        autoplay, loop: whether it plays at once, and again.
        editable: whether it can be cut.
        waveform_options: see :class:`~enfold.gradio.components.options.WaveformOptions`.
        recording: whether it records now.
        subtitles: a .vtt or .srt or .json file, or a list of ``{"text", "timestamp": [start, end]}``.
        playback_position: where it begins, in seconds.
        common: see :class:`~enfold.gradio.components.base.Common`; ``buttons`` are of "download".

    Example:
        >>> Audio(type="filepath", sources=["microphone"]).sources
        ['microphone']
    """

    type_name = "audio"
    has_files = True
    takes_pieces = True
    BUTTONS = ("download", "share")
    EXTRA: ClassVar[Mapping[str, Any]] = {"streamable": False}
    COMMON: ClassVar[Mapping[str, Any]] = common("info")
    stream = Event()
    change = Event("always_last")
    clear = Event()
    play = Event()
    pause = Event()
    stop = Event()
    start_recording = Event()
    pause_recording = Event()
    stop_recording = Event()
    upload = Event()
    input = Event()

    def __init__(
        self,
        value: Any = None,
        *,
        sources: Sequence[str] | str | None = None,
        type: Literal["numpy", "filepath"] = "numpy",
        streaming: bool = False,
        format: str | None = None,
        autoplay: bool = False,
        editable: bool = True,
        waveform_options: WaveformOptions | dict[str, Any] | None = None,
        loop: bool = False,
        recording: bool = False,
        subtitles: Any = None,
        playback_position: float = 0,
        **common: Unpack[Common],
    ) -> None:
        check_kind(self, ("numpy", "filepath"))
        offered = ("upload", "microphone")
        default = ["microphone"] if streaming else list(offered)
        sources = self.__dict__["sources"]  # an older spelling may have given it
        self.sources = [sources] if isinstance(sources, str) else list(sources or default)
        for source in self.sources:
            if source not in offered:
                raise ValueError(f"Audio sources are of {', '.join(offered)}, not {source!r}")
        if streaming and "microphone" not in self.sources:
            raise ValueError("only the microphone streams: Audio(streaming=True) needs it among sources")
        self.waveform_options = made(WaveformOptions, waveform_options)
        self.subtitles = subtitle_entries(subtitles)
        self._settle()

    def preprocess(self, payload: Any) -> Any:
        path = received(payload, self.refuse)
        if path is None:
            return None
        try:
            if self.type == "numpy":
                return read_sound(path)
            if self.format is None or Path(path).suffix.lower() == f".{self.format}":
                return path
            rate, samples = read_sound(path)
        except ValueError as error:
            raise self.refuse(str(error)) from None
        return keep_bytes(write_sound(rate, samples, self.format), f"{Path(path).stem}.{self.format}")

    def postprocess(self, value: Any) -> Any:
        if value is None or isinstance(value, FileData):
            return value
        if isinstance(value, bytes):
            path = keep_bytes(value, ("audio-stream" if self.streaming else "audio") + sound_suffix(value))
        elif isinstance(value, (tuple, list)):
            rate, samples = value
            form = self.format or "wav"
            path = keep_bytes(write_sound(rate, samples, form), f"audio.{form}")
        elif isinstance(value, (str, Path)):
            if self.format is None or is_url(value) or Path(value).suffix.lower() == f".{self.format}":
                return cached(value, orig_name=None if is_url(value) else Path(value).name)
            rate, samples = read_sound(cached(value)["path"])
            path = keep_bytes(write_sound(rate, samples, self.format), f"{Path(value).stem}.{self.format}")
        else:
            raise ValueError(f"sound is a path, bytes or (samples a second, array), not a {type(value).__name__}")
        return served(path, orig_name=Path(path).name)

    def api_info(self) -> dict[str, Any]:
        return FILE

    def example_payload(self) -> Any:
        return sample("audio_sample.wav")


def subtitle_entries(given: Any) -> Any:
    """Subtitles as the player takes them: a list of ``{"start", "end", "text"}``, or a file in the browser's format.

    Raises:
        ValueError: an entry lacks its text or its two times.
    """
    if given is None:
        return None
    if isinstance(given, (str, Path)):
        if Path(given).suffix.lower() != ".json":
            return cached(given)
        given = json.loads(Path(given).read_text("utf-8"))
    entries = []
    for number, entry in enumerate(given):
        times = entry.get("timestamp") if isinstance(entry, dict) else None
        if not isinstance(times, (list, tuple)) or len(times) != 2 or "text" not in entry:
            raise ValueError(f"subtitle {number} must be {{'text': ..., 'timestamp': [start, end]}}, not {entry!r}")
        entries.append({"start": times[0], "end": times[1], "text": entry["text"]})
    return entries
