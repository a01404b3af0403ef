"""Commits: everything a commit changes happens in one transaction, so that a crash at any point leaves the old head."""

from __future__ import annotations

import dataclasses
import fnmatch
import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, bindparam, delete, insert, select, update

from enfold.hubserver import database as db
from enfold.hubserver import trees
from enfold.hubserver.accounts import Viewer
from enfold.hubserver.errors import HubServerError, entry_not_found
from enfold.hubserver.gitobjects import EMPTY_TREE, blob_oid, commit_bytes, object_oid, pointer
from enfold.hubserver.metadata import CardError, facts_of_config, read_card, tags_of
from enfold.hubserver.names import check_branch, check_path
from enfold.hubserver.repositories import MAIN, Repositories
from enfold.hubserver.settings import Limits
from enfold.hubserver.store.blobs import StoredBlob
from enfold.hubserver.store.contents import Contents
from enfold.hubserver.weights import Weights

__all__ = ["AddFile", "AddLfs", "Commits", "Copy", "Delete", "Header", "Operation", "attributes", "wants_lfs"]

_BLOB = select(db.blob).where(db.blob.c.oid == bindparam("oid"))
_DESCRIPTION = (db.blob.c.oid, db.blob.c.sha256, db.blob.c.size, db.blob.c.lfs)
STALE = "The branch was updated since you opened this page. Please refresh and try again."
#: a repeated request that made the present head less than this many seconds ago is answered with that head
_REPEAT = 60

# What a new repository keeps outside git's own objects; every name is a format of weights, data, media or archives.
_LARGE = """
*.7z *.arrow *.avro *.bin *.bz2 *.ckpt *.ftz *.gguf *.gz *.h5 *.joblib *.lz4 *.mlmodel *.model *.msgpack *.npy *.npz
*.onnx *.ot *.parquet *.pb *.pickle *.pkl *.pt *.pth *.rar *.safetensors saved_model/**/* *.tar *.tar.* *.tflite *.tgz
*.wasm *.xz *.zip *.zst *tfevents*
""".split()
_LARGE_DATA = "*.mds *.flac *.mp3 *.ogg *.wav *.mp4 *.webm *.tiff".split()


def default_attributes(kind: str) -> bytes:
    """Return the ``.gitattributes`` of a new repository."""
    patterns = _LARGE + (_LARGE_DATA if kind == "datasets" else [])
    return "".join(f"{pattern} filter=lfs diff=lfs merge=lfs -text\n" for pattern in patterns).encode()


def attributes(text: str) -> list[tuple[str, bool]]:
    """Return the ``(pattern, is LFS)`` lines of a ``.gitattributes``."""
    rules = []
    for line in text.splitlines():
        pattern, *words = line.split()[:20] or [""]
        if pattern and not pattern.startswith("#"):
            if "filter=lfs" in words:
                rules.append((pattern, True))
            elif {"-filter", "!filter"} & set(words):
                rules.append((pattern, False))
    return rules


def wants_lfs(rules: Sequence[tuple[str, bool]], limits: Limits, path: str, size: int, sample: bytes) -> bool:
    """Say whether a file belongs into LFS: by the repository's attributes (the last match decides), size, look."""
    if not size:  # there is nothing to keep elsewhere
        return False
    for pattern, lfs in reversed(rules):
        if fnmatch.fnmatchcase(path if "/" in pattern else path.rsplit("/", 1)[-1], pattern.lstrip("/")):
            return lfs or size > limits.regular_file
    return size > limits.regular_file or (b"\0" in sample and size > limits.binary_regular_file)


@dataclasses.dataclass(frozen=True)
class Header:
    """The first line of a commit: its title, description and the head it was made for."""

    summary: str = ""
    description: str = ""
    parent: str | None = None


@dataclasses.dataclass(frozen=True)
class AddFile:
    """Content that came in the commit's body: in the store, or as ``data`` when it is small."""

    path: str
    stored: StoredBlob
    sample: bytes
    data: bytes | None = None


