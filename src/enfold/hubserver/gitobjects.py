"""Git's object formats: ids of blobs, trees and commits, and LFS pointers.

Source: https://git-scm.com/book/en/v2/Git-Internals-Git-Objects and
https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import NamedTuple

__all__ = ["EMPTY_TREE", "Entry", "blob_oid", "commit_bytes", "decode_tree", "encode_tree", "object_oid", "pointer"]


class Entry(NamedTuple):
    """What a name in a tree stands for: a folder's tree, or a file's blob."""

    oid: str
    folder: bool


def object_oid(kind: str, data: bytes) -> str:
    """Return the id git gives to an object of ``kind`` ("blob", "tree", "commit") with this content.

    Example:
        >>> object_oid("blob", b"hello\\n")
        'ce013625030ba8dba906f756967f9e9ca394464a'
    """
    return hashlib.sha1(b"%s %d\0" % (kind.encode(), len(data)) + data, usedforsecurity=False).hexdigest()


def blob_oid(data: bytes) -> str:
    """Return the git id of a file's content."""
    return object_oid("blob", data)


def encode_tree(entries: Mapping[str, Entry]) -> bytes:
    """Return a folder in git's tree format; git sorts folders as if their names ended with a slash."""
    named = sorted((name.encode() + (b"/" if entry.folder else b""), name, entry) for name, entry in entries.items())
    return b"".join(
        (b"40000 " if entry.folder else b"100644 ") + name.encode() + b"\0" + bytes.fromhex(entry.oid)
        for _, name, entry in named
    )


def decode_tree(data: bytes) -> dict[str, Entry]:
    """Return the entries of a tree object, in git's order."""
    entries: dict[str, Entry] = {}
    position = 0
    while position < len(data):
        end = data.index(b"\0", position)
        mode, _, name = data[position:end].partition(b" ")
        position = end + 21
        entries[name.decode()] = Entry(data[end + 1 : position].hex(), mode == b"40000")
    return entries


EMPTY_TREE = object_oid("tree", b"")


def commit_bytes(tree: str, parent: str | None, author: str, email: str, seconds: int, message: str) -> bytes:
    """Return a commit object; ``seconds`` since 1970, UTC."""
    who = f"{author} <{email}> {seconds} +0000"
    lines = [f"tree {tree}", *([f"parent {parent}"] if parent else []), f"author {who}", f"committer {who}"]
    return ("\n".join(lines) + f"\n\n{message}\n").encode()


def pointer(sha256: str, size: int) -> bytes:
    """Return the text that git holds in place of a large file."""
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()
