"""``map`` and ``filter``: lazy batches, Arrow out, and results that other processes find."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections import UserDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from enfold.datasets import ClassLabel, Dataset, DatasetDict, Features, List, Value, load_dataset
from enfold.datasets.column import Batch, Column
from enfold.datasets.errors import MapOutputError
from enfold.datasets.fingerprint import Hasher, Unhashable
from processor import slowness


def words(count: int = 6) -> Dataset:
    return Dataset.from_dict({"text": [f"w{i} x" for i in range(count)], "n": list(range(count))})


class TokenColumn:
    """What a tokenizer gives: no list, only Arrow."""

    def __init__(self, array: pa.Array) -> None:
        self.array = array

    def __len__(self) -> int:
        return len(self.array)

    def __iter__(self) -> Any:
        raise AssertionError("a Python list was made of an Arrow column")

    def __getitem__(self, key: Any) -> Any:
        raise AssertionError("a Python list was made of an Arrow column")

    def __arrow_c_array__(self, requested_schema: object | None = None) -> Any:
        return self.array.__arrow_c_array__(requested_schema)


def tokenize(texts: Any) -> UserDict:
    assert isinstance(texts, list)
    column = pa.array(texts) if hasattr(texts, "__arrow_c_array__") else None
    assert column is not None, "the batch's column did not stay in Arrow"
    lengths = pc.utf8_length(column)
    ids = pa.ListArray.from_arrays(pa.array(range(len(column) + 1), pa.int32()), lengths)
    return UserDict({"input_ids": TokenColumn(ids), "attention_mask": TokenColumn(ids)})


def test_no_python_list_is_made_between_a_column_and_arrow_results() -> None:
    made = words().map(lambda batch: tokenize(batch["text"]), batched=True, batch_size=2)
    assert made.features == Features(
        text=Value("string"), n=Value("int64"), input_ids=List(Value("int32")), attention_mask=List(Value("int8"))
    )
    assert made["input_ids"][:] == [[4]] * 6


def test_a_batch_is_a_lazy_mapping_of_list_like_columns() -> None:
    seen: list[Any] = []

    def look(batch: Any) -> dict[str, Any]:
        assert isinstance(batch, Mapping) and set(batch) == {"text", "n"} and "text" in batch
        seen.append(batch)
        return {"upper": [text.upper() for text in batch["text"]]}

    made = words().map(look, batched=True, batch_size=4)
    assert made["upper"][:] == [f"W{i} X" for i in range(6)]
    assert [type(batch) for batch in seen] == [Batch, Batch] and [len(b["n"]) for b in seen] == [4, 2]
    assert type(seen[0]["n"]) is Column


def test_a_changed_batch_may_be_returned() -> None:
    def change(batch: Any) -> Any:
        batch["n"] = [n + 1 for n in batch["n"]]
        batch["copy"] = batch["text"]
        batch["text"][0] = "first"
        return batch

    made = words(3).map(change, batched=True)
    assert made[:] == {"text": ["first", "w1 x", "w2 x"], "n": [1, 2, 3], "copy": ["first", "w1 x", "w2 x"]}
    swapped = words(2).map(lambda b: {"text": b["n"], "n": b["text"]}, batched=True)
    assert swapped[:] == {"text": [0, 1], "n": ["w0 x", "w1 x"]}


def test_rows_are_changed_one_by_one() -> None:
    dataset = words(3)
    assert dataset.map(lambda row: {"n": row["n"] * 2})["n"][:] == [0, 2, 4]
    assert dataset.map(lambda row, i: {"i": i}, with_indices=True)["i"][:] == [0, 1, 2]
    assert dataset.map(lambda t, n: {"l": [t] * n}, input_columns=["text", "n"])["l"][2] == ["w2 x", "w2 x"]
    assert dataset.map(lambda row, k: {"n": row["n"] + k}, fn_kwargs={"k": 5})["n"][:] == [5, 6, 7]

    def in_place(row: dict[str, Any]) -> dict[str, Any]:
        row["n"] += 1
        row["new"] = None if row["n"] == 1 else "x"
        return row

    assert dataset.map(in_place)[:]["new"] == [None, "x", "x"]
    calls: list[int] = []
    assert dataset.map(lambda row: calls.append(row["n"]))[:] == dataset[:] and calls == [0, 1, 2]
    assert dataset.map(lambda row, r: {"r": r}, with_rank=True)["r"][:] == [0, 0, 0]


def test_removed_columns_make_room_for_another_number_of_rows() -> None:
    split = words(3).map(
        lambda b: {"word": [w for text in b["text"] for w in text.split()]}, batched=True, remove_columns=["text", "n"]
    )
    assert split["word"][:] == ["w0", "x", "w1", "x", "w2", "x"]
    with pytest.raises(MapOutputError, match=r"remove_columns=\['text', 'n'\]"):
        words(3).map(lambda b: {"word": ["x"]}, batched=True)
    with pytest.raises(MapOutputError, match="column 'b' has 1 rows, but column 'a' has 2"):
        words(2).map(lambda b: {"a": [1, 2], "b": [1]}, batched=True)
    with pytest.raises(MapOutputError, match="expected a dict"):
        words(2).map(lambda b: [1, 2], batched=True)
    with pytest.raises(MapOutputError, match=r"column 'a'.*int is not a column"):
        words(2).map(lambda b: {"a": 1}, batched=True)
    with pytest.raises(ValueError, match="did you mean 'text'"):
        words(2).map(lambda b: b, remove_columns=["txt"])


def test_types_are_kept_widened_and_declared() -> None:
    dataset = words(4).cast_column("n", Value("int16"))
    assert dataset.map(lambda b: {"n": b["n"]}, batched=True).features["n"] == Value("int16")
    assert dataset.map(lambda b: {"n": [x / 2 for x in b["n"]]}, batched=True).features["n"] == Value("float64")
    late = dataset.map(lambda b: {"v": [None] if b["n"][0] < 2 else [1.5]}, batched=True, batch_size=1)
    assert late["v"][:] == [None, None, 1.5, 1.5]
    features = Features({**dataset.features, "label": ClassLabel(names=["even", "odd"])})
    named = dataset.map(lambda row: {"label": ["even", "odd"][row["n"] % 2]}, features=features)
    assert named["label"][:] == [0, 1, 0, 1] and named.features == features
    arrays = dataset.map(lambda b: {"m": np.ones((len(b["n"]), 2, 2), np.float32)}, batched=True)
    assert arrays.features["m"] == List(List(Value("float32")))
    tables = dataset.with_format("arrow").map(lambda t: t.append_column("z", t["n"]), batched=True)
    assert tables.with_format(None)["z"][:] == [0, 1, 2, 3]
    with pytest.raises(MapOutputError, match="no type holds both"):
        dataset.map(lambda b: {"v": ["x"] if b["n"][0] else [1]}, batched=True, batch_size=1)


def test_formatted_batches_reach_the_function() -> None:
    import torch

    dataset = words(4).with_format("torch", columns=["n"])
    made = dataset.map(lambda b: {"double": b["n"] * 2}, batched=True)
    assert isinstance(made[0]["double"], torch.Tensor) and made.with_format(None)["double"][:] == [0, 2, 4, 6]


def test_threads_keep_the_order_and_the_errors() -> None:
    dataset = Dataset.from_dict({"n": list(range(1000))})
    made = dataset.map(lambda b: {"m": [n * 2 for n in b["n"]]}, batched=True, batch_size=7, num_proc=3)
    assert made["m"][:] == list(range(0, 2000, 2))
    assert dataset.filter(lambda row: row["n"] % 2 == 0, num_proc=2)["n"][:] == list(range(0, 1000, 2))
    ranks = set(
        dataset.map(lambda b, r: {"r": [r] * len(b["n"])}, batched=True, batch_size=50, with_rank=True, num_proc=3)["r"]
    )
    assert ranks <= {0, 1, 2}

    def fail(row: dict[str, Any]) -> None:
        if row["n"] == 500:
            raise ZeroDivisionError("row 500")

    with pytest.raises(ZeroDivisionError, match="row 500"):
        dataset.map(fail, num_proc=2)


def test_filter_by_row_batch_columns_and_expression() -> None:
    dataset = words(6).shuffle(seed=0)
    expected = [n for n in dataset["n"] if n > 2]
    assert dataset.filter(lambda row: row["n"] > 2)["n"][:] == expected
    assert dataset.filter(lambda n: n > 2, input_columns="n")["n"][:] == expected
    assert dataset.filter(lambda b: np.array(b["n"]) > 2, batched=True, batch_size=4)["n"][:] == expected
    assert dataset.filter(lambda b: pc.greater(pa.array(b["n"]), 2), batched=True)["n"][:] == expected
    assert dataset.filter(pc.field("n") > 2)["n"][:] == expected
    assert dataset.filter(lambda row, i: i < 2, with_indices=True)["n"][:] == dataset["n"][:2]
    with pytest.raises(MapOutputError, match="one truth value for each of the 6 rows, not 1"):
        dataset.filter(lambda b: [True], batched=True)


def test_coroutines_are_awaited() -> None:
    async def shout(row: dict[str, Any]) -> dict[str, str]:
        return {"text": row["text"].upper()}

    assert words(2).map(shout)["text"][:] == ["W0 X", "W1 X"]

    async def notebook() -> list[str]:  # its cells run inside a loop
        return words(2).map(shout, load_from_cache_file=False)["text"][:]

    assert asyncio.run(notebook()) == ["W0 X", "W1 X"]


def test_an_interrupted_map_leaves_no_file(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("n\n" + "\n".join(map(str, range(3000))))
    dataset = load_dataset("csv", data_files=str(tmp_path / "a.csv"), split="train")
    before = sorted(os.listdir(dataset._cache_dir or ""))

    def stop(row: dict[str, Any]) -> dict[str, Any]:
        if row["n"] == 2500:
            raise KeyboardInterrupt
        return {"m": "x" * 30_000}

    with pytest.raises(KeyboardInterrupt):
        dataset.map(stop)
    assert sorted(os.listdir(dataset._cache_dir or "")) == before


_CACHE = """
import sys, os
from enfold.datasets import load_dataset
SCALE = 3
class Tokenizer:
    def __init__(self, n): self.n = n; self.calls = 0; self.state = object()
    def __fingerprint__(self): return f"tokenizer {self.n}"
    def __call__(self, texts): self.calls += 1; return [len(t) for t in texts]
