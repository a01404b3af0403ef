"""Model3D: a body in space, to give or to turn and look at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from enfold.gradio.components.base import Common, Component, common
from enfold.gradio.components.schemas import FILE, sample
from enfold.gradio.events import Event
from enfold.gradio.files import FileData, cached, is_url, received

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["Model3D"]

MODES = ("solid", "point_cloud", "wireframe")


class Model3D(Component):
    """A body in space, to give as a file or to turn and look at; the function receives and returns a path.

    The page's viewer reads .obj, .stl, .ply, .glb and .gltf (whose buffers are inside it) with normals, colours of
    vertices, base colours and one texture per material. It is turned with the pointer, or with the arrow keys, plus,
    minus and Home.

    Args:
        value: a path or address to begin with, or a function that gives one.
        display_mode: "solid", "point_cloud" or "wireframe"; solid when None, where the file has faces.
        clear_color: the ground as red, green, blue and opacity from 0 to 1; the page's own when None.
        camera_position: ``(alpha, beta, radius)``: degrees around the body, degrees from above, and the distance;
            each may be None: 45, 60, and far enough to see everything.
        zoom_speed, pan_speed: how fast the wheel and dragging with Shift act.
        height: in pixels or any CSS length; 400 pixels when None.
        common: see :class:`~enfold.gradio.components.base.Common`.

    Raises:
        ValueError: an unknown ``display_mode``.
    """

    type_name = "model3d"
    has_files = True
    COMMON: ClassVar[Mapping[str, Any]] = common("info")
    change = Event("always_last")
    upload = Event()
    edit = Event()
    clear = Event()

    def __init__(
        self,
        value: str | Path | Callable[[], Any] | None = None,
        *,
        display_mode: Literal["solid", "point_cloud", "wireframe"] | None = None,
        clear_color: tuple[float, float, float, float] | None = None,
        camera_position: tuple[float | None, float | None, float | None] = (None, None, None),
        zoom_speed: float = 1,
        pan_speed: float = 1,
        height: int | str | None = None,
        **common: Unpack[Common],
    ) -> None:
        if display_mode is not None and display_mode not in MODES:
            raise ValueError(f"display_mode is one of {', '.join(MODES)}, not {display_mode!r}")
        self.clear_color = clear_color or [0, 0, 0, 0]
        self._settle()

    def preprocess(self, payload: Any) -> str | None:
        return received(payload, self.refuse)

    def postprocess(self, value: Any) -> Any:
        if value is None or isinstance(value, FileData):
            return value
        if not isinstance(value, (str, Path)):
            raise ValueError(f"a 3D model is a path or an address, not a {type(value).__name__}")
        return cached(value, orig_name=None if is_url(value) else Path(value).name)

    def api_info(self) -> dict[str, Any]:
        return FILE

    def example_payload(self) -> Any:
        return sample("Fox.gltf")
