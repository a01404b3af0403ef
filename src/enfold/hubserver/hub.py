"""One Hub: its database, its store and what can be done with them. The routes speak HTTP for it."""

from __future__ import annotations

import time

from enfold.hubserver.access import Access
from enfold.hubserver.accounts import Accounts
from enfold.hubserver.commits import Commits
from enfold.hubserver.database import Database
from enfold.hubserver.discussions import Discussions
from enfold.hubserver.likes import Likes
from enfold.hubserver.repositories import Repositories
from enfold.hubserver.settings import Settings
from enfold.hubserver.signing import Signer
from enfold.hubserver.store.blobs import BlobStore, sweep
from enfold.hubserver.store.contents import Contents
from enfold.hubserver.xet.store import XetStore

__all__ = ["Hub"]

_DAY = 86_400


class Hub:
    """The state of a server.

    Args:
        settings: where things are kept.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        settings.folder.mkdir(parents=True, exist_ok=True)
        self.database = Database(settings.database_url, durable=settings.durable)
        self.blobs = BlobStore(settings.folder / "blobs", durable=settings.durable)
        self.xet = XetStore(settings.folder / "xorbs", self.database, durable=settings.durable)
        self.contents = Contents(self.blobs, self.xet)
        for folder in (self.blobs.temporary, self.xet.temporary):
            sweep(folder, time.time() - _DAY)
        self.accounts = Accounts(self.database)
        self.repositories = Repositories(self.database, self.accounts)
        self.commits = Commits(self.database, self.contents, self.repositories, settings.limits)
        self.discussions = Discussions(self.database, self.repositories, self.commits)
        self.access = Access(self.database, self.repositories)
        self.likes = Likes(self.database, self.repositories)
        self.signer = Signer(self.database.secret)

    def close(self) -> None:
        """Write what is pending and close the database."""
        self.repositories.flush_counts()
        self.database.close()
