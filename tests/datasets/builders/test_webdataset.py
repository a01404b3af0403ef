"""WebDataset archives: rows by base name, fields by ending."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from enfold.datasets import Features, Image, List, Value, load_dataset
from enfold.datasets.errors import DatasetGenerationError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))


def png(value: int) -> bytes:
    buffer = io.BytesIO()
    Pillow.fromarray(np.full((2, 2, 3), value, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def npy(value: int) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array([value, value], np.float32))
    return buffer.getvalue()


def write(path: Path, members: list[tuple[str, bytes]], mode: str = "w") -> str:
    with tarfile.open(path, mode) as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return str(path)


def row(n: int) -> list[tuple[str, bytes]]:
    return [
        (f"part/{n:03d}.png", png(n)),
        (f"part/{n:03d}.json", json.dumps({"n": n}).encode()),
        (f"part/{n:03d}.cls", str(n).encode()),
        (f"part/{n:03d}.txt.gz", gzip.compress(f"number {n}".encode())),
        (f"part/{n:03d}.left.npy", npy(n)),
    ]


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_rows_are_the_files_of_a_base_name(mode: str, tmp_path: Path) -> None:
    paths = [
        write(tmp_path / f"{k}.tar", [member for n in range(2 * k, 2 * k + 2) for member in row(n)], mode)
        for k in range(2)
    ]
    dataset = load_dataset("webdataset", data_files=paths, split="train")
    assert dataset.features == Features(
        {
            "png": Image(),
            "json": {"n": Value("int64")},
            "cls": Value("int64"),
            "txt.gz": Value("string"),
            "left.npy": List(Value("float32")),
            "__key__": Value("string"),
            "__url__": Value("string"),
        }
    )
    assert len(dataset) == 4 and dataset["__key__"][:] == [f"part/{n:03d}" for n in range(4)]
    last = dataset[3]
    assert np.asarray(last["png"])[0, 0, 0] == 3 and last["json"] == {"n": 3} and last["cls"] == 3
    assert last["txt.gz"] == "number 3" and last["left.npy"] == [3.0, 3.0] and last["__url__"] == paths[1]
    assert dataset.cast_column("png", Image(decode=False))[0]["png"]["path"] == "part/000.png"


def test_a_folder_of_archives_is_told_by_its_files(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    write(tmp_path / "data" / "train-0.tar", row(0))
    write(tmp_path / "data" / "test-0.tar", row(1))
    dataset = load_dataset(str(tmp_path / "data"))
    assert dataset["train"]["cls"][:] == [0] and dataset["test"]["cls"][:] == [1]


def test_archives_that_are_none_are_explained(tmp_path: Path) -> None:
    other = write(tmp_path / "other.tar", [("a.txt", b"x"), ("b.csv", b"y")])
    with pytest.raises(DatasetGenerationError, match="do not share"):
        load_dataset("webdataset", data_files=other)
    twice = write(tmp_path / "twice.tar", [("a.txt", b"x"), ("a.txt", b"y")])
    with pytest.raises(DatasetGenerationError, match="twice"):
        load_dataset("webdataset", data_files=twice)
    whole = Path(write(tmp_path / "whole.tar", row(0) + row(1))).read_bytes()
    (tmp_path / "cut.tar").write_bytes(whole[:2500])
    with pytest.raises(DatasetGenerationError, match=r"cut\.tar"):
        load_dataset("webdataset", data_files=str(tmp_path / "cut.tar"))
    pickled = io.BytesIO()
    np.save(pickled, np.array([{"a": 1}], object), allow_pickle=True)
    unsafe = write(tmp_path / "unsafe.tar", [("a.npy", pickled.getvalue())])
    with pytest.raises(DatasetGenerationError, match="allow_pickle"):
        load_dataset("webdataset", data_files=unsafe)


def test_archives_are_streamed(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{k}.tar", row(k)) for k in range(2)]
    rows = list(load_dataset("webdataset", data_files=paths, split="train", streaming=True))
    assert [r["cls"] for r in rows] == [0, 1] and np.asarray(rows[1]["png"])[0, 0, 0] == 1
