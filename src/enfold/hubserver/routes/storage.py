"""What repositories take up, and what becomes of it: large files, copies of repositories, and history made short."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select
from starlette.responses import JSONResponse, Response

from enfold.hubserver import database as db
from enfold.hubserver import trees
from enfold.hubserver.accounts import Viewer
from enfold.hubserver.errors import HubServerError
from enfold.hubserver.names import KINDS
from enfold.hubserver.routes.call import PAGE, Call, Routes
from enfold.hubserver.routes.repos import visibility_of
from enfold.hubserver.store.blobs import StoredBlob
from enfold.hubserver.views import timestamp

__all__ = ["fixed", "repository"]

repository, fixed = Routes(), Routes()


@repository.add("POST", "super-squash")
def squash(call: Call) -> Response:
    """Make one commit of a branch's history; what the branch holds stays."""
    message = call.json().get("message")
    if message is not None and not isinstance(message, str):
        raise HubServerError(400, '"message" must be a string')
    call.hub.history.squash(call.kind, call.name, call.viewer, "/".join(call.rest) or "main", message or "Super-squash")
    return JSONResponse({})


@repository.add("POST", "duplicate")
def duplicate(call: Call) -> Response:
    """Copy a repository, its branches, tags and history; contents are shared, not copied."""
    body = call.json()
    target = body.get("repository")
    if not isinstance(target, str) or target.count("/") != 1:
        raise HubServerError(400, '"repository" must be the new id, namespace/name')
    try:
        name = call.hub.history.duplicate(call.kind, call.name, call.viewer, target, private=visibility_of(body))
    except HubServerError as error:
        if error.status == 409:
            error.body["url"] = call.repo_url(target)
        raise
    return JSONResponse({"url": call.repo_url(name), "name": name, "filesCopyPending": False})


@repository.add("GET", "lfs-files")
def large_files(call: Call) -> Response:
    """List the large files that a repository was given, whether a commit still names them or not."""
    with call.hub.database.read() as connection:
        row = call.repo(connection, write=True)
        table = db.repo_lfs
        found = connection.execute(
            select(table)
            .where(table.c.repo_id == row.id, table.c.sha256 > (call.query("cursor") or ""))
            .order_by(table.c.sha256)
            .limit(PAGE + 1)
        ).all()
        names: dict[str, tuple[str, str]] = {}  # content → path and reference, of main where it has it
        refs = call.hub.repositories.refs(connection, row.id)
        wanted = {item.sha256 for item in found}
        for ref in sorted(refs, key=lambda ref: ref.name != "refs/heads/main"):
            if wanted <= names.keys():
                break
            head = call.hub.repositories.revision(connection, row.id, ref.name)
            files = [(path, entry.oid) for path, entry in trees.walk(connection, head.tree) if not entry.folder]
            blobs = call.hub.commits.blobs(connection, [oid for _, oid in files])
            for path, oid in files:
                if blobs[oid].lfs:
                    names.setdefault(blobs[oid].sha256, (path, ref.name))
    shown = [
        {
            "fileOid": item.sha256,
            "filename": names.get(item.sha256, ("", None))[0],
            "oid": item.sha256,
            "pushedAt": timestamp(item.created),
            "ref": names.get(item.sha256, ("", None))[1],
            "size": item.size,
        }
        for item in found
    ]
    return call.page(shown, [item.sha256 for item in found])


@repository.add("POST", "lfs-files")
def change_large_files(call: Call) -> Response:
    """Take large files out of a repository, its history included; or give them to another one."""
    if call.rest == ("batch",):
        return _delete(call)
    if call.rest == ("duplicate",):
        return _give(call)
    raise HubServerError(404, "large files are deleted at lfs-files/batch and copied at lfs-files/duplicate")


def _delete(call: Call) -> Response:
    wanted = call.json().get("deletions") or {}
    shas = wanted.get("sha") if isinstance(wanted, dict) else None
    if not isinstance(shas, list) or not all(isinstance(item, str) for item in shas) or len(shas) > 1000:
        raise HubServerError(400, '"deletions" has "sha": a list of at most 1000 SHA-256')
    rewrite = bool(wanted.get("rewriteHistory", True))
    call.hub.history.forget(call.kind, call.name, call.viewer, set(shas), rewrite=rewrite)
    return JSONResponse({})


