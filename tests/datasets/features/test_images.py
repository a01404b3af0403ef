"""Images: what may be given, what is stored, what rows show in every format."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image as Pillow

from enfold.datasets import Dataset, Features, Image, List, Value, load_from_disk


def picture(seed: int = 0, size: tuple[int, ...] = (6, 5, 3)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, size, np.uint8)


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Pillow.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "a.png"
    path.write_bytes(png(picture()))
    return str(path)


@pytest.mark.parametrize("kind", ["path", "Path", "bytes", "array", "pillow", "dict of bytes", "dict of path", "list"])
def test_every_kind_of_value_gives_the_same_image(kind: str, file: str) -> None:
    value: Any = {
        "path": file,
        "Path": Path(file),
        "bytes": Path(file).read_bytes(),
        "array": picture(),
        "pillow": Pillow.fromarray(picture()),
        "dict of bytes": {"bytes": Path(file).read_bytes(), "path": "a.png"},
        "dict of path": {"path": file, "bytes": None},
        "list": picture()[..., 0].astype(np.uint8).tolist(),
    }[kind]
    dataset = Dataset.from_dict({"image": [value, None]}, features=Features({"image": Image()}))
    shown = np.asarray(dataset[0]["image"])
    assert np.array_equal(shown, picture()[..., 0] if kind == "list" else picture())
    assert dataset[1]["image"] is None and dataset["image"][1] is None


def test_pillow_images_are_recognised_without_features_on_every_level() -> None:
    images = [Pillow.fromarray(picture(seed)) for seed in range(3)]
    dataset = Dataset.from_dict({"one": images, "many": [[images[0]], [], images], "deep": [[[i]] for i in images]})
    assert dataset.features == Features({"one": Image(), "many": List(Image()), "deep": List(List(Image()))})
    assert np.array_equal(np.asarray(dataset[2]["many"][1]), picture(1))
    assert np.array_equal(np.asarray(dataset[1]["deep"][0][0]), picture(1))


def test_a_map_that_makes_images_gives_an_image_column(tmp_path: Path) -> None:
    dataset = Dataset.from_dict({"image": [Pillow.fromarray(picture(seed)) for seed in range(4)]})
    dataset.save_to_disk(str(tmp_path / "saved"))
    for made in (dataset, load_from_disk(str(tmp_path / "saved"))):
        turned = made.map(lambda row: {"turned": row["image"].rotate(90, expand=True)})
        assert turned.features == Features({"image": Image(), "turned": Image()})
        assert np.array_equal(np.asarray(turned[3]["turned"]), np.rot90(picture(3)))
        small = made.map(lambda batch: {"image": [i.resize((2, 2)) for i in batch["image"]]}, batched=True)
        assert small.features["image"] == Image() and small[0]["image"].size == (2, 2)


def test_formats_give_pixels_where_they_have_arrays() -> None:
    dataset = Dataset.from_dict({"image": [Pillow.fromarray(picture(seed)) for seed in range(3)]})
    assert dataset.with_format("numpy")[:]["image"].shape == (3, 6, 5, 3)
    assert np.array_equal(dataset.with_format("numpy")[1]["image"], picture(1))
    tensor = dataset.with_format("torch")[:2]["image"]
    assert tensor.shape == (2, 3, 6, 5) and np.array_equal(tensor[1].numpy().transpose(1, 2, 0), picture(1))
    assert dataset.with_format("torch")[0]["image"].shape == (3, 6, 5)
    assert dataset.with_format("arrow")[:].column("image").type == pa.struct(
        [("bytes", pa.binary()), ("path", "string")]
    )
    assert [batch["image"].shape for batch in dataset.with_format("numpy").iter(2)] == [(2, 6, 5, 3), (1, 6, 5, 3)]
    grey = Dataset.from_dict({"image": [Pillow.fromarray(picture(0, (4, 3)))]})
    assert grey.with_format("torch")[0]["image"].shape == (1, 4, 3)


def test_undecoded_images_show_what_is_stored(file: str) -> None:
    dataset = Dataset.from_dict({"image": [file]}).cast_column("image", Image(decode=False))
    assert dataset[0] == {"image": {"bytes": None, "path": file}}
    assert dataset.cast_column("image", Image())[0]["image"].size == (5, 6)
    assert dataset.features.flatten() == Features({"image.bytes": Value("binary"), "image.path": Value("string")})
    with pytest.raises(RuntimeError, match="decode=True"):
        Image(decode=False).decode_example({"bytes": None, "path": file})


def test_the_mode_and_the_orientation_of_a_file_are_followed(tmp_path: Path) -> None:
    image = Pillow.fromarray(picture())
    exif = Pillow.Exif()
    exif[274] = 6  # turned by a quarter
    image.save(tmp_path / "turned.jpg", exif=exif)
    shown = Image().decode_example({"path": str(tmp_path / "turned.jpg"), "bytes": None})
    assert shown.size == (6, 5)
    assert Image(mode="L").decode_example({"path": None, "bytes": png(picture())}).mode == "L"


@pytest.mark.parametrize("kind", ["bool", "uint8", "uint16", "int32", "float32"])
def test_pixels_of_every_type_come_back(kind: str) -> None:
    pixels = (picture(1, (4, 3)) > 100).astype(kind) if kind == "bool" else picture(1, (4, 3)).astype(kind)
    dataset = Dataset.from_dict({"image": [pixels]}, features=Features({"image": Image()}))
    assert np.array_equal(np.asarray(dataset[0]["image"]).astype(pixels.dtype), pixels)


def test_pixels_that_no_image_has_are_refused_or_narrowed_with_a_warning() -> None:
    with pytest.raises(TypeError, match="complex"):
        Image().encode_example(np.zeros((2, 2), complex))
    with pytest.raises(TypeError, match="uint8"):
        Image().encode_example(np.zeros((2, 2, 3), np.float32))
    with pytest.warns(UserWarning, match="narrowed"):
        Image().encode_example(np.zeros((2, 2), np.int64))


def test_saved_datasets_hold_their_files(file: str, tmp_path: Path) -> None:
    dataset = Dataset.from_dict({"image": [file], "more": [[file, None]]})
    dataset = dataset.cast(Features({"image": Image(), "more": List(Image())}))
    dataset.save_to_disk(str(tmp_path / "saved"))
    Path(file).unlink()
    loaded = load_from_disk(str(tmp_path / "saved"))
    assert loaded.features == dataset.features
    assert np.array_equal(np.asarray(loaded[0]["more"][0]), picture()) and loaded[0]["more"][1] is None
    stored = loaded.cast_column("image", Image(decode=False))[0]["image"]
    assert stored["path"] == "a.png" and stored["bytes"] == png(picture())


def test_wrong_values_are_named() -> None:
    with pytest.raises(ValueError, match="'bytes' or 'path'"):
        Image().encode_example({"bytes": None, "path": None})
    with pytest.raises(ValueError, match="does not hold images"):
        Image().cast_storage(pa.array([1.5]))


def test_a_map_leaves_images_that_it_does_not_look_at_as_they_are_stored() -> None:
    buffer = io.BytesIO()
    Pillow.fromarray(picture()).save(buffer, "JPEG")
    jpeg = buffer.getvalue()
    rows = [{"image": {"bytes": jpeg, "path": "a.jpg"}, "n": n} for n in range(3)]
    dataset = Dataset.from_list(rows, features=Features({"image": Image(), "n": Value("int64")}))

    def change(row: Any) -> Any:
        row["n"] += 1
        if row["n"] == 2:
            row["image"].load()
        return row

    made = dataset.map(change)
    assert made["n"][:] == [1, 2, 3] and made.features == dataset.features
    stored = made.cast_column("image", Image(decode=False))["image"][:]
    assert [value["bytes"] == jpeg for value in stored] == [True, False, True]
    broken = Dataset.from_list([{"image": b"no image", "n": 1}], features=dataset.features)
    assert broken.map(lambda row: {"m": row["n"]})["m"][:] == [1]


def test_pushed_files_are_put_into_parquet(file: str, tmp_path: Path) -> None:
    dataset = Dataset.from_dict({"image": [file]}).cast_column("image", Image())
    dataset._write_parquet(str(tmp_path / "pushed.parquet"), embed_external_files=True)
    dataset.to_parquet(str(tmp_path / "plain.parquet"))
    Path(file).unlink()
    pushed = Dataset.from_parquet(str(tmp_path / "pushed.parquet"), cache_dir=str(tmp_path))
    assert np.array_equal(np.asarray(pushed[0]["image"]), picture())
    plain = Dataset.from_parquet(str(tmp_path / "plain.parquet"), cache_dir=str(tmp_path))
    assert plain.cast_column("image", Image(decode=False))[0]["image"] == {"bytes": None, "path": file}


@pytest.mark.parametrize("in_memory", [False, True])
def test_generated_images_are_an_image_column(in_memory: bool, tmp_path: Path) -> None:
    def rows() -> Any:
        for seed in range(3):
            yield {"image": Pillow.fromarray(picture(seed)), "n": seed}

    for _ in range(2):  # the second time from the cache
        dataset = Dataset.from_generator(rows, cache_dir=str(tmp_path), keep_in_memory=in_memory)
        assert dataset.features == Features({"image": Image(), "n": Value("int64")})
    kept = dataset.filter(lambda row: row["n"] > 0)
    assert np.array_equal(np.asarray(kept[1]["image"]), picture(2)) and kept.features == dataset.features
