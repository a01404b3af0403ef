"""What changed between two trees, as git writes it."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from sqlalchemy import Connection

from enfold.hubserver import trees
from enfold.hubserver.commits import Commits
from enfold.hubserver.gitobjects import pointer

__all__ = ["file_diff", "unified_diff"]

_FILE, _LINES, _TOTAL = 500_000, 20_000, 2_000_000  # bytes and lines of a file, bytes of all


def unified_diff(connection: Connection, commits: Commits, before: str, after: str) -> str:
    """Return the difference of two trees; large files are named only, and it ends with a word where it is cut."""
    pieces, length = [], 0
    for change in trees.diff(connection, before, after):
        piece = file_diff(connection, commits, change)
        length += len(piece)
        if length > _TOTAL:
            pieces.append("… and more\n")
            break
        pieces.append(piece)
    return "".join(pieces)


def file_diff(connection: Connection, commits: Commits, change: trees.Change) -> str:
    """Return the difference of one file, its heading included."""
    path = change.path
    head = f"diff --git a/{path} b/{path}\n"
    if change.before is None:
        head += "new file mode 100644\n"
    if change.after is None:
        head += "deleted file mode 100644\n"
    head += f"index {(change.before or '0' * 40)[:7]}..{(change.after or '0' * 40)[:7]}\n"
    texts = [_text(connection, commits, oid) for oid in (change.before, change.after)]
    names = [f"a/{path}" if change.before else "/dev/null", f"b/{path}" if change.after else "/dev/null"]
    if None in texts or sum(len(text or ()) for text in texts) > _LINES:
        return f"{head}Binary files {names[0]} and {names[1]} differ\n"
    return head + "".join(_lines(texts[0] or [], texts[1] or [], names))


def _lines(old: list[str], new: list[str], names: list[str]) -> Iterator[str]:
    for line in difflib.unified_diff(old, new, names[0], names[1]):
        yield line if line.endswith("\n") else line + "\n\\ No newline at end of file\n"


def _text(connection: Connection, commits: Commits, oid: str | None) -> list[str] | None:
    """Return the lines of a file (of the pointer, for a large one); None where it is no text or too long."""
    if oid is None:
        return []
    blob = commits.blob(connection, oid)
    if blob.lfs:
        data = pointer(blob.sha256, blob.size)
    elif blob.size > _FILE:
        return None
    else:
        data = commits.content(blob)
    try:
        return None if b"\0" in data else data.decode().splitlines(keepends=True)
    except UnicodeDecodeError:
        return None
