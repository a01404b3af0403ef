"""Label: what a classifier thinks, with how sure it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from enfold.gradio.components.base import Common, Component
from enfold.gradio.errors import GradioError
from enfold.gradio.events import Event

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["Label"]


def _one_of(*types: str) -> list[dict[str, str]]:
    return [{"type": name} for name in types]


_NAME = {"anyOf": _one_of("string", "integer", "number", "null"), "default": None, "title": "Label"}
_SCHEMA: dict[str, Any] = {
    "$defs": {
        "LabelConfidence": {
            "properties": {
                "label": _NAME,
                "confidence": {"anyOf": _one_of("number", "null"), "default": None, "title": "Confidence"},
            },
            "title": "LabelConfidence",
            "type": "object",
        }
    },
    "properties": {
        "label": _NAME,
        "confidences": {
            "anyOf": [{"items": {"$ref": "#/$defs/LabelConfidence"}, "type": "array"}, {"type": "null"}],
            "default": None,
            "title": "Confidences",
        },
    },
    "title": "LabelData",
    "type": "object",
    "additional_description": None,
}


class Label(Component):
    """A class label; given ``{label: confidence}`` it shows the labels with bars, the surest first.

    Args:
        value: a label, a dict from label to confidence between 0 and 1, or a function that gives one.
        num_top_classes: how many labels are shown; all when None.
        color: the background, any CSS colour.
        show_heading: whether the surest label stands above the bars.
        common: see :class:`~enfold.gradio.components.base.Common`.

    Example:
        >>> Label(num_top_classes=1).postprocess({"cat": 0.2, "dog": 0.8})
        {'label': 'dog', 'confidences': [{'label': 'dog', 'confidence': 0.8}]}
    """

    type_name = "label"
    change = Event("always_last")
    select = Event()
    COMMON: ClassVar[Mapping[str, Any]] = {
        k: v for k, v in Component.COMMON.items() if k not in {"info", "interactive"}
    }

    def __init__(
        self,
        value: dict[str, float] | str | float | Callable[[], Any] | None = None,
        *,
        num_top_classes: int | None = None,
        color: str | None = None,
        show_heading: bool = True,
        **common: Unpack[Common],
    ) -> None:
        self._settle()

    def preprocess(self, payload: Any) -> Any:
        if not payload:
            return None
        if not isinstance(payload, dict):
            raise self.refuse("a label with its confidences is expected")
        if payload.get("confidences") is None:
            return payload.get("label")
        return {entry["label"]: entry["confidence"] for entry in payload["confidences"]}

    def postprocess(self, value: Any) -> dict[str, Any]:
        if value is None or value == {}:
            return {}
        if isinstance(value, Mapping):
            if set(value) == {"label", "confidences"}:  # already in the form that travels
                return dict(value)
            try:
                sure = sorted(
                    ((name, float(confidence)) for name, confidence in value.items()), key=lambda pair: -pair[1]
                )
            except (TypeError, ValueError):
                raise GradioError(
                    f"Label expects a dict from label to confidence, such as {{'cat': 0.8, 'dog': 0.2}}; got {value!r}"
                ) from None
            top = sure[: self.num_top_classes]
            return {
                "label": sure[0][0],
                "confidences": [{"label": name, "confidence": confidence} for name, confidence in top],
            }
        if hasattr(value, "item"):
            value = value.item()
        if isinstance(value, (str, int, float)):
            return {"label": str(value), "confidences": None}
        raise GradioError(
            f"Label expects a string, a number or a dict from label to confidence, not {type(value).__name__}"
        )

    def api_info(self) -> dict[str, Any]:
        return _SCHEMA

    def example_payload(self) -> dict[str, Any]:
        return {
            "label": "Cat",
            "confidences": [{"label": "cat", "confidence": 0.9}, {"label": "dog", "confidence": 0.1}],
        }