def _give(call: Call) -> Response:
    """Let another repository refer to large files of this one, for somebody who may read here and write there."""
    body = call.json()
    try:
        kind, name = f"{body['target']['type']}s", str(body["target"]["name"])
        wanted = [str(item["sha256"]) for item in body["files"]]
    except (KeyError, TypeError):
        raise HubServerError(400, 'expected "target" (type, name) and "files" (each with a sha256)') from None
    if kind not in KINDS or len(wanted) > 1000:
        raise HubServerError(400, '"type" is model, dataset or space, "files" a list of at most 1000')
    table = db.repo_lfs
    with call.hub.database.write() as connection:
        source = call.readable(connection)
        target = call.hub.repositories.follow(connection, kind, name, call.viewer, write=True)
        mine = (table.c.repo_id == source.id) & table.c.sha256.in_(wanted)
        owned = {row.sha256: row.size for row in connection.execute(select(table).where(mine))}
        for sha256, size in owned.items():
            call.hub.commits.grant(connection, target.id, StoredBlob(sha256, size))
    failed = [{"sha256": item, "error": "the repository has no such file"} for item in wanted if item not in owned]
    return JSONResponse({"failed": failed})


@fixed.add("GET", "settings/repositories")
def own_repositories(call: Call) -> Response:
    """List the caller's repositories and how much each holds."""
    if call.viewer is None:
        raise HubServerError(401, "Invalid username or password.")
    return _repositories(call, call.viewer, call.viewer.name)


@fixed.add("GET", "organizations/settings/repositories")
def organisations_repositories(call: Call) -> Response:
    """List an organisation's repositories and how much each holds."""
    if call.viewer is None:
        raise HubServerError(401, "Invalid username or password.")
    if not call.viewer.member_of(call.rest[0]):
        raise HubServerError(403, f"You are no member of {call.rest[0]!r}")
    return _repositories(call, call.viewer, call.rest[0])


@fixed.add("GET", "users/usage")
@fixed.add("GET", "organizations/usage")
def usage(call: Call) -> Response:
    """Say how many bytes an account's repositories hold, and may hold."""
    if call.viewer is None:
        raise HubServerError(401, "Invalid username or password.")
    if not call.viewer.member_of(call.rest[0]):
        raise HubServerError(403, f"You are no member of {call.rest[0]!r}")
    with call.hub.database.read() as connection:
        found = call.hub.quota.usage(connection, call.rest[0].lower())
    return JSONResponse({"name": call.rest[0], "used": found.used, "limit": found.limit})


def _repositories(call: Call, viewer: Viewer, namespace: str) -> Response:
    after = call.number("cursor")
    repo, large = db.repo, db.repo_lfs
    with call.hub.database.read() as connection:
        mine = repo.c.namespace == namespace.lower()
        rows = connection.execute(select(repo).where(mine, repo.c.id > after).order_by(repo.c.id).limit(PAGE + 1)).all()
        sizes = dict.fromkeys((row.id for row in rows), 0)
        query = select(large.c.repo_id, func.sum(large.c.size)).where(large.c.repo_id.in_(list(sizes)))
        sizes |= {row[0]: int(row[1]) for row in connection.execute(query.group_by(large.c.repo_id))}
        whole = connection.scalar(select(func.sum(large.c.size)).join(repo, repo.c.id == large.c.repo_id).where(mine))
    shown: list[dict[str, Any]] = [
        {
            "id": row.name,
            "type": KINDS[row.kind],
            "updatedAt": timestamp(row.modified),
            "visibility": "private" if row.private else "public",
            "storage": sizes[row.id],
            "storagePercent": sizes[row.id] / int(whole) if whole else 0.0,
        }
        for row in rows
    ]
    return call.page(shown, [str(row.id) for row in rows])


@fixed.add("GET", "models-tags-by-type")
@fixed.add("GET", "datasets-tags-by-type")
def tags_by_type(call: Call) -> Response:
    """List the tags that repositories which everybody sees have, by what they say."""
    kind = "models" if "models-tags" in call.request.url.path else "datasets"
    tag, repo = db.repo_tag, db.repo
    with call.hub.database.read() as connection:
        found = connection.scalars(
            select(tag.c.tag)
            .join(repo, repo.c.id == tag.c.repo_id)
            .where(repo.c.kind == kind, repo.c.private.is_(False))
            .distinct()
            .order_by(tag.c.tag)
        ).all()
    groups: dict[str, list[dict[str, str]]] = {}
    for name in found:
        group, colon, label = name.partition(":")
        group, label = (group, label) if colon else ("other", name)
        groups.setdefault(group, []).append({"id": name, "label": label, "type": group})
    return JSONResponse(groups)
