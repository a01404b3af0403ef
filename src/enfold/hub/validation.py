"""Which repository ids, types and file names a request may be made with."""

from __future__ import annotations

import re
from collections.abc import Iterable

from enfold.errors import nearest
from enfold.hub.errors import HFValidationError

__all__ = ["check_filename", "check_repo_type", "check_retired", "plural", "validate_repo_id"]

_ID = re.compile(r"\b[\w\-.]{1,96}\b(/\b[\w\-.]{1,96}\b)?", re.ASCII)
_TYPES = ("model", "dataset", "space")


def validate_repo_id(repo_id: str) -> None:
    """Raise unless ``repo_id`` is ``name`` or ``namespace/name`` in the Hub's alphabet.

    Raises:
        HFValidationError: it is not; the message says which rule it breaks.

    Example:
        >>> validate_repo_id("openai-community/gpt2")
    """
    rule = None
    if not isinstance(repo_id, str):
        raise HFValidationError(f"a repository id is a string such as 'openai-community/gpt2', not {repo_id!r}")
    if repo_id.count("/") > 1:
        rule = "it has more than one '/': expected 'name' or 'namespace/name'"
    elif "--" in repo_id or ".." in repo_id:
        rule = "'--' and '..' are not allowed"
    elif repo_id.endswith(".git"):
        rule = "it must not end with '.git'"
    elif not _ID.fullmatch(repo_id):
        rule = "each part has 1 to 96 letters, digits, '-', '_' or '.', and neither begins nor ends with '-' or '.'"
    if rule:
        raise HFValidationError(f"invalid repository id {repo_id!r}: {rule}")


def check_repo_type(repo_type: str | None) -> str:
    """Return the repository type, "model" for None; raises ``HFValidationError`` for an unknown one."""
    kind = repo_type or "model"
    if kind not in _TYPES:
        raise HFValidationError(
            f"unknown repo_type {repo_type!r}: expected one of {', '.join(_TYPES)}{nearest(str(kind), _TYPES)}"
        )
    return kind


def plural(repo_type: str | None) -> str:
    """Return a repository type as addresses write it: "models", "datasets", "spaces"."""
    return check_repo_type(repo_type) + "s"


#: arguments that older versions of the ecosystem's client took and that change nothing any more
RETIRED = frozenset(
    "resume_download proxies local_dir_use_symlinks legacy_cache_layout force_filename use_auth_token tqdm_class "
    "multi_commits multi_commits_verbose repo_size_limit".split()
)


def check_retired(function: str, given: Iterable[str], known: Iterable[str] = ()) -> None:
    """Raise a TypeError for an argument that was never one; retired ones are accepted and change nothing."""
    for name in given:
        if name not in RETIRED:
            hint = nearest(name, known)
            raise TypeError(f"{function}() got an unexpected keyword argument {name!r}{hint}")


def check_filename(filename: str | None, subfolder: str | None = None) -> str:
    """Return the path of a file inside its repository, safe to be joined to a folder.

    Raises:
        HFValidationError: there is no name, or it leads outside of the folder.
    """
    if not filename or not isinstance(filename, str):
        raise HFValidationError(
            "which file? Give `filename`, its path inside the repository, such as filename='config.json'; "
            "snapshot_download(repo_id) fetches all files"
        )
    path = f"{subfolder.strip('/')}/{filename}" if subfolder and subfolder.strip("/") else filename
    parts = path.split("/")
    if (
        path.startswith("/")
        or ".." in parts
        or "\\" in path
        or "\0" in path
        or "" in parts
        or re.match("[A-Za-z]:", path)
    ):
        raise HFValidationError(
            f"invalid filename {path!r}: it must be a path inside the repository, with '/' and no '..'"
        )
    return path
