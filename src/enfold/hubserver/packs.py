"""What ``git fetch`` is sent: which objects of a repository somebody lacks, and git's pack of them.

Histories are chains here (a commit has one parent), folders and files are shared between repositories, so whatever is
asked for by its id has to be reached from a commit of the repository. Large files are pointers, as git-lfs wants them.

Source: https://git-scm.com/docs/gitformat-pack and https://git-scm.com/docs/protocol-v2
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from enfold.hubserver import database as db
from enfold.hubserver import trees
from enfold.hubserver.commits import Commits
from enfold.hubserver.errors import HubServerError
from enfold.hubserver.gitobjects import EMPTY_TREE, pointer

__all__ = ["Asked", "History", "Plan", "pack", "plan"]

_TYPES = {"commit": 1, "tree": 2, "blob": 3}
_BATCH = 200
_FILTER = re.compile(r"blob:none|blob:limit=(\d{1,15})([kmg]?)|tree:(\d{1,5})")


@dataclasses.dataclass
class Asked:
    """What a client asks for and says that it has.

    Args:
        wants: ids of commits (or, of a partial clone, of folders and files).
        haves: ids of commits.
        shallow: commits of the client whose parents it lacks on purpose.
        depth: how many commits of each history to send; None for all.
        relative: whether ``depth`` counts from the present ``shallow``.
        since: leave out commits before this moment, in seconds since 1970.
        without: leave out commits that these lead to.
        filter: "blob:none", "blob:limit=…" or "tree:…", of a partial clone.
    """

    wants: list[str] = dataclasses.field(default_factory=list)
    haves: list[str] = dataclasses.field(default_factory=list)
    shallow: set[str] = dataclasses.field(default_factory=set)
    depth: int | None = None
    relative: bool = False
    since: int | None = None
    without: list[str] = dataclasses.field(default_factory=list)
    filter: str | None = None

    @property
    def deepens(self) -> bool:
        """Whether the client wants its history cut at another place."""
        return self.depth is not None or self.since is not None or bool(self.without)


class _Commit(NamedTuple):
    parent: str | None
    tree: str
    created: int


class History:
    """The commits of a repository, as far as they are needed to find out what somebody lacks."""

    def __init__(self, connection: Connection, repo_id: int) -> None:
        table = db.commit
        columns = (table.c.oid, table.c.parent, table.c.tree, table.c.created)
        rows = connection.execute(select(*columns).where(table.c.repo_id == repo_id))
        self.commits = {row.oid: _Commit(row.parent, row.tree, row.created) for row in rows}

    def chain(self, oid: str | None, stop: Iterable[str] = ()) -> Iterator[str]:
        """Yield a commit and those before it, to one of ``stop`` (inclusive) or the first."""
        ends = stop if isinstance(stop, (set, frozenset, dict)) else set(stop)
        while oid is not None and oid in self.commits:
            yield oid
            if oid in ends:
                return
            oid = self.commits[oid].parent

    def common(self, asked: Asked) -> list[str]:
        """Return what the client has and this repository as well."""
        return [oid for oid in asked.haves if oid in self.commits]

    def enough(self, asked: Asked) -> bool:
        """Say whether every history that is wanted leads to something that the client has."""
        common = set(self.common(asked))
        wants = [oid for oid in asked.wants if oid in self.commits]
        return bool(common) and all(any(oid in common for oid in self.chain(want)) for want in wants)


@dataclasses.dataclass
class Plan:
    """What is sent.

    Args:
        commits: their ids.
        trees: ids of folders.
        blobs: ids of files.
        shallow: commits that are sent, or were, without their parents.
        unshallow: commits whose parents are sent now.
    """

    commits: list[str]
    trees: dict[str, None]
    blobs: dict[str, None]
    shallow: list[str]
    unshallow: list[str]

    def __len__(self) -> int:
        return len(self.commits) + len(self.trees) + len(self.blobs)


def plan(connection: Connection, commits: Commits, history: History, asked: Asked) -> Plan:
    """Return which objects a client lacks of what it wants.

    Raises:
        HubServerError: 400, something that is wanted is not in this repository, or a filter is not known.
    """
    limits = _limits(asked.filter)
    wanted = [oid for oid in asked.wants if oid in history.commits]
    others = [oid for oid in asked.wants if oid not in history.commits]
    has = {oid for have in history.common(asked) for oid in history.chain(have, asked.shallow)}
    sent, cut = _commits(history, asked, wanted, has)
    made = Plan(sent, {}, {}, sorted(cut - asked.shallow), [])
    if asked.deepens:
        reached = {oid for want in wanted for oid in history.chain(want, cut)}
        made.unshallow = sorted((asked.shallow & reached) - cut)
    seen: dict[str, int] = {}
    known = set(history.common(asked)[:64])
    known |= {parent for oid in sent if (parent := history.commits[oid].parent) in has}
    if asked.filter is None:
        for oid in known:
            _walk(connection, history.commits[oid].tree, 0, limits, seen, Plan([], {}, {}, [], []))
    for oid in sent:
        _walk(connection, history.commits[oid].tree, 0, limits, seen, made)
    if limits.size is not None:
        rows = commits.blobs(connection, list(made.blobs))
        keep = {oid for oid, row in rows.items() if _git_size(row) < limits.size}
        made.blobs = {oid: None for oid in made.blobs if oid in keep}
    if others:
        _add_wanted(connection, history, others, limits, made)
    return made


def _commits(history: History, asked: Asked, wanted: Sequence[str], has: set[str]) -> tuple[list[str], set[str]]:
    """Return the commits to send, newest first, and those at which the histories are cut."""
    without = {oid for name in asked.without for oid in history.chain(name)}
    sent: dict[str, None] = {}
    cut: set[str] = set()
    for want in wanted:
        last, count, counting = None, 0, not asked.relative
        for oid in history.chain(want):
            if oid in has and not asked.deepens:
                break
            commit = history.commits[oid]
            counting = counting or oid in asked.shallow
            stop = oid in without or (asked.since is not None and commit.created < asked.since)
            if stop or (asked.depth is not None and count >= asked.depth + asked.relative):
                if last is not None:
                    cut.add(last)
                break
            count += counting
            last = oid
            if oid not in has:
                sent[oid] = None
            if not asked.deepens and oid in asked.shallow:
                break
    return list(sent), cut


class _Limits(NamedTuple):
    size: int | None  # files are smaller than this
    depth: int | None  # folders are nearer to the root than this


def _limits(words: str | None) -> _Limits:
    if words is None:
        return _Limits(None, None)
    found = _FILTER.fullmatch(words)
    if found is None:
        raise HubServerError(400, f"the filter {words!r} is not known here: use blob:none, blob:limit=… or tree:…")
    if found[3] is not None:
        return _Limits(None, int(found[3]))
    return _Limits(int(found[1] or 0) * {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}[found[2] or ""], None)


def _walk(connection: Connection, oid: str, depth: int, limits: _Limits, seen: dict[str, int], made: Plan) -> None:
    """Add a folder and what it holds, unless it was looked at before from as near to the root."""
    if (limits.depth is not None and depth >= limits.depth) or seen.get(oid, depth + 1) <= depth:
        return
    seen[oid] = depth if limits.depth is not None else 0
    made.trees[oid] = None
    for entry in trees.read(connection, oid).values():
        if entry.folder:
            _walk(connection, entry.oid, depth + 1, limits, seen, made)
        elif limits.size != 0 and (limits.depth is None or depth + 1 < limits.depth) and entry.oid not in seen:
            seen[entry.oid] = 0
            made.blobs[entry.oid] = None


def _add_wanted(connection: Connection, history: History, wanted: Sequence[str], limits: _Limits, made: Plan) -> None:
    """Add folders and files that are wanted by their ids: only what a commit of this repository leads to."""
    missing, folders = set(wanted), set[str]()
    seen: set[str] = set()
    waiting = list(dict.fromkeys(commit.tree for commit in history.commits.values()))
    while waiting and missing:
        oid = waiting.pop()
        if oid in seen:
            continue
        seen.add(oid)
        if oid in missing:
            folders.add(oid)
            missing.discard(oid)
        for entry in trees.read(connection, oid).values():
            if entry.folder:
                waiting.append(entry.oid)
            elif entry.oid in missing:
                made.blobs[entry.oid] = None
                missing.discard(entry.oid)
    if missing:
        raise HubServerError(400, f"upload-pack: not our ref {min(missing)}")
    for oid in folders:
        made.trees[oid] = None
        if limits.depth is None:
            _walk(connection, oid, 0, limits, {}, made)


def _git_size(row: Any) -> int:
    return len(pointer(row.sha256, row.size)) if row.lfs else int(row.size)


# ---------------------------------------------------------------------- the pack


def pack(database: db.Database, commits: Commits, repo_id: int, made: Plan) -> Iterator[bytes]:
    """Yield the pack of a plan's objects, each compressed by itself; every batch is a transaction of its own."""
    digest = hashlib.sha1(usedforsecurity=False)

    def out(data: bytes) -> bytes:
        digest.update(data)
        return data

    yield out(b"PACK" + struct.pack(">II", 2, len(made)))
    for kind, oids, read in (
        ("commit", made.commits, _read_commits(repo_id)),
        ("tree", list(made.trees), _read_trees),
        ("blob", list(made.blobs), _read_blobs(commits)),
    ):
        for start in range(0, len(oids), _BATCH):
            part = oids[start : start + _BATCH]
            with database.read() as connection:
                found = read(connection, part)
            pieces = bytearray()
            for oid in part:
                data = found(oid)
                pieces += _head(_TYPES[kind], len(data)) + zlib.compress(data, 1)
                if len(pieces) > 1 << 20:
                    yield out(bytes(pieces))
                    pieces.clear()
            yield out(bytes(pieces))
    yield digest.digest()


