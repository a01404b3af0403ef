"""The fixtures that datasets' tests ask for: small files of each kind, and two file systems that keep no secrets."""

from __future__ import annotations

import bz2
import csv
import gzip
import json
import lzma
import sqlite3
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import datasets
import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.registry import _registry as OPENED

from .utils import MockFileSystem, TmpFileSystem

try:  # the peer starts a new interpreter for each process in places: seconds each, where torch and TensorFlow are there
    import multiprocess

    _FORK = multiprocess.get_context("fork")
    multiprocess.get_context = lambda method=None: _FORK
except (ModuleNotFoundError, AttributeError):
    pass

TEXT = "    Text data.\n    Second line of data."
ROWS = [{"col_1": str(i), "col_2": i, "col_3": float(i)} for i in range(4)]
COLUMNS = {name: [row[name] for row in ROWS] for name in ROWS[0]}
Folder = Callable[[], Path]


def pytest_configure(config: pytest.Config) -> None:
    """Know the marks that the tests carry."""
    for mark in ("unit", "integration"):
        config.addinivalue_line("markers", f"{mark}: of the suite")


@pytest.fixture(scope="session", autouse=True)
def quiet() -> None:
    """Draw no progress bars."""
    datasets.disable_progress_bars()


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """Return a maker of empty folders."""
    return lambda: tmp_path_factory.mktemp("data")


def _file_system(system: type[MockFileSystem], root: Path) -> Iterator[MockFileSystem]:
    fsspec.register_implementation(system.protocol, system, clobber=True)
    try:
        yield system(local_root_dir=str(root))
    finally:
        OPENED.pop(system.protocol, None)


@pytest.fixture
def mockfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MockFileSystem]:
    """A file system of ``mock://``, which knows where its files lie only from its options."""
    yield from _file_system(MockFileSystem, tmp_path_factory.mktemp("mockfs"))


