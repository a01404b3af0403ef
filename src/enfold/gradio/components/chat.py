"""Conversations: what was said, and a field to say more, with files."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypedDict

from enfold.gradio.components.base import Common, Component, FormComponent, common
from enfold.gradio.components.schemas import array, defined, optional, record, ref, sample, text
from enfold.gradio.events import Event
from enfold.gradio.files import FileData, cached, file_types_problem, mime_type, received

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["ChatMessage", "Chatbot", "MessageDict", "MultimodalTextbox"]


class _Said(TypedDict):
    content: Any
    role: Literal["user", "assistant", "system"]


class MessageDict(_Said, total=False):
    """A message as a dictionary; :class:`ChatMessage` says what its entries mean. The last two may be left out."""

    metadata: dict[str, Any]
    options: list[dict[str, str]]


@dataclass
class ChatMessage:
    """One message of a conversation.

    Args:
        content: a text, a file ``{"path": ..., "alt_text": ...}``, a component, or a list of them.
        role: "user", "assistant" or "system".
        metadata: ``title`` makes it a thought that opens and closes; ``status`` ("pending" or "done"), ``log``,
            ``duration`` in seconds, ``id`` and ``parent_id`` (a thought inside another) belong to it.
        options: answers to choose from, each ``{"value": ..., "label": ...}``.
    """

    content: Any
    role: Literal["user", "assistant", "system"] = "assistant"
    metadata: dict[str, Any] = field(default_factory=dict)
    options: list[dict[str, str]] = field(default_factory=list)


class Chatbot(Component):
    """A conversation; the function receives and returns a list of messages.

    A message is a :class:`ChatMessage` or a dict with "role" and "content". Pairs of texts (older versions'
    "tuples") are understood as what the visitor and the assistant said.

    Args:
        value: the conversation it begins with, or a function that gives it.
        type: accepted; messages travel as such.
        autoscroll: whether it follows what is added.
        height, max_height, min_height, resizable: in pixels or any CSS length, and whether it can be dragged.
        editable: whose messages can be edited: "user", "all" or nobody's.
        latex_delimiters: what encloses formulas, as ``{"left", "right", "display"}``.
        rtl: whether it runs from right to left.
        watermark: text added to what is copied.
        avatar_images: pictures of the visitor and of the assistant.
        sanitize_html: accepted; HTML in messages is always reduced to harmless tags.
        render_markdown, line_breaks: whether texts are Markdown, and single line breaks are kept.
        feedback_options, feedback_value: what ``like`` offers, and what was chosen per message.
        layout: "bubble" or "panel".
        placeholder: Markdown while it is empty.
        examples: ``{"text", "display_text", "icon", "files"}`` to begin with, shown while it is empty.
        allow_file_downloads: whether files in messages have a download button.
        group_consecutive_messages: whether neighbours of one role share a bubble.
        allow_tags: tags that are shown as they are written; every unknown one when True.
        reasoning_tags: ``(opening, closing)`` pairs that enclose thoughts in texts.
        like_user_message: whether the visitor's messages have feedback buttons too.
        common: see :class:`~enfold.gradio.components.base.Common`; ``buttons`` are of "copy" and "copy_all".

    Example:
        >>> Chatbot().postprocess([{"role": "user", "content": "Hi"}])[0]["content"]
        [{'text': 'Hi', 'type': 'text'}]
    """

    type_name = "chatbot"
    has_files = True
    BUTTONS = ("share", "copy", "copy_all")
    COMMON: ClassVar[Mapping[str, Any]] = common("info", "interactive")
    EXTRA: ClassVar[Mapping[str, Any]] = {"_undoable": False, "_retryable": False, "likeable": False}
    HIDDEN: ClassVar[frozenset[str]] = Component.HIDDEN | {"type"}
    change = Event("always_last")
    select = Event()
    like = Event()
    retry = Event()
    undo = Event()
    example_select = Event()
    option_select = Event()
    clear = Event()
    copy = Event()
    edit = Event()

    def __init__(
        self,
        value: Any = None,
        *,
        type: Literal["messages", "tuples"] | None = None,
        autoscroll: bool = True,
        height: int | str | None = 400,
        resizable: bool = False,
        max_height: int | str | None = None,
        min_height: int | str | None = None,
        editable: Literal["user", "all"] | None = None,
        latex_delimiters: list[dict[str, Any]] | None = None,
        rtl: bool = False,
        watermark: str | None = None,
        avatar_images: tuple[Any, Any] | None = None,
        sanitize_html: bool = True,
        render_markdown: bool = True,
        feedback_options: Sequence[str] | None = ("Like", "Dislike"),
        feedback_value: Sequence[str | None] | None = None,
        line_breaks: bool = True,
        layout: Literal["panel", "bubble"] | None = None,
        placeholder: str | None = None,
        examples: list[dict[str, Any]] | None = None,
        allow_file_downloads: bool = True,
        group_consecutive_messages: bool = True,
        allow_tags: list[str] | bool = True,
        reasoning_tags: list[tuple[str, str]] | None = None,
        like_user_message: bool = False,
        **common: Unpack[Common],
    ) -> None:
        self.latex_delimiters = latex_delimiters or [{"left": "$$", "right": "$$", "display": True}]
        self.feedback_options = list(feedback_options or [])
        images = avatar_images or (None, None)
        self.avatar_images = [cached(each) if isinstance(each, (str, Path)) else each for each in images]
        if examples is not None:
            self.examples = [_example(each) for each in examples]
        self._settle()

    def preprocess(self, payload: Any) -> Any:
        if payload is None:
            return []
        if not isinstance(payload, list):
            raise self.refuse("a list of messages is expected")
        messages = []
        for message in payload:
            if not isinstance(message, dict) or "role" not in message or "content" not in message:
                raise self.refuse("each message needs 'role' and 'content'")
            content = message["content"]
            parts = content if isinstance(content, list) else [content]
            messages.append(
                {
                    "role": message["role"],
                    "metadata": message.get("metadata"),
                    "content": [self._received(part) for part in parts],
                    "options": message.get("options"),
                }
            )
        return messages

    def _received(self, part: Any) -> Any:
        if isinstance(part, str):
            return {"text": part, "type": "text"}
        if isinstance(part, dict) and part.get("type") == "file":
            given = part.get("file")
            path = received(given, self.refuse)
            return {"file": {**(given or {}), "path": path}, "alt_text": part.get("alt_text"), "type": "file"}
        if isinstance(part, dict) and part.get("type") in {"text", "component"}:
            return part
        raise self.refuse("a message's content is text, a file or a component")

    def postprocess(self, value: Any) -> Any:
        shown: list[dict[str, Any]] = []
        for message in value or []:
            if isinstance(message, (list, tuple)) and len(message) == 2:
                for role, content in zip(("user", "assistant"), message, strict=True):
                    if content is not None:
                        shown += self._message({"role": role, "content": content})
                continue
            if isinstance(message, ChatMessage):
                message = asdict_shallow(message)
            if not isinstance(message, dict) or "role" not in message or "content" not in message:
                raise self.refuse("each message must be a ChatMessage or a dict with 'role' and 'content'")
            shown += self._message(message)
        return shown

    def _message(self, message: dict[str, Any]) -> list[dict[str, Any]]:
        content = message["content"]
        parts = [self._part(part) for part in (content if isinstance(content, list) else [content])]
        shared = {"role": message["role"], "metadata": message.get("metadata"), "options": message.get("options")}
        if not self.reasoning_tags:
            return [_ordered(shared, parts)] if parts else []
        made = []
        for part in parts:
            if part["type"] != "text":
                continue
            for passage, thought, status in thoughts(part["text"], self.reasoning_tags):
                entry = {"text": passage, "type": "text"}
                if thought:
                    metadata = {"title": "Reasoning", "status": status}
                    made.append(_ordered({**shared, "metadata": metadata, "options": None}, [entry]))
                else:
                    made.append(_ordered(shared, [entry]))
        rest = [part for part in parts if part["type"] != "text"]
        return [*made, _ordered(shared, rest)] if rest else made

    def _part(self, content: Any) -> dict[str, Any]:
        if isinstance(content, str):
            return {"text": inspect.cleandoc(content), "type": "text"}
        if isinstance(content, FileData):
            return {"file": content, "alt_text": None, "type": "file"}
        if isinstance(content, Component):
            return _component(content)
        if isinstance(content, (tuple, list)) and content and isinstance(content[0], (str, Path)):
            content = {"path": content[0], "alt_text": content[1] if len(content) > 1 else None}
        if isinstance(content, dict):
            kind = content.get("type")
            if kind in {"text", "component"}:
                return content
            given = content.get("file", content)
            if isinstance(given, dict) and "path" in given:
                path = given["path"]
                entry = cached(path, mime_type=given.get("mime_type") or mime_type(path))
                if given.get("orig_name"):
                    entry["orig_name"] = given["orig_name"]
                return {"file": entry, "alt_text": content.get("alt_text"), "type": "file"}
        raise ValueError(
            f"a message's content is text, {{'path': ...}}, a component or a list of them, not {content!r:.80}"
        )

    def api_info(self) -> dict[str, Any]:
        return _SCHEMA

    def example_payload(self) -> Any:
        said = (("user", "Hello!"), ("assistant", "How can I help you?"))
        return [
            {"role": role, "metadata": None, "content": [{"text": words, "type": "text"}], "options": None}
            for role, words in said
        ]


def asdict_shallow(message: ChatMessage) -> dict[str, Any]:
    """A message as a dict whose values are the message's own."""
    return {name: getattr(message, name) for name in ("role", "content", "metadata", "options")}


