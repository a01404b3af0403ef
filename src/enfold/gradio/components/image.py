"""Pictures: one, two to compare, and one with marked regions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from enfold.gradio.components import pictures
from enfold.gradio.components.base import Common, Component, common
from enfold.gradio.components.options import WatermarkOptions, WebcamOptions, made
from enfold.gradio.components.schemas import IMAGE, IMAGE_MODEL, array, defined, record, ref, sample, text
from enfold.gradio.events import Event
from enfold.gradio.files import FileData, cached, received, served

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["AnnotatedImage", "Image", "ImageSlider"]

Mode = Literal["1", "L", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "HSV", "I", "F"]
Kind = Literal["numpy", "pil", "filepath"]


def check_kind(component: Component, kinds: tuple[str, ...]) -> None:
    """Raise ValueError unless the component's ``type`` is one of ``kinds``."""
    if component.type not in kinds:
        raise ValueError(f"{type(component).__name__} type must be one of {', '.join(kinds)}, not {component.type!r}")


class Image(Component):
    """A picture, to give (from a file, the camera or the clipboard) or to see.

    Args:
        value: a path, an address, an array or a Pillow image to begin with, or a function that gives one.
        format: the format that arrays and Pillow images are sent in.
        height, width: of the frame, in pixels or any CSS length.
        image_mode: the mode the function receives, such as "RGB" or "L"; as uploaded when None.
        sources: of "upload", "webcam" and "clipboard" those offered.
        type: what the function receives: "numpy" (height, width, channels), "pil" or "filepath".
        streaming: whether the camera sends pictures continually (needs ``sources=["webcam"]``).
        webcam_options, watermark: see :class:`WebcamOptions` and :class:`WatermarkOptions`.
        placeholder: text while it is empty.
        alt_text: what readers of the screen are told instead of the picture.
        common: see :class:`~enfold.gradio.components.base.Common`; ``buttons`` are of "download" and "fullscreen".

    Example:
        >>> Image(type="pil", sources="upload").sources
        ['upload']
    """

    type_name = "image"
    has_files = True
    BUTTONS = ("download", "share", "fullscreen")
    EXTRA: ClassVar[Mapping[str, Any]] = {"streamable": False}
    COMMON: ClassVar[Mapping[str, Any]] = common("info")
    clear = Event()
    change = Event("always_last")
    stream = Event()
    select = Event()
    upload = Event()
    input = Event()

    def __init__(
        self,
        value: Any = None,
        *,
        format: str = "webp",
        height: int | str | None = None,
        width: int | str | None = None,
        image_mode: Mode | None = "RGB",
        sources: Sequence[str] | str | None = None,
        type: Kind = "numpy",
        streaming: bool = False,
        webcam_options: WebcamOptions | dict[str, Any] | None = None,
        placeholder: str | None = None,
        watermark: WatermarkOptions | Any = None,
        alt_text: str | None = None,
        **common: Unpack[Common],
    ) -> None:
        check_kind(self, ("numpy", "pil", "filepath"))
        self.webcam_options = made(WebcamOptions, self.__dict__["webcam_options"])
        if not isinstance(watermark, (WatermarkOptions, dict)) and watermark is not None:
            watermark = WatermarkOptions(watermark)
        self.watermark = made(WatermarkOptions, watermark)
        offered = ("upload", "webcam", "clipboard")
        default = ["webcam"] if streaming else list(offered)
        sources = self.__dict__["sources"]  # an older spelling may have given it
        self.sources = [sources] if isinstance(sources, str) else list(sources or default)
        for source in self.sources:
            if source not in offered:
                raise ValueError(f"Image sources are of {', '.join(offered)}, not {source!r}")
        if streaming and self.sources != ["webcam"]:
            raise ValueError("only the camera streams: Image(streaming=True) needs sources=['webcam']")
        self._settle()

    def preprocess(self, payload: Any) -> Any:
        return pictures.read(payload, type=self.type, image_mode=self.image_mode, refuse=self.refuse)

    def postprocess(self, value: Any) -> Any:
        return pictures.shown(value, format=self.format, watermark=self.watermark)

    def api_info(self) -> dict[str, Any]:
        return IMAGE

    def example_payload(self) -> Any:
        return sample("bus.png")


