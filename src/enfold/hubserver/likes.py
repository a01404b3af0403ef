"""Who likes which repository."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, or_, select, update

from enfold.hubserver import database as db
from enfold.hubserver import trending
from enfold.hubserver.accounts import Viewer
from enfold.hubserver.repositories import Repositories

__all__ = ["Likes"]


class Likes:
    """The likes of all repositories, and their number beside each.

    Args:
        database: where they are kept.
        repositories: finds repositories with the caller's rights.
    """

    def __init__(self, database: db.Database, repositories: Repositories) -> None:
        self._database, self._repositories = database, repositories

    def set(self, kind: str, name: str, viewer: Viewer | None, liked: bool) -> None:
        """Like a repository or not; saying it twice changes nothing."""
        with self._database.write() as connection:
            repo, viewer = self._repositories.propose(connection, kind, name, viewer)
            table = db.liked
            mine = (table.c.repo_id == repo.id) & (table.c.account_id == viewer.account_id)
            if (connection.scalar(select(table.c.created).where(mine)) is not None) == liked:
                return
            now = time.time()
            if liked:
                connection.execute(insert(table).values(repo_id=repo.id, account_id=viewer.account_id, created=now))
                trend = trending.add(repo.trend, trending.LIKE, at=now)
            else:
                since = connection.execute(select(table.c.created).where(mine)).scalar_one()
                connection.execute(delete(table).where(mine))
                trend = trending.add(repo.trend, -trending.LIKE, at=since)
            number = db.repo.c.likes + (1 if liked else -1)
            connection.execute(update(db.repo).where(db.repo.c.id == repo.id).values(likes=number, trend=trend))

    def of_repository(
        self, connection: Connection, repo_id: int, *, after: str = "", limit: int = 100
    ) -> Sequence[Row[Any]]:
        """Return the accounts that like a repository, by name."""
        account = db.account
        return connection.execute(
            select(account)
            .join(db.liked, db.liked.c.account_id == account.c.id)
            .where(db.liked.c.repo_id == repo_id, account.c.key > after)
            .order_by(account.c.key)
            .limit(limit)
        ).all()

    def of_account(
        self, connection: Connection, account_id: int, viewer: Viewer | None, *, after: int = 0, limit: int = 100
    ) -> Sequence[Row[Any]]:
        """Return the repositories that an account likes and the viewer may see, with ``liked``, when; by their key."""
        table, repo = db.liked, db.repo
        query = (
            select(repo, table.c.created.label("liked"))
            .join(table, table.c.repo_id == repo.c.id)
            .where(table.c.account_id == account_id, repo.c.id > after)
        )
        if viewer is None or not viewer.admin:
            seen = [] if viewer is None else viewer.namespaces
            query = query.where(or_(repo.c.private.is_(False), repo.c.namespace.in_(seen)))
        return connection.execute(query.order_by(repo.c.id).limit(limit)).all()
