"""Small records that components take for one of their tools."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = [
    "Brush",
    "Eraser",
    "InputHTMLAttributes",
    "LayerOptions",
    "WatermarkOptions",
    "WaveformOptions",
    "WebcamOptions",
    "made",
]


@dataclass
class InputHTMLAttributes:
    """Attributes of a text field's element; the browser decides on those that are None."""

    autocapitalize: Literal["off", "none", "on", "sentences", "words", "characters"] | None = None
    autocorrect: Literal["on", "off"] | None = None
    spellcheck: bool | None = None
    autocomplete: str | None = None
    tabindex: int | None = None
    enterkeyhint: Literal["enter", "done", "go", "next", "previous", "search", "send"] | None = None
    lang: str | None = None


@dataclass
class WebcamOptions:
    """A camera: whether its picture is mirrored, and the constraints handed to the browser."""

    mirror: bool = True
    constraints: dict[str, Any] | None = None


@dataclass
class WatermarkOptions:
    """A mark on pictures: a file, picture or array, and the corner (or the pixel) it is put at."""

    watermark: Any = None
    position: tuple[int, int] | Literal["top-left", "top-right", "bottom-left", "bottom-right"] = "bottom-right"


@dataclass
class WaveformOptions:
    """The wave form of a sound: its colours, the seconds that the arrow keys skip, the rate of recordings in Hz."""

    waveform_color: str | None = None
    waveform_progress_color: str | None = None
    trim_region_color: str | None = None
    show_recording_waveform: bool = True
    skip_length: float = 5
    sample_rate: int = 44100


@dataclass
class Eraser:
    """The eraser of an editor: its radius in pixels, or "auto"."""

    default_size: int | Literal["auto"] = "auto"


@dataclass
class Brush(Eraser):
    """The brush of an editor: its radius, the colours offered, the first one, and whether others can be mixed."""

    colors: list[Any] | str | tuple[str, float] | None = None
    default_color: str | tuple[str, float] | None = None
    color_mode: Literal["fixed", "defaults"] = "defaults"

    def __post_init__(self) -> None:
        if self.colors is None:
            hues = ((204, 50, 50), (173, 204, 50), (50, 204, 112), (50, 112, 204), (173, 50, 204))
            self.colors = [f"rgb({r}, {g}, {b})" for r, g, b in hues]
        if self.default_color is None:
            self.default_color = self.colors[0] if isinstance(self.colors, list) else self.colors


@dataclass
class LayerOptions:
    """The layers of an editor: their names, and whether visitors may add some."""

    allow_additional_layers: bool = True
    layers: list[str] | None = field(default_factory=lambda: ["Layer 1"])
    disabled: bool = False

    def __post_init__(self) -> None:
        self.layers = self.layers or ["Layer 1"]


def made(kind: type[Any], given: Any) -> Any:
    """A record of ``kind`` from one, from a dict, or with its defaults from None."""
    if isinstance(given, kind):
        return given
    return kind(**given) if isinstance(given, dict) else kind()
