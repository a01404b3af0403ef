"""Branches, tags and history."""

from __future__ import annotations

from urllib.parse import urlencode

from starlette.responses import JSONResponse, Response

from enfold.hubserver.errors import HubServerError
from enfold.hubserver.routes.call import Call, Routes
from enfold.hubserver.views import commit_view

__all__ = ["repository"]

repository = Routes()

_PAGE = 50
_GROUPS = {
    "refs/heads/": "branches",
    "refs/tags/": "tags",
    "refs/convert/": "converts",
    "refs/pr/": "pullRequests",
}


@repository.add("GET", "refs")
def refs(call: Call) -> Response:
    """List branches and tags."""
    answer: dict[str, list[dict[str, str]]] = {"branches": [], "converts": [], "tags": [], "pullRequests": []}
    with call.hub.database.read() as connection:
        row = call.repo(connection)
        for ref in call.hub.repositories.refs(connection, row.id):
            prefix = next(prefix for prefix in _GROUPS if ref.name.startswith(prefix))
            item = {"name": ref.name.removeprefix(prefix), "ref": ref.name, "targetCommit": ref.commit}
            answer[_GROUPS[prefix]].append(item)
    if not call.flag("include_prs"):
        del answer["pullRequests"]
    return JSONResponse(answer)


@repository.add("POST", "branch")
def create_branch(call: Call) -> Response:
    """Make a branch."""
    start = call.json().get("startingPoint")
    call.hub.repositories.create_ref(call.kind, call.name, call.viewer, "refs/heads/", "/".join(call.rest), start)
    return JSONResponse({}, 201)


@repository.add("DELETE", "branch")
def delete_branch(call: Call) -> Response:
    """Delete a branch."""
    call.hub.repositories.delete_ref(call.kind, call.name, call.viewer, "refs/heads/", "/".join(call.rest))
    return JSONResponse({})


@repository.add("POST", "tag")
def create_tag(call: Call) -> Response:
    """Make a tag at a revision."""
    tag = call.json().get("tag")
    if not isinstance(tag, str):
        raise HubServerError(400, '"tag" must be a string: the tag\'s name')
    call.hub.repositories.create_ref(call.kind, call.name, call.viewer, "refs/tags/", tag, "/".join(call.rest))
    return JSONResponse({}, 201)


@repository.add("DELETE", "tag")
def delete_tag(call: Call) -> Response:
    """Delete a tag."""
    call.hub.repositories.delete_ref(call.kind, call.name, call.viewer, "refs/tags/", "/".join(call.rest))
    return JSONResponse({})


@repository.add("GET", "commits")
def commits(call: Call) -> Response:
    """List the commits of a revision, newest first, fifty to a page."""
    formatted = "formatted" in {
        *call.request.query_params.getlist("expand"),
        *call.request.query_params.getlist("expand[]"),
    }
    revision = "/".join(call.rest) or "main"
    with call.hub.database.read() as connection:
        row = call.repo(connection)
        head = call.hub.repositories.revision(connection, row.id, revision)
        start = call.query("cursor")
        first = call.hub.repositories.revision(connection, row.id, start) if start else head
        rows = call.hub.commits.history(connection, row.id, first.oid, _PAGE + 1)
    headers = {"X-Total-Count": str(head.generation + 1)}
    if len(rows) > _PAGE:
        query = [(name, value) for name, value in call.request.query_params.multi_items() if name != "cursor"]
        path = call.request.url.path
        headers["Link"] = f'<{call.base}{path}?{urlencode([*query, ("cursor", rows[_PAGE].oid)])}>; rel="next"'
    return JSONResponse([commit_view(item, formatted=formatted) for item in rows[:_PAGE]], headers=headers)
