"""Folders and files of a repository: listed, shown, and what a file of weights holds."""

from __future__ import annotations

import mimetypes
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Row
from starlette.responses import Response

from enfold.hubserver import trees
from enfold.hubserver.errors import HubServerError, entry_not_found
from enfold.hubserver.files import open_content
from enfold.hubserver.routes.call import Call, Routes
from enfold.hubserver.routes.content import split_revision
from enfold.hubserver.tensors import Header, read_header
from enfold.hubserver.web.frame import repo_page
from enfold.hubserver.web.layout import PREVIEW, address_of, whole_number

__all__ = ["crumbs", "entries", "repository", "revision_of"]

repository = Routes()

_PICTURES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp", "image/avif"})
_TENSORS = 300  # in a page
_ENTRIES = 1_000  # in a page
_LOOK_BACK = 300  # commits that are looked through for who changed a file last


@repository.add("GET HEAD", "tree")
def tree(call: Call) -> Response:
    """Show a folder."""
    with call.hub.database.read() as connection:
        row = call.repo(connection)
        head, path = split_revision(call, connection, row.id)
        found = trees.find(connection, head.tree, path)
        if found is None or not found.folder:
            raise entry_not_found(path, head.oid)
        revision = revision_of(call, path)
        files = entries(call, connection, row, head, found.oid, path, revision)
        start = whole_number(call, "start")
        refs = [
            ref.name.split("/", 2)[2]
            for ref in call.hub.repositories.refs(connection, row.id)
            if ref.name.startswith(("refs/heads/", "refs/tags/"))
        ]
        return repo_page(
            call,
            connection,
            row,
            "tree.html",
            tab="files",
            crumbs=crumbs(row, revision, path, "tree"),
            files=files[start : start + _ENTRIES],
            more=start + _ENTRIES if len(files) > start + _ENTRIES else None,
            count=len(files),
            revision=revision,
            head=head,
            branches=[(name, f"{address_of(row)}/tree/{quote(name, safe='')}") for name in refs[:50]],
        )


def entries(
    call: Call,
    connection: Connection,
    row: Row[Any],
    head: Row[Any],
    oid: str,
    prefix: str,
    revision: str,
    *,
    changes: bool = True,
) -> list[dict[str, Any]]:
    """Return what a folder holds, as pages list it: folders first.

    Args:
        call: the request.
        connection: a transaction.
        row: the repository.
        head: the commit.
        oid: the folder's tree.
        prefix: its path.
        revision: what the addresses call the commit.
        changes: whether to say which commit changed each file last, where that is quickly found.
    """
    found = trees.read(connection, oid)
    blobs = call.hub.commits.blobs(connection, [entry.oid for entry in found.values() if not entry.folder])
    base, rev = address_of(row), quote(revision, safe="")
    paths = {name: f"{prefix}/{name}" if prefix else name for name in found}
    last = {}
    if changes and head.generation <= _LOOK_BACK and len(found) <= 100:
        last = call.hub.commits.last_changes(connection, row.id, head, list(paths.values()))
    files = []
    for name, entry in sorted(found.items(), key=lambda item: (not item[1].folder, item[0].lower())):
        blob = blobs.get(entry.oid)
        files.append(
            {
                "name": name,
                "folder": entry.folder,
                "address": f"{base}/{'tree' if entry.folder else 'blob'}/{rev}/{quote(paths[name])}",
                "download": None if entry.folder else f"{base}/resolve/{rev}/{quote(paths[name])}",
                "size": None if blob is None else blob.size,
                "large": blob is not None and blob.lfs,
                "last": last.get(paths[name]),
            }
        )
    return files


@repository.add("GET HEAD", "blob")
def blob(call: Call) -> Response:
    """Show a file: its text when it is short, a picture, the tensors of a file of weights; else how to get it."""
    with call.hub.database.read() as connection:
        row = call.readable(connection)
        head, path = split_revision(call, connection, row.id)
        entry = trees.find(connection, head.tree, path)
        if entry is None or entry.folder:
            raise entry_not_found(path, head.oid)
        stored = call.hub.commits.blob(connection, entry.oid)
        text = _text(call, stored) if stored.size <= PREVIEW else None
        revision = revision_of(call, path)
        last = call.hub.commits.last_changes(connection, row.id, head, [path]) if head.generation <= _LOOK_BACK else {}
        download = f"{address_of(row)}/resolve/{quote(revision, safe='')}/{quote(path)}"
        picture = mimetypes.guess_type(path)[0] in _PICTURES
        header, problem = (None, None)
        if path.endswith(".safetensors"):
            header, problem = _header(call, stored)
        start = whole_number(call, "start")
        return repo_page(
            call,
            connection,
            row,
            "blob.html",
            tab="files",
            crumbs=crumbs(row, revision, path, "blob"),
            file=path.rsplit("/", 1)[-1],
            stored=stored,
            lines=None if text is None else text.split("\n"),
            picture=picture,
            why_not="It is too large to be shown here." if stored.size > PREVIEW else "It is not text.",
            header=header,
            problem=problem,
            start=start,
            tensors=header.tensors[start : start + _TENSORS] if header else [],
            more=start + _TENSORS if header and len(header.tensors) > start + _TENSORS else None,
            download=download,
            raw=download.replace("/resolve/", "/raw/", 1),
            history=f"{address_of(row)}/commits/{quote(revision, safe='')}/{quote(path)}",
            last=last.get(path),
        )


def _text(call: Call, stored: Row[Any]) -> str | None:
    try:
        text = call.hub.commits.content(stored).decode("utf-8")
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text.removesuffix("\n")


def _header(call: Call, stored: Row[Any]) -> tuple[Header | None, str | None]:
    source = bytes(stored.data) if stored.data is not None else call.hub.contents.source(stored.sha256)
    try:
        with open_content(source) as reader:
            return read_header(reader, stored.size), None
    except (ValueError, OSError, HubServerError) as error:
        return None, str(error)


def revision_of(call: Call, path: str) -> str:
    """Return the revision of an address: what stands before the path."""
    whole = "/".join(call.rest)
    return (whole[: -len(path)] if path else whole).strip("/")


def crumbs(row: Row[Any], revision: str, path: str, action: str) -> list[dict[str, str | None]]:
    """Return the names on the way to a path, with their addresses; the last is where one is."""
    root = f"{address_of(row)}/tree/{quote(revision, safe='')}"
    found: list[dict[str, str | None]] = [{"name": revision, "address": root if path else None}]
    parts = path.split("/") if path else []
    for count, part in enumerate(parts, 1):
        address = f"{root}/{quote('/'.join(parts[:count]))}" if count < len(parts) else None
        found.append({"name": part, "address": address})
    return found
