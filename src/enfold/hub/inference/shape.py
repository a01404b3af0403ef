"""What goes to a model server and comes from it: objects that are dictionaries as well, made from JSON."""

from __future__ import annotations

import dataclasses
import functools
import json
import typing
from typing import Any, TypeVar

__all__ = ["BaseInferenceType"]

T = TypeVar("T", bound="BaseInferenceType")


class BaseInferenceType(dict[str, Any]):
    """An object whose fields are keys, too: ``answer.score`` and ``answer["score"]``.

    What a server sends beyond the known fields is kept; a field that it does not send is None.
    """

    def __post_init__(self) -> None:
        self.update({field.name: getattr(self, field.name) for field in dataclasses.fields(self)})  # type: ignore[arg-type]

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        self[name] = value

    def __setitem__(self, name: str, value: Any) -> None:
        super().__setitem__(name, value)
        if self.__dict__.get(name) is not value:
            super().__setattr__(name, value)

    @classmethod
    def parse_obj(cls: type[T], data: bytes | str | list[Any] | dict[str, Any]) -> list[T] | T:
        """Make objects of this kind from JSON (text, or what ``json.loads`` gave): one, or a list of them.

        Example:
            >>> from enfold.hub import TextClassificationOutputElement
            >>> TextClassificationOutputElement.parse_obj('{"label": "good", "score": 0.9}').label
            'good'
        """
        raw = json.loads(data) if isinstance(data, (bytes, str)) else data
        if isinstance(raw, list):
            return [cls.parse_obj_as_instance(item) for item in raw]
        if not isinstance(raw, dict):
            raise ValueError(f"a {cls.__name__} is made from a JSON object, not from {type(raw).__name__}")
        kinds = _nested(cls)
        values: dict[str, Any] = dict.fromkeys(kinds)
        extra: dict[str, Any] = {}
        for key, value in raw.items():
            name = key.replace("-", "_")
            kind = kinds.get(name)
            made = kind.parse_obj(value) if kind is not None and isinstance(value, (dict, list)) else value
            (values if name in kinds else extra)[name] = made
        found = cls(**values)
        for name, value in extra.items():
            found[name] = value
        return found

    @classmethod
    def parse_obj_as_list(cls: type[T], data: bytes | str | list[Any] | dict[str, Any]) -> list[T]:
        """Make a list of objects of this kind; a single one becomes a list of one."""
        found = cls.parse_obj(data)
        return found if isinstance(found, list) else [found]

    @classmethod
    def parse_obj_as_instance(cls: type[T], data: bytes | str | list[Any] | dict[str, Any]) -> T:
        """Make one object of this kind; of a list, the first."""
        found = cls.parse_obj(data)
        return found[0] if isinstance(found, list) else found


@functools.cache
def _nested(cls: type[BaseInferenceType]) -> dict[str, type[BaseInferenceType] | None]:
    """Return field → the kind of objects in it, or None for plain values."""
    hints = typing.get_type_hints(cls)
    return {field.name: _kind(hints[field.name]) for field in dataclasses.fields(cls)}  # type: ignore[arg-type]


def _kind(hint: Any) -> type[BaseInferenceType] | None:
    if isinstance(hint, type) and issubclass(hint, BaseInferenceType):
        return hint
    found = (_kind(part) for part in typing.get_args(hint))
    return next((kind for kind in found if kind is not None), None)
