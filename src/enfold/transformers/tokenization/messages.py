"""Conversations as chat templates see them: plain data, one name for reasoning, an open last message."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from enfold.transformers.tokenization.sandbox import ChatTemplateError

__all__ = ["cut_open", "open_last", "plain_data", "prepared"]

# what messages call the model's reasoning; templates read the first, gpt-oss's the second
_REASONING = ("reasoning_content", "thinking", "reasoning")
# stands where the last message's text ends, plain letters that no template escapes; the space at its end tells whether
# the template strips texts
_MARK = "THE_OPEN_MESSAGE_ENDS_HERE "


def plain_data(value: Any) -> Any:
    """Return a value rebuilt of what JSON knows, so that a template can call no method of a caller's object.

    Images, arrays and other objects become a text that names their type: templates ask only whether they are there.

    Example:
        >>> plain_data({"type": "image", "image": object()})
        {'type': 'image', 'image': '<object>'}
    """
    if value is None or type(value) in (str, int, float, bool):
        return value
    if isinstance(value, str):  # members of an enumeration, say
        return str.__str__(value)
    if isinstance(value, int | float):
        return int.__int__(value) if isinstance(value, int) else float.__float__(value)
    if isinstance(value, Mapping):
        return {plain_data(key): plain_data(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(plain_data, value)) if type(value) in (list, tuple) else list(map(plain_data, value))
    fields = getattr(value, "__dataclass_fields__", None)  # as dataclasses.is_dataclass has it, without its import
    if fields is not None and not isinstance(value, type):
        return {name: plain_data(getattr(value, name)) for name in fields}
    if callable(getattr(value, "model_dump", None)):
        return plain_data(value.model_dump())
    if getattr(value, "shape", None) == () and type(value).__module__ == "numpy":
        return plain_data(value.item())
    return f"<{type(value).__name__}>"


def prepared(conversation: Any) -> list[dict[str, Any]]:
    """Return a conversation for a template: plain data, no keys without a value, reasoning under the names in use.

    Raises:
        TypeError: a message is not a dictionary, a dataclass or a model with ``model_dump``.
    """
    made = []
    for message in plain_data(list(getattr(conversation, "messages", conversation))):
        if not isinstance(message, dict):
            raise TypeError(f"a message is a dictionary with role and content, not {message!r}")
        message = {key: value for key, value in message.items() if value is not None}
        reasoning = next((message[key] for key in _REASONING if key in message), None)
        if reasoning is not None:
            message = {"thinking": reasoning, **message, "reasoning_content": reasoning}
        made.append(message)
    return made


def open_last(messages: list[dict[str, Any]], field: str, template: str) -> str:
    """Mark the end of the last message's text, in place, and return that text.

    Args:
        messages: the conversation, from ``prepared``.
        field: what is to be continued, "content" or "reasoning_content".
        template: the template, which must print that field.

    Raises:
        ChatTemplateError: the message has no such text, or the template does not name the field.
    """
    last = messages[-1]
    text = last.get(field)
    fields = [field]
    if field in _REASONING:
        fields = [name for name in _REASONING if last.get(name) == text]
    if text is None:
        raise ChatTemplateError(f"continue_final_message: the last message has no {field!r} to continue")
    if not any(name in template for name in fields):
        raise ChatTemplateError(f"continue_final_message: the template does not read {field!r}")
    if isinstance(text, str):
        last.update(dict.fromkeys(fields, text + _MARK))
        return text
    for part in reversed(text if isinstance(text, Sequence) else ()):
        if isinstance(part, dict) and "text" in part:
            said = part["text"]
            part["text"] = said + _MARK
            return said
    raise ChatTemplateError("continue_final_message needs text in the last message")


def cut_open(rendered: str, said: str) -> str:
    """Return what was rendered up to the end of the last message's text.

    Raises:
        ChatTemplateError: the template does not print that text as it is.
    """
    place = rendered.rfind(_MARK.strip())
    if place < 0 or said.strip() not in rendered:
        raise ChatTemplateError(
            "continue_final_message: the template does not print the last message's content as it is"
        )
    return rendered[:place] if rendered.startswith(_MARK, place) else rendered[:place].rstrip()
