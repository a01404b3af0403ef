"""Looking after a Hub's data: everything checked against its hash, and what nothing refers to thrown away."""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Table, delete, select

from enfold.hubserver import database as db
from enfold.hubserver.errors import HubServerError
from enfold.hubserver.gitobjects import EMPTY_TREE, decode_tree, object_oid, pointer
from enfold.hubserver.hub import Hub
from enfold.hubserver.store.objects import LEASE, Objects, open_source
from enfold.hubserver.xet.hashes import to_hex
from enfold.hubserver.xet.xorbs import XorbReader

__all__ = ["Checked", "Collected", "check", "collect"]

_BATCH = 500
Say = Callable[[str], None]


@dataclasses.dataclass
class Checked:
    """What :func:`check` looked at, and what is wrong.

    Args:
        commits: how many commits were read.
        trees: how many folders.
        contents: how many contents of files.
        xorbs: how many xorbs.
        problems: a sentence for each thing that is missing or damaged.
    """

    commits: int = 0
    trees: int = 0
    contents: int = 0
    xorbs: int = 0
    problems: list[str] = dataclasses.field(default_factory=list)


def check(hub: Hub, *, read: bool = True, say: Say = lambda text: None) -> Checked:
    """Follow every reference to its commits, folders and contents, and recompute their hashes.

    Args:
        hub: the Hub; it may be serving meanwhile.
        read: whether contents are read and hashed, not only looked for.
        say: told what is being looked at.
    """
    found = Checked()
    with hub.database.read() as connection:
        say("references and commits")
        trees = _check_commits(connection, found)
        say(f"{len(trees)} folders")
        blobs = _check_trees(connection, trees, found)
        say(f"{len(blobs)} contents")
        _check_blobs(hub, connection, blobs, found, read)
        say("xorbs")
        for row in connection.execute(select(db.xorb.c.hash, db.xorb.c.size)):
            _check_xorb(hub, row.hash, row.size, found, read)
    return found


def _check_commits(connection: Connection, found: Checked) -> set[str]:
    """Check commits and references; return the trees of the former."""
    known: set[tuple[int, str]] = set()
    trees, parents = set(), []
    copies = set(connection.scalars(select(db.mirror.c.repo_id)))  # whose commits are an upstream's
    for row in connection.execute(select(db.commit)):
        found.commits += 1
        known.add((row.repo_id, row.oid))
        trees.add(row.tree)
        if row.repo_id not in copies and object_oid("commit", row.data) != row.oid:
            found.problems.append(f"the commit {row.oid} of repository {row.repo_id} is damaged")
        if row.parent is not None:
            parents.append((row.repo_id, row.parent))
    for key in parents:
        if key not in known:
            found.problems.append(f"the commit {key[1]} of repository {key[0]} is missing")
    for row in connection.execute(select(db.ref)):
        if row.repo_id not in copies and (row.repo_id, row.commit) not in known:
            found.problems.append(f"{row.name} of repository {row.repo_id} names {row.commit}, which is missing")
    return trees


def _check_trees(connection: Connection, roots: set[str], found: Checked) -> set[str]:
    """Check folders from the roots down; return the ids of the files in them."""
    waiting, seen, blobs = set(roots), {EMPTY_TREE}, set[str]()
    while waiting := waiting - seen:
        seen |= waiting
        found.trees += len(waiting)
        datas = {row.oid: row.data for row in _rows(connection, db.tree, "oid", sorted(waiting))}
        for oid in waiting - datas.keys():
            found.problems.append(f"the folder {oid} is missing")
        waiting = set()
        for oid, data in datas.items():
            if object_oid("tree", data) != oid:
                found.problems.append(f"the folder {oid} is damaged")
                continue
            for entry in decode_tree(data).values():
                (waiting if entry.folder else blobs).add(entry.oid)
    return blobs


def _check_blobs(hub: Hub, connection: Connection, oids: set[str], found: Checked, read: bool) -> None:
    rows = {row.oid: row for row in _rows(connection, db.blob, "oid", sorted(oids))}
    for oid in sorted(oids - rows.keys()):
        found.problems.append(f"the file {oid} is missing")
    elsewhere = _all(connection, db.mirror_file.c.oid)  # not fetched yet
    for oid, row in rows.items():
        if oid in elsewhere:
            continue
        found.contents += 1
        expected = object_oid("blob", pointer(row.sha256, row.size)) if row.lfs else oid
        if expected != oid:
            found.problems.append(f"the file {oid} does not point to the content {row.sha256}")
        try:
            problem = _check_content(hub, row, read)
        except (OSError, HubServerError) as error:
            problem = f"cannot be read: {error}"
        if problem:
            found.problems.append(f"the content {row.sha256} {problem}")