class ImageSlider(Component):
    """Two pictures, one above the other, and a handle that uncovers the lower one.

    Args:
        value: a pair of paths, addresses, arrays or Pillow images to begin with, or a function that gives one.
        format, height, width, image_mode, type: as for :class:`Image`.
        slider_position: where the handle begins, in per cent of the width.
        max_height: in pixels, or any CSS length.
        common: see :class:`~enfold.gradio.components.base.Common`.
    """

    type_name = "imageslider"
    has_files = True
    BUTTONS = ("download", "fullscreen")
    EXTRA: ClassVar[Mapping[str, Any]] = {"streamable": False}
    COMMON: ClassVar[Mapping[str, Any]] = common("info")
    clear = Event()
    change = Event("always_last")
    stream = Event()
    select = Event()
    upload = Event()
    input = Event()

    def __init__(
        self,
        value: Any = None,
        *,
        format: str = "webp",
        height: int | str | None = None,
        width: int | str | None = None,
        image_mode: Mode | None = "RGB",
        type: Kind = "numpy",
        slider_position: float = 50,
        max_height: int = 500,
        **common: Unpack[Common],
    ) -> None:
        check_kind(self, ("numpy", "pil", "filepath"))
        self._settle()

    def preprocess(self, payload: Any) -> Any:
        if payload is None:
            return None
        if not isinstance(payload, (list, tuple)) or len(payload) != 2:
            raise self.refuse("two pictures are expected")
        options = {"type": self.type, "image_mode": self.image_mode, "refuse": self.refuse}
        return tuple(pictures.read(each, **options) for each in payload)

    def postprocess(self, value: Any) -> Any:
        if value is None:
            return None
        if not isinstance(value, (list, tuple)) or len(value) != 2:
            raise ValueError("ImageSlider shows a pair of pictures")
        return [pictures.shown(each, format=self.format) for each in value]

    def api_info(self) -> dict[str, Any]:
        one = {"anyOf": [ref("ImageData"), {"type": "null"}]}
        pair = {"maxItems": 2, "minItems": 2, "prefixItems": [one, one], "type": "array"}
        return defined({"anyOf": [pair, {"type": "null"}], "title": "SliderData"}, ImageData=_described_image())

    def example_payload(self) -> Any:
        return [sample("bus.png"), sample("bus.png")]


class AnnotatedImage(Component):
    """A picture with marked regions, each with a label; the function receives paths and returns regions.

    Args:
        value: ``(picture, [(region, label), ...])``; a region is a mask in [0, 1] of the picture's size, or the box
            ``(x1, y1, x2, y2)`` in pixels; or a function that gives such a pair.
        format: the format that arrays and Pillow images are sent in.
        show_legend: whether the labels are listed below.
        height, width: of the frame, in pixels or any CSS length.
        color_map: colours by label, such as ``{"cat": "#ff0000"}``.
        common: see :class:`~enfold.gradio.components.base.Common`.
    """

    type_name = "annotatedimage"
    has_files = True
    BUTTONS = ("fullscreen",)
    COMMON: ClassVar[Mapping[str, Any]] = common("info", "interactive")
    change = Event("always_last")
    select = Event()

    def __init__(
        self,
        value: Any = None,
        *,
        format: str = "webp",
        show_legend: bool = True,
        height: int | str | None = None,
        width: int | str | None = None,
        color_map: dict[str, str] | None = None,
        **common: Unpack[Common],
    ) -> None:
        self._settle()

    def preprocess(self, payload: Any) -> Any:
        if payload is None:
            return None
        if not isinstance(payload, dict):
            raise self.refuse("a picture with annotations is expected")
        regions = payload.get("annotations") or []
        named = [(received(each.get("image"), self.refuse), each.get("label")) for each in regions]
        return received(payload.get("image"), self.refuse), named

    def postprocess(self, value: Any) -> Any:
        if value is None:
            return None
        import numpy as np

        base, regions = value
        entry = _file(base, self.format)
        picture = pictures._pillow().open(entry["path"]) if isinstance(base, (str, Path)) else base
        height, width = (picture.shape[:2]) if pictures.is_array(picture) else (picture.height, picture.width)
        annotations = []
        for region, label in regions:
            mask = np.asarray(region, float) if pictures.is_array(region) else _box(region, height, width)
            red, green, blue = _rgb((self.color_map or {}).get(label, "#ff0000"))
            layer = np.zeros((height, width, 4))
            layer[..., :3] = (mask > 0)[..., None] * np.array([red, green, blue])
            layer[..., 3] = mask * 255
            path = pictures.save(layer.astype(np.uint8), "png")
            annotations.append({"image": served(path), "label": label})
        return {"image": entry, "annotations": annotations}

    def api_info(self) -> dict[str, Any]:
        region = record("Annotation", {"image": ref("FileData"), "label": text("Label")}, ("image", "label"))
        properties = {"image": ref("FileData"), "annotations": array("Annotations", ref("Annotation"))}
        return defined(record("AnnotatedImageData", properties, ("image", "annotations")), "file", Annotation=region)

    def example_payload(self) -> Any:
        return {"image": sample("bus.png"), "annotations": []}


def _described_image() -> dict[str, Any]:
    return {**IMAGE_MODEL, "description": IMAGE["additional_description"]}


def _file(value: Any, format: str) -> FileData:
    if isinstance(value, (str, Path)):
        return cached(value)
    if not pictures.is_array(value) and not pictures.is_picture(value):
        raise ValueError(f"a picture is a path, an array or a Pillow image, not a {type(value).__name__}")
    return served(pictures.save(value, format))


def _box(region: Any, height: int, width: int) -> Any:
    """A mask with a translucent box and a solid border of three pixels."""
    import numpy as np

    x1, y1, x2, y2 = region
    mask = np.zeros((height, width))
    mask[y1:y2, x1:x2] = 1
    inner = mask[y1 + 3 : max(y1 + 3, y2 - 3), x1 + 3 : max(x1 + 3, x2 - 3)]
    inner[:] = 0.5
    return mask


def _rgb(colour: str) -> tuple[int, int, int]:
    digits = colour.lstrip("#")
    digits = "".join(digit * 2 for digit in digits) if len(digits) == 3 else digits
    return int(digits[:2], 16), int(digits[2:4], 16), int(digits[4:6], 16)
