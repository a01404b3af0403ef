"""Features: their Arrow, JSON and YAML forms, and what they encode."""

from __future__ import annotations

import pickle

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enfold.datasets import ClassLabel, Dataset, Features, Json, LargeList, List, Sequence, Translation, Value

_dtypes = st.sampled_from(
    [
        "int8",
        "uint64",
        "float16",
        "float64",
        "bool",
        "string",
        "large_string",
        "binary",
        "date32",
        "timestamp[ms, tz=UTC]",
        "duration[s]",
        "time64[us]",
        "decimal128(9, 2)",
        "null",
    ]
)
_leaves = st.one_of(
    _dtypes.map(Value),
    st.lists(st.text(min_size=1, max_size=4), min_size=1, max_size=3, unique=True).map(
        lambda names: ClassLabel(names=names)
    ),
    st.just(Translation(["en", "fr"])),
    st.just(Json()),
)
_names = st.text("abcde_", min_size=1, max_size=4)
_features = st.recursive(
    _leaves,
    lambda inner: st.one_of(
        inner.map(List),
        inner.map(LargeList),
        st.tuples(inner, st.integers(1, 3)).map(lambda pair: List(pair[0], length=pair[1])),
        st.dictionaries(_names, inner, min_size=1, max_size=3),
    ),
    max_leaves=5,
)


@settings(max_examples=120, deadline=None)
@given(st.dictionaries(_names, _features, min_size=1, max_size=4))
def test_every_form_gives_the_features_back(columns: dict) -> None:
    features = Features(columns)
    assert Features.from_dict(features.to_dict()) == features
    assert Features.from_yaml_list(features.to_yaml_list()) == features
    assert Features.from_arrow_schema(features.arrow_schema) == features
    assert pickle.loads(pickle.dumps(features)) == features
    assert features.copy() == features and features.reorder_fields_as(features) == features


def test_older_spellings_are_read() -> None:
    assert Sequence({"a": Value("int8")}) == {"a": List(Value("int8"))}
    assert Features({"a": [Value("int8")]})["a"] == List(Value("int8"))
    old = [{"name": "a", "sequence": "int32"}, {"name": "b", "sequence": [{"name": "x", "dtype": "int8"}]}]
    assert Features.from_yaml_list(old) == {"a": List(Value("int32")), "b": {"x": List(Value("int8"))}}
    assert Features.from_dict({"a": {"feature": {"x": {"dtype": "int8", "_type": "Value"}}, "_type": "Sequence"}}) == {
        "a": {"x": List(Value("int8"))}
    }
    assert Value("double") == Value("float64") and Value("float") == Value("float32")


def test_unknown_dtypes_and_labels_name_the_nearest() -> None:
    with pytest.raises(ValueError, match="unknown dtype 'int23'; did you mean 'int32'"):
        Value("int23")
    label = ClassLabel(names=["neg", "pos"])
    with pytest.raises(ValueError, match="did you mean 'pos'"):
        label.str2int("poss")
    with pytest.raises(ValueError, match="expected 0 to 1"):
        label.int2str(2)
    with pytest.raises(TypeError, match=r"Value\('int64'\) is one"):
        Features({"a": "int64"})
    assert label.str2int(["neg", "1"]) == [0, 1] and label.num_classes == 2
    with pytest.raises(ValueError, match="unknown feature 'Valuee'; did you mean 'Value'"):
        Features.from_dict({"a": {"_type": "Valuee"}})


def test_labels_and_json_are_encoded_on_the_way_in() -> None:
    features = Features(
        {"label": ClassLabel(names=["n", "p"]), "j": Json(), "many": List(ClassLabel(names=["x", "y"]))}
    )
    dataset = Dataset.from_dict(
        {"label": ["p", 0, None], "j": [1, {"a": []}, None], "many": [["y"], [], None]}, features
    )
    assert dataset[:] == {"label": [1, 0, None], "j": [1, {"a": []}, None], "many": [[1], [], None]}
    assert dataset.features == features


def test_metadata_that_does_not_fit_the_columns_is_passed_over() -> None:
    schema = Features({"a": ClassLabel(names=["x"]), "gone": Value("int8")}).arrow_schema
    changed = pa.schema([("a", pa.string()), ("b", pa.int8())], metadata=schema.metadata)
    assert Features.from_arrow_schema(changed) == {"a": Value("string"), "b": Value("int8")}
