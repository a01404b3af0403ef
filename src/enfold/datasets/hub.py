"""A dataset's repository as a whole: taking a configuration out of it."""

from __future__ import annotations

from typing import Any

from .card import configs_of, infos_of, join_card, split_card
from .data_files import hub_tree, resolve, sanitize
from .errors import DataFilesNotFoundError

__all__ = ["delete_from_hub"]


def delete_from_hub(
    repo_id: str, config_name: str, revision: str | None = None, token: str | bool | None = None
) -> Any:
    """Ask, in a pull request, to delete a configuration: its files, and what the card says of it.

    Files that another configuration names, too, stay.

    Args:
        repo_id: the dataset, ``"owner/name"``.
        config_name: the configuration.
        revision: the branch; the main one where None.
        token: the token; the stored one where None.

    Returns:
        What :meth:`HfApi.create_commit` returns.

    Raises:
        ValueError: the card does not have the configuration; those that it has are named.
    """
    from enfold.errors import nearest
    from enfold.hub import CommitOperationAdd, CommitOperationDelete, HfApi

    tree = hub_tree(repo_id, revision, token)
    header, body = split_card(tree.text("README.md") or "")
    configs = configs_of(header)
    if config_name not in configs:
        raise ValueError(
            f"{repo_id!r} has no configuration {config_name!r}{nearest(config_name, configs)}; it has {list(configs)}"
        )
    used = {name: _files(tree, config, token) for name, config in configs.items()}
    gone = used.pop(config_name) - set().union(*used.values())
    header["configs"] = [entry for entry in header["configs"] if entry["config_name"] != config_name]
    header["dataset_info"] = [form for name, form in infos_of(header).items() if name != config_name]
    header["config_names"] = [name for name in header.get("config_names") or [] if name != config_name]
    header = {key: value for key, value in header.items() if value not in ([], None)}
    card = CommitOperationAdd("README.md", join_card(header, body).encode())
    return HfApi(token=token).create_commit(
        repo_id,
        [*(CommitOperationDelete(path) for path in sorted(gone)), card],
        commit_message=f"Delete the configuration {config_name!r}",
        repo_type="dataset",
        revision=revision,
        create_pr=True,
    )


def _files(tree: Any, config: dict[str, Any], token: str | bool | None) -> set[str]:
    """Return the paths in the repository of a configuration's files."""
    if config.get("data_files") is None:
        below = f"{config.get('data_dir') or config['config_name']}/".lstrip("/")
        return {name for name in tree.names() if name.startswith(below)}
    try:
        found = resolve(sanitize(config["data_files"]), tree, str(config.get("data_dir") or ""), token)
    except DataFilesNotFoundError:
        return set()
    names = {file.name for files in found.values() for file in files}
    return {name for name in tree.names() if tree.file(name).name in names}
