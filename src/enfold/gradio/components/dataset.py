"""Dataset: rows of examples to pick from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from enfold.gradio.block import Block
from enfold.gradio.components.base import Component, Placed
from enfold.gradio.events import Event

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["Dataset"]


class Dataset(Component):
    """A table of samples; picking one gives it to the function.

    Args:
        label: what stands above it.
        components: the components the columns belong to.
        samples: rows, each with one value per component.
        headers: column titles; the components' labels when None.
        type: what the function receives: the row's "values", its "index", or both as a "tuple".
        layout: "gallery" (chips) or "table"; chips for one column when None.
        samples_per_page: rows that are shown at a time.
        sample_labels: one text per row, shown instead of it.
        show_label, container: whether the label is shown, and whether there is a frame.
        common: see :class:`~enfold.gradio.components.base.Placed`.
    """

    type_name = "dataset"
    has_files = True
    change = Event("always_last")
    click = Event()
    select = Event()
    HIDDEN: ClassVar[frozenset[str]] = Component.HIDDEN | {"buttons", "info", "interactive"}

    def __init__(
        self,
        *,
        label: str | None = None,
        components: Sequence[Component] | None = None,
        samples: list[list[Any]] | None = None,
        headers: list[str] | None = None,
        type: Literal["values", "index", "tuple"] = "values",
        layout: Literal["gallery", "table"] | None = None,
        samples_per_page: int = 10,
        sample_labels: list[str] | None = None,
        show_label: bool | None = None,
        container: bool = True,
        **common: Unpack[Placed],
    ) -> None:
        self.components = list(components or [])
        self.samples = [list(row) for row in samples or []]
        if headers is None:
            self.headers = [component.__dict__.get("label") or "" for component in self.components]
        self._settle()

    def props(self) -> dict[str, Any]:
        made = super().props()
        made["components"] = [component.type_name for component in self.components]
        made["component_props"] = [component.props() for component in self.components]
        made["samples"] = [
            [component.postprocess(value) for component, value in zip(self.components, row, strict=False)]
            for row in self.samples
        ]
        return made

    @property
    def skip_api(self) -> bool:
        return True

    def preprocess(self, payload: Any) -> Any:
        if not isinstance(payload, int) or isinstance(payload, bool) or not 0 <= payload < len(self.samples):
            raise self.refuse(f"there is no example {payload!r}")
        row = self.samples[payload]
        return {"values": row, "index": payload, "tuple": (payload, row)}[self.type]

    def postprocess(self, value: Any) -> Any:
        return None if isinstance(value, (list, Block)) else value

    COMMON: ClassVar[Mapping[str, Any]] = {k: v for k, v in Component.COMMON.items() if k != "label"}