def _head(kind: int, size: int) -> bytes:
    """Return the head of an object in a pack: its type and its size, seven bits at a time after the first four."""
    first, size = (kind << 4) | (size & 15), size >> 4
    head = bytearray()
    while size:
        head.append(first | 0x80)
        first, size = size & 0x7F, size >> 7
    head.append(first)
    return bytes(head)


Read = Callable[[Connection, Sequence[str]], Callable[[str], bytes]]


def _read_commits(repo_id: int) -> Read:
    def read(connection: Connection, oids: Sequence[str]) -> Callable[[str], bytes]:
        table = db.commit
        rows = connection.execute(
            select(table.c.oid, table.c.data).where(table.c.repo_id == repo_id, table.c.oid.in_(oids))
        )
        return {row.oid: bytes(row.data) for row in rows}.__getitem__

    return read


def _read_trees(connection: Connection, oids: Sequence[str]) -> Callable[[str], bytes]:
    rows = connection.execute(select(db.tree).where(db.tree.c.oid.in_(oids)))
    return {EMPTY_TREE: b"", **{row.oid: bytes(row.data) for row in rows}}.__getitem__


def _read_blobs(commits: Commits) -> Read:
    def read(connection: Connection, oids: Sequence[str]) -> Callable[[str], bytes]:
        rows = {row.oid: row for row in connection.execute(select(db.blob).where(db.blob.c.oid.in_(oids)))}

        def content(oid: str) -> bytes:
            row = rows[oid]
            return pointer(row.sha256, row.size) if row.lfs else commits.content(row)

        return content

    return read
