"""Uploads: which way a file should come, LFS objects, and the commit that makes them part of a repository."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, select
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from enfold.hubserver import database as db
from enfold.hubserver import trees
from enfold.hubserver.commits import Header, Operation, attributes, wants_lfs
from enfold.hubserver.errors import HubServerError
from enfold.hubserver.files import FileContent, byte_range
from enfold.hubserver.ignores import Ignores
from enfold.hubserver.names import check_path
from enfold.hubserver.ndjson import CommitBody
from enfold.hubserver.routes.call import PULL_REQUEST, Call, Routes
from enfold.hubserver.store.blobs import StoredBlob
from enfold.hubserver.store.parts import part_sizes

__all__ = ["fixed", "lfs", "repository"]

repository, lfs, fixed = Routes(), Routes(), Routes()

_LFS_JSON = "application/vnd.git-lfs+json"
_WHILE = {"expires_in": 21600}  # seconds for which a signed address is good


@repository.add("POST", "preupload")
def preupload(call: Call) -> Response:
    """Say for each file whether it comes inside the commit ("regular") or before it ("lfs").

    Clients that have hf_xet bring the latter as chunks, others as LFS objects; no client asks which.
    """
    body = call.json()
    files = body.get("files")
    limits = call.hub.settings.limits
    if not isinstance(files, list) or len(files) > limits.preupload_files:
        raise HubServerError(400, f'"files" must be a list of at most {limits.preupload_files} files')
    answer = []
    with call.hub.database.read() as connection:
        row = call.contributed(connection)
        commit = call.hub.repositories.revision(connection, row.id, "/".join(call.rest) or "main")
        rules = call.hub.commits.rules(connection, commit.tree)
        if isinstance(body.get("gitAttributes"), str):
            rules = attributes(body["gitAttributes"])
        ignored = Ignores(_ignore_file(call, connection, commit.tree, body.get("gitIgnore")))
        for file in files:
            path, size, sample = _described(file)
            large = wants_lfs(rules, limits, path, size, sample)
            item: dict[str, Any] = {
                "path": path,
                "uploadMode": "lfs" if large else "regular",
                "shouldIgnore": ignored(path),
            }
            entry = trees.find(connection, commit.tree, path)
            if entry is not None and not entry.folder:
                blob = call.hub.commits.blob(connection, entry.oid)
                if blob.lfs == (item["uploadMode"] == "lfs"):
                    item["oid"] = blob.sha256 if blob.lfs else blob.oid
            answer.append(item)
    return JSONResponse({"files": answer, "commitOid": commit.oid})


def _ignore_file(call: Call, connection: Connection, tree: str, given: Any) -> str:
    """Return the ``.gitignore`` that holds: the one that is about to come, or the repository's own."""
    if isinstance(given, str):
        return given
    return (call.hub.commits.small_file(connection, tree, ".gitignore") or b"").decode("utf-8", "replace")


def _described(file: Any) -> tuple[str, int, bytes]:
    try:
        sample = base64.b64decode(file.get("sample") or "", validate=True)
        return check_path(file["path"]), int(file["size"]), sample[:1024]
    except (AttributeError, KeyError, TypeError, ValueError, binascii.Error):
        raise HubServerError(400, 'each of "files" has a "path", a "size" and a base64 "sample"') from None


@repository.add("POST", "commit")
async def commit(call: Call) -> Response:
    """Make a commit from the lines of the body."""
    await run_in_threadpool(_check_contribution, call)  # before the body, which may be long
    body = CommitBody(call.hub.blobs, call.hub.settings.limits)
    try:
        await call.pour(body.feed, 1 << 18)
        header, operations = await run_in_threadpool(body.finish)
    finally:
        body.close()
    name, oid, num = await run_in_threadpool(_commit, call, header, operations)
    answer = {"success": True, "commitOid": oid, "commitUrl": f"{call.repo_url(name)}/commit/{oid}", "hookOutput": ""}
    if num is not None:
        answer["pullRequestUrl"] = f"{call.repo_url(name)}/discussions/{num}"
    return JSONResponse(answer)


