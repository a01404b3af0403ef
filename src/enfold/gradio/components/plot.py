"""Plots: figures of other libraries, and charts that the page draws itself."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from enfold.gradio.components.base import Common, Component, common
from enfold.gradio.components.schemas import ANY_JSON, defined, record, text
from enfold.gradio.events import Event

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["BarPlot", "LinePlot", "Plot", "ScatterPlot"]


class Plot(Component):
    """A figure of matplotlib, plotly, altair or bokeh, drawn with the library that is installed here.

    Args:
        value: a figure to begin with, or a function that gives one.
        format: the format that matplotlib's figures are sent in.
        common: see :class:`~enfold.gradio.components.base.Common`.
    """

    type_name = "plot"
    COMMON: ClassVar[Mapping[str, Any]] = common("info", "interactive")
    change = Event("always_last")

    def __init__(self, value: Any = None, *, format: str = "webp", **common: Unpack[Common]) -> None:
        self._settle()

    def postprocess(self, value: Any) -> Any:
        if value is None or isinstance(value, dict):
            return value
        module = value.__name__ if isinstance(value, ModuleType) else type(value).__module__
        library = module.split(".")[0]
        if library == "matplotlib":
            buffer = io.BytesIO()
            value.savefig(buffer, format=self.format, bbox_inches="tight")
            if not isinstance(value, ModuleType):
                import importlib

                importlib.import_module("matplotlib.pyplot").close(value)
            drawn = f"data:image/{self.format};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
        elif library == "bokeh":
            import importlib

            drawn = json.dumps(importlib.import_module("bokeh.embed").json_item(value))
        elif library in {"plotly", "altair"}:
            drawn = value.to_json()
        else:
            raise ValueError(f"Plot shows figures of matplotlib, plotly, altair and bokeh, not a {module} object")
        entry = {"type": library, "plot": drawn}
        if library == "altair":
            import importlib.util

            if importlib.util.find_spec("vl_convert") is not None:
                entry["svg"] = importlib.import_module("vl_convert").vegalite_to_svg(drawn)
        return entry

    def api_info(self) -> dict[str, Any]:
        kinds = {"enum": ["altair", "bokeh", "plotly", "matplotlib"], "title": "Type", "type": "string"}
        return defined(record("PlotData", {"type": kinds, "plot": text("Plot")}, ("type", "plot")))


class _Chart(Component):
    """What the page's own charts share."""

    type_name = "nativeplot"
    mark: ClassVar[str]
    COMMON: ClassVar[Mapping[str, Any]] = common("info", "interactive")
    HIDDEN: ClassVar[frozenset[str]] = Component.HIDDEN
    change = Event("always_last")
    select = Event()
    double_click = Event()

    def __init__(
        self,
        value: Any = None,
        x: str | None = None,
        y: str | None = None,
        *,
        color: str | None = None,
        title: str | None = None,
        x_title: str | None = None,
        y_title: str | None = None,
        color_title: str | None = None,
        x_bin: str | float | None = None,
        y_aggregate: Literal["sum", "mean", "median", "min", "max", "count"] | None = None,
        color_map: dict[str, str] | None = None,
        colors_in_legend: list[str] | None = None,
        x_lim: Sequence[float | None] | None = None,
        y_lim: Sequence[float | None] | None = None,
        x_label_angle: float = 0,
        y_label_angle: float = 0,
        x_axis_format: str | None = None,
        y_axis_format: str | None = None,
        x_axis_labels_visible: bool | Literal["hidden"] = True,
        caption: str | None = None,
        sort: Literal["x", "y", "-x", "-y"] | list[str] | None = None,
        tooltip: Literal["axis", "none", "all"] | list[str] = "axis",
        height: int | None = None,
        **common: Unpack[Common],
    ) -> None:
        self._settle()

    def props(self) -> dict[str, Any]:
        return {**super().props(), "name": type(self).__name__.lower()}

    def _settle(self) -> None:
        if self.__dict__.get("show_label") is None:
            self.show_label = self.__dict__.get("label") is not None
        for name in ("x_lim", "y_lim"):
            if self.__dict__.get(name):
                setattr(self, name, list(self.__dict__[name]))
        super()._settle()

    def postprocess(self, value: Any) -> Any:
        if value is None or isinstance(value, dict):
            return value
        frame = value.to_pandas() if hasattr(value, "to_pandas") else value
        split = json.loads(frame.to_json(orient="split", date_unit="ms"))
        kinds = {str(name): _kind(frame[name].dtype) for name in frame.columns}
        return {"columns": split["columns"], "data": split["data"], "datatypes": kinds, "mark": self.mark}

    def api_info(self) -> dict[str, Any]:
        return ANY_JSON


def _kind(dtype: Any) -> str:
    name = str(dtype).lower()
    if name.startswith("datetime"):
        return "temporal"
    if any(part in name for part in ("int", "float", "decimal", "bool")):
        return "quantitative"
    if name in {"object", "str", "category"} or name.startswith("string"):
        return "nominal"
    raise ValueError(f"a chart cannot show a column of type {dtype}")


class LinePlot(_Chart):
    """Lines through points, ordered by x.

    Args:
        value: a pandas or polars frame to begin with, or a function that gives one.
        x, y, color: names of the columns; ``color`` makes a series of each of its values.
        title, x_title, y_title, color_title, caption: texts.
        x_bin: groups x: a width, or a span of time such as "1h", "5m" or "1d".
        y_aggregate: what becomes of several y at one x.
        color_map, colors_in_legend: colours by value, and the values the legend names.
        x_lim, y_lim: ends of the axes; None on a side leaves it to the data.
        x_label_angle, y_label_angle: by how many degrees labels are turned.
        x_axis_format, y_axis_format: how numbers are written, such as ".2f", "%" or "$,.0f".
        x_axis_labels_visible: whether the axis has labels.
        sort: the order of x: by "x" or "y" (from the largest with a minus), or a list of values.
        tooltip: what pointing shows: the "axis" columns, "all", "none", or a list of columns.
        height: in pixels.
        common: see :class:`~enfold.gradio.components.base.Common`.
    """

    mark = "line"


class BarPlot(_Chart):
    """Bars, stacked by colour.

    Args:
        value: as every other argument, the same as for :class:`LinePlot`.
    """

    mark = "bar"


class ScatterPlot(_Chart):
    """Dots.

    Args:
        value: as every other argument, the same as for :class:`LinePlot`.
    """

    mark = "point"
