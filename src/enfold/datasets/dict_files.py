"""The splits of a dataset in files: folders, files of one kind, repositories."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .dataset import Dataset
from .errors import FileNotFoundDatasetsError
from .features.features import Features
from .info import write_text

if TYPE_CHECKING:
    from .dataset_dict import DatasetDict

__all__ = ["DictFilesMixin"]


class DictFilesMixin:
    """The methods of a dict of splits that read and write files."""

    def save_to_disk(
        self: Any,
        dataset_dict_path: str,
        max_shard_size: str | int | None = None,
        num_shards: Mapping[str, int] | None = None,
        num_proc: int | None = None,
        storage_options: dict[str, Any] | None = None,
    ) -> None:
        """Write the splits into a folder, from which ``load_from_disk`` maps them.

        Args:
            dataset_dict_path: the folder, or an address that fsspec knows.
            max_shard_size: bytes of a file at most.
            num_shards: the number of files of each split instead.
            num_proc: the number of files of a split at least, where ``num_shards`` does not say it.
            storage_options: arguments of the file system behind an address.
        """
        from .targets import target_folder

        with target_folder(dataset_dict_path, storage_options) as folder:
            for name, dataset in self.items():
                os.makedirs(os.path.join(folder, name))
                dataset._save(os.path.join(folder, name), max_shard_size, (num_shards or {}).get(name), num_proc)
            write_text(os.path.join(folder, "dataset_dict.json"), json.dumps({"splits": list(self)}))

    @classmethod
    def load_from_disk(
        cls: Any,
        dataset_dict_path: str,
        keep_in_memory: bool | None = None,
        storage_options: dict[str, Any] | None = None,
    ) -> DatasetDict:
        """Return the splits that :meth:`save_to_disk` wrote into a folder.

        Raises:
            FileNotFoundError: the folder holds none.
        """
        from .targets import nearby_folder

        folder = nearby_folder(dataset_dict_path, storage_options)
        path = os.path.join(folder, "dataset_dict.json")
        if not os.path.isfile(path):
            raise FileNotFoundDatasetsError(
                f"{folder!r} holds no DatasetDict that save_to_disk wrote (no dataset_dict.json)"
            )
        with open(path, encoding="utf-8") as file:
            names = json.load(file)["splits"]
        made = cls()
        for name in names:
            if os.path.basename(name) != name:
                raise FileNotFoundDatasetsError(f"{path}: {name!r} is not the name of a split")
            made[name] = Dataset.load_from_disk(os.path.join(folder, name), keep_in_memory)
        return made

    @classmethod
    def _from_kind(
        cls: Any,
        kind: str,
        path_or_paths: Any,
        features: Any,
        cache_dir: Any,
        keep_in_memory: bool,
        options: dict[str, Any],
    ) -> DatasetDict:
        from .load import load_dataset

        return load_dataset(
            kind,
            data_files=path_or_paths,
            features=features,
            cache_dir=cache_dir,
            keep_in_memory=keep_in_memory,
            **options,
        )

    @classmethod
    def from_csv(
        cls: Any,
        path_or_paths: Mapping[str, Any],
        features: Features | None = None,
        cache_dir: str | None = None,
        keep_in_memory: bool = False,
        **kwargs: Any,
    ) -> DatasetDict:
        """Return the splits of CSV files given as {split: path}."""
        return cls._from_kind("csv", path_or_paths, features, cache_dir, keep_in_memory, kwargs)

    @classmethod
    def from_json(
        cls: Any,
        path_or_paths: Mapping[str, Any],
        features: Features | None = None,
        cache_dir: str | None = None,
        keep_in_memory: bool = False,
        **kwargs: Any,
    ) -> DatasetDict:
        """Return the splits of JSON files given as {split: path}."""
        return cls._from_kind("json", path_or_paths, features, cache_dir, keep_in_memory, kwargs)

    @classmethod
    def from_parquet(
        cls: Any,
        path_or_paths: Mapping[str, Any],
        features: Features | None = None,
        cache_dir: str | None = None,
        keep_in_memory: bool = False,
        columns: list[str] | None = None,
        **kwargs: Any,
    ) -> DatasetDict:
        """Return the splits of Parquet files given as {split: path}; ``columns`` names those to take."""
        options = {"columns": columns, **kwargs}
        return cls._from_kind("parquet", path_or_paths, features, cache_dir, keep_in_memory, options)

    @classmethod
    def from_text(
        cls: Any,
        path_or_paths: Mapping[str, Any],
        features: Features | None = None,
        cache_dir: str | None = None,
        keep_in_memory: bool = False,
        **kwargs: Any,
    ) -> DatasetDict:
        """Return the splits of text files given as {split: path}."""
        return cls._from_kind("text", path_or_paths, features, cache_dir, keep_in_memory, kwargs)

    def push_to_hub(
        self: Any,
        repo_id: str,
        config_name: str = "default",
        set_default: bool | None = None,
        data_dir: str | None = None,
        commit_message: str | None = None,
        commit_description: str | None = None,
        private: bool | None = None,
        token: str | None = None,
        revision: str | None = None,
        create_pr: bool | None = False,
        max_shard_size: int | str | None = None,
        num_shards: Mapping[str, int] | None = None,
        embed_external_files: bool = True,
        num_proc: int | None = None,
    ) -> Any:
        """Share all splits in one commit; see :meth:`Dataset.push_to_hub`."""
        from .sharing import push_splits

        return push_splits(
            dict(self),
            repo_id,
            config_name=config_name,
            set_default=set_default,
            data_dir=data_dir,
            commit_message=commit_message,
            commit_description=commit_description,
            private=private,
            token=token,
            revision=revision,
            create_pr=bool(create_pr),
            max_shard_size=max_shard_size,
            num_shards=dict(num_shards or {}),
            keep_other_splits=False,
            embed_external_files=embed_external_files,
            least_shards=num_proc,
        )
