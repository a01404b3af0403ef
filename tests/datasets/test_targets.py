"""Results behind addresses that fsspec knows, and folders of several files."""

from __future__ import annotations

import importlib
import json
import os
from pathlib import Path

import fsspec
import pytest

from enfold.datasets import Dataset, DatasetDict, IterableDataset, load_dataset, load_from_disk


def rows(count: int = 10) -> Dataset:
    return Dataset.from_dict({"a": list(range(count)), "t": [f"row {i}" for i in range(count)]})


def test_files_are_written_to_addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    system = fsspec.filesystem("memory")
    made = rows(2)
    made.to_csv("memory://out/a.csv", storage_options={})
    made.to_json("memory://out/a.jsonl")
    made.to_parquet("memory://out/a.parquet")
    made.to_iterable_dataset().to_csv("memory://out/b.csv")
    assert system.cat("/out/a.csv") == system.cat("/out/b.csv") == b"a,t\n0,row 0\n1,row 1\n"
    assert [json.loads(line) for line in system.cat("/out/a.jsonl").splitlines()] == made.to_list()
    assert system.cat("/out/a.parquet")[:4] == b"PAR1"
    assert os.listdir(tmp_path) == []


def test_folders_are_saved_to_addresses_and_loaded_from_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows().save_to_disk("memory://saved/one", num_shards=2)
    assert load_from_disk("memory://saved/one")[:] == Dataset.load_from_disk("memory://saved/one")[:] == rows()[:]
    splits = DatasetDict({"train": rows(), "test": rows(3)})
    splits.save_to_disk("memory://saved/two", num_proc=2)
    found = load_from_disk("memory://saved/two")
    assert {name: part[:] for name, part in found.items()} == {name: part[:] for name, part in splits.items()}
    assert len(fsspec.filesystem("memory").glob("/saved/two/train/*.arrow")) == 2
    with pytest.raises(FileNotFoundError):
        load_from_disk("memory://saved/three")
    assert os.listdir(tmp_path) == []


def test_workers_say_how_many_files_there_are_at_least(tmp_path: Path) -> None:
    rows().save_to_disk(tmp_path / "a", num_proc=3)
    assert len(list((tmp_path / "a").glob("*.arrow"))) == 3
    rows().save_to_disk(tmp_path / "b", num_proc=3, num_shards=2)
    assert len(list((tmp_path / "b").glob("*.arrow"))) == 2
    assert load_from_disk(tmp_path / "a")[:] == load_from_disk(tmp_path / "b")[:] == rows()[:]


def test_a_stream_is_written_as_the_dataset_is(tmp_path: Path) -> None:
    stream: IterableDataset = rows(3).to_iterable_dataset()
    stream.to_json(tmp_path / "a.jsonl")
    rows(3).to_json(tmp_path / "b.jsonl")
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()


def test_json_files_hold_no_word_that_json_does_not_have(tmp_path: Path) -> None:
    made = Dataset.from_dict({"f": [1.5, float("nan"), float("inf")], "n": [{"x": [float("nan")]}] * 3})
    for lines in (True, False):
        made.to_json(tmp_path / "a.json", lines=lines)
        text = (tmp_path / "a.json").read_text()
        found = [json.loads(line) for line in text.splitlines()] if lines else json.loads(text)
        assert [row["f"] for row in found] == [1.5, None, None] and found[0]["n"] == {"x": [None]}


@pytest.mark.parametrize(("end", "module"), [("gz", "gzip"), ("bz2", "bz2"), ("xz", "lzma")])
def test_json_files_are_packed_where_their_name_says_so(tmp_path: Path, end: str, module: str) -> None:
    packed = importlib.import_module(module)
    path = tmp_path / f"a.jsonl.{end}"
    rows(2).to_json(path)
    rows(2).to_iterable_dataset().to_json(tmp_path / f"b.jsonl.{end}")
    for name in ("a", "b"):
        with packed.open(tmp_path / f"{name}.jsonl.{end}", "rt") as file:
            assert [json.loads(line) for line in file] == rows(2).to_list()
    assert load_dataset("json", data_files=str(path), split="train", cache_dir=str(tmp_path))[:] == rows(2)[:]
    rows(2).to_json(tmp_path / "plain", compression=None)
    rows(2).to_json(tmp_path / "named", compression={"gz": "gzip"}.get(end, end))
    with packed.open(tmp_path / "named", "rb") as file:
        assert file.read() == (tmp_path / "plain").read_bytes()
    with pytest.raises(ValueError, match="compression must be"):
        rows(2).to_json(tmp_path / "x", compression="rar")


def test_json_files_in_the_ways_of_pandas(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    expected = {
        "split": {"columns": ["a", "t"], "data": [[0, "row 0"], [1, "row 1"]]},
        "index": {"0": {"a": 0, "t": "row 0"}, "1": {"a": 1, "t": "row 1"}},
        "columns": {"a": {"0": 0, "1": 1}, "t": {"0": "row 0", "1": "row 1"}},
        "values": [[0, "row 0"], [1, "row 1"]],
        "list": {"a": [0, 1], "t": ["row 0", "row 1"]},
        "records": rows(2).to_list(),
    }
    for orient, content in expected.items():
        count = rows(2).to_json(path, orient=orient, lines=False)
        assert json.loads(path.read_bytes()) == content and count == path.stat().st_size
    rows(2).to_json(path, orient="table")
    assert json.loads(path.read_bytes())["data"] == rows(2).to_list()
    with pytest.raises(ValueError, match="did you mean 'columns'"):
        rows(2).to_json(path, orient="colums")
    with pytest.raises(ValueError, match="one row a line"):
        rows(2).to_json(path, orient="split", lines=True)


def test_whole_numbers_stay_whole_in_csv_files_that_pandas_writes(tmp_path: Path) -> None:
    Dataset.from_dict({"a": [1, None], "f": [0.5, None]}).to_csv(tmp_path / "a.csv", na_rep="NA")
    assert (tmp_path / "a.csv").read_text() == "a,f\n1,0.5\nNA,NA\n"
