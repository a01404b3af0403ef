"""The hashes of the Xet formats: of chunks, of xorbs, of files, and of the ranges that files are made of.

Every one is a keyed BLAKE3. A xorb's and a file's are the root of a tree over its chunks, cut by content, so that a
change in one place changes few nodes. Formats: Xet protocol specification, "Hashing".
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence

from blake3 import blake3

from enfold.hubserver.errors import HubServerError

__all__ = ["chunk_hash", "file_hash", "from_hex", "range_hash", "to_hex", "xorb_hash"]

# Four domains, four keys, as published: the same bytes never hash alike in two of them.
_CHUNK = bytes.fromhex("6697f5775b9550de3135cbaca597181c9de421109beb2b58b4d0b04b93adf229")
_NODE = bytes.fromhex("017ec5c7a5472996fd946666b48a02e65ddd536f37c76dd2f86352e64a53713f")
_RANGE = bytes.fromhex("7f1857d6ce56ed66127ff913e7a5c3f3a4cd26d5b5db49e64124987f28fb94c3")
_FILE = bytes(32)

_SMALLEST, _LARGEST, _CUT = 3, 9, 4  # children of a node: at least, at most, and one in so many hashes ends one early

Node = tuple[bytes, int]  # a hash, and how many bytes of content are under it


def to_hex(digest: bytes) -> str:
    """Write a hash as Xet does: four little-endian numbers of 64 bits, each as sixteen digits.

    Example:
        >>> to_hex(bytes(range(32)))[:16]
        '0706050403020100'
    """
    return "".join(f"{word:016x}" for word in struct.unpack("<4Q", digest))


def from_hex(text: str) -> bytes:
    """Return the hash that :func:`to_hex` wrote; a 400 for anything else."""
    if len(text) != 64 or not set(text) <= set("0123456789abcdef"):
        raise HubServerError(400, f"Invalid hash {text[:80]!r}: expected 64 lower-case hexadecimal digits")
    return struct.pack("<4Q", *(int(text[at : at + 16], 16) for at in range(0, 64, 16)))


def chunk_hash(content: bytes | memoryview) -> bytes:
    """Return the hash of a chunk's content."""
    return blake3(content, key=_CHUNK).digest()


def range_hash(hashes: Iterable[bytes]) -> bytes:
    """Return what proves that its author knows a range of chunks: only who has their contents has their hashes."""
    return blake3(b"".join(hashes), key=_RANGE).digest()


def xorb_hash(chunks: Sequence[Node]) -> bytes:
    """Return the hash of a xorb with these chunks (hash and size of each)."""
    return _root(chunks)


def file_hash(chunks: Sequence[Node]) -> bytes:
    """Return the hash of a file made of these chunks (hash and size of each); an empty file's is all zeros."""
    return blake3(_root(chunks), key=_FILE).digest() if chunks else bytes(32)


def _root(nodes: Sequence[Node]) -> bytes:
    level = list(nodes)
    while len(level) > 1:
        parents, start = [], 0
        while start < len(level):
            stop = _end_of_node(level, start)
            parents.append(_parent(level[start:stop]))
            start = stop
        level = parents
    return level[0][0]


def _end_of_node(level: Sequence[Node], start: int) -> int:
    limit = min(start + _LARGEST, len(level))
    for stop in range(start + _SMALLEST, limit):
        if int.from_bytes(level[stop - 1][0][24:], "little") % _CUT == 0:
            return stop
    return limit


def _parent(children: Sequence[Node]) -> Node:
    text = "".join(f"{to_hex(digest)} : {size}\n" for digest, size in children)
    return blake3(text.encode(), key=_NODE).digest(), sum(size for _, size in children)
