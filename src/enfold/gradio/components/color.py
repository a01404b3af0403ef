"""A colour to choose."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from enfold.gradio.components.base import Common, Component, common
from enfold.gradio.events import Event

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["ColorPicker"]


class ColorPicker(Component):
    """A colour; the function receives and returns a text such as "#c02040".

    Args:
        value: the colour it begins with, or a function that gives it.
        common: see :class:`~enfold.gradio.components.base.Common`.
    """

    type_name = "colorpicker"
    COMMON: ClassVar[Mapping[str, Any]] = common("buttons")
    change = Event("always_last")
    input = Event()
    release = Event()
    submit = Event()
    focus = Event()
    blur = Event()

    def __init__(self, value: str | Callable[[], str] | None = None, **common: Unpack[Common]) -> None:
        self._settle()

    def preprocess(self, payload: Any) -> str | None:
        return None if payload is None else str(payload)

    def postprocess(self, value: Any) -> str | None:
        return None if value is None else str(value)

    def example_payload(self) -> str:
        return "#000000"
