"""Folders of a repository as git trees: found, walked and changed at a cost that follows the change, not the size."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, insert, select
from sqlalchemy.exc import NoResultFound

from enfold.hubserver import database
from enfold.hubserver.errors import HubServerError
from enfold.hubserver.gitobjects import EMPTY_TREE, Entry, decode_tree, encode_tree, object_oid

__all__ = ["Change", "change", "diff", "find", "read", "walk"]

_READ = select(database.tree.c.data).where(database.tree.c.oid == bindparam("oid"))


class _Recent:
    """The trees that were read last: what an id names never changes. ``entries`` of them all are kept at most."""

    def __init__(self, entries: int = 100_000) -> None:
        self._left, self._trees, self._lock = entries, OrderedDict[str, Mapping[str, Entry]](), threading.Lock()

    def get(self, oid: str) -> Mapping[str, Entry] | None:
        with self._lock:
            if oid in self._trees:
                self._trees.move_to_end(oid)
            return self._trees.get(oid)

    def put(self, oid: str, tree: Mapping[str, Entry]) -> None:
        with self._lock:
            if oid not in self._trees:
                self._trees[oid] = tree
                self._left -= len(tree)
            while self._left < 0:
                self._left += len(self._trees.popitem(last=False)[1])


_recent = _Recent()


def read(connection: Connection, oid: str) -> Mapping[str, Entry]:
    """Return the entries of the tree ``oid`` (not to be changed)."""
    if oid == EMPTY_TREE:
        return {}
    found = _recent.get(oid)
    if found is None:
        data = connection.scalar(_READ, {"oid": oid})
        if data is None:
            raise NoResultFound(f"tree {oid} is missing")
        found = decode_tree(bytes(data))
        _recent.put(oid, found)
    return found


def find(connection: Connection, root: str, path: str) -> Entry | None:
    """Return what is at ``path`` below the tree ``root``, or None; the empty path is the root itself."""
    entry = Entry(root, True)
    for segment in path.split("/") if path else []:
        if not entry.folder:
            return None
        found = read(connection, entry.oid).get(segment)
        if found is None:
            return None
        entry = found
    return entry


def walk(
    connection: Connection, oid: str, prefix: str = "", *, recursive: bool = True, after: str | None = None
) -> Iterator[tuple[str, Entry]]:
    """Yield ``(path, entry)`` below a tree, folders before what they hold.

    Args:
        connection: a transaction.
        oid: the tree.
        prefix: its own path, which the paths begin with.
        recursive: also what is in its folders.
        after: a path that such a walk yields: begin behind it, without a look at the folders before.

    Raises:
        HubServerError: 400, there is no ``after``.
    """
    entries = iter(read(connection, oid).items())
    if after is not None:
        wanted, _, below = after.removeprefix(f"{prefix}/" if prefix else "").partition("/")
        entry = next((entry for name, entry in entries if name == wanted), None)
        if entry is None or (below and not (recursive and entry.folder)):
            raise HubServerError(400, f"there is no {after[:80]!r} to go on behind")
        if recursive and entry.folder:
            path = f"{prefix}/{wanted}" if prefix else wanted
            yield from walk(connection, entry.oid, path, after=f"{path}/{below}" if below else None)
    for name, entry in entries:
        path = f"{prefix}/{name}" if prefix else name
        yield path, entry
        if recursive and entry.folder:
            yield from walk(connection, entry.oid, path)


class Change(NamedTuple):
    """A file that differs between two trees: its blob in each, None where it is absent."""

    path: str
    before: str | None
    after: str | None


def diff(connection: Connection, before: str, after: str, prefix: str = "") -> Iterator[Change]:
    """Yield the files that differ between two trees, by path; folders that are equal are not looked into."""
    old, new = read(connection, before), read(connection, after)
    for name in sorted(old.keys() | new.keys()):
        one, other = old.get(name), new.get(name)
        if one == other:
            continue
        path = prefix + name
        folders = [entry.oid if entry and entry.folder else EMPTY_TREE for entry in (one, other)]
        files = [entry.oid if entry and not entry.folder else None for entry in (one, other)]
        if files != [None, None]:
            yield Change(path, files[0], files[1])
        if folders[0] != folders[1]:
            yield from diff(connection, folders[0], folders[1], path + "/")


def change(connection: Connection, root: str, changes: Mapping[str, str | None]) -> str:
    """Apply changes to the tree ``root``, store the new trees and return the new root.

    Args:
        connection: a write transaction.
        root: the id of the present tree.
        changes: path → id of the new blob, or None to delete the file or folder there.

    Raises:
        HubServerError: a path would be both a file and a folder.
    """
    nested: dict[str, dict[str, str | None]] = {}
    entries = dict(read(connection, root))
    for path, oid in changes.items():
        name, slash, rest = path.partition("/")
        if slash:
            nested.setdefault(name, {})[rest] = oid
        elif oid is None:
            entries.pop(name, None)
        else:
            if name in entries and entries[name].folder:
                raise HubServerError(400, f"{path!r} is a folder in the repository; a file cannot take its place")
            entries[name] = Entry(oid, False)
    for name, below in nested.items():
        present = entries.get(name)
        if present is not None and not present.folder:
            if all(oid is None for oid in below.values()):
                continue
            raise HubServerError(400, f"{name!r} is a file in the repository; it cannot hold {next(iter(below))!r}")
        new = change(connection, present.oid if present else EMPTY_TREE, below)
        if new == EMPTY_TREE:
            entries.pop(name, None)
        else:
            entries[name] = Entry(new, True)
    data = encode_tree(entries)
    oid = object_oid("tree", data)
    if oid not in {root, EMPTY_TREE}:
        store(connection, oid, data)
    return oid


def store(connection: Connection, oid: str, data: bytes) -> None:
    """Store a tree object unless it is known."""
    known = connection.scalar(select(database.tree.c.oid).where(database.tree.c.oid == oid))
    if known is None:
        connection.execute(insert(database.tree).values(oid=oid, data=data))
