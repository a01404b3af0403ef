"""Folders of files: labels, metadata, splits, archives, and what is refused."""

from __future__ import annotations

import io
import json
import os
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from PIL import Image as Pillow

from enfold.datasets import Audio, ClassLabel, DatasetDict, Features, Image, List, Value, load_dataset
from enfold.datasets.errors import DatasetGenerationError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))


def put(path: Path, shade: int = 0) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    Pillow.fromarray(np.full((3, 4, 3), shade, np.uint8)).save(path)
    return str(path)


def shade(image: Any) -> int:
    return int(np.asarray(image)[0, 0, 0])


def load(folder: Path, **options: Any) -> Any:
    return load_dataset("imagefolder", data_dir=str(folder), **options)


@pytest.fixture
def animals(tmp_path: Path) -> Path:
    for split in ("train", "test"):
        for number, label in enumerate(("cat", "dog")):
            for shot in range(2):
                put(tmp_path / "animals" / split / label / f"{shot}.png", 100 * number + shot)
    return tmp_path / "animals"


def test_labels_are_the_folders_and_splits_too(animals: Path) -> None:
    for dataset in (load(animals), load_dataset(str(animals))):
        assert set(dataset) == {"train", "test"}
        assert dataset["train"].features == Features({"image": Image(), "label": ClassLabel(names=["cat", "dog"])})
        assert dataset["train"]["label"][:] == [0, 0, 1, 1]
        assert [shade(image) for image in dataset["test"]["image"]] == [0, 1, 100, 101]


