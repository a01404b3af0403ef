"""The Xet store: xorbs as objects named by their hash, and what files are made of in the database."""

from __future__ import annotations

import hashlib
import secrets
import struct
import time
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import accumulate
from types import TracebackType
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, insert, select, update

from enfold.hubserver import database as db
from enfold.hubserver.errors import HubServerError
from enfold.hubserver.files import Reader
from enfold.hubserver.store.objects import NewFile, Objects, open_source
from enfold.hubserver.xet.dedup import is_telling, note
from enfold.hubserver.xet.hashes import Node, file_hash, from_hex, range_hash, to_hex
from enfold.hubserver.xet.shards import File
from enfold.hubserver.xet.xorbs import Chunks, XorbReader, unpack

__all__ = ["StoredFile", "StoredTerm", "XetStore", "XorbUpload"]

_TERM = struct.Struct("<32sIII")
_AT_ONCE = 1 << 20  # bytes of content that are read from a xorb at once
_BY_HASH = select(db.xet_file).where(db.xet_file.c.hash == bindparam("value"))
_BY_SHA256 = select(db.xet_file).where(db.xet_file.c.sha256 == bindparam("value")).limit(1)
_HASH = select(db.xet_file.c.hash).where(db.xet_file.c.sha256 == bindparam("value")).limit(1)


class StoredTerm(NamedTuple):
    """A part of a file: chunks ``start`` to ``stop`` (half-open) of a xorb, ``size`` bytes of content."""

    xorb: str
    start: int
    stop: int
    size: int


class StoredFile(NamedTuple):
    """A content made of chunks: its Xet hash, SHA-256, size and parts."""

    hash: str
    sha256: str
    size: int
    terms: tuple[StoredTerm, ...]


