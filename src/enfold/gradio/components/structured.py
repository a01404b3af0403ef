"""JSON and HTML."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from enfold.gradio.components.base import Common, Component
from enfold.gradio.events import Event

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["HTML", "JSON"]


class JSON(Component):
    """A JSON value as a tree that opens and closes.

    Args:
        value: any JSON value, a string holding one, or a function that gives it.
        open: whether the whole tree begins open.
        show_indices: whether list entries are numbered.
        height, max_height, min_height: in pixels, or any CSS length.
        common: see :class:`~enfold.gradio.components.base.Common`.
    """

    type_name = "json"
    change = Event("always_last")
    COMMON: ClassVar[Mapping[str, Any]] = {
        k: v for k, v in Component.COMMON.items() if k not in {"info", "interactive"}
    }

    def __init__(
        self,
        value: Any = None,
        *,
        open: bool = False,
        show_indices: bool = False,
        height: int | str | None = None,
        max_height: int | str | None = 500,
        min_height: int | str | None = None,
        **common: Unpack[Common],
    ) -> None:
        if self.__dict__.get("buttons") is None:
            self.buttons = ["copy"]
        self._settle()

    def postprocess(self, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except ValueError:
            raise self.refuse("the text is not JSON") from None

    def api_info(self) -> dict[str, Any]:
        return {"type": {}, "description": "any valid json"}

    def example_payload(self) -> Any:
        return {"foo": "bar"}


class HTML(Component):
    """A piece of HTML, reduced to harmless tags and attributes: scripts, forms and foreign frames do not survive.

    Args:
        value: the HTML, or a function that gives it.
        height limits: ``min_height``, ``max_height`` in pixels.
        padding: whether there is space inside its frame.
        autoscroll: whether it follows contents that grow.
        common: see :class:`~enfold.gradio.components.base.Common`.
    """

    type_name = "html"
    change = Event("always_last")
    click = Event()
    COMMON: ClassVar[Mapping[str, Any]] = {
        **{k: v for k, v in Component.COMMON.items() if k not in {"info", "interactive"}},
        "container": False,
        "min_width": None,
        "show_label": False,
    }

    def __init__(
        self,
        value: str | Callable[[], str] | None = None,
        *,
        min_height: int | None = None,
        max_height: int | None = None,
        padding: bool = False,
        autoscroll: bool = False,
        **common: Unpack[Common],
    ) -> None:
        self._settle()

    def postprocess(self, value: Any) -> str | None:
        return None if value is None else str(value)

    def example_payload(self) -> str:
        return "<p>Hello</p>"
