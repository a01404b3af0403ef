"""Casts of Arrow tables and arrays under the names that programs import."""

from __future__ import annotations

from decimal import Decimal

import pyarrow as pa
import pytest

from enfold.datasets import ClassLabel, Features, Image, List, Value
from enfold.datasets.fingerprint import Hasher
from enfold.datasets.table import (
    ConcatenationTable,
    InMemoryTable,
    array_cast,
    cast_array_to_feature,
    cast_table_to_schema,
    table_cast,
)


def test_features_in_a_schema_say_what_becomes_of_values() -> None:
    features = Features({"image": Image(), "label": ClassLabel(names=["no", "yes"])})
    table = pa.table({"image": ["a.png"], "label": ["yes"]})
    made = table_cast(table, features.arrow_schema)
    assert made.to_pylist() == [{"image": {"bytes": None, "path": "a.png"}, "label": 1}]
    assert Features.from_arrow_schema(made.schema) == features
    assert cast_table_to_schema(table.select(["label"]), features.arrow_schema)["image"].null_count == 1


@pytest.mark.parametrize("value", [1, 0.5, True])
def test_numbers_become_text_only_where_allowed_at_any_depth(value: object) -> None:
    for array, feature in (
        ([value], Value("string")),
        ([[value]], List(Value("string"))),
        ([{"x": value}], {"x": Value("string")}),
    ):
        kind = pa.array(array)
        assert "string" in str(cast_array_to_feature(kind, feature, allow_decimal_to_str=False).type)
        with pytest.raises(TypeError, match="not made string"):
            cast_array_to_feature(kind, feature, allow_primitive_to_str=False)


def test_decimals_become_text_and_values_null_only_where_allowed() -> None:
    decimals = pa.array([Decimal("1.5")])
    assert array_cast(decimals, pa.string(), allow_primitive_to_str=False).to_pylist() == ["1.5"]
    with pytest.raises(TypeError, match="not made string"):
        array_cast(decimals, pa.string(), allow_decimal_to_str=False)
    with pytest.raises(TypeError, match="null"):
        cast_array_to_feature(pa.array([[None, 1]]), List(Value("null")))


def test_a_table_is_known_by_its_rows() -> None:
    whole = pa.table({"a": [1, 2]})
    parts = pa.concat_tables([whole.slice(0, 1), whole.slice(1)])
    assert Hasher.hash(InMemoryTable(whole)) == Hasher.hash(InMemoryTable(parts))


def test_blocks_are_tables_beside_and_behind_each_other() -> None:
    one, two = pa.table({"a": [1, 2]}), InMemoryTable(pa.table({"b": ["x", "y"]}))
    made = ConcatenationTable.from_blocks([[one, two], [one.slice(1), two.slice(1)]])
    assert made.to_pydict() == {"a": [1, 2, 2], "b": ["x", "y", "y"]}
    assert ConcatenationTable.from_blocks([one, one]).num_rows == 4
    assert ConcatenationTable.from_blocks(two).to_pydict() == {"b": ["x", "y"]}