def _check_content(hub: Hub, row: Any, read: bool) -> str | None:
    if row.data is None and hub.xet.find(sha256=row.sha256) is None:
        found = hub.blobs.objects.find(hub.blobs.name(row.sha256))
        if found is None or found.size != row.size:
            return "is missing" if found is None else f"has {found.size} bytes, not {row.size}"
    if not read:
        return None
    digest, length = hashlib.sha256(), 0
    for piece in [row.data] if row.data is not None else _pieces(hub.contents.source(row.sha256)):
        digest.update(piece)
        length += len(piece)
    return None if (digest.hexdigest(), length) == (row.sha256, row.size) else "is damaged"


def _check_xorb(hub: Hub, name: str, size: int, found: Checked, read: bool) -> None:
    found.xorbs += 1
    objects, key = hub.xet.objects, hub.xet.name(name)
    present = objects.find(key)
    if present is None or present.size != size:
        what = "is missing" if present is None else f"has {present.size} bytes, not {size}"
        found.problems.append(f"the xorb {name} {what}")
    elif read:
        reader = XorbReader()
        try:
            for piece in _pieces(objects.source(key)):
                reader.feed(piece)
            if to_hex(reader.finish()) != name or reader.chunks.packed != hub.xet.chunks(name).packed:
                found.problems.append(f"the xorb {name} is damaged")
        except HubServerError as error:
            found.problems.append(f"the xorb {name} is damaged: {error.message}")


def _pieces(source: Any) -> Iterator[bytes]:
    with open_source(source) as reader:
        while piece := reader.read(1 << 20):
            yield piece


# ---------------------------------------------------------------------- what nothing refers to


@dataclasses.dataclass
class Collected:
    """What :func:`collect` threw away (or would): how many of each, and the bytes of objects."""

    commits: int = 0
    trees: int = 0
    contents: int = 0
    xorbs: int = 0
    bytes: int = 0


def collect(hub: Hub, *, grace: float = 7 * 86_400, dry_run: bool = False, now: float | None = None) -> Collected:
    """Throw away what no reference leads to any more.

    Commits are kept for ``grace`` seconds after they were made, so that a branch that was deleted by mistake can be
    made again; uploads that no commit took in for a day. Commits wait for it. First the rows go, in one transaction,
    then the objects that no row names: a crash in between leaves objects that the next call deletes.

    Args:
        hub: the Hub; it may be serving meanwhile.
        grace: seconds.
        dry_run: only count.
        now: the present, in seconds since 1970.

    Returns:
        what is gone.
    """
    moment = time.time() if now is None else now
    gone = Collected()
    with hub.database.write() as connection:
        commits = _dead_commits(connection, moment - grace)
        rows = connection.execute(select(db.commit.c.repo_id, db.commit.c.oid, db.commit.c.tree))
        trees, blobs = _reached(connection, {row.tree for row in rows if (row.repo_id, row.oid) not in commits})
        dead_trees = _all(connection, db.tree.c.oid) - trees
        dead_blobs = _all(connection, db.blob.c.oid) - blobs
        live, grants = _wanted(connection, blobs, moment - LEASE)
        files = {row.hash: row for row in connection.execute(select(db.xet_file))}
        dead_files = {name for name, row in files.items() if row.sha256 not in live}
        used = {term.xorb for name in files.keys() - dead_files for term in hub.xet.terms(connection, name)}
        xorbs = connection.execute(select(db.xorb.c.hash, db.xorb.c.created)).all()
        dead_xorbs = {row.hash for row in xorbs if row.hash not in used and row.created < moment - LEASE}
        gone.commits, gone.trees = len(commits), len(dead_trees)
        if dry_run:
            names = {row.hash for row in xorbs} - dead_xorbs
            _sweep(hub, live, names, moment, gone, dry_run=True)
            return gone
        for table, key, values in (
            (db.commit, "oid", commits),
            (db.repo_lfs, "sha256", grants),
        ):
            for repo_id, value in values:
                connection.execute(delete(table).where(table.c.repo_id == repo_id, table.c[key] == value))
        _delete(connection, db.tree, "oid", dead_trees)
        _delete(connection, db.blob, "oid", dead_blobs)
        _delete(connection, db.xet_file, "hash", dead_files)
        _delete(connection, db.xorb, "hash", dead_xorbs)
    hub.xet.forget()
    with hub.database.write() as connection:  # nothing is written, but nobody else writes
        live = _all(connection, db.blob.c.sha256) | _all(connection, db.repo_lfs.c.sha256)
        _sweep(hub, live, _all(connection, db.xorb.c.hash), moment, gone, dry_run=False)
    return gone


