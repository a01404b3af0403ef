"""Collections over HTTP."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from sqlalchemy import Connection, Row
from starlette.responses import JSONResponse, Response

from enfold.hubserver.collections import slug_of
from enfold.hubserver.errors import HubServerError
from enfold.hubserver.routes.call import PAGE, Call, Routes
from enfold.hubserver.views import timestamp

__all__ = ["fixed"]

fixed = Routes()

_SHOWN = 4  # items of each collection in a list


def _view(call: Call, connection: Connection, row: Row[Any], limit: int | None = None) -> dict[str, Any]:
    items = call.hub.collections.items(connection, row.id, call.viewer)
    return {
        "_id": row.id,
        "slug": slug_of(row),
        "title": row.title,
        "description": row.text,
        "owner": {"name": row.owner, "fullname": row.owner, "type": "user"},
        "lastUpdated": timestamp(row.modified),
        "position": row.position,
        "private": row.private,
        "theme": row.theme,
        "upvotes": 0,
        "gating": False,
        "items": [
            {
                "_id": item.id,
                "id": item.name,
                "type": item.kind,
                "position": item.position,
                "author": item.name.split("/")[0],
                "private": bool(repo.private),
                "lastModified": timestamp(repo.modified),
                **({"slug": slug_of(repo), "title": repo.title} if item.kind == "collection" else {}),
                **({"note": {"text": item.note, "html": item.note}} if item.note else {}),
            }
            for item, repo in items[:limit]
        ],
    }


def _show(call: Call, slug: str) -> dict[str, Any]:
    with call.hub.database.read() as connection:
        return _view(call, connection, call.hub.collections.find(connection, slug, call.viewer))


@fixed.add("GET", "collections")
def read(call: Call) -> Response:
    """Show a collection, or list them, a hundred to a page with four items each."""
    if call.rest:
        return JSONResponse(_show(call, _slug(call)))
    query = call.request.query_params
    start, limit = min(call.number("p"), 10**9) * PAGE, min(call.number("limit") or PAGE, PAGE)
    with call.hub.database.read() as connection:
        rows = call.hub.collections.page(
            connection,
            call.viewer,
            owners=query.getlist("owner"),
            items=query.getlist("item"),
            sort=query.get("sort") or "lastModified",
            start=start,
            limit=limit + 1,
        )
        shown = [_view(call, connection, row, _SHOWN) for row in rows[:limit]]
    for view in shown:
        del view["position"]  # clients count for themselves
    headers = {}
    if len(rows) > limit and limit == PAGE:
        kept = [(name, value) for name, value in query.multi_items() if name != "p"]
        following = urlencode([*kept, ("p", str(start // PAGE + 1))])
        headers["Link"] = f'<{call.base}/api/collections?{following}>; rel="next"'
    return JSONResponse(shown, headers=headers)


@fixed.add("POST", "collections")
def write(call: Call) -> Response:
    """Make a collection, or put an item into one."""
    body = call.json()
    collections = call.hub.collections
    if not call.rest:
        title, owner, text = body.get("title"), body.get("namespace"), body.get("description") or ""
        if not isinstance(title, str) or not isinstance(owner, str) or not isinstance(text, str):
            raise HubServerError(400, '"title" and "namespace" must be strings')
        slug = collections.create(call.viewer, owner, title, text=text, private=bool(body.get("private")))
        item = body.get("item")
        if item is not None:
            collections.add(call.viewer, slug, *_item(item))
        return JSONResponse(_show(call, slug))
    if call.rest[2:] != ("items",):
        raise HubServerError(404, "items are added at collections/namespace/slug/items")
    note = body.get("note") or ""
    collections.add(call.viewer, _slug(call), *_item(body.get("item")), note=note)
    return JSONResponse(_show(call, _slug(call)))


@fixed.add("PATCH", "collections")
def change(call: Call) -> Response:
    """Change a collection, or an item of one."""
    body = call.json()
    if len(call.rest) == 4 and call.rest[2] == "items":
        note, position = body.get("note"), body.get("position")
        if position is not None and not isinstance(position, int):
            raise HubServerError(400, '"position" is a number')
        call.hub.collections.change_item(call.viewer, _slug(call), call.rest[3], note=note, position=position)
        return JSONResponse({"success": True})
    kinds = {"title": ("title", str), "description": ("text", str), "private": ("private", bool)}
    kinds |= {"theme": ("theme", str), "position": ("position", int)}
    values: dict[str, Any] = {}
    for name, (column, kind) in kinds.items():
        if name in body:
            if not isinstance(body[name], kind):
                raise HubServerError(400, f'"{name}" is not of the right kind')
            values[column] = body[name]
    slug = call.hub.collections.change(call.viewer, _slug(call), values)
    return JSONResponse({"success": True, "data": _show(call, slug)})


@fixed.add("DELETE", "collections")
def remove(call: Call) -> Response:
    """Delete a collection, or take an item out of one."""
    if len(call.rest) == 4 and call.rest[2] == "items":
        call.hub.collections.remove_item(call.viewer, _slug(call), call.rest[3])
    else:
        call.hub.collections.remove(call.viewer, _slug(call))
    return JSONResponse({"success": True})


def _slug(call: Call) -> str:
    if len(call.rest) < 2:
        raise HubServerError(404, "a collection is named namespace/slug")
    return "/".join(call.rest[:2])


def _item(item: Any) -> tuple[str, str]:
    if not isinstance(item, dict) or not isinstance(item.get("id"), str) or not isinstance(item.get("type"), str):
        raise HubServerError(400, '"item" has an "id" and a "type"')
    return item["type"], item["id"]
