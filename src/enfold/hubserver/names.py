"""Which repository ids, references and paths are accepted."""

from __future__ import annotations

import re

from enfold.hubserver.errors import HubServerError

__all__ = ["KINDS", "RESERVED", "check_branch", "check_name", "check_path", "is_commit"]

#: plural in addresses → singular in the API's bodies
KINDS = {"models": "model", "datasets": "dataset", "spaces": "space"}

#: second address segments that are actions, so no repository may be called by them
RESERVED = frozenset(
    "api ask-access auth-check blob branch cas commit commits datasets discussions git-receive-pack git-upload-pack "
    "info lfs-files models paths-info preupload raw refs resolve revision settings small-files spaces static tag tree "
    "trusted-publishers user-access-request xet-read-token xet-write-token".split()
)

#: first address segments that are no account's
TOP = frozenset(
    "admin datasets-server device docs join login logout new oauth openapi.json organizations search users".split()
)

_NAME = re.compile(r"[A-Za-z0-9_][\w.-]{0,95}", re.ASCII)
_BRANCH = re.compile(r"[\w./-]{1,200}", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")


def is_commit(revision: str) -> bool:
    """Say whether ``revision`` is written like a full commit id."""
    return _COMMIT.fullmatch(revision) is not None


def check_name(name: str, what: str = "repository") -> str:
    """Return ``name`` when it may name a repository or an account, else raise a 400."""
    bad = "--" in name or ".." in name or name.endswith((".git", ".", "-")) or name.lower() in RESERVED
    if what != "repository":
        bad = bad or name.lower() in TOP
    if bad or not _NAME.fullmatch(name):
        raise HubServerError(
            400,
            f"Invalid {what} name {name!r}: use up to 96 letters, digits, '-', '_' and '.'; '--' and '..' are not "
            "allowed, nor '.git', '-' or '.' at its end, nor a word that the Hub's addresses use",
        )
    return name


def check_branch(name: str) -> str:
    """Return ``name`` when it may name a branch or a tag (the rules of git, a little narrower), else raise a 400."""
    parts = name.split("/")
    bad = any(
        not part or part.startswith((".", "-")) or part.endswith((".", ".lock")) or ".." in part for part in parts
    )
    if bad or is_commit(name) or name == "HEAD" or not _BRANCH.fullmatch(name):
        raise HubServerError(400, f"Invalid reference for a branch or a tag: {name!r}")
    return name


def check_path(path: str) -> str:
    """Return ``path`` when it is a safe place inside a repository, else raise a 400.

    Refused: absolute paths, ``..``, empty and ``.`` segments, ``.git``, backslashes, control characters, segments
    above 255 bytes, paths above 4096 bytes.
    """
    segments = path.split("/")
    reason = None
    if not path or len(path.encode("utf-8", "surrogatepass")) > 4096:
        reason = "it is empty or longer than 4096 bytes"
    elif any(ord(character) < 32 or ord(character) == 127 or "\ud800" <= character <= "\udfff" for character in path):
        reason = "it holds control characters"
    elif "\\" in path:
        reason = "it holds a backslash"
    elif any(segment in {"", ".", ".."} for segment in segments):
        reason = "it has empty, '.' or '..' segments"
    elif any(segment.lower() == ".git" for segment in segments):
        reason = "'.git' belongs to git"
    elif any(len(segment.encode()) > 255 for segment in segments):
        reason = "a segment is longer than 255 bytes"
    if reason:
        raise HubServerError(400, f"Invalid path in repository {path!r}: {reason}")
    return path
