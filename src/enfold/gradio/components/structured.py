"""JSON and HTML."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from enfold.gradio.block import ALIASES
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


_EVENTS = (
    "change input click double_click submit stop edit clear play pause end start_recording pause_recording "
    "stop_recording focus blur upload release select stream like example_select option_select load key_up apply delete "
    "tick undo retry expand collapse download copy"
).split()
_ON_CLICK = "element.addEventListener('click', function() { trigger('click') });"


class HTML(Component):
    """A piece of HTML, reduced to harmless tags and attributes: scripts, forms and foreign frames do not survive.

    A template makes a component of one's own of it: ``${value}`` and ``${name}`` in ``html_template`` stand for the
    value and for further keyword arguments, and ``js_on_load`` is the author's script for it.

    Args:
        value: the HTML, or what the template shows; or a function that gives it.
        html_template, css_template: HTML with ``${...}`` places, and a style sheet for what is inside. Places hold
            names, dots and numbers in brackets; they are not code.
        js_on_load: the body of a JavaScript function of ``element``, ``trigger(event, data)``, ``props`` and
            ``server``; setting ``props.value`` gives the component a value.
        apply_default_css: whether the page's own style applies inside.
        min_height, max_height: in pixels.
        padding: whether there is space inside its frame.
        autoscroll: whether it follows contents that grow.
        head: HTML for the page's head.
        server_functions: functions that the script may call as ``server.name(data)``.
        own: properties for the template, as a dict.
        common: see :class:`~enfold.gradio.components.base.Common`; any other name is a property for the template.

    Example:
        >>> HTML("Ada", html_template="<b>${value}</b> ${rank}", rank=1).props()["props"]
        {'rank': 1}
    """

    type_name = "html"
    COMMON: ClassVar[Mapping[str, Any]] = {
        **{k: v for k, v in Component.COMMON.items() if k not in {"info", "interactive"}},
        "container": False,
        "min_width": None,
        "show_label": False,
    }
    HIDDEN: ClassVar[frozenset[str]] = Component.HIDDEN | {"server_functions", "head", "own"}
    EXTRA: ClassVar[Mapping[str, Any]] = {
        "_retryable": False,
        "_undoable": False,
        "likeable": False,
        "streamable": False,
        "component_class_name": "HTML",
    }

    def __init__(
        self,
        value: Any = None,
        *,
        html_template: str = "${value}",
        css_template: str = "",
        js_on_load: str | None = _ON_CLICK,
        apply_default_css: bool = True,
        min_height: int | None = None,
        max_height: int | None = None,
        padding: bool = False,
        autoscroll: bool = False,
        head: str | None = None,
        server_functions: list[Callable[..., Any]] | None = None,
        own: dict[str, Any] | None = None,
        **common: Unpack[Common],
    ) -> None:
        self.own = dict(self.__dict__.get("own") or {})
        self._settle()

    if TYPE_CHECKING:
        # The events are many, and made below.
        click: Any
        change: Any

    @classmethod
    def _modernise(cls, kwargs: dict[str, Any], signature: inspect.Signature) -> dict[str, Any]:
        known = {*cls.COMMON, *signature.parameters, *ALIASES}
        own = {name: value for name, value in kwargs.items() if name not in known}
        made = super()._modernise({name: value for name, value in kwargs.items() if name not in own}, signature)
        return {**made, "own": {**(made.get("own") or {}), **own}} if own else made

    def props(self) -> dict[str, Any]:
        made = {**super().props(), "props": self.own}
        if self.server_functions:
            made["server_fns"] = [each.__name__ for each in self.server_functions]
        return made

    def postprocess(self, value: Any) -> Any:
        if value is None or self.html_template != "${value}":
            return value
        return str(value)

    @property
    def script(self) -> str | None:
        """The author's script, when it is not the one everyone has."""
        return self.js_on_load if self.js_on_load and self.js_on_load != _ON_CLICK else None

    def example_payload(self) -> str:
        return "<p>Hello</p>"


for _name in _EVENTS:
    _event = Event("always_last" if _name in {"change", "key_up"} else "once")
    _event.__set_name__(HTML, _name)
    setattr(HTML, _name, _event)
