"""What a Hub server is told when it starts: where it keeps things and how much it accepts."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

__all__ = ["Limits", "Settings"]

_MB = 1_000_000


@dataclasses.dataclass(frozen=True)
class Limits:
    """Sizes a server accepts, in bytes unless said otherwise.

    Args:
        json_body: the largest JSON or form body (1 MB).
        inline_file: contents up to this are kept in the database itself (32 kB).
        regular_file: files above this are stored as LFS objects (10 MB).
        binary_regular_file: files that look binary and are above this are stored as LFS objects (1 MB).
        commit_file: the largest file accepted inside a commit's body (100 MB).
        commit_body: the largest commit body (2 GB).
        commit_operations: how many operations one commit may hold (25,000).
        lfs_file: the largest LFS object (50 GB).
        lfs_part: LFS objects above this may come in parts of this size (100 MB).
        preupload_files: how many files one preupload request may name (256).
        tree_page: entries in one page of a file listing (1,000).
        list_page: repositories in one page of a list (100).
    """

    json_body: int = _MB
    inline_file: int = 32_000
    regular_file: int = 10 * _MB
    binary_regular_file: int = _MB
    commit_file: int = 100 * _MB
    commit_body: int = 2_000 * _MB
    commit_operations: int = 25_000
    lfs_file: int = 50_000 * _MB
    lfs_part: int = 100 * _MB
    preupload_files: int = 256
    tree_page: int = 1_000
    list_page: int = 100


@dataclasses.dataclass(frozen=True)
class Settings:
    """Where a server keeps its data and how it behaves.

    Args:
        folder: the data folder; it is made when it does not exist.
        database: ``postgresql://user:password@host/name``; SQLite inside ``folder`` by default.
        store: ``s3://bucket/prefix`` for contents; folders inside ``folder`` by default.
        public_url: the address clients use, when a proxy hides it; by default what each request's Host header says.
            Identity tokens of trusted publishers must be meant for it.
        durable: flush every file to the disk before a commit is acknowledged. Turn off only for throw-away data.
        sign_up: whether anybody may make an account on the pages.
        quota: bytes that the repositories of one account may hold, unless the account has a limit of its own.
        rates: requests in five minutes by kind ("api", "resolvers", "uploads", "pages") for each account or address; no
            limits by default.
        upstream: the address of another Hub, such as ``https://huggingface.co``, from which repositories are fetched
            that this one lacks.
        upstream_token: what it is asked with; callers' tokens never go there.
        webhook_hosts: hosts inside the Hub's own network that webhooks may tell and that may issue identity tokens;
            others may be anywhere else.
        spaces: whether programs in Spaces run: None, not at all; "separate", each as a user of its own, for which the
            server has to be root; "trusted", with the server's own rights where it is not.
        space_idle: seconds after which a program that nobody visits is stopped.
        space_memory: bytes of data that a program may have.
        space_packages: whether what the ``requirements.txt`` of a Space names is installed for it, from wherever pip
            is told to look.
        limits: sizes the server accepts.

    Example:
        >>> Settings(Path("hub")).database_url
        'sqlite:///hub/hub.sqlite'
    """

    folder: Path
    database: str | None = None
    store: str | None = None
    public_url: str | None = None
    durable: bool = True
    sign_up: bool = False
    quota: int | None = None
    rates: Mapping[str, int] = dataclasses.field(default_factory=dict)
    upstream: str | None = None
    upstream_token: str | None = dataclasses.field(default=None, repr=False)
    webhook_hosts: frozenset[str] = frozenset()
    spaces: Literal["separate", "trusted"] | None = None
    space_idle: float = 900.0
    space_memory: int = 4 << 30
    space_packages: bool = False
    limits: Limits = Limits()

    @property
    def database_url(self) -> str:
        """The SQLAlchemy URL of the database."""
        return self.database or f"sqlite:///{self.folder / 'hub.sqlite'}"
