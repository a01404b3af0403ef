"""Files of a repository: listed, described, and sent."""

from __future__ import annotations

import json
import mimetypes
import posixpath
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from sqlalchemy import Connection, Row
from starlette.responses import JSONResponse, Response, StreamingResponse

from enfold.hubserver import trees
from enfold.hubserver.errors import HubServerError, entry_not_found, revision_not_found
from enfold.hubserver.files import FileContent, Reader, byte_range, open_content
from enfold.hubserver.routes.call import Call, Routes
from enfold.hubserver.store.objects import open_source
from enfold.hubserver.tensors import raw_header
from enfold.hubserver.views import commit_view, entry_view

__all__ = ["pages", "repository", "split_revision"]

repository, pages = Routes(), Routes()

_SMALL_FILES, _SMALL_BYTES = 1_000, 8_000_000  # of one answer with many
_INDEX, _SHARDS = 25_000_000, 1_000  # bytes of an index of weights, and files that it names

#: opened by a browser these could run scripts under the Hub's address, so they are sent as plain text or downloads
_ACTIVE = ("html", "xml", "svg", "javascript", "pdf")


def split_revision(call: Call, connection: Connection, repo_id: int) -> tuple[Row[Any], str]:
    """Return the commit and the path of an address whose revision may itself hold slashes (``refs/pr/1``).

    Clients encode a revision's slashes; people and other tools do not, so longer readings are tried as well.
    """
    rest = call.rest
    for length in range(1, min(len(rest), 6) + 1):
        try:
            commit = call.hub.repositories.revision(connection, repo_id, "/".join(rest[:length]))
        except HubServerError:
            continue
        return commit, "/".join(rest[length:])
    raise revision_not_found(rest[0] if rest else "")


@repository.add("GET", "tree")
def tree(call: Call) -> Response:
    """List a folder, a thousand entries to a page."""
    limits = call.hub.settings.limits
    recursive, expand = call.flag("recursive"), call.flag("expand")
    page = min(call.number("limit") or limits.tree_page, limits.tree_page)
    with call.hub.database.read() as connection:
        row = call.repo(connection)
        commit, path = split_revision(call, connection, row.id)
        root = trees.find(connection, commit.tree, path.strip("/"))
        if root is None:
            raise entry_not_found(path, commit.oid)
        found = [(path, root)]
        if root.folder:
            behind = call.query("cursor") or None
            below = trees.walk(connection, root.oid, path.strip("/"), recursive=recursive, after=behind)
            found = list(islice(below, page + 1))
        views = _views(call, connection, row.id, commit, found[:page], expand)
    headers = {"X-Repo-Commit": commit.oid}
    if len(found) > page:
        query = [(name, value) for name, value in call.request.query_params.multi_items() if name != "cursor"]
        # The commit, not the branch: the next page belongs to the same listing.
        address = f"/api/{call.kind}/{row.name}/tree/{commit.oid}" + (f"/{quote(path)}" if path else "")
        headers["Link"] = f'<{call.base}{address}?{urlencode([*query, ("cursor", found[page - 1][0])])}>; rel="next"'
    return JSONResponse(views, headers=headers)


def _views(
    call: Call,
    connection: Connection,
    repo_id: int,
    commit: Row[Any],
    found: list[tuple[str, trees.Entry]],
    expand: bool,
) -> list[dict[str, Any]]:
    blobs = call.hub.commits.blobs(connection, [entry.oid for _, entry in found if not entry.folder])
    xet = call.hub.xet.hashes(connection, [blob.sha256 for blob in blobs.values() if blob.lfs])
    views = [entry_view(path, entry, blobs.get(entry.oid), xet) for path, entry in found]
    if expand:
        last = call.hub.commits.last_changes(connection, repo_id, commit, [path for path, _ in found])
        for view in views:
            row = last[view["path"]]
            view["lastCommit"] = {name: commit_view(row)[name] for name in ("id", "title", "date")}
            view["securityFileStatus"] = None
    return views


