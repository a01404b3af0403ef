"""Arrays of several dimensions, texts in languages, JSON: what is stored, refused, and kept in files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enfold.datasets import (
    Array2D,
    Array3D,
    Array4D,
    Array5D,
    Dataset,
    Features,
    Json,
    LargeList,
    List,
    TranslationVariableLanguages,
    Value,
    load_from_disk,
)


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from([Array2D, Array3D, Array4D, Array5D]),
    st.sampled_from(["int8", "int32", "float32", "float64", "bool"]),
    st.data(),
)
def test_arrays_come_back_as_they_were_given(kind: type, dtype: str, data: st.DataObject) -> None:
    shape = tuple(data.draw(st.lists(st.integers(1, 3), min_size=kind.dimensions, max_size=kind.dimensions)))
    values = np.random.default_rng(0).integers(0, 2, (4, *shape)).astype(dtype)
    features = Features({"a": kind(shape, dtype)})
    for given_as in (values, list(values), values.tolist()):
        dataset = Dataset.from_dict({"a": given_as}, features=features)
        assert dataset.features == features and dataset[1]["a"] == values[1].tolist()
        shown = dataset.with_format("numpy", dtype=values.dtype)[:]["a"]
        assert shown.dtype == values.dtype and np.array_equal(shown, values)


def test_arrays_are_given_to_numpy_without_a_copy() -> None:
    dataset = Dataset.from_dict({"a": np.ones((3, 2, 2), np.int64)}, features=Features({"a": Array2D((2, 2), "int64")}))
    from enfold.datasets.values import arrow_to_numpy, one_array

    assert not arrow_to_numpy(one_array(dataset.data.column("a"))).flags.owndata


def test_the_first_dimension_may_differ_from_row_to_row() -> None:
    rows = [np.ones((2, 3), np.float32), np.zeros((4, 3), np.float32), None]
    dataset = Dataset.from_dict({"a": rows}, features=Features({"a": Array2D((None, 3), "float32")}))
    assert [None if row is None else np.shape(row) for row in dataset["a"]] == [(2, 3), (4, 3), None]
    assert [a.shape for a in dataset.select([0, 1]).with_format("numpy")[:]["a"]] == [(2, 3), (4, 3)]


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(3, 2\) is no Array2D"):
        Dataset.from_dict({"a": [np.ones((3, 2))]}, features=Features({"a": Array2D((2, 3), "float64")}))
    with pytest.raises(ValueError, match="2 dimensions"):
        Array2D((1, 2, 3), "int32")
    with pytest.raises(ValueError, match="first dimension"):
        Array3D((None, None, 2), "int32")


def test_files_keep_arrays_and_json_on_every_level(tmp_path: Path) -> None:
    features = Features(
        {
            "a": Array2D((2, 2), "int32"),
            "l": List(Array2D((1, 2), "float32")),
            "b": LargeList(Json()),
            "s": {"j": Json(), "a": Array3D((1, 1, 2), "int8")},
        }
    )
    rows = {
        "a": [np.eye(2), np.ones((2, 2))],
        "l": [[[[1, 2]], [[3, 4]]], []],
        "b": [[1, "x", {"k": None}], None],
        "s": [{"j": {"deep": [1]}, "a": [[[1, 2]]]}, {"j": "text", "a": None}],
    }
    dataset = Dataset.from_dict(rows, features=features)
    dataset.save_to_disk(str(tmp_path / "saved"))
    dataset.to_parquet(str(tmp_path / "a.parquet"))
    for loaded in (
        load_from_disk(str(tmp_path / "saved")),
        Dataset.from_parquet(str(tmp_path / "a.parquet"), cache_dir=str(tmp_path)),
    ):
        assert loaded.features == features and loaded.to_list() == dataset.to_list()
    assert dataset[0]["b"] == [1, "x", {"k": None}] and dataset[1]["s"] == {"j": "text", "a": None}
    with pa.ipc.open_stream(tmp_path / "saved" / "data-00000-of-00001.arrow") as reader:
        assert reader.schema.field("a").type.extension_name == "datasets.features.features.Array2DExtensionType"


def test_translations_are_lists_in_the_order_of_their_languages() -> None:
    feature = TranslationVariableLanguages(["fr", "en", "de"])
    dataset = Dataset.from_list(
        [{"t": {"en": "the cat", "fr": ["le chat", "la chatte"]}}, {"t": None}], features=Features({"t": feature})
    )
    assert dataset[0]["t"] == {"language": ["en", "fr", "fr"], "translation": ["the cat", "la chatte", "le chat"]}
    assert dataset.features["t"].num_languages == 3
    with pytest.raises(ValueError, match=r"\['es'\]"):
        feature.encode_example({"es": "el gato"})
    assert dataset.features.flatten()["t.language"] == List(Value("string"))


@settings(max_examples=50, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=6,
    )
)
def test_any_json_value_comes_back(value: object) -> None:
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        return  # a text that looks like an object is taken for what it says
    feature = Json()
    stored = feature.encode_example(value)
    assert feature.decode_example(stored) == value


def test_columns_are_encoded_and_decoded_by_name() -> None:
    features = Features({"j": Json(), "n": Value("int32")})
    assert features.encode_column([{"a": 1}], "j") == ['{"a":1}']
    assert features.decode_batch({"j": ['{"a":1}'], "n": [1]}) == {"j": [{"a": 1}], "n": [1]}
    with pytest.raises(KeyError, match="did you mean 'j'"):
        features.decode_column([], "jj")


def test_importing_the_package_and_its_features_loads_no_optional_library() -> None:
    code = (
        "import sys\n"
        "class Absent:  # pyarrow loads pandas by itself where it is installed\n"
        "    def find_spec(self, name, *rest):\n"
        "        if name == 'pandas': raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "import enfold.datasets as d\n"
        "d.Features({'i': d.Image(), 'a': d.Audio(), 'v': d.Video(), 'p': d.Pdf()}).arrow_schema\n"
        "d.Dataset.from_dict({'a': ['x']}, features=d.Features({'a': d.Image()}))\n"
        "print([m for m in ('PIL', 'soundfile', 'scipy', 'torch', 'pandas') if sys.modules.get(m)])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
