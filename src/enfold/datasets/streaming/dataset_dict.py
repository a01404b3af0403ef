"""The splits of a stream by name; what is asked of the dict is done to each of them."""

from __future__ import annotations

import tempfile
from typing import Any

from ..splits import unknown_split

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
        self, function: Any = None, *arguments: Any, with_split: bool = False, **options: Any
    ) -> IterableDatasetDict:
        """Apply a function to every split; with ``with_split`` it gets the split's name as its last argument."""
        if not with_split:
            return self._each("map", function, *arguments, **options)
        return IterableDatasetDict(
            {name: stream.map(_WithSplit(function, name), *arguments, **options) for name, stream in self.items()}
        )

    def push_to_hub(self, repo_id: str, num_shards: dict[str, int] | None = None, **options: Any) -> Any:
        """Share the splits as Parquet files in one commit; see :meth:`DatasetDict.push_to_hub`."""
        from ..dataset_dict import DatasetDict

        with tempfile.TemporaryDirectory(prefix="enfold-push-") as folder:
            made = DatasetDict({name: stream._on_disk(folder, name) for name, stream in self.items()})
            return made.push_to_hub(repo_id, num_shards=num_shards, **options)


class _WithSplit:
    def __init__(self, function: Any, split: str) -> None:
        self.function, self.split = function, split

    def __call__(self, *arguments: Any, **kwargs: Any) -> Any:
        return self.function(*arguments, self.split, **kwargs)


def _done_to_each(name: str) -> Any:
    def method(self: IterableDatasetDict, *arguments: Any, **options: Any) -> IterableDatasetDict:
        return self._each(name, *arguments, **options)

    method.__name__ = name
    method.__doc__ = f"Return the splits, each after ``{name}``; the arguments are those of a stream's method."
    return method


for _name in (
    "batch", "cast", "cast_column", "decode", "filter", "remove_columns", "rename_column", "rename_columns", "repeat",
    "select_columns", "shuffle", "skip", "take", "with_format",
):  # fmt: skip
    setattr(IterableDatasetDict, _name, _done_to_each(_name))
