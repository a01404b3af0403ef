"""Fragments, and the libraries that read a dataset as it stands or by its fragments."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from enfold.datasets import Dataset, concatenate_datasets
from enfold.errors import MissingExtra


def parquet(folder: Path, count: int = 30) -> Dataset:
    Dataset.from_dict({"n": list(range(count)), "t": [f"t{i}" for i in range(count)]}).to_parquet(
        str(folder / "rows.parquet"), batch_size=10
    )
    return Dataset.from_parquet(str(folder / "rows.parquet"), cache_dir=str(folder / "cache"))


def read(dataset: Dataset) -> list[int]:
    schema = dataset.features.arrow_schema.remove_metadata()
    return [n for fragment in dataset.fragments() for n in fragment.read(schema).column(0).to_pylist()]


def test_fragments_name_rows_where_they_lie(tmp_path: Path) -> None:
    dataset = parquet(tmp_path)
    assert [(f.row_groups, f.start, f.stop) for f in dataset.fragments()] == [
        ((0,), 0, 10),
        ((1,), 0, 10),
        ((2,), 0, 10),
    ]
    part = dataset.select(range(5, 23)).rename_column("n", "m").select_columns(["m"])
    assert [(f.row_groups, f.start, f.stop) for f in part.fragments()] == [((0,), 5, 10), ((1,), 0, 10), ((2,), 0, 3)]
    assert read(part) == list(range(5, 23)) and part.fragments()[0].columns == (("m", "n"),)
    assert {f.path for f in part.fragments()} == {str(tmp_path / "rows.parquet")}
    assert read(concatenate_datasets([part, part])) == list(range(5, 23)) * 2


def test_other_rows_are_written_once(tmp_path: Path) -> None:
    dataset = parquet(tmp_path).shuffle(seed=1)
    first = dataset.fragments(str(tmp_path / "shared"))
    assert len(list((tmp_path / "shared").rglob("*.parquet"))) == 1
    assert dataset.fragments(str(tmp_path / "shared")) == first
    assert first[0].read().column("n").to_pylist() == dataset["n"][:]


def test_what_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = parquet(tmp_path)
    for module in ("ray", "ray.data", "dask.dataframe", "pyspark", "pyspark.sql", "tensorflow"):
        monkeypatch.setitem(sys.modules, module, None)  # what an import of a missing module meets
    for name, extra in (("to_ray", "ray"), ("to_dask", "dask"), ("to_spark", "spark"), ("to_tf_dataset", "tf")):
        with pytest.raises(MissingExtra, match=rf"enfold\[{extra}\]"):
            getattr(dataset, name)()
    with pytest.raises(MissingExtra, match=r"enfold\[ray\]"):
        dataset.map(lambda row: row, executor="ray")
    with pytest.raises(ValueError, match="executor must be 'ray'"):
        dataset.map(lambda row: row, executor="rai")


def test_polars_and_duckdb_read_a_dataset_as_it_stands(tmp_path: Path) -> None:
    import duckdb
    import polars

    for dataset in (parquet(tmp_path), parquet(tmp_path).select([3, 1, 2])):
        frame = polars.DataFrame(dataset)
        assert frame["n"].to_list() == dataset["n"][:] and frame["t"].to_list() == dataset["t"][:]
        found = duckdb.sql("select sum(n), max(t) from dataset").fetchall()
        assert found == [(sum(dataset["n"]), max(dataset["t"]))]


def test_dask_reads_the_fragments(tmp_path: Path) -> None:
    frame = parquet(tmp_path).to_dask()
    assert frame.npartitions == 3 and int(frame["n"].sum().compute()) == sum(range(30))


@pytest.mark.slow
def test_ray_maps_fragments_on_two_workers(tmp_path: Path) -> None:
    import ray

    ray.init(num_cpus=2, include_dashboard=False, logging_level="error")
    try:
        dataset = parquet(tmp_path)
        assert sorted(row["n"] for row in dataset.to_ray().take_all()) == list(range(30))

        def double(row: dict[str, Any], index: int) -> dict[str, Any]:
            return {"d": row["n"] * 2, "i": index}

        made = dataset.map(double, with_indices=True, executor="ray")
        assert made["d"][:] == [2 * n for n in range(30)] and made["i"][:] == list(range(30))
        assert made[:] == dataset.map(double, with_indices=True)[:]
        flat = dataset.map(
            lambda b: {"n": [n for n in b["n"] for _ in range(2)]}, batched=True, remove_columns=["t"], executor="ray"
        )
        assert flat["n"][:] == [n for n in range(30) for _ in range(2)]
        assert dataset.shuffle(seed=3).map(double, with_indices=True, executor="ray")["i"][:] == list(range(30))
    finally:
        ray.shutdown()
