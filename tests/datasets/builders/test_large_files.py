"""Files larger than what is read at a time: JSON and text come in parts, as if they were read as a whole."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enfold.datasets import Dataset, Features, Json, Value, load_dataset
from enfold.datasets.builders import json_files, text_files
from enfold.datasets.builders.json_values import json_rows
from enfold.datasets.errors import DatasetGenerationError

MEASURE = Path(__file__).with_name("measure_reading.py")


@pytest.fixture(autouse=True)
def small_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(json_files, "_PART", 32)
    monkeypatch.setattr(text_files, "_BLOCK", 7)


def load(path: Path, kind: str = "json", **options: Any) -> Dataset:
    return load_dataset(kind, data_files=str(path), split="train", **options)


def lines(folder: Path, rows: list[Any], name: str = "rows.jsonl") -> Path:
    path = folder / name
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    return path


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.gz"])
def test_lines_come_in_parts(tmp_path: Path, name: str) -> None:
    rows = [{"n": i, "text": "é" * (i % 90), "list": [i] * (i % 3), "in": {"x": i / 2}} for i in range(300)]
    dataset = load(lines(tmp_path, rows, name))
    assert dataset.to_list() == rows and dataset.features["in"] == {"x": Value("float64")}


def test_types_that_only_later_rows_tell_are_those_of_all_rows(tmp_path: Path) -> None:
    first = [{"n": 1, "when": "2020-01-01", "none": None, "list": []} for _ in range(20)]
    later = [{"n": 1.5, "when": "a day", "none": "x", "list": [{"a": 1}], "new": True} for _ in range(20)]
    dataset = load(lines(tmp_path, first + later))
    assert {name: str(kind) for name, kind in dataset.features.items()} == {
        "n": "Value('float64')",
        "when": "Value('string')",
        "none": "Value('string')",
        "list": "List({'a': Value('int64')})",
        "new": "Value('bool')",
    }
    assert dataset[0] == {**first[0], "new": None} and dataset[39] == later[0]


def test_values_without_a_common_type_are_json_also_where_they_are_far_apart(tmp_path: Path) -> None:
    rows = [{"a": 1, "day": "2020-01-01"}] * 20 + [{"a": "x", "day": "2020-01-02"}] * 20 + [{"a": [None], "day": "d"}]
    path = lines(tmp_path, rows)
    dataset = load(path)
    assert dataset.features == Features({"a": Json(), "day": Value("string")}) and dataset.to_list() == rows
    with pytest.raises(DatasetGenerationError, match="line 21: column 'a' holds values of several types: int"):
        load(path, on_mixed_types=None)


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.gz"])
def test_a_broken_line_is_named_wherever_it_is(tmp_path: Path, name: str) -> None:
    path = lines(tmp_path, [{"a": i} for i in range(100)], name)
    content = path.read_bytes() if name == "rows.jsonl" else gzip.decompress(path.read_bytes())
    wrong = content.replace(b'{"a": 70}', b'{"a": }')
    path.write_bytes(wrong if name == "rows.jsonl" else gzip.compress(wrong))
    with pytest.raises(DatasetGenerationError, match=r"rows\.jsonl.*, line 71, column 7: no JSON"):
        load(path)
    assert not list((tmp_path / "cache").rglob("*.arrow"))


def test_a_packed_file_that_is_cut_off_is_refused_without_a_trace(tmp_path: Path) -> None:
    path = lines(tmp_path, [{"a": i, "text": str(i**9)} for i in range(5000)], "rows.jsonl.gz")
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(DatasetGenerationError, match="the gzip data is damaged or cut off"):
        load(path)
    assert not list((tmp_path / "cache").rglob("*.arrow"))


@pytest.mark.parametrize("indent", [None, 2])
def test_a_member_is_read_row_by_row(tmp_path: Path, indent: int | None) -> None:
    rows = [{"n": i, "text": "ü" * (i % 50)} for i in range(100)]
    path = tmp_path / "whole.json"
    path.write_text(json.dumps({"before": [[1, {"x": []}]] * 40, "data": rows, "after": {}}, indent=indent))
    assert load(path, field="data").to_list() == rows
    path.write_text(path.read_text()[:-1])
    with pytest.raises(DatasetGenerationError, match="no JSON: expecting ',' or '}', found the end"):
        load(path, field="data")
    path.write_text(json.dumps(rows, indent=indent).replace('"n": 70', '"n" 70'))
    line = 1 if indent is None else 70 * 4 + 3
    with pytest.raises(DatasetGenerationError, match=f"whole.json, line {line}: no JSON: Expecting ':'"):
        load(path)


def test_a_wrong_row_is_found_without_the_rest_of_the_file() -> None:
    pieces = iter(['[{"a": 1}, {"a" 2}, ', *['{"a": 3}, '] * 1000])
    with pytest.raises(DatasetGenerationError, match="line 1: no JSON"):
        list(json_rows(pieces, None, "a.json"))
    assert len(list(pieces)) > 900


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.dictionaries(st.text(max_size=3), VALUES, max_size=3), max_size=6), st.data())
def test_rows_are_the_same_however_the_text_is_cut(rows: list[Any], data: Any) -> None:
    text = json.dumps({"x": rows, "data": rows}, indent=data.draw(st.sampled_from([None, 1])))
    places = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=12)))
    pieces = [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]
    assert list(json_rows(iter(filter(None, pieces)), "data", "a.json")) == rows


@settings(deadline=None, max_examples=60)
@given(st.text(alphabet="ab\n\r é", max_size=60), st.sampled_from(["line", "paragraph", "document"]))
def test_texts_are_the_same_however_they_are_cut(tmp_path_factory: pytest.TempPathFactory, text: str, by: str) -> None:
    path = tmp_path_factory.mktemp("text") / "a.txt"
    path.write_bytes(text.encode())
    plain = text.replace("\r\n", "\n").replace("\r", "\n")
    wanted = {
        "line": plain.removesuffix("\n").split("\n") if plain else [],
        "paragraph": [part for part in plain.split("\n\n") if part],
        "document": [plain],
    }[by]
    assert load(path, "text", sample_by=by, keep_in_memory=True)["text"][:] == wanted


def made(folder: Path, shape: str, megabytes: int) -> tuple[Path, str, str, int]:
    """Write a file of about so many MB, and return it with its builder, its field and the number of its rows."""
    text = " ".join(f"word{i * 7919 % 1000}" for i in range(25))
    rows = [json.dumps({"id": i, "text": text, "tags": [i % 7, i % 3]}) for i in range(5000)]
    count = megabytes * (1 << 20) // sum(map(len, rows)) + 1
    path = folder / f"rows.{'json' if shape == 'member' else shape}"
    with gzip.open(path, "wt", compresslevel=1) if shape.endswith(".gz") else path.open("w") as file:
        file.write('{"version": 1, "data": [' if shape == "member" else "")
        for number in range(count):
            between = ", " if shape == "member" else "\n"
            file.write((between if number else "") + between.join(rows))
        file.write("]}" if shape == "member" else "\n")
    return path, "text" if shape == "txt" else "json", "data" if shape == "member" else "", count * len(rows)


SLOW = pytest.mark.slow


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
@pytest.mark.parametrize(
    ("shape", "megabytes", "shrink", "most"),
    [
        ("jsonl.gz", 40, 16, 30),
        ("txt", 96, 16, 60),
        *(pytest.param(shape, 200, 1, 170, marks=SLOW) for shape in ("jsonl", "jsonl.gz", "member", "txt")),
    ],
)
def test_memory_does_not_grow_with_the_file(tmp_path: Path, shape: str, megabytes: int, shrink: int, most: int) -> None:
    path, kind, field, count = made(tmp_path, shape, megabytes)
    done = subprocess.run(
        [sys.executable, str(MEASURE), kind, str(path), field, str(shrink)],
        capture_output=True,
        text=True,
        env={**os.environ, "HF_DATASETS_CACHE": str(tmp_path / "cache")},
    )
    assert done.returncode == 0, done.stderr
    grown, rows = done.stdout.split()
    assert int(rows) == count and float(grown) < most, f"{grown} MB for a file of {megabytes} MB"
