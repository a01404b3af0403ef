"""Jinja for templates that strangers wrote: no way to Python's insides, and an end to every loop and every growth."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from enfold.errors import EnfoldError

__all__ = ["ChatTemplateError", "compiled", "literal_text"]

# A template of a real model takes a few thousand steps a conversation; texts may hold images.
STEPS = 200_000
SIZE = 1 << 28
# What makes more of its input than a few times as much.
_GROWING = frozenset(
    "batch center expandtabs format indent join ljust replace rjust slice translate wordwrap xmlattr zfill".split()
)


class ChatTemplateError(EnfoldError, ValueError):
    """A chat template is missing, unknown, or refuses the conversation."""


def _size(value: Any) -> int:
    if isinstance(value, str | bytes | list | tuple | dict):
        return len(value)
    return min(abs(value), SIZE + 1) if isinstance(value, int) else 1


def _widest(pattern: str) -> int:
    """Return the largest number in a format, which may be a width."""
    return max((int(number[:12]) for number in re.findall(r"\d+", pattern)), default=0)


def _bounded(product: int) -> None:
    if product > SIZE:
        raise ChatTemplateError(f"this chat template makes more than {SIZE:,} characters or items at once")


@functools.cache
def _environment() -> Any:
    from jinja2 import TemplateError, nodes
    from jinja2.ext import Extension, loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment
    from jinja2.visitor import NodeTransformer

    class Counted(NodeTransformer):
        """Counts the rounds of loops and the calls of macros."""

        def _count(self, node: Any) -> Any:
            self.generic_visit(node)
            call = nodes.Call(nodes.EnvironmentAttribute("tick"), [nodes.ContextReference()], [], None, None)
            tick = nodes.ExprStmt(call)
            tick.set_lineno(node.lineno)
            tick.set_environment(node.environment)
            node.body.insert(0, tick)
            return node

        visit_For = visit_Macro = visit_CallBlock = _count

        def visit_Concat(self, node: Any) -> Any:
            self.generic_visit(node)
            made = nodes.Call(nodes.EnvironmentAttribute("joined"), node.nodes, [], None, None)
            made.set_lineno(node.lineno)
            made.set_environment(node.environment)
            return made

    class Environment(ImmutableSandboxedEnvironment):
        """The sandbox, with limits."""

        intercepted_binops = frozenset(["*", "**", "+", "%", "//"])

        def _parse(self, source: str, name: Any, filename: Any) -> Any:
            return Counted().visit(super()._parse(source, name, filename))

        def tick(self, context: Any) -> str:
            count = context.get("_steps")
            if count is not None:
                count[0] += 1
                if count[0] > STEPS:
                    raise ChatTemplateError(f"this chat template takes more than {STEPS:,} steps")
            return ""

        def joined(self, *parts: Any) -> str:
            texts = [str(part) for part in parts]
            _bounded(sum(map(len, texts)))
            return "".join(texts)

        def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
            if operator == "*" and not (isinstance(left, int | float) and isinstance(right, int | float)):
                _bounded(_size(left) * _size(right))
            elif operator in ("*", "**") and isinstance(left, int) and isinstance(right, int):
                bits = left.bit_length() * max(right, 1) if operator == "**" else left.bit_length() + right.bit_length()
                _bounded(bits * 64)
            elif operator == "%" and isinstance(left, str):
                _bounded(_widest(left))
            elif operator == "+":
                _bounded(_size(left) + _size(right) if not isinstance(left, int) else 0)
            return super().call_binop(context, operator, left, right)

        def call(__self, __context: Any, __obj: Any, *args: Any, **kwargs: Any) -> Any:
            name = getattr(__obj, "__name__", "")
            owner = getattr(getattr(__obj, "__wrapped__", __obj), "__self__", None)
            if name in _GROWING and isinstance(owner, str | bytes):
                _grow(name, owner, args, kwargs)
            return super().call(__context, __obj, *args, **kwargs)

    def _grow(name: str, owner: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        sizes = [_size(value) for value in (*args, *kwargs.values())]
        by_part = name in ("replace", "join", "translate")
        _bounded((_size(owner) + 1) * (max([0, *sizes]) + 1) if by_part else sum(sizes))
        _bounded(_widest(str(owner)) if name == "format" else 0)

    class Generation(Extension):
        """``{% generation %}…{% endgeneration %}`` marks what the assistant says; the marks are not printed."""

        tags = {"generation"}

        def parse(self, parser: Any) -> Any:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            call = self.call_method("_mark", [nodes.ContextReference()])
            return nodes.CallBlock(call, [], [], body).set_lineno(line)

        def _mark(self, context: Any, caller: Callable[[], str]) -> str:
            text = caller()
            if context.get("_generated") is None:
                return text
            # What is outside is known only when all is rendered: brackets that no text holds keep the place.
            return f"\x00\x01{text}\x00\x02"

    def raise_exception(message: str) -> None:
        raise TemplateError(message)

    def tojson(
        value: Any,
        ensure_ascii: bool = False,
        indent: int | None = None,
        separators: tuple[str, str] | None = None,
        sort_keys: bool = False,
    ) -> str:
        _bounded(_size(indent) * 1000 if isinstance(indent, int) else 0)
        return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    def watched(name: str, filter: Callable[..., Any]) -> Callable[..., Any]:
        passed = getattr(filter, "jinja_pass_arg", None) is not None

        @functools.wraps(filter)
        def run(*args: Any, **kwargs: Any) -> Any:
            values = args[1:] if passed else args
            sizes = [_size(value) for value in (*values[1:], *kwargs.values())]
            _bounded((_size(values[0] if values else "") + 1) * (max([0, *sizes]) + 1))
            return filter(*args, **kwargs)

        return run

    # not optimized: constant expressions would be worked out without the limits
    environment = Environment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols], optimized=False
    )
    for name in _GROWING & environment.filters.keys():
        environment.filters[name] = watched(name, environment.filters[name])
    environment.filters["tojson"] = tojson
    environment.globals["raise_exception"] = raise_exception
    environment.globals["strftime_now"] = lambda pattern: datetime.now().strftime(pattern)
    return environment


@functools.lru_cache(maxsize=32)
def compiled(template: str) -> Any:
    """Return a template, compiled once; ``render`` takes ``_steps=[0]`` to count its steps and ``_generated`` to mark.

    Raises:
        ChatTemplateError: the template is malformed.
    """
    from jinja2 import TemplateError

    try:
        return _environment().from_string(template)
    except (TemplateError, RecursionError) as error:
        raise ChatTemplateError(str(error) or "this chat template is nested too deeply") from error


@functools.lru_cache(maxsize=32)
def literal_text(template: str) -> str:
    """Return all that a template writes itself: its text and its string constants, kept apart by a null character.

    Example:
        >>> literal_text("<b>{{ '[x]' + y }}") == "<b>\\0[x]"
        True
    """
    from jinja2 import TemplateError, nodes

    try:
        tree = _environment().parse(template)
    except (TemplateError, RecursionError) as error:
        raise ChatTemplateError(str(error) or "this chat template is nested too deeply") from error
    texts = [node.data for node in tree.find_all(nodes.TemplateData)]
    texts += [node.value for node in tree.find_all(nodes.Const) if isinstance(node.value, str)]
    return "\0".join(dict.fromkeys(texts))
