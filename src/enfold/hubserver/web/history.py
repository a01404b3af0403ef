"""The history of a repository or of one file, and what a commit changed."""

from __future__ import annotations

from typing import Any, NamedTuple
from urllib.parse import quote

from sqlalchemy import Connection, Row, select
from starlette.responses import Response

from enfold.hubserver import database as db
from enfold.hubserver import trees
from enfold.hubserver.diffs import file_diff
from enfold.hubserver.gitobjects import EMPTY_TREE
from enfold.hubserver.names import is_commit
from enfold.hubserver.routes.call import Call, Routes
from enfold.hubserver.routes.content import split_revision
from enfold.hubserver.web.files import revision_of
from enfold.hubserver.web.frame import repo_page
from enfold.hubserver.web.layout import address_of

__all__ = ["Changed", "changes_between", "repository"]

repository = Routes()

_PAGE = 50
_LOOK_BACK = 2_000  # commits that are looked through for the history of a file
_FILES, _LINES = 100, 5_000  # of a difference that a page shows


@repository.add("GET HEAD", "commits")
def commits(call: Call) -> Response:
    """Show the commits of a revision, or those that changed one file, newest first."""
    with call.hub.database.read() as connection:
        row = call.repo(connection)
        head, path = split_revision(call, connection, row.id)
        start = call.query("from") or ""
        begin = start if is_commit(start) else head.oid
        if path:
            found, more = _of_path(connection, row.id, begin, path)
        else:
            rows = call.hub.commits.history(connection, row.id, begin, _PAGE + 1)
            found, more = rows[:_PAGE], (rows[_PAGE].oid if len(rows) > _PAGE else None)
        return repo_page(
            call,
            connection,
            row,
            "commits.html",
            tab="history",
            path=path,
            revision=revision_of(call, path),
            history=found,
            more=more,
            count=head.generation + 1,
        )


def _commit(connection: Connection, repo_id: int, oid: str) -> Row[Any] | None:
    table = db.commit
    return connection.execute(select(table).where(table.c.repo_id == repo_id, table.c.oid == oid)).one_or_none()


def _of_path(connection: Connection, repo_id: int, begin: str, path: str) -> tuple[list[Row[Any]], str | None]:
    """Return a page of the commits that changed a path, and where the next one begins."""
    found: list[Row[Any]] = []
    current = _commit(connection, repo_id, begin)
    entry = trees.find(connection, current.tree, path) if current else None
    for _ in range(_LOOK_BACK):
        if current is None:
            return found, None
        parent = _commit(connection, repo_id, current.parent) if current.parent else None
        before = trees.find(connection, parent.tree, path) if parent else None
        if before != entry:
            if len(found) == _PAGE:
                return found, str(current.oid)
            found.append(current)
        current, entry = parent, before
    return found, None if current is None else str(current.oid)


@repository.add("GET HEAD", "commit")
def commit(call: Call) -> Response:
    """Show one commit and what it changed."""
    with call.hub.database.read() as connection:
        row = call.readable(connection)
        found, _ = split_revision(call, connection, row.id)
        parent = _commit(connection, row.id, found.parent) if found.parent else None
        files, cut = changes_between(
            call, connection, row, parent.tree if parent else EMPTY_TREE, found.tree, found.oid
        )
        return repo_page(
            call, connection, row, "commit.html", tab="history", commit=found, parent=parent, files=files, cut=cut
        )


class Changed(NamedTuple):
    """One file of a difference: what happened to it, and its lines as ``(class, sign, text)``."""

    path: str
    what: str
    address: str | None
    lines: list[tuple[str, str, str]]
    added: int
    removed: int
    binary: bool


def changes_between(
    call: Call, connection: Connection, row: Row[Any], before: str, after: str, revision: str
) -> tuple[list[Changed], bool]:
    """Return the files that differ between two trees, and whether there are more than a page shows."""
    files: list[Changed] = []
    left = _LINES
    for change in trees.diff(connection, before, after):
        if len(files) == _FILES or left <= 0:
            return files, True
        lines = []
        text = file_diff(connection, call.hub.commits, change)
        _, _, body = text.partition("\n@@")
        for line in (f"@@{body}".splitlines() if body else [])[:left]:
            kind = {"@": "place", "+": "added", "-": "removed"}.get(line[:1], "same")
            lines.append((kind, "" if kind == "place" else line[:1], line if kind == "place" else line[1:]))
        left -= len(lines)
        what = "added" if change.before is None else "deleted" if change.after is None else "changed"
        address = f"{address_of(row)}/blob/{quote(revision, safe='')}/{quote(change.path)}" if change.after else None
        added, removed = (sum(kind == wanted for kind, _, _ in lines) for wanted in ("added", "removed"))
        files.append(Changed(change.path, what, address, lines, added, removed, "\nBinary files " in text))
    return files, False
