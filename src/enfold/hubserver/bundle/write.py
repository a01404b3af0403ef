"""Writing a bundle."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import hashlib
import json
import tempfile
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, Table, select

from enfold.hubserver import database as db
from enfold.hubserver.bundle.archive import Bytes, open_writer
from enfold.hubserver.bundle.signatures import sign
from enfold.hubserver.errors import HubServerError
from enfold.hubserver.gitobjects import EMPTY_TREE, decode_tree
from enfold.hubserver.hub import Hub
from enfold.hubserver.store.objects import open_source

__all__ = ["VERSION", "Exported", "export"]

VERSION = 1
_BATCH = 500
_SAID = ("title", "status", "author", "created", "base", "start", "merged")  # of a discussion
_EVENT = ("id", "num", "position", "kind", "author", "created", "data")
Say = Callable[[str], None]


@dataclasses.dataclass
class Exported:
    """What :func:`export` wrote.

    Args:
        repositories: how many.
        objects: how many packs and contents the bundle has.
        size: their bytes.
        written: bytes that were written now, and not by an earlier run that was interrupted.
    """

    repositories: int = 0
    objects: int = 0
    size: int = 0
    written: int = 0


def export(
    hub: Hub,
    path: Path,
    names: Collection[str] = (),
    *,
    since: Path | None = None,
    key: Path | None = None,
    say: Say = lambda text: None,
) -> Exported:
    """Write repositories into a bundle; the Hub may be serving meanwhile.

    Args:
        hub: the Hub.
        path: the bundle: a tar file where it ends in ``.tar``, else a folder. A run that was interrupted is taken up.
        names: repositories, such as ``ann/one`` or ``datasets/ann/one``, or namespaces; all by default.
        since: ``bundle.json`` of an earlier bundle, whose contents the other side has: they are left out.
        key: a file with a private Ed25519 key (PEM) to sign the bundle with.
        say: told what is being written.

    Raises:
        HubServerError: 404, there is no such repository.
    """
    left_out = set[str]()
    if since is not None:
        left_out = set(json.loads(since.read_text())["objects"])
    done = Exported()
    with contextlib.ExitStack() as stack:
        connection = stack.enter_context(hub.database.read())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        objects: dict[str, int] = {}
        parts: list[dict[str, Any]] = []
        for number, repo in enumerate(_chosen(connection, names)):
            say(f"{repo.kind}/{repo.name}")
            part = f"repos/{number:06d}.jsonl"
            file = folder / f"{number:06d}.jsonl"
            with file.open("w") as lines:
                for name, size in _repository(hub, connection, repo, lines.write):
                    objects[name] = size
            digest = hashlib.sha256(file.read_bytes()).hexdigest()
            parts.append({"kind": repo.kind, "name": repo.name, "part": part, "sha256": digest})
        whole = {name: size for name, size in sorted(objects.items()) if name not in left_out}
        known = sorted(left_out & objects.keys())
        manifest = {
            "enfold-bundle": VERSION,
            "repositories": parts,
            "objects": whole,
            "elsewhere": known,  # on the other side, by an earlier bundle
        }
        text = json.dumps(manifest, indent=1, sort_keys=True).encode()
        writer = open_writer(path)
        stack.callback(writer.close)
        writer.put("bundle.json", len(text), Bytes(text))
        if key is not None:
            signature = sign(text, key)
            writer.put("bundle.sig", len(signature), Bytes(signature))
        for name, size in whole.items():
            say(name)
            with open_source(_source(hub, name)) as reader:
                done.written += size if writer.put(name, size, reader) else 0
            done.size += size
        for item in parts:
            file = folder / str(item["part"]).removeprefix("repos/")
            with file.open("rb") as reader:
                writer.put(str(item["part"]), file.stat().st_size, reader)
        writer.finish()
    done.repositories, done.objects = len(parts), len(whole)
    return done


def _chosen(connection: Connection, names: Collection[str]) -> list[Row[Any]]:
    # Copies of an upstream's have no git objects of commits, and whoever wants them can have them from there.
    own = ~db.repo.c.id.in_(select(db.mirror.c.repo_id))
    rows = connection.execute(select(db.repo).where(own).order_by(db.repo.c.id)).all()
    if not names:
        return list(rows)
    wanted = {name.lower().strip("/") for name in names}
    chosen, met = [], set[str]()
    for row in rows:
        calls = {row.namespace, row.key if row.kind == "models" else "", f"{row.kind}/{row.key}"} & wanted
        met |= calls
        if calls:
            chosen.append(row)
    if absent := wanted - met:
        raise HubServerError(404, f"this Hub has no repository of its own and no namespace {min(absent)!r}")
    return chosen


def _source(hub: Hub, name: str) -> Any:
    objects = hub.xet.objects if name.startswith("xorbs/") else hub.blobs.objects
    return objects.source(name.partition("/")[2])


def _repository(
    hub: Hub, connection: Connection, repo: Row[Any], write: Callable[[str], Any]
) -> Iterable[tuple[str, int]]:
    """Write a repository's rows as lines; yield the objects that it needs, and their sizes."""

    def line(what: str, /, **values: Any) -> None:
        write(json.dumps({"is": what, **values}) + "\n")

    refs = connection.execute(select(db.ref).where(db.ref.c.repo_id == repo.id).order_by(db.ref.c.name)).all()
    line(
        "repository",
        kind=repo.kind,
        name=repo.name,
        private=bool(repo.private),
        gated=repo.gated,
        sdk=repo.sdk,
        created=repo.created,
        refs={row.name: row.commit for row in refs},
    )
    commits = connection.execute(
        select(db.commit).where(db.commit.c.repo_id == repo.id).order_by(db.commit.c.generation, db.commit.c.oid)
    ).all()
    reached = _reached({row.oid: row.parent for row in commits}, connection, repo, [row.commit for row in refs])
    roots, seen, files = set[str](), set[str](), set[str]()
    for row in commits:
        if row.oid in reached:
            line("commit", oid=row.oid, data=_text(row.data))
            roots.add(row.tree)
    waiting = roots - {EMPTY_TREE}
    while waiting:
        seen |= waiting
        found = set[str]()
        for tree in _rows(connection, db.tree, "oid", sorted(waiting)):
            line("tree", oid=tree.oid, data=_text(tree.data))
            for entry in decode_tree(tree.data).values():
                (found if entry.folder else files).add(entry.oid)
        waiting = found - seen
    for row in _rows(connection, db.blob, "oid", sorted(files)):
        data = {} if row.data is None else {"data": _text(row.data)}
        line("blob", oid=row.oid, sha256=row.sha256, size=row.size, lfs=bool(row.lfs), **data)
        if row.data is not None:
            continue
        chunked = hub.xet.find(sha256=row.sha256)
        if chunked is None:
            yield f"blobs/{hub.blobs.name(row.sha256)}", int(row.size)
        else:
            line("file", hash=chunked.hash, sha256=chunked.sha256, terms=[list(term) for term in chunked.terms])
            xorbs = sorted({term.xorb for term in chunked.terms})
            for xorb in _rows(connection, db.xorb, "hash", xorbs):
                yield f"xorbs/{hub.xet.name(xorb.hash)}", int(xorb.size)
    table = db.discussion
    for row in connection.execute(select(table).where(table.c.repo_id == repo.id).order_by(table.c.num)):
        line("discussion", num=row.num, **{name: getattr(row, name) for name in _SAID})
    events = db.discussion_event
    for row in connection.execute(select(events).where(events.c.repo_id == repo.id).order_by(events.c.num)):
        line("event", **{name: getattr(row, name) for name in _EVENT})


def _reached(parents: dict[str, str | None], connection: Connection, repo: Row[Any], heads: Sequence[str]) -> set[str]:
    """Return the commits that references and pull requests lead to."""
    table, reached = db.discussion, set[str]()
    asked = connection.execute(select(table.c.start, table.c.merged).where(table.c.repo_id == repo.id))
    for head in [*heads, *(oid for row in asked for oid in row if oid is not None)]:
        step: str | None = head
        while step is not None and step not in reached and step in parents:
            reached.add(step)
            step = parents[step]
    return reached


def _rows(connection: Connection, table: Table, key: str, values: Sequence[str]) -> list[Any]:
    rows: list[Any] = []
    for start in range(0, len(values), _BATCH):
        rows += connection.execute(select(table).where(table.c[key].in_(values[start : start + _BATCH]))).all()
    return sorted(rows, key=lambda row: str(getattr(row, key)))


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
