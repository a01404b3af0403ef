"""Uploads: which way a file should come, LFS objects, and the commit that makes them part of a repository."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from enfold.hubserver import database as db
from enfold.hubserver import trees
from enfold.hubserver.commits import Header, Operation, attributes, wants_lfs
from enfold.hubserver.errors import HubServerError
from enfold.hubserver.files import FileContent, byte_range
from enfold.hubserver.names import check_path
from enfold.hubserver.ndjson import CommitBody
from enfold.hubserver.routes.call import PULL_REQUEST, Call, Routes

__all__ = ["fixed", "lfs", "repository"]

repository, lfs, fixed = Routes(), Routes(), Routes()

_LFS_JSON = "application/vnd.git-lfs+json"


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
        for file in files:
            path, size, sample = _described(file)
            large = wants_lfs(rules, limits, path, size, sample)
            item: dict[str, Any] = {
                "path": path,
                "uploadMode": "lfs" if large else "regular",
                "shouldIgnore": False,
            }
            entry = trees.find(connection, commit.tree, path)
            if entry is not None and not entry.folder:
                blob = call.hub.commits.blob(connection, entry.oid)
                if blob.lfs == (item["uploadMode"] == "lfs"):
                    item["oid"] = blob.sha256 if blob.lfs else blob.oid
            answer.append(item)
    return JSONResponse({"files": answer, "commitOid": commit.oid})


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
    buffer = bytearray()
    try:
        async for piece in call.request.stream():
            buffer += piece
            if len(buffer) >= 1 << 18:
                await run_in_threadpool(body.feed, bytes(buffer))
                buffer.clear()
        await run_in_threadpool(body.feed, bytes(buffer))
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
    with call.hub.database.read() as connection:
        call.contributed(connection)


# ---------------------------------------------------------------------- LFS


@lfs.add("POST", "objects/batch")
def batch(call: Call) -> Response:
    """Answer git-LFS's batch request with signed addresses, for the "basic" transfer."""
    body = call.json()
    operation, objects = body.get("operation"), body.get("objects")
    if operation not in {"upload", "download"} or not isinstance(objects, list) or len(objects) > 1000:
        raise HubServerError(422, '"operation" is "upload" or "download", "objects" a list of at most 1000')
    answer = []
    with call.hub.database.read() as connection:
        find = call.hub.repositories
        what = (connection, call.kind, call.name, call.viewer)
        # Git LFS does not say whether the upload is for a branch or for a proposal: the commit decides.
        row = find.propose(*what)[0] if operation == "upload" else find.follow(*what)
        if operation == "download":
            call.hub.access.require(connection, row, call.viewer)
        for item in objects:
            oid, size = _object(item)
            owned = connection.scalar(
                select(db.repo_lfs.c.size).where(db.repo_lfs.c.repo_id == row.id, db.repo_lfs.c.sha256 == oid)
            )
            result: dict[str, Any] = {"oid": oid, "size": size, "authenticated": True}
            path = f"/lfs-objects/{row.id}/{oid}"
            if operation == "download":
                if owned is None:
                    result["error"] = {"code": 404, "message": "Object does not exist"}
                else:
                    query = call.hub.signer.query("GET", path, size=owned)
                    result["actions"] = {"download": {"href": f"{call.base}{path}?{query}", "expires_in": 21600}}
            elif size > call.hub.settings.limits.lfs_file:
                limit = call.hub.settings.limits.lfs_file
                result["error"] = {
                    "code": 413,
                    "message": f"the file is larger than the {limit} bytes this Hub accepts",
                }
            elif owned != size:
                # Also when the store has it from another repository: only who has the content may refer to it.
                query = call.hub.signer.query("PUT", path, size=size)
                result["actions"] = {"upload": {"href": f"{call.base}{path}?{query}", "expires_in": 21600}}
            answer.append(result)
    return JSONResponse({"transfer": "basic", "objects": answer, "hash_algo": "sha256"}, media_type=_LFS_JSON)


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
    """Take an LFS object at a signed address."""
    repo_id, oid = call.rest
    size = call.hub.signer.check("PUT", call.request.url.path, call.request.query_params)
    with call.hub.blobs.writer(limit=size, what=f"the object {oid}") as writer:
        buffer = bytearray()
        async for piece in call.request.stream():
            buffer += piece
            if len(buffer) >= 1 << 20:
                await run_in_threadpool(writer.write, bytes(buffer))
                buffer.clear()
        await run_in_threadpool(writer.write, bytes(buffer))
        stored = await run_in_threadpool(lambda: writer.finish(sha256=oid, size=size))

    def grant() -> None:
        with call.hub.database.write() as connection:
            if connection.scalar(select(db.repo.c.id).where(db.repo.c.id == int(repo_id))) is None:
                raise HubServerError(404, "the repository was deleted meanwhile", code="RepoNotFound")
            call.hub.commits.require_content(stored.sha256)
            call.hub.commits.grant(connection, int(repo_id), stored)

    await run_in_threadpool(grant)
    return Response(status_code=200, headers={"ETag": f'"{oid}"'})


@fixed.add("GET HEAD", "lfs-objects")
def get_object(call: Call) -> Response:
    """Send an LFS object from a signed address."""
    _, oid = call.rest
    size = call.hub.signer.check("GET", call.request.url.path, call.request.query_params)
    span = byte_range(call.request.headers.get("range"), size)
    headers = {"ETag": f'"{oid}"', "Accept-Ranges": "bytes"}
    source = call.hub.contents.source(oid)
    return FileContent(source, size, span=span, headers=headers, media_type="application/octet-stream")