@repository.add("POST", "paths-info")
def paths_info(call: Call) -> Response:
    """Describe the paths named; those that do not exist are left out."""
    form = call.form()
    with call.hub.database.read() as connection:
        row = call.repo(connection)
        commit, _ = split_revision(call, connection, row.id)
        found = []
        for path in form.get("paths", []):
            entry = trees.find(connection, commit.tree, path.strip("/"))
            if entry is not None and path.strip("/"):
                found.append((path.strip("/"), entry))
        expand = form.get("expand", ["false"])[0].lower() in {"1", "true"}
        return JSONResponse(_views(call, connection, row.id, commit, found, expand))


@repository.add("POST", "small-files")
def small_files(call: Call) -> Response:
    """Send many small files of a revision in one answer: each one's length in four bytes, and its content.

    A length of all ones stands for a file that is not there, not small, or behind what one answer holds.
    """
    paths = call.json().get("paths")
    if not isinstance(paths, list) or len(paths) > _SMALL_FILES or not all(isinstance(path, str) for path in paths):
        raise HubServerError(400, f'"paths" is a list of at most {_SMALL_FILES:,} texts')
    with call.hub.database.read() as connection:
        row = call.readable(connection)
        commit, _ = split_revision(call, connection, row.id)
        entries = [trees.find(connection, commit.tree, path) for path in paths]
        kept = call.hub.commits.inlined(connection, [entry.oid for entry in entries if entry and not entry.folder])
    pieces, room = [], _SMALL_BYTES
    for entry in entries:
        data = kept.get(entry.oid) if entry is not None else None
        if data is None or len(data) > room:
            pieces.append(b"\xff\xff\xff\xff")
            continue
        room -= len(data)
        pieces += [len(data).to_bytes(4, "big"), data]
    call.hub.repositories.count_download(row.id)
    return Response(b"".join(pieces), headers={"X-Repo-Commit": commit.oid}, media_type="application/octet-stream")


@repository.add("GET", "safetensors-metadata")
def safetensors(call: Call) -> Response:
    """Return the headers of all files that an index of weights on ``main`` names, in one answer."""
    path = "/".join(call.rest)
    headers: dict[str, Any] = {}
    with call.hub.database.read() as connection:
        row = call.readable(connection)
        head = call.hub.repositories.revision(connection, row.id, "main")
        text = call.hub.commits.small_file(connection, head.tree, path, _INDEX)
        if text is None:
            raise entry_not_found(path, head.oid)
        try:
            index = json.loads(text)
            names = sorted(set(index["weight_map"].values()))
            metadata = index.get("metadata")
        except (ValueError, KeyError, TypeError, AttributeError):
            raise HubServerError(422, f"{path!r} is no index of safetensors files") from None
        if len(names) > _SHARDS:
            raise HubServerError(422, f"{path!r} names {len(names)} files, and more than {_SHARDS} are not read")
        found = {
            name: trees.find(connection, head.tree, posixpath.join(posixpath.dirname(path), name)) for name in names
        }
        blobs = {
            name: call.hub.commits.blob(connection, entry.oid) for name, entry in found.items() if entry is not None
        }
    for name in names:
        if name not in blobs:
            raise entry_not_found(name, head.oid)
        blob = blobs[name]
        source = bytes(blob.data) if blob.data is not None else call.hub.contents.source(blob.sha256)
        try:
            with open_content(source) as reader:
                headers[name] = raw_header(reader, blob.size)
        except ValueError as error:
            raise HubServerError(422, f"{name}: {error}") from None
    return JSONResponse({"index": {"metadata": metadata}, "headers": headers})


@pages.add("GET HEAD", "resolve")
def resolve(call: Call) -> Response:
    """Send a file."""
    return send_file(call, attachment=True)


