"""Splits: their names and parts, the language of both, sizes, and what is known about a dataset."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from enfold.datasets import (
    Dataset,
    DatasetDict,
    DatasetInfo,
    Features,
    NamedSplit,
    NamedSplitAll,
    ReadInstruction,
    Split,
    SplitBase,
    SplitDict,
    SplitInfo,
    Value,
    Version,
    load_dataset,
    percent,
)
from enfold.datasets.errors import UnexpectedSplitsError


def test_parts_of_splits_are_texts_of_the_language() -> None:
    train = Split.TRAIN
    assert isinstance(train, SplitBase) and train == "train" and Split("all") == NamedSplitAll() == "all"
    assert train.subsplit(percent[:50]) == "train[:50%]" and train.subsplit(2)[1] == "train[50%:100%]"
    assert train.subsplit(k=3) == ("train[0%:33%]", "train[33%:66%]", "train[66%:100%]")
    assert train.subsplit(weighted=[2, 1, 1])[2] == "train[75%:100%]"
    assert (train + Split.TEST).subsplit(percent[-10:]) == "train[-10%:]+test[-10%:]"
    for wrong in ({}, {"k": 2, "percent": percent[:1]}, {"k": 101}, {"weighted": [0, 0]}):
        with pytest.raises(ValueError):
            train.subsplit(**wrong)
    with pytest.raises(ValueError, match="whole splits"):
        train.subsplit(percent[:50]).subsplit(percent[:50])


def test_a_part_made_of_names_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    files = {}
    for name, count in (("train", 10), ("test", 4)):
        files[name] = str(tmp_path / f"{name}.csv")
        Dataset.from_dict({"n": list(range(count))}).to_csv(files[name])
    part = load_dataset("csv", data_files=files, split=Split.TRAIN.subsplit(percent[:30]) + Split.TEST)
    assert part["n"][:] == [0, 1, 2, 0, 1, 2, 3]
    assert load_dataset("csv", data_files=files, split=Split.ALL).num_rows == 14


def test_instructions_are_read_and_written() -> None:
    for text in ("train[:10%]+test", "train[5:-3]", "train[10%:20%](pct1_dropremainder)"):
        assert ReadInstruction.from_spec(text).to_spec() == text
    made = ReadInstruction("train", to=10, unit="%") + ReadInstruction("test", from_=-3)
    assert [(p.split, p.start, p.stop) for p in made.to_absolute({"train": 200, "test": 20})] == [
        ("train", 0, 20),
        ("test", 17, 20),
    ]
    with pytest.raises(ValueError, match="nope"):
        ReadInstruction("nope").to_absolute({"train": 1})
    splits = {"a": SplitInfo("a"), "b": SplitInfo("b")}
    assert str(Split.ALL.get_read_instruction(splits)) == "a+b"
    assert str(Split.TRAIN.get_read_instruction(splits)) == "train"


def test_sizes_of_splits_and_of_their_parts() -> None:
    splits = SplitDict.from_split_dict([SplitInfo("train", 80, 100), {"name": "test", "num_examples": 50, "x": 1}], "d")
    assert splits.total_num_examples == 150 and splits["test"].dataset_name == "d"
    assert splits["train[:25%]+test"].num_examples == 75 and splits["all"].num_examples == 150
    assert pickle.loads(pickle.dumps(splits)) == splits == splits.copy() and splits.copy().dataset_name == "d"
    with pytest.raises(UnexpectedSplitsError, match="trian"):
        splits["trian"]
    with pytest.raises(ValueError, match="already"):
        splits.add(SplitInfo("train"))
    with pytest.raises(ValueError, match="other"):
        splits["name"] = SplitInfo("other")


def test_versions_are_compared() -> None:
    version = Version("1.2.10")
    assert hash(version) == hash("1.2.10") and "1.2.10" in {version: 1}
    assert version == "1.2.10" and version > Version("1.2.9") and version < "1.10.0" and version != "x"
    assert (version.major, version.minor, version.patch) == version.tuple and len({version, Version("1.2.10")}) == 1
    with pytest.raises(ValueError, match="three numbers"):
        Version("1.2")


def test_what_is_known_is_merged_updated_and_written(tmp_path: Path) -> None:
    features = Features({"a": Value("int8")})
    first = DatasetInfo("one", features=features, version="1.0.0", supervised_keys=("a", "b"), license="MIT")
    assert DatasetInfo.from_merge([first, None, first.copy()]) == first
    merged = DatasetInfo.from_merge([first, DatasetInfo("two", license="MIT")])
    assert merged.description == "one\n\ntwo" and merged.license == "MIT" and merged.features is None
    second = DatasetInfo("two")
    second.update(first)
    assert second == first
    first.update(DatasetInfo(), ignore_none=False)
    assert first.features is None
    for folder in (str(tmp_path), f"memory://{tmp_path.name}"):
        second.write_to_directory(folder)
        assert DatasetInfo.from_directory(folder).features == features
    assert (tmp_path / "LICENSE").read_text() == "MIT"


def test_dataset_and_stream_say_the_same_of_themselves() -> None:
    dataset = Dataset.from_dict({"a": [1]}, info=DatasetInfo("what it is", citation="c"), split="train")
    stream = dataset.to_iterable_dataset()
    for name in ("description", "citation", "homepage", "license", "version", "builder_name", "split", "size_in_bytes"):
        assert getattr(stream, name) == getattr(dataset, name), name
    assert dataset.description == "what it is" and dataset.split == NamedSplit("train")
    assert DatasetDict({"train": dataset})["train"].supervised_keys is None
