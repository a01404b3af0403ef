"""XML and HDF5 files, and Parquet files some of which are damaged."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from enfold.datasets import Array2D, Array3D, Dataset, List, Value, load_dataset
from enfold.datasets.errors import DatasetGenerationError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))


def both(kind: str, path: str) -> list[dict]:
    """The rows as a dataset, which are those of the stream."""
    rows = load_dataset(kind, data_files=path, split="train")
    assert list(load_dataset(kind, data_files=path, split="train", streaming=True)) == list(rows)
    return list(rows)


def test_an_xml_file_is_a_row(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    for name, text in (("a", "<a>\r\n<b/></a>\n"), ("b", "<é/>")):
        (folder / f"{name}.xml").write_bytes(text.encode())
    assert both("xml", str(folder / "*.xml")) == [{"xml": "<a>\n<b/></a>\n"}, {"xml": "<é/>"}]
    assert load_dataset(str(folder), split="train").num_rows == 2


def test_hdf5_values_of_every_kind(tmp_path: Path) -> None:
    path = str(tmp_path / "a.h5")
    numbers = np.arange(3)
    images = np.arange(3 * 2 * 4, dtype=np.uint8).reshape(3, 2, 4)
    cubes = np.random.default_rng(0).random((3, 2, 2, 2)).astype("f4")
    pair = np.array([(1, 2.5), (3, 4.5), (5, 6.5)], np.dtype([("n", "i4"), ("x", "f8")]))
    ragged = np.array([np.array([1, 2], "i4"), np.array([], "i4"), np.array([3], "i4")], object)
    with h5py.File(path, "w") as file:
        file["numbers"], file["images"], file["cubes"], file["pair"] = numbers, images, cubes, pair
        file["wave"] = np.array([1 + 2j, 3 - 1j, 0j], np.complex64)
        file["group/rows"] = np.eye(3, dtype="f4")
        file["empty"] = np.zeros((3, 0), "i2")
        file.create_dataset("text", data=["a", "é", ""], dtype=h5py.string_dtype())
        file.create_dataset("ragged", data=ragged, dtype=h5py.vlen_dtype("i4"))
        file.create_group("nothing")
    made = load_dataset("hdf5", data_files=path, split="train", batch_size=2)
    features = made.features
    assert features["images"] == Array2D((2, 4), "uint8") and features["cubes"] == Array3D((2, 2, 2), "float32")
    assert features["ragged"] == List(Value("int32")) and features["group"]["rows"] == List(Value("float32"), length=3)
    assert features["wave"] == {"real": Value("float32"), "imag": Value("float32")} and "nothing" not in features
    assert made["numbers"][:] == [0, 1, 2] and made["text"][:] == ["a", "é", ""] and made["empty"][:] == [[], [], []]
    assert made["ragged"][:] == [[1, 2], [], [3]] and made[1]["pair"] == {"n": 3, "x": 4.5}
    assert made[0]["wave"] == {"real": 1.0, "imag": 2.0} and made[2]["group"]["rows"] == [0, 0, 1]
    shown = made.with_format("numpy")
    assert np.array_equal(shown["images"][:], images) and np.array_equal(shown["cubes"][:], cubes)
    assert len(both("hdf5", path)) == 3


def test_hdf5_files_do_not_reach_into_others(tmp_path: Path) -> None:
    (tmp_path / "secret.bin").write_bytes(b"\0" * 24)
    linked, outside, uneven = (str(tmp_path / f"{name}.h5") for name in ("linked", "outside", "uneven"))
    with h5py.File(linked, "w") as file:
        file["a"] = [1, 2]
        file["b"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/x")
    with h5py.File(outside, "w") as file:
        file.create_dataset("a", (3,), "i8", external=[(str(tmp_path / "secret.bin"), 0, 24)])
    with h5py.File(uneven, "w") as file:
        file["a"], file["b"] = [1, 2], [1]
    (tmp_path / "text.h5").write_text("no file of that kind")
    for path, message in (
        (linked, "link into another file"),
        (outside, "lies in another file"),
        (uneven, "different lengths"),
        (str(tmp_path / "text.h5"), "no HDF5 file"),
    ):
        with pytest.raises(DatasetGenerationError, match=message):
            load_dataset("hdf5", data_files=path)


@pytest.mark.parametrize("streaming", [False, True])
def test_damaged_parquet_files_are_errors_or_left_out(tmp_path: Path, streaming: bool, caplog: object) -> None:
    for number in range(3):
        Dataset.from_dict({"n": [number, number + 10]}).to_parquet(str(tmp_path / f"{number}.parquet"))
    whole = (tmp_path / "1.parquet").read_bytes()
    (tmp_path / "1.parquet").write_bytes(whole[: len(whole) // 2])
    files = [str(tmp_path / f"{number}.parquet") for number in range(3)]

    def rows(**options: object) -> list[int]:
        found = load_dataset("parquet", data_files=files, split="train", streaming=streaming, **options)
        return [row["n"] for row in found]

    with pytest.raises(DatasetGenerationError, match=r"1\.parquet"):
        rows()
    for action in ("warn", "skip"):
        assert rows(on_bad_files=action) == [0, 10, 2, 12]
    assert rows(on_bad_files="skip", filters=[("n", ">", 2)]) == [10, 12]
    import pyarrow.dataset as pads

    options = pads.ParquetFragmentScanOptions(use_buffered_stream=True)
    assert rows(on_bad_files="skip", filters=[("n", "<", 2)], fragment_scan_options=options) == [0]


def test_bytes_that_are_no_text_are_replaced_where_asked(tmp_path: Path) -> None:
    path = str(tmp_path / "a.jsonl")
    Path(path).write_bytes(b'{"t": "a\xffb"}\n{"t": "c"}\n')
    for streaming in (False, True):
        found = load_dataset(
            "json", data_files=path, split="train", encoding_errors="replace", streaming=streaming, encoding="utf-8"
        )
        assert [row["t"] for row in found] == ["a\ufffdb", "c"]
    with pytest.raises(DatasetGenerationError, match=r"a\.jsonl"):
        load_dataset("json", data_files=path)
