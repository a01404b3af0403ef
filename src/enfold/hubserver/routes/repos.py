"""Repositories: made, described, listed, changed, deleted."""

from __future__ import annotations

import base64
import json
import re
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import Connection, Row
from starlette.responses import JSONResponse, Response

from enfold.hubserver import trees
from enfold.hubserver.errors import HubServerError, repo_not_found
from enfold.hubserver.names import KINDS
from enfold.hubserver.routes.call import Call, Routes
from enfold.hubserver.search import SORTS
from enfold.hubserver.spaces.values import check_value
from enfold.hubserver.views import repo_view, sibling_view

__all__ = ["fixed", "lists", "repository", "visibility_of"]

fixed, lists, repository = Routes(), Routes(), Routes()

_SDKS = ("gradio", "streamlit", "docker", "static")


def _kind(value: Any) -> str:
    kind = f"{value or 'model'}s"
    if kind not in KINDS:
        raise HubServerError(400, f"unknown repository type {value!r}: expected one of {', '.join(KINDS.values())}")
    return kind


def _id_of(call: Call, body: dict[str, Any]) -> str:
    """Return the id that a body names as ``name`` and ``organization``; without the latter it is the caller's own."""
    name, namespace = body.get("name"), body.get("organization")
    if not isinstance(name, str) or not name:
        raise HubServerError(400, '"name" must be a string: the repository\'s name')
    if "/" in name and not namespace:
        namespace, _, name = name.partition("/")
    if namespace is None:
        if call.viewer is None:
            raise HubServerError(401, "Invalid username or password.")
        namespace = call.viewer.name
    return f"{namespace}/{name}"


def visibility_of(body: dict[str, Any]) -> bool | None:
    """Return whether a body says "private"; None when it says nothing of it."""
    visibility = body.get("visibility")
    if visibility is not None:
        if visibility not in {"public", "private"}:
            raise HubServerError(400, f'"visibility" is "public" or "private", not {visibility!r}')
        return bool(visibility == "private")
    private = body.get("private")
    return None if private is None else bool(private)


@fixed.add("POST", "repos/create")
def create(call: Call) -> Response:
    """Make a repository with its first commit."""
    body = call.json()
    kind = _kind(body.get("type"))
    call.kind = kind
    sdk = body.get("sdk")
    if kind == "spaces" and sdk not in _SDKS:
        raise HubServerError(400, f'"sdk" of a Space is one of {", ".join(_SDKS)}, not {sdk!r}')
    name = _id_of(call, body)
    values = [(secret, *_value(item)) for secret, item in _space_values(body)] if kind == "spaces" else []
    try:
        row = call.hub.commits.create_repository(kind, name, call.viewer, private=bool(visibility_of(body)), sdk=sdk)
    except HubServerError as error:
        if error.status == 409:
            error.body["url"] = call.repo_url(name)
        raise
    for secret, key, value, description in values:
        call.hub.space_values.set(row.name, call.viewer, key, value, secret=secret, description=description)
    return JSONResponse({"url": call.repo_url(row.name), "name": row.name, "id": row.name, "type": KINDS[kind]})


def _space_values(body: dict[str, Any]) -> list[tuple[bool, Any]]:
    """Return what a new Space's program is to find in its environment, and whether each is a secret."""
    found = [body.get("variables") or [], body.get("secrets") or []]
    if not all(isinstance(items, list) for items in found):
        raise HubServerError(400, '"variables" and "secrets" are lists')
    return [(bool(secret), item) for secret, items in enumerate(found) for item in items]


def _value(item: Any) -> tuple[str, str, str | None]:
    try:
        key, value, description = item["key"], item["value"], item.get("description")
    except (TypeError, KeyError, AttributeError):
        key = value = description = None
    if not (isinstance(key, str) and isinstance(value, str) and isinstance(description, (str, type(None)))):
        raise HubServerError(400, 'each of "variables" and "secrets" is {"key": …, "value": …, "description": …}')
    check_value(key, value)
    return key, value, description


@fixed.add("DELETE", "repos/delete")
def remove(call: Call) -> Response:
    """Delete a repository."""
    body = call.json()
    if call.viewer is None:
        raise repo_not_found(True)
    call.hub.repositories.delete(_kind(body.get("type")), _id_of(call, body), call.viewer)
    return JSONResponse({})


