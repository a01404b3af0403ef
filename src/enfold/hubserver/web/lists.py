"""Lists of repositories with filters and orders, and the pages of people and organisations."""

from __future__ import annotations

import base64
import json
import time
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import Connection, Row, select
from starlette.responses import Response

from enfold.hubserver import database as db
from enfold.hubserver import search
from enfold.hubserver.errors import HubServerError
from enfold.hubserver.names import KINDS
from enfold.hubserver.routes.call import Call, Routes
from enfold.hubserver.web.layout import address_of, card_of, page, query_with

__all__ = ["owner_page", "top"]

top = Routes()

_PAGE = 60
_ORDERS = {
    "lastModified": "Last changed",
    "downloads": "Most downloads",
    "likes": "Most likes",
    "createdAt": "Newest",
}
#: filters that are offered where something has them; any other tag can be typed
_TASKS = (
    "text-generation text-classification token-classification question-answering fill-mask summarization translation "
    "feature-extraction sentence-similarity zero-shot-classification text-ranking table-question-answering "
    "image-classification object-detection image-segmentation image-to-text text-to-image image-to-image "
    "image-text-to-text depth-estimation zero-shot-image-classification video-classification text-to-video "
    "automatic-speech-recognition audio-classification text-to-speech text-to-audio audio-to-audio any-to-any "
    "visual-question-answering document-question-answering mask-generation reinforcement-learning "
    "tabular-classification tabular-regression time-series-forecasting"
).split()
_OFFERED: dict[str, dict[str, list[str]]] = {
    "models": {
        "Tasks": _TASKS,
        "Libraries": "transformers diffusers peft sentence-transformers safetensors gguf onnx timm keras trl".split(),
        "Licences": [f"license:{name}" for name in "mit apache-2.0 cc-by-4.0 cc-by-sa-4.0 openrail other".split()],
        "Languages": "en de fr es it pt nl pl ru zh ja ko ar hi multilingual".split(),
    },
    "datasets": {
        "Tasks": [f"task_categories:{name}" for name in _TASKS],
        "Sizes": [
            f"size_categories:{name}"
            for name in ("n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M")
        ],
        "Licences": [f"license:{name}" for name in "mit apache-2.0 cc-by-4.0 cc-by-sa-4.0 cc0-1.0 odc-by".split()],
        "Languages": [f"language:{name}" for name in "en de fr es it pt nl pl ru zh ja ko ar hi".split()],
    },
    "spaces": {},
}
_FRESH = 60.0  # seconds for which it is remembered what is offered
_offers: dict[tuple[int, str], tuple[float, dict[str, list[str]]]] = {}


@top.add("GET HEAD", "")
def index(call: Call) -> Response:
    """List the repositories of a kind."""
    words = (call.query("search") or "").strip()
    author = (call.query("author") or "").strip() or None
    typed = [*call.request.query_params.getlist("filter"), *call.request.query_params.getlist("tag")]
    tags = list(dict.fromkeys(tag.strip() for tag in typed if tag.strip()))
    order = call.query("sort") or "lastModified"
    if order not in _ORDERS:
        order = "lastModified"
    with call.hub.database.read() as connection:
        rows = call.hub.repositories.page(
            connection,
            call.kind,
            call.viewer,
            words=words.split(),
            author=author,
            tags=tags,
            sort=order,
            limit=_PAGE + 1,
            after=_cursor(call),
        )
        groups = _offered(call, connection)
    more = None
    if len(rows) > _PAGE:
        last = rows[_PAGE - 1]
        place = json.dumps([getattr(last, search.SORTS[order]), last.id]).encode()
        more = query_with(call, cursor=base64.urlsafe_b64encode(place).decode())

    def address(wanted: list[str], **changes: str | None) -> str:
        said = {"search": words or None, "author": author, "sort": call.query("sort"), **changes}
        pairs = [(name, value) for name, value in said.items() if value] + [("filter", tag) for tag in wanted]
        return "?" + urlencode(pairs) if pairs else call.request.url.path

    return page(
        "list.html",
        heading=call.kind.title(),
        rows=[shown(row) for row in rows[:_PAGE]],
        more=more,
        search=words,
        author=author,
        kind=call.kind,
        first="cursor" not in call.request.query_params,
        chosen=[(_label(tag), address([one for one in tags if one != tag])) for tag in tags],
        without_author=address(tags, author=None),
        groups=[
            (name, [(_label(tag), address([*tags, tag])) for tag in offered if tag not in tags])
            for name, offered in groups.items()
        ],
        orders=[(label, address(tags, sort=name), name == order) for name, label in _ORDERS.items()],
        tags=tags,
        order=order,
    )


def _cursor(call: Call) -> tuple[float, int] | None:
    try:
        value, key = json.loads(base64.urlsafe_b64decode(call.query("cursor") or ""))
        return float(value), int(key)
    except (TypeError, ValueError):
        return None


def _label(tag: str) -> str:
    return tag.partition(":")[2] or tag


def _offered(call: Call, connection: Connection) -> dict[str, list[str]]:
    """Return the filters that something public has."""
    key = (id(call.hub), call.kind)
    made, found = _offers.get(key, (0.0, {}))
    if time.monotonic() - made > _FRESH or not found:
        found = {
            name: [tag for tag in tags if search.is_used(connection, call.kind, tag)]
            for name, tags in _OFFERED[call.kind].items()
        }
        found = {name: tags for name, tags in found.items() if tags}
        _offers[key] = (time.monotonic(), found)
    return found


def shown(row: Row[Any]) -> dict[str, Any]:
    """Return a repository as lists show it."""
    about, facts = card_of(row), json.loads(row.facts)
    task = about.get("pipeline_tag") or facts.get("pipeline_tag")
    return {
        "name": row.name,
        "address": address_of(row),
        "title": str(about.get("title") or "") if row.kind == "spaces" else "",
        "emoji": str(about.get("emoji") or "")[:4] if row.kind == "spaces" else "",
        "task": task or (str(about.get("sdk") or row.sdk or "") if row.kind == "spaces" else None),
        "modified": row.modified,
        "downloads": row.downloads,
        "likes": row.likes,
        "private": row.private,
        "gated": row.gated != "false",
    }


def owner_page(call: Call, error: HubServerError) -> Response:
    """Show a person or an organisation; raise ``error`` when there is neither."""
    account, member = db.account, db.membership
    with call.hub.database.read() as connection:
        row = connection.execute(select(account).where(account.c.key == call.name.lower())).one_or_none()
        if row is None:
            raise error
        groups = []
        for kind in KINDS:
            rows = call.hub.repositories.page(connection, kind, call.viewer, author=row.name, limit=13)
            target = ("/" if kind == "models" else f"/{kind}") + "?" + urlencode({"author": row.name})
            groups.append((kind, [shown(one) for one in rows[:12]], target if len(rows) > 12 else None))
        mine, theirs = (member.c.user_id, member.c.organisation_id)
        if row.organisation:
            mine, theirs = theirs, mine
        others = connection.execute(
            select(account.c.name, account.c.fullname, member.c.role)
            .join(member, theirs == account.c.id)
            .where(mine == row.id)
            .order_by(account.c.key)
            .limit(200)
        ).all()
    return page(
        "owner.html",
        name=row.name,
        fullname=row.fullname if row.fullname != row.name else "",
        organisation=row.organisation,
        since=row.created,
        groups=groups,
        others=others,
        nothing=not any(rows for _, rows, _ in groups),
    )
