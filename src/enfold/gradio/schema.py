"""What clients are told: the endpoints of a demo, their parameters, and Python types for JSON Schemas."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from enfold.gradio.components.base import Component
from enfold.gradio.components.schemas import FILE, IMAGE

if TYPE_CHECKING:
    from enfold.gradio.blocks import Blocks
    from enfold.gradio.functions import BlockFunction

__all__ = ["api_info", "python_type"]

_PLAIN = {"integer": "int", "string": "str", "boolean": "bool", "number": "float", "null": "None"}


def python_type(schema: Any, defs: dict[str, Any] | None = None) -> str:
    """Write a JSON Schema the way Python's annotations would.

    Args:
        schema: the schema.
        defs: what its references point to; its own ``$defs`` when None.

    Example:
        >>> python_type({"type": "array", "items": {"enum": ["a", "b"], "type": "string"}})
        "list[Literal['a', 'b']]"
    """
    if not isinstance(schema, dict) or not schema:
        return "Any"
    defs = defs if defs is not None else schema.get("$defs", {})
    if "$ref" in schema:
        return python_type(defs[schema["$ref"].rpartition("/")[2]], defs)
    if "const" in schema:
        return f"Literal[{schema['const']}]"
    if "enum" in schema:
        return "Literal[" + ", ".join(f"'{value}'" for value in schema["enum"]) + "]"
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return " | ".join(python_type(each, defs) for each in schema[several])
    kind = schema.get("type")
    if not kind:
        return "str | float | bool | list | dict" if "json" in schema.get("description", "") else "Any"
    if kind == "array" and "prefixItems" in schema:
        return f"tuple[{', '.join(python_type(each, defs) for each in schema['prefixItems'])}]"
    if kind == "array":
        return f"list[{python_type(schema.get('items', {}), defs)}]"
    if kind == "object":
        parts = []
        for name, value in schema.get("properties", {}).items():
            note = f" ({value['description']})" if value.get("description") else ""
            parts.append(f"{name}: {python_type(value, defs)}{note}")
        if "additionalProperties" in schema:
            parts.append(f"str, {python_type(schema['additionalProperties'], defs)}")
        return f"dict({', '.join(parts)})"
    return _PLAIN.get(kind, "Any")


_FILE, _IMAGE = python_type(FILE), python_type(IMAGE)


def api_info(blocks: Blocks, *, everything: bool = False, page: str | None = None) -> dict[str, Any]:
    """Describe the endpoints clients may call.

    Args:
        blocks: the demo.
        everything: whether undocumented endpoints are listed too.
        page: the path of the page whose endpoints are meant; every page's when None.

    Returns:
        ``{"named_endpoints": {"/name": {...}}, "unnamed_endpoints": {}}``.
    """
    shown = {"public", "undocumented"} if everything else {"public"}
    named = {
        f"/{fn.api_name}": _endpoint(fn)
        for fn in blocks.fns.values()
        if fn.fn is not None and fn.api_visibility in shown and page in {None, fn.page}
    }
    return {"named_endpoints": named, "unnamed_endpoints": {}}


def _endpoint(fn: BlockFunction) -> dict[str, Any]:
    parameters, returns = [], []
    names = parameter_names(fn)
    for index, block in enumerate(fn.inputs):
        if not isinstance(block, Component) or block.skip_api:
            continue
        name, default = names[index] if index < len(names) else (f"param_{index}", inspect.Parameter.empty)
        value = block.__dict__.get("value")
        optional = value is not None or default is None
        parameters.append(
            {
                "label": block.__dict__.get("label") or f"parameter_{block._id}",
                "parameter_name": name,
                "parameter_has_default": optional,
                "parameter_default": value if optional else None,
                **_typed(block, "additional_description"),
                "example_input": block.example_payload(),
            }
        )
    for block in fn.outputs:
        if isinstance(block, Component) and not block.skip_api:
            returns.append(
                {"label": block.__dict__.get("label") or f"value_{block._id}", **_typed(block, "description")}
            )
    return {
        "parameters": parameters,
        "returns": returns,
        "api_visibility": fn.api_visibility,
        "description": _description(fn),
    }


def _typed(block: Component, described_by: str) -> dict[str, Any]:
    schema = block.api_info()
    kind = python_type(schema).replace(_FILE, "filepath").replace(_IMAGE, "filepath")
    described = {"type": kind, "description": schema.get(described_by, "")}
    return {"type": schema, "python_type": described, "component": str(block.props()["name"]).capitalize()}


def parameter_names(fn: BlockFunction) -> list[tuple[str, Any]]:
    """The parameters that a function's inputs are for, in their order, with their defaults."""
    if fn.fn is None or fn.inputs_as_dict:
        return []
    try:
        parameters = inspect.signature(fn.fn).parameters
    except (TypeError, ValueError):
        return []
    plain = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    placed = [
        (parameter.name, parameter.default)
        for position, parameter in enumerate(parameters.values())
        if parameter.kind in plain and position not in fn.special and parameter.name not in fn.keywords
    ]
    if not fn.keywords:
        return placed
    count = len(fn.inputs) - len(fn.keywords)
    unknown = [(f"param_{number}", inspect.Parameter.empty) for number in range(len(placed), count)]
    named = [(name, getattr(parameters.get(name), "default", inspect.Parameter.empty)) for name in fn.keywords]
    return [*placed[:count], *unknown, *named]


def _description(fn: BlockFunction) -> str:
    if fn.api_description is False:
        return ""
    if isinstance(fn.api_description, str):
        return fn.api_description
    document = inspect.getdoc(fn.fn) if inspect.isroutine(fn.fn) else None
    return " ".join((document or "").split("\n\n")[0].split())
