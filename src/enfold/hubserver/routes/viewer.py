"""The dataset viewer's API, below ``/datasets-server``, and the Parquet files of a dataset.

Source: https://huggingface.co/docs/dataset-viewer
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from sqlalchemy import Row
from starlette.responses import JSONResponse, Response

from enfold.hubserver.errors import HubServerError
from enfold.hubserver.files import FileContent, byte_range
from enfold.hubserver.routes.call import Call, Routes
from enfold.hubserver.viewer.datasets import Prepared, Split

__all__ = ["prepared_dataset", "repository", "server"]

repository, server = Routes(), Routes()

_PAGE = 100  # rows of a page
_WAIT = 20.0  # seconds that a program waits for a conversion before it is told to ask again


def prepared_dataset(call: Call, *, wait: float) -> tuple[Row[Any], Prepared | None]:
    """Return the dataset of a request and its conversion, for somebody who may read its files."""
    with call.hub.database.read() as connection:
        row = call.readable(connection)
        head = call.hub.repositories.revision(connection, row.id, "main")
        found = call.hub.datasets.prepared(connection, row, head.tree)
    return row, found or call.hub.datasets.wait(head.tree, wait)


def _dataset(call: Call) -> tuple[Row[Any], Prepared]:
    if not call.name:
        call.kind, call.name = "datasets", call.query("dataset") or ""
        if not call.name:
            raise HubServerError(422, "Parameter 'dataset' is required")
    row, found = prepared_dataset(call, wait=_WAIT)
    if found is None:
        message = "The rows are being made ready. Please retry later."
        raise HubServerError(503, message, code="ResponseNotReady", headers={"Retry-After": "5"})
    return row, found


def _split(call: Call) -> tuple[Row[Any], Split]:
    row, found = _dataset(call)
    return row, found.find(call.query("config"), call.query("split"))


def _number(call: Call, name: str, default: int, most: int) -> int:
    text = call.query(name) or str(default)
    if not (text.isascii() and text.isdigit() and len(text) < 12 and int(text) <= most):
        raise HubServerError(422, f"Parameter '{name}' must be a whole number from 0 to {most}")
    return int(text)


def _named(row: Row[Any], split: Split) -> dict[str, Any]:
    return {"dataset": row.name, "config": split.config, "split": split.split}


def _features(split: Split) -> list[dict[str, Any]]:
    return [{"feature_idx": at, "name": name, "type": kind} for at, (name, kind) in enumerate(split.features.items())]


def _numbered(rows: list[dict[str, Any]], start: int) -> list[dict[str, Any]]:
    return [{"row_idx": start + at, "row": row, "truncated_cells": []} for at, row in enumerate(rows)]


@server.add("GET", "is-valid")
def is_valid(call: Call) -> Response:
    """Say what works for a dataset."""
    try:
        _dataset(call)
    except HubServerError as error:
        if error.status != 422:
            raise
        return JSONResponse(dict.fromkeys(("preview", "viewer", "search", "filter", "statistics"), False))
    return JSONResponse(dict.fromkeys(("preview", "viewer", "search", "filter", "statistics"), True))


@server.add("GET", "splits")
def splits(call: Call) -> Response:
    """List the splits."""
    row, found = _dataset(call)
    named = [_named(row, one) for one in found.splits]
    return JSONResponse({"splits": named, "pending": [], "failed": []})


@server.add("GET", "info")
def info(call: Call) -> Response:
    """Describe each configuration."""
    row, found = _dataset(call)
    said: dict[str, Any] = {}
    for one in found.splits:
        about = said.setdefault(
            one.config,
            {"dataset_name": row.name, "config_name": one.config, "features": one.features, "splits": {}},
        )
        about["splits"][one.split] = {"name": one.split, "num_bytes": one.bytes, "num_examples": one.rows}
    return JSONResponse({"dataset_info": said, "pending": [], "failed": [], "partial": _partial(found.splits)})


def _partial(splits: list[Split]) -> bool:
    return any(one.partial for one in splits)


@server.add("GET", "size")
def size(call: Call) -> Response:
    """Say how large everything is."""
    row, found = _dataset(call)

    def total(parts: list[Split]) -> dict[str, Any]:
        return {
            "num_bytes_parquet_files": sum(one.file.stat().st_size for one in parts),
            "num_bytes_memory": sum(one.bytes for one in parts),
            "num_rows": sum(one.rows for one in parts),
            "estimated_num_rows": None,
        }

    names = list(dict.fromkeys(one.config for one in found.splits))
    parts = {name: [one for one in found.splits if one.config == name] for name in names}
    configs = [
        {"dataset": row.name, "config": name, **total(parts[name]), "num_columns": len(parts[name][0].features)}
        for name in names
    ]
    each = [
        {
            "dataset": row.name,
            "config": one.config,
            "split": one.split,
            **total([one]),
            "num_columns": len(one.features),
        }
        for one in found.splits
    ]
    said = {"dataset": {"dataset": row.name, **total(found.splits)}, "configs": configs, "splits": each}
    return JSONResponse({"size": said, "pending": [], "failed": [], "partial": _partial(found.splits)})


@server.add("GET", "first-rows")
def first_rows(call: Call) -> Response:
    """Show the first hundred rows."""
    row, split = _split(call)
    rows = call.hub.datasets.rows(split, 0, _PAGE)
    said = {**_named(row, split), "features": _features(split), "rows": _numbered(rows, 0)}
    return JSONResponse({**said, "truncated": split.rows > _PAGE})


@server.add("GET", "rows")
def rows(call: Call) -> Response:
    """Show up to a hundred rows from ``offset`` on."""
    _, split = _split(call)
    offset, length = _number(call, "offset", 0, 10**11), _number(call, "length", _PAGE, _PAGE)
    return _rows(split, _numbered(call.hub.datasets.rows(split, offset, length), offset), split.rows)


def _rows(split: Split, numbered: list[dict[str, Any]], total: int) -> Response:
    said = {"features": _features(split), "rows": numbered, "num_rows_total": total}
    return JSONResponse({**said, "num_rows_per_page": _PAGE, "partial": split.partial})


@server.add("GET", "search")
def search(call: Call) -> Response:
    """Show the rows in which a text column has all the words of ``query``."""
    _, split = _split(call)
    columns = [name for name, kind in split.features.items() if kind == {"dtype": "string", "_type": "Value"}]
    words = (call.query("query") or "").split()
    if not words or not columns:
        raise HubServerError(422, "'query' has no words, or the split has no column of text")
    text = " || ' ' || ".join(f"coalesce({_name(column)}, '')" for column in columns)
    condition = " AND ".join(f"contains(lower({text}), {_literal(word.lower())})" for word in words)
    return _where(call, split, condition, "")


@server.add("GET", "filter")
def filter(call: Call) -> Response:
    """Show the rows for which ``where`` holds, by ``orderby``."""
    _, split = _split(call)
    return _where(call, split, call.query("where") or "true", call.query("orderby") or "")


def _where(call: Call, split: Split, condition: str, order: str) -> Response:
    offset, length = _number(call, "offset", 0, 10**11), _number(call, "length", _PAGE, _PAGE)
    numbered = f"(SELECT *, row_number() OVER () - 1 AS __row FROM {_name(split.split)})"
    question = (
        f"SELECT *, count(*) OVER () AS __total FROM {numbered} WHERE ({condition}) "
        f"ORDER BY {order or '__row'} LIMIT {length} OFFSET {offset}"
    )
    _, prepared = _dataset(call)
    said = call.hub.datasets.ask(prepared, split.config, question)
    if "error" in said:
        raise HubServerError(422, said["error"])
    names = [name for name, _ in said["columns"]]
    found = [dict(zip(names, row, strict=True)) for row in said["rows"]]
    total = found[0]["__total"] if found else 0
    shown = [
        {"row_idx": row["__row"], "row": {name: row[name] for name in names[:-2]}, "truncated_cells": []}
        for row in found
    ]
    return _rows(split, shown, total)


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


@server.add("GET", "statistics")
def statistics(call: Call) -> Response:
    """Say what the columns hold."""
    _, split = _split(call)
    return JSONResponse({"num_examples": split.rows, "statistics": split.columns, "partial": split.partial})


@server.add("GET", "parquet")
def parquet(call: Call) -> Response:
    """List the Parquet files."""
    row, found = _dataset(call)
    files = [
        {
            **_named(row, one),
            "url": _address(call, row, one),
            "filename": "0000.parquet",
            "size": one.file.stat().st_size,
        }
        for one in found.splits
    ]
    return JSONResponse({"parquet_files": files, "pending": [], "failed": [], "partial": _partial(found.splits)})


def _address(call: Call, row: Row[Any], split: Split) -> str:
    parts = "/".join(quote(part, safe="") for part in (split.config, split.split))
    return f"{call.base}/api/datasets/{row.name}/parquet/{parts}/0.parquet"


@repository.add("GET HEAD", "parquet")
def parquet_files(call: Call) -> Response:
    """Map configurations and splits to the addresses of their Parquet files, or send one."""
    if call.kind != "datasets" or len(call.rest) > 3:
        raise HubServerError(404, "only datasets have Parquet files: /parquet/{config}/{split}/0.parquet")
    row, found = _dataset(call)
    if len(call.rest) == 3:
        if call.rest[2] not in {"0.parquet", "0000.parquet"}:
            raise HubServerError(404, "a split has one file here: 0.parquet", code="EntryNotFound")
        split = found.find(call.rest[0], call.rest[1])
        length = split.file.stat().st_size
        span = byte_range(call.request.headers.get("range"), length)
        headers = {"Accept-Ranges": "bytes", "ETag": json.dumps(split.file.parent.name + split.file.stem)}
        return FileContent(split.file, length, span=span, headers=headers, media_type="application/vnd.apache.parquet")
    said: dict[str, dict[str, list[str]]] = {}
    for one in found.splits:
        said.setdefault(one.config, {})[one.split] = [_address(call, row, one)]
    answer: Any = said
    for name in call.rest:
        if name not in answer:
            raise HubServerError(404, f"there is no {name!r} here: expected one of {', '.join(answer)}")
        answer = answer[name]
    return JSONResponse(answer)
