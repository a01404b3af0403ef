"""From files to datasets and back: kinds of file, splits, folders, errors that name the line."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from enfold.datasets import (
    ClassLabel,
    Dataset,
    DatasetDict,
    Features,
    Json,
    ReadInstruction,
    Value,
    get_dataset_config_names,
    get_dataset_default_config_name,
    get_dataset_split_names,
    load_dataset,
    load_dataset_builder,
    load_from_disk,
)
from enfold.datasets import parquet_source as source_module
from enfold.datasets.data_files import infer_splits, match
from enfold.datasets.errors import DatasetGenerationError, HubUnreachableError, UnexpectedSplitsError


def write(folder: Path, name: str, text: str) -> str:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="")
    return str(path)


def load(kind: str, path: Any, **options: Any) -> Dataset:
    return load_dataset(kind, data_files=path, split="train", **options)


def test_csv_types_and_names_follow_the_ecosystem(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", 'a,b,c,,a\n1,x,2020-01-01,1.5,True\n,NA,12:30,2,\n3,"q, ""z""\nnext",,,False\n')
    dataset = load("csv", path)
    assert dataset.features == Features(
        {
            "a": Value("float64"),
            "b": Value("string"),
            "c": Value("string"),
            "Unnamed: 3": Value("float64"),
            "a.1": Value("bool"),
        }
    )
    assert dataset["b"][:] == ["x", None, 'q, "z"\nnext'] and dataset["c"][:] == ["2020-01-01", "12:30", None]
    assert load("csv", path, keep_default_na=False, dtype="string")["b"][1] == "NA"
    assert load("csv", path, usecols=["b"]).column_names == ["b"] and len(load("csv", path, nrows=1)) == 1


def test_csv_options(tmp_path: Path) -> None:
    path = write(tmp_path, "a.tsv", "# a note\nx\ty\n1\ta\n\n2\tb\n")
    assert load("csv", path, sep="\t", comment="#")[:] == {"x": [1, 2], "y": ["a", "b"]}
    assert load("csv", path, sep="\t", skiprows=1, names=["u", "v"], header=0).column_names == ["u", "v"]
    bare = write(tmp_path, "b.csv", "1;2\n3;4\n")
    assert load("csv", bare, sep=";", header=None)[:] == {"0": [1, 3], "1": [2, 4]}
    assert load("csv", bare, sep=";", column_names=["p", "q"])[:] == {"p": [1, 3], "q": [2, 4]}
    latin = tmp_path / "c.csv"
    latin.write_bytes("t\ncafé\n".encode("latin-1"))
    assert load("csv", str(latin), encoding="latin-1")["t"][:] == ["café"]
    with pytest.raises(DatasetGenerationError, match=r"c\.csv, line 2: not UTF-8 text"):
        load("csv", str(latin))
    short = write(tmp_path, "d.csv", "x,y\n1,2\n3\n")
    assert load("csv", short)[:] == {"x": [1, 3], "y": [2.0, None]}
    with pytest.raises(TypeError, match="no option 'seperator'"):
        load("csv", bare, seperator=";")
    packed = tmp_path / "e.csv.gz"
    packed.write_bytes(gzip.compress(b"x\n1\n"))
    assert load("csv", str(packed))["x"][:] == [1]


def test_a_bad_row_is_named_by_file_and_line(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", 'x,y\n1,"two\nlines"\n2,b\n3,c,d\n')
    with pytest.raises(DatasetGenerationError, match=r"a\.csv, line 5: 3 values for 2 columns \(x, y\)"):
        load("csv", path)
    assert load("csv", path, on_bad_lines="skip")["x"][:] == [1, 2]
    typed = write(tmp_path, "b.csv", "x\n1\n2\nthree\n")
    with pytest.raises(DatasetGenerationError, match=r"b\.csv, line 4, column 'x': 'three' is no int64"):
        load("csv", typed, features=Features({"x": Value("int64")}))
    lines = write(tmp_path, "a.jsonl", '{"a": 1}\n\n{"a": }\n')
    with pytest.raises(DatasetGenerationError, match=r"a\.jsonl, line 3, column 7: no JSON"):
        load("json", lines)
    scalar = write(tmp_path, "b.jsonl", '{"a": 1}\n3\n')
    with pytest.raises(DatasetGenerationError, match=r"b\.jsonl, line 2: a row is an object, not int"):
        load("json", scalar)
    mixed = write(tmp_path, "c.jsonl", '{"a": 1}\n{"a": "x"}\n')
    with pytest.raises(
        DatasetGenerationError, match=r"c\.jsonl, line 2: column 'a' holds values of several types: int, str"
    ):
        load("json", mixed, on_mixed_types=None)
    with pytest.raises(DatasetGenerationError, match="no Parquet file"):
        load("parquet", path)
    cache = Path(os.environ["HF_HOME"]) / "datasets"
    assert not [name for _, folders, files in os.walk(cache) for name in [*folders, *files] if "incomplete" in name]


def test_json_in_all_its_shapes(tmp_path: Path) -> None:
    rows = [{"a": 1, "n": {"x": [1, 2]}}, {"a": 2, "n": None}]
    lines = write(tmp_path, "a.json", "\n".join(map(json.dumps, rows)))
    array = write(tmp_path, "b.json", json.dumps(rows, indent=2))
    inside = write(tmp_path, "c.json", json.dumps({"version": 1, "data": rows}))
    columns = write(tmp_path, "d.json", json.dumps({"data": {"a": [1, 2], "b": ["x", "y"]}}))
    for path, field in ((lines, None), (array, None), (inside, "data")):
        assert load("json", path, field=field).to_list() == rows
    assert load("json", columns, field="data")[:] == {"a": [1, 2], "b": ["x", "y"]}
    with pytest.raises(DatasetGenerationError, match="no field 'dta'; did you mean 'data'"):
        load("json", inside, field="dta")
    mixed = load("json", write(tmp_path, "m.json", '{"a": 1}\n{"a": {"b": []}}\n'))
    assert mixed.features == {"a": Json()} and mixed["a"][:] == [1, {"b": []}]
    long = write(tmp_path, "l.jsonl", "\n".join(json.dumps({"t": "x" * n}) for n in (10, 3_000_000, 5)))
    assert [len(t) for t in load("json", long)["t"]] == [10, 3_000_000, 5]
    text = write(tmp_path, "t.jsonl", '{"t": "2020-01-01"}\n')
    assert load("json", text, features=Features({"t": Value("string")}))["t"][:] == ["2020-01-01"]


def test_text_by_line_paragraph_and_document(tmp_path: Path) -> None:
    path = write(tmp_path, "a.txt", "one\r\ntwo\n\nthree")
    assert load("text", path)["text"][:] == ["one", "two", "", "three"]
    assert load("text", path, keep_linebreaks=True)["text"][0] == "one\n"
    assert load("text", path, sample_by="paragraph")["text"][:] == ["one\ntwo", "three"]
    assert len(load("text", path, sample_by="document")) == 1


def test_parquet_is_read_in_place_a_row_group_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_module, "PARQUET_CACHE_BYTES", 2000)
    table = pa.table({"i": np.arange(1000), "l": [[i] * (i % 4) for i in range(1000)]})
    pq.write_table(table.slice(0, 600), tmp_path / "a.parquet", row_group_size=100)
    pq.write_table(table.slice(600), tmp_path / "b.parquet", row_group_size=64)
    dataset = load("parquet", [str(tmp_path / "a.parquet"), str(tmp_path / "b.parquet")])
    assert [os.path.basename(file["filename"]) for file in dataset.cache_files] == ["a.parquet", "b.parquet"]
    assert not os.path.exists(dataset._cache_dir or ""), "nothing is written beside the files"
    assert dataset.to_list() == table.to_pylist()
    rows = np.random.default_rng(0).permutation(1000)
    assert dataset.shuffle(seed=1)["i"][:] == np.random.default_rng(1).permutation(1000).tolist()
    assert dataset[rows]["l"] == [[i] * (i % 4) for i in rows.tolist()]
    assert dataset[599:602]["i"] == [599, 600, 601] and dataset[999] == {"i": 999, "l": [999] * 3}
    renamed = dataset.rename_column("i", "j").select(range(590, 610)).remove_columns("l")
    assert renamed[10] == {"j": 600} and renamed["j"][:3] == [590, 591, 592]
    store = dataset._source._store  # type: ignore[attr-defined]
    assert store._size <= 2000 + 2000 and len(store._kept) < 16
    only = load("parquet", str(tmp_path / "a.parquet"), columns=["i"], filters=[("i", ">", 597)])
    assert only[:] == {"i": [598, 599]}
    mapped = dataset.map(lambda b: {"d": [i * 2 for i in b["i"]]}, batched=True)
    assert mapped["d"][-1] == 1998 and os.path.exists(mapped.cache_files[0]["filename"])


def test_tables_are_mapped_and_made_once(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "a\n1\n")
    dataset = load("csv", path)
    file = dataset.cache_files[0]["filename"]
    changed = os.stat(file).st_mtime_ns
    assert load("csv", path).cache_files == dataset.cache_files and os.stat(file).st_mtime_ns == changed
    load("csv", path, download_mode="force_redownload")
    assert os.stat(file).st_mtime_ns != changed
    write(tmp_path, "a.csv", "a\n10\n")
    assert load("csv", path)["a"][:] == [10]
    assert not load("csv", path, keep_in_memory=True).cache_files
    assert load("arrow", file)["a"][:] == [1] and Dataset.from_file(file)["a"][:] == [1]


def test_splits_are_picked_by_instructions(tmp_path: Path) -> None:
    files = {
        "train": write(tmp_path, "a.txt", "\n".join(map(str, range(200)))),
        "test": write(tmp_path, "b.txt", "\n".join(map(str, range(200, 250)))),
    }

    def rows(split: Any) -> list[int]:
        return [int(text) for text in load_dataset("text", data_files=files, split=split)["text"]]

    assert rows("train[:10%]") == list(range(20)) and rows("train[10:12]") == [10, 11]
    assert rows("train[-2:]+test[:1]") == [198, 199, 200] and rows("test[50%:]") == list(range(225, 250))
    assert rows("all") == list(range(250)) and len(rows("train+test")) == 250
    assert rows(ReadInstruction("train", to=1, unit="%") + ReadInstruction("test", from_=-1)) == [0, 1, 249]
    assert rows("train[:33%](pct1_dropremainder)") == list(range(66))
    both = load_dataset("text", data_files=files, split=["train[:1]", "test[:2]"])
    assert [len(part) for part in both] == [1, 2] and str(both[0].split) == "train[:1]"
    with pytest.raises(
        UnexpectedSplitsError, match=r"Unknown split 'tset'\. Should be one of \['train', 'test'\]; did"
    ):
        rows("tset")
    with pytest.raises(ValueError, match=r"Unrecognized instruction format: 'train\[:10'"):
        rows("train[:10")
    assert rows("train[198:300]") == [198, 199] and rows("train[300:]") == [] and len(rows("train[-300:]")) == 200
    with pytest.raises(ValueError, match="mixes rows and percent"):
        rows("train[10:20%]")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (
            [
                "data/train-00000-of-00002.parquet",
                "data/train-00001-of-00002.parquet",
                "data/my_split-00000-of-00001.parquet",
            ],
            {"train": 2, "my_split": 1},
        ),
        (["train/a.csv", "dev/b.csv", "other/c.csv"], {"train": 1, "validation": 1}),
        (["my-training-set.csv", "eval_1.csv", "trainer.csv"], {"train": 1, "test": 1}),
        (["a.csv", "sub/b.csv", "README.md"], {"train": 2}),
        (["README.md"], {}),
    ],
)
def test_splits_are_told_by_names(names: list[str], expected: dict[str, int]) -> None:
    assert {split: len(files) for split, files in infer_splits(names).items()} == expected


def test_patterns() -> None:
    names = ["a.csv", "d/b.csv", "d/e/c.csv", "d/x1.txt", "d/x2.txt"]
    assert match("*.csv", names) == ["a.csv"] and match("**/*.csv", names) == names[:3]
    assert match("d/**", names) == names[1:] and match("d/x[!1].txt", names) == ["d/x2.txt"]
    assert match("d/x?.txt", names) == names[3:]


def test_a_folder_is_loaded_by_what_lies_in_it(tmp_path: Path) -> None:
    write(tmp_path, "train.csv", "a,label\n1,pos\n2,neg\n")
    write(tmp_path, "test.csv", "a,label\n3,pos\n")
    splits = load_dataset(str(tmp_path))
    assert splits.num_rows == {"train": 2, "test": 1} and splits["test"].cache_files[0]["filename"].endswith(
        "-test.arrow"
    )
    assert load_dataset(str(tmp_path / "test.csv"), split="train")["a"][:] == [3]
    write(tmp_path, "en/part.jsonl", '{"t": "x"}\n')
    assert load_dataset(str(tmp_path), data_dir="en", split="train")["t"][:] == ["x"]
    assert load_dataset(str(tmp_path), data_files={"mine": "t*.csv"}, split="mine").num_rows == 3
    assert load_dataset("csv", data_dir=str(tmp_path)).num_rows == {"train": 2, "test": 1}
    with pytest.raises(FileNotFoundError, match=r"Unable to find 'tset\.csv'.*did you mean 'test\.csv'"):
        load_dataset(str(tmp_path), data_files="tset.csv")
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        load_dataset(str(tmp_path / "nope"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="no data file"):
        load_dataset(str(tmp_path / "empty"))


_CARD = """---
license: mit
configs:
- config_name: en
  default: true
  data_files:
  - split: train
    path: data/en-*.csv
