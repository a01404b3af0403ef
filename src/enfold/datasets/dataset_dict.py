"""The splits of a dataset by name; what is asked of the dict is done to each of them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from .dataset import Dataset
from .dict_files import DictFilesMixin
from .features.features import Features
from .splits import unknown_split

__all__ = ["DatasetDict"]


class DatasetDict(DictFilesMixin, dict):
    """Datasets by the name of their split.

    Example:
        >>> splits = DatasetDict({"train": Dataset.from_dict({"a": [1, 2]})})
        >>> splits.num_rows, splits.map(lambda row: {"a": row["a"] + 1})["train"]["a"][:]
        ({'train': 2}, [2, 3])
    """

    def __getitem__(self, key: Any) -> Any:
        try:
            return super().__getitem__(str(key) if isinstance(key, str) else key)
        except KeyError:
            if isinstance(key, int):
                raise KeyError(
                    f"a DatasetDict is indexed by the name of a split, one of {list(self)}, not by a row"
                ) from None
            known = list(self)
            column = any(key in dataset.column_names for dataset in self.values() if isinstance(dataset, Dataset))
            hint = f": it is a column; take a split first, such as [{known[0]!r}][{key!r}]" if column and known else ""
            raise KeyError(f"{unknown_split(str(key), known)}{hint}") from None

    def __repr__(self) -> str:
        lines = "\n".join(f"{name}: {dataset}" for name, dataset in self.items())
        body = "\n".join(f"    {line}" for line in lines.split("\n"))
        return f"DatasetDict({{\n{body}\n}})"

    def __enter__(self) -> DatasetDict:
        return self

    def __exit__(self, *error: Any) -> None:
        pass

    def _require_datasets(self) -> None:
        for name, dataset in self.items():
            if not isinstance(dataset, Dataset):
                raise TypeError(f"the split {name!r} is no Dataset but a {type(dataset).__name__}")

    def _each(self, name: str, *arguments: Any, **options: Any) -> DatasetDict:
        self._require_datasets()
        return DatasetDict({key: getattr(dataset, name)(*arguments, **options) for key, dataset in self.items()})

    @property
    def data(self) -> dict[str, Any]:
        """The Arrow table of each split."""
        return {name: dataset.data for name, dataset in self.items()}

    @property
    def cache_files(self) -> dict[str, list[dict[str, str]]]:
        """The files of each split."""
        return {name: dataset.cache_files for name, dataset in self.items()}

    @property
    def num_columns(self) -> dict[str, int]:
        """The number of columns of each split."""
        return {name: dataset.num_columns for name, dataset in self.items()}

    @property
    def num_rows(self) -> dict[str, int]:
        """The number of rows of each split."""
        return {name: dataset.num_rows for name, dataset in self.items()}

    @property
    def column_names(self) -> dict[str, list[str]]:
        """The columns of each split."""
        return {name: dataset.column_names for name, dataset in self.items()}

    @property
    def shape(self) -> dict[str, tuple[int, int]]:
        """The numbers of rows and columns of each split."""
        return {name: dataset.shape for name, dataset in self.items()}

    def unique(self, column: str) -> dict[str, list[Any]]:
        """Return the different values of a column in each split."""
        return {name: dataset.unique(column) for name, dataset in self.items()}

    def cleanup_cache_files(self) -> dict[str, int]:
        """Remove the results of earlier calls; return their number for each split."""
        return {name: dataset.cleanup_cache_files() for name, dataset in self.items()}

    def map(
        self,
        function: Callable[..., Any] | None = None,
        with_indices: bool = False,
        with_rank: bool = False,
        with_split: bool = False,
        input_columns: str | list[str] | None = None,
        batched: bool = False,
        batch_size: int | None = 1000,
        drop_last_batch: bool = False,
        remove_columns: str | list[str] | None = None,
        keep_in_memory: bool = False,
        load_from_cache_file: bool | None = None,
        cache_file_names: Mapping[str, str | None] | None = None,
        writer_batch_size: int | None = 1000,
        features: Features | None = None,
        disable_nullable: bool = False,
        fn_kwargs: dict[str, Any] | None = None,
        num_proc: int | None = None,
        desc: str | None = None,
        try_original_type: bool | None = True,
        on_mixed_types: str | None = "use_json",
        **options: Any,
    ) -> DatasetDict:
        """Apply a function to every split.

        Args:
            with_split: also give the function the split's name, behind the row or batch.
            cache_file_names: the file to write for each split.
            function, with_indices, with_rank, input_columns, batched, batch_size, drop_last_batch, remove_columns,
                keep_in_memory, load_from_cache_file, writer_batch_size, features, disable_nullable, fn_kwargs,
                num_proc, desc, try_original_type, on_mixed_types, options: as for :meth:`Dataset.map`.
        """
        given = {
            "with_indices": with_indices,
            "with_rank": with_rank,
            "input_columns": input_columns,
            "batched": batched,
            "batch_size": batch_size,
            "drop_last_batch": drop_last_batch,
            "remove_columns": remove_columns,
            "keep_in_memory": keep_in_memory,
            "load_from_cache_file": load_from_cache_file,
            "writer_batch_size": writer_batch_size,
            "features": features,
            "disable_nullable": disable_nullable,
            "fn_kwargs": fn_kwargs,
            "num_proc": num_proc,
            "try_original_type": try_original_type,
            "on_mixed_types": on_mixed_types,
            **options,
        }
        self._require_datasets()
        made = DatasetDict()
        for split, dataset in self.items():
            mine = partial(_with_split, function, split) if with_split and function is not None else function
            made[split] = dataset.map(
                mine,
                cache_file_name=(cache_file_names or {}).get(split),
                desc=f"{desc} ({split})" if desc else None,
                **given,
            )
        return made

    def filter(
        self,
        function: Any = None,
        with_indices: bool = False,
        with_rank: bool = False,
        input_columns: str | list[str] | None = None,
        batched: bool = False,
        batch_size: int | None = 1000,
        keep_in_memory: bool = False,
        load_from_cache_file: bool | None = None,
        cache_file_names: Mapping[str, str | None] | None = None,
        writer_batch_size: int | None = 1000,
        fn_kwargs: dict[str, Any] | None = None,
        num_proc: int | None = None,
        desc: str | None = None,
        **options: Any,
    ) -> DatasetDict:
        """Keep the rows of every split for which a function is true.

        Args:
            cache_file_names: the file to write for each split.
            function, with_indices, with_rank, input_columns, batched, batch_size, keep_in_memory,
                load_from_cache_file, writer_batch_size, fn_kwargs, num_proc, desc, options: as for
                :meth:`Dataset.filter`.
        """
        self._require_datasets()
        made = DatasetDict()
        for split, dataset in self.items():
            made[split] = dataset.filter(
                function,
                with_indices=with_indices,
                with_rank=with_rank,
                input_columns=input_columns,
                batched=batched,
                batch_size=batch_size,
                keep_in_memory=keep_in_memory,
                load_from_cache_file=load_from_cache_file,
                cache_file_name=(cache_file_names or {}).get(split),
                writer_batch_size=writer_batch_size,
                fn_kwargs=fn_kwargs,
                num_proc=num_proc,
                desc=f"{desc} ({split})" if desc else None,
                **options,
            )
        return made

    def cast(self, features: Features, **options: Any) -> DatasetDict:
        """Give every split other features; see :meth:`Dataset.cast`."""
        return self._each("cast", features, **options)

    def cast_column(self, column: str, feature: Any) -> DatasetDict:
        """Give a column of every split another feature."""
        return self._each("cast_column", column, feature)

    def class_encode_column(self, column: str, include_nulls: bool = False) -> DatasetDict:
        """Make labels of a column's values, the same ones in every split."""
        from .features.types import ClassLabel

        values: dict[str, None] = {}
        for dataset in self.values():
            if isinstance(dataset.features.get(column), ClassLabel):
                continue
            for value in dataset.unique(column):
                if value is not None or include_nulls:
                    values[str(value)] = None
        if not values:
            return self._each("class_encode_column", column, include_nulls)
        label = ClassLabel(names=sorted(values))
        strings = self.map(
            lambda value: {column: None if value is None and not include_nulls else label.str2int(str(value))},
            input_columns=[column],
            try_original_type=False,
        )
        return strings.cast_column(column, label)

    def remove_columns(self, column_names: str | list[str]) -> DatasetDict:
        """Leave columns out of every split."""
        return self._each("remove_columns", column_names)

    def rename_column(self, original_column_name: str, new_column_name: str) -> DatasetDict:
        """Give a column of every split another name."""
        return self._each("rename_column", original_column_name, new_column_name)

    def rename_columns(self, column_mapping: Mapping[str, str]) -> DatasetDict:
        """Give columns of every split other names."""
        return self._each("rename_columns", column_mapping)

    def select_columns(self, column_names: str | list[str]) -> DatasetDict:
        """Keep only some columns of every split."""
        return self._each("select_columns", column_names)

    def flatten(self, max_depth: int = 16) -> DatasetDict:
        """Make columns of the fields of structs in every split."""
        return self._each("flatten", max_depth=max_depth)

    def flatten_indices(
        self,
        keep_in_memory: bool = False,
        cache_file_names: Mapping[str, str | None] | None = None,
        writer_batch_size: int | None = 1000,
        features: Features | None = None,
        disable_nullable: bool = False,
        num_proc: int | None = None,
        new_fingerprint: str | None = None,
    ) -> DatasetDict:
        """Lay the selected rows of every split out one after the other."""
        files = cache_file_names or {}
        return DatasetDict(
            {name: dataset.flatten_indices(cache_file_name=files.get(name)) for name, dataset in self.items()}
        )

    def align_labels_with_mapping(self, label2id: Mapping[str, int], label_column: str) -> DatasetDict:
        """Give the labels of every split the integers of a mapping."""
        return self._each("align_labels_with_mapping", label2id, label_column)

    def sort(
        self,
        column_names: str | Sequence[str],
        reverse: bool | Sequence[bool] = False,
        null_placement: str = "at_end",
        keep_in_memory: bool = False,
        load_from_cache_file: bool | None = None,
        indices_cache_file_names: Mapping[str, str | None] | None = None,
        writer_batch_size: int | None = 1000,
    ) -> DatasetDict:
        """Sort every split; see :meth:`Dataset.sort`."""
        return self._each("sort", column_names, reverse=reverse, null_placement=null_placement)

    def shuffle(
        self,
        seeds: int | Mapping[str, int | None] | None = None,
        seed: int | None = None,
        generators: Mapping[str, Any] | None = None,
        keep_in_memory: bool = False,
        load_from_cache_file: bool | None = None,
        indices_cache_file_names: Mapping[str, str | None] | None = None,
        writer_batch_size: int | None = 1000,
    ) -> DatasetDict:
        """Shuffle every split.

        Args:
            seeds: one seed for all, or one for each split.
            seed: one seed for all.
            generators: a numpy generator for each split.
        """
        if seed is not None and seeds is not None:
            raise ValueError("give seed or seeds, not both")
        given = seed if seed is not None else seeds
        each = given if isinstance(given, Mapping) else dict.fromkeys(self, given)
        self._require_datasets()
        return DatasetDict(
            {
                name: dataset.shuffle(seed=each.get(name), generator=(generators or {}).get(name))
                for name, dataset in self.items()
            }
        )

    def set_format(
        self,
        type: str | None = None,
        columns: list[str] | None = None,
        output_all_columns: bool = False,
        **format_kwargs: Any,
    ) -> None:
        """Set what values are given as in every split; see :meth:`Dataset.set_format`."""
        for dataset in self.values():
            dataset.set_format(type, columns, output_all_columns, **format_kwargs)

    @contextlib.contextmanager
    def formatted_as(
        self,
        type: str | None = None,
        columns: list[str] | None = None,
        output_all_columns: bool = False,
        **format_kwargs: Any,
    ) -> Iterator[None]:
        """Set a format of every split for the body of a ``with`` statement."""
        with contextlib.ExitStack() as stack:
            for dataset in self.values():
                stack.enter_context(dataset.formatted_as(type, columns, output_all_columns, **format_kwargs))
            yield

    def reset_format(self) -> None:
        """Give plain Python values again."""
        for dataset in self.values():
            dataset.reset_format()

    def set_transform(self, transform: Any, columns: list[str] | None = None, output_all_columns: bool = False) -> None:
        """Give rows through a function in every split."""
        for dataset in self.values():
            dataset.set_transform(transform, columns, output_all_columns)

    def with_format(
        self,
        type: str | None = None,
        columns: list[str] | None = None,
        output_all_columns: bool = False,
        **format_kwargs: Any,
    ) -> DatasetDict:
        """Return the splits in a format."""
        return self._each("with_format", type, columns, output_all_columns, **format_kwargs)

    def with_transform(
        self, transform: Any, columns: list[str] | None = None, output_all_columns: bool = False
    ) -> DatasetDict:
        """Return the splits with a transform."""
        return self._each("with_transform", transform, columns, output_all_columns)


def _with_split(function: Callable[..., Any], split: str, first: Any, *others: Any, **options: Any) -> Any:
    return function(first, *others, split, **options)


def __getattr__(name: str) -> Any:
    if name == "IterableDatasetDict":  # the ecosystem's module of this name has both
        from .streaming.dataset_dict import IterableDatasetDict

        return IterableDatasetDict
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