def test_labels_may_be_dropped_or_demanded(animals: Path, tmp_path: Path) -> None:
    assert list(load(animals, drop_labels=True, split="train").features) == ["image"]
    put(tmp_path / "splits" / "train" / "a.png")
    put(tmp_path / "splits" / "test" / "b.png")
    assert list(load(tmp_path / "splits", split="train").features) == ["image"], "splits are no labels"
    put(tmp_path / "flat" / "one" / "a.png")
    assert list(load(tmp_path / "flat", split="train").features) == ["image"], "one label says nothing"
    assert load(tmp_path / "flat", split="train", drop_labels=False).features["label"].names == ["one"]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_metadata_is_joined_by_file_name(kind: str, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    rows = [{"file_name": f"{n}.png", "text": f"number {n}", "score": n / 2} for n in (2, 0, 1)]
    for n in range(3):
        put(folder / f"{n}.png", n)
    if kind == "csv":
        lines = [",".join(map(str, row.values())) for row in rows]
        (folder / "metadata.csv").write_text("\n".join(["file_name,text,score", *lines]) + "\n")
    elif kind == "jsonl":
        (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    else:
        pq.write_table(pa.Table.from_pylist(rows), folder / "metadata.parquet")
    for dataset in (load(folder, split="train"), load_dataset(str(folder), split="train")):
        assert dataset.features == Features({"image": Image(), "text": Value("string"), "score": Value("float64")})
        assert [shade(row["image"]) for row in dataset] == [2, 0, 1]
        assert dataset["text"][:] == ["number 2", "number 0", "number 1"]
    assert list(load(folder, drop_metadata=True, split="train").features) == ["image"]
    kept = load(folder, split="train", filters=[("score", ">", 0.2)])
    assert kept["text"][:] == ["number 2", "number 1"]


def test_metadata_names_several_files_on_several_levels(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    for n in range(3):
        put(folder / "pictures" / f"{n}.png", n)
    rows = [
        {
            "left_file_name": "pictures/0.png",
            "page_file_names": ["pictures/1.png", "pictures/2.png"],
            "parts": [{"file_name": "pictures/2.png", "n": 1}],
        },
        {"left_file_name": None, "page_file_names": [], "parts": []},
    ]
    (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    dataset = load(folder, split="train")
    assert dataset.features == Features(
        {"left": Image(), "page": List(Image()), "parts": List({"image": Image(), "n": Value("int64")})}
    )
    assert shade(dataset[0]["left"]) == 0 and [shade(image) for image in dataset[0]["page"]] == [1, 2]
    assert shade(dataset[0]["parts"][0]["image"]) == 2 and dataset[1] == {"left": None, "page": [], "parts": []}


def test_each_split_has_its_metadata(tmp_path: Path) -> None:
    for split, shades in (("train", (1, 2)), ("test", (3,))):
        for n in shades:
            put(tmp_path / "data" / split / f"{n}.png", n)
        lines = [f"{n}.png,{n}" for n in shades]
        (tmp_path / "data" / split / "metadata.csv").write_text("\n".join(["file_name,n", *lines]))
    dataset = load(tmp_path / "data")
    assert dataset["train"]["n"][:] == [1, 2] and shade(dataset["test"][0]["image"]) == 3


@pytest.mark.parametrize("name", ["../secret.png", "/etc/passwd", "a/../../secret.png", "file:///etc/passwd"])
def test_metadata_never_leaves_its_folder(name: str, tmp_path: Path) -> None:
    put(tmp_path / "secret.png")
    put(tmp_path / "data" / "a.png")
    (tmp_path / "data" / "metadata.jsonl").write_text(json.dumps({"file_name": name}))
    with pytest.raises(DatasetGenerationError, match="no path inside"):
        load(tmp_path / "data")


def test_wrong_metadata_is_explained(tmp_path: Path) -> None:
    put(tmp_path / "data" / "a.png")
    metadata = tmp_path / "data" / "metadata.csv"
    metadata.write_text("filename,n\na.png,1\n")
    with pytest.raises(DatasetGenerationError, match=r"`file_name`.*did you mean 'filename'"):
        load(tmp_path / "data")
    metadata.write_text("file_name,n\nb.png,1\n")
    with pytest.raises(DatasetGenerationError, match=r"row 1: there is no file 'b.png'; did you mean 'a.png'"):
        load(tmp_path / "data")


def test_archives_are_read_as_folders(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number, label in enumerate(("cat", "dog")):
            archive.write(put(tmp_path / "x.png", number), f"{label}/0.png")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.zip").write_bytes(buffer.getvalue())
    for dataset in (load(tmp_path / "data", split="train"), load_dataset(str(tmp_path / "data"), split="train")):
        assert dataset.features["label"].names == ["cat", "dog"]
        assert [(shade(row["image"]), row["label"]) for row in dataset] == [(0, 0), (1, 1)]


@pytest.mark.parametrize("kind", ["zip with ..", "zip with a link", "tar with ..", "tar with a link", "bomb", "broken"])
def test_hostile_archives_are_refused_and_leave_nothing(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "data" / ("evil.tar" if kind.startswith("tar") else "evil.zip")
    path.parent.mkdir()
    if kind == "broken":
        path.write_bytes(b"PK\x03\x04 nothing")
    elif kind.startswith("tar"):
        with tarfile.open(path, "w") as archive:
            member = tarfile.TarInfo("../out.csv" if kind.endswith("..") else "a.csv")
            member.size = 4
            if kind.endswith("link"):
                member.type, member.linkname, member.size = tarfile.SYMTYPE, "/etc/passwd", 0
            archive.addfile(member, io.BytesIO(b"a\n1\n"))
    else:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            info = zipfile.ZipInfo("../out.csv" if kind.endswith("..") else "a.csv")
            if kind.endswith("link"):
                info.external_attr = 0o120777 << 16
            archive.writestr(info, "/etc/passwd")
        if kind == "bomb":
            raw = bytearray(path.read_bytes())
            place = raw.index(b"PK\x01\x02")
            raw[place + 24 : place + 28] = (1 << 31).to_bytes(4, "little")
            path.write_bytes(bytes(raw))
    with pytest.raises((DatasetGenerationError, ValueError)):
        load_dataset("csv", data_files=str(path))
    assert not (tmp_path / "out.csv").exists()
    cache = tmp_path / "cache" / "downloads" / "extracted"
    assert not cache.exists() or not os.listdir(cache)


def test_tables_inside_archives_are_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "rows.zip", "w") as archive:
        archive.writestr("b/two.csv", "a\n2\n")
        archive.writestr("a/one.csv", "a\n1\n")
        archive.writestr("notes.md", "# no data")
    assert load_dataset("csv", data_files=str(tmp_path / "rows.zip"), split="train")["a"][:] == [1, 2]
    with tarfile.open(tmp_path / "rows.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "rows.zip", "x.zip")
        member = tarfile.TarInfo("rows.jsonl")
        member.size = 9
        archive.addfile(member, io.BytesIO(b'{"a": 1}\n'))
    assert load_dataset("json", data_files=str(tmp_path / "rows.tar.gz"), split="train")["a"][:] == [1]


def test_recordings_are_a_folder_too(tmp_path: Path) -> None:
    for label in ("high", "low"):
        (tmp_path / "data" / label).mkdir(parents=True)
        soundfile.write(tmp_path / "data" / label / "a.wav", np.zeros(80, np.float32), 8000)
    for dataset in (
        load_dataset("audiofolder", data_dir=str(tmp_path / "data"), split="train"),
        load_dataset(str(tmp_path / "data"), split="train"),
    ):
        assert dataset.features == Features({"audio": Audio(), "label": ClassLabel(names=["high", "low"])})
        assert dataset[0]["audio"]["array"].shape == (80,)


def test_videos_and_documents_are_columns_of_files(tmp_path: Path) -> None:
    for kind, ending in (("video", "mp4"), ("pdf", "pdf")):
        (tmp_path / kind).mkdir()
        (tmp_path / kind / f"a.{ending}").write_bytes(b"bytes")
        dataset = load_dataset(f"{kind}folder", data_dir=str(tmp_path / kind), split="train")
        assert type(dataset.features[kind]).__name__.lower() == kind
        assert dataset.cast_column(kind, type(dataset.features[kind])(decode=False))[0][kind]["path"].endswith(ending)


def test_a_saved_folder_holds_its_images(animals: Path, tmp_path: Path) -> None:
    load(animals).save_to_disk(str(tmp_path / "saved"))
    for path in animals.rglob("*.png"):
        path.unlink()
    loaded = DatasetDict.load_from_disk(str(tmp_path / "saved"))
    assert [shade(image) for image in loaded["test"]["image"]] == [0, 1, 100, 101]


def test_folders_are_streamed_file_by_file(animals: Path, tmp_path: Path) -> None:
    stream = load_dataset("imagefolder", data_dir=str(animals), split="train", streaming=True)
    rows = list(stream)
    assert [(shade(row["image"]), row["label"]) for row in rows] == [(0, 0), (1, 0), (100, 1), (101, 1)]
    assert not (tmp_path / "cache").exists() or not list((tmp_path / "cache").rglob("*.arrow"))