- config_name: de
  data_files: data/de.csv
  sep: ";"
dataset_info:
- config_name: en
  features:
  - name: t
    dtype: string
  - name: label
    dtype:
      class_label:
        names:
          '0': neg
          '1': pos
---
# About
"""


def test_a_cards_configurations_are_followed(tmp_path: Path) -> None:
    write(tmp_path, "README.md", _CARD)
    write(tmp_path, "data/en-1.csv", "t,label\n007,pos\n")
    write(tmp_path, "data/en-2.csv", "t,label\n8,0\n")
    write(tmp_path, "data/de.csv", "t;label\nx;y\n")
    english = load_dataset(str(tmp_path), split="train")
    assert english.features == Features(t=Value("string"), label=ClassLabel(names=["neg", "pos"]))
    assert english[:] == {"t": ["007", "8"], "label": [1, 0]} and english.info.license == "mit"
    assert load_dataset(str(tmp_path), "de", split="train")[:] == {"t": ["x"], "label": ["y"]}
    assert get_dataset_config_names(str(tmp_path)) == ["en", "de"]
    assert get_dataset_default_config_name(str(tmp_path)) == "en"
    assert get_dataset_split_names(str(tmp_path), "de") == ["train"]
    assert load_dataset_builder(str(tmp_path), "en").info.features == english.features
    with pytest.raises(ValueError, match=r"BuilderConfig 'dee' not found.*\['en', 'de'\]; did you mean 'de'"):
        load_dataset(str(tmp_path), "dee")
    write(tmp_path, "README.md", _CARD.replace("  default: true\n", ""))
    with pytest.raises(ValueError, match="pick one of"):
        load_dataset(str(tmp_path))


def test_files_that_do_not_fit_together_are_named(tmp_path: Path) -> None:
    write(tmp_path, "1.csv", "a,b\n1,2\n")
    write(tmp_path, "2.csv", "a,c\n1,2\n")
    with pytest.raises(DatasetGenerationError, match=r"2\.csv"):
        load_dataset(str(tmp_path))
    features = Features({"a": Value("int64"), "label": ClassLabel(names=["x"])})
    path = write(tmp_path, "3.csv", "a,label\n1,y\n")
    with pytest.raises(DatasetGenerationError, match=r"3\.csv: column 'label'.*'y' is not one of the 1 labels"):
        load("csv", path, features=features)


def test_saved_datasets_come_back_mapped(tmp_path: Path) -> None:
    features = Features({"label": ClassLabel(names=["n", "p"]), "l": [Value("int8")]})
    dataset = Dataset.from_dict({"label": [0, 1, 1], "l": [[1], [], [2, 3]]}, features, split="test").shuffle(seed=0)
    dataset.set_format("numpy", columns=["label"])
    dataset.save_to_disk(str(tmp_path / "one"), num_shards=2)
    back = load_from_disk(str(tmp_path / "one"))
    assert sorted(os.listdir(tmp_path / "one"))[:2] == ["data-00000-of-00002.arrow", "data-00001-of-00002.arrow"]
    assert back.features == features and back.split == "test" and back.format == dataset.format
    assert back._fingerprint == dataset._fingerprint and len(back.cache_files) == 2
    assert back.with_format(None)[:] == dataset.with_format(None)[:]
    splits = DatasetDict({"train": dataset, "test": dataset.select([0])})
    splits.save_to_disk(str(tmp_path / "dict"))
    again = load_from_disk(str(tmp_path / "dict"))
    assert again.num_rows == {"train": 3, "test": 1}
    again["train"].with_format(None).map(lambda row: {"x": 1})
    assert any(name.startswith("cache-") for name in os.listdir(tmp_path / "dict" / "train"))
    again["test"].save_to_disk(str(tmp_path / "one"))  # replaces what was there
    assert len(load_from_disk(str(tmp_path / "one"))) == 1
    with pytest.raises(ValueError, match="load_from_disk"):
        load_dataset(str(tmp_path / "dict"))
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*did you mean 'dict'"):
        load_from_disk(str(tmp_path / "dictt"))
    state = json.loads((tmp_path / "one" / "state.json").read_text())
    state["_data_files"] = [{"filename": "../dict/train/data-00000-of-00001.arrow"}]
    (tmp_path / "one" / "state.json").write_text(json.dumps(state))
    with pytest.raises(FileNotFoundError, match="is not in the folder"):
        load_from_disk(str(tmp_path / "one"))


def test_files_are_written_and_read_again(tmp_path: Path) -> None:
    dataset = Dataset.from_dict({"t": ['a,"b"\n', None], "f": [0.1, None], "l": [[1, 2], []], "b": [True, False]})
    dataset.to_json(str(tmp_path / "a.jsonl"))
    assert Dataset.from_json(str(tmp_path / "a.jsonl"))[:] == dataset[:]
    assert json.loads((tmp_path / "a.jsonl").read_text().splitlines()[0])["l"] == [1, 2]
    dataset.to_json(str(tmp_path / "b.json"), lines=False)
    assert json.loads((tmp_path / "b.json").read_text()) == dataset.to_list()
    plain = dataset.remove_columns("l")
    size = plain.to_csv(str(tmp_path / "a.csv"))
    assert size == (tmp_path / "a.csv").stat().st_size and Dataset.from_csv(str(tmp_path / "a.csv"))[:] == plain[:]
    dataset.to_parquet(str(tmp_path / "a.parquet"))
    assert Dataset.from_parquet(str(tmp_path / "a.parquet")).features == dataset.features
    Path(tmp_path / "t.txt").write_text("x\ny\n")
    assert DatasetDict.from_text({"train": str(tmp_path / "t.txt")})["train"]["text"][:] == ["x", "y"]
    with pytest.raises(ValueError, match="no size"):
        dataset.save_to_disk(str(tmp_path / "x"), max_shard_size="500 apples")
    assert not (tmp_path / "x").exists()


def test_generators_are_run_once(tmp_path: Path) -> None:
    calls = tmp_path / "calls"

    def rows(count: int) -> Any:
        with open(calls, "a") as file:
            file.write("x")
        for i in range(count):
            yield {"i": i, "t": str(i)} if i else {"i": i}

    first = Dataset.from_generator(rows, gen_kwargs={"count": 2500})
    assert first["i"][:] == list(range(2500)) and first[0]["t"] is None and first[9]["t"] == "9"
    assert Dataset.from_generator(rows, gen_kwargs={"count": 2500})._fingerprint == first._fingerprint
    assert calls.read_text() == "x"
    assert len(Dataset.from_generator(rows, gen_kwargs={"count": 3})) == 3 and calls.read_text() == "xx"


def test_without_a_network_an_unknown_name_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(HubUnreachableError, match="'someone/something' is not on this machine"):
        load_dataset("someone/something")


def test_damaged_files_are_named_with_the_place(tmp_path: Path) -> None:
    import gzip

    from enfold.datasets.errors import DatasetGenerationError

    Dataset.from_dict({"a": list(range(5000)), "s": ["x" * 20] * 5000}).to_parquet(
        str(tmp_path / "whole.parquet"), batch_size=1000
    )
    data = bytearray((tmp_path / "whole.parquet").read_bytes())
    (tmp_path / "cut.parquet").write_bytes(data[: len(data) // 2])
    data[len(data) // 2 : len(data) // 2 + 100] = b"\xff" * 100
    (tmp_path / "damaged.parquet").write_bytes(data)
    packed = gzip.compress(b"".join(b'{"a": %d}\n' % i for i in range(5000)))
    (tmp_path / "cut.jsonl.gz").write_bytes(packed[: len(packed) // 2])

    def read(kind: str, name: str) -> int:
        dataset = load_dataset(kind, data_files=str(tmp_path / name), split="train", cache_dir=str(tmp_path / "c"))
        return sum(len(batch["a"]) for batch in dataset.iter(1000))

    assert read("parquet", "whole.parquet") == 5000
    with pytest.raises(DatasetGenerationError, match=r"cut\.parquet: no Parquet file"):
        read("parquet", "cut.parquet")
    with pytest.raises(DatasetGenerationError, match=r"damaged\.parquet, row group \d \(rows \d+ to \d+\): damaged"):
        read("parquet", "damaged.parquet")
    with pytest.raises(DatasetGenerationError, match=r"cut\.jsonl\.gz: the gzip data is damaged or cut off"):
        read("json", "cut.jsonl.gz")


def test_tables_are_prepared_for_other_programs(tmp_path: Path) -> None:
    import fsspec

    path = str(tmp_path / "a.csv")
    Dataset.from_dict({"n": list(range(1000)), "t": ["x" * 100] * 1000}).to_csv(path)
    builder = load_dataset_builder("csv", data_files=path, cache_dir=str(tmp_path / "cache"))
    folder = tmp_path / "out"
    builder.download_and_prepare(str(folder), file_format="parquet")
    assert pq.read_table(folder / "csv-train.parquet").column("n").to_pylist() == list(range(1000))
    assert sorted(file.name for file in folder.iterdir()) == ["csv-train.parquet", "dataset_info.json"]
    address = f"memory://{tmp_path.name}/out"
    for kind in ("parquet", "arrow"):
        builder.download_and_prepare(address, file_format=kind, max_shard_size="40KB")
        system = fsspec.filesystem("memory")
        names = sorted(name for name in system.ls(address, detail=False) if name.endswith(kind))
        assert len(names) == 3 and names[1].endswith(f"csv-train-00001-of-00003.{kind}")
        read = pq.read_table if kind == "parquet" else lambda file: pa.ipc.open_stream(file).read_all()
        rows = [n for name in names for n in read(system.open(name)).column("n").to_pylist()]
        assert rows == list(range(1000))
    with pytest.raises(ValueError, match="file_format"):
        builder.download_and_prepare(str(folder), file_format="csv")
    stream = builder.as_streaming_dataset("train[:3]")
    assert [row["n"] for row in stream] == [0, 1, 2]
