"""Choices: yes or no, one of several, some of several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from enfold.gradio.components.base import Common, FormComponent, pairs
from enfold.gradio.events import Event

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["Checkbox", "CheckboxGroup", "Dropdown", "Radio"]

Choice = str | int | float
Choices = Sequence["Choice | tuple[str, Choice]"]
_FIRST = "the first choice"


class Checkbox(FormComponent):
    """Yes or no; the function receives and returns a bool.

    Args:
        value: whether it begins ticked, or a function that tells.
        common: see :class:`~enfold.gradio.components.base.Common`.
    """

    type_name = "checkbox"
    change = Event("always_last")
    input = Event()
    select = Event()

    def __init__(self, value: bool | Callable[[], bool] = False, **common: Unpack[Common]) -> None:
        self._settle()

    def preprocess(self, payload: Any) -> bool | None:
        return None if payload is None else bool(payload)

    def postprocess(self, value: Any) -> bool:
        return bool(value)

    def api_info(self) -> dict[str, Any]:
        return {"type": "boolean"}

    def example_payload(self) -> bool:
        return True


class _Choosing(FormComponent):
    """What the components with choices share."""

    def _values(self) -> list[Any]:
        return [value for _, value in self.choices]

    def _check(self, value: Any) -> Any:
        values = self._values()
        if value not in values:
            raise self.refuse(f"{value!r} is not one of the choices: {', '.join(map(repr, values))}")
        return values.index(value) if self.type == "index" else value

    def _check_type(self, kind: str) -> None:
        if kind not in {"value", "index"}:
            raise ValueError(f"{type(self).__name__} type must be 'value' or 'index', not {kind!r}")

    def _schema(self) -> dict[str, Any]:
        return {"enum": self._values(), "type": "string"}


class Radio(_Choosing):
    """One of several, all of them in sight; the function receives the value chosen, or None.

    Args:
        choices: values, or ``(label, value)`` pairs.
        value: the value it begins with, or a function that gives it; nothing is chosen when None.
        type: "value", or "index" to receive the position instead.
        rtl: whether it runs from right to left.
        common: see :class:`~enfold.gradio.components.base.Common`.

    Example:
        >>> Radio(["cat", "dog"], type="index").preprocess("dog")
        1
    """

    type_name = "radio"
    select = Event()
    change = Event("always_last")
    input = Event()

    def __init__(
        self,
        choices: Choices | None = None,
        *,
        value: Choice | Callable[[], Choice] | None = None,
        type: Literal["value", "index"] = "value",
        rtl: bool = False,
        **common: Unpack[Common],
    ) -> None:
        self._check_type(type)
        self.choices = pairs(choices)
        self._settle()

    def preprocess(self, payload: Any) -> Any:
        return None if payload is None else self._check(payload)

    def api_info(self) -> dict[str, Any]:
        return {**self._schema(), "title": "Radio"}

    def example_payload(self) -> Any:
        return self.choices[0][1] if self.choices else None


class CheckboxGroup(_Choosing):
    """Any of several, all of them in sight; the function receives a list.

    Args:
        choices: values, or ``(label, value)`` pairs.
        value: the values it begins with, or a function that gives them.
        type: "value", or "index" to receive positions instead.
        show_select_all: whether a box above them ticks all.
        common: see :class:`~enfold.gradio.components.base.Common`.
    """

    type_name = "checkboxgroup"
    change = Event("always_last")
    input = Event()
    select = Event()

    def __init__(
        self,
        choices: Choices | None = None,
        *,
        value: Sequence[Choice] | Choice | Callable[[], Any] | None = None,
        type: Literal["value", "index"] = "value",
        show_select_all: bool = False,
        **common: Unpack[Common],
    ) -> None:
        self._check_type(type)
        self.choices = pairs(choices)
        self._settle()

    def preprocess(self, payload: Any) -> list[Any]:
        return [self._check(value) for value in payload or []]

    def postprocess(self, value: Any) -> list[Any]:
        if value is None:
            return []
        return list(value) if isinstance(value, (list, tuple, set)) else [value]

    def api_info(self) -> dict[str, Any]:
        return {"items": self._schema(), "title": "Checkbox Group", "type": "array"}

    def example_payload(self) -> list[Any]:
        return [self.choices[0][1]] if self.choices else []


class Dropdown(_Choosing):
    """One or some of several from a list that opens; the function receives the value, or a list of them.

    Args:
        choices: values, or ``(label, value)`` pairs.
        value: the value it begins with, or a function that gives it; left out, the first choice.
        type: "value", or "index" to receive the position instead.
        multiselect: whether several can be chosen.
        allow_custom_value: whether other values may be typed in.
        max_choices: how many can be chosen.
        num_choices_shown: how many the open list shows at most.
        filterable: whether typing narrows the list.
        common: see :class:`~enfold.gradio.components.base.Common`.

    Example:
        >>> Dropdown(["Hello", "Goodbye"], value="Hello").preprocess("Goodbye")
        'Goodbye'
    """

    type_name = "dropdown"
    change = Event("always_last")
    input = Event()
    select = Event()
    focus = Event()
    blur = Event()
    key_up = Event("always_last")

    def __init__(
        self,
        choices: Choices | None = None,
        *,
        value: Any = _FIRST,
        type: Literal["value", "index"] = "value",
        multiselect: bool | None = None,
        allow_custom_value: bool = False,
        max_choices: int | None = None,
        num_choices_shown: int | None = 100,
        filterable: bool = True,
        **common: Unpack[Common],
    ) -> None:
        self._check_type(type)
        self.choices = pairs(choices)
        if value is _FIRST:
            self.value = None if multiselect or not self.choices else self.choices[0][1]
        self._settle()

    def preprocess(self, payload: Any) -> Any:
        if self.multiselect:
            chosen = list(payload or [])
            if self.max_choices is not None and len(chosen) > self.max_choices:
                raise self.refuse(f"at most {self.max_choices} can be chosen")
            return [self._one(value) for value in chosen]
        if payload is None or isinstance(payload, (list, dict)):
            return None if not payload else self._one(payload)
        return self._one(payload)

    def _one(self, value: Any) -> Any:
        if self.allow_custom_value and value not in self._values():
            return None if self.type == "index" else value
        return self._check(value)

    def postprocess(self, value: Any) -> Any:
        if self.multiselect:
            if value is None:
                return []
            return list(value) if isinstance(value, (list, tuple, set)) else [value]
        return value

    def api_info(self) -> dict[str, Any]:
        one = {"type": "string"} if self.allow_custom_value else {"type": "string", "enum": self._values()}
        return {"type": "array", "items": one} if self.multiselect else one

    def example_payload(self) -> Any:
        first = self.choices[0][1] if self.choices else None
        if self.multiselect:
            return [first] if self.choices else []
        return first
