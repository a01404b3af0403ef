"""Telling a client which of its chunks are here already, so that it does not send them again.

A client asks for the first chunk of a file, and for one in a thousand of the others. The answer is a shard: the hashes
of a whole xorb, so that the chunks around it are found at once. Two things keep it from telling secrets: every hash is
keyed with a key of this one answer, so that only who has a chunk recognises it; and chunks that belong to no file that
the caller may read are left out by hashes of nothing.
"""

from __future__ import annotations

import secrets
import struct
import time
from collections.abc import Iterable, Sequence
from typing import Any

from blake3 import blake3
from sqlalchemy import Connection, insert, or_, select

from enfold.hubserver import database as db
from enfold.hubserver.store.objects import LEASE
from enfold.hubserver.xet.hashes import from_hex, to_hex
from enfold.hubserver.xet.shards import write_shard
from enfold.hubserver.xet.xorbs import Chunks

__all__ = ["KNOWN", "answer", "is_telling", "note"]

KNOWN = LEASE // 2  # seconds for which an answer holds: shorter than what it names is kept
_ONE_IN = 1024
_FILES = 64  # files that are looked at for an answer
_TERM = struct.Struct("<32sIII")


def is_telling(digest: bytes) -> bool:
    """Say whether a chunk is one of those that clients ask for wherever they come up."""
    return int.from_bytes(digest[24:], "little") % _ONE_IN == 0


def note(connection: Connection, xorb: str, chunks: Iterable[tuple[bytes, int]]) -> None:
    """List chunks (hash and place) of a xorb as ones that are asked for, unless they are."""
    wanted = {to_hex(digest): place for digest, place in chunks}
    if not wanted:
        return
    table = db.chunk
    mine = (table.c.xorb == xorb) & table.c.hash.in_(sorted(wanted))
    known = set(connection.scalars(select(table.c.hash).where(mine)))
    rows = [{"hash": name, "xorb": xorb, "place": place} for name, place in wanted.items() if name not in known]
    if rows:
        connection.execute(insert(table), rows)


def answer(connection: Connection, chunk: str, account_id: int) -> tuple[str, bytes] | None:
    """Return a xorb that has a chunk and its shard, or None where there is none that the account may read.

    Args:
        connection: a transaction. Afterwards the xorb has to be renewed, since the client counts on it.
        chunk: the chunk's hash.
        account_id: the caller's account; 0 for nobody's, who reads what is public.
    """
    visible: dict[str, set[int]] = {}
    places: dict[str, int] = {}
    for row in _readable(connection, chunk, account_id):
        places[row.xorb] = row.place
        seen = visible.setdefault(row.xorb, set())
        for xorb, start, stop, _ in _TERM.iter_unpack(row.terms):
            if to_hex(xorb) == row.xorb:
                seen.update(range(start, stop))
    useful = [name for name, seen in visible.items() if places[name] in seen]
    if not useful:
        return None
    best = max(useful, key=lambda name: (len(visible[name]), name))
    table = db.xorb
    found = connection.execute(select(table.c.size, table.c.chunks).where(table.c.hash == best)).one()
    key = secrets.token_bytes(32)
    nodes = [
        (blake3(digest, key=key).digest() if place in visible[best] else secrets.token_bytes(32), size)
        for place, (digest, size) in enumerate(Chunks(found.chunks).nodes())
    ]
    now = int(time.time())
    return best, write_shard(from_hex(best), nodes, on_disk=found.size, key=key, created=now, expires=now + KNOWN)


def _readable(connection: Connection, chunk: str, account_id: int) -> Sequence[Any]:
    """Return the xorbs that have a chunk, its place there, and the terms of a file that the account may read."""
    repo, member, account = db.repo, db.membership, db.account
    groups = (
        select(account.c.key)
        .join(member, member.c.organisation_id == account.c.id)
        .where(member.c.user_id == account_id)
    )
    own = select(account.c.key).where(account.c.id == account_id)
    asked = db.access_request
    let_in = select(asked.c.repo_id).where(asked.c.account_id == account_id, asked.c.status == "accepted")
    public = repo.c.private.is_(False) & ((repo.c.gated == "false") | repo.c.id.in_(let_in))
    return connection.execute(
        select(db.chunk.c.xorb, db.chunk.c.place, db.xet_file.c.terms)
        .join(db.xet_use, db.xet_use.c.xorb == db.chunk.c.xorb)
        .join(db.xet_file, db.xet_file.c.hash == db.xet_use.c.file)
        .join(db.repo_lfs, db.repo_lfs.c.sha256 == db.xet_file.c.sha256)
        .join(repo, repo.c.id == db.repo_lfs.c.repo_id)
        .where(db.chunk.c.hash == chunk)
        .where(or_(public, repo.c.namespace.in_(own), repo.c.namespace.in_(groups)))
        .limit(_FILES)
    ).all()
