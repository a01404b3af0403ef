"""How repositories, files and commits look in the API's JSON."""

from __future__ import annotations

import datetime
import json
import time
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Row

from enfold.hubserver import trending
from enfold.hubserver.gitobjects import Entry, pointer

__all__ = ["commit_view", "entry_view", "repo_view", "sibling_view", "timestamp"]


def timestamp(seconds: float) -> str:
    """Return seconds since 1970 as the API writes times: UTC, milliseconds."""
    moment = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def repo_view(row: Row[Any], tags: list[str], sha: str | None) -> dict[str, Any]:
    """Return the members that every description of a repository has."""
    card, facts = json.loads(row.card), json.loads(row.facts)
    view = {
        "_id": f"{row.id:024x}",
        "id": row.name,
        "author": row.name.split("/")[0],
        "sha": sha,
        "lastModified": timestamp(row.modified),
        "createdAt": timestamp(row.created),
        "private": row.private,
        "gated": False if row.gated == "false" else row.gated,
        "disabled": False,
        "downloads": row.downloads,
        "likes": row.likes,
        "trendingScore": trending.score(row.trend, at=time.time()),
        "tags": tags,
        "cardData": card,
    }
    if row.kind == "models":
        view["modelId"] = row.name
        view["library_name"] = card.get("library_name") or facts.get("library_name")
        view["pipeline_tag"] = card.get("pipeline_tag") or facts.get("pipeline_tag")
        view["config"] = facts.get("config", {})
        view["safetensors"] = facts.get("safetensors")
        view["model-index"] = card.get("model-index")
        view = {name: value for name, value in view.items() if value is not None}
    elif row.kind == "spaces":
        view["sdk"] = card.get("sdk") or row.sdk
    return view


def entry_view(path: str, entry: Entry, blob: Row[Any] | None, xet: Mapping[str, str]) -> dict[str, Any]:
    """Return a file or a folder as listings show it; ``xet`` has the Xet hashes of contents by their SHA-256."""
    if entry.folder:
        return {"type": "directory", "oid": entry.oid, "size": 0, "path": path}
    assert blob is not None
    view: dict[str, Any] = {"type": "file", "oid": entry.oid, "size": blob.size, "path": path}
    if blob.lfs:
        view["lfs"] = {
            "oid": blob.sha256,
            "size": blob.size,
            "pointerSize": len(pointer(blob.sha256, blob.size)),
        }
        if blob.sha256 in xet:
            view["xetHash"] = xet[blob.sha256]
    return view


def sibling_view(path: str, blob: Row[Any]) -> dict[str, Any]:
    """Return a file as a repository's description shows it when sizes are asked for."""
    view: dict[str, Any] = {"rfilename": path, "size": blob.size, "blobId": blob.oid}
    if blob.lfs:
        view["lfs"] = {"sha256": blob.sha256, "size": blob.size, "pointerSize": len(pointer(blob.sha256, blob.size))}
    return view


def commit_view(row: Row[Any] | Mapping[str, Any], *, formatted: bool = False) -> dict[str, Any]:
    """Return a commit as histories show it."""
    values: Any = row if isinstance(row, Mapping) else row._mapping
    view = {
        "id": values["oid"],
        "authors": [{"user": values["author"]}],
        "date": timestamp(values["created"]),
        "title": values["title"],
        "message": values["description"],
        "parents": [values["parent"]] if values["parent"] else [],
    }
    if formatted:
        import html

        view["formatted"] = {"title": html.escape(values["title"]), "message": html.escape(values["description"])}
    return view
