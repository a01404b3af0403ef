"""Datasets that an earlier run made of a repository: the cache folder is found without asking the Hub."""

from __future__ import annotations

import glob
import os
from typing import Any

from enfold.errors import nearest

from ..config import datasets_cache
from ..errors import DatasetNotFoundError, DatasetsError
from ..fingerprint import combine
from .base import DatasetBuilder

__all__ = ["Builder"]


class Builder(DatasetBuilder):
    """Gives what this library or ``datasets`` made of a repository before, the newest where there are several.

    Args:
        data_files: not used.
        cache_dir: the cache; ``HF_DATASETS_CACHE`` where None.
        dataset_name: ``owner/name``.
        config_name: the configuration.

    Raises:
        DatasetNotFoundError: nothing of the repository is in the cache.
        ValueError: another configuration of it is; those that are there are named.
    """

    name = "cache"
    needs_files = False

    def __init__(
        self,
        data_files: Any = None,
        *,
        cache_dir: str | None = None,
        dataset_name: str | None = None,
        config_name: str = "default",
        **options: Any,
    ) -> None:
        super().__init__({}, cache_dir=cache_dir, dataset_name=dataset_name, config_name=config_name, **options)
        root = os.path.join(os.path.abspath(cache_dir or datasets_cache()), self.dataset_name)
        found = glob.glob(os.path.join(glob.escape(root), "*", "*", "*", "dataset_info.json"))
        if not found:
            raise DatasetNotFoundError(f"nothing of {dataset_name!r} is in the cache {root!r}")
        made: dict[str, str] = {}
        for path in sorted(found, key=os.path.getmtime):
            made[os.path.relpath(path, root).split(os.sep)[0]] = os.path.dirname(path)
        if config_name not in made and len(made) == 1 and config_name == "default":
            config_name = next(iter(made))
        if config_name not in made:
            raise ValueError(
                f"{dataset_name!r} is in the cache with the configurations {sorted(made)}, not with {config_name!r}"
                f"{nearest(config_name, made)}"
            )
        self.cache_dir = made[config_name]
        if not self._load():
            raise DatasetsError(f"the cache {self.cache_dir!r} is not complete")
        self.data_files = {split: [] for split in self._sources}
        self.hash = combine(self.name, self.cache_dir)

    def download_and_prepare(self, *arguments: Any, **options: Any) -> None:
        """Do nothing: the tables are there."""
