"""Columns: what slices and fields of one give, in every format and behind a transform."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from enfold.datasets import Dataset

ROWS = {"i": [1, 2, 3], "n": [{"a": 1, "b": "x"}, {"a": 2, "b": None}, None]}


@pytest.mark.parametrize(("kind", "module"), [("pandas", "pandas"), ("polars", "polars"), ("arrow", "pyarrow")])
def test_slices_of_a_column_are_what_the_format_makes_of_columns(kind: str, module: str) -> None:
    pytest.importorskip(module)
    column = Dataset.from_dict(ROWS).with_format(kind)["i"]
    for part, values in ((column[:2], [1, 2]), (column[[2, -3]], [3, 1]), (column[::2], [1, 3])):
        assert type(part).__module__.startswith(module)
        assert (part.to_pylist() if kind == "arrow" else part.to_list()) == values
    assert column[0] == 1 and list(column) == [1, 2, 3] and type(column[:1]).__module__.startswith(module)
    outside = Dataset.from_dict(ROWS).with_format(kind, columns=["n"])["i"]
    assert outside[:2] == [1, 2]


def test_a_column_of_a_dataset_with_a_transform_is_what_the_transform_makes_of_it() -> None:
    seen: list[int] = []

    def double(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        seen.extend(batch["i"])
        return {"i": [2 * value for value in batch["i"]]}

    column = Dataset.from_dict(ROWS).with_transform(double)["i"]
    assert column[1:] == [4, 6] and column[-1] == 6 and seen == [2, 3, 3]
    assert list(column) == [2, 4, 6] and pa.array(column).to_pylist() == [2, 4, 6]


def test_a_transform_of_some_columns_stands_beside_the_others_where_they_are_wanted() -> None:
    rows = Dataset.from_dict({"a": [1, 2], "t": ["x", "y"]})
    seen = rows.with_transform(lambda batch: {"z": batch["a"]}, columns=["a"], output_all_columns=True)
    assert seen[0] == {"z": 1, "t": "x"} and seen[:] == {"z": [1, 2], "t": ["x", "y"]}
    assert list(seen) == seen.__getitems__([0, 1]) == [{"z": 1, "t": "x"}, {"z": 2, "t": "y"}]
    with pytest.raises(TypeError, match="a transform must return a dict"):
        rows.with_transform(lambda batch: batch["a"], columns=["a"], output_all_columns=True)[:]


def test_a_field_of_a_column_of_structs_is_a_column() -> None:
    column = Dataset.from_dict(ROWS)["n"]
    assert column["a"] == [1, 2, None] and column["b"][0] == "x" and len(column["a"]) == 3
    assert column["a"].arrow.equals(pa.array([1, 2, None]))
    numbers = Dataset.from_dict({"n": [{"a": 1}, {"a": 2}]}).with_format("numpy")["n"]["a"][:]
    assert isinstance(numbers, np.ndarray) and numbers.tolist() == [1, 2]
    with pytest.raises(KeyError, match="Column 'c' doesn't exist"):
        column["c"]
    with pytest.raises(TypeError, match="int64, which has no field 'a'"):
        Dataset.from_dict(ROWS)["i"]["a"]
    changed = Dataset.from_dict(ROWS)["n"]
    changed.append({"a": 4})
    assert changed["a"] == [1, 2, None, 4]
