"""What a dataset's card says: infos and configurations by name, and splits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from enfold.datasets import DatasetInfo, Features, SplitDict, SplitInfo, Value
from enfold.datasets.info import DatasetInfosDict
from enfold.datasets.utils.hub import hf_dataset_url
from enfold.datasets.utils.metadata import MetadataConfigs
from enfold.datasets.utils.py_utils import NestedDataStructure, asdict, string_to_dict


def test_infos_of_several_configurations_go_through_a_card(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("---\nlicense: mit\n---\n# Title\n")
    infos = DatasetInfosDict(
        {
            "en": DatasetInfo(features=Features({"a": Value("int32")}), dataset_size=42, config_name="other"),
            "default": DatasetInfo(splits=SplitDict.from_split_dict([SplitInfo("train", 8, 2)])),
        }
    )
    infos.write_to_directory(str(tmp_path))
    text = (tmp_path / "README.md").read_text()
    assert "license: mit" in text and text.endswith("# Title\n")
    found = DatasetInfosDict.from_directory(str(tmp_path))
    assert list(found) == ["en", "default"] and found["en"].config_name == "en", "the key is the name"
    assert found["en"].features == infos["en"].features and found["en"].dataset_size == 42
    assert found["default"].splits == infos["default"].splits

    DatasetInfosDict({"de": DatasetInfo(dataset_size=1)}).write_to_directory(str(tmp_path))
    assert list(DatasetInfosDict.from_directory(str(tmp_path))) == ["en", "default", "de"]
    DatasetInfosDict({"de": DatasetInfo(dataset_size=1)}).write_to_directory(str(tmp_path), overwrite=True)
    assert list(DatasetInfosDict.from_directory(str(tmp_path))) == ["de"]


def test_infos_of_one_configuration_are_no_list_and_of_old_datasets_are_json(tmp_path: Path) -> None:
    card: dict[str, object] = {}
    DatasetInfosDict({"default": DatasetInfo(download_size=3)}).to_dataset_card_data(card)
    assert card == {"dataset_info": {"download_size": 3}}
    assert DatasetInfosDict.from_dataset_card_data(card)["default"].download_size == 3
    (tmp_path / "dataset_infos.json").write_text('{"default": {"dataset_size": 7}}')
    assert DatasetInfosDict.from_directory(str(tmp_path))["default"].dataset_size == 7
    assert DatasetInfosDict.from_directory(str(tmp_path / "nowhere")) == {}


def test_configurations_of_a_card_name_their_default() -> None:
    entries = [{"config_name": "a", "data_dir": "a"}, {"config_name": "b", "default": True}]
    configs = MetadataConfigs.from_dataset_card_data({"configs": entries})
    assert configs == {"a": {"data_dir": "a"}, "b": {"default": True}}
    assert configs.get_default_config_name() == "b"
    typed = [{"config_name": "a", "features": [{"name": "x", "dtype": "int64"}]}]
    configs = MetadataConfigs.from_dataset_card_data({"configs": typed})
    assert configs["a"]["features"] == Features({"x": Value("int64")}) and configs.get_default_config_name() == "a"
    card = {"configs": [{"config_name": "z"}]}
    configs.to_dataset_card_data(card)
    assert card == {"configs": [{"config_name": "z"}, *typed]}
    with pytest.raises(ValueError, match="list"):
        MetadataConfigs.from_dataset_card_data({"configs": {"data_dir": "a"}})
    with pytest.raises(ValueError, match="default"):
        MetadataConfigs.from_dataset_card_data({"configs": [e | {"default": True} for e in entries]})


def test_dicts_of_dataclasses_say_what_is_not_the_default() -> None:
    @dataclass
    class Point:
        x: int = 0
        y: int = 0

    assert asdict({"a": [Point(y=2)]}) == {"a": [{"y": 2}]}
    with pytest.raises(TypeError, match="list"):
        asdict([Point()])
    assert asdict(SplitDict({"train": SplitInfo("train")})) == {"train": {"name": "train", "dataset_name": None}}
    info = DatasetInfo.from_dict({"features": {"x": {"dtype": "int8", "_type": "Value"}}})
    texts = dict.fromkeys(("description", "citation", "homepage", "license"), "")
    assert asdict(info) == {**texts, "features": {"x": {"dtype": "int8", "_type": "Value"}}}


def test_nested_data_is_flat_in_order() -> None:
    assert NestedDataStructure({"a": [[1], 2], "b": {"c": 3}}).flatten() == [1, 2, 3]
    assert NestedDataStructure().flatten() == []


def test_fields_of_a_pattern_may_say_how_numbers_are_written() -> None:
    assert string_to_dict("x_00001_of_00002.arrow", "x_{rank:05d}_of_{num_proc:05d}.arrow") == {
        "rank": "00001",
        "num_proc": "00002",
    }
    assert string_to_dict("x.arrow", "x_{rank:05d}.arrow") is None


def test_a_files_address_names_the_revision() -> None:
    assert hf_dataset_url("owner/name", "a b.csv", "v2").endswith("/datasets/owner/name/resolve/v2/a%20b.csv")
