"""Addresses of a dataset repository's files."""

from __future__ import annotations

__all__ = ["hf_dataset_url"]


def hf_dataset_url(repo_id: str, filename: str, revision: str | None = None) -> str:
    """Return the address of a file of a dataset repository.

    Args:
        repo_id: ``owner/name``.
        filename: the file's path in the repository.
        revision: a branch, tag or commit; the main branch where None.
    """
    from enfold.hub import hf_hub_url

    return hf_hub_url(repo_id, filename, repo_type="dataset", revision=revision)
