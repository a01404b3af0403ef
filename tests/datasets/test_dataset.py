"""A dataset's rows: reading them, choosing them, and what others see of them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enfold.datasets import (
    ClassLabel,
    Dataset,
    DatasetDict,
    Features,
    List,
    Value,
    concatenate_datasets,
    interleave_datasets,
)
from enfold.datasets.column import Column
from enfold.datasets.source import ChainSource, TableSource, ZipSource
from enfold.datasets.values import arrow_to_list, arrow_to_numpy, to_arrow_array


def numbers(count: int = 10) -> Dataset:
    return Dataset.from_dict({"a": list(range(count)), "t": [f"row {i}" for i in range(count)]})


def test_rows_slices_lists_masks_and_columns_are_read() -> None:
    dataset = numbers()
    assert dataset[3] == {"a": 3, "t": "row 3"}
    assert dataset[-1] == {"a": 9, "t": "row 9"}
    assert dataset[np.int64(2)]["a"] == 2
    assert dataset[2:4] == {"a": [2, 3], "t": ["row 2", "row 3"]}
    assert dataset[::4]["a"] == [0, 4, 8]
    assert dataset[::-5]["a"] == [9, 4]
    assert dataset[[5, 1, -1]]["a"] == [5, 1, 9]
    assert dataset[range(3)]["a"] == [0, 1, 2]
    assert dataset[np.array([True] + [False] * 9)]["a"] == [0]
    assert dataset["a"][1] == 1 and dataset["a"][2:4] == [2, 3] and list(dataset["t"])[-1] == "row 9"
    assert dataset[5:5] == {"a": [], "t": []}
    assert [row["a"] for row in dataset] == list(range(10))
    assert dataset.shape == (10, 2) and len(dataset) == 10 and dataset.num_columns == 2


def test_wrong_keys_name_what_would_be_right() -> None:
    dataset = numbers()
    with pytest.raises(IndexError, match="10 is out of bounds for size 10"):
        dataset[10]
    with pytest.raises(IndexError, match="out of bounds"):
        dataset[[0, 99]]
    with pytest.raises(KeyError, match=r"Column 'tt' doesn't exist; did you mean 't'\? Columns"):
        dataset["tt"]
    with pytest.raises(ValueError, match="did you mean 't'"):
        dataset.remove_columns("tt")
    with pytest.raises(TypeError):
        dataset[1.5]
    with pytest.raises(KeyError, match=r"Unknown split 'trin'.*did you mean 'train'"):
        DatasetDict(train=dataset)["trin"]
    with pytest.raises(KeyError, match="it is a column"):
        DatasetDict(train=dataset)["a"]


def test_selections_of_selections_read_the_right_rows() -> None:
    dataset = numbers(100)
    chosen = dataset.select(range(10, 60)).select([4, 2, 49]).select([2, 0])
    assert chosen["a"][:] == [59, 14]
    shuffled = dataset.shuffle(seed=3).select(range(20)).sort("a")
    assert shuffled["a"][:] == sorted(dataset.shuffle(seed=3)["a"][:20])
    assert dataset.skip(98)["a"][:] == [98, 99] and dataset.take(2)["a"][:] == [0, 1]
    assert dataset.select([])["a"][:] == []
    assert dataset.take(2).repeat(2)["a"][:] == [0, 1, 0, 1]
    parts = [dataset.shard(7, i)["a"][:] for i in range(7)]
    assert [a for part in parts for a in part] == list(range(100)) and {len(part) for part in parts} == {14, 15}
    assert dataset.shard(3, 1, contiguous=False)["a"][:] == list(range(1, 100, 3))
    with pytest.raises(IndexError, match="Index 100 out of range for dataset of size 100"):
        dataset.select([3, 100])
    flat = dataset.shuffle(seed=1).flatten_indices()
    assert flat._indices is None and flat["a"][:] == dataset.shuffle(seed=1)["a"][:]


def test_a_table_of_many_chunks_is_gathered_in_the_asked_order() -> None:
    table = pa.concat_tables(
        [pa.table({"a": list(range(i, i + 3)), "t": [str(j) for j in range(i, i + 3)]}) for i in range(0, 300, 3)]
    )
    dataset = Dataset(table)
    rows = np.random.default_rng(0).permutation(300)
    assert dataset[rows] == {"a": rows.tolist(), "t": [str(i) for i in rows]}
    assert [dataset[i]["a"] for i in (0, 2, 3, 299)] == [0, 2, 3, 299]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=5), st.data())
def test_every_source_reads_the_same_rows(sizes: list[int], data: st.DataObject) -> None:
    total = sum(sizes)
    whole = pa.table({"a": np.arange(total), "b": [[i] * (i % 3) for i in range(total)]})
    starts = np.cumsum([0, *sizes])
    chunks = [whole.slice(int(start), size) for start, size in zip(starts, sizes, strict=False)]
    sources = [
        TableSource(pa.concat_tables(chunks)),
        ChainSource([TableSource(chunk) for chunk in chunks]),
        ZipSource([TableSource(whole.select(["a"])), TableSource(whole.select(["b"]))]),
    ]
    rows = np.array(data.draw(st.lists(st.integers(0, total - 1), max_size=8)), np.int64)
    start = data.draw(st.integers(0, total))
    stop = data.draw(st.integers(start, total))
    for source in sources:
        assert source.take(rows).to_pylist() == whole.take(pa.array(rows, pa.int64())).to_pylist()
        assert source.read(start, stop).to_pylist() == whole.slice(start, stop - start).to_pylist()
        part = source.slice(start, stop)
        assert (
            part.read(0, part.num_rows, ["b"]).to_pylist() == whole.select(["b"]).slice(start, stop - start).to_pylist()
        )
        for row in rows[:2]:
            assert source.row(int(row), ["a", "b"]) == whole.slice(int(row), 1).to_pylist()[0]


_leaf = st.one_of(st.none(), st.integers(-(2**40), 2**40))
_values = st.one_of(
    st.lists(_leaf),
    st.lists(st.one_of(st.none(), st.floats(allow_nan=False))),
    st.lists(st.one_of(st.none(), st.text())),
    st.lists(st.one_of(st.none(), st.booleans())),
    st.lists(st.one_of(st.none(), st.lists(_leaf))),
    st.lists(st.one_of(st.none(), st.lists(st.lists(st.integers(0, 9))))),
    st.lists(st.fixed_dictionaries({"x": st.integers(0, 5), "y": st.lists(st.text(max_size=3))})),
)


@settings(max_examples=150, deadline=None)
@given(_values, st.integers(0, 3))
def test_values_survive_the_way_into_arrow_and_back(values: list, offset: int) -> None:
    array = to_arrow_array(values)
    assert arrow_to_list(array) == values
    assert arrow_to_list(array.slice(offset)) == values[offset:]
    if values:
        assert Dataset(pa.table({"v": array}))[len(values) - 1]["v"] == values[-1]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(0, 99), min_size=2, max_size=2), min_size=1), st.integers(0, 2))
def test_lists_of_one_length_are_matrices(rows: list[list[int]], offset: int) -> None:
    array = pa.array(rows).slice(offset)
    made = arrow_to_numpy(array)
    if len(array):
        assert made.tolist() == rows[offset:] and made.ndim == 2


def test_arrays_and_tensors_of_every_shape_become_columns() -> None:
    import torch

    grid = np.arange(12, dtype=np.float32).reshape(2, 3, 2)
    dataset = Dataset.from_dict(
        {
            "grid": grid,
            "tensors": [torch.tensor([1, 2]), torch.tensor([3])],
            "scalars": [np.int8(1), np.int8(2)],
            "rows": list(grid),
            "mixed": [{"v": np.array([1, 2])}, {"v": np.array([3])}],
        }
    )
    assert dataset.features["grid"] == List(List(Value("float32")))
    assert dataset[1]["grid"] == grid[1].tolist() and dataset[1]["rows"] == grid[1].tolist()
    assert dataset["tensors"][:] == [[1, 2], [3]] and dataset["mixed"][1] == {"v": [3]}
    assert dataset.features["scalars"] == Value("int8")


def test_columns_behave_as_lists() -> None:
    column = numbers(3)["t"]
    assert isinstance(column, list) and isinstance(column, Column)
    assert column == ["row 0", "row 1", "row 2"] and column != ["row 0"]
    assert column + ["x"] == ["row 0", "row 1", "row 2", "x"]  # noqa: RUF005
    assert ["x"] + column == ["x", "row 0", "row 1", "row 2"]  # noqa: RUF005
    assert column * 2 == [*column, *column] and "row 1" in column and column.index("row 2") == 2
    assert column.count("row 0") == 1 and next(reversed(column)) == "row 2"
    assert sorted(column, reverse=True)[0] == "row 2" and " ".join(column) == "row 0 row 1 row 2"
    assert json.dumps(column[:]) == json.dumps(column.tolist()) == json.dumps(column, default=list)
    assert json.dumps(column[0]) == '"row 0"'
    assert np.array(numbers(3)["a"]).tolist() == [0, 1, 2]
    assert pa.array(column).to_pylist() == column and pa.chunked_array(column).to_pylist() == column
    import copy
    import pickle

    assert pickle.loads(pickle.dumps(column)) == column and copy.copy(column) == column
    column.append("new")
    column[0] = "other"
    assert column == ["other", "row 1", "row 2", "new"] and pa.array(column).to_pylist() == column
    assert numbers(3)["t"] == ["row 0", "row 1", "row 2"]


def test_shuffle_without_a_seed_follows_numpys() -> None:
    np.random.seed(5)
    first = numbers().shuffle()["a"][:]
    np.random.seed(5)
    assert numbers().shuffle()["a"][:] == first
    assert sorted(first) == list(range(10)) and first != list(range(10))


def test_train_test_split_holds_every_row_once_and_can_stratify() -> None:
    dataset = Dataset.from_dict({"a": list(range(100)), "label": [i % 4 == 0 for i in range(100)]})
    splits = dataset.train_test_split(test_size=0.2, seed=1)
    assert sorted(splits["train"]["a"][:] + splits["test"]["a"][:]) == list(range(100))
    assert (len(splits["train"]), len(splits["test"])) == (80, 20)
    labelled = dataset.class_encode_column("label")
    assert labelled.features["label"].names == ["False", "True"]
    even = labelled.train_test_split(test_size=20, seed=1, stratify_by_column="label")
    assert sum(even["test"]["label"]) == 5 and sum(even["train"]["label"]) == 20
    in_order = dataset.train_test_split(test_size=0.1, shuffle=False)
    assert in_order["test"]["a"][:] == list(range(90, 100))
    with pytest.raises(ValueError, match="class_encode_column"):
        dataset.train_test_split(stratify_by_column="label")
    with pytest.raises(ValueError, match="between 1 and 99"):
        dataset.train_test_split(test_size=100)
    with pytest.raises(ValueError, match="share between 0 and 1"):
        dataset.train_test_split(test_size=1.5)


def test_sort_is_stable_and_places_nulls() -> None:
    dataset = Dataset.from_dict({"k": [2, None, 1, 2, 1], "i": list(range(5))})
    assert dataset.sort("k")["i"][:] == [2, 4, 0, 3, 1]
    assert dataset.sort("k", null_placement="at_start")["i"][:] == [1, 2, 4, 0, 3]
    assert dataset.sort(["k", "i"], reverse=[True, False])["i"][:] == [0, 3, 2, 4, 1]


def test_columns_are_renamed_removed_selected_and_added() -> None:
    dataset = numbers(3).shuffle(seed=0)
    assert dataset.rename_column("a", "b").column_names == ["b", "t"]
    assert dataset.rename_columns({"a": "t", "t": "a"})[0] == {"t": dataset[0]["a"], "a": dataset[0]["t"]}
    assert dataset.remove_columns(["a"]).column_names == ["t"]
    assert dataset.select_columns(["t", "a"]).column_names == ["t", "a"]
    added = dataset.add_column("new", [10, 11, 12])
    assert added["new"][:] == [10, 11, 12] and added["a"][:] == dataset["a"][:]
    assert dataset.add_item({"a": 7, "t": "x"})[-1] == {"a": 7, "t": "x"}
    more = dataset.add_item({"a": 7, "new": 1})
    assert more[-1] == {"a": 7, "t": None, "new": 1} and more["new"][:3] == [None] * 3
    with pytest.raises(ValueError, match="twice"):
        dataset.rename_column("a", "t")
    with pytest.raises(ValueError, match="has 1 values; the dataset has 3 rows"):
        dataset.add_column("new", [1])


def test_cast_changes_types_and_names_what_does_not_fit() -> None:
    dataset = Dataset.from_dict({"n": ["1", "2"], "label": ["no", "yes"]}, split="train")
    cast = dataset.cast(Features({"n": Value("int16"), "label": ClassLabel(names=["no", "yes"])}))
    assert cast[1] == {"n": 2, "label": 1} and cast.features["n"] == Value("int16") and cast.split == "train"
    assert cast.features["label"].int2str(cast["label"][:]) == ["no", "yes"]
    with pytest.raises(ValueError, match="nope"):
        Dataset.from_dict({"label": ["nope"]}).cast_column("label", ClassLabel(names=["no", "yes"]))
    with pytest.raises(ValueError, match="out of range"):
        Dataset.from_dict({"label": [2]}).cast_column("label", ClassLabel(names=["no", "yes"]))
    aligned = cast.align_labels_with_mapping({"YES": 0, "NO": 1}, "label")
    assert aligned["label"][:] == [1, 0] and aligned.features["label"].names == ["YES", "NO"]
    tags = Dataset.from_dict({"t": [[0, 1], None, [1, None]]}).cast_column("t", List(ClassLabel(names=["no", "yes"])))
    aligned = tags.align_labels_with_mapping({"yes": 0, "no": 1}, "t")
    assert aligned["t"][:] == [[1, 0], None, [0, None]] and aligned.features["t"].feature.names == ["yes", "no"]
    nested = Dataset.from_dict({"s": [{"x": 1, "y": {"z": 2}}]}).flatten()
    assert nested.column_names == ["s.x", "s.y.z"]


def test_columns_of_tokenizers_are_small_at_any_depth() -> None:
    made = Dataset.from_dict({"attention_mask": [1, 0], "input_ids": [[[1, 70000]], [[2]]], "token_type_ids": [0, 300]})
    types = [str(field.type) for field in made.data.schema]
    assert types == ["int8", "list<item: list<item: int32>>", "int64"]


def test_features_that_were_changed_in_place_are_cast_to_as_well() -> None:
    dataset = Dataset.from_dict({"a": [3, 4], "b": ["x", "y"]})
    features = dataset.features
    features["a"] = Value("float64")
    made = dataset.cast(features)
    assert made.features["a"] == Value("float64") and repr(made["a"][:]) == "[3.0, 4.0]"


def test_a_format_is_set_again_from_what_the_dataset_says_of_it() -> None:
    dataset = Dataset.from_dict({"a": [3, 4], "b": ["x", "y"]})
    dataset.set_transform(lambda batch: {name: [str(value) * 2 for value in batch[name]] for name in batch}, ["a"])
    before = dataset.format
    dataset.set_format(**before)
    assert dataset.format == before and dataset[0] == {"a": "33"}


def test_splits_that_are_no_datasets_are_named() -> None:
    splits = DatasetDict({"train": Dataset.from_dict({"a": [1]}), "other": None})
    for call in (lambda: splits.map(), splits.filter, splits.shuffle, lambda: splits.sort("a")):
        with pytest.raises(TypeError, match="'other' is no Dataset but a NoneType"):
            call()


def test_datasets_are_put_together() -> None:
    first, second = numbers(3), numbers(5).select([4, 3])
    both = concatenate_datasets([first, second])
    assert both["a"][:] == [0, 1, 2, 4, 3]
    wide = concatenate_datasets([Dataset.from_dict({"a": [1]}), Dataset.from_dict({"a": [0.5]})])
    assert wide["a"][:] == [1.0, 0.5]
    extra = concatenate_datasets([Dataset.from_dict({"a": [1]}), Dataset.from_dict({"b": ["x"]})])
    assert extra[:] == {"a": [1, None], "b": [None, "x"]}
    beside = concatenate_datasets([first, numbers(3).rename_columns({"a": "b", "t": "u"}).shuffle(seed=0)], axis=1)
    assert beside.column_names == ["a", "t", "b", "u"] and beside.remove_columns("t")[0]["a"] == 0
    with pytest.raises(ValueError, match="no type holds both"):
        concatenate_datasets([Dataset.from_dict({"a": [1]}), Dataset.from_dict({"a": ["x"]})])
    with pytest.raises(ValueError, match="take one of its splits"):
        concatenate_datasets([DatasetDict(train=first)])  # type: ignore[list-item]
    turns = interleave_datasets([first, second], stopping_strategy="all_exhausted_without_replacement")
    assert turns["a"][:] == [0, 4, 1, 3, 2]


def test_tensor_formats_share_nothing_that_can_be_written() -> None:
    import torch

    dataset = Dataset.from_dict(
        {"i": [1, 2], "f": [0.5, 1.5], "l": [[1, 2], [3, 4]], "r": [[1], [2, 3]], "t": ["a", "b"]}
    )
    made = dataset.with_format("torch")
    batch = made[:2]
    assert batch["i"].dtype == torch.int64 and batch["f"].dtype == torch.float32
    assert batch["l"].tolist() == [[1, 2], [3, 4]] and [row.tolist() for row in batch["r"]] == [[1], [2, 3]]
    assert batch["t"] == ["a", "b"]
    batch["i"].zero_(), batch["l"].zero_()
    made[[0, 1]]["l"].zero_()
    made[0]["l"].zero_()
    for row in made:
        row["l"].zero_()
    assert dataset[:]["i"] == [1, 2] and dataset[:]["l"] == [[1, 2], [3, 4]]
    array = dataset.with_format("np")[:]["l"]
    array[:] = 0
    assert dataset[:]["l"] == [[1, 2], [3, 4]]
    some = dataset.with_format("torch", columns=["i"], output_all_columns=True)[0]
    assert some["i"].item() == 1 and some["t"] == "a"
    assert dataset.with_format("torch", columns=["i"], dtype=torch.int32)[0]["i"].dtype == torch.int32
    assert dataset.with_format("arrow")[:].num_rows == 2
    assert dataset.with_transform(lambda batch: {"n": [len(t) for t in batch["t"]]})[1] == {"n": 1}
    with pytest.raises(ValueError, match="did you mean 'torch'"):
        dataset.with_format("torhc")


def test_torch_loads_batches_from_a_dataset() -> None:
    import torch
    from torch.utils.data import DataLoader

    dataset = Dataset.from_dict({"x": np.arange(40).reshape(10, 4), "y": list(range(10))}).with_format("torch")
    seen = [batch["y"] for batch in DataLoader(dataset, batch_size=4)]
    assert torch.cat(seen).tolist() == list(range(10))
    assert dataset.__getitems__([3, 1])[0]["x"].tolist() == [12, 13, 14, 15]
    shuffled = DataLoader(dataset, batch_size=5, shuffle=True)
    assert sorted(torch.cat([batch["y"] for batch in shuffled]).tolist()) == list(range(10))


def test_other_libraries_read_the_arrow_stream() -> None:
    dataset = numbers(5).shuffle(seed=1)
    table = pa.table(dataset)
    assert table.to_pylist() == dataset.to_list()
    assert pa.RecordBatchReader.from_stream(dataset).read_all().num_rows == 5


def test_features_of_the_docstring_examples_hold() -> None:
    import doctest
    import importlib

    for name in (
        "dataset",
        "dataset_dict",
        "combine",
        "column",
        "splits",
        "data_files",
        "card",
        "values",
        "ordering",
        "fingerprint",
        "info",
        "writer",
        "features.types",
        "features.features",
        "builders.base",
    ):
        result = doctest.testmod(importlib.import_module(f"enfold.datasets.{name}"))
        assert result.failed == 0, name


def test_the_package_loads_no_torch(tmp_path: Path) -> None:
    script = """
