"""Our docstrings as Markdown: a sentence, paragraphs, and sections with entries (Args, Returns, Raises, Example)."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any

__all__ = ["docstring", "first_sentence", "to_markdown"]

ENTRIES = ("Args", "Attributes", "Raises")
SECTION = re.compile(r"^(Args|Attributes|Returns|Yields|Raises|Examples?): *(.*)$")
ENTRY = re.compile(r"^([*\w.]+(?:, [*\w.]+)*): +(.*)$")
CODE = re.compile(r"(:\w+:`[^`]+`|``.+?``|`[^`]+`|<?https?://[^\s)>,;]*[^\s)>,;.]>?)", re.DOTALL)


def docstring(thing: Any) -> str:
    """The docstring of a class or function, own or inherited; "" where it has none or only the one dataclasses make."""
    text = thing.__dict__.get("__doc__") if inspect.isclass(thing) else inspect.getdoc(thing)
    if not text or (is_dataclass(thing) and text.startswith(f"{getattr(thing, '__name__', '')}(")):
        return ""
    return inspect.cleandoc(text)


def first_sentence(text: str) -> str:
    """The first sentence of a docstring, on one line."""
    paragraph = " ".join(text.strip().split("\n\n")[0].split())
    found = re.match(r"(.+?[.?!])(?= [A-Z]|$)", paragraph)
    return (found[1] if found else paragraph).rstrip(":")


def to_markdown(text: str, types: Mapping[str, str] | None = None) -> str:
    """A docstring, dedented, as MyST Markdown; arguments with their types where these are given."""
    parts: list[str] = []
    prose: list[str] = []
    lines = text.splitlines()
    at = 0
    while at < len(lines):
        found = SECTION.match(lines[at])
        if found is None:
            prose.append(lines[at])
            at += 1
            continue
        parts.append(_prose(prose))
        prose = []
        end = at + 1
        while end < len(lines) and (not lines[end].strip() or lines[end].startswith(" ")):
            end += 1
        body = inspect.cleandoc("\n" + "\n".join(lines[at + 1 : end]))
        parts.append(_section(found[1], "\n".join(filter(None, [found[2], body])), types or {}))
        at = end
    parts.append(_prose(prose))
    return "\n\n".join(part for part in parts if part.strip())


def _section(name: str, body: str, types: Mapping[str, str]) -> str:
    if name in ENTRIES:
        return f"**{name}**\n\n" + "\n".join(_entries(body, types))
    if name.startswith("Example"):
        return f"**{name}**\n\n" + (_prose(body.splitlines()) if ">>>" in body else f"```python\n{body}\n```")
    return f"**{name}**\n\n{_prose(body.splitlines())}"


def _entries(body: str, types: Mapping[str, str]) -> list[str]:
    """``name: text`` as a list; lines that go deeper belong to the entry above."""
    made: list[str] = []
    for line in body.splitlines():
        found = ENTRY.match(line)
        if found is not None:
            names = found[1].split(", ")
            kinds = {types[name.lstrip("*")] for name in names if name.lstrip("*") in types}
            kind = f" (`{kinds.pop()}`)" if len(kinds) == 1 and kinds != {"Any"} else ""
            made.append(f"- {', '.join(f'`{name}`' for name in names)}{kind}: {_escaped(found[2])}")
        elif not line.strip():
            made.append("")
        elif line.startswith(" ") or not made:
            made.append(f"  {_escaped(line.strip())}" if made else f"- {_escaped(line.strip())}")
        else:
            made.append(f"- {_escaped(line)}")
    return made


def _prose(lines: list[str]) -> str:
    """Paragraphs with their code spans, and sessions of Python as blocks."""
    made: list[str] = []
    waiting: list[str] = []
    inside = False

    def flush() -> None:
        if waiting:
            made.append(_escaped("\n".join(waiting)))
            waiting.clear()

    for line in lines:
        if not inside and line.lstrip().startswith(">>> "):
            flush()
            made.append("\n```pycon")
            inside = True
        elif inside and not line.strip():
            made.append("```\n")
            inside = False
        if inside:
            line = re.sub(r" *# doctest:.*", "", line)
            made.append(line.strip() if line.lstrip().startswith(">>> ") else line.removeprefix("    "))
        else:
            waiting.append(line)
    if inside:
        made.append("```")
    flush()
    return "\n".join(made).strip("\n")


def _escaped(text: str) -> str:
    """Markdown that shows ``text``: roles of reStructuredText become MyST's, other signs of Markdown are escaped."""
    return "".join(
        _span(part) if place % 2 else re.sub(r"(?<!\*)\*(?!\*)(?! )|[<\[\]{}]", r"\\\g<0>", part)
        for place, part in enumerate(CODE.split(text))
    )


def _span(code: str) -> str:
    if code.startswith(":"):
        _, role, target = code.split(":", 2)
        return f"{{py:obj}}{target}" if role in ("class", "func", "meth", "attr", "data", "mod") else target
    if code.startswith(("http", "<http")):
        return f"<{code.strip('<>')}>"
    return f"`{' '.join(code.strip('`').split())}`"