@fixed.add("POST", "repos/move")
def move(call: Call) -> Response:
    """Rename a repository."""
    body = call.json()
    source, target = body.get("fromRepo"), body.get("toRepo")
    if not isinstance(source, str) or not isinstance(target, str):
        raise HubServerError(400, '"fromRepo" and "toRepo" must be repository ids')
    call.hub.repositories.move(_kind(body.get("type")), source, target, call.viewer)
    return JSONResponse({})


@repository.add("PUT", "settings")
def settings(call: Call) -> Response:
    """Change visibility and gating."""
    body = call.json()
    values: dict[str, Any] = {}
    private = visibility_of(body)
    if private is not None:
        values["private"] = private
    if "gated" in body:
        gated = {False: "false", None: "false"}.get(body["gated"], body["gated"])
        if gated not in {"auto", "manual", "false"}:
            raise HubServerError(400, f'"gated" is "auto", "manual" or false, not {gated!r}')
        values["gated"] = gated
    call.hub.repositories.change_settings(call.kind, call.name, call.viewer, values)
    return JSONResponse({"private": values.get("private"), "gated": values.get("gated")})


@repository.add("GET", "auth-check")
def auth_check(call: Call) -> Response:
    """Say whether the caller may read (or, below ``/write``, change) the repository."""
    with call.hub.database.read() as connection:
        if call.rest == ("write",):
            call.repo(connection, write=True)
        else:
            call.readable(connection)
    return JSONResponse({})


@repository.add("GET HEAD", "")
def info(call: Call) -> Response:
    """Describe the main branch of a repository."""
    return _describe(call, "main")


@repository.add("GET HEAD", "revision")
def info_at(call: Call) -> Response:
    """Describe a repository at a revision."""
    return _describe(call, "/".join(call.rest) or "main")


_EXPAND = frozenset(
    "author baseModels cardData citation config createdAt description disabled downloads downloadsAllTime evalResults "
    "gated gguf inference inferenceProviderMapping lastModified library_name likes mask_token model-index "
    "paperswithcode_id pipeline_tag private resourceGroup safetensors sdk sha siblings spaces tags transformersInfo "
    "trendingScore usedStorage widgetData xetEnabled mainSize models datasets subdomain runtime".split()
)


def _expand(call: Call) -> list[str]:
    wanted = [*call.request.query_params.getlist("expand"), *call.request.query_params.getlist("expand[]")]
    unknown = [name for name in wanted if name not in _EXPAND]
    if unknown:
        raise HubServerError(400, f"Invalid expand {unknown[0]!r}: expected one of {', '.join(sorted(_EXPAND))}")
    return wanted


def _describe(call: Call, revision: str) -> Response:
    wanted = _expand(call)
    call.hub.repositories.flush_counts()
    with call.hub.database.read() as connection:
        row = call.repo(connection)
        commit = call.hub.repositories.revision(connection, row.id, revision)
        view = repo_view(row, call.hub.repositories.tags(connection, [row.id])[row.id], commit.oid)
        if not wanted or {"siblings", "usedStorage"} & set(wanted):
            view.update(_files(call, connection, commit.tree))
    view["xetEnabled"] = False
    if wanted:
        view = {name: value for name, value in view.items() if name in {"_id", "id", *wanted}}
    return JSONResponse(view)


def _files(call: Call, connection: Connection, tree: str) -> dict[str, Any]:
    files = [(path, entry.oid) for path, entry in trees.walk(connection, tree) if not entry.folder]
    blobs = call.hub.commits.blobs(connection, [oid for _, oid in files])
    if call.flag("blobs"):
        siblings = [sibling_view(path, blobs[oid]) for path, oid in files]
    else:
        siblings = [{"rfilename": path} for path, _ in files]
    return {"siblings": siblings, "usedStorage": sum(blobs[oid].size for oid in {oid for _, oid in files})}


