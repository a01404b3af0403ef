"""Builders that users write: configurations, splits, caching; and the download manager that they are given."""

from __future__ import annotations

import gzip
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pytest

import enfold.datasets as datasets
from enfold.datasets import Dataset, DownloadManager, DownloadMode, Features, Value, load_dataset
from enfold.datasets.errors import DatasetGenerationError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))


@dataclass
class SquareConfig(datasets.BuilderConfig):
    power: int = 2


class Squares(datasets.GeneratorBasedBuilder):
    """Numbers and their powers."""

    VERSION = datasets.Version("1.2.0")
    BUILDER_CONFIG_CLASS = SquareConfig
    BUILDER_CONFIGS = [SquareConfig(name="squares"), SquareConfig(name="cubes", power=3)]

    def _info(self) -> datasets.DatasetInfo:
        return datasets.DatasetInfo(
            description="powers",
            features=Features({"n": Value("int32"), "label": datasets.ClassLabel(names=["even", "odd"])}),
        )

    def _split_generators(self, dl_manager: DownloadManager) -> list[datasets.SplitGenerator]:
        return [
            datasets.SplitGenerator(name=datasets.Split.TRAIN, gen_kwargs={"rows": range(4)}),
            datasets.SplitGenerator(name="test", gen_kwargs={"rows": range(4, 6)}),
        ]

    def _generate_examples(self, rows: range) -> Iterator[tuple[int, dict[str, Any]]]:
        print("generated")
        for n in rows:
            yield n, {"n": n**self.config.power, "label": "odd" if n % 2 else "even"}


def test_rows_are_generated_once_per_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        builder = Squares(config_name="cubes")
        builder.download_and_prepare()
        dataset = builder.as_dataset()
        assert dataset["train"]["n"][:] == [0, 1, 8, 27] and dataset["test"]["label"][:] == [0, 1]
    assert capsys.readouterr().out.count("generated") == 2, "two splits, once each"
    assert dataset["train"].info.description == "powers" and str(dataset["train"].info.version) == "1.2.0"
    other = Squares(config_name="squares", power=4)
    other.download_and_prepare()
    assert other.as_dataset(split="train[:50%]+test")["n"][:] == [0, 1, 256, 625]
    assert capsys.readouterr().out.count("generated") == 2
    other.download_and_prepare(download_mode=DownloadMode.REUSE_CACHE_IF_EXISTS)
    assert capsys.readouterr().out.count("generated") == 2


def test_configurations_are_checked() -> None:
    with pytest.raises(ValueError, match="squares"):
        Squares()
    with pytest.raises(ValueError, match="did you mean 'cubes'"):
        Squares(config_name="cube")
    with pytest.raises(TypeError, match="did you mean 'power'"):
        Squares(config_name="cubes", powr=1)


class Tables(datasets.ArrowBasedBuilder):
    def _info(self) -> datasets.DatasetInfo:
        return datasets.DatasetInfo()

    def _split_generators(self, dl_manager: DownloadManager) -> list[datasets.SplitGenerator]:
        files = dl_manager.download_and_extract(self.config.data_files)
        return [datasets.SplitGenerator(name, {"files": paths}) for name, paths in files.items()]

    def _generate_tables(self, files: list[str]) -> Iterator[tuple[int, pa.Table]]:
        for number, path in enumerate(files):
            yield number, pa.table({"text": Path(path).read_text().split()})


