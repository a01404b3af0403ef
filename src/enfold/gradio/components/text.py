"""Text: a field to write in, and formatted text to read."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from enfold.gradio.components.base import Common, Component, FormComponent
from enfold.gradio.components.options import InputHTMLAttributes
from enfold.gradio.events import Event

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["Markdown", "TextArea", "Textbox"]


class Textbox(FormComponent):
    """A field for text; the function receives and returns a string.

    Args:
        value: the text it begins with, or a function that gives it.
        type: "text", "password" or "email".
        lines, max_lines: its height, and the height it grows to (20 for more than one line).
        placeholder: grey text while it is empty.
        autofocus: whether it has the focus when the page opens.
        autoscroll: whether it follows text that grows.
        text_align: "left" or "right".
        rtl: whether the text runs from right to left.
        max_length: characters it accepts.
        submit_btn, stop_btn: a button inside the field, or its text.
        html_attributes: further attributes of the field, such as ``{"spellcheck": False}``.
        common: see :class:`~enfold.gradio.components.base.Common`.

    Example:
        >>> Textbox(label="Headline", lines=2).preprocess("Man bites dog")
        'Man bites dog'
    """

    type_name = "textbox"
    change = Event("always_last")
    input = Event()
    select = Event()
    submit = Event()
    focus = Event()
    blur = Event()
    stop = Event()
    copy = Event()

    def __init__(
        self,
        value: str | Callable[[], str] | None = None,
        *,
        type: Literal["text", "password", "email"] = "text",
        lines: int = 1,
        max_lines: int | None = None,
        placeholder: str | None = None,
        autofocus: bool = False,
        autoscroll: bool = True,
        text_align: Literal["left", "right"] | None = None,
        rtl: bool = False,
        max_length: int | None = None,
        submit_btn: str | bool | None = False,
        stop_btn: str | bool | None = False,
        html_attributes: InputHTMLAttributes | Mapping[str, Any] | None = None,
        **common: Unpack[Common],
    ) -> None:
        if type not in {"text", "password", "email"}:
            raise ValueError(f"Textbox type must be 'text', 'password' or 'email', not {type!r}")
        self._settle()

    def preprocess(self, payload: Any) -> str | None:
        if payload is None:
            return None
        text = str(payload)
        if self.max_length is not None and len(text) > self.max_length:
            raise self.refuse(f"at most {self.max_length} characters are accepted, this has {len(text)}")
        return text

    def postprocess(self, value: Any) -> str | None:
        return None if value is None else str(value)

    def example_payload(self) -> str:
        return "Hello!!"


class TextArea(Textbox):
    """A :class:`Textbox` that is seven lines high."""

    DEFAULTS: ClassVar[Mapping[str, Any]] = {"lines": 7, "max_lines": 20}


class Markdown(Component):
    """Formatted text, written in Markdown.

    Args:
        value: the text, or a function that gives it; common indentation is removed.
        rtl: whether it runs from right to left.
        latex_delimiters: what encloses formulas; they are shown as source.
        sanitize_html: whether HTML in the text is reduced to harmless tags (False changes nothing: it always is).
        line_breaks: whether a single line break breaks the line.
        header_links: whether headings can be linked to.
        height, max_height, min_height: in pixels, or any CSS length.
        container, padding: whether it has a frame, and space inside it.
        common: see :class:`~enfold.gradio.components.base.Common`.
    """

    type_name = "markdown"
    change = Event("always_last")
    copy = Event()
    lists_buttons = False
    COMMON: ClassVar[Mapping[str, Any]] = {
        **Component.COMMON,
        "container": False,
        "min_width": None,
        "show_label": False,
    }

    def __init__(
        self,
        value: str | Callable[[], str] | None = None,
        *,
        rtl: bool = False,
        latex_delimiters: list[dict[str, Any]] | None = None,
        sanitize_html: bool = True,
        line_breaks: bool = False,
        header_links: bool = False,
        height: int | str | None = None,
        max_height: int | str | None = None,
        min_height: int | str | None = None,
        padding: bool = False,
        **common: Unpack[Common],
    ) -> None:
        self.latex_delimiters = latex_delimiters or [{"left": "$$", "right": "$$", "display": True}]
        self._settle()

    def postprocess(self, value: Any) -> str | None:
        return None if value is None else inspect.cleandoc(str(value))

    def example_payload(self) -> str:
        return "# Hello!"