@lists.add("GET HEAD", "")
def listing(call: Call) -> Response:
    """List repositories: ``search``, ``author``, ``filter``, ``sort``, ``limit``, ``full``, ``expand`` and a cursor."""
    parameters = call.request.query_params
    wanted = _expand(call)
    sort = call.query("sort") or "trendingScore"
    try:
        cursor = json.loads(base64.urlsafe_b64decode(parameters["cursor"])) if "cursor" in parameters else None
        if cursor is not None:
            cursor = [float(cursor[0]), min(int(cursor[1]), 1 << 62)]
    except (ValueError, TypeError, LookupError, OverflowError):
        raise HubServerError(400, '"cursor" comes from a Link header') from None
    page = min(call.number("limit") or call.hub.settings.limits.list_page, call.hub.settings.limits.list_page)
    tags = [tag for value in parameters.getlist("filter") for tag in value.split(",") if tag]
    tags += [value for name in ("pipeline_tag", "library") for value in parameters.getlist(name)]
    with call.hub.database.read() as connection:
        rows = call.hub.repositories.page(
            connection,
            call.kind,
            call.viewer,
            words=[word for value in parameters.getlist("search") for word in value.split()],
            author=call.query("author"),
            tags=tags,
            sort=sort,
            limit=page + 1,
            after=tuple(cursor) if cursor else None,
            **_filters(call),
        )
        more, rows = len(rows) > page, rows[:page]
        labels = call.hub.repositories.tags(connection, [row.id for row in rows])
        views = [_listed(call, connection, row, labels[row.id], wanted) for row in rows]
    headers = {}
    if more:
        last = rows[-1]
        after = base64.urlsafe_b64encode(json.dumps([getattr(last, SORTS[sort]), last.id]).encode()).decode()
        query = [(name, value) for name, value in parameters.multi_items() if name != "cursor"]
        headers["Link"] = f'<{call.base}/api/{call.kind}?{urlencode([*query, ("cursor", after)])}>; rel="next"'
    return JSONResponse(views, headers=headers)


def _filters(call: Call) -> dict[str, Any]:
    """Return what else a list is to hold: what is no tag, or one of several."""
    parameters = call.request.query_params
    groups: list[tuple[str, ...]] = []
    gated = parameters.get("gated", "").lower()
    if gated not in {"", "true", "false", "auto", "manual"}:
        raise HubServerError(400, f'"gated" is true, false, auto or manual, not {gated[:80]!r}')
    for app in parameters.getlist("apps"):
        if app not in _APPS:
            raise HubServerError(400, f"Invalid app {app[:80]!r}: expected one of {', '.join(sorted(_APPS))}")
        groups.append(_APPS[app])
    if parameters.get("inference") or parameters.getlist("inference_provider"):
        groups.append(("",))  # nobody runs this Hub's models for others, and no tag is empty
    for name in ("models", "datasets") if call.kind == "spaces" else ():
        named = [f"{name[:-1]}:{value}" for value in parameters.getlist(name)]
        groups += [tuple(named)] if named else []
    return {
        "gated": {"true": True, "false": False, "": None}.get(gated, gated),
        "any_tags": tuple(groups),
        "parameters": _numbers(parameters.get("num_parameters", "")),
        "linked": call.kind == "spaces" and call.flag("linked"),
    }


_GGUF = ("gguf",)
#: programs of people's own machines → tags of which a model has one that they can run
_APPS = {
    **dict.fromkeys(("llama.cpp", "ollama", "lmstudio", "jan", "koboldcpp", "gpt4all", "msty", "backyard"), _GGUF),
    **dict.fromkeys(("vllm", "sglang", "tgi", "text-generation-inference"), ("transformers",)),
    **dict.fromkeys(("diffusionbee", "draw-things", "drawthings", "invoke", "joyfusion"), ("diffusers",)),
    **dict.fromkeys(("mlx-lm", "mlx"), ("mlx",)),
}


def _numbers(text: str) -> tuple[int | None, int | None]:
    """Return the bounds of "min:6B,max:128B"; either may be missing."""
    found: dict[str, int] = {}
    for part in text.split(",") if text else ():
        match = re.fullmatch(r"(min|max):(\d{1,6}(?:\.\d{1,6})?)([KMBT]?)", part.strip(), re.IGNORECASE)
        if match is None:
            raise HubServerError(400, f'"num_parameters" is such as min:6B,max:128B, not {text[:80]!r}')
        found[match[1].lower()] = int(float(match[2]) * 1000 ** " KMBT".index(match[3].upper() or " "))
    return found.get("min"), found.get("max")


def _listed(call: Call, connection: Connection, row: Row[Any], tags: list[str], wanted: list[str]) -> dict[str, Any]:
    full = call.flag("full")
    head = None
    if full or wanted:
        head = call.hub.repositories.revision(connection, row.id, "main")
    view = repo_view(row, tags, head.oid if head else None)
    if wanted:
        if "siblings" in wanted and head:
            view.update(_files(call, connection, head.tree))
        return {name: value for name, value in view.items() if name in {"_id", "id", *wanted}}
    if full and head:
        view.update(_files(call, connection, head.tree))
    else:
        view.pop("sha", None)
    if not call.flag("cardData") and not full:
        view.pop("cardData")
    return view