def _ordered(shared: dict[str, Any], parts: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "role": shared["role"],
        "metadata": shared["metadata"],
        "content": parts,
        "options": shared["options"],
    }


def _component(component: Component) -> dict[str, Any]:
    if component.parent is not None:
        component.unrender()
    arguments = {name: value for name, value in component.explicit.items() if name not in {"value", "common"}}
    props = component.props()
    return {
        "component": component.type_name,
        "value": props.get("value"),
        "constructor_args": {**{name: str(value) for name, value in arguments.items() if callable(value)}, **{
            name: value for name, value in arguments.items() if not callable(value)
        }, "render": False},
        "props": props,
        "type": "component",
    }  # fmt: skip


def _example(example: dict[str, Any]) -> dict[str, Any]:
    made = dict(example)
    icon = made.get("icon")
    if isinstance(icon, (str, Path)) and icon not in {"plus", "text"}:
        made["icon"] = cached(icon)
    if made.get("files"):
        made["files"] = [cached(each) if isinstance(each, (str, Path)) else each for each in made["files"]]
    return made


def thoughts(content: str, tags: Sequence[tuple[str, str]]) -> list[tuple[str, bool, str]]:
    """Split a text into what was said and what was thought.

    Args:
        content: the text.
        tags: ``(opening, closing)`` pairs; a thought whose closing tag has not come yet is "pending".

    Returns:
        ``(text, whether it is a thought, "done" or "pending")`` in order.

    Example:
        >>> thoughts("<think>Hm</think>Yes", [("<think>", "</think>")])
        [('Hm', True, 'done'), ('Yes', False, 'done')]
    """
    pattern = "|".join(f"{re.escape(start)}(.*?)(?:({re.escape(end)})|$)" for start, end in tags)
    found: list[tuple[str, bool, str]] = []
    at = 0
    for match in re.finditer(pattern, content, re.DOTALL):
        if before := content[at : match.start()].strip():
            found.append((before, False, "done"))
        groups = match.groups()
        inner = next((group for group in groups[::2] if group is not None), "").strip()
        if inner:
            found.append((inner, True, "done" if any(groups[1::2]) else "pending"))
        at = match.end()
    if rest := content[at:].strip():
        found.append((rest, False, "done"))
    return found


