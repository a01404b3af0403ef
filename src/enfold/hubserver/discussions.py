"""Discussions and pull requests: what was said and proposed, and how a proposal becomes part of a branch."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, func, insert, select, update

from enfold.hubserver import database as db
from enfold.hubserver import trees
from enfold.hubserver.accounts import Viewer
from enfold.hubserver.commits import Commits, Header, Operation
from enfold.hubserver.errors import HubServerError
from enfold.hubserver.repositories import Repositories
from enfold.hubserver.views import timestamp

__all__ = ["STATUSES", "Discussions", "Merge"]

STATUSES = ("draft", "open", "closed", "merged")
_TITLE, _TEXT = 200, 65_536
_HIDDEN = "This comment has been hidden"


class Merge(NamedTuple):
    """What merging a pull request would do: the changes of files, and the files that the branch changed as well."""

    changes: dict[str, str | None]
    conflicts: list[str]


class Discussions:
    """The discussions of all repositories.

    Every reader with a token that writes may open one, comment, and propose changes; who may write in the repository,
    and the author, may also change title and status; merging takes the right to write.

    Args:
        database: where they are kept.
        repositories: finds repositories with the caller's rights.
        commits: makes commits.
    """

    def __init__(self, database: db.Database, repositories: Repositories, commits: Commits) -> None:
        self._database, self._repositories, self._commits = database, repositories, commits

    # ------------------------------------------------------------------ reading

    def page(
        self,
        connection: Connection,
        repo_id: int,
        *,
        kind: str = "all",
        status: str = "all",
        author: str | None = None,
        start: int = 0,
        limit: int = 50,
    ) -> tuple[int, Sequence[Row[Any]]]:
        """Return how many discussions there are, and a page of them, newest first.

        Args:
            connection: a transaction.
            repo_id: the repository.
            kind: "discussion", "pull_request" or "all".
            status: "open" (drafts included), "closed" (merged ones included) or "all".
            author: the name of who opened them.
            start: how many to skip.
            limit: how many at most.
        """
        table = db.discussion
        wanted = [table.c.repo_id == repo_id]
        if kind != "all":
            wanted.append(table.c.base.is_(None) if kind == "discussion" else table.c.base.is_not(None))
        if status != "all":
            wanted.append(table.c.status.in_(("draft", "open") if status == "open" else ("closed", "merged")))
        if author is not None:
            wanted.append(table.c.author == author)
        count = connection.scalar(select(func.count()).select_from(table).where(*wanted)) or 0
        query = select(table).where(*wanted).order_by(table.c.num.desc()).offset(start).limit(limit)
        return count, connection.execute(query).all()

    def find(self, connection: Connection, repo_id: int, num: int) -> Row[Any]:
        """Return a discussion, or raise a 404."""
        table = db.discussion
        row = connection.execute(select(table).where(table.c.repo_id == repo_id, table.c.num == num)).one_or_none()
        if row is None:
            raise HubServerError(404, f"there is no discussion {num} here")
        return row

    def events(self, connection: Connection, repo_id: int, num: int) -> Sequence[Row[Any]]:
        """Return what happened in a discussion, in order."""
        table = db.discussion_event
        return connection.execute(
            select(table).where(table.c.repo_id == repo_id, table.c.num == num).order_by(table.c.position)
        ).all()

    def pull_request(self, connection: Connection, repo_id: int, num: int) -> Row[Any]:
        """Return a pull request, or raise a 404."""
        row = self.find(connection, repo_id, num)
        if row.base is None:
            raise HubServerError(404, f"{num} is a discussion, not a pull request")
        return row

    def merge_of(self, connection: Connection, row: Row[Any]) -> Merge:
        """Return what merging a pull request into its branch as it stands would do."""
        start = self._repositories.revision(connection, row.repo_id, row.start)
        ours = self._repositories.revision(connection, row.repo_id, row.base)
        theirs = self._repositories.revision(connection, row.repo_id, f"refs/pr/{row.num}")
        changed = {change.path: change.after for change in trees.diff(connection, start.tree, ours.tree)}
        merge = Merge({}, [])
        for change in trees.diff(connection, start.tree, theirs.tree):
            if changed.get(change.path, change.before) not in (change.before, change.after):
                merge.conflicts.append(change.path)
            merge.changes[change.path] = change.after
        return merge

    # ------------------------------------------------------------------ opening

    def open(
        self,
        kind: str,
        name: str,
        viewer: Viewer | None,
        *,
        title: str,
        text: str,
        pull_request: bool,
    ) -> tuple[str, int]:
        """Open a discussion, or a pull request without changes yet; return the repository's id and the number."""
        with self._database.write() as connection:
            row, viewer = self._repositories.propose(connection, kind, name, viewer)
            base = "main" if pull_request else None
            return row.name, self._insert(connection, row, viewer, title, text, base, "draft" if base else "open")

    def propose(
        self,
        kind: str,
        name: str,
        viewer: Viewer | None,
        revision: str,
        header: Header,
        operations: Sequence[Operation],
    ) -> tuple[str, int, str]:
        """Open a pull request with one commit; return the repository's id, the number and the commit."""
        with self._database.write() as connection:
            row, viewer = self._repositories.propose(connection, kind, name, viewer)
            base = revision.removeprefix("refs/heads/")
            title = header.summary.strip() or "Update"
            num = self._insert(connection, row, viewer, title[:_TITLE], header.description, base, "open")
            return row.name, num, self._commit(connection, row, viewer, num, header, operations)

    def commit(
        self,
        kind: str,
        name: str,
        viewer: Viewer | None,
        num: int,
        header: Header,
        operations: Sequence[Operation],
    ) -> tuple[str, str]:
        """Add a commit to a pull request; return the repository's id and the commit."""
        with self._database.write() as connection:
            row, viewer = self._repositories.propose(connection, kind, name, viewer)
            request = self.pull_request(connection, row.id, num)
            self._require_say(row, request, viewer)
            if request.status not in ("draft", "open"):
                raise HubServerError(409, f"the pull request {num} is {request.status}: open another one")
            return row.name, self._commit(connection, row, viewer, num, header, operations)

    def _insert(
        self,
        connection: Connection,
        repo: Row[Any],
        viewer: Viewer,
        title: str,
        text: str,
        base: str | None,
        status: str,
    ) -> int:
        title = _checked(title, "title", _TITLE)
        last = connection.scalar(select(func.max(db.discussion.c.num)).where(db.discussion.c.repo_id == repo.id))
        num = (last or 0) + 1
        values: dict[str, Any] = {"title": title, "status": status, "author": viewer.name}
        if base is not None:
            start = self._repositories.revision(connection, repo.id, f"refs/heads/{base}")
            connection.execute(insert(db.ref).values(repo_id=repo.id, name=f"refs/pr/{num}", commit=start.oid))
            values |= {"base": base, "start": start.oid}
        connection.execute(insert(db.discussion).values(repo_id=repo.id, num=num, **values))
        self._tell(connection, repo.id, num, "discussion", "create")
        if text.strip():
            self._note(connection, repo.id, num, "comment", viewer, _comment(text, viewer.name))
        return num

    def _commit(
        self,
        connection: Connection,
        repo: Row[Any],
        viewer: Viewer,
        num: int,
        header: Header,
        operations: Sequence[Operation],
    ) -> str:
        ref = f"refs/pr/{num}"
        head = self._repositories.revision(connection, repo.id, ref)
        oid = self._commits.apply(connection, repo, viewer, ref, head, header, operations)
        if oid != head.oid:
            said = {"subject": header.summary.strip() or "Update", "oid": oid}
            self._note(connection, repo.id, num, "commit", viewer, said)
        return oid

    # ------------------------------------------------------------------ taking part

    def comment(self, kind: str, name: str, viewer: Viewer | None, num: int, text: str) -> Row[Any]:
        """Add a comment and return its event."""
        with self._database.write() as connection:
            row, viewer = self._repositories.propose(connection, kind, name, viewer)
            self.find(connection, row.id, num)
            return self._note(connection, row.id, num, "comment", viewer, _comment(text, viewer.name))

    def rename(self, kind: str, name: str, viewer: Viewer | None, num: int, title: str) -> Row[Any]:
        """Change the title and return the event."""
        with self._database.write() as connection:
            row, viewer = self._repositories.propose(connection, kind, name, viewer)
            found = self.find(connection, row.id, num)
            self._require_say(row, found, viewer)
            title = _checked(title, "title", _TITLE)
            self._set(connection, found, title=title)
            return self._note(connection, row.id, num, "title-change", viewer, {"from": found.title, "to": title})

    def set_status(
        self, kind: str, name: str, viewer: Viewer | None, num: int, status: str, text: str = ""
    ) -> Row[Any]:
        """Open or close, with a comment if ``text`` says something; return the event."""
        if status not in ("open", "closed"):
            raise HubServerError(400, f'"status" is "open" or "closed", not {status!r}')
        with self._database.write() as connection:
            row, viewer = self._repositories.propose(connection, kind, name, viewer)
            found = self.find(connection, row.id, num)
            self._require_say(row, found, viewer)
            if found.status == "merged":
                raise HubServerError(409, f"the pull request {num} is merged")
            if text.strip():
                self._note(connection, row.id, num, "comment", viewer, _comment(text, viewer.name))
            self._set(connection, found, status=status)
            return self._note(connection, row.id, num, "status-change", viewer, {"status": status})

    def merge(self, kind: str, name: str, viewer: Viewer | None, num: int, text: str = "") -> str:
        """Take a pull request into its branch as one commit and return that commit.

        Raises:
            HubServerError: 403 without the right to write; 409 when it is closed or merged, or when the branch changed
                the same files (they are named).
        """
        with self._database.write() as connection:
            row = self._repositories.follow(connection, kind, name, viewer, write=True)
            assert viewer is not None
            request = self.pull_request(connection, row.id, num)
            if request.status not in ("draft", "open"):
                raise HubServerError(409, f"the pull request {num} is {request.status}")
            merge = self.merge_of(connection, request)
            if merge.conflicts:
                names = ", ".join(merge.conflicts[:10])
                raise HubServerError(409, f"the pull request {num} and {request.base} both changed {names}")
            ref = f"refs/heads/{request.base}"
            head = self._repositories.revision(connection, row.id, ref)
            root = trees.change(connection, head.tree, merge.changes)
            header = Header(f"{request.title} (#{num})", text.strip())
            oid = head.oid
            if root != head.tree:
                oid = self._commits.record(connection, row, viewer, ref, head, root, header)
            if text.strip():
                self._note(connection, row.id, num, "comment", viewer, _comment(text, viewer.name))
            self._set(connection, request, status="merged", merged=oid)
            self._note(connection, row.id, num, "status-change", viewer, {"status": "merged"})
            return str(oid)

    def edit(self, kind: str, name: str, viewer: Viewer | None, num: int, event_id: str, text: str | None) -> Row[Any]:
        """Change a comment, or hide it for good where ``text`` is None; return the event.

        Only the author may change it; who may write in the repository may hide it as well.
        """
        with self._database.write() as connection:
            row, viewer = self._repositories.propose(connection, kind, name, viewer)
            table = db.discussion_event
            mine = (table.c.repo_id == row.id) & (table.c.num == num) & (table.c.id == event_id)
            event = connection.execute(select(table).where(mine, table.c.kind == "comment")).one_or_none()
            if event is None:
                raise HubServerError(404, f"there is no comment {event_id!r} in the discussion {num}")
            if event.author != viewer.name and (text is not None or not viewer.may_write(row.namespace)):
                raise HubServerError(403, f"the comment is {event.author}'s")
            said = json.loads(event.data)
            if said["hidden"]:
                raise HubServerError(409, "the comment is hidden")
            if text is None:
                said = {"edited": said["edited"], "hidden": True, "latest": {"raw": _HIDDEN}, "history": []}
            else:
                said = {**_comment(text, viewer.name), "edited": True, "history": [*said["history"], said["latest"]]}
            connection.execute(update(table).where(mine).values(data=json.dumps(said)))
            return connection.execute(select(table).where(mine)).one()

    def _require_say(self, repo: Row[Any], found: Row[Any], viewer: Viewer) -> None:
        if found.author != viewer.name and not viewer.may_write(repo.namespace):
            raise HubServerError(403, f"only {found.author} and those who may write in {repo.name} can do this")

    def _set(self, connection: Connection, found: Row[Any], **values: Any) -> None:
        table = db.discussion
        keys = (table.c.repo_id == found.repo_id) & (table.c.num == found.num)
        connection.execute(update(table).where(keys).values(**values))
        self._tell(connection, found.repo_id, found.num, "discussion", "update")

    def _tell(
        self, connection: Connection, repo_id: int, num: int, scope: str, action: str, **more: dict[str, Any]
    ) -> None:
        """Tell webhooks of a discussion."""
        repo = connection.execute(select(db.repo).where(db.repo.c.id == repo_id)).one()
        row = self.find(connection, repo_id, num)
        said = {"num": num, "title": row.title, "status": row.status, "isPullRequest": row.base is not None}
        said |= {"id": f"{repo_id:012x}{num:012x}", "author": {"id": row.author}}
        if row.base is not None:
            said["changes"] = {"base": f"refs/heads/{row.base}", "mergeCommitId": row.merged}
        self._repositories.webhooks.note(connection, repo, scope, action, discussion=said, **more)

    def _note(
        self, connection: Connection, repo_id: int, num: int, kind: str, viewer: Viewer, data: dict[str, Any]
    ) -> Row[Any]:
        table = db.discussion_event
        mine = (table.c.repo_id == repo_id) & (table.c.num == num)
        position = connection.scalar(select(func.count()).select_from(table).where(mine)) or 0
        values = {"id": secrets.token_hex(12), "kind": kind, "author": viewer.name, "data": json.dumps(data)}
        connection.execute(insert(table).values(repo_id=repo_id, num=num, position=position, **values))
        if kind == "comment":
            comment = {
                "id": values["id"],
                "content": data["latest"]["raw"],
                "hidden": False,
                "author": {"id": viewer.name},
            }
            self._tell(connection, repo_id, num, "discussion.comment", "create", comment=comment)
        return connection.execute(select(table).where(table.c.id == values["id"])).one()


def _checked(text: str, what: str, limit: int) -> str:
    text = text.strip()
    if not text or len(text) > limit:
        raise HubServerError(400, f'"{what}" has {len(text)} characters: expected 1 to {limit}')
    return text


def _comment(text: str, author: str) -> dict[str, Any]:
    latest = {"raw": _checked(text, "comment", _TEXT), "updatedAt": timestamp(time.time()), "author": {"name": author}}
    return {"edited": False, "hidden": False, "latest": latest, "history": []}
