"""Xorbs and shards as a client writes them."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence

import lz4.frame

from enfold.hubserver.xet.hashes import chunk_hash, file_hash, range_hash, to_hex, xorb_hash

TAG = b"HFRepoMetaData\0" + bytes.fromhex("556967456a7b815783a5bdd95ccdd14aa9")


def planes(content: bytes) -> bytes:
    return b"".join(content[place::4] for place in range(4))


def record(content: bytes, scheme: int = 0, *, size: int | None = None) -> bytes:
    body = [lambda c: c, lz4.frame.compress, lambda c: lz4.frame.compress(planes(c))][scheme](content)
    announced = len(content) if size is None else size
    return bytes([0, *len(body).to_bytes(3, "little"), scheme, *announced.to_bytes(3, "little")]) + body


def xorb(contents: Sequence[bytes]) -> tuple[str, bytes]:
    """Return the name and the bytes of a xorb of these chunks, packed in all three ways."""
    name = xorb_hash([(chunk_hash(content), len(content)) for content in contents])
    return to_hex(name), b"".join(record(content, index % 3) for index, content in enumerate(contents))


def shard(
    contents: Sequence[bytes],
    terms: Sequence[tuple[str, int, int]],
    *,
    proofs: Sequence[bytes] | None = None,
    sha256: bytes | None = None,
    sizes: Sequence[int] | None = None,
) -> tuple[str, bytes]:
    """Return the Xet hash and the shard of one file: ``terms`` are (xorb, first chunk, one behind the last chunk) of
    xorbs, ``contents`` the chunks that they come to."""
    digest = file_hash([(chunk_hash(content), len(content)) for content in contents])
    rest = list(contents)
    head, tail = b"", b""
    for index, (name, first, last) in enumerate(terms):
        part, rest = rest[: last - first], rest[last - first :]
        size = sizes[index] if sizes else sum(map(len, part))
        words = struct.pack("<4Q", *(int(name[at : at + 16], 16) for at in range(0, 64, 16)))
        head += struct.pack("<32sIIII", words, 0, size, first, last)
        proof = proofs[index] if proofs else range_hash(map(chunk_hash, part))
        tail += proof + bytes(16)
    claimed = hashlib.sha256(b"".join(contents)).digest() if sha256 is None else sha256
    swapped = struct.pack("<4Q", *struct.unpack(">4Q", claimed))
    file = struct.pack("<32sIIQ", digest, 3 << 30, len(terms), 0) + head + tail + swapped + bytes(16)
    end = b"\xff" * 32 + bytes(16)
    return to_hex(digest), TAG[:32] + struct.pack("<2Q", 2, 0) + file + end + end