def _wanted(connection: Connection, blobs: set[str], before: float) -> tuple[set[str], set[tuple[int, str]]]:
    """Return the contents that are in these files or were uploaded lately, and the other uploads' repositories."""
    live = {str(row.sha256) for row in _rows(connection, db.blob, "oid", sorted(blobs))}
    uploads = connection.execute(select(db.repo_lfs)).all()
    old = {(row.repo_id, row.sha256) for row in uploads if row.sha256 not in live and row.created < before}
    return live | {row.sha256 for row in uploads if (row.repo_id, row.sha256) not in old}, old


def _dead_commits(connection: Connection, before: float) -> set[tuple[int, str]]:
    """Return the commits, made before a moment, that no reference of their repository leads to."""
    parents: dict[tuple[int, str], str | None] = {}
    young = set()
    for row in connection.execute(
        select(db.commit.c.repo_id, db.commit.c.oid, db.commit.c.parent, db.commit.c.created)
    ):
        parents[row.repo_id, row.oid] = row.parent
        if row.created >= before:
            young.add((row.repo_id, row.oid))
    roots = {(row.repo_id, row.commit) for row in connection.execute(select(db.ref))} | young
    for row in connection.execute(select(db.discussion).where(db.discussion.c.base.is_not(None))):
        roots |= {(row.repo_id, oid) for oid in (row.start, row.merged) if oid is not None}
    reached: set[tuple[int, str]] = set()
    for key in roots:
        step: tuple[int, str] | None = key
        while step is not None and step not in reached:
            reached.add(step)
            parent = parents.get(step)
            step = (step[0], parent) if parent is not None else None
    return parents.keys() - reached


def _reached(connection: Connection, roots: set[str]) -> tuple[set[str], set[str]]:
    """Return the folders and the files that are in these trees."""
    waiting, trees, blobs = set(roots), {EMPTY_TREE}, set[str]()
    while waiting := waiting - trees:
        trees |= waiting
        rows = _rows(connection, db.tree, "oid", sorted(waiting))
        waiting = set()
        for row in rows:
            for entry in decode_tree(row.data).values():
                (waiting if entry.folder else blobs).add(entry.oid)
    return trees, blobs


def _sweep(hub: Hub, contents: set[str], xorbs: set[str], now: float, gone: Collected, *, dry_run: bool) -> None:
    """Delete the objects that nothing refers to and that are older than a lease; count them."""
    kept = {hub.blobs.name(sha256) for sha256 in contents if sha256}  # without one it is still at an upstream
    gone.contents += _delete_others(hub.blobs.objects, kept, now, gone, dry_run)
    kept = {hub.xet.name(name) for name in xorbs}
    gone.xorbs += _delete_others(hub.xet.objects, kept, now, gone, dry_run)


def _delete_others(objects: Objects, kept: set[str], now: float, gone: Collected, dry_run: bool) -> int:
    count = 0
    for found in list(objects.list()):
        if found.name in kept or found.modified >= now - LEASE:
            continue
        if not dry_run:
            again = objects.find(found.name)
            if again is None or again.modified >= now - LEASE:
                continue  # uploaded again meanwhile
            objects.delete(found.name)
        count += 1
        gone.bytes += found.size
    return count


def _all(connection: Connection, column: Any) -> set[str]:
    return {str(value) for value in connection.scalars(select(column))}


def _rows(connection: Connection, table: Table, key: str, values: Sequence[str]) -> list[Any]:
    """Return the rows whose ``key`` is one of ``values``."""
    rows: list[Any] = []
    for start in range(0, len(values), _BATCH):
        rows += connection.execute(select(table).where(table.c[key].in_(values[start : start + _BATCH]))).all()
    return rows


def _delete(connection: Connection, table: Table, key: str, values: set[str]) -> None:
    ordered = sorted(values)
    for start in range(0, len(ordered), _BATCH):
        connection.execute(delete(table).where(table.c[key].in_(ordered[start : start + _BATCH])))
