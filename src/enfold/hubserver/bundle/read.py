"""Reading a bundle into a Hub: nothing is believed that its hash does not prove."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import hashlib
import json
import re
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from sqlalchemy import Connection, Row, delete, insert, select, update

from enfold.hubserver import database as db
from enfold.hubserver import trees
from enfold.hubserver.bundle.archive import open_reader
from enfold.hubserver.bundle.signatures import verify
from enfold.hubserver.bundle.write import VERSION
from enfold.hubserver.errors import HubServerError
from enfold.hubserver.gitobjects import EMPTY_TREE, blob_oid, decode_tree, object_oid, pointer
from enfold.hubserver.hub import Hub
from enfold.hubserver.names import KINDS, check_name
from enfold.hubserver.store.blobs import StoredBlob
from enfold.hubserver.xet.hashes import from_hex, range_hash
from enfold.hubserver.xet.shards import File, Term
from enfold.hubserver.xet.store import StoredFile

__all__ = ["Imported", "load"]

_PIECE = 1 << 20
_MANIFEST = 1 << 28  # bytes
_REF = re.compile(r"refs/(heads|tags|pr|convert)/[\w./-]{1,200}", re.ASCII)
_HEADER = re.compile(
    rb"tree (?P<tree>[0-9a-f]{40})\n(?:parent (?P<parent>[0-9a-f]{40})\n)?"
    rb"author (?P<author>[^<\n]*) <[^>\n]*> (?P<created>\d{1,12}) \+0000\ncommitter [^\n]*\n\n(?P<message>.*)",
    re.DOTALL,
)
Say = Callable[[str], None]


@dataclasses.dataclass
class Imported:
    """What :func:`load` took in.

    Args:
        repositories: the repositories that are new or changed, as ``kind/namespace/name``.
        objects: how many packs and contents were new.
        size: their bytes.
    """

    repositories: list[str] = dataclasses.field(default_factory=list)
    objects: int = 0
    size: int = 0


def load(
    hub: Hub,
    path: Path,
    *,
    trusted: list[Path] | None = None,
    force: bool = False,
    say: Say = lambda text: None,
) -> Imported:
    """Take the repositories of a bundle in, new ones and further history of known ones.

    Contents come first, then each repository in one transaction: what an interrupted run took in is not taken again,
    and no repository is half there.

    Args:
        hub: the Hub; it may be serving meanwhile.
        path: the bundle.
        trusted: files with public keys, by one of which the bundle must be signed.
        force: let branches go to the bundle's commits also where that loses commits of this Hub.
        say: told what is being read.

    Raises:
        HubServerError: 400, it is no bundle, or damaged; 403, it is not signed by a trusted key; 409, a branch here has
            commits that the bundle's does not have.
    """
    done = Imported()
    bundle = open_reader(path)
    try:
        with tempfile.TemporaryDirectory() as folder:
            manifest: dict[str, Any] | None = None
            text, signature, kept = b"", None, dict[str, Path]()
            for name, size, file in bundle.parts():
                if manifest is None and name == "bundle.json":
                    text = _small(file, size, name)
                    manifest = _read_manifest(text)
                    continue
                if manifest is None:
                    raise HubServerError(400, "it is no bundle: bundle.json is not its first part")
                if name == "bundle.sig":
                    signature = _small(file, size, name)
                    continue
                if trusted:  # before anything is kept
                    verify(text, signature, trusted)
                    trusted = None
                if name in manifest["objects"]:
                    _take(hub, name, size, file, done, say)
                elif name in manifest["parts"]:
                    kept[name] = _keep(Path(folder), name, size, file, manifest["parts"][name])
                else:
                    raise HubServerError(400, f"the bundle has {name!r}, which its bundle.json does not name")
            if manifest is None:
                raise HubServerError(400, "it is no bundle: bundle.json is missing")
            if trusted:
                verify(text, signature, trusted)
            _require_elsewhere(hub, manifest.get("elsewhere", []))
            for item in manifest["repositories"]:
                if item["part"] not in kept:
                    raise HubServerError(400, f"the bundle is cut off: {item['part']} is missing")
                say(f"{item['kind']}/{item['name']}")
                with kept[item["part"]].open() as lines:
                    _Repository(hub, force).load(map(json.loads, lines), done)
    except (tarfile.TarError, UnicodeDecodeError, EOFError) as error:
        raise HubServerError(400, f"the bundle is cut off or damaged: {error}") from None
    finally:
        bundle.close()
    return done


def _require_elsewhere(hub: Hub, names: list[str]) -> None:
    for name in names:
        kind, _, rest = str(name).partition("/")
        digest = rest.rpartition("/")[2]
        if not (hub.xet.renew(digest) if kind == "xorbs" else hub.blobs.has(digest)):
            raise HubServerError(400, f"the bundle builds on an earlier one, which has {name}: import that one first")


def _small(file: BinaryIO, size: int, name: str) -> bytes:
    if size > _MANIFEST:
        raise HubServerError(400, f"{name} has {size} bytes: too many")
    return file.read()


def _read_manifest(text: bytes) -> dict[str, Any]:
    try:
        manifest = json.loads(text)
        if manifest["enfold-bundle"] != VERSION:
            raise HubServerError(400, f"the bundle has version {manifest['enfold-bundle']}; {VERSION} is understood")
        manifest["parts"] = {str(item["part"]): str(item["sha256"]) for item in manifest["repositories"]}
        manifest["objects"] = {str(name): int(size) for name, size in manifest["objects"].items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise HubServerError(400, "bundle.json is damaged") from None
    return dict(manifest)


def _keep(folder: Path, name: str, size: int, file: BinaryIO, sha256: str) -> Path:
    target, digest = folder / name.replace("/", "-"), hashlib.sha256()
    with target.open("wb") as out:
        while piece := file.read(_PIECE):
            digest.update(piece)
            out.write(piece)
    if digest.hexdigest() != sha256:
        raise HubServerError(400, f"{name} of the bundle is damaged")
    return target


def _take(hub: Hub, name: str, size: int, file: BinaryIO, done: Imported, say: Say) -> None:
    """Take a pack or a content in, unless it is there; its hash is recomputed."""
    kind, _, rest = name.partition("/")
    digest = rest.rpartition("/")[2]
    if kind == "xorbs" and rest == hub.xet.name(digest):
        if hub.xet.renew(digest):
            return
        with hub.xet.upload(digest) as xorb:
            while piece := file.read(_PIECE):
                xorb.feed(piece)
            xorb.finish()
    elif kind == "blobs" and rest == hub.blobs.name(digest):
        if hub.blobs.has(digest):
            return
        with hub.blobs.writer(limit=size) as blob:
            while piece := file.read(_PIECE):
                blob.write(piece)
            blob.finish(sha256=digest, size=size)
    else:
        raise HubServerError(400, f"the bundle has {name!r}, which is no name of a content")
    say(name)
    done.objects += 1
    done.size += size


class _Repository:
    """One repository on its way in."""

    def __init__(self, hub: Hub, force: bool) -> None:
        self._hub, self._force = hub, force
        self._commits: dict[str, dict[str, Any]] = {}
        self._trees: dict[str, bytes] = {}
        self._blobs: dict[str, dict[str, Any]] = {}
        self._files: list[StoredFile] = []
        self._discussions: list[dict[str, Any]] = []
        self._events: list[dict[str, Any]] = []

    def load(self, lines: Iterator[dict[str, Any]], done: Imported) -> None:
        try:
            head = next(lines)
            self._read(lines)
            self._check_blobs()
            kind, name = str(head["kind"]), str(head["name"])
            refs = {str(ref): str(oid) for ref, oid in head["refs"].items()}
            if kind not in KINDS or name.count("/") != 1 or not all(_REF.fullmatch(ref) for ref in refs):
                raise HubServerError(400, f"the bundle has no sound name for {kind}/{name} or its references")
            check_name(name.partition("/")[0], "account")
            check_name(name.partition("/")[2])
        except (KeyError, ValueError, TypeError, AttributeError, StopIteration, binascii.Error):
            raise HubServerError(400, "the bundle is damaged: a line of it cannot be read") from None
        with self._hub.database.write() as connection:
            repo = self._repository(connection, kind, name, head)
            self._store(connection, repo)
            if self._move(connection, repo, refs) or not self._known:
                done.repositories.append(f"{kind}/{name}")

    def _read(self, lines: Iterator[dict[str, Any]]) -> None:
        """Sort the lines by what they are, checking those that carry their hash in their name."""
        for line in lines:
            what = line.pop("is")
            if what in {"commit", "tree"}:
                data = base64.b64decode(line["data"], validate=True)
                if object_oid(what, data) != line["oid"]:
                    raise HubServerError(400, f"the {what} {line['oid']} of the bundle is damaged")
                if what == "tree":
                    decode_tree(data)
                    self._trees[line["oid"]] = data
                else:
                    self._commits[line["oid"]] = {**_parse(data), "data": data}
            elif what == "blob":
                self._blobs[line["oid"]] = line
            elif what == "file":
                self._files.append(self._file(line))
            elif what == "discussion":
                self._discussions.append(line)
            elif what == "event":
                self._events.append(line)
            else:
                raise HubServerError(400, f"the bundle has a line that is a {what!r}")

    def _file(self, line: dict[str, Any]) -> StoredFile:
        """Return a file of chunks, recomputed from the packs that are here."""
        terms = []
        for xorb, start, stop, size in line["terms"]:
            nodes = self._hub.xet.chunks(xorb).nodes(start, stop)
            proof = range_hash(digest for digest, _ in nodes)
            terms.append(Term(from_hex(xorb), int(start), int(stop), int(size), proof))
        sha256 = bytes.fromhex(line["sha256"])
        return self._hub.xet.check(File(from_hex(line["hash"]), tuple(terms), sha256))

    def _check_blobs(self) -> None:
        """Check that every file has the content that its id is of."""
        chunked = {file.sha256: file for file in self._files}
        for oid, line in self._blobs.items():
            sha256, size = str(line["sha256"]), int(line["size"])
            if "data" in line:
                data = line["data"] = base64.b64decode(line["data"], validate=True)
                sound = (hashlib.sha256(data).hexdigest(), len(data)) == (sha256, size)
            elif sha256 in chunked:
                sound = chunked[sha256].size == size
            else:
                self._hub.commits.require_content(sha256)
                found = self._hub.blobs.objects.find(self._hub.blobs.name(sha256))
                sound = found is not None and found.size == size
            if sound and not line["lfs"]:
                content = line.get("data")
                if content is None and sha256 in chunked:
                    with self._hub.xet.open(chunked[sha256]) as reader:
                        content = reader.read(size)
                sound = blob_oid(self._hub.contents.read(sha256) if content is None else content) == oid
            if not sound or (line["lfs"] and blob_oid(pointer(sha256, size)) != oid):
                raise HubServerError(400, f"the file {oid} of the bundle is damaged")

    def _repository(self, connection: Connection, kind: str, name: str, head: dict[str, Any]) -> Row[Any]:
        key = (db.repo.c.kind == kind) & (db.repo.c.key == name.lower())
        row = connection.execute(select(db.repo).where(key)).one_or_none()
        self._known = row is not None
        if row is None:
            self._hub.accounts.ensure_namespace(connection, name.partition("/")[0])
            row = self._hub.repositories.add(connection, kind, name, private=bool(head["private"]), sdk=head["sdk"])
            gated = head["gated"] if head["gated"] in {"auto", "manual"} else "false"
            values = {"gated": gated, "created": float(head["created"])}
            connection.execute(update(db.repo).where(key).values(**values))
        return row

    def _store(self, connection: Connection, repo: Row[Any]) -> None:
        for file in self._files:
            self._hub.xet.add(connection, file)
        for oid, line in self._blobs.items():
            self._store_blob(connection, repo, oid, line)
        for oid, data in self._trees.items():
            for entry in decode_tree(data).values():
                there = self._trees if entry.folder else self._blobs
                if entry.oid not in there and entry.oid != EMPTY_TREE:
                    raise HubServerError(400, f"the bundle lacks {entry.oid}, which is in the folder {oid}")
            trees.store(connection, oid, data)
        table, generations = db.commit, dict[str, int]()
        for oid, values in self._commits.items():  # parents come before their children
            parent = values["parent"]
            if parent is not None and parent not in generations:
                raise HubServerError(400, f"the bundle lacks the commit {parent}")
            if values["tree"] not in self._trees and values["tree"] != EMPTY_TREE:
                raise HubServerError(400, f"the bundle lacks the folder {values['tree']}")
            generations[oid] = generations[parent] + 1 if parent is not None else 0
            known = (table.c.repo_id == repo.id) & (table.c.oid == oid)
            if connection.scalar(select(table.c.oid).where(known)) is None:
                row = {"repo_id": repo.id, "oid": oid, "generation": generations[oid], **values}
                connection.execute(insert(table).values(**row))
        self._store_discussions(connection, repo)

    def _store_blob(self, connection: Connection, repo: Row[Any], oid: str, line: dict[str, Any]) -> None:
        sha256, size, lfs = str(line["sha256"]), int(line["size"]), bool(line["lfs"])
        if lfs:
            self._hub.commits.grant(connection, repo.id, StoredBlob(sha256, size))
        table = db.blob
        if connection.scalar(select(table.c.oid).where(table.c.oid == oid)) is None:
            values = {"sha256": sha256, "size": size, "lfs": lfs, "data": line.get("data")}
            connection.execute(insert(table).values(oid=oid, **values))

    def _store_discussions(self, connection: Connection, repo: Row[Any]) -> None:
        table, events = db.discussion, db.discussion_event
        known = set(connection.scalars(select(table.c.num).where(table.c.repo_id == repo.id)))
        told = set(connection.scalars(select(events.c.id).where(events.c.repo_id == repo.id)))
        for line in self._discussions:
            values = {name: line[name] for name in ("title", "status", "author", "created", "base", "start", "merged")}
            if line["num"] in known:
                mine = (table.c.repo_id == repo.id) & (table.c.num == line["num"])
                connection.execute(update(table).where(mine).values(**values))
            else:
                connection.execute(insert(table).values(repo_id=repo.id, num=line["num"], **values))
        for line in self._events:
            values = {name: line[name] for name in ("num", "position", "kind", "author", "created", "data")}
            if line["id"] in told:
                connection.execute(update(events).where(events.c.id == line["id"]).values(**values))
            else:
                connection.execute(insert(events).values(repo_id=repo.id, id=line["id"], **values))

    def _move(self, connection: Connection, repo: Row[Any], refs: dict[str, str]) -> bool:
        """Let the references name the bundle's commits; return whether that changes anything."""
        table, changed = db.ref, False
        present = {row.name: row.commit for row in self._hub.repositories.refs(connection, repo.id)}
        for name, oid in refs.items():
            if oid not in self._commits:
                raise HubServerError(400, f"the bundle lacks the commit {oid}, which {name} names")
            old = present.get(name)
            if old == oid:
                continue
            if old is not None and not self._follows(oid, old) and not self._force:
                raise HubServerError(
                    409,
                    f"{name} of {repo.name} has commits here that the bundle's does not have: import it with --force "
                    "to let them go, or make a branch of them first",
                )
            connection.execute(delete(table).where(table.c.repo_id == repo.id, table.c.name == name))
            connection.execute(insert(table).values(repo_id=repo.id, name=name, commit=oid))
            self._hub.repositories.note_ref(connection, repo, name, old, oid)
            changed = True
            if name == "refs/heads/main":
                self._hub.commits.describe(connection, repo, self._commits[oid]["tree"])
        return changed

    def _follows(self, oid: str, old: str) -> bool:
        step: str | None = oid
        while step is not None and step != old:
            step = self._commits[step]["parent"]
        return step is not None


def _parse(data: bytes) -> dict[str, Any]:
    """Return what a commit's object says."""
    found = _HEADER.fullmatch(data)
    if found is None:
        raise HubServerError(400, "the bundle has a commit of a form that this Hub does not know")
    title, _, description = found["message"].decode().rstrip("\n").partition("\n\n")
    parent = found["parent"]
    return {
        "tree": found["tree"].decode(),
        "parent": None if parent is None else parent.decode(),
        "author": found["author"].decode(),
        "created": int(found["created"]),
        "title": title,
        "description": description,
    }
