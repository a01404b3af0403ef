"""What both libraries make of features, folders and archives: run by each, it prints what it saw as JSON.

Usage: ``python feature_cases.py LIBRARY FOLDER OWN OTHER``; it saves into OWN and reads what the other saved in OTHER.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import sys
from collections.abc import Callable
from typing import Any

import numpy as np


def shown(value: Any) -> Any:
    """Make a value comparable: images by their pixels, arrays as lists."""
    if hasattr(value, "getexif"):
        pixels = np.asarray(value)
        return ["image", value.mode, list(value.size), hashlib.sha256(pixels.tobytes()).hexdigest()]
    if isinstance(value, bytes):
        return ["bytes", hashlib.sha256(value).hexdigest()]
    if isinstance(value, dict):
        return {str(name): shown(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [shown(item) for item in value]
    if isinstance(value, np.ndarray):
        return [str(value.dtype), list(value.shape), shown(value.tolist())]
    if isinstance(value, np.generic):
        return shown(value.item())
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def rows(dataset: Any) -> Any:
    """Return features and rows."""
    form = json.loads(json.dumps(dataset.features.to_dict()).replace("large_string", "string"))
    return [form, [shown(row) for row in dataset]]


def attempt(function: Callable[[], Any]) -> Any:
    """Return a result, or that there was an error."""
    try:
        return function()
    except Exception:
        return "error"


def features_of(lib: Any) -> Any:
    """Return features of every kind."""
    return lib.Features(
        {
            "i": lib.Image(),
            "gray": lib.Image(mode="L"),
            "raw": lib.Image(decode=False),
            "a": lib.Array2D((2, 3), "int32"),
            "d": lib.Array3D((None, 2, 1), "float32"),
            "t": lib.Translation(["en", "fr"]),
            "v": lib.TranslationVariableLanguages(["fr", "en", "de"]),
            "j": lib.Json(),
            "l": lib.List(lib.Image()),
            "big": lib.LargeList(lib.Array2D((1, 2), "uint8")),
            "s": {"k": lib.Image(), "c": lib.ClassLabel(names=["a", "b"])},
            "f": lib.List(lib.Value("int8"), length=2),
            "q": lib.Sequence({"x": lib.Value("int64")}),
            "au": lib.Audio(sampling_rate=16000, decode=False),
        }
    )


def table(lib: Any, folder: str) -> Any:
    """Return rows with values of every kind."""
    pixels = np.arange(24, dtype=np.uint8).reshape(4, 2, 3)
    path = os.path.join(folder, "plain", "0.png")
    with open(path, "rb") as file:
        content = file.read()
    rows = {
        "i": [path, {"bytes": content, "path": "x.png"}, pixels],
        "gray": [content, None, path],
        "raw": [{"bytes": content, "path": None}, None, {"bytes": content, "path": "b.png"}],
        "a": [np.arange(6, dtype=np.int32).reshape(2, 3) + n for n in range(3)],
        "d": [np.ones((n + 1, 2, 1), np.float32) for n in range(3)],
        "t": [{"en": "cat", "fr": "chat"}, {"en": "x", "fr": None}, None],
        "v": [
            {"en": "the cat", "fr": ["le chat", "la chatte"]},
            {"de": "x"},
            {"language": ["en"], "translation": ["y"]},
        ],
        "j": [{"a": [1, "x"]}, [1, None], 3],
        "l": [[path, path], [], [path]],
        "big": [[[[1, 2]], [[3, 4]]], [[[0, 1]]], [[[5, 6]]]],
        "s": [{"k": path, "c": "b"}, {"k": None, "c": 0}, {"k": content, "c": 1}],
        "f": [[1, 2], [3, 4], [5, 6]],
        "q": [{"x": [1, 2]}, {"x": []}, {"x": [3]}],
        "au": [None, None, None],
    }
    return lib.Dataset.from_dict(rows, features=features_of(lib))


def run(lib: Any, folder: str, own: str, other: str) -> dict[str, Any]:
    """Return what the library makes of the cases."""
    out: dict[str, Any] = {}
    features = features_of(lib)
    out["to_dict"] = features.to_dict()
    out["yaml"] = features._to_yaml_list()
    out["arrow"] = [
        [field.name, str(getattr(field.type, "storage_type", field.type))] for field in features.arrow_schema
    ]
    out["marks"] = [getattr(field.type, "extension_name", None) for field in features.arrow_schema]
    out["repr"] = repr(features)
    out["flat"] = attempt(lambda: features.flatten().to_dict())
    out["reordered"] = list(features.reorder_fields_as(lib.Features(dict(reversed(features.items())))))
    dataset = table(lib, folder)
    out["rows"] = rows(dataset)
    out["numpy"] = shown(dataset.select_columns(["i", "d", "f"]).with_format("numpy")[:])
    arrays = dataset.select([0, 1]).select_columns(["a"])
    out["numpy arrays"] = shown(arrays.with_format("numpy")[:])
    out["torch"] = str(arrays.with_format("torch")[:]) + str(dataset.with_format("torch")[2]["i"])
    out["map"] = rows(dataset.select_columns(["i", "t"]).map(lambda row: {"small": row["i"].resize((2, 2))}))
    pictures = [row["i"] for row in dataset]
    out["inferred"] = lib.Dataset.from_dict({"p": pictures, "l": [pictures] * 3}).features.to_dict()
    out["cast"] = rows(
        lib.Dataset.from_dict({"i": [os.path.join(folder, "plain", "1.png")]}).cast_column("i", lib.Image())
    )
    stored = dataset.cast_column("i", lib.Image(decode=False))
    out["stored"] = [shown(row["i"]) for row in stored]

    data = os.path.join(folder, "plain")
    out["folder"] = rows(lib.load_dataset("imagefolder", data_dir=data, split="train"))
    for name in ("labels", "metadata", "nested"):
        place = os.path.join(folder, name)
        loaded = lib.load_dataset("imagefolder", data_dir=place)
        out[name] = {split: rows(loaded[split]) for split in sorted(loaded)}
        loaded = lib.load_dataset(place)
        out[f"{name} by its files"] = {split: rows(loaded[split]) for split in sorted(loaded)}
    labels = os.path.join(folder, "labels")
    out["labels dropped"] = rows(lib.load_dataset("imagefolder", data_dir=labels, split="train", drop_labels=True))
    out["metadata dropped"] = rows(
        lib.load_dataset("imagefolder", data_dir=os.path.join(folder, "metadata"), split="train", drop_metadata=True)
    )
    out["out of the folder"] = attempt(lambda: lib.load_dataset("imagefolder", data_dir=os.path.join(folder, "evil")))
    tar = os.path.join(folder, "a.tar")
    out["webdataset"] = rows(lib.load_dataset("webdataset", data_files=tar, split="train"))
    out["zipped"] = rows(lib.load_dataset("csv", data_files=os.path.join(folder, "a.zip"), split="train"))
    for kind in ("line", "paragraph", "document"):
        text = os.path.join(folder, "text.txt")
        for keep in (False, True):
            loaded = lib.load_dataset("text", data_files=text, split="train", sample_by=kind, keep_linebreaks=keep)
            out[f"text {kind} {keep}"] = rows(loaded)

    # the peer cannot save translations beside columns that it decodes
    parts = {"media": dataset.remove_columns(["t", "v"]), "texts": dataset.select_columns(["t", "v"])}
    for name, part in parts.items():
        part.save_to_disk(os.path.join(own, name))
        part.to_parquet(os.path.join(own, f"{name}.parquet"))
        if os.path.isfile(os.path.join(other, f"{name}.parquet")):
            out[f"exchanged {name}"] = rows(lib.load_from_disk(os.path.join(other, name)))
            out[f"exchanged {name} in Parquet"] = rows(lib.Dataset.from_parquet(os.path.join(other, f"{name}.parquet")))
    if os.path.isdir(os.path.join(other, "media")):
        loaded = lib.load_from_disk(os.path.join(other, "media"))
        out["exchanged numpy"] = shown(loaded.select([0, 1]).select_columns(["a"]).with_format("numpy")[:])
    return out


def write(folder: str) -> None:
    """Write the input files."""
    import io
    import tarfile
    import zipfile

    from PIL import Image

    def picture(*place: str, shade: int = 0) -> None:
        path = os.path.join(folder, *place)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        Image.fromarray(np.full((3, 4, 3), shade, np.uint8)).save(path)

    def text(content: str, *place: str) -> None:
        with open(os.path.join(folder, *place), "w", encoding="utf-8") as file:
            file.write(content)

    for n in range(3):
        picture("plain", f"{n}.png", shade=n)
        picture("metadata", f"{n}.jpg", shade=n)
        picture("nested", "pictures", f"{n}.png", shade=n)
    for label in ("dog", "cat"):
        picture("labels", "train", label, "0.png", shade=3)
        picture("labels", "test", label, "1.png", shade=4)
    picture("evil", "a.png")
    text('{"file_name": "../plain/0.png"}\n', "evil", "metadata.jsonl")
    text("file_name,text,n\n2.jpg,two,2\n0.jpg,zero,0\n", "metadata", "metadata.csv")
    nested = [
        {
            "left_file_name": "pictures/0.png",
            "page_file_names": ["pictures/1.png"],
            "o": {"file_name": "pictures/2.png"},
        },
        {"left_file_name": "pictures/1.png", "page_file_names": [], "o": {"file_name": "pictures/0.png"}},
    ]
    text("".join(json.dumps(row) + "\n" for row in nested), "nested", "metadata.jsonl")
    text("a\nb\n\nc\n\n\nd", "text.txt")
    with tarfile.open(os.path.join(folder, "a.tar"), "w") as archive:
        with open(os.path.join(folder, "plain", "1.png"), "rb") as file:
            content = file.read()
        for n in range(3):
            for ending, data in (("png", content), ("json", b'{"n": 1}'), ("cls", b"7"), ("txt", b"hello")):
                info = tarfile.TarInfo(f"d/{n}.{ending}")
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    with zipfile.ZipFile(os.path.join(folder, "a.zip"), "w") as archive:
        archive.writestr("x/1.csv", "a,b\n1,x\n")
        archive.writestr("x/2.csv", "a,b\n2,y\n")


if __name__ == "__main__":
    library = importlib.import_module(sys.argv[1])
    library.disable_progress_bars()
    os.environ["HF_DATASETS_CACHE"] = os.path.join(sys.argv[3], "cache")
    print(json.dumps(run(library, *sys.argv[2:5])))
