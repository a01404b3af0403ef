"""One copy of a content for all repositories of the cache: a store that clients of the second series share.

::

    <cache>/blobs/.huggingface-shared-blobs           "1": the layout's version, and the sign that the store is ours
    <cache>/blobs/<ab>/<xet hash>                     a content; read only
    <cache>/blobs/<ab>/<xet hash>.refs                the blobs that lead to it, one path a line
    <cache>/models--ns--name/blobs/<etag>             a link to it

A content is put here under the hash that the Hub names only once that hash was computed, and is taken from here only
with the SHA-256 that the other repository promises, so that no Hub can give another one's users its own bytes.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from enfold.hub import constants
from enfold.log import get_logger

__all__ = ["SharedStore"]

_log = get_logger(__name__)

_HASH = re.compile("[0-9a-f]{64}")
_BLOB = re.compile(r"[a-z]+--[^/]+/blobs/[^/]+")
_MARKER, _VERSION = ".huggingface-shared-blobs", "1\n"


class SharedStore:
    """The store of a cache.

    Args:
        cache: the cache's folder.
    """

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self.folder = cache / "blobs"

    def exists(self) -> bool:
        """Say whether the cache has a store in the layout that is known here."""
        try:
            return (self.folder / _MARKER).read_text() == _VERSION
        except OSError:
            return False

    def content(self, xet_hash: str) -> Path:
        """Return where a content is or would be."""
        return self.folder / xet_hash[:2] / xet_hash

    def target(self, blob: Path) -> Path | None:
        """Return the content in the store that a repository's blob leads to, or None for a blob of its own."""
        if not blob.is_symlink():
            return None
        found = Path(os.path.normpath(blob.parent / os.readlink(blob)))
        inside = found.parent.parent == self.folder and _HASH.fullmatch(found.name) is not None
        return found if inside and found.parent.name == found.name[:2] else None

    def contents(self) -> list[Path]:
        """Return all contents of the store."""
        if not self.exists():
            return []
        return [path for path in self.folder.glob("??/*") if _HASH.fullmatch(path.name) and not path.is_symlink()]

    def take(self, xet_hash: str, sha256: str, size: int, blob: Path) -> bool:
        """Make ``blob`` lead to a content of the store; False when it has none with that hash and that SHA-256."""
        if not (_enabled() and _HASH.fullmatch(xet_hash) and _HASH.fullmatch(sha256) and self.exists()):
            return False
        content = self.content(xet_hash)
        try:
            with self._lock(content):
                if content.is_symlink() or content.stat().st_size != size or _sha256(content) != sha256:
                    return False
                self._refer(content, blob)
        except OSError:
            return False
        return True

    def put(self, xet_hash: str, blob: Path) -> bool:
        """Move a blob, whose bytes were checked, into the store and leave a link; False when it stays where it is."""
        if not (_enabled() and _HASH.fullmatch(xet_hash) and blob.is_file() and not blob.is_symlink()):
            return False
        import hf_xet

        found = hf_xet.hash_files([str(blob)])[0]
        if found.hash != xet_hash or not self._made(xet_hash):
            return False
        content = self.content(xet_hash)
        try:
            with self._lock(content):
                # One that is there is usually the same; one that was damaged is replaced.
                if content.is_symlink() or not content.is_file() or _sha256(content) != _sha256(blob):
                    blob.chmod(0o444)
                    os.link(blob, made := content.with_name(f"{xet_hash}.{secrets.token_hex(4)}.tmp"))
                    os.replace(made, content)
                self._refer(content, blob)
        except OSError as error:
            _log.info("cannot share %s: %s", blob, error)
            return False
        return True

    def sweep(self, content: Path) -> int:
        """Delete a content that no blob leads to any more and return the bytes that this freed."""
        try:
            with self._lock(content):
                if self.references(content):
                    return 0
                size = content.stat().st_size
                content.unlink()
                content.with_name(f"{content.name}.refs").unlink(missing_ok=True)
                return size
        except OSError:
            return 0

    def references(self, content: Path) -> set[Path]:
        """Return the blobs that lead to a content; a content without a list of them is never known to be free."""
        lines = content.with_name(f"{content.name}.refs").read_text().splitlines()
        named = {self.cache / line for line in lines if _BLOB.fullmatch(line) and ".." not in line.split("/")}
        return {blob for blob in named if self.target(blob) == content}

    def _made(self, xet_hash: str) -> bool:
        from enfold.hub.cache import write_atomically

        if not self.exists():
            if self.folder.exists() and any(self.folder.iterdir()):
                return False  # somebody else's folder
            write_atomically(self.folder / _MARKER, _VERSION.encode())
        self.content(xet_hash).parent.mkdir(exist_ok=True)
        return True

    def _refer(self, content: Path, blob: Path) -> None:
        """Write the reference down, then make it: a reference that is not real is harmless, the reverse is not."""
        with content.with_name(f"{content.name}.refs").open("a") as file:
            file.write(blob.relative_to(self.cache).as_posix() + "\n")
            file.flush()
            os.fsync(file.fileno())
        link = blob.with_name(f".{blob.name}.{secrets.token_hex(4)}.shared")
        os.symlink(os.path.relpath(content, blob.parent), link)
        os.replace(link, blob)

    @contextmanager
    def _lock(self, content: Path) -> Iterator[None]:
        from filelock import FileLock

        with FileLock(str(content.with_name(f"{content.name}.lock")), mode=0o666):
            yield


def _enabled() -> bool:
    from enfold.hub import xet

    return xet.is_available() and not (
        constants.flag("HF_HUB_DISABLE_SHARED_BLOBS") or constants.HF_HUB_DISABLE_SYMLINKS
    )


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()
