"""Shards: which ranges of which xorbs' chunks make up a file, as a client reports them after an upload.

Format: Xet protocol specification, "Shard". Everything is in records of 48 bytes.
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Sequence

from enfold.hubserver.errors import HubServerError

__all__ = ["File", "Term", "read_shard", "write_shard"]

SHARD_LIMIT = 64 << 20
_RECORD = 48
_TAG = b"HFRepoMetaData\0" + bytes.fromhex("556967456a7b815783a5bdd95ccdd14aa9")
_VERSION = 2
_END = b"\xff" * 32
_HAS_PROOFS, _HAS_SHA256 = 1 << 31, 1 << 30
_HEAD = struct.Struct("<32sII")
_TERM = struct.Struct("<32sIIII")
_FOOTER = struct.Struct("<9Q32s2Q6Q4Q")


@dataclasses.dataclass(frozen=True)
class Term:
    """A part of a file: the chunks ``start`` to ``stop`` (half-open) of a xorb.

    Args:
        xorb: the xorb's hash.
        start: the first chunk.
        stop: one behind the last chunk.
        size: the bytes of content.
        proof: the hash over the chunks' hashes that only who has their contents can make.
    """

    xorb: bytes
    start: int
    stop: int
    size: int
    proof: bytes


@dataclasses.dataclass(frozen=True)
class File:
    """A file: its Xet hash, its parts in order, and the SHA-256 that its author claims."""

    hash: bytes
    terms: tuple[Term, ...]
    sha256: bytes | None


class _Records:
    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, _RECORD

    def next(self) -> bytes:
        record = self._data[self._at : self._at + _RECORD]
        if len(record) < _RECORD:
            raise HubServerError(400, "the shard ends in the middle of a list")
        self._at += _RECORD
        return record

    def next_many(self, count: int) -> list[bytes]:
        if count > (len(self._data) - self._at) // _RECORD:
            raise HubServerError(400, f"the shard announces {count} records and has not so many")
        return [self.next() for _ in range(count)]


def read_shard(data: bytes) -> list[File]:
    """Return the files of a shard.

    What it says of xorbs is not read: the server knows its own.

    Raises:
        HubServerError: 400, it is not a shard, it is cut off, or a file in it has no proofs.
    """
    if len(data) < _RECORD or data[:32] != _TAG:
        raise HubServerError(400, "the body is not a Xet shard")
    version = int.from_bytes(data[32:40], "little")
    if version != _VERSION:
        raise HubServerError(400, f"the shard has version {version}; version {_VERSION} is understood")
    records = _Records(data)
    files: list[File] = []
    while True:
        digest, flags, count = _HEAD.unpack_from(records.next())
        if digest == _END:
            return files
        if not flags & _HAS_PROOFS:
            raise HubServerError(400, "a file in the shard has no verification hashes")
        terms = [_TERM.unpack_from(record) for record in records.next_many(count)]
        proofs = [record[:32] for record in records.next_many(count)]
        sha256 = _sha256(records.next()) if flags & _HAS_SHA256 else None
        made = (
            Term(xorb, start, stop, size, proof)
            for (xorb, _, size, start, stop), proof in zip(terms, proofs, strict=True)
        )
        files.append(File(digest, tuple(made), sha256))


def _sha256(record: bytes) -> bytes:
    """Return a SHA-256 from its record, which has it as four little-endian numbers, like every hash here."""
    return struct.pack(">4Q", *struct.unpack("<4Q", record[:32]))


def write_shard(
    xorb: bytes, chunks: Sequence[tuple[bytes, int]], *, on_disk: int, key: bytes, created: int, expires: int
) -> bytes:
    """Return a shard that says what one xorb holds.

    Args:
        xorb: its hash.
        chunks: hash and size of content of each chunk.
        on_disk: bytes of the xorb as it is stored.
        key: what the chunks' hashes were keyed with.
        created: when the shard was made, in seconds since 1970.
        expires: when it is not to be believed any more.
    """
    content = sum(size for _, size in chunks)
    end = _END + bytes(_RECORD - len(_END))
    listed, at = bytearray(_TERM.pack(xorb, 0, len(chunks), content, on_disk)), 0
    for digest, size in chunks:
        listed += _TERM.pack(digest, at, size, 0, 0)
        at += size
    # Tables to look things up in: the first word of a hash, and where it is.
    xorbs = struct.pack("<QI", _word(xorb), 0)
    places = sorted((_word(digest), index) for index, (digest, _) in enumerate(chunks))
    found = b"".join(struct.pack("<QII", word, 0, index) for word, index in places)
    files_at = _RECORD
    xorbs_at = files_at + len(end)
    lookup_at = xorbs_at + len(listed) + len(end)
    chunks_at = lookup_at + len(xorbs)
    footer_at = chunks_at + len(found)
    places_of = (1, files_at, xorbs_at, lookup_at, 0, lookup_at, 1, chunks_at, len(chunks))
    footer = _FOOTER.pack(*places_of, key, created, expires, *[0] * 6, on_disk, content, content, footer_at)
    head = _TAG[:32] + struct.pack("<2Q", _VERSION, len(footer))
    return head + end + bytes(listed) + end + xorbs + found + footer


def _word(digest: bytes) -> int:
    return int.from_bytes(digest[:8], "little")
