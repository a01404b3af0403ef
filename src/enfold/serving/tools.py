"""Calls of tools in what a model writes: each family of chat templates has a way of its own to write them."""

from __future__ import annotations

import ast
import json
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from enfold.serving.errors import ServingError

__all__ = ["FORMATS", "Call", "Format", "ToolReader", "forced", "format_of", "tools_of"]


@dataclass
class Call:
    """A call that a model wrote.

    Attributes:
        name: of the function.
        arguments: a JSON object, as text.
        id: that its result refers to.
    """

    name: str
    arguments: str
    id: str = field(default_factory=lambda: f"call_{secrets.token_hex(12)}")


@dataclass(frozen=True)
class Format:
    """How calls are written.

    Attributes:
        marks: texts in a chat template that tell of it.
        begins: what calls begin with; "" where the whole answer is one call or none.
        ends: what ends them; "" where the answer's end does.
        read: the text between → calls, or None for what is none.
    """

    marks: tuple[str, ...]
    begins: tuple[str, ...]
    ends: str
    read: Callable[[str], list[Call] | None]


def _object(value: Any) -> Call | None:
    """Return the call that an object describes."""
    if isinstance(value, dict) and isinstance(value.get("function"), dict):
        value = value["function"]
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        return None
    given: Any = next((value[name] for name in ("arguments", "parameters") if name in value), {})
    if isinstance(given, str):  # some templates write the object as a text
        return Call(value["name"], given or "{}")
    return Call(value["name"], json.dumps(given, ensure_ascii=False))


def _json(text: str) -> list[Call] | None:
    """Read one object or more, in an array, one after the other, or with semicolons between."""
    decoder, found, text = json.JSONDecoder(), [], text.strip()
    while text:
        try:
            value, end = decoder.raw_decode(text)
        except (json.JSONDecodeError, RecursionError):
            return None
        for item in value if isinstance(value, list) else [value]:
            call = _object(item)
            if call is None:
                return None
            found.append(call)
        text = text[end:].lstrip(" \n\t;,")
    return found or None


def _mistral(text: str) -> list[Call] | None:
    if text.lstrip().startswith(("[", "{")):
        return _json(text)
    found = []
    for part in text.split("[TOOL_CALLS]"):  # name[ARGS]{…}, one mark each
        name, brace, rest = part.partition("{")
        name = name.replace("[ARGS]", "").strip()
        name = re.sub(r"\[CALL_ID\].*", "", name)
        if not brace or not name or not _is_object("{" + rest):
            return None
        found.append(Call(name, ("{" + rest).strip()))
    return found


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


_PARAMETER = re.compile(r"<parameter=([^>\n]+)>\n?(.*?)\n?</parameter>", re.DOTALL)


def _tags(text: str) -> list[Call] | None:
    """Read ``<function=name><parameter=key>value</parameter></function>``; else JSON."""
    match = re.match(r"\s*<function=([^>\n]+)>(.*)</function>\s*$", text, re.DOTALL)
    if match is None:
        return _json(text)
    given = {key.strip(): _value(value) for key, value in _PARAMETER.findall(match[2])}
    return [Call(match[1].strip(), json.dumps(given, ensure_ascii=False))]


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _deepseek(text: str) -> list[Call] | None:
    found = []
    for part in re.findall(r"<｜tool▁call▁begin｜>(.*?)<｜tool▁call▁end｜>", text, re.DOTALL):
        before, _, rest = part.partition("<｜tool▁sep｜>")
        fenced = re.match(r"\s*([^\n`{]+?)\s*```json\s*(.*?)\s*```", rest, re.DOTALL)
        name, given = (fenced[1], fenced[2]) if fenced else (before.strip(), rest.strip())
        if not name or not _is_object(given):
            return None
        found.append(Call(name, given))
    return found or None


def _python(text: str) -> list[Call] | None:
    """Read ``[name(key=value), …]`` with plain values."""
    try:
        tree = ast.parse(text.strip(), mode="eval").body
        found = []
        for node in tree.elts if isinstance(tree, ast.List) else [tree]:
            if not isinstance(node, ast.Call) or node.args or not isinstance(node.func, ast.Name | ast.Attribute):
                return None
            given = {str(word.arg): ast.literal_eval(word.value) for word in node.keywords}
            found.append(Call(ast.unparse(node.func), json.dumps(given, ensure_ascii=False)))
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        return None
    return found or None


def _bare(text: str) -> list[Call] | None:
    text = text.strip().removeprefix("<|python_tag|>")
    return _json(text) if text.startswith(("{", "[{")) else _python(text) if text.startswith("[") else None


FORMATS: dict[str, Format] = {
    "deepseek": Format(("<｜tool▁calls▁begin｜>",), ("<｜tool▁calls▁begin｜>",), "<｜tool▁calls▁end｜>", _deepseek),
    "tags": Format(("<function=", "<tool_call>"), ("<tool_call>",), "</tool_call>", _tags),
    "hermes": Format(("<tool_call>",), ("<tool_call>",), "</tool_call>", _json),
    "mistral": Format(("[TOOL_CALLS]",), ("[TOOL_CALLS]",), "", _mistral),
    "phi": Format(("<|tool_call|>", "<|/tool_call|>"), ("<|tool_call|>",), "<|/tool_call|>", _json),
    "granite": Format(("<|tool_call|>",), ("<|tool_call|>", "<tool_call>"), "", _json),
    "llama": Format(("<|python_tag|>",), ("<|python_tag|>", ""), "", _bare),
    "bare": Format((), ("<tool_call>", ""), "</tool_call>", _bare),
}
"""Ways to write calls: each is told by the marks that are all in a chat template; the last is tried for any other."""


