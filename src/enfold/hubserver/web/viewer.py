"""The rows of a dataset as a table in pages, what its columns hold, and questions in SQL."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode

from starlette.responses import Response

from enfold.hubserver.errors import HubServerError
from enfold.hubserver.routes.call import Call, Routes
from enfold.hubserver.routes.viewer import prepared_dataset
from enfold.hubserver.viewer.datasets import Prepared, Split
from enfold.hubserver.web.frame import repo_page
from enfold.hubserver.web.layout import address_of, whole_number

__all__ = ["repository"]

repository = Routes()

_PAGE = 50
_CELL = 600  # characters of a cell that a page shows
_QUESTION = 10_000  # characters


@repository.add("GET HEAD", "viewer")
def viewer(call: Call) -> Response:
    """Show a page of rows, or the answer to a question."""
    if call.kind != "datasets":
        raise HubServerError(404, "only datasets have a viewer")
    problem, prepared = "", None
    try:
        row, prepared = prepared_dataset(call, wait=3.0)
    except HubServerError as error:
        if error.status != 422:
            raise
        problem = error.message
        with call.hub.database.read() as connection:
            row = call.readable(connection)
    values: dict[str, Any] = {"problem": problem, "split": None, "question": None, "answer": None}
    if prepared is not None:
        config, name, *_ = [*call.rest, None, None]
        split = prepared.find(config, name)
        values |= _shown(call, prepared, split, f"{address_of(row)}/viewer")
    with call.hub.database.read() as connection:
        response = repo_page(call, connection, row, "viewer.html", tab="viewer", **values)
    if prepared is None and not problem:
        response.headers["Refresh"] = "2"  # until the rows are ready
    return response


def _shown(call: Call, prepared: Prepared, split: Split, base: str) -> dict[str, Any]:
    question = (call.query("sql") or "").strip()[:_QUESTION]
    start = min(whole_number(call, "start"), max(split.rows - 1, 0)) // _PAGE * _PAGE
    values: dict[str, Any] = {"split": split, "question": question, "answer": None, "start": start, "rows": []}
    if question:
        values["answer"] = call.hub.datasets.ask(prepared, split.config, question)
    else:
        rows = call.hub.datasets.rows(split, start, _PAGE)
        values["rows"] = [[_cell(row.get(name)) for name in _names(split)] for row in rows]
    here = f"{base}/{quote(split.config, safe='')}/{quote(split.split, safe='')}"
    last = (split.rows - 1) // _PAGE * _PAGE
    places = (("First", 0), ("Previous", start - _PAGE), ("Next", start + _PAGE), ("Last", last))
    return values | {
        "size_of_page": _PAGE,
        "columns": [_column(name, split) for name in _names(split)],
        "choices": [
            (one, f"{base}/{quote(one.config, safe='')}/{quote(one.split, safe='')}") for one in prepared.splits
        ],
        "configs": len({one.config for one in prepared.splits}),
        "places": [
            (label, f"{here}?{urlencode({'start': at})}" if 0 <= at <= last and at != start else None)
            for label, at in places
        ],
        "here": here,
        "example": f'SELECT * FROM "{split.split}" LIMIT 20',
    }


def _names(split: Split) -> list[str]:
    return [column["column_name"] for column in split.columns]


def _cell(value: Any) -> dict[str, Any]:
    if isinstance(value, dict) and "src" in value:
        return {"src": value["src"], "text": value.get("path") or "picture"}
    text = "" if value is None else value if isinstance(value, str) else repr(value)
    return {"text": text[:_CELL], "cut": len(text) > _CELL, "none": value is None}


def _column(name: str, split: Split) -> dict[str, Any]:
    """Return what stands above a column: its type, and a picture of what it holds."""
    said = next(column for column in split.columns if column["column_name"] == name)
    about, kind = said["column_statistics"], said["column_type"]
    feature = split.features.get(name)
    dtype = feature.get("dtype") or feature.get("_type") if isinstance(feature, dict) else "list"
    found: dict[str, Any] = {"name": name, "dtype": dtype, "kind": kind, "bars": [], "said": []}
    histogram = about.get("histogram")
    if histogram:
        most = max(histogram["hist"]) or 1
        found["bars"] = [
            (at, max(round(count * 30 / most), 1 if count else 0)) for at, count in enumerate(histogram["hist"])
        ]
        what = {"string_text": "letters", "list": "items"}.get(kind, "")
        found["said"].append(f"{_short(about['min'])} to {_short(about['max'])} {what}".strip())
    elif "frequencies" in about:
        counts = sorted(about["frequencies"].items(), key=lambda item: -item[1])
        most = counts[0][1] if counts else 1
        found["bars"] = [(at, max(round(count * 30 / most), 1)) for at, (_, count) in enumerate(counts[:10])]
        found["said"].append(f"{len(counts)} value{'' if len(counts) == 1 else 's'}")
    if about.get("nan_count"):
        found["said"].append(f"{about['nan_proportion']:.1%} empty")
    return found


def _short(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
