"""Changing a dataset's columns: their names, their number, their kinds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from .features.features import Features, from_arrow, to_arrow
from .features.storage import cast_to, flatten_table
from .fingerprint import combine
from .source import TableSource, ZipSource
from .values import one_array, to_arrow_array

if TYPE_CHECKING:
    from .dataset import Dataset

__all__ = ["SchemaMixin"]


class SchemaMixin:
    """The methods of a dataset that change its columns."""

    def _project(self: Any, columns: list[tuple[str, str]], step: str) -> Dataset:
        features = Features({new: self.features[old] for new, old in columns})
        made = self._with(_source=self._source.project(columns), features=features)
        kept = self._format[2]
        if kept is not None:
            names = [new for new, old in columns if old in kept]
            made._format = (*self._format[:2], names, self._format[3])
        made._identity = self._step(step, columns)
        return made

    def rename_columns(self: Any, column_mapping: Mapping[str, str], new_fingerprint: str | None = None) -> Dataset:
        """Return the dataset with other names for some columns.

        Args:
            column_mapping: present name → new name.

        Raises:
            ValueError: no such column, or a name that would stand twice.
        """
        self._require(column_mapping)
        names = [column_mapping.get(name, name) for name in self.column_names]
        if len(set(names)) < len(names):
            twice = sorted({name for name in names if names.count(name) > 1})
            raise ValueError(f"the new names would stand twice: {twice}")
        if not all(names):
            raise ValueError("a column's name cannot be empty")
        return self._project(list(zip(names, self.column_names, strict=False)), "rename")

    def rename_column(
        self: Any, original_column_name: str, new_column_name: str, new_fingerprint: str | None = None
    ) -> Dataset:
        """Return the dataset with another name for one column."""
        return self.rename_columns({original_column_name: new_column_name})

    def remove_columns(self: Any, column_names: str | list[str], new_fingerprint: str | None = None) -> Dataset:
        """Return the dataset without some columns."""
        gone = set(self._require(column_names))
        return self._project([(name, name) for name in self.column_names if name not in gone], "remove")

    def select_columns(self: Any, column_names: str | list[str], new_fingerprint: str | None = None) -> Dataset:
        """Return the dataset with these columns alone, in this order."""
        return self._project([(name, name) for name in self._require(column_names)], "select columns")

    def add_column(
        self: Any, name: str, column: Any, new_fingerprint: str | None = None, feature: Any = None
    ) -> Dataset:
        """Return the dataset with one more column.

        Args:
            name: its name.
            column: its values: a list, a numpy array, or anything that gives Arrow.
            feature: what the values are; inferred where None.

        Raises:
            ValueError: the name is taken, or the number of values is not that of the rows.
        """
        if name in self.features:
            raise ValueError(f"there is a column {name!r} already")
        array = to_arrow_array(column, to_arrow(feature) if feature is not None else None)
        if len(array) != len(self):
            raise ValueError(f"column {name!r} has {len(array)} values; the dataset has {len(self)} rows")
        base = self if self._indices is None else self.flatten_indices()
        source = ZipSource([base._source, TableSource(pa.table({name: array}))])
        if isinstance(base._source, TableSource):
            source = TableSource(base._source.table.append_column(name, array), base._source.files)  # type: ignore[assignment]
        features = Features({**self.features, name: feature if feature is not None else from_arrow(array.type)})
        made = base._derived(source, features, None)
        made._identity = self._step("add column", name, array)
        return made

    def add_item(self: Any, item: Mapping[str, Any], new_fingerprint: str | None = None) -> Dataset:
        """Return the dataset with one more row at its end; what either side lacks is None there."""
        from .combine import concatenate_datasets
        from .dataset import Dataset

        row = Dataset.from_dict({name: [item.get(name)] for name in self.features}, features=self.features)
        new = {name: [value] for name, value in item.items() if name not in self.features}
        if new:
            row = concatenate_datasets([row, Dataset.from_dict(new)], axis=1)
        return concatenate_datasets([self, row])

    def flatten(self: Any, new_fingerprint: str | None = None, max_depth: int = 16) -> Dataset:
        """Return the dataset with the fields of structs as columns of their own, named ``struct.field``."""
        features = self.features.flatten(max_depth)

        def flat(batch: pa.Table) -> pa.Table:
            return flatten_table(batch, features)

        return self._arrow_map(flat, features, "flatten")

    def _arrow_map(
        self: Any, function: Callable[[pa.Table], pa.Table], features: Features, step: str, **options: Any
    ) -> Dataset:
        """Return the dataset that a function from table to table makes, cached as the result of ``map`` is."""
        plain = self.with_format("arrow")
        made = plain.map(
            function,
            batched=True,
            batch_size=options.pop("batch_size", None) or 10_000,
            remove_columns=self.column_names,
            features=features,
            new_fingerprint=combine(self._fingerprint, step, features.to_dict()) if self._cache_dir else None,
            desc=step.capitalize(),
            **options,
        )
        made._format = self._format
        made._made_formatter = None
        return made

    def cast(
        self: Any,
        features: Features,
        batch_size: int | None = 1000,
        keep_in_memory: bool = False,
        load_from_cache_file: bool | None = None,
        cache_file_name: str | None = None,
        writer_batch_size: int | None = 1000,
        num_proc: int | None = None,
    ) -> Dataset:
        """Return the dataset with other features for its columns.

        Args:
            features: the features, for the same columns.
            batch_size: accepted for compatibility; a cast converts whole runs of columns.
            keep_in_memory, load_from_cache_file, cache_file_name, num_proc: as for :meth:`map`.
            writer_batch_size: accepted for compatibility.

        Raises:
            ValueError: other columns than the dataset's, or values that do not fit.
        """
        if set(features) != set(self.features):
            raise ValueError(f"the features' columns {list(features)} are not the dataset's, {self.column_names}")
        wanted = Features({name: features[name] for name in self.column_names})
        # the stored types are asked, and not the features: dataset.features may be what was changed and passed
        stored = pa.schema([self._source.schema.field(name) for name in wanted])
        if wanted.arrow_schema.remove_metadata().equals(stored):
            made = self._with(features=wanted)
            made._identity = self._step("cast", wanted.to_dict())
            for name, feature in wanted.items():
                if hasattr(feature, "cast_storage") and feature != self.features[name]:
                    for piece in self._source.pieces([name]):
                        feature.cast_storage(one_array(piece.column(0)))  # labels out of range are an error now
            return made

        def change(table: pa.Table) -> pa.Table:
            columns = []
            for name, feature in wanted.items():
                columns.append(cast_to(one_array(table.column(name)), feature))
            return pa.table(columns, names=list(wanted))

        try:
            return self._arrow_map(
                change,
                wanted,
                "cast",
                batch_size=batch_size,
                keep_in_memory=keep_in_memory,
                load_from_cache_file=load_from_cache_file,
                cache_file_name=cache_file_name,
                num_proc=num_proc,
            )
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise ValueError(f"the values do not fit the features: {error}") from error

    def cast_column(self: Any, column: str, feature: Any, new_fingerprint: str | None = None) -> Dataset:
        """Return the dataset with another feature for one column.

        Example:
            >>> from enfold.datasets import ClassLabel, Dataset
            >>> dataset = Dataset.from_dict({"label": ["no", "yes"]})
            >>> dataset.cast_column("label", ClassLabel(names=["no", "yes"]))["label"][:]
            [0, 1]
        """
        self._require(column)
        return self.cast(Features({**self.features, column: feature}))

    def class_encode_column(self: Any, column: str, include_nulls: bool = False) -> Dataset:
        """Return the dataset with a column of values as labels, named in sorted order.

        Args:
            column: a column of text, integers or booleans.
            include_nulls: make a label of missing values, too.

        Raises:
            ValueError: the column does not hold single values.
        """
        from .features.types import ClassLabel, Value

        self._require(column)
        feature = self.features[column]
        if isinstance(feature, ClassLabel):
            return self
        if not isinstance(feature, Value):
            raise ValueError(f"only a column of single values can become labels; {column!r} is {feature!r}")
        known = [value for value in self.unique(column) if value is not None or include_nulls]
        names = sorted(str(value) for value in known)
        label = ClassLabel(names=names)

        def encode(table: pa.Table) -> pa.Table:
            values = table.column(column).to_pylist()
            numbers = [None if value is None and not include_nulls else label.str2int(str(value)) for value in values]
            place = table.column_names.index(column)
            return table.set_column(place, column, pa.array(numbers, pa.int64()))

        return self._arrow_map(encode, Features({**self.features, column: label}), f"class_encode {column}")

    def align_labels_with_mapping(self: Any, label2id: Mapping[str, int], label_column: str) -> Dataset:
        """Return the dataset with a label column's integers replaced by those of a mapping from names.

        Args:
            label2id: name → integer, as in a model's configuration.
            label_column: the column of labels, or of lists of labels.
        """
        from .features.types import ClassLabel, List

        self._require(label_column)
        column = self.features[label_column]
        feature = column.feature if isinstance(column, List) else column
        if not isinstance(feature, ClassLabel):
            raise ValueError(f"{label_column!r} is {column!r}; expected a ClassLabel, or a List of them")
        lower = {name.lower(): number for name, number in label2id.items()}
        names = [name for name, _ in sorted(label2id.items(), key=lambda item: item[1])]
        targets = pa.array([lower[name.lower()] for name in feature.names], pa.int64())

        def align(table: pa.Table) -> pa.Table:
            place = table.column_names.index(label_column)
            array = one_array(table.column(label_column))
            if feature is column:
                return table.set_column(place, label_column, targets.take(array))
            numbers = targets.to_pylist()
            rows = [
                None if row is None else [None if i is None else numbers[i] for i in row] for row in array.to_pylist()
            ]
            return table.set_column(place, label_column, pa.array(rows, array.type))

        aligned: Any = ClassLabel(names=names)
        features = Features({**self.features, label_column: aligned if feature is column else List(aligned)})
        return self._arrow_map(align, features, f"align {label_column} {sorted(lower.items())}")

    def unique(self: Any, column: str) -> list[Any]:
        """Return the different values of a column, in the order of their first rows."""
        import pyarrow.compute as pc

        self._require(column)
        found: dict[Any, None] = {}
        for start in range(0, len(self), 1 << 18):
            table = self._read(start, min(start + (1 << 18), len(self)), [column])
            found.update(dict.fromkeys(pc.unique(table.column(0)).to_pylist()))
        return list(found)
