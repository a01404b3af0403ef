"""The API pages: every public name of a package with its signature, its docstring and the module that it lives in."""

from __future__ import annotations

import importlib
import inspect
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from docstrings import docstring, first_sentence, to_markdown
from names import FAMILY, PAGES, exports
from sphinx.util.inspect import stringify_signature
from sphinx.util.typing import stringify_annotation

__all__ = ["markdown"]


def markdown(page: str) -> str:
    """What is below the heading of an API page."""
    if page == "models":
        return "\n".join(_models())
    parts: list[str] = []
    for package in PAGES[page]:
        parts += [f"## {package}\n"] if len(PAGES[page]) > 1 else []
        parts += _package(package, "###" if len(PAGES[page]) > 1 else "##")
    return "\n".join(parts)


def _home(value: Any, package: str) -> str:
    """The module that a value says it comes from; for plain values the package."""
    home = value.__module__ if inspect.isclass(value) or inspect.isroutine(value) else ""
    return home if home.startswith("enfold.") else package


def _about(module: str) -> str:
    """The first sentence of a module's docstring."""
    return to_markdown(first_sentence(importlib.import_module(module).__doc__ or ""))


def _package(package: str, level: str) -> Iterator[str]:
    """The names of a package by the module they live in, classes of models left out."""
    yield f"```{{py:currentmodule}} {package}\n```\n"
    groups: dict[str, dict[str, Any]] = defaultdict(dict)
    for name, value in sorted(exports(package).items()):
        home = _home(value, package)
        if not FAMILY.match(home):
            groups[home][name] = value
    classes = [value for names in groups.values() for value in names.values() if inspect.isclass(value)]
    owners = _owners(classes)
    for home in sorted(groups, key=lambda name: (name != package, name)):
        yield f"{level} `{home.removeprefix(package + '.')}`\n" if home != package else f"{level} The package itself\n"
        yield f"{_about(home)}\n" if home != package else ""
        for name, value in groups[home].items():
            yield from _entry(name, value, owners)


@cache
def _public() -> frozenset[type]:
    """Every class that an API page shows."""
    packages = {package for shown in PAGES.values() for package in shown}
    return frozenset(value for package in packages for value in exports(package).values() if inspect.isclass(value))


def _entry(name: str, value: Any, owners: Mapping[int, type]) -> Iterator[str]:
    if inspect.ismodule(value):
        yield f"````{{py:data}} {name}\n\nA module. {_about(value.__name__)}\n````\n"
    elif inspect.isclass(value) and value.__name__ != name:
        yield f"````{{py:class}} {name}\n\nAnother name of {{py:obj}}`{value.__name__}`.\n````\n"
    elif inspect.isclass(value):
        yield from _callable(5, "class", name, value)
        elsewhere: dict[type, list[str]] = defaultdict(list)
        for member, kind, function in _members(value):
            owner = owners.get(id(function), value)
            if owner is value:
                yield from _callable(4, kind, member, function)
            else:
                elsewhere[owner].append(member)
        for owner, names in elsewhere.items():
            yield f"As in {{py:obj}}`{owner.__name__}`: {', '.join(f'`{found}`' for found in names)}.\n"
        yield "`````\n"
    elif inspect.isroutine(value):
        yield from _callable(4, "function", name, value)
    else:
        # Tables and objects say nothing by their repr; strings and unions of types do.
        plain = isinstance(value, (dict, list, tuple)) or " at 0x" in repr(value) or len(repr(value)) > 500
        shown = "" if plain else f"`{re.sub(r'enfold[.][a-z_.]*[.]', '', repr(value))}`\n"
        yield f"````{{py:data}} {name}\n\n{shown}````\n"


def _callable(ticks: int, kind: str, name: str, value: Any) -> Iterator[str]:
    """The entry of a class, function, method or property; a class's stays open for its members."""
    text = docstring(value)
    option = f":{kind}:\n" if kind in ("classmethod", "staticmethod") else ""
    directive = "method" if option else kind
    shown, types = "", {}
    if kind != "property":
        shown, types = _signature(value, bound=kind in ("method", "classmethod"), told="Args:" in text)
    yield f"{'`' * ticks}{{py:{directive}}} {name}{shown}\n{option}\n{to_markdown(text, types)}\n"
    if kind != "class":
        yield f"{'`' * ticks}\n"


def _members(kind: type) -> Iterator[tuple[str, str, Any]]:
    """The documented methods and properties of a class: its own, and those of bases that no page shows."""
    seen: set[str] = set()
    for base in kind.__mro__:
        if base is not kind and (base in _public() or not base.__module__.startswith("enfold.")):
            continue
        for name, value in vars(base).items():
            if name.startswith("_") or name in seen:
                continue
            seen.add(name)
            if isinstance(value, (classmethod, staticmethod)):
                found = type(value).__name__, value.__func__
            elif isinstance(value, property):
                found = "property", value.fget
            elif inspect.isfunction(value):
                found = "method", value
            else:
                continue
            if found[1] is not None and docstring(found[1]):
                yield name, *found


def _owners(classes: list[type]) -> dict[int, type]:
    """Function → the class to show it under, when several have it from a base that no page shows."""
    owners: dict[int, type] = {}
    for kind in sorted(classes, key=lambda kind: (len(kind.__mro__), kind.__name__)):
        for _, _, function in _members(kind):
            owners.setdefault(id(function), kind)
    return owners


def _signature(value: Any, bound: bool, told: bool) -> tuple[str, dict[str, str]]:
    """The signature, and the types of its parameters; where the docstring tells of these, the types stand there."""
    try:
        found = inspect.signature(value)
    except (TypeError, ValueError):
        return "", {}
    if bound:
        found = found.replace(parameters=[*found.parameters.values()][1:])
    types = {
        parameter.name: _kind(parameter.annotation)
        for parameter in found.parameters.values()
        if parameter.annotation is not parameter.empty
    }
    if told:
        found = found.replace(parameters=[one.replace(annotation=one.empty) for one in found.parameters.values()])
    shown = stringify_signature(found, show_return_annotation=not inspect.isclass(value), unqualified_typehints=True)
    # A default that has no spelling (a factory, an object) would not parse.
    return " ".join(re.sub(r"<[^<>]*>", "...", shown).split()), types


def _kind(annotation: Any) -> str:
    """A type as it is written in the code, without the places that its names come from."""
    text = annotation if isinstance(annotation, str) else stringify_annotation(annotation, "smart")
    text = re.sub(r"~(?:\w+[.])*(\w+)", r"\1", text)
    return re.sub(r"\b(?:typing|enfold|collections)[.](?:\w+[.])*", "", text)


def _models() -> Iterator[str]:
    """Configurations and models by family, a line each."""
    yield "```{py:currentmodule} enfold.transformers\n```\n"
    families: dict[str, dict[str, Any]] = defaultdict(dict)
    for name, value in sorted(exports("enfold.transformers").items()):
        family = FAMILY.match(_home(value, ""))
        if family is not None and inspect.isclass(value):
            families[family[1]][name] = value
    for family in sorted(families):
        homes = sorted({value.__module__ for value in families[family].values()}, reverse=True)
        yield f"## {family}\n\n{_about(homes[0])}\n"
        for name, value in families[family].items():
            yield f"````{{py:class}} {name}\n\n{to_markdown(first_sentence(docstring(value)))}\n````\n"
