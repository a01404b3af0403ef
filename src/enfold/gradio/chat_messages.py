"""Messages of a conversation: from what visitors say and functions return, to what pages and clients see."""

from __future__ import annotations

from typing import Any

from enfold.gradio.components.base import Component
from enfold.gradio.components.chat import ChatMessage
from enfold.gradio.files import FileData, cached

__all__ = ["answered_by", "asked_by", "example_of", "place_of", "plain", "title_of"]


def place_of(event: Any) -> int:
    """Where in a conversation an event happened."""
    return event.index[0] if isinstance(event.index, (list, tuple)) else event.index


def asked_by(message: Any) -> dict[str, Any]:
    """What a visitor said, as a message."""
    if isinstance(message, dict):
        files = [{"path": path} for path in message.get("files") or []]
        return {"role": "user", "content": [*files, *([message["text"]] if message.get("text") else [])]}
    return {"role": "user", "content": str(message)}


def answered_by(given: Any) -> Any:
    """What a function returned, as a message."""
    if isinstance(given, ChatMessage):
        return given
    if isinstance(given, dict) and "content" in given:
        return {"role": "assistant", **given}
    if isinstance(given, dict) and "text" in given:
        files = [{"path": each} if isinstance(each, str) else each for each in given.get("files") or []]
        return {"role": "assistant", "content": [*files, *([given["text"]] if given["text"] else [])]}
    if isinstance(given, (str, Component, FileData)) or (isinstance(given, dict) and "path" in given):
        return {"role": "assistant", "content": given}
    return {"role": "assistant", "content": str(given)}


def plain(message: dict[str, Any]) -> Any:
    """A message as clients see it: its text, where that is all there is."""
    parts = message["content"]
    if len(parts) == 1 and parts[0]["type"] == "text" and not message.get("metadata") and not message.get("options"):
        return parts[0]["text"]
    return message


def title_of(conversation: Any) -> str:
    """What a kept conversation is listed as: the beginning of what was said first."""
    first = next((message for message in conversation if message.get("role") == "user"), None)
    parts = first["content"] if first else []
    words = next((part["text"] for part in parts if part.get("type") == "text"), "Conversation")
    return words if len(words) <= 40 else f"{words[:39]}…"


def example_of(given: Any, place: int, labels: list[str] | None, icons: list[str] | None) -> dict[str, Any]:
    """An example as the page shows it, with the values of the additional inputs under ``extra``."""
    message, *extra = given if isinstance(given, (list, tuple)) else (given,)
    made = dict(message) if isinstance(message, dict) else {"text": str(message)}
    if made.get("files"):
        made["files"] = [cached(each) if isinstance(each, str) else each for each in made["files"]]
    if labels:
        made["display_text"] = labels[place]
    if icons:
        made["icon"] = icons[place]
    return {**made, "extra": extra}
