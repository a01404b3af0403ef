"""What a builder says before its files are read, and what happens where the files are not what the card says."""

from __future__ import annotations

from pathlib import Path

import pytest

import enfold.datasets as datasets
from enfold.datasets import Features, Value, load_dataset, load_dataset_builder
from enfold.datasets.errors import (
    ExpectedMoreSplitsError,
    NonMatchingChecksumError,
    NonMatchingSplitsSizesError,
    UnexpectedSplitsError,
)

CARD = """---
dataset_info:
  features:
  - name: number
    dtype: int32
  - name: word
    dtype: string
  splits:
  - name: {split}
    num_bytes: 40
    num_examples: {rows}
  download_size: 12
  dataset_size: 40
---
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    made = tmp_path / "words"
    made.mkdir()
    (made / "train.csv").write_text("number,word\n1,a\n2,b\n")
    return made


def test_a_builder_knows_columns_and_sizes_from_the_card(folder: Path) -> None:
    (folder / "README.md").write_text(CARD.format(split="train", rows=2))
    info = load_dataset_builder(str(folder)).info
    assert info.features == Features({"number": Value("int32"), "word": Value("string")})
    assert info.splits is not None and info.splits["train"].num_examples == 2
    assert (info.download_size, info.dataset_size) == (12, 40)
    assert load_dataset(str(folder), split="train")[1] == {"number": 2, "word": "b"}


def test_a_builder_knows_columns_and_sizes_from_an_earlier_run(folder: Path) -> None:
    first = load_dataset_builder(str(folder))
    assert first.info.features is None and first.info.splits is None
    first.download_and_prepare()
    info = load_dataset_builder(str(folder)).info
    assert info.features == Features({"number": Value("int64"), "word": Value("string")})
    assert info.splits is not None and info.splits["train"].num_examples == 2 and info.dataset_size
    (folder / "train.csv").write_text("number,word\nx,a\n")
    assert load_dataset_builder(str(folder)).info.features is None
    assert load_dataset(str(folder), split="train")[0] == {"number": "x", "word": "a"}


@pytest.mark.parametrize(
    ("split", "rows", "error", "said"),
    [
        ("train", 3, NonMatchingSplitsSizesError, "'train' has 2 rows, not 3"),
        ("test", 2, ExpectedMoreSplitsError, "the splits \\['test'\\], which are not there"),
    ],
)
def test_files_that_are_not_what_the_card_says_are_refused(
    folder: Path, split: str, rows: int, error: type[Exception], said: str
) -> None:
    (folder / "README.md").write_text(CARD.format(split=split, rows=rows))
    for _ in range(2):  # nothing half made is found the second time
        with pytest.raises(error, match=said):
            load_dataset(str(folder))
    assert load_dataset(str(folder), verification_mode="no_checks")["train"].num_rows == 2


def test_a_split_that_the_card_does_not_have_is_refused_also_where_files_are_read_in_place(folder: Path) -> None:
    rows = load_dataset(str(folder), split="train")
    (folder / "train.csv").unlink()
    for split in ("train", "test"):
        rows.to_parquet(folder / f"{split}.parquet")
    (folder / "README.md").write_text(CARD.format(split="train", rows=2))
    with pytest.raises(UnexpectedSplitsError, match="test"):
        load_dataset(str(folder))
    # a part of the files was asked for, of which the card says nothing
    part = load_dataset(str(folder), data_files={"anything": "test.parquet"})
    assert part["anything"].num_rows == 2
    for whole in (".", "./"):
        assert load_dataset(str(folder), data_dir=whole)["test"].num_rows == 2


def test_a_configuration_shows_name_files_and_options(folder: Path) -> None:
    builder = load_dataset_builder("csv", "mine", data_files=str(folder / "train.csv"), sep=";")
    config = builder.config
    assert isinstance(config, datasets.BuilderConfig) and type(config).__name__ == "CsvConfig"
    assert (config.name, config.sep, config.features) == ("mine", ";", None)
    assert config.data_files == {"train": [str(folder / "train.csv")]}


class Described(datasets.GeneratorBasedBuilder):
    """A builder that names the checksum of its file."""

    checksum = ""

    def _info(self) -> datasets.DatasetInfo:
        return datasets.DatasetInfo(
            features=Features({"n": Value("int64")}),
            download_checksums={"numbers.txt": {"num_bytes": 4, "checksum": self.checksum}},
        )

    def _split_generators(self, dl_manager: datasets.DownloadManager) -> list[datasets.SplitGenerator]:
        return [datasets.SplitGenerator("train", {"path": dl_manager.download("numbers.txt")})]

    def _generate_examples(self, path: str):  # type: ignore[no-untyped-def]
        for key, line in enumerate(Path(path).read_text().split()):
            yield key, {"n": int(line)}


def test_checksums_are_compared_where_all_is_to_be_checked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "numbers.txt").write_text("1\n2\n")
    builder = Described(base_path=str(folder))
    builder.download_and_prepare()
    right = builder._fetched.get_recorded_sizes_checksums()["numbers.txt"]["checksum"]
    with pytest.raises(NonMatchingChecksumError, match="numbers"):
        Described(base_path=str(folder)).download_and_prepare(
            download_mode="force_redownload", verification_mode="all_checks"
        )
    monkeypatch.setattr(Described, "checksum", right)
    checked = Described(base_path=str(folder))
    checked.download_and_prepare(download_mode="force_redownload", verification_mode="all_checks")
    assert checked.as_dataset("train")["n"][:] == [1, 2]
