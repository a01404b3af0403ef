"""How much an account's repositories may hold: each content counts once, in however many of them it is."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import NamedTuple

from sqlalchemy import Connection, func, select

from enfold.hubserver import database as db
from enfold.hubserver.errors import HubServerError
from enfold.hubserver.store.objects import LEASE

__all__ = ["Quota", "Usage"]


class Usage(NamedTuple):
    """What a namespace holds and may hold, in bytes; ``limit`` is None without one."""

    used: int
    limit: int | None


class Quota:
    """Limits of what namespaces hold.

    Large files count by their size, once in a namespace. Small ones count where they came up first on this Hub. Packs
    of chunks count while no file is made of them yet.

    Args:
        default: bytes for accounts that have no limit of their own; None for no limit.
    """

    def __init__(self, default: int | None = None) -> None:
        self.default = default

    def usage(self, connection: Connection, namespace: str) -> Usage:
        """Return what a namespace (in lower case) holds and may hold."""
        return Usage(self._used(connection, namespace), self._limit(connection, namespace))

    def _limit(self, connection: Connection, namespace: str) -> int | None:
        own = connection.scalar(select(db.account.c.quota).where(db.account.c.key == namespace))
        return self.default if own is None else int(own)

    def _used(self, connection: Connection, namespace: str) -> int:
        repo, large, xorb, use = db.repo, db.repo_lfs, db.xorb, db.xet_use
        mine = repo.c.namespace == namespace
        held = (
            select(large.c.sha256, func.max(large.c.size).label("size"))
            .join(repo, repo.c.id == large.c.repo_id)
            .where(mine)
            .group_by(large.c.sha256)
            .subquery()
        )
        waiting = (
            select(func.sum(xorb.c.content))
            .where(xorb.c.namespace == namespace, xorb.c.created > time.time() - LEASE)
            .where(~select(use.c.xorb).where(use.c.xorb == xorb.c.hash).exists())
        )
        queries = (select(func.sum(held.c.size)), select(func.sum(repo.c.small)).where(mine), waiting)
        return sum(int(connection.scalar(query) or 0) for query in queries)

    def require(self, connection: Connection, namespace: str, more: int, *, known: Collection[str] = ()) -> None:
        """Raise unless a namespace may hold so many more bytes.

        Args:
            connection: a transaction.
            namespace: in lower case.
            more: bytes.
            known: nothing is asked for when the namespace holds a content with one of these SHA-256 already.

        Raises:
            HubServerError: 403, with what is used and what is allowed.
        """
        limit = self._limit(connection, namespace)
        if limit is None or (known and self.holds(connection, namespace, known)):
            return
        used = self._used(connection, namespace)
        if used + more > limit:
            raise HubServerError(
                403,
                f"{namespace} holds {used:,} of the {limit:,} bytes that it may: {more:,} more are too many. Delete "
                "large files or whole repositories, or ask who runs this Hub for more.",
            )

    def holds(self, connection: Connection, namespace: str, sha256s: Collection[str]) -> set[str]:
        """Return those contents that a namespace holds already."""
        repo, large = db.repo, db.repo_lfs
        query = select(large.c.sha256).join(repo, repo.c.id == large.c.repo_id)
        wanted = (repo.c.namespace == namespace) & large.c.sha256.in_(list(sha256s))
        return {str(sha256) for sha256 in connection.scalars(query.where(wanted))}
