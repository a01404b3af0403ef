"""What normalizers, pre-tokenizers, post-processors and decoders share: settings kept as tokenizer.json has them."""

from __future__ import annotations

import json
from typing import Any, ClassVar, TypeVar

from enfold import _native
from enfold.errors import nearest

__all__ = ["Component", "Option", "Regex", "build", "changes", "pattern_spec", "spec_text"]

C = TypeVar("C", bound="Component")

# Counts every change to any component, so that a tokenizer knows in one comparison whether to look at its own.
_changes = [0]


def changes() -> int:
    """How many times a component has been changed in this process."""
    return _changes[0]


def spec_text(component: Component | None) -> str:
    """The component as compact JSON, ``null`` for None."""
    if component is None:
        return "null"
    count, text = component._text
    if count != _changes[0]:
        text = json.dumps(component.spec(), ensure_ascii=False, separators=(",", ":"))
        component._text = (_changes[0], text)
    return text


class Regex:
    """A regular expression, where a plain string would be taken literally.

    Example:
        >>> Regex(r"\\s+").pattern
        '\\\\s+'
    """

    def __init__(self, s: str) -> None:
        _native.check_regex(s)
        self.pattern = s

    def __repr__(self) -> str:
        return f"Regex({json.dumps(self.pattern, ensure_ascii=False)})"


def pattern_spec(pattern: str | Regex) -> dict[str, str]:
    """``{"String": …}`` or ``{"Regex": …}``."""
    if isinstance(pattern, Regex):
        return {"Regex": pattern.pattern}
    if not isinstance(pattern, str):
        raise TypeError(f"a pattern must be str or Regex, not {type(pattern).__name__}")
    return {"String": pattern}


class Option:
    """A setting of a component: read and written as an attribute, kept under the name it has in tokenizer.json."""

    def __init__(self, key: str | None = None) -> None:
        self.key = key

    def __set_name__(self, owner: type, name: str) -> None:
        self.key = self.key or name

    def __get__(self, instance: Component | None, owner: type) -> Any:
        return self if instance is None else instance._values[str(self.key)]

    def __set__(self, instance: Component, value: Any) -> None:
        instance._set(str(self.key), value)


def _shown(value: Any, bare: bool = False) -> str:
    if isinstance(value, str):
        return value if bare else json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        return "[" + ", ".join(map(_shown, value)) + "]"
    if isinstance(value, tuple):
        return "(" + ", ".join(map(_shown, value)) + ")"
    if isinstance(value, dict) and value.keys() <= {"String", "Regex"}:
        return ", ".join(f'{kind}("{text}")' for kind, text in value.items())
    return repr(value)


class Component:
    """A step of the pipeline; its settings are what tokenizer.json says about it."""

    _type: ClassVar[str] = ""
    # Names of the settings whose values are words of the format rather than text.
    _bare: ClassVar[frozenset[str]] = frozenset({"behavior", "prepend_scheme"})
    _values: dict[str, Any]
    # The JSON of the settings, and the count of changes at which it was made.
    _text: tuple[int, str] = (-1, "")

    def _init(self, **values: Any) -> None:
        self._values = values
        self._text = (-1, "")

    def _set(self, key: str, value: Any) -> None:
        self._values[key] = value
        _changes[0] += 1

    def spec(self) -> dict[str, Any]:
        """The object of tokenizer.json that stands for this component."""
        return {"type": self._type, **{key: _plain(value) for key, value in self._values.items()}}

    @classmethod
    def _restore(cls: type[C], spec: dict[str, Any]) -> C:
        made = cls.__new__(cls)
        made._init(**{key: value for key, value in spec.items() if key != "type"})
        return made

    def __getstate__(self) -> bytes:
        return spec_text(self).encode()

    def __setstate__(self, state: bytes) -> None:
        self._init(**self._restore(json.loads(state))._values)

    def __eq__(self, other: object) -> bool:
        return self.spec() == other.spec() if isinstance(other, Component) else NotImplemented

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        fields = ", ".join(f"{key}={_shown(value, key in self._bare)}" for key, value in self._values.items())
        return f"{type(self).__name__}({fields})"

    def __str__(self) -> str:
        return repr(self)


def _plain(value: Any) -> Any:
    if isinstance(value, Component):
        return value.spec()
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def build(base: type[C], spec: dict[str, Any]) -> C:
    """Make the subclass of ``base`` that a spec names by its type.

    Raises:
        ValueError: the type is unknown; the nearest one is named.
    """
    known = {cls._type: cls for cls in base.__subclasses__()}
    name = str(spec.get("type"))
    if name not in known:
        raise ValueError(f"unknown {base.__name__} type {name!r}{nearest(name, known)}")
    return known[name]._restore(spec)
