"""The one way to find a file of a model, a tokenizer, a dataset or an adapter: in a local folder or a repository."""

from __future__ import annotations

import os

from enfold.errors import nearest
from enfold.hub import constants
from enfold.hub.errors import (
    EntryNotFoundError,
    FileNotFoundInSource,
    GatedRepoError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from enfold.hub.validation import check_filename, validate_repo_id

__all__ = ["find_file"]


def find_file(
    source: str | os.PathLike[str],
    filename: str,
    *,
    subfolder: str = "",
    repo_type: str = "model",
    revision: str | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    token: bool | str | None = None,
    local_files_only: bool = False,
    force_download: bool = False,
    required: bool = True,
) -> str | None:
    """Return the path of a file on this machine, downloaded if needed.

    Args:
        source: a local folder, or a repository's id.
        filename: the file's path inside it.
        subfolder: a folder to look in.
        repo_type: "model", "dataset" or "space".
        revision: a branch, tag or commit; "main" by default.
        cache_dir: the cache; ``HF_HUB_CACHE`` by default.
        token: a token; True requires the saved one, False sends none.
        local_files_only: do not ask the Hub.
        force_download: download even if it is there.
        required: raise when the source has no such file; otherwise None is returned.

    Raises:
        FileNotFoundInSource: the source has no such file (with ``required``).
        RepositoryNotFoundError: there is neither such a folder nor such a repository; the message names the closest id.
        LocalEntryNotFoundError: the file is not cached, and the Hub could not be (or was not to be) asked.
        OSError: all of the above are.

    Example:
        >>> find_file("openai-community/gpt2", "config.json")  # doctest: +SKIP
        '…/models--openai-community--gpt2/snapshots/607a30d7…/config.json'
    """
    name = os.path.expanduser(os.fspath(source))
    path = check_filename(filename, subfolder)
    if os.path.isdir(name):
        found = os.path.join(name, *path.split("/"))
        if os.path.isfile(found):
            return found
        if not required:
            return None
        there = sorted(os.listdir(name))
        raise FileNotFoundInSource(f"the folder {name!r} has no file {path!r}{nearest(path, there)}")
    # Local folders need none of what follows, so it is loaded only here.
    from enfold.hub.download import hf_hub_download

    repo_id = os.fspath(source)
    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        raise FileNotFoundInSource(
            f"{repo_id!r} is neither a folder on this machine nor a repository's id ({error})"
        ) from None
    if not (required or force_download) and _known_absent(repo_id, path, repo_type, revision, cache_dir):
        return None
    try:
        return hf_hub_download(
            repo_id,
            path,
            repo_type=repo_type,
            revision=revision,
            cache_dir=cache_dir,
            token=token,
            local_files_only=local_files_only,
            force_download=force_download,
        )
    except GatedRepoError:
        raise
    except RepositoryNotFoundError as error:
        hint = _similar(repo_id, repo_type, cache_dir, token)
        raise RepositoryNotFoundError(
            f"{repo_id!r} is neither a folder on this machine nor a {repo_type} that {constants.endpoint()} shows to "
            f"you{hint or '.'} For a private repository, pass token=… or run `enfold hub login`",
            error.response,
        ) from None
    except RevisionNotFoundError as error:
        raise RevisionNotFoundError(f"{repo_id!r} has no revision {revision!r}", error.response) from None
    except LocalEntryNotFoundError as error:
        if not required and (error.__cause__ is None or _known_repository(repo_id, repo_type, cache_dir)):
            return None
        raise
    except EntryNotFoundError as error:
        if not required:
            return None
        raise FileNotFoundInSource(f"{repo_id!r} has no file {path!r} at revision {revision or 'main'!r}") from error


def _known_absent(
    repo_id: str, path: str, repo_type: str, revision: str | None, cache_dir: str | os.PathLike[str] | None
) -> bool:
    """Say whether a commit is known not to have a file, which then nobody needs to be asked."""
    from enfold.hub.cache import RepoCache, is_commit_hash
    from enfold.hub.revisions import pinned

    commit = pinned(revision, repo_id, repo_type)
    return is_commit_hash(commit) and RepoCache(repo_id, repo_type, cache_dir).absent(path, commit)


def _known_repository(repo_id: str, repo_type: str, cache_dir: str | os.PathLike[str] | None) -> bool:
    from enfold.hub.cache import cached_repositories

    return repo_id in cached_repositories(repo_type, cache_dir)


def _similar(repo_id: str, repo_type: str, cache_dir: str | os.PathLike[str] | None, token: bool | str | None) -> str:
    """Return "; did you mean 'x'?" from the cache and from what the Hub finds for the beginning of the name."""
    from enfold.hub import http
    from enfold.hub.cache import cached_repositories

    known = set(cached_repositories(repo_type, cache_dir))
    short = repo_id.rsplit("/", 1)[-1]
    try:
        for word in dict.fromkeys((short[: max(4, len(short) - 3)], short[:4])):
            url = f"{constants.endpoint()}/api/{repo_type}s"
            params = {"search": word, "limit": "50"}
            known.update(
                item["id"]
                for item in http.request("GET", url, token=token, params=params, attempts=1, timeout=5).json()
            )
    except Exception:
        pass  # a hint is not worth a second error
    by_short = {name.rsplit("/", 1)[-1]: name for name in known} if "/" not in repo_id else {}
    return nearest(repo_id, known) or nearest(repo_id, by_short)
