"""History rewritten: made short, copied into another repository, or freed of large files."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from enfold.hubserver import database as db
from enfold.hubserver import search, trees
from enfold.hubserver.accounts import Viewer
from enfold.hubserver.commits import Commits, Header
from enfold.hubserver.errors import HubServerError
from enfold.hubserver.gitobjects import commit_bytes, object_oid
from enfold.hubserver.repositories import Repositories

__all__ = ["History"]


class History:
    """What changes the history of a repository instead of adding to it.

    Args:
        database: where it is kept.
        repositories: finds repositories with the caller's rights.
        commits: reads and makes commits.
    """

    def __init__(self, database: db.Database, repositories: Repositories, commits: Commits) -> None:
        self._database, self._repositories, self._commits = database, repositories, commits

    def squash(self, kind: str, name: str, viewer: Viewer | None, branch: str, title: str) -> str:
        """Let a branch (or what ``refs/pr/…`` and ``refs/convert/…`` name) begin with one commit of all that it holds;
        return that commit."""
        ref = branch if branch.startswith(("refs/heads/", "refs/pr/", "refs/convert/")) else f"refs/heads/{branch}"
        with self._database.write() as connection:
            repo = self._repositories.follow(connection, kind, name, viewer, write=True)
            assert viewer is not None
            head = self._repositories.revision(connection, repo.id, ref)
            return self._begin(connection, repo, viewer, ref, head.tree, title)

    def _begin(self, connection: Connection, repo: Row[Any], viewer: Viewer, ref: str, root: str, title: str) -> str:
        table = db.ref
        connection.execute(delete(table).where(table.c.repo_id == repo.id, table.c.name == ref))
        return self._commits.record(connection, repo, viewer, ref, None, root, Header(title))

    def duplicate(
        self, kind: str, name: str, viewer: Viewer | None, target: str, *, private: bool | None = None
    ) -> str:
        """Copy a repository with its history, and return the new id.

        Its discussions, its likes and who may read it are not copied; it is private if the other one is, unless
        ``private`` says otherwise.
        """
        with self._database.write() as connection:
            source = self._repositories.follow(connection, kind, name, viewer)
            if source.gated != "false" and (viewer is None or not viewer.reads(source)):
                raise HubServerError(403, f"{source.name} is gated: its files are not to be copied")
            shut = source.private if private is None else private
            made = self._repositories.insert(connection, kind, target, viewer, private=shut, sdk=source.sdk)
            for table in (db.commit, db.repo_lfs, db.repo_tag):
                rows = connection.execute(select(table).where(table.c.repo_id == source.id)).mappings().all()
                if rows:
                    connection.execute(insert(table), [{**row, "repo_id": made.id} for row in rows])
            refs = connection.execute(select(db.ref).where(db.ref.c.repo_id == source.id)).mappings().all()
            kept = [{**row, "repo_id": made.id} for row in refs if not row["name"].startswith("refs/pr/")]
            connection.execute(insert(db.ref), kept)
            values = {"card": source.card, "facts": source.facts}
            connection.execute(update(db.repo).where(db.repo.c.id == made.id).values(**values))
            self._repositories.quota.require(connection, made.namespace, 0)
            search.note(connection, [made.id])
            return str(made.name)

    def forget(self, kind: str, name: str, viewer: Viewer | None, shas: set[str], *, rewrite: bool) -> None:
        """Take large files out of a repository: out of every commit with ``rewrite``, else out of its branches' heads.

        Commits that held them get new ids, and those after them.

        Raises:
            HubServerError: 404, the repository has no such file.
        """
        with self._database.write() as connection:
            repo = self._repositories.follow(connection, kind, name, viewer, write=True)
            assert viewer is not None
            table = db.repo_lfs
            known = set(connection.scalars(select(table.c.sha256).where(table.c.repo_id == repo.id)))
            if absent := shas - known:
                raise HubServerError(404, f"{repo.name} has no large file {min(absent)}")
            refs = self._repositories.refs(connection, repo.id)
            if rewrite:
                self._rewrite(connection, repo, refs, shas)
            else:
                for ref in refs:
                    if ref.name.startswith("refs/heads/"):
                        self._drop(connection, repo, viewer, ref.name, shas)
            connection.execute(delete(table).where(table.c.repo_id == repo.id, table.c.sha256.in_(sorted(shas))))

    def _drop(self, connection: Connection, repo: Row[Any], viewer: Viewer, ref: str, shas: set[str]) -> None:
        head = self._repositories.revision(connection, repo.id, ref)
        root = self._without(connection, head.tree, shas)
        if root != head.tree:
            self._commits.record(connection, repo, viewer, ref, head, root, Header("Delete large files"))

    def _rewrite(self, connection: Connection, repo: Row[Any], refs: Sequence[Row[Any]], shas: set[str]) -> None:
        table = db.commit
        rows = connection.execute(
            select(table).where(table.c.repo_id == repo.id).order_by(table.c.generation)
        ).mappings()
        moved: dict[str, str] = {}
        for row in rows.all():
            root = self._without(connection, row["tree"], shas)
            parent = moved.get(row["parent"], row["parent"])
            if (root, parent) == (row["tree"], row["parent"]):
                continue
            title, more = row["title"], row["description"]
            message = f"{title}\n\n{more}" if more else title
            email = f"{row['author']}@users.noreply"
            data = commit_bytes(root, parent, row["author"], email, row["created"], message)
            oid = object_oid("commit", data)
            moved[row["oid"]] = oid
            connection.execute(insert(table).values({**row, "oid": oid, "tree": root, "parent": parent, "data": data}))
        for ref in refs:
            if ref.commit in moved:
                named = (db.ref.c.repo_id == repo.id) & (db.ref.c.name == ref.name)
                connection.execute(update(db.ref).where(named).values(commit=moved[ref.commit]))
        for old, new in moved.items():
            connection.execute(delete(table).where(table.c.repo_id == repo.id, table.c.oid == old))
            for name in ("start", "merged"):
                column = db.discussion.c[name]
                said = (db.discussion.c.repo_id == repo.id) & (column == old)
                connection.execute(update(db.discussion).where(said).values({name: new}))
        if moved:
            connection.execute(update(db.repo).where(db.repo.c.id == repo.id).values(modified=time.time()))

    def _without(self, connection: Connection, root: str, shas: set[str]) -> str:
        """Return the tree ``root`` without the large files that have one of these contents."""
        files = [(path, entry.oid) for path, entry in trees.walk(connection, root) if not entry.folder]
        blobs = self._commits.blobs(connection, [oid for _, oid in files])
        gone = {path: None for path, oid in files if blobs[oid].lfs and blobs[oid].sha256 in shas}
        return trees.change(connection, root, gone) if gone else root
