"""Repositories: made, found with the caller's rights, moved, deleted, listed; and their references."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, insert, or_, select, update

from enfold.hubserver import database as db
from enfold.hubserver import search, trending
from enfold.hubserver.accounts import Accounts, Viewer
from enfold.hubserver.errors import HubServerError, repo_not_found, revision_not_found
from enfold.hubserver.names import KINDS, check_branch, check_name, is_commit
from enfold.hubserver.quota import Quota
from enfold.hubserver.webhooks import Webhooks

__all__ = ["Redirected", "Repositories"]

MAIN = "refs/heads/main"

# What every request asks is put together once: that takes longer than to answer it.
_BY_NAME = select(db.repo).where(db.repo.c.kind == bindparam("kind"), db.repo.c.key == bindparam("key"))
_BY_OID = select(db.commit).where(db.commit.c.repo_id == bindparam("repo"), db.commit.c.oid == bindparam("oid"))
_BY_BEGINNING = (
    select(db.commit)
    .where(db.commit.c.repo_id == bindparam("repo"))
    .where(db.commit.c.oid >= bindparam("first"), db.commit.c.oid < bindparam("last"))
    .limit(2)
)
_SHORT = re.compile(r"[0-9a-f]{7,39}")  # the beginning of a commit's id
_BY_REF = (
    select(db.commit)
    .join(db.ref, (db.ref.c.repo_id == db.commit.c.repo_id) & (db.ref.c.commit == db.commit.c.oid))
    .where(db.ref.c.repo_id == bindparam("repo"))
    .where(or_(db.ref.c.name == bindparam("branch"), db.ref.c.name == bindparam("tag")))
    .order_by(db.ref.c.name)
    .limit(1)
)


class Redirected(Exception):
    """The id asked for is another name of the repository ``target``."""

    def __init__(self, target: str) -> None:
        super().__init__(target)
        self.target = target


class Repositories:
    """The repositories of a server, and who may do what with them.

    Args:
        database: where they are kept.
        accounts: the accounts that own them.
        webhooks: told of what happens.
        quota: how much namespaces may hold; as much as they like by default.
    """

    def __init__(
        self, database: db.Database, accounts: Accounts, webhooks: Webhooks, quota: Quota | None = None
    ) -> None:
        self._database, self._accounts, self.webhooks = database, accounts, webhooks
        self.quota = quota or Quota()
        self.mirrors = False  #: whether some repositories may be copies of another Hub's
        self._counts: dict[int, int] = {}
        self._counts_lock = threading.Lock()
        search.prepare(database)

    # ------------------------------------------------------------------ finding

    def find(
        self, connection: Connection, kind: str, name: str, viewer: Viewer | None, *, write: bool = False
    ) -> Row[Any]:
        """Return the repository ``name`` for a viewer who may read it (or, with ``write``, change it).

        Raises:
            Redirected: ``name`` is an alias of a repository that exists.
            HubServerError: 401 or 404 when there is none that the viewer may see, 403 when it may not be changed.
        """
        row = self._by_name(connection, kind, name)
        if row is None:
            target = self._alias_of(connection, kind, name)
            if target is None:
                raise repo_not_found(viewer is None)
            raise Redirected(target)
        if row.private and (viewer is None or not viewer.reads(row)):
            raise repo_not_found(viewer is None)
        if write:
            self._require_write(viewer, row.namespace, (row.kind, row.key))
            if self.mirrors and self.is_mirror(connection, row.id):
                raise HubServerError(403, f"{row.name} is a copy of an upstream Hub's: change it there")
        return row

    def follow(
        self, connection: Connection, kind: str, name: str, viewer: Viewer | None, *, write: bool = False
    ) -> Row[Any]:
        """Like :meth:`find`, but an alias is resolved in place."""
        try:
            return self.find(connection, kind, name, viewer, write=write)
        except Redirected as other:
            return self.find(connection, kind, other.target, viewer, write=write)

    def propose(self, connection: Connection, kind: str, name: str, viewer: Viewer | None) -> tuple[Row[Any], Viewer]:
        """Return the repository for somebody who may comment on it and propose changes: every reader whose token says
        so."""
        row = self.follow(connection, kind, name, viewer)
        if viewer is None:
            raise HubServerError(401, "Invalid username or password.")
        if not viewer.allows("repo.write", row.namespace, (row.kind, row.key)):
            viewer.require("discussion.write", row.namespace, (row.kind, row.key))
        return row, viewer

    def _by_name(self, connection: Connection, kind: str, name: str) -> Row[Any] | None:
        return connection.execute(_BY_NAME, {"kind": kind, "key": name.lower()}).one_or_none()

    def _alias_of(self, connection: Connection, kind: str, name: str) -> str | None:
        """Return the existing repository that ``name`` is paired with: aliases lead both ways."""
        key = name.lower()
        rows = connection.execute(
            select(db.alias).where(db.alias.c.kind == kind, or_(db.alias.c.key == key, db.alias.c.target_key == key))
        ).all()
        for row in rows:
            other = row.target if row.key == key else row.name
            found = self._by_name(connection, kind, other)
            if found is not None:
                return str(found.name)
        return None

    def is_mirror(self, connection: Connection, repo_id: int) -> bool:
        """Say whether a repository is a copy of an upstream Hub's."""
        table = db.mirror
        return connection.scalar(select(table.c.repo_id).where(table.c.repo_id == repo_id)) is not None

    def has_alias(self, kind: str, name: str) -> bool:
        """Say whether an id is another name of a repository of this Hub."""
        with self._database.read() as connection:
            return self._alias_of(connection, kind, name) is not None

    def _require_write(self, viewer: Viewer | None, namespace: str, repo: tuple[str, str] | None = None) -> None:
        if viewer is None:
            raise HubServerError(401, "Invalid username or password.")
        if not viewer.may_write(namespace):
            raise HubServerError(403, f"You don't have the rights to write in the namespace {namespace!r}")
        viewer.require("repo.write", namespace, repo)

    def revision(self, connection: Connection, repo_id: int, revision: str) -> Row[Any]:
        """Return the commit that a branch, tag, reference or commit id (also its beginning, where no other commit
        has it) stands for, else raise a 404."""
        names = (revision, revision) if revision.startswith("refs/") else (f"refs/heads/{revision}",
                                                                           f"refs/tags/{revision}")  # fmt: skip
        row = connection.execute(_BY_REF, {"repo": repo_id, "branch": names[0], "tag": names[1]}).first()
        if row is None and is_commit(revision):
            row = connection.execute(_BY_OID, {"repo": repo_id, "oid": revision}).one_or_none()
        elif row is None and _SHORT.fullmatch(revision):
            few = connection.execute(_BY_BEGINNING, {"repo": repo_id, "first": revision, "last": f"{revision}g"}).all()
            row = few[0] if len(few) == 1 else None
        if row is None:
            raise revision_not_found(revision)
        return row

    # ------------------------------------------------------------------ making and changing

    def insert(
        self, connection: Connection, kind: str, name: str, viewer: Viewer | None, *, private: bool, sdk: str | None
    ) -> Row[Any]:
        """Insert a repository without any commit; 409 when it exists, 403 outside the viewer's namespaces."""
        namespace, _, short = name.partition("/")
        check_name(namespace, "account")
        check_name(short)
        if viewer is not None and viewer.admin:
            self._accounts.ensure_namespace(connection, namespace)
        self._require_write(viewer, namespace)
        if self._by_name(connection, kind, name) is not None:
            raise HubServerError(409, f"You already created this {KINDS[kind]} repo: {name}")
        return self.add(connection, kind, name, private=private, sdk=sdk)

    def add(self, connection: Connection, kind: str, name: str, *, private: bool, sdk: str | None) -> Row[Any]:
        """Insert a repository that does not exist, for whoever has seen to it that it may."""
        namespace = name.partition("/")[0]
        # A new repository takes its name back from a redirect that an earlier move left.
        connection.execute(delete(db.alias).where(db.alias.c.kind == kind, db.alias.c.key == name.lower()))
        values = {"key": name.lower(), "namespace": namespace.lower(), "private": private, "sdk": sdk}
        connection.execute(insert(db.repo).values(kind=kind, name=name, **values))
        row = self._by_name(connection, kind, name)
        assert row is not None
        search.note(connection, [row.id])
        self.webhooks.note(connection, row, "repo", "create")
        return row

    def delete(self, kind: str, name: str, viewer: Viewer | None) -> None:
        """Delete a repository, its history and its aliases."""
        with self._database.write() as connection:
            row = self.find(connection, kind, name, viewer, write=True)
            self.webhooks.note(connection, row, "repo", "delete")
            search.forget(connection, [row.id])
            connection.execute(delete(db.repo).where(db.repo.c.id == row.id))
            connection.execute(delete(db.alias).where(db.alias.c.kind == kind, db.alias.c.target_key == row.key))

    def move(self, kind: str, source: str, target: str, viewer: Viewer | None) -> None:
        """Rename a repository; its old id leads to the new one from then on."""
        with self._database.write() as connection:
            row = self.find(connection, kind, source, viewer, write=True)
            namespace, _, short = target.partition("/")
            check_name(namespace, "account")
            check_name(short)
            if viewer is not None and viewer.admin:
                self._accounts.ensure_namespace(connection, namespace)
            self._require_write(viewer, namespace)
            other = self._by_name(connection, kind, target)
            if other is not None and other.id != row.id:
                raise HubServerError(409, f"A {KINDS[kind]} repository called {target} already exists")
            connection.execute(
                update(db.repo)
                .where(db.repo.c.id == row.id)
                .values(name=target, key=target.lower(), namespace=namespace.lower())
            )
            search.note(connection, [row.id])
            connection.execute(
                update(db.alias)
                .where(db.alias.c.kind == kind, db.alias.c.target_key == row.key)
                .values(target=target, target_key=target.lower())
            )
            connection.execute(delete(db.alias).where(db.alias.c.kind == kind, db.alias.c.key == target.lower()))
            if row.key != target.lower():
                self._insert_alias(connection, kind, row.name, target)
            self.quota.require(connection, namespace.lower(), 0)
            self.webhooks.note(connection, row, "repo", "move", movedTo={"name": target, "owner": {"id": namespace}})

    def add_alias(self, kind: str, name: str, target: str) -> None:
        """Pair two ids: whichever of them is a repository answers for the other."""
        for part in (*name.split("/"), *target.split("/")):
            check_name(part)
        with self._database.write() as connection:
            connection.execute(delete(db.alias).where(db.alias.c.kind == kind, db.alias.c.key == name.lower()))
            self._insert_alias(connection, kind, name, target)

    def _insert_alias(self, connection: Connection, kind: str, name: str, target: str) -> None:
        connection.execute(
            insert(db.alias).values(kind=kind, key=name.lower(), name=name, target=target, target_key=target.lower())
        )

    def change_settings(self, kind: str, name: str, viewer: Viewer | None, values: dict[str, Any]) -> None:
        """Set ``private`` (bool) or ``gated`` ("auto", "manual", "false")."""
        with self._database.write() as connection:
            row = self.find(connection, kind, name, viewer, write=True)
            if values:
                connection.execute(update(db.repo).where(db.repo.c.id == row.id).values(**values))
                self.webhooks.note(connection, row, "repo.config", "update", updatedConfig=values)

    # ------------------------------------------------------------------ references

    def refs(self, connection: Connection, repo_id: int) -> Sequence[Row[Any]]:
        """Return every reference of a repository, by name."""
        return connection.execute(select(db.ref).where(db.ref.c.repo_id == repo_id).order_by(db.ref.c.name)).all()

    def create_ref(self, kind: str, name: str, viewer: Viewer | None, prefix: str, ref: str, start: str | None) -> None:
        """Make the branch or tag ``ref`` (``prefix`` is "refs/heads/" or "refs/tags/") at ``start`` (main)."""
        with self._database.write() as connection:
            row = self.follow(connection, kind, name, viewer, write=True)
            commit = self.revision(connection, row.id, start or "main")
            full = prefix + check_branch(ref)
            if connection.scalar(select(db.ref.c.name).where(db.ref.c.repo_id == row.id, db.ref.c.name == full)):
                raise HubServerError(409, f"Reference {full} already exists")
            connection.execute(insert(db.ref).values(repo_id=row.id, name=full, commit=commit.oid))
            self.note_ref(connection, row, full, None, commit.oid)

    def delete_ref(self, kind: str, name: str, viewer: Viewer | None, prefix: str, ref: str) -> None:
        """Delete a branch or a tag; 404 when there is none."""
        full = prefix + ref
        if full == MAIN:
            raise HubServerError(400, f"Cannot delete {MAIN}")
        with self._database.write() as connection:
            row = self.follow(connection, kind, name, viewer, write=True)
            keys = (db.ref.c.repo_id == row.id) & (db.ref.c.name == full)
            old = connection.scalar(select(db.ref.c.commit).where(keys))
            if old is None:
                raise revision_not_found(ref)
            connection.execute(delete(db.ref).where(keys))
            self.note_ref(connection, row, full, old, None)

    def note_ref(self, connection: Connection, repo: Row[Any], ref: str, old: str | None, new: str | None) -> None:
        """Tell webhooks that a reference names another commit; None where there was or is none."""
        changes = [{"ref": ref, "oldSha": old, "newSha": new}]
        self.webhooks.note(connection, repo, "repo.content", "update", updatedRefs=changes)

    # ------------------------------------------------------------------ lists

    def page(
        self,
        connection: Connection,
        kind: str,
        viewer: Viewer | None,
        *,
        words: Iterable[str] = (),
        author: str | None = None,
        tags: Iterable[str] = (),
        sort: str = "lastModified",
        limit: int,
        after: tuple[float, int] | None = None,
        **more: Any,
    ) -> Sequence[Row[Any]]:
        """Return repositories that the viewer may see, in descending order.

        Args:
            connection: a transaction.
            kind: "models", "datasets" or "spaces".
            viewer: who asks.
            words: words that the id must contain.
            author: the namespace.
            tags: tags that the repository must all have.
            sort: "lastModified", "createdAt", "downloads", "likes" or "trendingScore".
            limit: how many at most.
            after: the sort value and the key of the last repository of the page before.
            more: the other members of :class:`~enfold.hubserver.search.Wanted`.
        """
        self.flush_counts()
        wanted = search.Wanted(kind, tuple(words), author, tuple(tags), sort, after, **more)
        return search.find(connection, wanted, viewer, limit)

    def tags(self, connection: Connection, ids: Sequence[int]) -> dict[int, list[str]]:
        """Return the tags of several repositories."""
        found: dict[int, list[str]] = {key: [] for key in ids}
        rows = connection.execute(
            select(db.repo_tag)
            .where(db.repo_tag.c.repo_id.in_(ids))
            .order_by(db.repo_tag.c.repo_id, db.repo_tag.c.position)
        )
        for row in rows:
            found[row.repo_id].append(row.tag)
        return found

    def describe(
        self, connection: Connection, repo_id: int, card: dict[str, Any], facts: dict[str, Any], tags: list[str]
    ) -> None:
        """Remember what a repository's head says about it."""
        values = {"card": json.dumps(card), "facts": json.dumps(facts), "modified": time.time()}
        number = facts.get("safetensors", {}).get("total")
        connection.execute(update(db.repo).where(db.repo.c.id == repo_id).values(**values, parameters=number))
        connection.execute(delete(db.repo_tag).where(db.repo_tag.c.repo_id == repo_id))
        if tags:
            rows = [{"repo_id": repo_id, "tag": tag, "position": position} for position, tag in enumerate(tags)]
            connection.execute(insert(db.repo_tag), rows)
        search.note(connection, [repo_id])

    def count_download(self, repo_id: int) -> None:
        """Count a download; counts reach the database in batches."""
        with self._counts_lock:
            self._counts[repo_id] = self._counts.get(repo_id, 0) + 1

    def flush_counts(self) -> None:
        """Write the downloads counted so far."""
        with self._counts_lock:
            counts, self._counts = self._counts, {}
        if counts:
            with self._database.write() as connection:
                now, names = time.time(), list(counts)
                for start in range(0, len(names), 500):
                    part = select(db.repo.c.id, db.repo.c.trend).where(db.repo.c.id.in_(names[start : start + 500]))
                    for row in connection.execute(part).all():
                        trend = trending.add(row.trend, counts[row.id] * trending.DOWNLOAD, at=now)
                        number = db.repo.c.downloads + counts[row.id]
                        this = update(db.repo).where(db.repo.c.id == row.id)
                        connection.execute(this.values(downloads=number, trend=trend))
