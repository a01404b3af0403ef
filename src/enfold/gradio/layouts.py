"""Layouts: blocks that arrange others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypedDict

from enfold.gradio.block import BlockContext
from enfold.gradio.events import Event

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = [
    "Accordion",
    "Column",
    "Draggable",
    "Form",
    "Group",
    "Row",
    "Sidebar",
    "Step",
    "Tab",
    "TabItem",
    "Tabs",
    "Walkthrough",
]


class LayoutArguments(TypedDict, total=False):
    """What every layout takes; see :class:`~enfold.gradio.components.base.Common` for what each means."""

    visible: bool | Literal["hidden"]
    elem_id: str | None
    elem_classes: list[str] | str | None
    render: bool
    key: int | str | tuple[int | str, ...] | None
    preserved_by_key: list[str] | str | None


class Row(BlockContext):
    """Arrange blocks side by side; they wrap where the screen is narrow.

    Args:
        variant: "default", "panel" (on a grey ground) or "compact" (no gaps).
        scale: share of the parent's spare width.
        height, max_height, min_height: in pixels, or any CSS length.
        equal_height: whether all become as high as the highest.
        show_progress: whether the row itself shows the state of events that update it.
        common: see :class:`LayoutArguments`.

    Example:
        >>> with Blocks():  # doctest: +SKIP
        ...     with Row():
        ...         Textbox(); Textbox()
    """

    type_name = "row"

    def __init__(
        self,
        *,
        variant: Literal["default", "panel", "compact"] = "default",
        scale: int | None = None,
        height: int | str | None = None,
        max_height: int | str | None = None,
        min_height: int | str | None = None,
        equal_height: bool = False,
        show_progress: bool = False,
        **common: Unpack[LayoutArguments],
    ) -> None:
        self._settle()


class Column(BlockContext):
    """Arrange blocks below each other.

    Args:
        scale: share of the row's spare width.
        min_width: pixels below which the row wraps.
        variant: "default", "panel" or "compact".
        show_progress: whether the column itself shows the state of events that update it.
        common: see :class:`LayoutArguments`.
    """

    type_name = "column"

    def __init__(
        self,
        *,
        scale: int = 1,
        min_width: int = 320,
        variant: Literal["default", "panel", "compact"] = "default",
        show_progress: bool = False,
        **common: Unpack[LayoutArguments],
    ) -> None:
        self._settle()


class Group(BlockContext):
    """Join blocks into one frame without gaps; arguments as in :class:`LayoutArguments`."""

    type_name = "group"

    def __init__(self, **common: Unpack[LayoutArguments]) -> None:
        self._settle()


class Form(BlockContext):
    """The frame around adjacent form fields; made by the page itself."""

    type_name = "form"
    COMMON: ClassVar[Mapping[str, Any]] = {"preserved_by_key": None}

    def __init__(self, *, scale: int = 0, min_width: int = 0, **common: Any) -> None:
        self._settle()


class Accordion(BlockContext):
    """A part of the page behind a heading that opens and closes it.

    Args:
        label: the heading.
        open: whether it begins open.
        height, max_height: in pixels, or any CSS length.
        common: see :class:`LayoutArguments`.
    """

    type_name = "accordion"
    expand = Event()
    collapse = Event()

    def __init__(
        self,
        label: str | None = None,
        *,
        open: bool = True,
        height: int | str | None = None,
        max_height: int | str | None = None,
        **common: Unpack[LayoutArguments],
    ) -> None:
        self._settle()


class Tabs(BlockContext):
    """A set of :class:`Tab` of which one is open.

    Args:
        selected: the ``id`` of the tab that begins open; the first when None.
        overflow_behavior: what becomes of tabs that find no room, "menu" or "wrap" (both scroll here).
        common: see :class:`LayoutArguments`.
    """

    type_name = "tabs"
    change = Event()
    select = Event()

    def __init__(
        self,
        *,
        selected: int | str | None = None,
        overflow_behavior: Literal["menu", "wrap"] = "menu",
        **common: Unpack[LayoutArguments],
    ) -> None:
        self._settle()


class Tab(BlockContext):
    """One page of a :class:`Tabs`.

    Args:
        label: its title.
        visible, interactive: whether it is shown, and can be opened.
        id: how ``Tabs(selected=)`` names it; its position when None.
        alignment: "left" or "right".
        scale, height, max_height: size of its contents.
        render_children: whether its contents are built before it is first opened.
        common: see :class:`LayoutArguments`.
    """

    type_name = "tabitem"
    select = Event()

    def __init__(
        self,
        label: str | None = None,
        visible: bool | Literal["hidden"] = True,
        interactive: bool = True,
        *,
        id: int | str | None = None,
        alignment: Literal["left", "right"] = "left",
        scale: int | None = None,
        height: int | str | None = None,
        max_height: int | str | None = None,
        render_children: bool = False,
        **common: Any,
    ) -> None:
        self._settle()


TabItem = Tab


class Sidebar(BlockContext):
    """A part at the side of the page that folds away.

    Args:
        label: its name for readers of the screen.
        open: whether it begins open.
        width: in pixels, or any CSS length.
        position: "left" or "right".
        common: see :class:`LayoutArguments`.
    """

    type_name = "sidebar"
    expand = Event()
    collapse = Event()

    def __init__(
        self,
        label: str | None = None,
        *,
        open: bool = True,
        width: int | str = 320,
        position: Literal["left", "right"] = "left",
        **common: Unpack[LayoutArguments],
    ) -> None:
        self._settle()


class Walkthrough(BlockContext):
    """A way through the page in steps, one of which is shown; ``Walkthrough(selected=)`` goes to another.

    Args:
        selected: the ``id`` of the step that begins shown; the first when None.
        common: see :class:`LayoutArguments`.
    """

    type_name = "walkthrough"
    change = Event()
    select = Event()

    def __init__(self, *, selected: int | str | None = None, **common: Unpack[LayoutArguments]) -> None:
        self._settle()


class Step(BlockContext):
    """One step of a :class:`Walkthrough`.

    Args:
        label: its title.
        interactive: whether visitors can go to it.
        id: how ``Walkthrough(selected=)`` names it; its position when None.
        scale: its share of spare height.
        common: see :class:`LayoutArguments`.
    """

    type_name = "walkthroughstep"
    select = Event()

    def __init__(
        self,
        label: str | None = None,
        *,
        interactive: bool = True,
        id: int | str | None = None,
        scale: int | None = None,
        **common: Unpack[LayoutArguments],
    ) -> None:
        self._settle()

    def props(self) -> dict[str, Any]:
        return {**super().props(), "name": "step"}


class Draggable(BlockContext):
    """Blocks whose order visitors can change, by mouse or keyboard.

    Args:
        orientation: "row" or "column".
        common: see :class:`LayoutArguments`.
    """

    type_name = "draggable"

    def __init__(self, *, orientation: Literal["row", "column"] = "column", **common: Unpack[LayoutArguments]) -> None:
        self._settle()