class MultimodalTextbox(FormComponent):
    """A field for text and files; the function receives ``{"text": str, "files": [path, ...]}``.

    Args:
        value: such a dict, or a text, to begin with; or a function that gives one.
        sources: of "upload" and "microphone" those offered.
        file_types, file_count: as for :class:`~enfold.gradio.File`.
        lines, max_lines, placeholder, autofocus, autoscroll, text_align, rtl, submit_btn, stop_btn,
            html_attributes: as for :class:`~enfold.gradio.Textbox`.
        max_plain_text_length: characters after which pasted text becomes a file.
        common: see :class:`~enfold.gradio.components.base.Common`.
    """

    type_name = "multimodaltextbox"
    has_files = True
    COMMON: ClassVar[Mapping[str, Any]] = common("buttons")
    change = Event("always_last")
    input = Event()
    select = Event()
    submit = Event()
    focus = Event()
    blur = Event()
    stop = Event()

    def __init__(
        self,
        value: str | dict[str, Any] | Callable[[], Any] | None = None,
        *,
        sources: Sequence[str] | str | None = None,
        file_types: list[str] | None = None,
        file_count: Literal["single", "multiple", "directory"] = "single",
        lines: int = 1,
        max_lines: int = 20,
        placeholder: str | None = None,
        autofocus: bool = False,
        autoscroll: bool = True,
        text_align: Literal["left", "right"] | None = None,
        rtl: bool = False,
        submit_btn: str | bool | None = True,
        stop_btn: str | bool | None = False,
        max_plain_text_length: int = 1000,
        html_attributes: Mapping[str, Any] | None = None,
        **common: Unpack[Common],
    ) -> None:
        self.sources = [sources] if isinstance(sources, str) else list(["upload"] if sources is None else sources)
        self._settle()

    def preprocess(self, payload: Any) -> Any:
        if payload is None:
            return None
        if not isinstance(payload, dict):
            raise self.refuse("a text with files is expected: {'text': ..., 'files': [...]}")
        files = [received(each, self.refuse) for each in payload.get("files") or []]
        for path in files:
            problem = file_types_problem(path or "", self.file_types)
            if problem:
                raise self.refuse(problem)
        return {"text": payload.get("text", ""), "files": files}

    def postprocess(self, value: Any) -> Any:
        if value is None or isinstance(value, str):
            return {"text": value or "", "files": []}
        if not isinstance(value, dict):
            raise ValueError(f"MultimodalTextbox shows a text or a dict, not a {type(value).__name__}")
        files = [
            each if isinstance(each, dict) else cached(each, orig_name=Path(each).name, mime_type=mime_type(each))
            for each in value.get("files") or []
        ]
        return {"text": value.get("text", ""), "files": files}

    def api_info(self) -> dict[str, Any]:
        properties = {"text": text("Text"), "files": array("Files", ref("FileData"))}
        return defined(record("MultimodalData", properties, ("text",)), "file")

    def example_payload(self) -> Any:
        return {"text": "Describe this image", "files": [sample("bus.png")]}


