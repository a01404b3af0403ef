"""Numbers: a field, and a slider with a field beside it."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from enfold.gradio.components.base import Common, FormComponent
from enfold.gradio.events import Event

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["Number", "Slider"]


def _number(value: Any, precision: int | None) -> float | int | None:
    """A number rounded to ``precision`` places: None leaves it as it is, 0 makes it an integer."""
    if value is None or value == "":
        return None
    if hasattr(value, "item"):  # scalars of numpy and torch
        value = value.item()
    value = float(value) if isinstance(value, str) else value
    if precision is None:
        return value
    return round(value) if precision == 0 else round(float(value), precision)


class Number(FormComponent):
    """A field for a number; the function receives and returns a number, or None while it is empty.

    Args:
        value: the number it begins with, or a function that gives it.
        placeholder: grey text while it is empty.
        precision: decimal places; 0 gives integers, None leaves the number as it is.
        minimum, maximum: what it accepts.
        step: by how much the arrow keys change it.
        common: see :class:`~enfold.gradio.components.base.Common`.

    Example:
        >>> Number(precision=0).preprocess(2.7)
        3
    """

    type_name = "number"
    change = Event("always_last")
    input = Event()
    submit = Event()
    focus = Event()
    blur = Event()

    def __init__(
        self,
        value: float | Callable[[], float] | None = None,
        *,
        placeholder: str | None = None,
        precision: int | None = None,
        minimum: float | None = None,
        maximum: float | None = None,
        step: float = 1,
        **common: Unpack[Common],
    ) -> None:
        self._settle()

    def preprocess(self, payload: Any) -> float | int | None:
        if isinstance(payload, (bool, list, dict)):
            raise self.refuse("a number is expected")
        try:
            number = _number(payload, self.precision)
        except (ValueError, OverflowError):
            raise self.refuse(f"{payload!r} is not a number") from None
        if number is None:
            return None
        if self.minimum is not None and number < self.minimum:
            raise self.refuse(f"{number} is below the minimum of {self.minimum}")
        if self.maximum is not None and number > self.maximum:
            raise self.refuse(f"{number} is above the maximum of {self.maximum}")
        return number

    def postprocess(self, value: Any) -> float | int | None:
        return _number(value, self.precision)

    def api_info(self) -> dict[str, Any]:
        return {"type": "number"} if self.precision != 0 else {"type": "integer"}

    def example_payload(self) -> float | int:
        return _number(3 if self.minimum is None else self.minimum, self.precision) or 0


class Slider(FormComponent):
    """A number chosen on a scale.

    Args:
        minimum, maximum: the ends of the scale.
        value: where it begins (the minimum when None), or a function that gives it.
        step: the distance of two positions; a power of ten that gives about a hundred when None.
        precision: decimal places; None leaves the number as it is.
        randomize: whether it begins somewhere else for every visitor.
        common: see :class:`~enfold.gradio.components.base.Common`.

    Example:
        >>> Slider(0, 1, 0.5).preprocess(0.25)
        0.25
    """

    type_name = "slider"
    change = Event("always_last")
    input = Event()
    release = Event()
    lists_buttons = False
    HIDDEN: ClassVar[frozenset[str]] = FormComponent.HIDDEN | {"randomize"}

    def __init__(
        self,
        minimum: float = 0,
        maximum: float = 100,
        value: float | Callable[[], float] | None = None,
        *,
        step: float | None = None,
        precision: int | None = None,
        randomize: bool = False,
        **common: Unpack[Common],
    ) -> None:
        if maximum < minimum:
            raise ValueError(f"Slider: the maximum ({maximum}) is below the minimum ({minimum})")
        if step is None:
            span = maximum - minimum
            self.step = 10 ** math.floor(math.log10(span) - 2 + 1e-9) if span > 0 else 1
        if randomize:
            self.value = self._somewhere
        self._settle()

    def _somewhere(self) -> float:
        positions = int((self.maximum - self.minimum) / self.step)
        return self.minimum + self.step * random.randint(0, positions)

    def preprocess(self, payload: Any) -> float | int | None:
        if isinstance(payload, (bool, list, dict)):
            raise self.refuse("a number is expected")
        try:
            number = _number(payload, self.precision)
        except (ValueError, OverflowError):
            raise self.refuse(f"{payload!r} is not a number") from None
        if number is not None and not self.minimum <= number <= self.maximum:
            raise self.refuse(f"{number} is not between {self.minimum} and {self.maximum}")
        return number

    def postprocess(self, value: Any) -> float | int | None:
        return self.minimum if value is None else _number(value, self.precision)

    def api_info(self) -> dict[str, Any]:
        return {"type": "number", "description": f"numeric value between {self.minimum} and {self.maximum}"}

    def example_payload(self) -> float | int:
        return self.minimum
