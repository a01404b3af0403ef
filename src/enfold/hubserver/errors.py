"""The error every part of the server raises; the application turns it into a response in one place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from enfold.errors import EnfoldError

__all__ = ["HubServerError", "entry_not_found", "gated", "repo_not_found", "revision_not_found"]


class HubServerError(EnfoldError):
    """A request that cannot be served.

    Args:
        status: the HTTP status.
        message: what is wrong and what was expected; shown to the client.
        code: the value of ``X-Error-Code``, by which clients choose the error class they raise.
        headers: further response headers.
        body: further members of the JSON body.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, message, code
        self.headers, self.body = dict(headers or {}), dict(body or {})


def repo_not_found(anonymous: bool) -> HubServerError:
    """Return the one answer for a repository that does not exist and for one that the caller may not see.

    Both look alike, so that nobody learns which private repositories exist; a caller without a token gets 401 because
    signing in might help.
    """
    message = "Repository not found" if not anonymous else "Invalid username or password."
    return HubServerError(401 if anonymous else 404, message, code="RepoNotFound")


def gated(name: str, anonymous: bool, status: str | None) -> HubServerError:
    """Return the error for files of a gated repository ("model me/x"); ``status`` is that of the caller's request."""
    if anonymous:
        message = f"Access to {name} is restricted. You must have access to it and be authenticated to access it."
    else:
        said = {
            "pending": "Your request to access it is awaiting a review from its authors.",
            "rejected": "Your request to access it has been rejected by its authors.",
        }
        message = f"Access to {name} is restricted and you are not in the authorized list. "
        message += said.get(status or "", "Visit its page to ask for access.")
    return HubServerError(401 if anonymous else 403, message, code="GatedRepo")


def revision_not_found(revision: str) -> HubServerError:
    """Return the error for a branch, tag or commit that a repository does not have."""
    return HubServerError(404, f"Invalid rev id: {revision}", code="RevisionNotFound")


def entry_not_found(path: str, commit: str) -> HubServerError:
    """Return the error for a file that a commit does not have; it names the commit, so that clients may remember."""
    return HubServerError(404, f"Entry not found: {path}", code="EntryNotFound", headers={"X-Repo-Commit": commit})
