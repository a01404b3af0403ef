"""The component: a block with a value that travels between the page and a function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, is_dataclass
from typing import Any, ClassVar, Literal, TypedDict

from enfold.gradio.block import Block, BlockContext, as_list
from enfold.gradio.errors import Error

__all__ = ["Common", "Component", "FormComponent", "Placed"]


class Placed(TypedDict, total=False):
    """What everything with a place on the page shares; :class:`Common` says what each means."""

    scale: int | None
    min_width: int | None
    visible: bool | Literal["hidden"]
    elem_id: str | None
    elem_classes: list[str] | str | None
    render: bool
    key: int | str | tuple[int | str, ...] | None
    preserved_by_key: list[str] | str | None


class Common(Placed, total=False):
    """What components share.

    ``label``: the name shown above it, and its name for clients. ``info``: a line of explanation. ``show_label``:
    whether the label is shown (readers of the screen hear it anyway). ``container``: whether it has a frame.
    ``scale``, ``min_width``: its share of a row, and the pixels below which the row wraps. ``interactive``: whether it
    can be edited; when None, what is an input, or no output, can. ``visible``: False leaves it out, "hidden" keeps it
    in the page unseen. ``elem_id``, ``elem_classes``: for style sheets. ``render``: False to place it later.
    ``key``, ``preserved_by_key``: identity across re-rendering. ``buttons``: such as ``["copy"]``. ``every``,
    ``inputs``: when ``value`` is a function, the seconds (or a Timer) after which it runs again, and the components
    whose values it takes and whose changes run it.
    """

    label: str | None
    info: str | None
    show_label: bool | None
    container: bool
    interactive: bool | None
    buttons: list[Any] | None
    every: Any
    inputs: Any


class Component(Block):
    """A block with a value.

    A subclass says how a payload becomes the argument of a function (``preprocess``), how a result becomes a payload
    (``postprocess``), and what the payload looks like as JSON Schema (``api_info``).
    """

    in_form: ClassVar[bool] = False
    lists_buttons: ClassVar[bool] = True  # whether the wire carries an empty list when there are none
    BUTTONS: ClassVar[tuple[str, ...]] = ()  # those shown when the author names none
    has_files: ClassVar[bool] = False  # whether payloads may hold files, whose addresses depend on the visitor
    takes_pieces: ClassVar[bool] = False  # whether a generator's values can be pieces of one stream
    EXTRA: ClassVar[Mapping[str, Any]] = {}  # properties that the wire carries beside the constructor's
    COMMON: ClassVar[Mapping[str, Any]] = {
        "label": None,
        "info": None,
        "show_label": None,
        "container": True,
        "scale": None,
        "min_width": 160,
        "interactive": None,
        "visible": True,
        "elem_id": None,
        "elem_classes": None,
        "render": True,
        "key": None,
        "preserved_by_key": "value",
        "buttons": None,
        "every": None,
        "inputs": None,
    }

    def _settle(self) -> None:
        if self.__dict__.get("show_label", False) is None:
            self.show_label = True
        if "buttons" in self.__dict__ and (self.lists_buttons or self.BUTTONS):
            given = self.__dict__["buttons"]
            self.buttons = list(self.BUTTONS if given is None else given)
        value = self.__dict__.get("value")
        # A function as value runs for every visitor; what it returns now is what the first paint shows.
        self.load_value: Callable[[], Any] | None = value if callable(value) else None
        if self.load_value is not None:
            value = self.load_value(*(each.__dict__.get("value") for each in as_list(self.__dict__.get("inputs"))))
        self.value = self.postprocess(value)
        super()._settle()

    def props(self) -> dict[str, Any]:
        made = {**super().props(), "_selectable": False, **self.EXTRA}
        return {name: asdict(value) if is_dataclass(value) else value for name, value in made.items()}  # type: ignore[arg-type]

    @property
    def skip_api(self) -> bool:
        return False

    def preprocess(self, payload: Any) -> Any:
        """Turn what the page or a client sent into the function's argument."""
        return payload

    def postprocess(self, value: Any) -> Any:
        """Turn what the function returned into what travels."""
        return value

    def api_info(self) -> dict[str, Any]:
        """The JSON Schema of the payload."""
        return {"type": "string"}

    def example_payload(self) -> Any:
        """A payload to show in documentation."""
        return None

    def example_value(self) -> Any:
        """A value of the kind :meth:`postprocess` takes, to show in documentation."""
        return self.example_payload()

    def config(self) -> dict[str, Any]:
        entry = super().config()
        if not self.skip_api:
            info = self.api_info()
            entry |= {"api_info": info, "api_info_as_input": info, "api_info_as_output": info}
            entry["example_inputs"] = self.example_payload()
        return entry

    def changed(self, properties: Mapping[str, Any]) -> Component:
        """Return this component with other properties, for one visitor: the shared one stays as it is."""
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        for name, value in properties.items():
            if name in self._names:
                twin.__dict__[name] = value
        if "choices" in properties:
            twin.__dict__["choices"] = pairs(properties["choices"])
        return twin

    def refuse(self, problem: str) -> Error:
        """The error for a payload that this component does not accept."""
        name = self.__dict__.get("label")
        return Error(f"{name}: {problem}" if name else problem[:1].upper() + problem[1:], print_exception=False)


class FormComponent(Component):
    """A component that shares its frame with adjacent ones of its kind."""

    in_form = True


def pairs(choices: Any) -> list[tuple[Any, Any]]:
    """Choices as ``(label, value)`` pairs, from values or pairs."""
    return [
        (choice[0], choice[1]) if isinstance(choice, (tuple, list)) else (str(choice), choice)
        for choice in choices or []
    ]


def common(*without: str, **defaults: Any) -> dict[str, Any]:
    """The shared arguments without some, and with other defaults: for a component's ``COMMON``."""
    return {name: value for name, value in Component.COMMON.items() if name not in without} | defaults


def in_context(block: Block, context: BlockContext) -> bool:
    """Whether a block lies anywhere inside another."""
    above = block.parent
    while above is not None:
        if above is context:
            return True
        above = above.parent
    return False
