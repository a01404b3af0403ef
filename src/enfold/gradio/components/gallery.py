"""Gallery: a wall of pictures and films."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from enfold.gradio.components import pictures
from enfold.gradio.components.base import Common, Component, common
from enfold.gradio.components.image import _described_image, check_kind
from enfold.gradio.components.schemas import defined, optional, record, ref, sample
from enfold.gradio.events import Event
from enfold.gradio.files import ImageData, cached, file_types_problem, is_url, mime_type, received

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["Gallery"]


class Gallery(Component):
    """Pictures and films side by side, each perhaps with a caption.

    Args:
        value: a list of pictures (paths, addresses, arrays, Pillow images) or films (paths), or ``(item, caption)``
            pairs, to begin with; or a function that gives one.
        format: the format that arrays and Pillow images are sent in.
        file_types: what may be uploaded, such as ``["image"]``.
        columns, rows: how many stand side by side and below each other.
        height: of the whole, in pixels or any CSS length.
        allow_preview, preview, selected_index: whether one can be seen large, whether it begins so, and which.
        object_fit: how pictures fill their places, as in CSS.
        type: what the function receives for pictures: "filepath", "pil" or "numpy"; films are always paths.
        fit_columns: whether fewer pictures than columns share the width.
        sources: of "upload", "webcam", "clipboard" and "webcam-video" those offered.
        common: see :class:`~enfold.gradio.components.base.Common`.
    """

    type_name = "gallery"
    has_files = True
    BUTTONS = ("share", "download", "download_all", "fullscreen")
    COMMON: ClassVar[Mapping[str, Any]] = common("info")
    select = Event()
    upload = Event()
    change = Event("always_last")
    delete = Event()
    preview_close = Event()
    preview_open = Event()

    def __init__(
        self,
        value: Any = None,
        *,
        format: str = "webp",
        file_types: list[str] | None = None,
        columns: int | None = 2,
        rows: int | None = None,
        height: int | float | str | None = None,
        allow_preview: bool = True,
        preview: bool | None = None,
        selected_index: int | None = None,
        object_fit: Literal["contain", "cover", "fill", "none", "scale-down"] | None = None,
        type: Literal["numpy", "pil", "filepath"] = "filepath",
        fit_columns: bool = True,
        sources: Sequence[str] | str | None = None,
        **common: Unpack[Common],
    ) -> None:
        check_kind(self, ("numpy", "pil", "filepath"))
        self.sources = [sources] if isinstance(sources, str) else list(sources or ["upload"])
        self._settle()

    def preprocess(self, payload: Any) -> Any:
        if not payload:
            return None
        items = []
        for entry in payload:
            film = entry.get("video") if isinstance(entry, dict) else None
            given = film or (entry.get("image") if isinstance(entry, dict) else None)
            if given is None:
                raise self.refuse("a list of {'image': ..., 'caption': ...} is expected")
            name = given.get("path") or given.get("orig_name") or ""
            problem = file_types_problem(name, self.file_types)
            if problem:
                raise self.refuse(problem)
            if film:
                item = received(film, self.refuse)
            else:
                item = pictures.read(given, type=self.type, image_mode=None, refuse=self.refuse)
            items.append((item, entry.get("caption")))
        return items

    def postprocess(self, value: Any) -> Any:
        if isinstance(value, (str, Path)):
            raise ValueError("Gallery shows a list of pictures or films, not one path")
        return [self._entry(item) for item in (value if value is not None else [])]

    def _entry(self, item: Any) -> dict[str, Any]:
        caption = None
        if isinstance(item, (tuple, list)):
            item, caption = item
        if isinstance(item, dict) and not isinstance(item, ImageData):
            return dict(item)  # already a payload's entry
        if isinstance(item, (str, Path)):
            kind = mime_type(item)
            name = Path(str(item).split("?")[0]).name
            if kind.startswith("video/"):
                return {"video": cached(item, orig_name=name, mime_type=kind), "caption": caption}
            if str(item).lower().endswith(".svg") and not is_url(item):
                drawing = pictures.shown(item, format=self.format)
                assert drawing is not None
                drawing["mime_type"] = kind
                return {"image": drawing, "caption": caption}
            return {"image": cached(item, ImageData, orig_name=name, mime_type=kind), "caption": caption}
        shown = pictures.shown(item, format=self.format)
        if shown is not None:
            shown["orig_name"] = None
        return {"image": shown, "caption": caption}

    def api_info(self) -> dict[str, Any]:
        caption = optional("Caption", "string")
        picture = record("GalleryImage", {"image": ref("ImageData"), "caption": caption}, ("image",))
        film = record("GalleryVideo", {"video": ref("FileData"), "caption": caption}, ("video",))
        items = {"anyOf": [ref("GalleryImage"), ref("GalleryVideo")]}
        return defined(
            {"items": items, "title": "GalleryData", "type": "array"},
            "file",
            GalleryImage=picture,
            GalleryVideo=film,
            ImageData=_described_image(),
        )

    def example_payload(self) -> Any:
        return [{"image": sample("bus.png")}]
