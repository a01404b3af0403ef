"""Whether files on this machine are what the Hub says they are."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable
from pathlib import Path

from enfold.hub.commit import files_below
from enfold.hub.types import RepoFile

__all__ = ["FolderVerification", "Mismatch", "verify_folder"]


@dataclasses.dataclass(frozen=True)
class Mismatch:
    """A file that is another one than the Hub's.

    Args:
        path: the file.
        expected: the hash of the Hub's content.
        actual: the hash of the file on this machine.
        algorithm: "sha256", or "git-sha1" for files that are not large.
    """

    path: str
    expected: str
    actual: str
    algorithm: str


@dataclasses.dataclass(frozen=True)
class FolderVerification:
    """What a comparison of a folder with a revision found.

    Args:
        revision: the commit.
        checked_count: how many files are in both.
        mismatches: files that differ.
        missing_paths: files of the revision that are not in the folder.
        extra_paths: files of the folder that are not in the revision.
        verified_path: the folder.
    """

    revision: str
    checked_count: int
    mismatches: list[Mismatch]
    missing_paths: list[str]
    extra_paths: list[str]
    verified_path: Path


def verify_folder(folder: Path, revision: str, files: Iterable[RepoFile]) -> FolderVerification:
    """Compare the files in a folder with those of a revision, by their hashes."""
    here = dict(files_below(folder))
    there = {file.path: file for file in files}
    both = sorted(here.keys() & there.keys())
    mismatches = []
    for path in both:
        file = there[path]
        algorithm = "sha256" if file.lfs is not None else "git-sha1"
        expected = file.lfs.sha256 if file.lfs is not None else file.blob_id
        actual = file_hash(here[path], algorithm)
        if actual != expected:
            mismatches.append(Mismatch(path, expected, actual, algorithm))
    missing, extra = sorted(there.keys() - here.keys()), sorted(here.keys() - there.keys())
    return FolderVerification(revision, len(both), mismatches, missing, extra, folder)


def file_hash(path: Path, algorithm: str) -> str:
    """Return a file's SHA-256, or the id that git gives its content."""
    digest = hashlib.sha256()
    if algorithm == "git-sha1":
        digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()
