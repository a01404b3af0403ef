"""The splits of a stream by name; what is asked of the dict is done to each of them."""

from __future__ import annotations

import functools
import tempfile
from typing import Any

from ..features.features import Features
from ..splits import unknown_split
from .dataset import IterableDataset

__all__ = ["IterableDatasetDict"]


class IterableDatasetDict(dict):
    """Streams by the name of their split.

    Example:
        >>> from enfold.datasets import IterableDataset
        >>> splits = IterableDatasetDict({"train": IterableDataset.from_dict({"a": [1, 2]})})
        >>> list(splits.skip(1)["train"]), splits.column_names
        ([{'a': 2}], {'train': ['a']})
    """

    def __getitem__(self, key: Any) -> Any:
        try:
            return super().__getitem__(str(key) if isinstance(key, str) else key)
        except KeyError:
            raise KeyError(unknown_split(str(key), list(self))) from None

    def __repr__(self) -> str:
        lines = "\n".join(f"{name}: {stream}" for name, stream in self.items())
        body = "\n".join(f"    {line}" for line in lines.split("\n"))
        return f"IterableDatasetDict({{\n{body}\n}})"

    def _each(self, name: str, *arguments: Any, **options: Any) -> IterableDatasetDict:
        return IterableDatasetDict({key: getattr(stream, name)(*arguments, **options) for key, stream in self.items()})

    @property
    def column_names(self) -> dict[str, list[str] | None]:
        """The columns of each split."""
        return {name: stream.column_names for name, stream in self.items()}

    @property
    def num_columns(self) -> dict[str, int | None]:
        """The number of columns of each split."""
        return {name: stream.num_columns for name, stream in self.items()}

    def map(
        self,
        function: Any = None,
        with_indices: bool = False,
        with_split: bool = False,
        input_columns: str | list[str] | None = None,
        batched: bool = False,
        batch_size: int | None = 1000,
        drop_last_batch: bool = False,
        remove_columns: str | list[str] | None = None,
        fn_kwargs: dict[str, Any] | None = None,
        features: Features | None = None,
    ) -> IterableDatasetDict:
        """Apply a function to every split.

        Args:
            with_split: also give the function the split's name, behind the row or batch.
            function, with_indices, input_columns, batched, batch_size, drop_last_batch, remove_columns, fn_kwargs,
                features: as for :meth:`IterableDataset.map`.
        """
        return IterableDatasetDict(
            {
                name: stream.map(
                    _WithSplit(function, name) if with_split else function,
                    with_indices=with_indices,
                    input_columns=input_columns,
                    batched=batched,
                    batch_size=batch_size,
                    drop_last_batch=drop_last_batch,
                    remove_columns=remove_columns,
                    features=features,
                    fn_kwargs=fn_kwargs,
                )
                for name, stream in self.items()
            }
        )

    def push_to_hub(
        self,
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
        max_shard_size: str | int | None = None,
        num_shards: dict[str, int] | None = None,
        embed_external_files: bool = True,
        num_proc: int | None = None,
    ) -> Any:
        """Share the splits as Parquet files in one commit; see :meth:`DatasetDict.push_to_hub`.

        The rows pass through a temporary folder, which is removed.
        """
        from ..dataset_dict import DatasetDict

        with tempfile.TemporaryDirectory(prefix="enfold-push-") as folder:
            made = DatasetDict({name: stream._on_disk(folder, name) for name, stream in self.items()})
            return made.push_to_hub(
                repo_id,
                config_name=config_name,
                set_default=set_default,
                data_dir=data_dir,
                commit_message=commit_message,
                commit_description=commit_description,
                private=private,
                token=token,
                revision=revision,
                create_pr=create_pr,
                max_shard_size=max_shard_size,
                num_shards=num_shards,
                embed_external_files=embed_external_files,
                num_proc=num_proc,
            )


class _WithSplit:
    def __init__(self, function: Any, split: str) -> None:
        self.function, self.split = function, split

    def __call__(self, *arguments: Any, **kwargs: Any) -> Any:
        return self.function(*arguments, self.split, **kwargs)


def _done_to_each(name: str) -> Any:
    like = getattr(IterableDataset, name)

    @functools.wraps(like)
    def method(self: IterableDatasetDict, *arguments: Any, **options: Any) -> IterableDatasetDict:
        return self._each(name, *arguments, **options)

    method.__doc__ = f"Return the splits, each after :meth:`IterableDataset.{name}`; the arguments are those."
    method.__qualname__ = f"IterableDatasetDict.{name}"
    return method


for _name in (
    "batch", "cast", "cast_column", "decode", "filter", "remove_columns", "rename_column", "rename_columns", "repeat",
    "reshard", "select_columns", "shuffle", "skip", "take", "with_format",
):  # fmt: skip
    setattr(IterableDatasetDict, _name, _done_to_each(_name))
