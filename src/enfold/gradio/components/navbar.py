"""The links between the pages of an app."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from enfold.gradio.components.base import Component
from enfold.gradio.events import Event

__all__ = ["Navbar"]


class Navbar(Component):
    """How the links between an app's pages look on the page it is on; without one they are plainly there.

    Args:
        value: further links, ``(name, path or address)``, after those of the pages.
        visible: whether there are links at all.
        main_page_name: what the first page is called; False leaves its link out.
        elem_id, elem_classes, render, key: as in :class:`~enfold.gradio.components.base.Common`.

    Example:
        >>> from enfold.gradio import Blocks, Markdown
        >>> with Blocks() as demo:
        ...     _ = Navbar([("Sources", "https://example.org")], main_page_name="Start")
        >>> with demo.route("About"):
        ...     _ = Markdown("Who made this")
        >>> [path for path, name, shown in demo.get_config_file()["pages"]]
        ['', 'about']
    """

    type_name = "navbar"
    lists_buttons = False
    COMMON: ClassVar[Mapping[str, Any]] = {}
    change = Event("always_last")

    def __init__(
        self,
        value: list[tuple[str, str]] | None = None,
        *,
        visible: bool = True,
        main_page_name: str | Literal[False] = "Home",
        elem_id: str | None = None,
        elem_classes: list[str] | str | None = None,
        render: bool = True,
        key: int | str | tuple[int | str, ...] | None = None,
    ) -> None:
        self._settle()

    def api_info(self) -> dict[str, Any]:
        return {}