class XetStore:
    """Takes xorbs and files in, and reads files back.

    Args:
        objects: where xorbs are kept, called ``aa/bb/<hash>``.
        database: where chunks and files are listed.
    """

    def __init__(self, objects: Objects, database: db.Database) -> None:
        self.objects, self.database = objects, database
        self._chunks = lru_cache(maxsize=256)(self._read_chunks)

    @staticmethod
    def name(xorb: str) -> str:
        """Return what the object of a xorb is called; a 400 for what is no hash."""
        from_hex(xorb)
        return f"{xorb[:2]}/{xorb[2:4]}/{xorb}"

    # ------------------------------------------------------------------ xorbs

    def has(self, xorb: str) -> bool:
        """Say whether a xorb was taken in."""
        with self.database.read() as connection:
            return connection.scalar(select(db.xorb.c.hash).where(db.xorb.c.hash == xorb)) is not None

    def renew(self, xorb: str) -> bool:
        """Say whether a xorb was taken in, and keep it for as long as a new one."""
        with self.database.write() as connection:
            table = db.xorb
            done = connection.execute(update(table).where(table.c.hash == xorb).values(created=time.time()))
            return done.rowcount > 0

    def forget(self) -> None:
        """Forget what was read of xorbs, some of which are gone."""
        self._chunks.cache_clear()

    def upload(self, xorb: str, namespace: str | None = None) -> XorbUpload:
        """Return a context manager that takes the xorb of this name in, piece by piece.

        Args:
            xorb: its hash.
            namespace: for whose repository it comes, in lower case.
        """
        return XorbUpload(self, xorb, namespace)

    def chunks(self, xorb: str) -> Chunks:
        """Return what a xorb holds; a 400 when there is none."""
        return self._chunks(xorb)

    def _read_chunks(self, xorb: str) -> Chunks:
        with self.database.read() as connection:
            packed = connection.scalar(select(db.xorb.c.chunks).where(db.xorb.c.hash == xorb))
        if packed is None:
            raise HubServerError(400, f"there is no xorb {xorb}: upload it first")
        return Chunks(packed)

    # ------------------------------------------------------------------ files

    def check(self, file: File) -> StoredFile:
        """Recompute everything that a client says of a file, its SHA-256 included.

        Raises:
            HubServerError: 400, a xorb is missing, a range is outside of it, a proof, a size or a hash is wrong.
        """
        terms, nodes = [], list[Node]()
        for term in file.terms:
            name = to_hex(term.xorb)
            chunks = self.chunks(name)
            if not 0 <= term.start < term.stop <= len(chunks):
                raise HubServerError(400, f"the xorb {name} has {len(chunks)} chunks, not {term.start} to {term.stop}")
            part = chunks.nodes(term.start, term.stop)
            if range_hash(digest for digest, _ in part) != term.proof:
                raise HubServerError(400, f"the verification hash of chunks of the xorb {name} is wrong")
            if sum(size for _, size in part) != term.size:
                raise HubServerError(400, f"chunks {term.start} to {term.stop} of {name} have not {term.size} bytes")
            terms.append(StoredTerm(name, term.start, term.stop, term.size))
            nodes += part
        name = to_hex(file.hash)
        if file_hash(nodes) != file.hash:
            raise HubServerError(400, f"the file {name} is not made of the chunks that the shard names")
        known = self.find(hash=name)
        if known is None:
            known = StoredFile(name, "", sum(term.size for term in terms), tuple(terms))
            known = known._replace(sha256=self._sha256(known))
        if file.sha256 is not None and file.sha256.hex() != known.sha256:
            raise HubServerError(400, f"the file {name} has the SHA-256 {known.sha256}, not {file.sha256.hex()}")
        return known

    def add(self, connection: Connection, file: StoredFile) -> None:
        """List a checked file, unless it is."""
        names = sorted({term.xorb for term in file.terms})
        found = connection.scalars(select(db.xorb.c.hash).where(db.xorb.c.hash.in_(names)))
        if missing := set(names) - set(found):
            raise HubServerError(400, f"the xorb {min(missing)} was thrown away meanwhile: upload it again")
        if connection.scalar(select(db.xet_file.c.hash).where(db.xet_file.c.hash == file.hash)) is None:
            packed = b"".join(_TERM.pack(from_hex(xorb), *numbers) for xorb, *numbers in file.terms)
            values = {"hash": file.hash, "sha256": file.sha256, "size": file.size, "terms": packed}
            connection.execute(insert(db.xet_file).values(values))
            if names:
                connection.execute(insert(db.xet_use), [{"xorb": name, "file": file.hash} for name in names])
                first = file.terms[0]
                note(connection, first.xorb, [(self.chunks(first.xorb)[first.start][0], first.start)])

    def find(
        self, *, hash: str | None = None, sha256: str | None = None, connection: Connection | None = None
    ) -> StoredFile | None:
        """Return the file with a Xet hash, or one with a SHA-256; in a transaction of its own unless one is given."""
        if connection is None:
            with self.database.read() as own:
                return self.find(hash=hash, sha256=sha256, connection=own)
        query, value = (_BY_HASH, hash) if hash is not None else (_BY_SHA256, sha256)
        row = connection.execute(query, {"value": value}).first()
        return None if row is None else StoredFile(row.hash, row.sha256, row.size, _terms(row.terms))

    def terms(self, connection: Connection, hash: str) -> tuple[StoredTerm, ...]:
        """Return the parts of a file that is listed."""
        return _terms(connection.execute(select(db.xet_file.c.terms).where(db.xet_file.c.hash == hash)).scalar_one())

    def hash_of(self, connection: Connection, sha256: str) -> str | None:
        """Return the Xet hash of a content; None where it is not in this store."""
        found = connection.scalar(_HASH, {"value": sha256})
        return None if found is None else str(found)

    def hashes(self, connection: Connection, sha256s: Sequence[str]) -> dict[str, str]:
        """Return the Xet hashes of those contents that are in this store, by their SHA-256."""
        found: dict[str, str] = {}
        for start in range(0, len(sha256s), 500):
            query = select(db.xet_file.c.sha256, db.xet_file.c.hash).where(
                db.xet_file.c.sha256.in_(sha256s[start : start + 500])
            )
            found.update((row.sha256, row.hash) for row in connection.execute(query))
        return found

    def _sha256(self, file: StoredFile) -> str:
        digest = hashlib.sha256()
        with self.open(file) as reader:
            for piece in reader.pieces(file.size):
                digest.update(piece)
        return digest.hexdigest()

    def open(self, file: StoredFile) -> FileReader:
        """Open a file for reading at any place."""
        return FileReader(self, file)


def _terms(packed: bytes) -> tuple[StoredTerm, ...]:
    return tuple(StoredTerm(to_hex(xorb), *numbers) for xorb, *numbers in _TERM.iter_unpack(packed))


