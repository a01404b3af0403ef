"""What everything with ``from_pretrained`` and ``save_pretrained`` shares: where to look, and how to upload."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from enfold.errors import nearest

__all__ = ["PushToHubMixin", "UnknownField", "split_fetch_arguments"]

# Arguments that say where a file is found, passed on to ``find_file``.
FETCH = ("subfolder", "revision", "cache_dir", "token", "local_files_only", "force_download")
# Old spelling → the one above.
RENAMED = {"use_auth_token": "token"}
# Accepted and without effect: what they steered no longer exists.
IGNORED = (
    "proxies",
    "resume_download",
    "mirror",
    "_from_auto",
    "_from_pipeline",
    "_commit_hash",
    "from_auto",
    "user_agent",
    "trust_remote_code",
)


def split_fetch_arguments(kwargs: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Separate the arguments that say where files are found from all others.

    Example:
        >>> split_fetch_arguments({"revision": "main", "num_labels": 2, "proxies": None})
        ({'revision': 'main'}, {'num_labels': 2})
    """
    where, rest = {}, {}
    for name, value in kwargs.items():
        name = RENAMED.get(name, name)
        if name in FETCH:
            if value is not None:
                where[name] = value
        elif name not in IGNORED:
            rest[name] = value
    return where, rest


class UnknownField(AttributeError):
    """A configuration has no such field. The nearest name is looked for when the text is read: ``hasattr`` and
    ``getattr`` with a default, which are asked often, must not pay for it."""

    def __init__(self, owner: str, name: str, known: Iterable[str]) -> None:
        super().__init__(owner, name, known)
        self.owner, self.field, self.known = owner, name, list(known)

    def __str__(self) -> str:
        return f"{self.owner} has no attribute {self.field!r}{nearest(self.field, self.known)}"


class PushToHubMixin:
    """``push_to_hub`` for every class that has ``save_pretrained``."""

    def push_to_hub(
        self,
        repo_id: str,
        *,
        commit_message: str | None = None,
        commit_description: str | None = None,
        private: bool | None = None,
        token: str | bool | None = None,
        revision: str | None = None,
        create_pr: bool = False,
        **save_arguments: Any,
    ) -> Any:
        """Save into a temporary folder and upload its files as one commit.

        Args:
            repo_id: repository; it is made when it does not exist.
            commit_message: first line of the commit.
            commit_description: its further lines.
            private: whether a new repository is private.
            token: write token; the stored one by default.
            revision: branch to commit to.
            create_pr: open a pull request instead of committing.
            save_arguments: passed to ``save_pretrained`` (``max_shard_size`` …); ``use_auth_token`` is ``token``.

        Returns:
            What the Hub says about the commit.
        """
        import tempfile  # with what it imports, a tenth of all modules on the way to a tokenizer

        from enfold.hub import HfApi

        token = save_arguments.pop("use_auth_token", token)
        for name in ("organization", "repo_url", "use_temp_dir", "tags", "language", "deprecated_kwargs"):
            save_arguments.pop(name, None)
        api = HfApi(token=token)
        created = api.create_repo(repo_id, private=private, exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            self.save_pretrained(folder, **save_arguments)  # type: ignore[attr-defined]
            return api.upload_folder(
                repo_id=getattr(created, "repo_id", None) or repo_id,
                folder_path=folder,
                commit_message=commit_message or f"Upload {type(self).__name__}",
                commit_description=commit_description or "",
                revision=revision,
                create_pr=create_pr,
            )
