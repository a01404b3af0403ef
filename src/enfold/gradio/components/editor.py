"""The image editor: a picture, layers to draw on, and what they look like together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from enfold.gradio.components import pictures
from enfold.gradio.components.base import Common, Component, common
from enfold.gradio.components.image import Kind, Mode, _file, check_kind
from enfold.gradio.components.options import Brush, Eraser, LayerOptions, WebcamOptions, made
from enfold.gradio.components.schemas import array, defined, record, ref, sample
from enfold.gradio.events import Event

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["ImageEditor", "ImageMask", "Paint", "Sketchpad"]

_SOURCES = ("upload", "webcam", "clipboard")


class ImageEditor(Component):
    """A picture to draw on; the function receives and returns ``{"background", "layers", "composite"}``.

    Args:
        value: such a dict, or a single picture for the background, to begin with; or a function that gives one.
        height, width: of the frame, in pixels or any CSS length.
        image_mode: the mode the function receives.
        sources: of "upload", "webcam" and "clipboard" those that can fill the background.
        type: what the function receives: "numpy", "pil" or "filepath".
        placeholder: text while it is empty.
        transforms: of "crop" and "resize" those offered.
        eraser, brush: see :class:`Eraser` and :class:`Brush`; False leaves the tool out.
        format: the format that arrays and Pillow images are sent in.
        layers: whether layers can be added, or :class:`LayerOptions`.
        canvas_size: width and height in pixels of an empty canvas.
        fixed_canvas: whether pictures are scaled to it, instead of the other way round.
        webcam_options: see :class:`WebcamOptions`.
        common: see :class:`~enfold.gradio.components.base.Common`.
    """

    type_name = "imageeditor"
    has_files = True
    lists_buttons = False
    EXTRA: ClassVar[Mapping[str, Any]] = {"server_fns": ["accept_blobs"]}
    COMMON: ClassVar[Mapping[str, Any]] = common("info")
    clear = Event()
    change = Event("always_last")
    input = Event()
    select = Event()
    upload = Event()
    apply = Event()

    def __init__(
        self,
        value: Any = None,
        *,
        height: int | str | None = None,
        width: int | str | None = None,
        image_mode: Mode | None = "RGBA",
        sources: Sequence[str] | str | None = _SOURCES,
        type: Kind = "numpy",
        placeholder: str | None = None,
        transforms: Sequence[Literal["crop", "resize"]] | None = ("crop", "resize"),
        eraser: Eraser | Literal[False] | None = None,
        brush: Brush | Literal[False] | None = None,
        format: str = "webp",
        layers: bool | LayerOptions = True,
        canvas_size: tuple[int, int] = (800, 800),
        fixed_canvas: bool = False,
        webcam_options: WebcamOptions | dict[str, Any] | None = None,
        **common: Unpack[Common],
    ) -> None:
        check_kind(self, ("numpy", "pil", "filepath"))
        given = self.__dict__
        sources, layers, brush = given["sources"], given["layers"], given["brush"]
        self.sources = [sources] if isinstance(sources, str) else list(sources or [])
        self.transforms = list(given["transforms"] or [])
        self.eraser = False if given["eraser"] is False else made(Eraser, given["eraser"])
        self.brush = False if brush is False else made(Brush, brush)
        self.layers = LayerOptions(disabled=not layers) if isinstance(layers, bool) else layers
        self.canvas_size = list(given["canvas_size"])
        self.webcam_options = made(WebcamOptions, given["webcam_options"])
        self._settle()

    def preprocess(self, payload: Any) -> Any:
        if payload is None:
            return None
        if not isinstance(payload, dict):
            raise self.refuse("a background, layers and a composite are expected")
        layers = [self._read(layer) for layer in payload.get("layers") or []]
        return {
            "background": self._read(payload.get("background"), flatten=True),
            "layers": [layer for layer in layers if layer is not None],
            "composite": self._read(payload.get("composite"), flatten=True),
        }

    def _read(self, payload: Any, flatten: bool = False) -> Any:
        if payload is None:
            return None
        picture = pictures.read(payload, type="pil", image_mode=None, refuse=self.refuse)
        mode = self.image_mode
        if flatten and mode in {"RGB", "L", "1"} and picture.mode == "RGBA":
            # What is transparent looks white on the page, so it is white without an alpha channel too.
            white = pictures._pillow().new("RGBA", picture.size, "white")
            white.alpha_composite(picture)
            picture = white
        picture = picture.convert(mode) if mode else picture
        if self.type == "pil":
            return picture
        if self.type == "numpy":
            import numpy as np

            return np.array(picture)
        return pictures.save(picture, self.format)

    def postprocess(self, value: Any) -> Any:
        if value is None:
            return None
        if isinstance(value, (str, Path)) or pictures.is_array(value) or pictures.is_picture(value):
            value = {"background": value, "layers": [], "composite": value}
        if not isinstance(value, dict):
            raise ValueError("ImageEditor shows a picture, or a dict with 'background', 'layers' and 'composite'")

        def entry(picture: Any) -> Any:
            return None if picture is None else _file(picture, self.format)

        return {
            "background": entry(value.get("background")),
            "layers": [entry(layer) for layer in value.get("layers") or []],
            "composite": entry(value.get("composite")),
            "id": None,
        }

    def api_info(self) -> dict[str, Any]:
        one = {"anyOf": [ref("FileData"), {"type": "null"}], "default": None}
        name = {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None, "title": "Id"}
        layers = {"default": [], **array("Layers", ref("FileData"))}
        properties = {"background": one, "layers": layers, "composite": one, "id": name}
        return defined(record("EditorData", properties), "file")

    def example_payload(self) -> Any:
        return {"background": sample("bus.png"), "layers": [], "composite": None}


_BLACK = Brush(colors=["#000000"], color_mode="fixed")


class Sketchpad(ImageEditor):
    """An :class:`ImageEditor` with an empty canvas and a black brush."""

    DEFAULTS: ClassVar[Mapping[str, Any]] = {"sources": (), "transforms": ("crop",), "brush": _BLACK}


class Paint(ImageEditor):
    """An :class:`ImageEditor` with an empty canvas and brushes of many colours."""

    DEFAULTS: ClassVar[Mapping[str, Any]] = {"sources": (), "transforms": ("crop",)}


class ImageMask(ImageEditor):
    """An :class:`ImageEditor` to mark regions of a picture with: one layer, a black brush."""

    DEFAULTS: ClassVar[Mapping[str, Any]] = {"transforms": ("crop",), "layers": False, "brush": _BLACK}
