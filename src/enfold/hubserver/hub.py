"""One Hub: its database, its store and what can be done with them. The routes speak HTTP for it."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from enfold.hubserver.access import Access
from enfold.hubserver.accounts import Accounts
from enfold.hubserver.audit import Audit
from enfold.hubserver.collections import Collections
from enfold.hubserver.commits import Commits
from enfold.hubserver.database import Database, mirror
from enfold.hubserver.devices import Devices
from enfold.hubserver.discussions import Discussions
from enfold.hubserver.history import History
from enfold.hubserver.likes import Likes
from enfold.hubserver.publishers import Publishers
from enfold.hubserver.quota import Quota
from enfold.hubserver.rates import Rates
from enfold.hubserver.repositories import Repositories
from enfold.hubserver.sandbox import Sandbox
from enfold.hubserver.sessions import Sessions
from enfold.hubserver.settings import Settings
from enfold.hubserver.signing import Signer
from enfold.hubserver.spaces.running import Running
from enfold.hubserver.spaces.values import SpaceValues
from enfold.hubserver.store.blobs import BlobStore
from enfold.hubserver.store.contents import Contents
from enfold.hubserver.store.objects import Bucket, Folder, Objects, sweep
from enfold.hubserver.store.parts import Parts
from enfold.hubserver.tokens import Tokens
from enfold.hubserver.upkeep import Upkeep
from enfold.hubserver.upstream import Upstream
from enfold.hubserver.viewer.datasets import Datasets
from enfold.hubserver.webhooks import Webhooks
from enfold.hubserver.widget.models import Models
from enfold.hubserver.xet.store import XetStore
from enfold.log import get_logger

__all__ = ["Hub"]

_log = get_logger(__name__)


class Hub:
    """The state of a server.

    Args:
        settings: where things are kept.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        settings.folder.mkdir(parents=True, exist_ok=True)
        self.database = Database(settings.database_url, durable=settings.durable)
        self.blobs = BlobStore(self._objects("blobs"))
        self.xet = XetStore(self._objects("xorbs"), self.database)
        self.parts = Parts(self.blobs)
        self.contents = Contents(self.blobs, self.xet)
        self.signer = Signer(self.database.secret)
        self.audit = Audit(self.database)
        self.accounts = Accounts(self.database, self.audit)
        self.tokens = Tokens(self.database, self.accounts, self.audit)
        self.sessions = Sessions(self.database, self.accounts, self.audit, self.database.secret)
        self.devices = Devices(self.database, self.tokens, self.audit)
        self.publishers = Publishers(self.database, self.tokens, self.audit, settings.webhook_hosts)
        self.webhooks = Webhooks(self.database, self.audit)
        self.webhooks.base = (settings.public_url or "").rstrip("/")
        self.rates = Rates(settings.rates)
        self.quota = Quota(settings.quota)
        self.repositories = Repositories(self.database, self.accounts, self.webhooks, self.quota)
        self.commits = Commits(self.database, self.contents, self.repositories, settings.limits)
        self.discussions = Discussions(self.database, self.repositories, self.commits)
        self.history = History(self.database, self.repositories, self.commits)
        self.collections = Collections(self.database, self.repositories)
        self.access = Access(self.database, self.repositories)
        self.likes = Likes(self.database, self.repositories)
        self.upstream = self._upstream(settings)
        self.sandbox = Sandbox([settings.folder])
        self.space_values = SpaceValues(self.database, self.repositories, self.audit, self.database.secret)
        self.spaces = Running(settings, self.commits, self.contents, self.sandbox, self.space_values)
        self.models = Models(self.commits, self.contents, self.sandbox)
        self.upkeep = Upkeep(self)
        self.datasets = Datasets(settings, self.commits, self.contents, self.sandbox)

    def _upstream(self, settings: Settings) -> Upstream | None:
        """Return what fetches from another Hub, if there is one."""
        with self.database.read() as connection:
            copies = connection.scalar(select(mirror.c.repo_id).limit(1)) is not None
        self.repositories.mirrors = copies or settings.upstream is not None
        if settings.upstream is None:
            return None
        made = Upstream(
            settings.upstream,
            settings.upstream_token,
            database=self.database,
            accounts=self.accounts,
            repositories=self.repositories,
            commits=self.commits,
            blobs=self.blobs,
            limits=settings.limits,
        )
        self.commits.fetch = made.fetch
        return made

    def _objects(self, name: str) -> Objects:
        """Return the place for one kind of objects, without what an earlier run left unfinished."""
        folder = self.settings.folder / name
        objects: Objects
        if self.settings.store is None:
            objects = Folder(folder, durable=self.settings.durable)
        else:
            objects = Bucket(f"{self.settings.store.rstrip('/')}/{name}", folder / "tmp")
        sweep(objects.temporary)
        return objects

    def close(self) -> None:
        """Write what is pending and close the database."""
        try:
            self.repositories.flush_counts()
            self.tokens.flush()
        except OperationalError as error:  # the rest has to be closed all the same
            _log.warning("the last downloads and uses of tokens are not counted, the database says: %s", error.orig)
        self.models.close()
        self.spaces.close()
        self.sandbox.close()
        self.database.close()
