"""What this Hub answers, as OpenAPI 3.1: a line for each operation, with the sentence of the function behind it.

A line is a method, an address, ``?`` and the names in its query, ``{…}`` and the members of its JSON body (``form{…}``
and those of a form, ``lines`` for NDJSON, ``bytes`` for bytes). A name is followed by its type where that is not text,
and by ``!`` where it must be there.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from starlette.responses import JSONResponse, Response

from enfold.hubserver.names import KINDS
from enfold.hubserver.routes.call import Call, Routes

__all__ = ["OPERATIONS", "describe", "routes"]

routes = Routes()

_FILTERS = "".join(
    f"&{name}"
    for name in "full:boolean cardData:boolean expand pipeline_tag library gated apps num_parameters models datasets "
    "linked:boolean".split()
)
OPERATIONS = (
    """
GET /api/whoami-v2
GET /api/audit ?account&subject&action&cursor:int
POST /api/validate-yaml {content!,repoType}
GET /api/telemetry/{topic}
GET /api/settings/repositories ?cursor
GET /api/organizations/{account}/settings/repositories ?cursor
GET /api/organizations/{account}/usage
GET /api/organizations/{account}/overview
GET /api/organizations/{account}/members ?cursor
GET /api/organizations/{account}/followers
GET /api/users/{account}/usage
GET /api/users/{account}/overview
GET /api/users/{account}/likes ?cursor
GET /api/users/{account}/followers
GET /api/users/{account}/following
GET /api/models-tags-by-type
GET /api/datasets-tags-by-type
GET /api/settings/webhooks
POST /api/settings/webhooks {url!,watched:array!,domains:array,secret}
GET /api/settings/webhooks/{id}
POST /api/settings/webhooks/{id} {url,watched:array,domains:array,secret}
POST /api/settings/webhooks/{id}/{switch}
DELETE /api/settings/webhooks/{id}
GET /api/settings/trusted-publishers
POST /api/settings/trusted-publishers {issuer!,claims:object!}
DELETE /api/settings/trusted-publishers/{id}
GET /api/collections ?owner&item&sort&limit:int&cursor
POST /api/collections {title!,namespace!,description,private:boolean,item:object}
GET /api/collections/{namespace}/{slug}
PATCH /api/collections/{namespace}/{slug} {title,description,private:boolean,theme,position:integer}
DELETE /api/collections/{namespace}/{slug}
POST /api/collections/{namespace}/{slug}/items {item:object!,note}
PATCH /api/collections/{namespace}/{slug}/items/{id} {note,position:integer}
DELETE /api/collections/{namespace}/{slug}/items/{id}
POST /api/repos/create {name!,organization,type,private:boolean,visibility,sdk}
DELETE /api/repos/delete {name!,organization,type}
POST /api/repos/move {fromRepo!,toRepo!,type}
GET /api/{kind} ?search&author&filter&sort&limit:int&cursor{FILTERS}
GET /api/{kind}/{namespace}/{name} ?blobs:boolean&expand
GET /api/{kind}/{namespace}/{name}/revision/{revision} ?blobs:boolean&expand
PUT /api/{kind}/{namespace}/{name}/settings {private:boolean,visibility,gated}
GET /api/{kind}/{namespace}/{name}/auth-check
GET /api/{kind}/{namespace}/{name}/tree/{revision} ?recursive:boolean&expand:boolean&limit:int&cursor
GET /api/{kind}/{namespace}/{name}/tree/{revision}/{path} ?recursive:boolean&expand:boolean&limit:int&cursor
POST /api/{kind}/{namespace}/{name}/paths-info/{revision} form{paths:array!,expand:boolean}
POST /api/{kind}/{namespace}/{name}/small-files/{revision} {paths:array!}
GET /api/{kind}/{namespace}/{name}/trusted-publishers
POST /api/{kind}/{namespace}/{name}/trusted-publishers {issuer!,claims:object!,readOnly:boolean}
DELETE /api/{kind}/{namespace}/{name}/trusted-publishers/{id}
GET /api/{kind}/{namespace}/{name}/refs ?include_prs:boolean
GET /api/{kind}/{namespace}/{name}/commits/{revision} ?cursor&expand
POST /api/{kind}/{namespace}/{name}/branch/{revision} {startingPoint}
DELETE /api/{kind}/{namespace}/{name}/branch/{revision}
POST /api/{kind}/{namespace}/{name}/tag/{revision} {tag!,message}
DELETE /api/{kind}/{namespace}/{name}/tag/{revision}
POST /api/{kind}/{namespace}/{name}/preupload/{revision} ?create_pr:boolean {files:array!,gitAttributes,gitIgnore}
POST /api/{kind}/{namespace}/{name}/commit/{revision} ?create_pr:boolean lines
GET /api/{kind}/{namespace}/{name}/xet-read-token/{revision}
GET /api/{kind}/{namespace}/{name}/xet-write-token/{revision} ?create_pr:boolean
POST /api/{kind}/{namespace}/{name}/super-squash/{revision} {message}
POST /api/{kind}/{namespace}/{name}/duplicate {repository!,private:boolean,visibility}
GET /api/{kind}/{namespace}/{name}/lfs-files ?cursor
POST /api/{kind}/{namespace}/{name}/lfs-files/batch {deletions:object!}
POST /api/{kind}/{namespace}/{name}/lfs-files/duplicate {target:object!,files:array!}
GET /api/{kind}/{namespace}/{name}/safetensors-metadata/{path}
GET /api/{kind}/{namespace}/{name}/discussions ?p:int&type&status&author
POST /api/{kind}/{namespace}/{name}/discussions {title!,description,pullRequest:boolean}
GET /api/{kind}/{namespace}/{name}/discussions/{num} ?diff:boolean
POST /api/{kind}/{namespace}/{name}/discussions/{num}/comment {comment!}
POST /api/{kind}/{namespace}/{name}/discussions/{num}/title {title!}
POST /api/{kind}/{namespace}/{name}/discussions/{num}/status {status!,comment}
POST /api/{kind}/{namespace}/{name}/discussions/{num}/merge {comment}
GET /api/{kind}/{namespace}/{name}/user-access-request/{status} ?cursor
POST /api/{kind}/{namespace}/{name}/user-access-request/{verb} {user,requestId,status,rejectionReason}
POST /api/{kind}/{namespace}/{name}/like
DELETE /api/{kind}/{namespace}/{name}/like
GET /api/{kind}/{namespace}/{name}/likers ?cursor
GET /api/{kind}/{namespace}/{name}/parquet
GET /api/{kind}/{namespace}/{name}/runtime
GET /api/{kind}/{namespace}/{name}/variables
POST /api/{kind}/{namespace}/{name}/variables {key!,value!,description}
DELETE /api/{kind}/{namespace}/{name}/variables {key!}
GET /api/{kind}/{namespace}/{name}/secrets
POST /api/{kind}/{namespace}/{name}/secrets {key!,value!,description}
DELETE /api/{kind}/{namespace}/{name}/secrets {key!}
GET /{namespace}/{name}/resolve/{revision}/{path} -> bytes
GET /datasets/{namespace}/{name}/resolve/{revision}/{path} -> bytes
GET /spaces/{namespace}/{name}/resolve/{revision}/{path} -> bytes
POST /{namespace}/{name}/ask-access {fields:object}
POST /{namespace}/{name}.git/info/lfs/objects/batch {operation!,objects:array!,transfers:array}
GET /lfs-objects/{id}/{sha256} ?expires!&size:int!&signature! -> bytes
PUT /lfs-objects/{id}/{sha256} ?expires!&size:int!&signature! bytes
POST /lfs-objects/{id}/{sha256} ?expires!&size:int!&signature! {oid,parts:array!}
GET /cas/v1/chunks/default/{hash} -> bytes
POST /cas/v1/xorbs/default/{hash} bytes
POST /cas/v1/shards bytes
POST /cas/v1/telemetry
GET /cas/v1/reconstructions/{hash}
GET /cas/v2/reconstructions/{hash}
GET /cas/v1/parts/default/{hash}/{span} ?expires!&size:int!&signature! -> bytes
POST /oauth/device form{client_id}
POST /oauth/token form{grant_type!,device_code,refresh_token,client_id,subject_token,subject_token_type,resource}
GET /openapi.json
""".strip()
    .replace("{FILTERS}", _FILTERS)
    .splitlines()
)

_LINE = re.compile(
    r"(?P<method>[A-Z]+) (?P<path>\S+)(?: \?(?P<query>\S+))?"
    r"(?: (?P<body>(?:form)?\{\S*\}|lines|bytes))?(?: -> (?P<answer>bytes))?"
)
_TYPES = {"int": "integer", "boolean": "boolean", "integer": "integer", "array": "array", "object": "object"}
_ENUMS = {"kind": [*KINDS], "switch": ["enable", "disable"], "status": ["pending", "accepted", "rejected"]}
_PATTERNS = {"sha256": "^[0-9a-f]{64}$", "hash": "^[0-9a-f]{64}$", "num": "^[0-9]{1,9}$", "id": "^[0-9a-f]{1,24}$"}
_ERROR = {
    "type": "object",
    "properties": {"error": {"type": ["string", "array"]}},
    "required": ["error"],
}
#: members that have one of a few values
_CHOICES = {
    "type": [*KINDS.values()],
    "visibility": ["public", "private"],
    "sdk": ["gradio", "streamlit", "docker", "static"],
    "operation": ["upload", "download"],
}


@routes.add("GET", "openapi.json")
def send(call: Call) -> Response:
    """Describe what this Hub answers."""
    return JSONResponse(_whole(), headers={"Cache-Control": "max-age=300"})


@lru_cache(maxsize=1)
def _whole() -> dict[str, Any]:
    from enfold.hubserver.app import answers

    return describe(answers)


def describe(answers: Callable[[str, str], str | None]) -> dict[str, Any]:
    """Return the description.

    Args:
        answers: returns the sentence of the function that answers a method and an address, or None.
    """
    paths: dict[str, dict[str, Any]] = {}
    for line in OPERATIONS:
        found = _LINE.fullmatch(line)
        assert found is not None, line
        method, path = found["method"].lower(), found["path"]
        operation: dict[str, Any] = {
            "operationId": f"{method}{re.sub(r'[^A-Za-z0-9]+', '_', path)}".rstrip("_"),
            "summary": answers(found["method"], path) or "",
            "tags": [_tag(path)],
            "parameters": [*_path(path), *_query(found["query"])],
            "responses": _responses(found["answer"]),
        }
        if found["body"]:
            operation["requestBody"] = _body(found["body"])
        paths.setdefault(path, {})[method] = operation
    security = {"token": {"type": "http", "scheme": "bearer", "description": "a token of this Hub"}}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "enfold Hub",
            "version": "1",
            "description": "Models, data sets and Spaces.",
        },
        "paths": paths,
        "components": {"securitySchemes": security},
        "security": [{}, {"token": []}],
    }


def _tag(path: str) -> str:
    words = [word for word in path.split("/") if word and "{" not in word]
    return "repositories" if "{name}" in path else (words[1] if words[0] == "api" and len(words) > 1 else words[0])


def _schema(text: str) -> tuple[str, dict[str, Any], bool]:
    """Return name, schema and whether it must be there, of a name as a line has it."""
    required = text.endswith("!")
    name, _, kind = text.rstrip("!").partition(":")
    schema: dict[str, Any] = {"type": _TYPES.get(kind, "string")}
    if name in _CHOICES and not kind:
        schema["enum"] = _CHOICES[name]
    return name, schema, required


def _path(path: str) -> list[dict[str, Any]]:
    found = []
    for name in re.findall(r"\{(\w+)\}", path):
        schema: dict[str, Any] = {"type": "string", "minLength": 1}
        if name in _ENUMS:
            schema["enum"] = _ENUMS[name]
        if name in _PATTERNS:
            schema["pattern"] = _PATTERNS[name]
        found.append({"name": name, "in": "path", "required": True, "schema": schema})
    return found


def _query(text: str | None) -> list[dict[str, Any]]:
    parameters = []
    for item in (text or "").split("&") if text else []:
        name, schema, required = _schema(item)
        if schema["type"] == "integer":
            schema["minimum"] = 0
        parameters.append({"name": name, "in": "query", "required": required, "schema": schema})
    return parameters


def _body(text: str) -> dict[str, Any]:
    if text in {"lines", "bytes"}:
        kind = "application/x-ndjson" if text == "lines" else "application/octet-stream"
        return {"required": True, "content": {kind: {"schema": {"type": "string"}}}}
    kind = "application/x-www-form-urlencoded" if text.startswith("form") else "application/json"
    members = [_schema(item) for item in text.partition("{")[2].rstrip("}").split(",") if item]
    schema: dict[str, Any] = {"type": "object", "properties": {name: schema for name, schema, _ in members}}
    if required := [name for name, _, needed in members if needed]:
        schema["required"] = required
    return {"required": bool(required), "content": {kind: {"schema": schema}}}


def _responses(answer: str | None) -> dict[str, Any]:
    kind = "application/octet-stream" if answer else "application/json"
    good: dict[str, Any] = {"description": "done"}
    if not answer:  # a file's type is its own
        good["content"] = {kind: {"schema": {}}}
    wrong = {"description": "what is wrong", "content": {"application/json": {"schema": _ERROR}}}
    return {"2XX": good, "3XX": {"description": "it is elsewhere, or has not changed"}, "4XX": wrong}
