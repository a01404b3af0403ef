"""A whole Hub inside this process: for demos, tests, and work on a machine without a network."""

from __future__ import annotations

import os
import time
from collections.abc import Collection
from pathlib import Path
from types import TracebackType
from typing import Any

from sqlalchemy.exc import OperationalError

from enfold.errors import EnfoldError
from enfold.hubserver.app import create_app
from enfold.hubserver.hub import Hub
from enfold.hubserver.settings import Settings
from enfold.log import get_logger
from enfold.web.server import BackgroundServer

__all__ = ["EmbeddedHub"]

_log = get_logger(__name__)

_SESSION, _LASTING = "embedded session", "owner"


class EmbeddedHub:
    """Serve a Hub from a background thread until :meth:`stop`.

    Args:
        folder: where the Hub keeps its data; what an earlier run left there is served again.
        host: the address to bind; the loopback address by default.
        port: the port, or 0 for any free one.
        owner: the name of the user that :attr:`token` belongs to, who may write in every namespace.
        durable: whether a commit waits for the disk; turn off for throw-away data only.
        database: ``postgresql://user:password@host/name``; SQLite inside ``folder`` by default.
        store: ``s3://bucket/prefix`` for contents; folders inside ``folder`` by default.
        webhook_hosts: hosts inside this machine's network that webhooks may tell; others may be anywhere else.
        settings: further members of :class:`~enfold.hubserver.settings.Settings`.

    Raises:
        EnfoldError: the port is taken, or the database cannot be written, because its disk is full or it is gone.

    Example:
        >>> with EmbeddedHub("hub-data") as hub:  # doctest: +SKIP
        ...     print(hub.endpoint)
        http://127.0.0.1:39211
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        owner: str = "owner",
        durable: bool = True,
        database: str | None = None,
        store: str | None = None,
        webhook_hosts: Collection[str] = (),
        **settings: Any,
    ) -> None:
        places: dict[str, Any] = {"database": database, "store": store, "durable": durable}
        hosts = frozenset(webhook_hosts)
        self.hub = Hub(Settings(Path(folder).absolute(), **places, webhook_hosts=hosts, **settings))
        self.owner = owner
        try:
            self.hub.accounts.create_user(owner, admin=True)
            self.hub.tokens.drop_old(_SESSION, 30 * 86_400)
            #: a write token of the owner, valid until :meth:`stop`
            self.token = self.hub.tokens.create(owner, name=_SESSION)
            # Web sockets are passed on as they come, not taken apart by a library that may be installed.
            self._server = BackgroundServer(create_app(self.hub), host=host, port=port, ws="none")
            self.hub.webhooks.base = self.hub.webhooks.base or self._server.url
        except OperationalError as error:
            self.hub.close()
            raise EnfoldError(f"the Hub in {folder} cannot start, its database says: {error.orig}") from None
        except BaseException:
            self.hub.close()
            raise
        self._stopped = False

    @property
    def endpoint(self) -> str:
        """The Hub's address, as ``HF_ENDPOINT`` takes it."""
        return self._server.url

    def create_user(self, name: str, *, role: str = "write", fullname: str = "", email: str = "") -> str:
        """Make a user (or find the one of that name) and return a new token for it with ``role`` "read" or "write"."""
        self.hub.accounts.create_user(name, fullname=fullname, email=email)
        return self.hub.tokens.create(name, role=role)

    def has_lasting_token(self) -> bool:
        """Say whether the owner has a token that outlives this session."""
        return self.hub.tokens.has(self.owner, _LASTING)

    def create_lasting_token(self) -> str:
        """Return a new write token of the owner that outlives this session; the Hub keeps only its hash."""
        return self.hub.tokens.create(self.owner, name=_LASTING)

    def create_organisation(self, name: str, members: dict[str, str] | None = None) -> None:
        """Make an organisation; ``members`` maps user names to "read", "write" or "admin"."""
        self.hub.accounts.create_organisation(name, members)

    def add_alias(self, name: str, target: str, *, repo_type: str = "model") -> None:
        """Pair two ids, such as ``gpt2`` and ``openai-community/gpt2``: whichever exists answers for the other."""
        self.hub.repositories.add_alias(f"{repo_type}s", name, target)

    def wait(self) -> None:
        """Block until the server stops; Ctrl-C reaches the caller."""
        self._server.wait()

    def stop(self) -> None:
        """Finish the running requests, forget the session's token and close the data; a second call does nothing."""
        if self._stopped:
            return
        self._stopped = True
        self._server.stop()
        deadline = time.monotonic() + 5
        while self._server.running and time.monotonic() < deadline:
            time.sleep(0.01)
        try:
            self.hub.tokens.drop(self.token)
        except OperationalError as error:  # a start drops it, once it is a month old
            _log.warning("the token of this session stays good, its database says: %s", error.orig)
        finally:
            self.hub.close()

    def __enter__(self) -> EmbeddedHub:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