@pytest.fixture
def tmpfs(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[MockFileSystem]:
    """A file system of ``tmp://``, which needs no options."""
    root = tmp_path_factory.mktemp("tmpfs")
    monkeypatch.setattr(TmpFileSystem.__init__, "__kwdefaults__", {"local_root_dir": str(root)})
    TmpFileSystem.clear_instance_cache()
    yield from _file_system(TmpFileSystem, root)


@pytest.fixture
def set_sqlalchemy_silence_uber_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let SQLAlchemy say nothing of its next version."""
    monkeypatch.setenv("SQLALCHEMY_SILENCE_UBER_WARNING", "1")


@pytest.fixture(scope="session")
def dataset() -> Any:
    """Ten rows with strings, classes, a nested column and numbers."""
    from datasets import ClassLabel, Dataset, Features, List, Value

    features = Features(
        {
            "tokens": List(Value("string")),
            "labels": List(ClassLabel(names=["negative", "positive"])),
            "answers": {"text": List(Value("string")), "answer_start": List(Value("int32"))},
            "id": Value("int64"),
        }
    )
    columns = {
        "tokens": [["word"] * 5] * 10,
        "labels": [[1] * 5] * 10,
        "answers": [{"answer_start": [97], "text": ["1976"]}] * 10,
        "id": list(range(10)),
    }
    return Dataset.from_dict(columns, features=features)


@pytest.fixture(scope="session")
def arrow_file(folder: Folder, dataset: Any) -> str:
    """The rows in a file of a cache."""
    path = str(folder() / "file.arrow")
    dataset.map(cache_file_name=path)
    return path


def _written(path: Path, content: bytes, opener: Callable[[Path, str], Any] = open) -> Path:
    with opener(path, "wb") as file:
        file.write(content)
    return path


@pytest.fixture(scope="session")
def text_file(folder: Folder) -> Path:
    """Two lines."""
    return _written(folder() / "file.txt", TEXT.encode())


@pytest.fixture(scope="session")
def gz_file(folder: Folder) -> str:
    """Two lines under gzip."""
    return str(_written(folder() / "file.txt.gz", TEXT.encode(), gzip.open))


@pytest.fixture(scope="session")
def bz2_file(folder: Folder) -> Path:
    """Two lines under bzip2."""
    return _written(folder() / "file.txt.bz2", TEXT.encode(), bz2.open)


@pytest.fixture(scope="session")
def xz_file(folder: Folder) -> Path:
    """Two lines under xz."""
    return _written(folder() / "file.txt.xz", TEXT.encode(), lzma.open)


@pytest.fixture(scope="session")
def lz4_file(folder: Folder) -> Path | None:
    """Two lines under lz4, where it is installed."""
    try:
        import lz4.frame
    except ModuleNotFoundError:
        return None
    return _written(folder() / "file.txt.lz4", TEXT.encode(), lz4.frame.open)


@pytest.fixture(scope="session")
def zstd_file(folder: Folder) -> Path | None:
    """Two lines under zstd, where it is installed."""
    try:
        import zstandard
    except ModuleNotFoundError:
        return None
    return _written(folder() / "file.txt.zst", TEXT.encode(), zstandard.open)


@pytest.fixture(scope="session")
def seven_zip_file(folder: Folder, text_file: Path) -> Path | None:
    """A 7z archive of two lines, where py7zr is installed."""
    try:
        import py7zr
    except ModuleNotFoundError:
        return None
    path = folder() / "file.txt.7z"
    with py7zr.SevenZipFile(path, "w") as archive:
        archive.write(text_file, arcname=text_file.name)
    return path


def _zipped(path: Path, members: dict[str, Path]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, source in members.items():
            archive.write(source, arcname=name)
    return path


def _tarred(path: Path, members: dict[str, Path]) -> Path:
    with tarfile.TarFile(path, "w") as archive:
        for name, source in members.items():
            archive.add(source, arcname=name)
    return path


@pytest.fixture(scope="session")
def zip_file(folder: Folder, text_file: Path) -> Path:
    """A zip archive of two lines."""
    return _zipped(folder() / "file.txt.zip", {text_file.name: text_file})


@pytest.fixture(scope="session")
def tar_file(folder: Folder, text_file: Path) -> Path:
    """A tar archive of two lines."""
    return _tarred(folder() / "file.txt.tar", {text_file.name: text_file})


def _csv(path: Path) -> str:
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(COLUMNS))
        writer.writeheader()
        writer.writerows(ROWS)
    return str(path)


def _jsonl(path: Path, rows: list[dict[str, Any]] | None = None) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in (ROWS if rows is None else rows)))
    return str(path)


@pytest.fixture(scope="session")
def csv_path(folder: Folder) -> str:
    """Four rows."""
    return _csv(folder() / "dataset.csv")


@pytest.fixture(scope="session")
def csv2_path(folder: Folder) -> str:
    """The same rows under another name."""
    return _csv(folder() / "dataset2.csv")


@pytest.fixture(scope="session")
def bz2_csv_path(folder: Folder, csv_path: str) -> Path:
    """The rows under bzip2."""
    return _written(folder() / "dataset.csv.bz2", Path(csv_path).read_bytes(), bz2.open)


def _pair(first: Any, second: Any, prefix: str = "") -> dict[str, Path]:
    return {f"{prefix}{Path(one).name}": Path(one) for one in (first, second)}


@pytest.fixture(scope="session")
def zip_csv_path(folder: Folder, csv_path: str, csv2_path: str) -> Path:
    """Two tables in one archive."""
    return _zipped(folder() / "tables.csv.zip", _pair(csv_path, csv2_path))


@pytest.fixture(scope="session")
def zip_uppercase_csv_path(folder: Folder, csv_path: str, csv2_path: str) -> Path:
    """Two tables whose names shout."""
    members = {"dataset.CSV": Path(csv_path), "dataset2.CSV": Path(csv2_path)}
    return _zipped(folder() / "tables.csv.zip", members)


@pytest.fixture(scope="session")
def zip_csv_with_dir_path(folder: Folder, csv_path: str, csv2_path: str) -> Path:
    """Two tables in a folder of an archive."""
    return _zipped(folder() / "tables.csv.zip", _pair(csv_path, csv2_path, "inner/"))


@pytest.fixture(scope="session")
def jsonl_path(folder: Folder) -> str:
    """Four rows."""
    return _jsonl(folder() / "dataset.jsonl")


@pytest.fixture(scope="session")
def jsonl2_path(folder: Folder) -> str:
    """The same rows under another name."""
    return _jsonl(folder() / "dataset2.jsonl")


@pytest.fixture(scope="session")
def jsonl_str_path(folder: Folder) -> str:
    """Four rows whose first column names a class."""
    return _jsonl(folder() / "classes.jsonl", [row | {"col_1": f"s{row['col_1']}"} for row in ROWS])


@pytest.fixture(scope="session")
def jsonl_gz_path(folder: Folder, jsonl_path: str) -> str:
    """The rows under gzip."""
    return str(_written(folder() / "dataset.jsonl.gz", Path(jsonl_path).read_bytes(), gzip.open))


@pytest.fixture(scope="session")
def zip_jsonl_path(folder: Folder, jsonl_path: str, jsonl2_path: str) -> Path:
    """Two files in one archive."""
    return _zipped(folder() / "rows.jsonl.zip", _pair(jsonl_path, jsonl2_path))


@pytest.fixture(scope="session")
def zip_nested_jsonl_path(folder: Folder, zip_jsonl_path: Path) -> Path:
    """An archive in an archive."""
    return _zipped(folder() / "nested.zip", {f"inner/{zip_jsonl_path.name}": zip_jsonl_path})


@pytest.fixture(scope="session")
def zip_jsonl_with_dir_path(folder: Folder, jsonl_path: str, jsonl2_path: str) -> Path:
    """Two files in a folder of an archive."""
    return _zipped(folder() / "rows.jsonl.zip", _pair(jsonl_path, jsonl2_path, "inner/"))


@pytest.fixture(scope="session")
def tar_jsonl_path(folder: Folder, jsonl_path: str, jsonl2_path: str) -> Path:
    """Two files in one archive."""
    return _tarred(folder() / "rows.jsonl.tar", _pair(jsonl_path, jsonl2_path))


@pytest.fixture(scope="session")
def tar_nested_jsonl_path(folder: Folder, tar_jsonl_path: Path) -> Path:
    """An archive in an archive."""
    return _tarred(folder() / "nested.tar", {f"inner/{tar_jsonl_path.name}": tar_jsonl_path})


LINES = b"0\n1\n2\n3\n"


@pytest.fixture(scope="session")
def text_path(folder: Folder) -> str:
    """Four lines."""
    return str(_written(folder() / "dataset.txt", LINES))


@pytest.fixture(scope="session")
def text2_path(folder: Folder) -> str:
    """The same lines under another name."""
    return str(_written(folder() / "dataset2.txt", LINES))


@pytest.fixture(scope="session")
def text_gz_path(folder: Folder) -> str:
    """The lines under gzip."""
    return str(_written(folder() / "dataset.txt.gz", LINES, gzip.open))


@pytest.fixture(scope="session")
def text_dir_with_unsupported_extension(folder: Folder) -> Path:
    """Four lines in a file whose name says nothing."""
    return _written(folder() / "dataset.abc", LINES)


@pytest.fixture(scope="session")
def text_path_with_unicode_new_lines(folder: Folder) -> str:
    """Three lines, one of which has a paragraph separator."""
    return str(_written(folder() / "lines.txt", "one\ntwo\u2029still two\nthree".encode()))


@pytest.fixture(scope="session")
def zip_text_path(folder: Folder, text_path: str, text2_path: str) -> Path:
    """Two files in one archive."""
    return _zipped(folder() / "lines.txt.zip", _pair(text_path, text2_path))


@pytest.fixture(scope="session")
def zip_text_with_dir_path(folder: Folder, text_path: str, text2_path: str) -> Path:
    """Two files in a folder of an archive."""
    return _zipped(folder() / "lines.txt.zip", _pair(text_path, text2_path, "inner/"))


@pytest.fixture(scope="session")
def zip_unsupported_ext_path(folder: Folder, text_path: str, text2_path: str) -> Path:
    """Files of no known kind in an archive."""
    members = {"one.unknown": Path(text_path), "two.unknown": Path(text2_path)}
    return _zipped(folder() / "lines.zip", members)


@pytest.fixture(scope="session")
def data_dir_with_hidden_files(folder: Folder) -> Path:
    """Two files beside hidden ones."""
    root = folder()
    for name in ("inner/train.txt", "inner/test.txt", "inner/.test.txt", ".inner/train.txt", ".inner/test.txt"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text("foo\n" * 10)
    return root


@pytest.fixture(scope="session")
def dataset_dict() -> dict[str, list[Any]]:
    """The rows as columns."""
    return {name: list(values) for name, values in COLUMNS.items()}


@pytest.fixture(scope="session")
def arrow_path(folder: Folder, dataset_dict: dict[str, list[Any]]) -> str:
    """The rows in a file of a cache."""
    path = str(folder() / "dataset.arrow")
    datasets.Dataset.from_dict(dataset_dict).map(cache_file_name=path)
    return path


@pytest.fixture(scope="session")
def parquet_path(folder: Folder) -> str:
    """The rows in Parquet."""
    path = str(folder() / "dataset.parquet")
    types = {"col_1": pa.string(), "col_2": pa.int64(), "col_3": pa.float64()}
    pq.write_table(pa.table(COLUMNS, schema=pa.schema(list(types.items()))), path)
    return path


@pytest.fixture(scope="session")
def sqlite_path(folder: Folder) -> str:
    """The rows in a database."""
    path = str(folder() / "dataset.db")
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("CREATE TABLE dataset (col_1 text, col_2 int, col_3 real)")
        connection.executemany("INSERT INTO dataset VALUES (?, ?, ?)", [tuple(row.values()) for row in ROWS])
    connection.close()
    return path


@pytest.fixture(scope="session")
def image_file(folder: Folder) -> str:
    """A picture of noise, which packs badly."""
    return _picture(folder() / "test_image_rgb.jpg")


@pytest.fixture(scope="session", autouse=True)
def picture_beside_the_tests() -> None:
    """Put a picture where tests look for one that the archive lacks."""
    path = Path(__file__).parent / "features" / "data" / "test_image_rgb.jpg"
    path.parent.mkdir(parents=True, exist_ok=True)
    _picture(path)


def _picture(path: Path) -> str:
    from PIL import Image

    noise = np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path, format="JPEG")
    return str(path)


@pytest.fixture
def offline_parquet_uploads() -> None:
    """Skip: these tests upload by a private method."""
    pytest.skip("uploads by a private method")