def _constant(value: str) -> dict[str, Any]:
    return {"const": value, "default": value, "title": "Type", "type": "string"}


def _name(title: str) -> dict[str, Any]:
    return {"anyOf": [{"type": "integer"}, {"type": "string"}], "title": title}


_MAP = {"additionalProperties": True, "type": "object"}
_PARTS = {"anyOf": [ref("TextMessage"), ref("FileMessage"), ref("ComponentMessage")]}
_OPTIONS = {"items": ref("OptionDict"), "type": "array"}
_SCHEMA = defined(
    {"items": ref("Message"), "title": "ChatbotDataMessages", "type": "array"},
    "file",
    TextMessage=record("TextMessage", {"text": text("Text"), "type": _constant("text")}, ("text",)),
    FileMessage=record(
        "FileMessage",
        {"file": ref("FileData"), "alt_text": optional("Alt Text", "string"), "type": _constant("file")},
        ("file",),
    ),
    ComponentMessage=record(
        "ComponentMessage",
        {
            "component": text("Component"),
            "value": {"title": "Value"},
            "constructor_args": {**_MAP, "title": "Constructor Args"},
            "props": {**_MAP, "title": "Props"},
            "type": _constant("component"),
        },
        ("component", "value", "constructor_args", "props"),
    ),
    Message=record(
        "Message",
        {
            "role": text("Role"),
            "metadata": {"anyOf": [ref("MetadataDict"), {"type": "null"}], "default": None},
            "content": array("Content", _PARTS),
            "options": {"anyOf": [_OPTIONS, {"type": "null"}], "default": None, "title": "Options"},
        },
        ("role", "content"),
    ),
    MetadataDict=record(
        "MetadataDict",
        {
            "title": text("Title"),
            "id": _name("Id"),
            "parent_id": _name("Parent Id"),
            "log": text("Log"),
            "duration": {"title": "Duration", "type": "number"},
            "status": {"enum": ["pending", "done"], "title": "Status", "type": "string"},
        },
    ),
    OptionDict=record("OptionDict", {"value": text("Value"), "label": text("Label")}, ("value",)),
)