class XorbUpload:
    """A xorb on its way into the store; leaving the block without :meth:`finish` discards it."""

    def __init__(self, store: XetStore, xorb: str, namespace: str | None = None) -> None:
        self._store, self._name, self._hash, self._namespace = store, xorb, from_hex(xorb), namespace
        self._path = store.objects.temporary / secrets.token_hex(16)
        self._reader = XorbReader()
        self._file: NewFile | None = None

    def __enter__(self) -> XorbUpload:
        self._file = NewFile(self._path)
        return self

    def feed(self, data: bytes | memoryview) -> None:
        """Add a piece; a 400 or 413 for what cannot be part of a xorb."""
        assert self._file is not None
        for records in self._reader.feed(data):
            self._file.write(records)

    def finish(self) -> bool:
        """Put the xorb into the store and return whether it is new; a 400 when it has another hash than its name."""
        assert self._file is not None
        found = self._reader.finish()
        if found != self._hash:
            raise HubServerError(400, f"the xorb has the hash {to_hex(found)}, not {self._name}")
        size = self._file.tell()
        self._store.objects.keep(self._store.name(self._name), self._path)
        with self._store.database.write() as connection:
            if connection.scalar(select(db.xorb.c.hash).where(db.xorb.c.hash == self._name)) is not None:
                return False
            values = {"hash": self._name, "size": size, "content": self._reader.size, "namespace": self._namespace}
            connection.execute(insert(db.xorb).values(**values, chunks=bytes(self._reader.chunks.packed)))
            nodes = enumerate(self._reader.chunks.nodes())
            note(connection, self._name, [(digest, place) for place, (digest, _) in nodes if is_telling(digest)])
        return True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._file is not None:
                self._file.close()
        finally:  # what waits to be written may find the disk full
            self._path.unlink(missing_ok=True)


class FileReader:
    """Reads a content that is made of chunks, from any place: only the chunks that are needed are unpacked."""

    def __init__(self, store: XetStore, file: StoredFile) -> None:
        self._store, self._file = store, file
        self._ends = list(accumulate(term.size for term in file.terms))
        self._at = 0
        self._term: tuple[int, Chunks, list[int]] | None = None  # the term read last, and where its chunks end
        self._open: tuple[str, Reader] | None = None

    def seek(self, position: int) -> None:
        """Go to a place, counted in bytes from the beginning."""
        self._at = position

    def read(self, size: int) -> bytes:
        """Return up to ``size`` bytes from here on; nothing at the end."""
        return b"".join(self.pieces(size))

    def pieces(self, size: int) -> Iterator[bytes | memoryview]:
        """Yield up to ``size`` bytes from here on, chunk by chunk."""
        left = min(size, self._file.size - self._at)
        while left > 0:
            for piece in self._from_term(bisect_right(self._ends, self._at), left):
                self._at += len(piece)
                left -= len(piece)
                yield piece

    def _from_term(self, index: int, wanted: int) -> Iterator[bytes | memoryview]:
        """Yield what comes next of a term, ``wanted`` bytes at most."""
        term = self._file.terms[index]
        if self._term is None or self._term[0] != index:
            found = self._store.chunks(term.xorb)
            self._term = index, found, found.ends(term.start, term.stop)
        _, chunks, ends = self._term
        place = self._at - (self._ends[index] - term.size)
        first = bisect_right(ends, place)
        last = min(bisect_right(ends, place + min(wanted, _AT_ONCE) - 1), len(ends) - 1)
        start, stop = chunks.span(term.start + first, term.start + last + 1)
        xorb = self._xorb(term.xorb)
        xorb.seek(start)
        records = memoryview(xorb.read(stop - start))
        skip = place - (ends[first - 1] if first else 0)
        for chunk in range(term.start + first, term.start + last + 1):
            begin, end = chunks.span(chunk, chunk + 1)
            content = unpack(records[begin - start : end - start])[skip : skip + wanted]
            wanted -= len(content)
            skip = 0
            yield content

    def _xorb(self, name: str) -> Reader:
        if self._open is None or self._open[0] != name:
            self.close()
            store = self._store
            self._open = (name, open_source(store.objects.source(store.name(name))).__enter__())
        return self._open[1]

    def close(self) -> None:
        """Close what is open."""
        if self._open is not None:
            self._open[1].__exit__(None, None, None)
            self._open = None

    def __enter__(self) -> FileReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
