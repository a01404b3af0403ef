"""Gated repositories: everybody sees them, and whoever asked and was let in reads their files."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from enfold.hubserver import database as db
from enfold.hubserver.accounts import Viewer
from enfold.hubserver.errors import HubServerError, gated
from enfold.hubserver.names import KINDS
from enfold.hubserver.repositories import Repositories

__all__ = ["STATUSES", "Access"]

STATUSES = ("pending", "accepted", "rejected")
_FIELDS = 10_000  # characters of a form


class Access:
    """Who may read the files of gated repositories.

    Args:
        database: where requests are kept.
        repositories: finds repositories with the caller's rights.
    """

    def __init__(self, database: db.Database, repositories: Repositories) -> None:
        self._database, self._repositories = database, repositories

    def require(self, connection: Connection, repo: Row[Any], viewer: Viewer | None) -> None:
        """Raise unless the viewer may read the repository's files: 401 or 403 with the code GatedRepo."""
        if repo.gated == "false" or (viewer is not None and viewer.reads(repo)):
            return
        status = None if viewer is None else self.status(connection, repo.id, viewer.account_id)
        if status != "accepted":
            raise gated(f"{KINDS[repo.kind]} {repo.name}", viewer is None, status)

    def status(self, connection: Connection, repo_id: int, account_id: int) -> str | None:
        """Return what came of an account's request, or None when it made none."""
        table = db.access_request
        found = connection.scalar(
            select(table.c.status).where(table.c.repo_id == repo_id, table.c.account_id == account_id)
        )
        return None if found is None else str(found)

    def ask(self, kind: str, name: str, viewer: Viewer | None, fields: Mapping[str, Any]) -> str:
        """Ask for access, with the answers to the form; return "accepted" where that is automatic, else "pending".

        Asking again changes nothing.
        """
        said = json.dumps(dict(fields))
        if len(said) > _FIELDS:
            raise HubServerError(413, f"the answers have more than {_FIELDS} characters")
        with self._database.write() as connection:
            repo = self._repositories.follow(connection, kind, name, viewer)
            if viewer is None:
                raise HubServerError(401, "Invalid username or password.")
            if repo.gated == "false":
                raise HubServerError(400, f"{repo.name} is not gated: its files are there for everybody who sees it")
            found = self.status(connection, repo.id, viewer.account_id)
            if found is not None:
                return found
            status = "accepted" if repo.gated == "auto" else "pending"
            self._insert(connection, repo.id, viewer.account_id, status, said)
            return status

    def requests(
        self, connection: Connection, repo: Row[Any], status: str, *, after: str = "", limit: int = 100
    ) -> Sequence[Row[Any]]:
        """Return the requests with a status, by id, with ``name``, ``fullname`` and ``email`` of who made them."""
        table, account = db.access_request, db.account
        who = (account.c.name, account.c.fullname, account.c.email)
        return connection.execute(
            select(table, *who)
            .join(account, account.c.id == table.c.account_id)
            .where(table.c.repo_id == repo.id, table.c.status == status, table.c.id > after)
            .order_by(table.c.id)
            .limit(limit)
        ).all()

    def handle(
        self,
        kind: str,
        name: str,
        viewer: Viewer | None,
        *,
        user: str | None = None,
        request_id: str | None = None,
        status: str,
        reason: str = "",
    ) -> None:
        """Set the status of a request, named by its user or its id.

        Raises:
            HubServerError: 400, the repository is not gated, or the request has that status; 403 without the right to
                write; 404, there is no such user or request.
        """
        if status not in STATUSES:
            raise HubServerError(400, f'"status" is one of {", ".join(STATUSES)}, not {status!r}')
        with self._database.write() as connection:
            repo = self._gated(connection, kind, name, viewer)
            table = db.access_request
            mine = table.c.repo_id == repo.id
            if user is not None:
                mine &= table.c.account_id == self._account(connection, user)
            else:
                mine &= table.c.id == request_id
            present = connection.scalar(select(table.c.status).where(mine))
            if present is None:
                raise HubServerError(404, f"{user or request_id} has not asked for access to {repo.name}")
            if present == status:
                raise HubServerError(400, f"the request of {user or request_id} is {status} already")
            connection.execute(update(table).where(mine).values(status=status, reason=reason))

    def grant(self, kind: str, name: str, viewer: Viewer | None, user: str) -> None:
        """Let a user in who did not ask; 400 when they have access already."""
        with self._database.write() as connection:
            repo = self._gated(connection, kind, name, viewer)
            account_id = self._account(connection, user)
            status = self.status(connection, repo.id, account_id)
            if status == "accepted":
                raise HubServerError(400, f"{user} has access to {repo.name} already")
            if status is None:
                self._insert(connection, repo.id, account_id, "accepted", "{}")
            else:
                table = db.access_request
                mine = (table.c.repo_id == repo.id) & (table.c.account_id == account_id)
                connection.execute(update(table).where(mine).values(status="accepted"))

    def _gated(self, connection: Connection, kind: str, name: str, viewer: Viewer | None) -> Row[Any]:
        repo = self._repositories.follow(connection, kind, name, viewer, write=True)
        if repo.gated == "false":
            raise HubServerError(400, f"{repo.name} is not gated")
        return repo

    def _account(self, connection: Connection, name: str) -> int:
        table = db.account
        found = connection.scalar(
            select(table.c.id).where(table.c.key == name.lower(), table.c.organisation.is_(False))
        )
        if found is None:
            raise HubServerError(404, f"there is no user {name!r}")
        return int(found)

    def _insert(self, connection: Connection, repo_id: int, account_id: int, status: str, fields: str) -> None:
        values = {"id": secrets.token_hex(12), "status": status, "fields": fields}
        connection.execute(insert(db.access_request).values(repo_id=repo_id, account_id=account_id, **values))