import sys
class Absent:  # pyarrow loads pandas by itself where it is installed
    def find_spec(self, name, *rest):
        if name == "pandas":
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
from enfold.datasets import Dataset, load_dataset, load_from_disk
from enfold.datasets import *
assert "torch" not in sys.modules
ds = Dataset.from_dict({"a": [1, 2], "l": [[1], [2, 3]]}).map(lambda b: {"b": b["a"]}, batched=True).shuffle(seed=1)
ds.save_to_disk(sys.argv[1] + "/saved"); load_from_disk(sys.argv[1] + "/saved")[0]
ds.to_csv(sys.argv[1] + "/a.csv"); load_dataset("csv", data_files=sys.argv[1] + "/a.csv")
ds.to_parquet(sys.argv[1] + "/a.parquet")
load_dataset("parquet", data_files=sys.argv[1] + "/a.parquet")["train"].to_list()
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True)


@pytest.mark.parametrize("kind", ["numpy", "torch"])
def test_memory_of_a_batch_is_used_again_only_when_nobody_holds_it(kind: str) -> None:
    ids = np.arange(4000 * 32, dtype=np.int32).reshape(4000, 32)
    shown = Dataset.from_dict({"ids": ids}).with_format(kind)
    held = [shown[start : start + 1000]["ids"] for start in range(0, 4000, 1000)]
    part = shown[0:1000]["ids"][10:12]  # a view keeps the whole of it
    for _ in range(6):
        shown[2000:3000]["ids"]
    assert np.array_equal(np.concatenate([np.asarray(batch) for batch in held]), ids)
    assert np.array_equal(np.asarray(part), ids[10:12]) and str(part.dtype).endswith("int64")
    place = np.asarray(shown[0:1000]["ids"]).ctypes.data
    assert place in [np.asarray(shown[1000:2000]["ids"]).ctypes.data for _ in range(6)]
    part[0] = -1  # and it is the user's own
    assert np.array_equal(np.asarray(shown[0:1000]["ids"]), ids[:1000])


def test_the_table_behind_a_dataset_tells_its_features() -> None:
    dataset = Dataset.from_dict({"a": [0, 1], "b": ["x", "y"]}).cast_column("a", ClassLabel(names=["no", "yes"]))
    for one in (dataset, dataset.rename_column("a", "c"), dataset.remove_columns("b"), dataset.select([1])):
        assert Features.from_arrow_schema(one.data.schema) == one.features
        assert one.data.column_names == one.column_names
