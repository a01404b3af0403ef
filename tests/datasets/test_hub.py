"""Datasets on a Hub: shared, found again, by configuration, and without the network after the first time."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from enfold.datasets import (
    ClassLabel,
    Dataset,
    DatasetDict,
    Features,
    Value,
    config,
    get_dataset_config_names,
    load_dataset,
)
from enfold.datasets.card import split_card
from enfold.datasets.errors import DatasetNotFoundError
from enfold.hub import HfApi, hf_hub_download


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    from enfold.hubserver import EmbeddedHub

    with EmbeddedHub(tmp_path / "hub", durable=False) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
        monkeypatch.setenv("HF_TOKEN", server.token)
        yield server


FEATURES = Features({"text": Value("string"), "label": ClassLabel(names=["neg", "pos"])})


def reviews(count: int) -> Dataset:
    return Dataset.from_dict(
        {"text": [f"film {i}" for i in range(count)], "label": [i % 2 for i in range(count)]}, FEATURES
    )


def test_what_is_pushed_is_loaded_with_its_features(hub: Any) -> None:
    splits = DatasetDict({"train": reviews(20), "test": reviews(6)})
    splits.push_to_hub("owner/reviews", num_shards={"train": 3})
    files = HfApi().list_repo_files("owner/reviews", repo_type="dataset")
    assert {f"data/train-{i:05d}-of-00003.parquet" for i in range(3)} <= set(files)
    assert "data/test-00000-of-00001.parquet" in files
    back = load_dataset("owner/reviews")
    assert list(back) == ["train", "test"] and back["train"].features == FEATURES
    assert back["train"][:] == splits["train"][:] and back["test"][5] == {"text": "film 5", "label": 1}
    assert load_dataset("owner/reviews", split="train[:10%]+test").num_rows == 8
    header, _ = split_card(Path(hf_hub_download("owner/reviews", "README.md", repo_type="dataset")).read_text())
    assert header["configs"] == [
        {
            "config_name": "default",
            "data_files": [{"split": "train", "path": "data/train-*"}, {"split": "test", "path": "data/test-*"}],
        }
    ]
    assert header["dataset_info"]["features"][1] == {
        "name": "label",
        "dtype": {"class_label": {"names": {"0": "neg", "1": "pos"}}},
    }
    assert [split["num_examples"] for split in header["dataset_info"]["splits"]] == [20, 6]


def test_configurations_and_splits_are_added_and_replaced(hub: Any) -> None:
    reviews(4).push_to_hub("owner/two", "en", split="train", num_shards=2)
    reviews(2).push_to_hub("owner/two", "en", split="test")
    reviews(3).push_to_hub("owner/two", "de", set_default=True)
    assert get_dataset_config_names("owner/two") == ["en", "de"]
    assert load_dataset("owner/two").num_rows == {"train": 3}
    assert load_dataset("owner/two", "en").num_rows == {"train": 4, "test": 2}
    reviews(8).push_to_hub("owner/two", "en", split="train")
    files = HfApi().list_repo_files("owner/two", repo_type="dataset")
    assert sorted(file for file in files if file.startswith("en/train")) == ["en/train-00000-of-00001.parquet"]
    assert load_dataset("owner/two", "en").num_rows == {"train": 8, "test": 2}
    with pytest.raises(ValueError, match="did you mean 'en'"):
        load_dataset("owner/two", "enn")
    with pytest.raises(ValueError, match="other columns"):
        Dataset.from_dict({"x": [1]}).push_to_hub("owner/two", "en")


def test_repositories_of_plain_files_are_loaded_at_a_revision(hub: Any) -> None:
    api = HfApi()
    api.create_repo("owner/plain", repo_type="dataset")
    first = api.upload_file(
        path_or_fileobj=b"a\n1\n", path_in_repo="train.csv", repo_id="owner/plain", repo_type="dataset"
    )
    api.upload_file(path_or_fileobj=b"a\n2\n", path_in_repo="train.csv", repo_id="owner/plain", repo_type="dataset")
    assert load_dataset("owner/plain", split="train")["a"][:] == [2]
    assert load_dataset("owner/plain", split="train", revision=first.oid)["a"][:] == [1]
    assert load_dataset("owner/plain", data_files="train.csv", split="train")["a"][:] == [2]
    address = "hf://datasets/owner/plain/train.csv"
    assert load_dataset("csv", data_files=address, split="train")["a"][:] == [2]
    mapped = load_dataset("owner/plain", split="train").map(lambda row: {"b": row["a"] + 1})
    again = load_dataset("owner/plain", split="train").map(lambda row: {"b": row["a"] + 1})
    assert mapped.cache_files == again.cache_files and again["b"][:] == [3]


def test_an_unknown_repository_is_one_error_that_names_it(hub: Any) -> None:
    with pytest.raises(DatasetNotFoundError, match="there is no dataset 'owner/nothing'"):
        load_dataset("owner/nothing")
    reviews(1).push_to_hub("owner/here")
    with pytest.raises(DatasetNotFoundError, match="revision 'v9'"):
        load_dataset("owner/here", revision="v9")


@pytest.mark.parametrize("variable", ["HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"])
def test_after_the_first_time_no_network_is_needed(hub: Any, variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    reviews(5).push_to_hub("owner/kept")
    first = load_dataset("owner/kept", split="train")
    assert first.num_rows == 5 and not config.HF_DATASETS_OFFLINE
    monkeypatch.setenv(variable, "1")
    monkeypatch.setattr(logging.getLogger("enfold"), "level", logging.ERROR)
    assert load_dataset("owner/kept", split="train")[4] == {"text": "film 4", "label": 0}
    assert load_dataset("owner/kept", split="train")._fingerprint == first._fingerprint
    assert config.HF_DATASETS_OFFLINE


def test_a_configuration_is_deleted_in_a_pull_request(hub: Any) -> None:
    from enfold.datasets.hub import delete_from_hub

    reviews(4).push_to_hub("owner/reviews", "films")
    reviews(6).push_to_hub("owner/reviews", "books")
    with pytest.raises(ValueError, match=r"no configuration 'bookes'.*books"):
        delete_from_hub("owner/reviews", "bookes")
    made = delete_from_hub("owner/reviews", "books")
    assert get_dataset_config_names("owner/reviews") == ["films", "books"]  # the main branch is as it was
    assert get_dataset_config_names("owner/reviews", revision=made.pr_revision) == ["films"]
    files = HfApi().list_repo_files("owner/reviews", repo_type="dataset", revision=made.pr_revision)
    assert [file for file in files if file.endswith(".parquet")] == ["films/train-00000-of-00001.parquet"]
    assert load_dataset("owner/reviews", "films", revision=made.pr_revision)["train"].num_rows == 4
