"""Tools for chat templates: the JSON schema of a function, from its signature and its docstring."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from enfold.errors import nearest
from enfold.transformers.tokenization.sandbox import ChatTemplateError

__all__ = ["DocstringParsingException", "TypeHintParsingException", "get_json_schema", "tool_schema"]


class DocstringParsingException(ChatTemplateError):
    """A function's docstring does not say what a tool's schema needs."""


class TypeHintParsingException(ChatTemplateError):
    """A function's type hints do not say what a tool's schema needs."""


_SCALARS = {int: "integer", float: "number", str: "string", bool: "boolean", type(None): "null"}
_JSON_TYPES = {**_SCALARS, list: "array", tuple: "array", dict: "object"}


def tool_schema(tool: Any) -> Any:
    """Return a tool's JSON schema: as given, or from a function's signature and its docstring's ``Args:``."""
    if isinstance(tool, Mapping):
        return tool
    if not callable(tool):
        raise ChatTemplateError(f"a tool is a function or a JSON schema, not {type(tool).__name__}")
    import contextlib
    import inspect
    import typing

    described, arguments, returns = _read_docstring(inspect.getdoc(tool) or "")
    if not described:
        raise DocstringParsingException(f"the tool {tool.__name__!r} needs a docstring that says what it does")
    hints = typing.get_type_hints(tool)
    properties: dict[str, Any] = {}
    required = []
    for place, (name, parameter) in enumerate(inspect.signature(tool).parameters.items()):
        if place == 0 and name in ("self", "cls") and name not in hints:
            continue
        if name not in hints or name not in arguments:
            kind = DocstringParsingException if name in hints else TypeHintParsingException
            known = nearest(name, arguments)
            raise kind(f"the tool {tool.__name__!r} needs a type and a line under Args: for {name!r}{known}")
        text, choices = _choices(arguments[name])
        properties[name] = {**_type_schema(hints[name]), **choices, "description": text}
        if parameter.default is inspect.Parameter.empty:
            required.append(name)
    parameters: dict[str, Any] = {"type": "object", "properties": properties}
    if required:
        parameters["required"] = required
    function: dict[str, Any] = {"name": tool.__name__, "description": described, "parameters": parameters}
    if "return" in hints:
        # a model never writes what a tool returns: a type without a schema is no reason to refuse the tool
        with contextlib.suppress(TypeHintParsingException):
            function["return"] = {**_type_schema(hints["return"]), **({"description": returns} if returns else {})}
    return {"type": "function", "function": function}


def get_json_schema(func: Callable[..., Any]) -> dict[str, Any]:
    """Return the JSON schema of a function, as chat templates take tools.

    Args:
        func: a function with type hints and a docstring in Google's style; ``(choices: ["a", "b"])`` at the end of an
            argument's line lists its values.

    Raises:
        ChatTemplateError: the docstring or the type hints leave something out.

    Example:
        >>> def double(number: int) -> int:
        ...     \"\"\"Double a number.
        ...
        ...     Args:
        ...         number: The number.
        ...     \"\"\"
        >>> get_json_schema(double)["function"]["parameters"]["properties"]
        {'number': {'type': 'integer', 'description': 'The number.'}}
    """
    return tool_schema(func)


def _choices(description: str) -> tuple[str, dict[str, Any]]:
    """Return a description without its ``(choices: …)``, and these as a schema."""
    import json
    import re

    found = re.search(r"\(choices:\s*(.*?)\)\s*$", description, re.IGNORECASE)
    if found is None:
        return description, {}
    try:
        values = [value.strip() if isinstance(value, str) else value for value in json.loads(found.group(1))]
        return description[: found.start()].strip(), {"enum": values}
    except ValueError:
        raise DocstringParsingException(f"choices are a JSON list, not {found.group(1)}") from None


def _type_schema(hint: Any) -> dict[str, Any]:
    """Return the JSON schema of a type hint.

    Raises:
        TypeHintParsingException: it is a class, or a shape, that JSON has nothing for.
    """
    import enum
    import types
    import typing

    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        members = [_type_schema(member) for member in inner if member is not type(None)]
        if len(members) == 1:
            made = members[0]
        elif all(set(member) == {"type"} and isinstance(member["type"], str) for member in members):
            names = sorted({member["type"] for member in members})
            made = {"type": names if len(names) > 1 else names[0]}
        else:
            made = {"anyOf": members}
        return {**made, "nullable": True} if type(None) in inner else made
    if origin is typing.Literal:
        return _values_schema(list(inner))
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return _values_schema([member.value for member in hint])
    if origin is list:
        return {"type": "array", **({"items": _type_schema(inner[0])} if inner else {})}
    if origin is tuple:
        if len(inner) == 1 or ... in inner:
            raise TypeHintParsingException(f"{hint} is a tuple of one or of any number: say list[…]")
        return {"type": "array", **({"prefixItems": [_type_schema(item) for item in inner]} if inner else {})}
    if origin is dict:
        more = {"additionalProperties": _type_schema(inner[1])} if len(inner) == 2 else {}
        return {"type": "object", **more}
    if hint is typing.Any:
        return {}
    if hint in _JSON_TYPES:
        return {"type": _JSON_TYPES[hint]}
    # by name: a hint is no reason to import Pillow or torch
    kind = {"PIL.Image.Image": "image", "torch.Tensor": "audio"}.get(
        f"{getattr(hint, '__module__', '')}.{getattr(hint, '__name__', '')}"
    )
    if kind is None:
        raise TypeHintParsingException(
            f"the type {hint!r} has no JSON schema: use str, int, float, bool, list, tuple, dict, Literal, an Enum, or "
            "give the tool as a schema"
        )
    return {"type": kind}


def _values_schema(values: list[Any]) -> dict[str, Any]:
    """Return the schema of one of some values."""
    wrong = [value for value in values if type(value) not in _SCALARS]
    if wrong or not values:
        raise TypeHintParsingException(f"the values {wrong or values} are not all texts, numbers, booleans or None")
    kinds = list(dict.fromkeys(_SCALARS[type(value)] for value in values))
    return {"type": kinds if len(kinds) > 1 else kinds[0], "enum": values}


def _read_docstring(text: str) -> tuple[str, dict[str, str], str]:
    """Return what a docstring in Google's style says of the function, of each argument, and of the result."""
    part = ""
    lines: dict[str, list[str]] = {"": [], "Args": [], "Returns": []}
    for line in text.splitlines():
        head = line.strip().rstrip(":")
        if line.strip().endswith(":") and not line.startswith(" ") and head in ("Args", "Returns", "Raises", "Example"):
            part = head
        else:
            lines.setdefault(part, []).append(line)
    arguments: dict[str, str] = {}
    name, level = "", 0
    for line in lines["Args"]:
        begin, colon, rest = line.strip().partition(":")
        word = begin.split("(")[0].strip()
        deep = len(line) - len(line.lstrip())
        # "note: …" further in belongs to the argument above
        if colon and word.isidentifier() and (not name or deep <= level):
            name, level, arguments[word] = word, deep, rest.strip()
        elif name and line.strip():
            arguments[name] += " " + line.strip()
    return "\n".join(lines[""]).strip(), arguments, " ".join(line.strip() for line in lines["Returns"]).strip()