@pages.add("GET HEAD", "raw")
def raw(call: Call) -> Response:
    """Send a file as git holds it: an LFS file's content is sent as well, since this Hub has no pointers to show."""
    return send_file(call, attachment=False)


def send_file(call: Call, *, attachment: bool) -> Response:
    """Return the response for a file: 200, 206, 304 or an error."""
    with call.hub.database.read() as connection:
        row = call.readable(connection)
        commit, path = split_revision(call, connection, row.id)
        entry = trees.find(connection, commit.tree, path)
        if entry is None or entry.folder:
            raise entry_not_found(path, commit.oid)
        blob = call.hub.commits.blob(connection, entry.oid)
        head, chunked, xet = call.request.method == "HEAD", None, None
        if blob.lfs and head:
            xet = call.hub.xet.hash_of(connection, blob.sha256)
        elif blob.lfs:
            chunked = call.hub.xet.find(sha256=blob.sha256, connection=connection)
            xet = chunked.hash if chunked else None
    etag = f'"{blob.sha256 if blob.lfs else blob.oid}"'
    headers = {
        "ETag": etag,
        "X-Repo-Commit": commit.oid,
        "Accept-Ranges": "bytes",
        "Cache-Control": "no-cache" if not row.private else "private, no-cache",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Content-Disposition": _disposition(path, attachment),
    }
    if blob.lfs:
        headers |= {"X-Linked-ETag": etag, "X-Linked-Size": str(blob.size)}
    if xet is not None:
        rights = f"{call.base}/api/{call.kind}/{row.name}/xet-read-token/{commit.oid}"
        headers |= {"X-Xet-Hash": xet, "X-Xet-Refresh-Route": rights, "Link": f'<{rights}>; rel="xet-auth"'}
    if etag in (call.request.headers.get("if-none-match") or "").replace("W/", "").split(", "):
        return Response(status_code=304, headers={**headers, "Content-Length": "0"})
    unchanged = call.request.headers.get("if-range") in {None, etag}
    span = byte_range(call.request.headers.get("range"), blob.size) if unchanged else None
    if not head and (span is None or span[0] == 0):
        call.hub.repositories.count_download(row.id)
    upstream = call.hub.upstream
    source: Path | bytes | Callable[[], Reader] = b""
    if blob.data is not None:
        source = bytes(blob.data)
    elif upstream is not None and not head and upstream.lacks(blob.oid):
        if span is None:  # pass it on while it comes
            headers["Content-Length"] = str(blob.size)
            return StreamingResponse(_passed_on(call, blob), headers=headers, media_type=_media_type(path))
        source = upstream.fetch(blob.oid)
    elif not head:
        source = call.hub.contents.opened(blob.sha256, chunked)
    return FileContent(
        source,
        blob.size,
        span=span,
        headers=headers,
        media_type=_media_type(path),
    )


def _passed_on(call: Call, blob: Row[Any]) -> Iterator[bytes]:
    """Yield a content while it comes from the upstream; or from the store, when somebody else was quicker."""
    assert call.hub.upstream is not None
    empty = True
    for piece in call.hub.upstream.stream(blob.oid):
        empty = False
        yield piece
    if empty and blob.size:
        with open_source(call.hub.upstream.fetch(blob.oid)) as reader:
            while piece := reader.read(1 << 20):
                yield piece


def _media_type(path: str) -> str:
    found, encoding = mimetypes.guess_type(path)
    if encoding:
        return f"application/{encoding}"
    if found is None:
        return "application/octet-stream"
    return "text/plain" if any(word in found for word in _ACTIVE) else found


def _disposition(path: str, attachment: bool) -> str:
    name = path.rsplit("/", 1)[-1]
    plain = name.encode("ascii", "replace").decode().replace('"', "_").replace("\\", "_")
    kind = "attachment" if attachment else "inline"
    return f"{kind}; filename*=UTF-8''{quote(name, safe='')}; filename=\"{plain}\""