def format_of(template: str | None) -> Format:
    """Return how models with a chat template write calls.

    Example:
        >>> format_of("… <tool_call> …") is FORMATS["hermes"]
        True
    """
    for way in FORMATS.values():
        if all(mark in (template or "") for mark in way.marks):
            return way
    return FORMATS["bare"]


class ToolReader:
    """Parts a text that comes piece by piece into what is said and calls; a call is given when it is whole.

    Args:
        way: how calls are written.

    Example:
        >>> reader = ToolReader(FORMATS["hermes"])
        >>> reader.step('Let me see.<tool_'), reader.step('call>{"name": "f", "arguments": {}}</tool_call>')[1][0].name
        (('Let me see.', []), 'f')
    """

    def __init__(self, way: Format) -> None:
        self._way, self._held, self._inside = way, "", ""
        self._begins = [mark for mark in way.begins if mark]
        self._may_be_bare, self._trim = "" in way.begins, False

    def step(self, text: str) -> tuple[str, list[Call]]:
        """Return what is said, and the calls that are whole."""
        self._held += text
        said, calls = "", list[Call]()
        while True:
            if self._inside:
                if not self._way.ends or self._way.ends not in self._held:
                    return said, calls
                inner, _, self._held = self._held.partition(self._way.ends)
                found = self._way.read(inner)
                said += "" if found else self._inside + inner + self._way.ends
                calls += found or []
                self._inside, self._trim = "", bool(found)
                continue
            if self._trim:  # what parts calls is not said
                self._held = self._held.lstrip("\n")
                self._trim = not self._held
            if self._may_be_bare:
                if self._held.lstrip()[:1] in ("{", "[", ""):
                    if not any(mark in self._held for mark in self._begins):
                        return said, calls  # the end tells
                elif not any(mark.startswith(self._held.lstrip()) for mark in self._begins):
                    self._may_be_bare = False
            places = [(place, mark) for mark in self._begins if (place := self._held.find(mark)) >= 0]
            if places:
                place, mark = min(places)
                said += self._held[:place]
                self._held, self._inside, self._may_be_bare = self._held[place + len(mark) :], mark, False
                continue
            kept = max((_overlap(self._held, mark) for mark in self._begins), default=0)
            cut = len(self._held) - kept
            said, self._held = said + self._held[:cut], self._held[cut:]
            return said, calls

    def end(self) -> tuple[str, list[Call]]:
        """Return what is left, as no more comes."""
        held, self._held = self._held, ""
        inside, self._inside = self._inside, ""
        if not inside and not self._may_be_bare:
            return held, []
        found = self._way.read(held)
        return ("", found) if found else (inside + held, [])


def _overlap(text: str, mark: str) -> int:
    for length in range(min(len(mark) - 1, len(text)), 0, -1):
        if text.endswith(mark[:length]):
            return length
    return 0


def tools_of(given: Sequence[Any]) -> list[dict[str, Any]]:
    """Return tools as chat templates take them, ``{"type": "function", "function": {"name", "parameters"}}``.

    Raises:
        ServingError: 400 for anything else.
    """
    found = []
    for place, tool in enumerate(given):
        function = tool.get("function", tool) if isinstance(tool, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise ServingError(f"tools[{place}] must be a function with a name", param="tools")
        parts = {key: function[key] for key in ("name", "description", "parameters", "strict") if key in function}
        found.append({"type": "function", "function": {"parameters": {"type": "object", "properties": {}}, **parts}})
    return found


def forced(tools: Sequence[dict[str, Any]], choice: Any, parallel: bool) -> dict[str, Any] | None:
    """Return the schema of an array of calls for a ``tool_choice`` that asks for calls; None for one that does not.

    Raises:
        ServingError: 400 for a choice that is none, or of a tool that is not there.
    """
    if choice in (None, "auto", "none"):
        return None
    functions = [tool["function"] for tool in tools]
    if isinstance(choice, dict):
        wanted = choice.get("function", choice).get("name") if choice.get("type", "function") == "function" else None
        functions = [function for function in functions if function["name"] == wanted]
        if not functions:
            raise ServingError(f"tool_choice names {wanted!r}, which is not among the tools", param="tool_choice")
    elif choice != "required":
        raise ServingError(
            f"tool_choice must be none, auto, required or a function, not {choice!r}", param="tool_choice"
        )
    if not functions:
        raise ServingError("tool_choice asks for a call, but there are no tools", param="tool_choice")
    calls = [
        {
            "type": "object",
            "properties": {"name": {"const": function["name"]}, "arguments": _closed(function["parameters"])},
            "required": ["name", "arguments"],
            "additionalProperties": False,
        }
        for function in functions
    ]
    shape: dict[str, Any] = {"type": "array", "items": {"anyOf": calls} if len(calls) > 1 else calls[0], "minItems": 1}
    return shape | ({} if parallel and not isinstance(choice, dict) else {"maxItems": 1})


def _closed(parameters: Any) -> Any:
    """Return the schema of a call's arguments, which has nothing but what it names, unless it says otherwise."""
    if isinstance(parameters, dict) and "properties" in parameters:
        return {"additionalProperties": False, **parameters}
    return parameters