def inline_file(path: str, data: bytes) -> AddFile:
    """Return the operation that adds a small content, which the database itself will keep."""
    return AddFile(path, StoredBlob(hashlib.sha256(data).hexdigest(), len(data)), data[:512], data)


@dataclasses.dataclass(frozen=True)
class AddLfs:
    """Content uploaded before, named by its SHA-256."""

    path: str
    sha256: str
    size: int | None


@dataclasses.dataclass(frozen=True)
class Delete:
    """A file or a folder to delete."""

    path: str
    folder: bool


@dataclasses.dataclass(frozen=True)
class Copy:
    """A file to copy inside the repository."""

    path: str
    source: str
    revision: str | None


Operation = AddFile | AddLfs | Delete | Copy


class _Blob(NamedTuple):
    """A blob that a commit names: its content, whether git holds a pointer to it, and the bytes of a small one."""

    stored: StoredBlob
    lfs: bool
    data: bytes | None


def _name(named: dict[str, _Blob], in_git: bytes, blob: _Blob) -> str:
    """Note a blob under the id that git gives it, and return that."""
    oid = blob_oid(in_git)
    named[oid] = blob
    return oid


class Commits:
    """Makes commits and reads history.

    Args:
        database: where commits and trees are kept.
        contents: where contents are kept.
        repositories: finds repositories with the caller's rights.
        limits: sizes.
    """

    def __init__(self, database: db.Database, contents: Contents, repositories: Repositories, limits: Limits) -> None:
        self._database, self._contents, self._repositories, self._limits = database, contents, repositories, limits
        self._weights = Weights(contents)
        self.fetch: Callable[[str], object] | None = None  #: fetches a file's content that is still at an upstream

    def create_repository(
        self, kind: str, name: str, viewer: Viewer | None, *, private: bool = False, sdk: str | None = None
    ) -> Row[Any]:
        """Make a repository with its first commit, which holds the ``.gitattributes`` (and a Space's card)."""
        files = {".gitattributes": default_attributes(kind)}
        if kind == "spaces":
            title = name.rsplit("/", 1)[-1]
            files["README.md"] = f"---\ntitle: {title}\nsdk: {sdk or 'static'}\n---\n".encode()
        operations = [inline_file(path, data) for path, data in files.items()]
        with self._database.write() as connection:
            row = self._repositories.insert(connection, kind, name, viewer, private=private, sdk=sdk)
            assert viewer is not None
            self.apply(connection, row, viewer, "main", None, Header("initial commit"), operations)
        return row

    def commit(
        self,
        kind: str,
        name: str,
        viewer: Viewer | None,
        revision: str,
        header: Header,
        operations: Sequence[Operation],
    ) -> tuple[str, str]:
        """Apply operations to a branch; return the repository's id and the new head.

        Raises:
            HubServerError: 412 when ``header.parent`` is no longer the head; 400, 403, 404 and 422 otherwise. Nothing
                has changed then.
        """
        with self._database.write() as connection:
            row = self._repositories.follow(connection, kind, name, viewer, write=True)
            assert viewer is not None
            head = self._repositories.revision(connection, row.id, revision)
            if revision.startswith("refs/") and not revision.startswith("refs/heads/"):
                raise HubServerError(400, f"{revision!r} is not a branch; a commit goes to a branch")
            return row.name, self.apply(connection, row, viewer, revision, head, header, operations)

    def apply(
        self,
        connection: Connection,
        repo: Row[Any],
        viewer: Viewer,
        revision: str,
        head: Row[Any] | None,
        header: Header,
        operations: Sequence[Operation],
    ) -> str:
        """Apply operations to ``head`` (None: nothing yet) and move its branch or pull request; return the new head."""
        ref = revision if revision.startswith("refs/") else f"refs/heads/{check_branch(revision)}"
        if head is not None and not self._is_branch(connection, repo.id, ref):
            raise HubServerError(400, f"{revision!r} is not a branch; a commit goes to a branch")
        parent = head.oid if head else None
        base = head.tree if head else EMPTY_TREE
        stale = header.parent is not None and head is not None and header.parent != parent
        if stale and header.parent != head.parent:  # type: ignore[union-attr]
            raise HubServerError(412, STALE)
        if stale:  # maybe the same request again, after its answer was lost
            base = self._repositories.revision(connection, repo.id, str(header.parent)).tree
        root = trees.change(connection, base, self._changes(connection, repo, base, operations))
        repeated = (
            head is not None
            and root == head.tree
            and (not stale or (head.title == (header.summary or "Update") and time.time() - head.created < _REPEAT))
        )
        if repeated:  # nothing to do: an empty commit says nothing, and a request sent twice was done once
            assert parent is not None
            return str(parent)
        if stale:
            raise HubServerError(412, STALE)
        self._check_card(connection, root, operations)
        return self.record(connection, repo, viewer, ref, head, root, header)

    def record(
        self,
        connection: Connection,
        repo: Row[Any],
        viewer: Viewer,
        ref: str,
        head: Row[Any] | None,
        root: str,
        header: Header,
    ) -> str:
        """Make the commit that has the tree ``root`` after ``head``, let ``ref`` name it, and return its id."""
        parent = head.oid if head else None
        now = int(time.time())
        title = header.summary.strip() or "Update"
        message = f"{title}\n\n{header.description}" if header.description else title
        email = viewer.email or f"{viewer.name}@users.noreply"
        data = commit_bytes(root, parent, viewer.name, email, now, message)
        oid = object_oid("commit", data)
        values = {
            "parent": parent,
            "tree": root,
            "title": title,
            "description": header.description,
            "author": viewer.name,
            "created": now,
            "generation": head.generation + 1 if head else 0,
            "data": data,
        }
        known = (db.commit.c.repo_id == repo.id) & (db.commit.c.oid == oid)
        if connection.scalar(select(db.commit.c.oid).where(known)) is None:  # the same within a second is the same
            connection.execute(insert(db.commit).values(repo_id=repo.id, oid=oid, **values))
        if head is None:
            connection.execute(insert(db.ref).values(repo_id=repo.id, name=ref, commit=oid))
        else:
            connection.execute(
                update(db.ref).where(db.ref.c.repo_id == repo.id, db.ref.c.name == ref).values(commit=oid)
            )
        self._repositories.note_ref(connection, repo, ref, parent, oid)
        if ref == MAIN:
            self.describe(connection, repo, root)
        return oid

    def describe(self, connection: Connection, repo: Row[Any], root: str) -> None:
        """Let lists and searches say of a repository what the card and the configuration in the tree ``root`` say."""
        card, facts = self._describe(connection, root)
        self._repositories.describe(connection, repo.id, card, facts, tags_of(repo.kind, card, facts))

    def _is_branch(self, connection: Connection, repo_id: int, ref: str) -> bool:
        query = select(db.ref.c.name).where(db.ref.c.repo_id == repo_id, db.ref.c.name == ref)
        return connection.scalar(query) is not None

    def _changes(
        self, connection: Connection, repo: Row[Any], base: str, operations: Iterable[Operation]
    ) -> dict[str, str | None]:
        rules = self.rules(connection, base)
        changes: dict[str, str | None] = {}
        named: dict[str, _Blob] = {}
        for operation in operations:
            path = check_path(operation.path.rstrip("/") if isinstance(operation, Delete) else operation.path)
            if isinstance(operation, AddFile):
                changes[path] = self._add_file(connection, repo, rules, operation, named)
            elif isinstance(operation, AddLfs):
                changes[path] = self._add_lfs(connection, repo, operation, named)
            elif isinstance(operation, Delete):
                found = trees.find(connection, base, path)
                if found is None or (operation.folder and not found.folder):  # a folder may be called a file
                    what = "folder" if operation.folder else "file"
                    raise HubServerError(404, f"A {what} with the name {path!r} does not exist", code="EntryNotFound")
                changes[path] = None
            else:
                source = (
                    self._repositories.revision(connection, repo.id, operation.revision) if operation.revision else None
                )
                found = trees.find(connection, source.tree if source else base, check_path(operation.source))
                if found is None or found.folder:
                    raise entry_not_found(operation.source, source.oid if source else base)
                changes[path] = found.oid
        fresh = self._register(connection, named)
        if fresh:
            self._repositories.quota.require(connection, repo.namespace, fresh)
            values = {"small": db.repo.c.small + fresh}
            connection.execute(update(db.repo).where(db.repo.c.id == repo.id).values(**values))
        return changes

    def _add_file(
        self,
        connection: Connection,
        repo: Row[Any],
        rules: Sequence[tuple[str, bool]],
        add: AddFile,
        named: dict[str, _Blob],
    ) -> str:
        """Return the id of a file's blob, and note it in ``named``."""
        stored = add.stored
        if add.data is None:
            self.require_content(stored.sha256)
        if wants_lfs(rules, self._limits, add.path, stored.size, add.sample):
            # A client that cannot upload by LFS sent it in the commit; what the repository holds is the same.
            if add.data is not None:
                self._contents.blobs.put(add.data)
            self.grant(connection, repo.id, stored)
            return _name(named, pointer(*stored), _Blob(stored, True, None))
        content = add.data if add.data is not None else self._contents.read(stored.sha256)
        return _name(named, content, _Blob(stored, False, add.data))

    def _add_lfs(self, connection: Connection, repo: Row[Any], add: AddLfs, named: dict[str, _Blob]) -> str:
        size = connection.scalar(
            select(db.repo_lfs.c.size).where(db.repo_lfs.c.repo_id == repo.id, db.repo_lfs.c.sha256 == add.sha256)
        )
        if size is None or (add.size is not None and add.size != size):
            raise HubServerError(
                422,
                f"The content of {add.path!r} (SHA-256 {add.sha256}) was not uploaded to this repository first",
            )
        stored = StoredBlob(add.sha256, int(size))
        return _name(named, pointer(*stored), _Blob(stored, True, None))

    def _register(self, connection: Connection, named: dict[str, _Blob]) -> int:
        """List the blobs that this Hub does not have yet; return the bytes of those that git itself holds."""
        known = self.blobs(connection, list(named))
        fresh = {oid: blob for oid, blob in named.items() if oid not in known}
        rows = [
            {"oid": oid, "sha256": blob.stored.sha256, "size": blob.stored.size, "lfs": blob.lfs, "data": blob.data}
            for oid, blob in fresh.items()
        ]
        if rows:
            connection.execute(insert(db.blob), rows)
        return sum(blob.stored.size for blob in fresh.values() if not blob.lfs)

    def require_content(self, sha256: str) -> None:
        """Raise a 503 when a content that was just uploaded is not there: it was old, and thrown away meanwhile."""
        if not self._contents.blobs.has(sha256):
            raise HubServerError(503, f"the content {sha256} is gone; upload it again", headers={"Retry-After": "0"})

    def grant(self, connection: Connection, repo_id: int, stored: StoredBlob) -> None:
        """Note that a repository was given an LFS object; a 403 when its account may not hold that much."""
        namespace = connection.execute(select(db.repo.c.namespace).where(db.repo.c.id == repo_id)).scalar_one()
        self._repositories.quota.require(connection, namespace, stored.size, known=[stored.sha256])
        keys = (db.repo_lfs.c.repo_id == repo_id) & (db.repo_lfs.c.sha256 == stored.sha256)
        connection.execute(delete(db.repo_lfs).where(keys))
        connection.execute(insert(db.repo_lfs).values(repo_id=repo_id, sha256=stored.sha256, size=stored.size))

    def _check_card(self, connection: Connection, root: str, operations: Iterable[Operation]) -> None:
        if any(isinstance(operation, AddFile) and operation.path == "README.md" for operation in operations):
            text = self.small_file(connection, root, "README.md")
            try:
                read_card((text or b"").decode("utf-8", "replace"))
            except CardError as error:
                raise HubServerError(422, f"Invalid metadata in README.md: {error}") from None

    def _describe(self, connection: Connection, root: str) -> tuple[dict[str, Any], dict[str, Any]]:
        readme, config = (self.small_file(connection, root, name) for name in ("README.md", "config.json"))
        try:
            card = read_card((readme or b"").decode("utf-8", "replace"))
        except CardError:
            card = {}
        facts = facts_of_config(config) if config else {}

        def find(path: str) -> Row[Any] | None:
            entry = trees.find(connection, root, path)
            return None if entry is None or entry.folder else self.blob(connection, entry.oid)

        counted = self._weights.count(find, lambda path: self.small_file(connection, root, path, 10_000_000))
        return card, facts | ({"safetensors": counted} if counted else {})

    # ------------------------------------------------------------------ reading

    def rules(self, connection: Connection, root: str) -> list[tuple[str, bool]]:
        """Return the LFS rules of a tree's ``.gitattributes``."""
        return attributes((self.small_file(connection, root, ".gitattributes") or b"").decode("utf-8", "replace"))

    def small_file(self, connection: Connection, root: str, path: str, limit: int = 1_000_000) -> bytes | None:
        """Return the content of a file of at most ``limit`` bytes; None when there is none or it is larger."""
        entry = trees.find(connection, root, path)
        row = self.blob(connection, entry.oid) if entry and not entry.folder else None
        return self.content(row) if row is not None and row.size <= limit else None

    def content(self, row: Row[Any]) -> bytes:
        """Return the content that a row of :meth:`blob` describes."""
        if self.fetch is not None and row.data is None:
            self.fetch(row.oid)
            with self._database.read() as connection:
                row = self.blob(connection, row.oid)
        return bytes(row.data) if row.data is not None else self._contents.read(row.sha256)

    def blob(self, connection: Connection, oid: str) -> Row[Any]:
        """Return the row of a file's content."""
        return connection.execute(_BLOB, {"oid": oid}).one()

    def blobs(self, connection: Connection, oids: Sequence[str]) -> dict[str, Row[Any]]:
        """Return the rows of several contents by their ids, without the contents."""
        found: dict[str, Row[Any]] = {}
        for start in range(0, len(oids), 500):
            part = oids[start : start + 500]
            query = select(*_DESCRIPTION).where(db.blob.c.oid.in_(part))
            rows: Sequence[Any] = connection.execute(query).all()
            found.update((str(row.oid), row) for row in rows)
        return found

    def inlined(self, connection: Connection, oids: Sequence[str]) -> dict[str, bytes]:
        """Return those of several contents that are kept in the database itself, which are the small ones."""
        found: dict[str, bytes] = {}
        for start in range(0, len(oids), 500):
            part = oids[start : start + 500]
            query = select(db.blob.c.oid, db.blob.c.data).where(db.blob.c.oid.in_(part), db.blob.c.data.is_not(None))
            found.update((str(row.oid), bytes(row.data)) for row in connection.execute(query))
        return found

    def history(self, connection: Connection, repo_id: int, oid: str | None, limit: int) -> list[Row[Any]]:
        """Return up to ``limit`` commits from ``oid`` back."""
        rows: list[Row[Any]] = []
        while oid is not None and len(rows) < limit:
            row = connection.execute(
                select(db.commit).where(db.commit.c.repo_id == repo_id, db.commit.c.oid == oid)
            ).one()
            rows.append(row)
            oid = row.parent
        return rows

    def last_changes(
        self, connection: Connection, repo_id: int, head: Row[Any], paths: Sequence[str]
    ) -> dict[str, Row[Any]]:
        """Return for each path the commit that gave it its present content, looking back from ``head``."""
        found: dict[str, Row[Any]] = {}
        open_paths = {path: trees.find(connection, head.tree, path) for path in paths}
        current = head
        while open_paths:
            parent = None
            if current.parent is not None:
                parent = connection.execute(
                    select(db.commit).where(db.commit.c.repo_id == repo_id, db.commit.c.oid == current.parent)
                ).one()
            for path, entry in list(open_paths.items()):
                before = trees.find(connection, parent.tree, path) if parent is not None else None
                if before != entry:
                    found[path] = current
                    del open_paths[path]
            if parent is None:
                break
            current = parent
        return found
