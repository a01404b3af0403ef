"""Code to write or read, and text with marked passages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from enfold.errors import nearest
from enfold.gradio.components.base import Common, Component, common
from enfold.gradio.components.schemas import defined, ref, text
from enfold.gradio.events import Event

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["Code", "HighlightedText"]

LANGUAGES = (
    "python", "c", "cpp", "markdown", "latex", "json", "html", "css", "javascript", "jinja2", "typescript", "yaml",
    "dockerfile", "shell", "r", "sql", "sql-msSQL", "sql-mySQL", "sql-mariaDB", "sql-sqlite", "sql-cassandra",
    "sql-plSQL", "sql-hive", "sql-pgsql", "sql-gql", "sql-gpSQL", "sql-sparkSQL", "sql-esper",
)  # fmt: skip


class Code(Component):
    """Code with its syntax in colour; the function receives and returns a string.

    Args:
        value: the code it begins with, or a function that gives it.
        language: one of "python", "javascript", "html", "css", "json", "yaml", "markdown", "sql", "shell" …
        lines, max_lines: its height, and the height it grows to.
        wrap_lines: whether long lines are broken.
        show_line_numbers: whether lines are numbered.
        autocomplete: accepted; nothing is proposed while typing.
        common: see :class:`~enfold.gradio.components.base.Common`; ``buttons`` are of "copy" and "download".

    Raises:
        ValueError: the language is not known.
    """

    type_name = "code"
    BUTTONS = ("copy", "download")
    COMMON: ClassVar[Mapping[str, Any]] = common("info")
    change = Event("always_last")
    input = Event()
    focus = Event()
    blur = Event()

    def __init__(
        self,
        value: str | Callable[[], str] | None = None,
        language: str | None = None,
        *,
        lines: int = 5,
        max_lines: int | None = None,
        wrap_lines: bool = False,
        show_line_numbers: bool = True,
        autocomplete: bool = False,
        **common: Unpack[Common],
    ) -> None:
        if language is not None and language not in LANGUAGES:
            raise ValueError(f"Code does not know the language {language!r}{nearest(language, LANGUAGES)}")
        self._settle()

    def postprocess(self, value: Any) -> str | None:
        if isinstance(value, tuple):
            raise ValueError("Code shows a text; read the file and return what is in it")
        return None if value is None else str(value).strip()

    def example_payload(self) -> str:
        return "print('Hello World')"


class HighlightedText(Component):
    """Text with marked passages: entities by category, or words by a number in [-1, 1].

    Args:
        value: ``[(text, category or number or None), ...]``, or ``{"text", "entities": [{"entity", "start", "end"}]}``
            as pipelines return it, or a function that gives one.
        color_map: colours by category.
        show_legend, show_inline_category: whether categories are listed above, and stand beside their passages.
        combine_adjacent, adjacent_separator: whether neighbours of one category become one, and what joins them.
        show_whitespaces: whether white space at the ends of passages is kept.
        rtl: whether it runs from right to left.
        common: see :class:`~enfold.gradio.components.base.Common`.

    Example:
        >>> box = HighlightedText()
        >>> box.postprocess({"text": "In Rome", "entities": [{"entity": "LOC", "start": 3, "end": 7}]})[1]
        {'token': 'Rome', 'class_or_confidence': 'LOC'}
    """

    type_name = "highlightedtext"
    COMMON: ClassVar[Mapping[str, Any]] = common("info")
    change = Event("always_last")
    select = Event()

    def __init__(
        self,
        value: Any = None,
        *,
        color_map: dict[str, str] | None = None,
        show_legend: bool = False,
        show_inline_category: bool = True,
        combine_adjacent: bool = False,
        adjacent_separator: str = "",
        show_whitespaces: bool = True,
        rtl: bool = False,
        **common: Unpack[Common],
    ) -> None:
        self._settle()

    def postprocess(self, value: Any) -> Any:
        if value is None:
            return None
        passages = _passages(value) if isinstance(value, dict) else [_pair(each) for each in value]
        if self.combine_adjacent:
            joined: list[tuple[str, Any]] = []
            for passage, category in passages:
                if not passage:
                    continue
                if joined and joined[-1][1] == category:
                    joined[-1] = (joined[-1][0] + self.adjacent_separator + passage, category)
                else:
                    joined.append((passage, category))
            passages = joined
        clean = (lambda text: text) if self.show_whitespaces else str.strip
        return [{"token": clean(passage), "class_or_confidence": category} for passage, category in passages]

    def api_info(self) -> dict[str, Any]:
        kinds = [{"type": "string"}, {"type": "number"}, {"type": "null"}]
        token = {
            "properties": {
                "token": text("Token"),
                "class_or_confidence": {"anyOf": kinds, "default": None, "title": "Class Or Confidence"},
            },
            "required": ["token"],
            "title": "HighlightedToken",
            "type": "object",
        }
        items = {"items": ref("HighlightedToken"), "title": "HighlightedTextData", "type": "array"}
        return defined(items, HighlightedToken=token)

    def example_payload(self) -> Any:
        return [{"token": "The", "class_or_confidence": None}, {"token": "quick", "class_or_confidence": "adj"}]


def _pair(given: Any) -> tuple[str, Any]:
    if isinstance(given, dict):
        return given["token"], given.get("class_or_confidence")
    return given[0], given[1]


def _passages(value: dict[str, Any]) -> list[tuple[str, Any]]:
    if "text" not in value or "entities" not in value:
        raise ValueError("HighlightedText takes a list of (text, category), or a dict with 'text' and 'entities'")
    body, entities = value["text"], sorted(value["entities"], key=lambda entity: entity["start"])
    if not entities:
        return [(body, None)]
    passages, at = [], 0
    for entity in entities:
        passages.append((body[at : entity["start"]], None))
        passages.append((body[entity["start"] : entity["end"]], entity.get("entity") or entity.get("entity_group")))
        at = entity["end"]
    return [*passages, (body[at:], None)]
