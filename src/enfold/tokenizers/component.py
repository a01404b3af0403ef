"""What normalizers, pre-tokenizers, post-processors and decoders share: settings kept as tokenizer.json has them."""

from __future__ import annotations

import copy
import itertools
import json
from typing import Any, ClassVar, TypeVar

from enfold import _native
from enfold.errors import EnfoldError, nearest

__all__ = [
    "Component",
    "CustomComponentError",
    "CustomPart",
    "Option",
    "Regex",
    "build",
    "changes",
    "custom_objects",
    "pattern_spec",
    "spec_text",
]

C = TypeVar("C", bound="Component")

# Counts every change to any component, so that a tokenizer knows in one comparison whether to look at its own.
_changes = [0]


def changes() -> int:
    """How many times a component has been changed in this process."""
    return _changes[0]


def spec_text(component: Component | None) -> str:
    """The component as compact JSON, ``null`` for None."""
    return "null" if component is None else _told(component)[1]


def custom_objects(component: Component | None) -> dict[int, Any]:
    """The user's own objects in a component, under the handles that stand for them in its JSON."""
    return {} if component is None else _told(component)[2]


def _told(component: Component) -> tuple[int, str, dict[int, Any]]:
    if component._text[0] != _changes[0]:
        objects: dict[int, Any] = {}
        text = json.dumps(component.spec(objects), ensure_ascii=False, separators=(",", ":"))
        component._text = (_changes[0], text, objects)
    return component._text


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
    _base: ClassVar[str] = ""  # Normalizer, PreTokenizer, PostProcessor or Decoder
    # Names of the settings whose values are words of the format rather than text.
    _bare: ClassVar[frozenset[str]] = frozenset({"behavior", "prepend_scheme"})
    # The settings that a file may have beside the Options, and what stands for those that older files lack.
    _keys: ClassVar[tuple[str, ...]] = ()
    _defaults: ClassVar[dict[str, Any]] = {}
    _values: dict[str, Any]
    # The count of changes at which the JSON of the settings was made, the JSON, and the user's objects in it.
    _text: tuple[int, str, dict[int, Any]] = (-1, "", {})

    def _init(self, **values: Any) -> None:
        self._values = values
        self._text = (-1, "", {})

    def _set(self, key: str, value: Any) -> None:
        self._values[key] = value
        _changes[0] += 1

    def spec(self, objects: dict[int, Any] | None = None) -> dict[str, Any]:
        """The object of tokenizer.json that stands for this component.

        Args:
            objects: where the user's own objects are put, under the handles that stand for them.

        Raises:
            CustomComponentError: there are such objects, and nowhere to put them.
        """
        return {"type": self._type, **{key: _plain(value, objects) for key, value in self._values.items()}}

    @classmethod
    def _restore(cls: type[C], spec: dict[str, Any]) -> C:
        options = [str(one.key) for kind in cls.__mro__ for one in vars(kind).values() if isinstance(one, Option)]
        given = {**cls._defaults, **spec}
        made = cls.__new__(cls)
        made._init(**{key: given[key] for key in (*cls._keys, *options) if key in given})
        return made

    def __getstate__(self) -> bytes:
        try:
            return json.dumps(self.spec(), ensure_ascii=False, separators=(",", ":")).encode()
        except CustomComponentError as error:
            raise CustomComponentError(f"Error while attempting to pickle {self._base}: {error}") from None

    def __setstate__(self, state: bytes) -> None:
        self._init(**self._restore(json.loads(state))._values)

    def __copy__(self: C) -> C:
        return copy.deepcopy(self)

    def __deepcopy__(self: C, memo: dict[int, Any]) -> C:
        made = type(self).__new__(type(self))
        made._init(**copy.deepcopy(self._values, memo))
        return made

    def __eq__(self, other: object) -> bool:
        return spec_text(self) == spec_text(other) if isinstance(other, Component) else NotImplemented

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        fields = ", ".join(f"{key}={_shown(value, key in self._bare)}" for key, value in self._values.items())
        return f"{type(self).__name__}({fields})"

    def __str__(self) -> str:
        return repr(self)


def _plain(value: Any, objects: dict[int, Any] | None) -> Any:
    if isinstance(value, Component):
        return value.spec(objects)
    if isinstance(value, list | tuple):
        return [_plain(item, objects) for item in value]
    return value


class CustomComponentError(EnfoldError, TypeError):
    """A component written in Python was to be saved, which no file can hold."""


_handles = itertools.count()


class CustomPart(Component):
    """What the custom components have in common: the core knows the user's object by a handle, which no file may name.

    Args:
        obj: the object that does the work.
    """

    _type = "Custom"
    _noun: ClassVar[str] = ""

    def __init__(self, obj: Any) -> None:
        self.object = obj
        self._init(handle=next(_handles))

    def spec(self, objects: dict[int, Any] | None = None) -> dict[str, Any]:
        """As of any component; the object goes to ``objects``."""
        if objects is None:
            raise CustomComponentError(f"Custom {self._noun} cannot be serialized")
        objects[self._values["handle"]] = self.object
        return super().spec(objects)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return type(self)(self.object)

    @classmethod
    def _restore(cls, spec: dict[str, Any]) -> Any:
        raise ValueError(f"a file cannot name a custom {cls._noun}: make it with {cls._base}.custom(object)")

    def __repr__(self) -> str:
        return f"{self._base}.custom({self.object!r})"


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
