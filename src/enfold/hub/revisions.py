"""Revisions that know their commit: what is downloaded piece by piece stays of one commit."""

from __future__ import annotations

from typing import Any

from enfold.hub import constants

__all__ = ["ResolvedRevision"]


class ResolvedRevision(str):
    """A revision as it was asked for, with the commit that it stood for.

    Args:
        resolved: the commit.
        initial: the revision asked for; "main" for None.
        repo_id: the repository that the commit belongs to.
        repo_type: its type.

    Example:
        >>> revision = ResolvedRevision("607a30d7" * 5, "v1")
        >>> revision == "v1", revision.resolved[:8]
        (True, '607a30d7')
    """

    initial: str | None
    resolved: str

    def __new__(
        cls, resolved: str, initial: str | None = None, repo_id: str | None = None, repo_type: str | None = None
    ) -> ResolvedRevision:
        """Make the text that it is."""
        found = super().__new__(cls, constants.DEFAULT_REVISION if initial is None else initial)
        found.resolved, found.initial = resolved, initial
        found._repo = (repo_id, repo_type or "model")
        return found

    _repo: tuple[str | None, str]

    def of(self, repo_id: str, repo_type: str | None = None) -> bool:
        """Say whether the commit is one of this repository's."""
        return self._repo[0] is None or self._repo == (repo_id, repo_type or "model")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.resolved, self.initial, *self._repo)

    def __repr__(self) -> str:
        return f"ResolvedRevision(initial={self.initial!r}, resolved={self.resolved!r})"


def pinned(revision: str | None, repo_id: str, repo_type: str | None) -> str:
    """Return the revision to ask for: the commit, where it is known for this repository; else the revision itself."""
    if isinstance(revision, ResolvedRevision):
        return revision.resolved if revision.of(repo_id, repo_type) else str(revision)
    return revision or constants.DEFAULT_REVISION
