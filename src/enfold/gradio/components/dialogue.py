"""A conversation of several speakers, line by line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from enfold.gradio.components.base import Common, Component, common
from enfold.gradio.components.schemas import array, record, ref, text
from enfold.gradio.events import Event

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["Dialogue"]

Line = dict[str, str]  # {"speaker": ..., "text": ...}


class Dialogue(Component):
    """Lines of several speakers: to write them for a voice, or to show who said what in a recording.

    A function receives one text with a line for each (``type="text"``), or a list of ``{"speaker", "text"}``
    (``type="list"``), and returns either. What was written as free text arrives as it is.

    Args:
        value: the lines, a text, or a function that gives them.
        type: "text" or "list": what the function receives.
        speakers: who may speak; without them there is one field of text.
        formatter: ``formatter(speaker, text)`` writes a line; "[speaker] text" when None.
        unformatter: ``unformatter(line, default_speaker)`` reads one into ``{"speaker", "text"}``.
        tags: words such as "(laughs)" that are offered after a colon.
        separator: what stands between two lines of the text.
        color_map: speaker → CSS colour.
        placeholder: what an empty field shows.
        autofocus, autoscroll: whether it has the focus at the beginning; whether it follows its end.
        max_lines: how many lines at most.
        submit_btn: whether it has a button to send, or that button's text.
        ui_mode: "dialogue" for lines, "text" for a field of text, "both" to switch between them.
        common: see :class:`~enfold.gradio.components.base.Common`.

    Raises:
        ValueError: the separator is a space, which stands within lines too.

    Example:
        >>> Dialogue(speakers=["Ada", "Bob"]).preprocess([{"speaker": "Ada", "text": "Hi"}])
        '[Ada] Hi'
    """

    type_name = "dialogue"
    SERVER: ClassVar[tuple[str, ...]] = ("format", "unformat")
    EXTRA: ClassVar[Mapping[str, Any]] = {"server_fns": ["format", "unformat"]}
    HIDDEN: ClassVar[frozenset[str]] = Component.HIDDEN | {"formatter", "unformatter"}
    COMMON: ClassVar[Mapping[str, Any]] = common(
        "every",
        "inputs",
        "preserved_by_key",
        label="Dialogue",
        info="Type a colon in a line to see the tags",
    )
    change = Event("always_last")
    input = Event()
    submit = Event()

    def __init__(
        self,
        value: list[Line] | str | Callable[..., Any] | None = None,
        *,
        type: Literal["list", "text"] = "text",
        speakers: list[str] | None = None,
        formatter: Callable[[str, str], str] | None = None,
        unformatter: Callable[[str, str], Line] | None = None,
        tags: list[str] | None = None,
        separator: str = "\n",
        color_map: dict[str, str] | None = None,
        placeholder: str | None = None,
        autofocus: bool = False,
        autoscroll: bool = True,
        max_lines: int | None = None,
        submit_btn: str | bool | None = False,
        ui_mode: Literal["dialogue", "text", "both"] = "both",
        **common: Unpack[Common],
    ) -> None:
        if separator == " ":
            raise ValueError("separator=' ' stands within lines too: give one that does not, such as a line break")
        self.tags = tags or []
        if not self.__dict__.get("interactive"):
            self.info = None
        self._settle()

    def format(self, value: Any) -> str:
        """Write lines as one text."""
        if isinstance(value, str):
            return value
        lines = [self._line(each) for each in value or []]
        if len(lines) == 1 and not lines[0]["text"]:
            return ""
        write = self.__dict__.get("formatter") or (lambda speaker, words: f"[{speaker}] {words}")
        return str(self.separator).join(write(each["speaker"], each["text"]) for each in lines)

    def unformat(self, value: Any) -> list[Line]:
        """Read one text, given as ``{"text": ...}``, as lines."""
        words = value.get("text", "") if isinstance(value, Mapping) else value
        first = (self.__dict__.get("speakers") or ["Unknown"])[0]
        read = self.__dict__.get("unformatter") or _read
        lines = [read(line.strip(), first) for line in str(words or "").split(self.separator) if line.strip()]
        return [self._line(each) for each in lines if each["speaker"] or each["text"]]

    def preprocess(self, payload: Any) -> str | list[Line] | None:
        if payload is None:
            return None
        if not isinstance(payload, (str, list)):
            raise self.refuse("a list of lines or a text is expected")
        lines = payload if isinstance(payload, str) else [self._line(each) for each in payload]
        return lines if self.type == "list" else self.format(lines)

    def postprocess(self, value: Any) -> str | list[Line] | None:
        if value is None or isinstance(value, str):
            return value
        return [self._line(each) for each in value]

    def api_info(self) -> dict[str, Any]:
        line = record("DialogueLine", {"speaker": text("Speaker"), "text": text("Text")}, ("speaker", "text"))
        lines = {name: each for name, each in array("", ref("DialogueLine")).items() if name != "title"}
        return {
            "$defs": {"DialogueLine": line},
            "anyOf": [lines, {"type": "string"}],
            "title": "DialogueModel",
            "additional_description": None,
        }

    def example_payload(self) -> list[Line]:
        return [
            {"speaker": "Speaker 1", "text": "Hello, how are you?"},
            {"speaker": "Speaker 2", "text": "I'm fine, thank you!"},
        ]

    def _line(self, value: Any) -> Line:
        if not isinstance(value, Mapping) or not {"speaker", "text"} <= set(value):
            raise self.refuse("a line is {'speaker': ..., 'text': ...}")
        return {"speaker": str(value["speaker"]), "text": str(value["text"])}


def _read(line: str, default_speaker: str) -> Line:
    speaker, bracket, words = line[1:].partition("]")
    if line.startswith("[") and bracket:
        return {"speaker": speaker, "text": words.strip()}
    return {"speaker": default_speaker, "text": line}
