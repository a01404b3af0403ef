"""Video: a film to give, from a file or the camera, or to see."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from enfold.gradio.components.audio import subtitle_entries
from enfold.gradio.components.base import Common, Component, common
from enfold.gradio.components.options import WatermarkOptions, WebcamOptions, made
from enfold.gradio.components.schemas import FILE, sample
from enfold.gradio.errors import GradioError
from enfold.gradio.events import Event
from enfold.gradio.files import FileData, cached, is_url, keep_file, received

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["Video"]


class Video(Component):
    """A film, to give (from a file or the camera) or to see; the function receives and returns a path.

    Args:
        value: a path or address to begin with, or a function that gives one.
        format: the format films are turned into, such as "mp4" (needs the ffmpeg program); as they are when None.
        sources: of "upload" and "webcam" those offered.
        height, width: of the frame, in pixels or any CSS length.
        webcam_options, watermark: see :class:`WebcamOptions` and :class:`WatermarkOptions` (a mark needs ffmpeg).
        include_audio: whether the function receives the sound too; when None, with uploads.
        autoplay, loop: whether it plays at once, and again.
        streaming: whether each value that a generator yields is the next piece; clients get a playlist that grows.
        subtitles: as for :class:`~enfold.gradio.Audio`.
        playback_position: where it begins, in seconds.
        common: see :class:`~enfold.gradio.components.base.Common`; ``buttons`` are of "download".
    """

    type_name = "video"
    has_files = True
    takes_pieces = True
    BUTTONS = ("download",)
    COMMON: ClassVar[Mapping[str, Any]] = common("info")
    change = Event("always_last")
    clear = Event()
    start_recording = Event()
    stop_recording = Event()
    stop = Event()
    play = Event()
    pause = Event()
    end = Event()
    upload = Event()
    input = Event()

    def __init__(
        self,
        value: str | Path | Callable[[], Any] | None = None,
        *,
        format: str | None = None,
        sources: Sequence[str] | str | None = None,
        height: int | str | None = None,
        width: int | str | None = None,
        webcam_options: WebcamOptions | dict[str, Any] | None = None,
        include_audio: bool | None = None,
        autoplay: bool = False,
        loop: bool = False,
        streaming: bool = False,
        watermark: WatermarkOptions | Any = None,
        subtitles: Any = None,
        playback_position: float = 0,
        **common: Unpack[Common],
    ) -> None:
        offered = ("upload", "webcam")
        sources = self.__dict__["sources"]  # an older spelling may have given it
        self.sources = [sources] if isinstance(sources, str) else list(sources or offered)
        for source in self.sources:
            if source not in offered:
                raise ValueError(f"Video sources are of {', '.join(offered)}, not {source!r}")
        self.webcam_options = made(WebcamOptions, self.__dict__["webcam_options"])
        if not isinstance(watermark, (WatermarkOptions, dict)) and watermark is not None:
            watermark = WatermarkOptions(str(watermark))
        self.watermark = made(WatermarkOptions, watermark)
        if include_audio is None:
            self.include_audio = "upload" in self.sources
        self.subtitles = subtitle_entries(subtitles)
        self._settle()

    def preprocess(self, payload: Any) -> str | None:
        path = received(payload, self.refuse)
        if path is None:
            return None
        flip = self.sources == ["webcam"] and self.webcam_options.mirror
        suffix = f".{self.format}" if self.format else Path(path).suffix
        if suffix == Path(path).suffix and not flip and self.include_audio:
            return path
        options = [*(["-vf", "hflip"] if flip else []), *([] if self.include_audio else ["-an"])]
        return _converted(path, suffix, options)

    def postprocess(self, value: Any) -> Any:
        if value is None or isinstance(value, FileData):
            return value
        if isinstance(value, (tuple, list)):  # version 4 and 5: with a file of subtitles
            value = value[0]
            if value is None:
                return None
        if not isinstance(value, (str, Path)):
            raise ValueError(f"a film is a path or an address, not a {type(value).__name__}")
        suffix = Path(str(value).split("?")[0]).suffix.lower()
        wanted = f".{self.format}" if self.format else suffix
        mark = self.watermark.watermark
        if suffix == wanted and mark is None:
            return cached(value, orig_name=None if is_url(value) else Path(value).name)
        if is_url(value):
            source = received({"path": str(value), "meta": {"_type": "gradio.FileData"}})
            assert source is not None
        else:
            source = cached(value)["path"]
        return cached(_converted(source, wanted, [], None if mark is None else (str(mark), self.watermark.position)))

    def api_info(self) -> dict[str, Any]:
        return FILE

    def example_payload(self) -> Any:
        return sample("world.mp4")


def _converted(path: str, suffix: str, options: list[str], mark: tuple[str, Any] | None = None) -> str:
    """A copy in another format, made by ffmpeg and kept."""
    program = shutil.which("ffmpeg")
    if program is None:
        raise GradioError("changing a film needs the ffmpeg program, which is not installed")
    import tempfile

    overlay: list[str] = []
    if mark is not None:
        file, at = mark
        corners = {"left": "5", "right": "W-w-5", "top": "5", "bottom": "H-h-5"}
        if isinstance(at, str):
            vertical, _, side = at.partition("-")
            place = f"{corners[side]}:{corners[vertical]}"
        else:
            place = f"{at[0]}:{at[1]}"
        overlay = ["-i", file, "-filter_complex", f"overlay={place}"]
    with tempfile.TemporaryDirectory() as home:
        made = str(Path(home) / f"{Path(path).stem}{suffix}")
        command = [program, "-y", "-loglevel", "error", "-i", path, *overlay, *options, made]
        done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, text=True)
        if done.returncode:
            raise GradioError(f"ffmpeg could not change the film: {done.stderr.strip()[-300:]}")
        return keep_file(made)
