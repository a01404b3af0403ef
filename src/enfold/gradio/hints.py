"""Endpoints described by type hints: JSON Schemas for what a function takes and returns."""

from __future__ import annotations

import dataclasses
import enum
import inspect
import types
import typing
from collections.abc import Callable
from typing import Any, Literal, Union, get_args, get_origin

from enfold.gradio.components.api import Api
from enfold.gradio.errors import GradioError
from enfold.gradio.functions import function_name, special_parameters

__all__ = ["described", "schema_of"]

_PLAIN: dict[Any, dict[str, Any]] = {
    type(None): {"type": "null"},
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    dict: {"type": "object", "additionalProperties": {}},
    list: {"type": "array", "items": {}},
    tuple: {"type": "array"},
    set: {"type": "array", "uniqueItems": True},
    frozenset: {"type": "array", "uniqueItems": True},
    bytes: {"type": "string", "format": "byte"},
    bytearray: {"type": "string", "format": "byte"},
}


def schema_of(hint: Any) -> dict[str, Any]:
    """The JSON Schema of a type hint; ``{}``, which allows anything, for what JSON does not know.

    Example:
        >>> schema_of(list[int])
        {'type': 'array', 'items': {'type': 'integer'}}
        >>> schema_of(int | None)
        {'oneOf': [{'type': 'null'}, {'type': 'integer'}]}
    """
    if isinstance(hint, type) and hint in _PLAIN:
        return dict(_PLAIN[hint])
    if hint is None:
        return {"type": "null"}
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return {"const": arguments[0]} if len(arguments) == 1 else {"enum": list(arguments)}
    if origin in {Union, types.UnionType}:
        others = [each for each in arguments if each is not type(None)]
        if len(arguments) == 2 and len(others) == 1:
            return {"oneOf": [{"type": "null"}, schema_of(others[0])]}
        return {"anyOf": [schema_of(each) for each in arguments]}
    if origin is tuple:
        if len(arguments) == 2 and arguments[1] is ...:
            return {"type": "array", "items": schema_of(arguments[0])}
        size = len(arguments)
        return {"type": "array", "prefixItems": [schema_of(a) for a in arguments], "minItems": size, "maxItems": size}
    if origin in {list, set, frozenset}:
        unique = {} if origin is list else {"uniqueItems": True}
        return {"type": "array", **unique, "items": schema_of(arguments[0])}
    if origin is dict and arguments[0] is str:
        return {"type": "object", "additionalProperties": schema_of(arguments[1])}
    if inspect.isclass(hint) and issubclass(hint, enum.Enum):
        return {"enum": [member.value for member in hint]}
    if inspect.isclass(hint) and (typing.is_typeddict(hint) or dataclasses.is_dataclass(hint)):
        return _record(hint)
    return {}


def _record(hint: Any) -> dict[str, Any]:
    hints = typing.get_type_hints(hint)
    if typing.is_typeddict(hint):
        required = [name for name in hints if name in hint.__required_keys__]
    else:
        empty = dataclasses.MISSING
        required = [f.name for f in dataclasses.fields(hint) if f.default is empty and f.default_factory is empty]
    made = {"type": "object", "properties": {name: schema_of(each) for name, each in hints.items()}}
    return {**made, "required": required} if required else made


def described(fn: Callable[..., Any]) -> tuple[list[Api], list[Api]]:
    """Stand-ins for components, one for each parameter of a function and for each value it returns.

    Raises:
        GradioError: a parameter has no type hint, or its hints cannot be read.
    """
    try:
        hints = typing.get_type_hints(fn)
        parameters = list(inspect.signature(fn).parameters.values())
    except (NameError, TypeError, ValueError) as error:
        raise GradioError(f"the type hints of {function_name(fn)} cannot be read: {error}") from None
    special, _ = special_parameters(fn)
    inputs: list[Api] = []
    for position, parameter in enumerate(parameters):
        if parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}:
            break
        if position in special:
            continue
        if parameter.name not in hints:
            raise GradioError(
                f"{function_name(fn)} is offered to clients by its type hints, and its parameter {parameter.name!r} "
                "has none"
            )
        default = None if parameter.default is parameter.empty else parameter.default
        inputs.append(Api(default, schema_of(hints[parameter.name]), _ordinal(len(inputs) + 1)))
    returned = hints.get("return")
    several = list(get_args(returned)) if get_origin(returned) is tuple else [returned]
    several = [] if returned in {None, type(None)} else several
    return inputs, [Api(None, schema_of(each), _ordinal(number)) for number, each in enumerate(several, 1)]


def _ordinal(number: int) -> str:
    end = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{end}"