def _commit(call: Call, header: Header, operations: Sequence[Operation]) -> tuple[str, str, int | None]:
    """Commit to a branch, to a pull request, or as a new pull request; return the repository, the commit, and the
    number of the last."""
    revision, what = "/".join(call.rest) or "main", (call.kind, call.name, call.viewer)
    number = PULL_REQUEST.fullmatch(revision)
    if call.flag("create_pr"):
        name, num, oid = call.hub.discussions.propose(*what, revision, header, operations)
        return name, oid, num
    if number is not None:
        return *call.hub.discussions.commit(*what, int(number[1]), header, operations), None
    return *call.hub.commits.commit(*what, revision, header, operations), None


def _check_contribution(call: Call) -> None:
    announced = call.request.headers.get("content-length", "")
    with call.hub.database.read() as connection:
        row = call.contributed(connection)
        # Only what a body could hold at least: base64 takes a third more, and large files are counted as they come.
        if announced.isdigit() and int(announced) > 1 << 20:
            call.hub.quota.require(connection, row.namespace, int(announced) * 3 // 4 - (1 << 20))


# ---------------------------------------------------------------------- LFS


@lfs.add("POST", "objects/batch")
def batch(call: Call) -> Response:
    """Answer git-LFS's batch request with signed addresses; large objects in parts, if the client knows how to."""
    body = call.json()
    operation, objects, transfers = body.get("operation"), body.get("objects"), body.get("transfers") or ["basic"]
    if operation not in {"upload", "download"} or not isinstance(objects, list) or len(objects) > 1000:
        raise HubServerError(422, '"operation" is "upload" or "download", "objects" a list of at most 1000')
    wanted = dict(_object(item) for item in objects)
    with call.hub.database.read() as connection:
        find = call.hub.repositories
        what = (connection, call.kind, call.name, call.viewer)
        # Git LFS does not say whether the upload is for a branch or for a proposal: the commit decides.
        row = find.propose(*what)[0] if operation == "upload" else find.follow(*what)
        if operation == "download":
            call.hub.access.require(connection, row, call.viewer)
        table = db.repo_lfs
        mine = (table.c.repo_id == row.id) & table.c.sha256.in_(list(wanted))
        owned = {
            str(sha256): int(size)
            for sha256, size in connection.execute(select(table.c.sha256, table.c.size).where(mine))
        }
        if operation == "upload":
            held = call.hub.quota.holds(connection, row.namespace, list(wanted))
            more = sum(size for oid, size in wanted.items() if oid not in held)
            if more:
                call.hub.quota.require(connection, row.namespace, more)
    multipart = isinstance(transfers, list) and "multipart" in transfers
    answer = []
    for oid, size in wanted.items():
        if operation == "download":
            action = _download(call, row.id, oid, owned.get(oid))
        else:
            action = _upload(call, row.id, oid, size, multipart) if owned.get(oid) != size else {}
        answer.append({"oid": oid, "size": size, "authenticated": True, **action})
    whole = {"transfer": _way(operation, transfers, answer), "objects": answer, "hash_algo": "sha256"}
    return JSONResponse(whole, media_type=_LFS_JSON)


def _way(operation: str, known: Any, answer: Sequence[dict[str, Any]]) -> str:
    """Return how the objects should come.

    The official clients before 1.20 leave it to the Hub whether what is missing comes as chunks, which they offer as
    the transfer "xet"; later ones do not ask.
    """
    missing = [item["actions"]["upload"] for item in answer if "upload" in item.get("actions", {})]
    if operation == "upload" and missing and isinstance(known, list) and "xet" in known:
        return "xet"
    return "multipart" if any("header" in action for action in missing) else "basic"


def _download(call: Call, repo_id: int, oid: str, size: int | None) -> dict[str, Any]:
    if size is None:
        return {"error": {"code": 404, "message": "Object does not exist"}}
    return {"actions": {"download": {"href": _signed(call, "GET", f"/lfs-objects/{repo_id}/{oid}", size), **_WHILE}}}


def _upload(call: Call, repo_id: int, oid: str, size: int, multipart: bool) -> dict[str, Any]:
    """Return where an object is to be sent, also when the Hub has it from another repository: only who has the content
    may refer to it."""
    limits, path = call.hub.settings.limits, f"/lfs-objects/{repo_id}/{oid}"
    if size > limits.lfs_file:
        message = f"the file is larger than the {limits.lfs_file} bytes this Hub accepts"
        return {"error": {"code": 413, "message": message}}
    if not multipart or size <= limits.lfs_part:
        return {"actions": {"upload": {"href": _signed(call, "PUT", path, size), **_WHILE}}}
    header = {"chunk_size": str(limits.lfs_part)}
    for number, part in enumerate(part_sizes(size, limits.lfs_part), 1):
        header[str(number)] = _signed(call, "PUT", f"{path}/{number}", part)
    return {"actions": {"upload": {"href": _signed(call, "POST", path, size), "header": header, **_WHILE}}}


def _signed(call: Call, method: str, path: str, size: int) -> str:
    return f"{call.base}{path}?{call.hub.signer.query(method, path, size=size)}"


def _object(item: Any) -> tuple[str, int]:
    try:
        oid, size = str(item["oid"]), int(item["size"])
    except (KeyError, TypeError, ValueError):
        raise HubServerError(422, 'each of "objects" has an "oid" and a "size"') from None
    if re.fullmatch("[0-9a-f]{64}", oid) is None or size < 0:
        raise HubServerError(422, f"{oid!r} is not a SHA-256, or the size {size} is negative")
    return oid, size


@fixed.add("PUT", "lfs-objects")
async def put_object(call: Call) -> Response:
    """Take an LFS object, or a part of one, at a signed address."""
    size = call.hub.signer.check("PUT", call.request.url.path, call.request.query_params)
    repo_id, oid = int(call.rest[0]), call.rest[1]
    if len(call.rest) == 3:
        with call.hub.parts.writer(repo_id, oid, int(call.rest[2]), size) as part:
            await call.pour(part.write)
            tag = await run_in_threadpool(part.finish)
        return Response(status_code=200, headers={"ETag": f'"{tag}"'})
    with call.hub.blobs.writer(limit=size, what=f"the object {oid}") as writer:
        await call.pour(writer.write)
        stored = await run_in_threadpool(lambda: writer.finish(sha256=oid, size=size))
    await run_in_threadpool(_grant, call, repo_id, stored)
    return Response(status_code=200, headers={"ETag": f'"{oid}"'})


@fixed.add("POST", "lfs-objects")
def put_together(call: Call) -> Response:
    """Make one object of the parts that came before, at a signed address."""
    size = call.hub.signer.check("POST", call.request.url.path, call.request.query_params)
    repo_id, oid = int(call.rest[0]), call.rest[1]
    try:
        listed = {int(item["partNumber"]): str(item["etag"]) for item in call.json()["parts"]}
    except (KeyError, TypeError, ValueError):
        raise HubServerError(400, '"parts" is a list of {"partNumber": …, "etag": …}') from None
    if sorted(listed) != list(range(1, len(listed) + 1)):
        raise HubServerError(400, "the parts are not numbered from one on")
    sizes = part_sizes(size, call.hub.settings.limits.lfs_part)
    # A client that waits no longer asks again, and finds the parts gone once the first call is done with them.
    with call.hub.parts.turn:
        if not _owns(call, repo_id, oid, size):
            stored = call.hub.parts.join(repo_id, oid, sizes, [listed[number] for number in sorted(listed)])
            _grant(call, repo_id, stored)
    return JSONResponse({"success": True})


def _owns(call: Call, repo_id: int, oid: str, size: int) -> bool:
    mine = (db.repo_lfs.c.repo_id == repo_id) & (db.repo_lfs.c.sha256 == oid)
    with call.hub.database.read() as connection:
        return connection.scalar(select(db.repo_lfs.c.size).where(mine)) == size


def _grant(call: Call, repo_id: int, stored: StoredBlob) -> None:
    with call.hub.database.write() as connection:
        if connection.scalar(select(db.repo.c.id).where(db.repo.c.id == repo_id)) is None:
            raise HubServerError(404, "the repository was deleted meanwhile", code="RepoNotFound")
        call.hub.commits.require_content(stored.sha256)
        call.hub.commits.grant(connection, repo_id, stored)


@fixed.add("GET HEAD", "lfs-objects")
def get_object(call: Call) -> Response:
    """Send an LFS object from a signed address."""
    oid = call.rest[1]
    size = call.hub.signer.check("GET", call.request.url.path, call.request.query_params)
    span = byte_range(call.request.headers.get("range"), size)
    headers = {"ETag": f'"{oid}"', "Accept-Ranges": "bytes"}
    source = call.hub.contents.source(oid)
    return FileContent(source, size, span=span, headers=headers, media_type="application/octet-stream")