def test_tables_are_made_of_the_files_that_were_given(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x y")
    with gzip.open(tmp_path / "b.txt.gz", "wt") as file:
        file.write("z")
    builder = Tables(data_files={"train": [str(tmp_path / "a.txt"), str(tmp_path / "b.txt.gz")]})
    builder.download_and_prepare()
    assert builder.as_dataset(split="train")["text"][:] == ["x", "y", "z"]


def test_a_row_without_a_key_is_explained() -> None:
    class Wrong(Squares):
        def _generate_examples(self, rows: range) -> Iterator[Any]:
            yield {"n": 1, "label": 0}

    with pytest.raises(DatasetGenerationError, match="pairs"):
        Wrong(config_name="cubes").download_and_prepare()


def test_the_manager_fetches_unpacks_and_lists(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("in/x.txt", "1")
        archive.writestr("in/y.txt", "2")
    manager = DownloadManager(base_path=str(tmp_path), data_dir="somewhere")
    path = manager.download("a.zip")
    assert [name for name, _ in manager.iter_archive(path)] == ["in/x.txt", "in/y.txt"]
    assert [file.read() for _, file in manager.iter_archive(path)] == [b"1", b"2"]
    folder = manager.extract({"train": [path]})["train"][0]
    assert [Path(file).read_text() for file in manager.iter_files(folder)] == ["1", "2"]
    assert manager.manual_dir == "somewhere" and manager.downloaded_size == (tmp_path / "a.zip").stat().st_size
    assert next(iter(manager.get_recorded_sizes_checksums().values()))["num_bytes"] == manager.downloaded_size
    with pytest.raises(FileNotFoundError, match=r"did you mean 'a.zip'"):
        manager.download("b.zip")


def test_pickled_frames_are_refused_with_advice(tmp_path: Path) -> None:
    import pickle

    (tmp_path / "frame.pkl").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(DatasetGenerationError, match="run whatever code"):
        load_dataset("pandas", data_files=str(tmp_path / "frame.pkl"))
    Dataset.from_dict({"a": [1]}).to_parquet(str(tmp_path / "frame.parquet"))
    assert load_dataset("pandas", data_files=str(tmp_path / "frame.parquet"), split="train")["a"][:] == [1]


CHINESE = [
    {
        "documents": ["男：你今天晚上有空吗？", "女：对不起，我要去机场接朋友。"],
        "document_id": "d1-1",
        "questions": [{"question": "女的晚上要做什么？", "answer": "接朋友", "choice": ["看电影", "接朋友", "去学校"]}],
    },
    {
        "documents": ["男：这本书多少钱？"],
        "document_id": "d1-2",
        "questions": [
            {"question": "男的在哪儿？", "answer": "书店", "choice": ["书店", "饭店"]},
            {"question": "男的想买什么？", "answer": "书", "choice": ["书", "笔", "纸", "本子"]},
        ],
    },
]


def test_a_chinese_multiple_choice_set_loads_and_tokenizes(tmp_path: Path) -> None:
    from enfold.tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    (tmp_path / "c3").mkdir()
    for split, rows in (("train", CHINESE), ("validation", CHINESE[:1])):
        text = json.dumps(rows, ensure_ascii=False)
        (tmp_path / "c3" / f"{split}.json").write_text(text, encoding="utf-8")
    data = load_dataset(str(tmp_path / "c3"))
    assert data["train"].num_rows == 2 and data["validation"].num_rows == 1
    assert data["train"][1]["questions"][1]["choice"] == ["书", "笔", "纸", "本子"]

    characters = sorted({c for row in CHINESE for c in json.dumps(row, ensure_ascii=False)})
    vocabulary = {token: n for n, token in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *characters])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))

    def spread(batch: Any) -> dict[str, list[Any]]:
        first, second, labels = [], [], []
        for documents, questions in zip(batch["documents"], batch["questions"], strict=True):
            for question in questions:
                for choice in question["choice"]:
                    first.append("".join(documents))
                    second.append(question["question"] + choice)
                    labels.append(int(choice == question["answer"]))
        made = [tokenizer.encode(a, b) for a, b in zip(first, second, strict=True)]
        return {"input_ids": [e.ids for e in made], "token_type_ids": [e.type_ids for e in made], "label": labels}

    spread_out = data["train"].map(spread, batched=True, remove_columns=data["train"].column_names)
    assert spread_out.num_rows == 3 + 2 + 4 and sum(spread_out["label"]) == 3
    row = spread_out[0]
    text = "".join(CHINESE[0]["documents"])  # every Chinese character is a token of its own
    assert len(row["input_ids"]) == len(row["token_type_ids"]) == len(text) + len("女的晚上要做什么？看电影") + 3
    assert 1 not in row["input_ids"] and row["token_type_ids"].count(1) == len("女的晚上要做什么？看电影") + 1


def test_archives_in_archives_are_read_and_what_was_unpacked_is_removed(tmp_path: Path) -> None:
    import gzip
    import io
    import tarfile
    import zipfile

    inner, outer = tmp_path / "inner.zip", tmp_path / "outer.tar"
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("a.txt", "1")
        archive.writestr("b.txt", "2")
    with tarfile.open(outer, "w") as tar:
        tar.add(inner, "in/inner.zip")
        member = tarfile.TarInfo("in/last.txt")
        member.size = 1
        tar.addfile(member, io.BytesIO(b"3"))
    manager = DownloadManager()
    found = {}
    for name, file in manager.iter_archive(str(outer)):
        found[name] = [part.read() for _, part in manager.iter_archive(file)] if name.endswith("zip") else file.read()
    assert found == {"in/inner.zip": [b"1", b"2"], "in/last.txt": b"3"}

    packed = tmp_path / "x.txt.gz"
    packed.write_bytes(gzip.compress(b"text"))
    made = [manager.extract(str(packed)), manager.extract(str(inner))]
    assert Path(made[0]).read_bytes() == b"text" and (Path(made[1]) / "a.txt").exists()
    manager.delete_extracted_files()
    assert not any(Path(path).exists() for path in made)


class Repeated(datasets.BuilderConfig):
    def __init__(self, text: str = "a", times: int = 2, **options: Any) -> None:
        super().__init__(**options)
        self.text, self.times = text, times


class Words(datasets.GeneratorBasedBuilder):
    VERSION = "2.0.0"
    BUILDER_CONFIG_CLASS = Repeated

    def _info(self) -> datasets.DatasetInfo:
        return datasets.DatasetInfo(features=Features({"text": Value("string")}))

    def _split_generators(self, manager: Any) -> list[datasets.SplitGenerator]:
        return [datasets.SplitGenerator("train")]

    def _generate_examples(self) -> Iterator[Any]:
        yield 0, {"text": self.config.text * self.config.times}


class Chosen(Words):
    BUILDER_CONFIGS: ClassVar[list[Any]] = [Repeated(name="b", text="b"), Repeated(name="c", text="c")]


def test_configurations_may_have_an_init_of_their_own() -> None:
    def text(builder: Any) -> str:
        builder.download_and_prepare()
        return builder.as_dataset(split="train")["text"][0]

    assert text(Words()) == "aa" and text(Words(text="x", times=3)) == "xxx"
    assert str(Words().config.version) == str(Words().info.version) == "2.0.0"
    assert text(Words(text="y", version="3.0.0")) == "yy", "another table than before"
    assert text(Chosen(config_name="c", times=1)) == "c" and Chosen.BUILDER_CONFIGS[1].times == 2
    with pytest.raises(TypeError, match=r"'time'.*did you mean 'times'"):
        Chosen(config_name="c", time=1)
