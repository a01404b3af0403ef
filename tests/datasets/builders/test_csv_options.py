"""Options of the csv builder that other programs' files need."""

from __future__ import annotations

import csv
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from enfold.datasets import Dataset, Features, Value, load_dataset
from enfold.datasets.errors import DatasetGenerationError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))


def test_european_numbers_and_footers(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("n;x\n1;1,5\n2;2,25\nsum;3,75\n")
    path = str(tmp_path / "a.csv")
    rows = load_dataset("csv", data_files=path, sep=";", decimal=",", skipfooter=1, split="train", engine="python")
    assert rows["x"][:] == [1.5, 2.25] and rows["n"][:] == ["1", "2"]


@pytest.mark.parametrize("threads", [1, 2])
def test_values_in_quotes_may_hold_lines_wherever_the_file_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    from enfold.datasets.builders import csv_files

    monkeypatch.setattr(csv_files, "_BLOCK", 200)
    before = pa.cpu_count()
    pa.set_cpu_count(threads)
    try:
        for seed in range(12):
            draw = random.Random(seed)
            texts = [
                "".join(draw.choice(["a", "\n", '"', ",", "\n\n", "x" * 20]) for _ in range(draw.randint(1, 6)))
                for _ in range(draw.randint(1, 150))
            ]
            path = tmp_path / f"{seed}.csv"
            with path.open("w", newline="") as file:
                csv.writer(file).writerows([("n", "t"), *enumerate(texts)])
            rows = load_dataset("csv", data_files=str(path), split="train")
            assert rows["n"][:] == list(range(len(texts))) and rows["t"][:] == texts
    finally:
        pa.set_cpu_count(before)


@pytest.mark.parametrize(
    ("text", "options", "columns"),
    [
        ("a,b\n1,2\n3,4\n", {"index_col": 0}, {"b": [2, 4]}),
        ("a,b,c\n1,2,3\n3,4,5\n", {"index_col": ["a", "b"]}, {"c": [3, 5]}),
        ('a,b\n"1,000",2\n"-3,000,000",4\n', {"thousands": ","}, {"a": [1000, -3000000], "b": [2, 4]}),
        (
            "a;b\n1.000;2,5\nx;4\n",
            {"thousands": ".", "sep": ";", "decimal": ","},
            {"a": ["1.000", "x"], "b": [2.5, 4.0]},
        ),
        ("a;b\ntrue;1.0\n;2\n", {"thousands": " ", "sep": ";"}, {"a": [True, None], "b": [1.0, 2.0]}),
        ("a,b~1,2~3,4~", {"lineterminator": "~"}, {"a": [1, 3], "b": [2, 4]}),
        ("a\tb\n1\t'x\n", {"dialect": "excel-tab"}, {"a": [1], "b": ["'x"]}),
        ("a,b\n1,2\n3,4\n5,6\n", {"skiprows": [1]}, {"a": [3, 5], "b": [4, 6]}),
        ("a,b\n1,2\n3,4\n5,6\n", {"skiprows": lambda n: n % 2 == 1}, {"a": [3], "b": [4]}),
        ("a,b\nx,y\n1,2\n", {"header": [0, 1]}, {"('a', 'x')": [1], "('b', 'y')": [2]}),
        ("1,2\n3,4\n", {"header": None, "prefix": "c"}, {"c0": [1, 3], "c1": [2, 4]}),
        (
            "a,b\n1,2\n,NA\n",
            {"converters": {"a": lambda s: s + "!", 1: len}},
            {"a": ["1!", "!"], "b": [1, 2]},
        ),
        ("a,b\n2020-01-01,2\n", {"date_format": "%Y"}, {"a": ["2020-01-01"], "b": [2]}),
    ],
)
@pytest.mark.parametrize("streaming", [False, True])
def test_every_option_of_read_csv(
    tmp_path: Path, text: str, options: dict[str, Any], columns: dict[str, list[Any]], streaming: bool
) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text)
    rows = list(load_dataset("csv", data_files=str(path), split="train", streaming=streaming, **options))
    assert rows == [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def test_columns_that_are_not_there_and_the_older_name_for_bad_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("abc,b\n1,2\n1,2,3\n")
    rows = load_dataset("csv", data_files=str(path), split="train", error_bad_lines=False, warn_bad_lines=False)
    assert rows[:] == {"abc": [1], "b": [2]}
    path.write_text("abc,b\n1,2\n")
    for options in ({"index_col": "abd"}, {"converters": {"abd": str}}, {"usecols": ["abd"]}):
        with pytest.raises(KeyError, match="did you mean 'abc'"):
            load_dataset("csv", data_files=str(path), **options)


@pytest.mark.parametrize("threads", [1, 2])
def test_large_files_are_read_in_parts_and_give_what_the_whole_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    from enfold.datasets.builders import csv_files

    before = pa.cpu_count()
    pa.set_cpu_count(threads)
    draw = random.Random(0)
    odd: dict[int, list[Any]] = {  # row → what the first part does not lead one to expect
        0: [],
        400: [400, "a", 1.5, "2020-01-01", "a \n line"],
        450: ["x", "a", 1.5, "2020-01-01", "text"],
        470: [470, "", "", "", ""],
        480: [480, "a", "many", "never", "text"],
        490: [490, "a", 1.5, "2020-01-01", 'cut "here"\n'],
        499: [499, "a", 1.5, "2020-01-01", "the end\n"],
    }
    parts = []
    real = csv_files.Builder._in_parts
    monkeypatch.setattr(
        csv_files.Builder, "_in_parts", lambda *given: (parts.append(1) or table for table in real(*given))
    )
    try:
        for number, row in odd.items():
            rows = [[i, draw.choice(["", "b"]), i / 8, f"2020-01-{i % 28 + 1:02d}", "x" * (i % 40)] for i in range(500)]
            rows[number] = row or rows[number]
            if number == 480:
                rows[:300] = [[i, None, None, None, "x"] for i in range(300)]
            path = tmp_path / f"{number}.csv"
            with path.open("w", newline="") as file:
                csv.writer(file).writerows([("n", "empty", "x", "day", "text"), *rows])
            monkeypatch.setattr(csv_files, "_PART", 1 << 30)
            monkeypatch.setattr(csv_files, "_WIDE_PART", 1 << 30)
            whole = load_dataset("csv", data_files=str(path), split="train", keep_in_memory=True)
            assert not parts
            for size in (1000, 2345, 4096):
                monkeypatch.setattr(csv_files, "_PART", size)
                monkeypatch.setattr(csv_files, "_WIDE_PART", size)
                cache = str(tmp_path / f"{number}-{size}")
                made = load_dataset("csv", data_files=str(path), split="train", cache_dir=cache)
                assert parts and made.features == whole.features and made[:] == whole[:]
                parts.clear()
    finally:
        pa.set_cpu_count(before)


def test_a_quote_that_is_never_closed_is_an_error_that_names_its_line(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    for text in ('a,b\n1,x\n2,"y\n3,z\n', 'a,b\n1,"x\n2"\n3,"y', 'a\n1\n"'):
        path.write_text(text)
        with pytest.raises(ValueError, match=r"a\.csv, line [34]: a value begins with '\"' and has no end"):
            load_dataset("csv", data_files=str(path), split="train")
    path.write_text('a,b\n1,"x,"\n2,","\n')
    assert load_dataset("csv", data_files=str(path), split="train")["b"][:] == ["x,", ","]
    path.write_text('a,b\n1,"x\n')
    rows = load_dataset("csv", data_files=str(path), split="train", quoting=csv.QUOTE_NONE)
    assert rows["b"][:] == ['"x']


def test_values_may_be_longer_than_what_the_csv_module_takes_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"a,b\n1,{'x' * 300_000}\n2\n")
    assert [len(text or "") for text in load_dataset("csv", data_files=str(path), split="train")["b"]] == [300_000, 0]


def test_whole_numbers_that_are_written_with_a_point_are_the_integers_of_given_features(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("a,b,c\n1,2.0,9007199254740993\n3,,4\n")
    features = Features({name: Value("int64") for name in "abc"})
    made = Dataset.from_csv(str(path), features=features, cache_dir=str(tmp_path / "cache"))
    assert made[:] == {"a": [1, 3], "b": [2, None], "c": [9007199254740993, 4]}
    path.write_text("a,b,c\n1,2.5,3\n")
    with pytest.raises(DatasetGenerationError):
        Dataset.from_csv(str(path), features=features, cache_dir=str(tmp_path / "cache"))
