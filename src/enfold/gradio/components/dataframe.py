"""Dataframe: a table to read and to edit."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from enfold.gradio.components.base import Common, Component, common
from enfold.gradio.components.image import check_kind
from enfold.gradio.components.schemas import array, defined, record
from enfold.gradio.events import Event

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["Dataframe"]

_KINDS = {
    **dict.fromkeys(("str", "object", "string", "utf", "category", "categorical"), "str"),
    **dict.fromkeys(("int", "uint", "float"), "number"),
    **dict.fromkeys(("bool", "boolean"), "bool"),
    **dict.fromkeys(("datetime", "date", "timedelta", "timestamp"), "date"),
}


class Dataframe(Component):
    """A table; the function receives and returns a pandas or polars frame, an array or a list of rows.

    Args:
        value: a frame, an array, rows, ``{"headers", "data", "metadata"}``, a pandas ``Styler`` or the path of a CSV
            file to begin with, or a function that gives one.
        headers: names of the columns, where the value has none.
        row_count, column_count: rows and columns to begin with; a number, or ``(number, "fixed" or "dynamic")``.
        row_limits, column_limits: ``(fewest, most)`` that editing leaves; None on a side for no limit.
        datatype: "str", "number", "bool", "date", "markdown", "html" or "image", for all columns or one per column;
            "auto" asks the value.
        type: what the function receives: "pandas", "polars", "numpy" or "array" (a list of rows).
        latex_delimiters: what encloses formulas in columns of Markdown.
        max_height: pixels after which it scrolls.
        wrap, line_breaks: whether long texts are broken, and line breaks are kept.
        column_widths: per column, in pixels or any CSS length.
        show_row_numbers: whether rows are numbered.
        max_chars: characters after which a cell's text is cut.
        show_search: "search" or "filter" puts a field above that narrows the rows; "none".
        pinned_columns: how many columns stay when it is scrolled sideways.
        static_columns: numbers or names of columns that cannot be edited.
        common: see :class:`~enfold.gradio.components.base.Common`; ``buttons`` are of "copy" and "fullscreen".

    Example:
        >>> Dataframe(headers=["name", "age"], type="array").postprocess([["Ada", 36]])["data"]
        [['Ada', 36]]
    """

    type_name = "dataframe"
    lists_buttons = False
    COMMON: ClassVar[Mapping[str, Any]] = common("info", "container")
    change = Event("always_last")
    input = Event()
    select = Event()
    edit = Event()

    def __init__(
        self,
        value: Any = None,
        *,
        headers: list[str] | None = None,
        row_count: int | tuple[int, str] | None = None,
        row_limits: tuple[int | None, int | None] | None = None,
        col_count: int | tuple[int, str] | None = None,
        column_count: int | tuple[int, str] | None = None,
        column_limits: tuple[int | None, int | None] | None = None,
        datatype: str | Sequence[str] = "str",
        type: Literal["pandas", "numpy", "array", "polars"] = "pandas",
        latex_delimiters: list[dict[str, Any]] | None = None,
        max_height: int | str = 500,
        wrap: bool = False,
        line_breaks: bool = True,
        column_widths: Sequence[int | str] | None = None,
        show_row_numbers: bool = False,
        max_chars: int | None = None,
        show_search: Literal["none", "search", "filter"] = "none",
        pinned_columns: int | None = None,
        static_columns: list[int | str] | None = None,
        **common: Unpack[Common],
    ) -> None:
        check_kind(self, ("pandas", "numpy", "array", "polars"))
        # A variant may have defaults of its own: see templates.py.
        self.row_count = _count(self.__dict__["row_count"])
        given = self.__dict__["column_count"]
        columns = given if given is not None else col_count
        self.column_count = _count(columns, len(headers) if headers else 3)
        if headers is not None and columns is not None and len(headers) != self.column_count[0]:
            raise ValueError(f"column_count says {self.column_count[0]} columns, headers names {len(headers)}")
        self.col_count = self.column_count
        self.headers = list(headers or [str(number + 1) for number in range(self.column_count[0])])
        if datatype == "auto":
            self.datatype = kinds_of(value)
        elif not isinstance(datatype, str):
            self.datatype = list(datatype)
        self.latex_delimiters = latex_delimiters or [{"left": "$$", "right": "$$", "display": True}]
        self.column_widths = [f"{w}px" if isinstance(w, int) else w for w in column_widths or []]
        fixed = static_columns or []
        self.static_columns = [self.headers.index(each) if isinstance(each, str) else each for each in fixed]
        self._settle()

    def preprocess(self, payload: Any) -> Any:
        if not isinstance(payload, dict) or not isinstance(payload.get("data"), list):
            raise self.refuse("a table is expected: {'headers': [...], 'data': [[...], ...]}")
        rows, headers = payload["data"], payload.get("headers")
        if self.type == "array":
            return rows
        if self.type == "numpy":
            import numpy as np

            return np.array(rows)
        filled = [] if rows == [[]] else rows
        if headers is not None and any(len(row) != len(headers) for row in filled):
            raise self.refuse("a row has not as many cells as there are headers")
        library = _library(self.type)
        if self.type == "polars":
            return library.DataFrame(filled, schema=headers, orient="row")
        return library.DataFrame(filled, columns=headers)

    def postprocess(self, value: Any) -> Any:
        headers, rows, metadata = self._table(value)
        if not rows or not len(rows[0]):
            return {"headers": headers, "data": [], "metadata": None}
        width = len(rows[0])
        headers = [*headers[:width], *(str(number + 1) for number in range(len(headers), width))]
        return {"headers": headers, "data": rows, "metadata": metadata}

    def _table(self, value: Any) -> tuple[list[Any], list[list[Any]], Any]:
        if value is None:
            return self.headers, [], None
        if isinstance(value, (str, Path)):
            value = _library("pandas").read_csv(_readable(value))
        if isinstance(value, dict):
            return value.get("headers") or self.headers, value.get("data", []), value.get("metadata")
        if hasattr(value, "to_dict") and hasattr(value, "iloc"):  # a frame of pandas
            return list(value.columns), value.to_dict(orient="split")["data"], None
        if hasattr(value, "data") and hasattr(value, "_compute"):  # its Styler
            return _styled(value)
        if hasattr(value, "iter_rows") and hasattr(value, "columns"):  # a frame of polars
            return list(value.columns), [list(row) for row in value.iter_rows()], None
        if hasattr(value, "tolist"):
            value = value.tolist()
        if not isinstance(value, (list, tuple)):
            raise ValueError(f"a table is a frame, an array, a list of rows or a dict, not a {type(value).__name__}")
        rows = [list(row) if isinstance(row, (list, tuple)) else [row] for row in value]
        return self.headers, rows, None

    def api_info(self) -> dict[str, Any]:
        cells = {"items": {}, "type": "array"}
        extra = {"anyOf": [cells, {"type": "null"}]}
        metadata = {
            "anyOf": [{"additionalProperties": extra, "type": "object"}, {"type": "null"}],
            "default": None,
            "title": "Metadata",
        }
        properties = {"headers": array("Headers", {}), "data": array("Data", cells), "metadata": metadata}
        return defined(record("DataframeData", properties, ("headers", "data")))

    def example_payload(self) -> Any:
        return {"headers": ["a", "b"], "data": [["foo", "bar"]]}


def _count(given: Any, default: int = 3) -> tuple[int, str]:
    if given is None:
        return default, "dynamic"
    return (int(given), "dynamic") if isinstance(given, (int, float)) else tuple(given)


def _library(name: str) -> Any:
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError:
        from enfold.errors import EnfoldError

        raise EnfoldError(f"a Dataframe of type {name!r} needs {name}: pip install {name}") from None


def _readable(path: str | Path) -> str | Path:
    from enfold.gradio.files import current_rules, is_url

    rules = current_rules.get()
    if rules is not None:
        if is_url(str(path)):
            raise ValueError("a table is read from a file here, not from an address")
        rules.check_result(path)
    return path


def _styled(styler: Any) -> tuple[list[Any], list[list[Any]], dict[str, Any]]:
    """A Styler's table, with what each cell shows and how it looks."""
    shown = styler._compute()._translate(None, None)
    hidden = {int(column) for column in getattr(styler, "hidden_columns", [])}
    looks = {
        selector: "; ".join(f"{name}: {value}" for name, value in style.get("props", []))
        for style in shown.get("cellstyle", [])
        for selector in style.get("selectors", [])
    }
    frame = styler.data
    kept = [column for column in range(len(frame.columns)) if column not in hidden]
    texts, styles = [], []
    for row in shown["body"]:
        cells = [cell for cell in row if cell["type"] == "td"]
        texts.append([cells[column]["display_value"] for column in kept])
        styles.append([looks.get(cells[column]["id"], "") for column in kept])
    rows = frame.iloc[:, kept].to_dict(orient="split")["data"]
    return list(frame.columns), rows, {"display_value": texts, "styling": styles}


def kinds_of(value: Any) -> str | list[str]:
    """The ``datatype`` of each column of a value; "str" where it does not tell."""
    frame = value.data if hasattr(value, "_compute") else value
    if hasattr(frame, "dtypes") and hasattr(frame, "columns"):
        return [_kind(str(dtype)) for dtype in frame.dtypes]
    if hasattr(value, "ndim") and hasattr(value, "dtype"):
        return [_kind(str(value.dtype))] * value.shape[1] if value.ndim > 1 and value.size else "str"
    if isinstance(value, list) and value and isinstance(value[0], (list, tuple)):
        return [_kind(type(cell).__name__) for cell in value[0]]
    return "str"


def _kind(name: str) -> str:
    bare = re.sub(r"\s*\d+\s*$", "", re.sub(r"\[.*?\]|\(.*?\)", "", name)).lower()
    return _KINDS.get(bare, "str")