tokenizer = Tokenizer(int(sys.argv[2]))
SET = {"b", "a", "zz", "q"}
ran = []
def helper(value): return value * SCALE if "a" in SET else 0
def tokenize(batch, flag=("x", frozenset({"u", "v", "w"}))):
    global tokenizer
    LOG(batch)
    return {"ids": [helper(v) for v in tokenizer(batch["text"])]}
class Log:
    def __fingerprint__(self): return "log"
    def __call__(self, batch): ran.append(1)
LOG = Log()
ds = load_dataset("csv", data_files=sys.argv[1], split="train").map(tokenize, batched=True)
ds = ds.filter(lambda r: (LOG(r), r["ids"] > 0)[1])
print(len(ran), ds.cache_files[0]["filename"], ds._fingerprint, ds["ids"][:])
"""


def test_another_process_finds_the_result_whatever_its_hash_seed(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text\none\nthree\n")
    script = tmp_path / "script.py"

    def run(seed: str, source: str, argument: str = "1") -> list[str]:
        script.write_text(source)
        environment = {**os.environ, "PYTHONHASHSEED": seed, "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
        command = [sys.executable, str(script), str(tmp_path / "a.csv"), argument]
        return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.split(" ", 3)

    first = run("1", _CACHE)
    assert first[0] == "3"  # one batch and two rows
    second = run("2", _CACHE)
    assert second[0] == "0" and second[1:] == first[1:]
    assert run("3", _CACHE, "2")[0] == "3", "another tokenizer is another result"
    assert run("3", _CACHE.replace("SCALE = 3", "SCALE = 4"))[0] == "3", "another global is another result"
    assert run("3", _CACHE.replace("else 0", "else 1"))[0] == "3", "another helper is another result"
    assert run("4", _CACHE.replace("import sys, os", "# a comment\nimport sys, os"))[0] == "0", "lines are not code"


def test_what_cannot_be_told_is_named_and_the_map_still_runs(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    import logging

    (tmp_path / "a.csv").write_text("n\n1\n2\n")
    dataset = load_dataset("csv", data_files=str(tmp_path / "a.csv"), split="train")
    stream = (i for i in range(10))
    logger = logging.getLogger("enfold")
    logger.addHandler(caplog.handler)
    try:
        made = dataset.map(lambda row: {"m": next(stream)})
    finally:
        logger.removeHandler(caplog.handler)
    assert made["m"][:] == [0, 1]
    assert "'stream' in the closure of" in caplog.text and "generator" in caplog.text
    assert os.path.dirname(made.cache_files[0]["filename"]) != dataset._cache_dir


def test_caching_can_be_turned_off_and_cleaned_up(tmp_path: Path) -> None:
    from enfold.datasets import disable_caching, enable_caching, is_caching_enabled

    (tmp_path / "a.csv").write_text("n\n1\n2\n")
    dataset = load_dataset("csv", data_files=str(tmp_path / "a.csv"), split="train")
    calls: list[int] = []

    class Count:
        def __fingerprint__(self) -> str:
            return "count"

        def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
            calls.append(1)
            return {"m": row["n"]}

    count = Count()
    dataset.map(count), dataset.map(count)
    assert len(calls) == 2
    dataset.map(count, load_from_cache_file=False)
    assert len(calls) == 4
    disable_caching()
    try:
        assert not is_caching_enabled()
        dataset.map(count)
        assert len(calls) == 6
    finally:
        enable_caching()
    assert dataset.cleanup_cache_files() == 1
    dataset.map(count)
    assert len(calls) == 8
    named = dataset.map(count, cache_file_name=str(tmp_path / "named.arrow"))
    assert named.cache_files == [{"filename": str(tmp_path / "named.arrow")}]
    assert not dataset.map(count, keep_in_memory=True).cache_files


def test_hashes_tell_values_apart() -> None:
    def function(x: int) -> int:
        return x

    different = [
        None,
        0,
        False,
        "",
        b"",
        0.0,
        [],
        (),
        {},
        set(),
        [1, 2],
        [[1], 2],
        [1, [2]],
        {"a": 1},
        {"b": 1},
        "1",
        1,
        True,
    ]
    different += [
        np.arange(3),
        np.arange(3.0),
        pa.array([1]),
        pa.array([1, 2]),
        function,
        lambda x: x + 1,
        len,
        int,
        Path("a"),
    ]
    assert len({Hasher.hash(value) for value in different}) == len(different)
    assert Hasher.hash({3, 1, 2}) == Hasher.hash({2, 3, 1})
    shared = [1]
    assert Hasher.hash([shared, shared]) == Hasher.hash([shared, shared])
    loop: list[Any] = []
    loop.append(loop)
    assert Hasher.hash(loop) == Hasher.hash(loop)
    with pytest.raises(Unhashable, match=r"x\['f'\]"):
        hasher = Hasher()
        hasher.update({"f": (i for i in ())}, "x")


@pytest.mark.alone
def test_large_dictionaries_are_hashed_at_once() -> None:
    table = {f"key {i}": i for i in range(10_000)}
    times = []
    for _ in range(9):
        start = time.process_time()
        Hasher.hash(table)
        times.append(time.process_time() - start)
    assert min(times) < 0.005 * slowness()
    assert Hasher.hash({"a": 1}) != Hasher.hash({"a": True}) != Hasher.hash({"a": 1.0})
    joined = "".join(["a", "b"])  # not interned, unlike the literal
    assert Hasher.hash([joined, joined]) == Hasher.hash(["ab", "a" + joined[1:]])
    assert Hasher.hash([1, 2]) != Hasher.hash((1, 2)) != Hasher.hash([1, 2, []])


def test_splits_are_mapped_together() -> None:
    splits = DatasetDict({"train": words(3), "test": words(2)})
    made = splits.map(lambda row: {"n": row["n"] + 1}).filter(lambda row: row["n"] > 1).remove_columns("text")
    assert made.num_rows == {"train": 2, "test": 1} and made["test"][:] == {"n": [2]}
    labels = DatasetDict({"train": words(3), "test": words(2)}).class_encode_column("text")
    assert labels["train"].features["text"].names == labels["test"].features["text"].names == ["w0 x", "w1 x", "w2 x"]
    assert splits.shuffle(seed=1)["train"]["n"][:] == words(3).shuffle(seed=1)["n"][:]


def test_types_widen_after_rows_are_on_disk_and_features_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from enfold.datasets import writer

    monkeypatch.setattr(writer, "FLUSH_BYTES", 1)
    (tmp_path / "a.csv").write_text("n,label\n" + "".join(f"{i},{i % 2}\n" for i in range(6)))
    features = Features({"n": Value("int64"), "label": ClassLabel(names=["x", "y"])})
    dataset = load_dataset("csv", data_files=str(tmp_path / "a.csv"), split="train", features=features)

    def grow(batch: Any) -> dict[str, Any]:
        return {"v": [None if n < 2 else n if n < 4 else n + 0.5 for n in batch["n"]]}

    made = dataset.map(grow, batched=True, batch_size=2)
    again = dataset.map(grow, batched=True, batch_size=2)
    for found in (made, again):
        assert found["v"][:] == [None, None, 2.0, 3.0, 4.5, 5.5] and found["n"][:] == list(range(6))
        assert found.features == Features({**features, "v": Value("float64")})
    assert made.cache_files == again.cache_files
    assert not [name for name in os.listdir(dataset._cache_dir or "") if name.startswith(".tmp")]


def test_no_rows_become_no_rows_of_the_features_that_are_named() -> None:
    empty = Dataset.from_dict({"a": [1]}).select([])
    made = empty.map(lambda row: {"b": "x"}, remove_columns="a", features=Features({"b": Value("string")}))
    assert made.features == Features({"b": Value("string")}) and made[:] == {"b": []}
    assert empty.map(lambda row: {"b": "x"}).column_names == ["a"]


@pytest.mark.parametrize("batched", [False, True])
def test_columns_that_a_function_deletes_from_its_input_are_left_out(batched: bool) -> None:
    rows = Dataset.from_dict({"a": [1, 2, 3], "t": ["x", "y", "z"]})

    def same(given: Any) -> Any:
        given.pop("a")
        return given

    def other(given: Any) -> Any:
        del given["a"]
        return {"b": given["t"]}

    def back(given: Any) -> Any:
        given["a"] = given.pop("a")
        return given

    assert rows.map(same, batched=batched).column_names == ["t"]
    assert rows.map(other, batched=batched)[:] == {"t": ["x", "y", "z"], "b": ["x", "y", "z"]}
    assert rows.map(back, batched=batched)[:] == rows[:]
    if batched:  # what is gone has no row to stand in
        made = rows.map(lambda batch: {"c": [batch.pop("a"), batch.pop("t")][0] * 2}, batched=True)
        assert made[:] == {"c": [1, 2, 3, 1, 2, 3]}


def test_methods_of_ones_own_class_tell_what_comes_out_by_what_goes_in() -> None:
    from enfold.datasets.fingerprint import fingerprint_transform

    class Mine(Dataset):
        @fingerprint_transform(inplace=False, ignore_kwargs=["loud"])
        def plus(self, new_fingerprint: str, *more: int, by: int = 1, loud: bool = False) -> Dataset:
            return Mine(self.data, fingerprint=new_fingerprint)

        @fingerprint_transform(inplace=True, version="2")
        def mark(self, by: int, new_fingerprint: str | None = None) -> str | None:
            return new_fingerprint

        @fingerprint_transform(inplace=False, randomized_function=True)
        def mixed(self, seed: int | None = None, new_fingerprint: str | None = None) -> str | None:
            return new_fingerprint

    made = Mine(pa.table({"a": [1, 2]}))
    first = made.plus(3, by=2)._fingerprint
    assert (
        first == made.plus(3, by=2, loud=True)._fingerprint == Mine(pa.table({"a": [1, 2]})).plus(3, by=2)._fingerprint
    )
    assert len({first, made.plus(4, by=2)._fingerprint, made.plus(3)._fingerprint, made._fingerprint}) == 4
    assert made.plus(new_fingerprint="given")._fingerprint == "given"
    assert made.mixed() != made.mixed() and made.mixed(seed=1) == made.mixed(1)
    before = made._fingerprint
    assert made.mark(5) == made._fingerprint != before


def test_a_table_is_known_by_its_rows_however_they_came() -> None:
    whole = pa.table({"a": [1, 2, None], "t": ["x", None, "z"]})
    parts = pa.concat_tables([whole.slice(0, 1), whole.slice(1)])
    assert Hasher.hash(whole) == Hasher.hash(parts) != Hasher.hash(whole.slice(1))
    assert Hasher.hash(whole["a"]) == Hasher.hash(parts["a"])
    assert Dataset(whole)._fingerprint == Dataset(parts)._fingerprint
