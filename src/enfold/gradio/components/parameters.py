"""A table of parameters with their types, meanings and defaults."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypedDict

from enfold.gradio.components.base import Component
from enfold.gradio.events import Event

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["ParamViewer"]


class Refreshed(TypedDict, total=False):
    """``every``, ``inputs``, ``render``, ``key``, ``preserved_by_key``: as in
    :class:`~enfold.gradio.components.base.Common`."""

    every: Any
    inputs: Any
    render: bool
    key: int | str | tuple[int | str, ...] | None
    preserved_by_key: list[str] | str | None


class ParamViewer(Component):
    """What a function takes, a row for each parameter that opens to say more.

    Args:
        value: parameter → ``{"type", "description", "default"}``; the description is Markdown. Or a function.
        language: "python" or "typescript", in which types and defaults are coloured.
        linkify: words in types that lead to the row of that name.
        header: the title, with a button that opens or closes all rows; None for none.
        anchor_links: whether each row has an address of its own; a text becomes the beginning of these addresses.
        max_height: in pixels, or any CSS length; what is longer scrolls.
        common: see :class:`Refreshed`.

    Example:
        >>> shown = {"size": {"type": "int", "description": "How *large*.", "default": "3"}}
        >>> ParamViewer(shown).value["size"]["default"]
        '3'
    """

    type_name = "paramviewer"
    lists_buttons = False
    change = Event("always_last")
    upload = Event()
    COMMON: ClassVar[Mapping[str, Any]] = {
        name: Component.COMMON[name] for name in ("every", "inputs", "render", "key", "preserved_by_key")
    }

    def __init__(
        self,
        value: Mapping[str, Mapping[str, Any]] | Callable[..., Any] | None = None,
        language: Literal["python", "typescript"] = "python",
        linkify: list[str] | None = None,
        *,
        header: str | None = "Parameters",
        anchor_links: bool | str = False,
        max_height: int | str | None = None,
        **common: Unpack[Refreshed],
    ) -> None:
        self._settle()

    def api_info(self) -> dict[str, Any]:
        return {"type": {}, "description": "any valid json"}

    def example_payload(self) -> dict[str, Any]:
        return {"array": {"type": "numpy", "description": "any valid json", "default": "None"}}
