"""What a data set has, before its rows are read: configurations, splits, and what its card says."""

from __future__ import annotations

from typing import Any

from .builders.base import BUILDERS
from .card import configs_of
from .download import DownloadConfig
from .info import DatasetInfo
from .load import choose, header_of, load_dataset_builder, tree_of

__all__ = [
    "get_dataset_config_info",
    "get_dataset_config_names",
    "get_dataset_default_config_name",
    "get_dataset_infos",
    "get_dataset_split_names",
]


def get_dataset_config_names(
    path: str,
    revision: str | None = None,
    download_config: DownloadConfig | None = None,
    download_mode: Any = None,
    data_files: Any = None,
    **download_kwargs: Any,
) -> list[str]:
    """Return the names of a dataset's configurations.

    Args:
        path: a folder or a repository.
        revision: the branch, tag or commit.
        download_config: its token is used.
        download_mode: accepted for compatibility.
        data_files: files in place of those that the card names; they are one configuration.
        download_kwargs: ``token=``, in place of a ``download_config``.
    """
    if path in BUILDERS or data_files is not None:
        return ["default"]
    return list(_configs(path, revision, download_config, download_kwargs)) or ["default"]


def get_dataset_default_config_name(
    path: str,
    revision: str | None = None,
    download_config: DownloadConfig | None = None,
    download_mode: Any = None,
    data_files: Any = None,
    **download_kwargs: Any,
) -> str | None:
    """Return the configuration that is loaded when none is named, or None where one must be named.

    The arguments are those of :func:`get_dataset_config_names`.
    """
    if path in BUILDERS or data_files is not None:
        return "default"
    configs = _configs(path, revision, download_config, download_kwargs)
    if not configs:
        return "default"
    try:
        return choose(configs, None, path)
    except ValueError:
        return None


def _configs(
    path: str, revision: str | None, download_config: DownloadConfig | None, download_kwargs: dict[str, Any]
) -> dict[str, dict[str, Any]]:
    config = download_config or DownloadConfig(**download_kwargs)
    return configs_of(header_of(tree_of(path, revision, config.token), path))


def get_dataset_config_info(
    path: str,
    config_name: str | None = None,
    data_files: Any = None,
    download_config: DownloadConfig | None = None,
    download_mode: Any = None,
    revision: str | None = None,
    token: str | bool | None = None,
    **config_kwargs: Any,
) -> DatasetInfo:
    """Return what is known about a configuration; its files are read where the card does not say it.

    The arguments are those of :func:`load_dataset`.
    """
    builder = load_dataset_builder(
        path,
        config_name,
        data_files=data_files,
        download_config=download_config,
        revision=revision,
        token=token,
        **config_kwargs,
    )
    builder.download_and_prepare(download_mode=download_mode)
    return builder.info


def get_dataset_infos(
    path: str,
    data_files: Any = None,
    download_config: DownloadConfig | None = None,
    download_mode: Any = None,
    revision: str | None = None,
    token: str | bool | None = None,
    **config_kwargs: Any,
) -> dict[str, DatasetInfo]:
    """Return what is known about each configuration; the arguments are those of :func:`load_dataset`."""
    config = download_config or DownloadConfig(token=token)
    return {
        name: get_dataset_config_info(path, name, data_files, config, download_mode, revision, token, **config_kwargs)
        for name in get_dataset_config_names(path, revision, config, data_files=data_files)
    }


def get_dataset_split_names(
    path: str,
    config_name: str | None = None,
    data_files: Any = None,
    download_config: DownloadConfig | None = None,
    download_mode: Any = None,
    revision: str | None = None,
    token: str | bool | None = None,
    **config_kwargs: Any,
) -> list[str]:
    """Return the names of a configuration's splits, without reading its files.

    The arguments are those of :func:`load_dataset`.
    """
    builder = load_dataset_builder(
        path,
        config_name,
        data_files=data_files,
        download_config=download_config,
        revision=revision,
        token=token,
        **config_kwargs,
    )
    return list(builder.data_files)
