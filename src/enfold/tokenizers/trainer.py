"""What all trainers share: settings that are checked, shown and saved, and how far the training has come."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any, ClassVar

from enfold import _native
from enfold.progress import Progress
from enfold.tokenizers.added import AddedToken
from enfold.tokenizers.models import Model

__all__ = [
    "Report",
    "Setting",
    "Trainer",
    "alphabet",
    "number",
    "specials",
    "style",
    "text_or_none",
    "whole",
    "whole_or_none",
]

# How progress is shown, and the name of that in files.
_FORMATS = {"indicatif": "Indicatif", "json": "JsonLines", "silent": "Silent"}


def whole(name: str, value: Any) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} must be a whole number, not {type(value).__name__}")
    number = value.__index__()
    if number < 0:
        raise OverflowError(f"{name} must not be negative, and is {number}")
    return number


def whole_or_none(name: str, value: Any) -> int | None:
    return None if value is None else whole(name, value)


def text_or_none(name: str, value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{name} must be str or None, not {type(value).__name__}")
    return value


def number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number, not {type(value).__name__}")
    return float(value)


def specials(name: str, value: Any) -> list[AddedToken]:
    if not isinstance(value, list | tuple):
        raise TypeError(f"{name} must be a list of str or AddedToken, not {type(value).__name__}")
    made = []
    for token in value:
        if isinstance(token, AddedToken):
            content, single_word, lstrip, rstrip, _, _ = token._tuple()
            normalized = token._normalized if token._normalized is not None else False
            made.append(AddedToken(content, single_word, lstrip, rstrip, normalized, special=True))
        elif isinstance(token, str):
            made.append(AddedToken(token, special=True))
        else:
            raise TypeError("special_tokens must be a List[Union[str, AddedToken]]")
    return made


def alphabet(name: str, value: Any) -> list[str]:
    if isinstance(value, str):
        raise TypeError(f"{name} must be a list of characters, not one str")
    # Of longer strings the first character counts.
    return list(dict.fromkeys(text[0] for text in value if text))


def style(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name} must be str, not {type(value).__name__}")
    return value if value in _FORMATS else "indicatif"


def _same(name: str, value: Any) -> Any:
    return value


class Setting:
    """A setting of a trainer; what is set goes through a check."""

    def __init__(self, check: Callable[[str, Any], Any] = _same) -> None:
        self.check = check

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: type) -> Any:
        return self if instance is None else instance._values[self.name]

    def __set__(self, instance: Any, value: Any) -> None:
        instance._values[self.name] = self.check(self.name, value)


class Trainer:
    """The base of all trainers; each trains one kind of model."""

    # The settings in the order in which they are shown, and the names that are settings for files alone.
    _order: ClassVar[tuple[str, ...]] = ()
    _model: ClassVar[str] = ""
    _values: dict[str, Any]
    _words = 0

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        if cls is Trainer:
            raise TypeError("cannot create 'Trainer' instances")
        return super().__new__(cls)

    def _start(self, values: dict[str, Any], unknown: dict[str, Any]) -> None:
        for name in unknown:
            print(f"Ignored unknown kwargs option {name}", file=sys.stderr)
        self._values = {}
        for name, value in values.items():
            setattr(self, name, value)

    def _spec(self) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for name in self._order:
            value = self._values[name]
            if name == "special_tokens":
                value = [
                    dict(
                        zip(
                            ("content", "single_word", "lstrip", "rstrip", "normalized", "special"),
                            token._tuple(),
                            strict=True,
                        )
                    )
                    for token in value
                ]
            elif name == "progress_format":
                value = _FORMATS[value]
            made[name] = value
        return {**made, "words": {}}

    def __getstate__(self) -> bytes:
        return json.dumps({type(self).__name__: self._spec()}, ensure_ascii=False, separators=(",", ":")).encode()

    def __setstate__(self, state: bytes) -> None:
        spec = json.loads(state)[type(self).__name__]
        spec = spec.get("bpe_trainer", spec)
        self._values = {}
        for name in self._order:
            value = spec[name]
            if name == "special_tokens":
                value = [AddedToken(**token) for token in value]
            elif name == "progress_format":
                value = {shown: style for style, shown in _FORMATS.items()}[value]
            self._values[name] = value

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={_shown(name, value)}" for name, value in self._spec().items())
        return f"{type(self).__name__}({self._inner().format(fields)})"

    def _inner(self) -> str:
        return f"{type(self).__name__}({{}})"

    __str__ = __repr__

    def _train(self, counter: _native.WordCounter, model: Model) -> Any:
        """Return the core of a model with the options of the given one and a vocabulary for the counted words."""
        raise TypeError(f"{type(self).__name__} trains no model")

    def _report(self) -> Report:
        return Report(self._values.get("progress_format", "indicatif"), self._values["show_progress"])

    def _special_texts(self) -> list[str]:
        return [token.content for token in self._values["special_tokens"]]


class Report:
    """Shows how far training has come: a bar, or a line of JSON on standard error."""

    def __init__(self, style: str, shown: bool) -> None:
        self.json = shown and style == "json"
        self.quiet = not shown or style != "indicatif"
        self.stage = ""
        self.bar: Progress | None = None

    def __call__(self, stage: str, done: int, total: int) -> None:
        if self.json:
            print(json.dumps({"stage": stage, "current": done, "total": total}, separators=(",", ":")), file=sys.stderr)
            return
        if self.quiet:
            return
        if self.bar is None or stage != self.stage:
            self.close()
            self.stage, self.bar = stage, Progress(total, stage)
        self.bar.total = total
        self.bar.advance(done - self.bar.done)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()


def _shown(name: str, value: Any) -> str:
    if name == "special_tokens":
        return (
            "["
            + ", ".join(f"AddedToken({', '.join(f'{k}={_shown(k, v)}' for k, v in t.items())})" for t in value)
            + "]"
        )
    if name == "progress_format":
        return str(value)
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, list):
        return "[" + ", ".join(_shown("", item) for item in value) + "]"
    return repr(value)
