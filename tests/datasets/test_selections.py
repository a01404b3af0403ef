"""Any chain of selections of a dataset gives the rows that the same chain gives on a list."""

from __future__ import annotations

import pickle
import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from enfold.datasets import Dataset, concatenate_datasets, interleave_datasets, load_from_disk
from enfold.datasets.source import Source

STEPS = (
    "select",
    "range",
    "shuffle",
    "sort",
    "sort two",
    "shard",
    "stride",
    "filter",
    "expression",
    "concatenate",
    "take",
    "skip",
)
MORE = ("repeat", "flatten", "rename", "item", "column", "interleave", "split", "map", "batch", "pickle")


def rows_of(count: int) -> list[dict[str, Any]]:
    draw = random.Random(count)
    return [{"k": draw.choice([None, 0, 1, 2, 3]), "t": f"text {i}", "l": [i] * (i % 3), "i": i} for i in range(count)]


def step(name: str, dataset: Dataset, rows: list[dict[str, Any]], draw: random.Random) -> tuple[Dataset, list[Any]]:
    count = len(rows)
    if name == "select":
        chosen = [draw.randrange(-count, count) for _ in range(draw.randrange(8))] if count else []
        return dataset.select(chosen), [rows[i] for i in chosen]
    if name == "range":
        start, stop = sorted((draw.randrange(count + 1), draw.randrange(count + 1)))
        return dataset.select(range(start, stop)), rows[start:stop]
    if name == "shuffle":
        seed = draw.randrange(1000)
        order = np.random.default_rng(seed).permutation(count)
        return dataset.shuffle(seed=seed), [rows[i] for i in order]
    if name == "sort":
        reverse = draw.random() < 0.5
        known = sorted([r for r in rows if r["k"] is not None], key=lambda r: -r["k"] if reverse else r["k"])
        return dataset.sort("k", reverse=reverse), known + [r for r in rows if r["k"] is None]
    if name == "sort two":
        down, first = draw.random() < 0.5, draw.random() < 0.5
        known = sorted([r for r in rows if r["k"] is not None], key=lambda r: r["i"])
        known = sorted(known, key=lambda r: -r["k"] if down else r["k"])
        missing = sorted([r for r in rows if r["k"] is None], key=lambda r: r["i"])
        placed = dataset.sort(["k", "i"], reverse=[down, False], null_placement="at_start" if first else "at_end")
        return placed, missing + known if first else known + missing
    if name in ("shard", "stride"):
        parts = draw.randrange(1, 5)
        index = draw.randrange(parts)
        if name == "stride":
            return dataset.shard(parts, index, contiguous=False), rows[index::parts]
        size, more = divmod(count, parts)
        start = index * size + min(index, more)
        return dataset.shard(parts, index), rows[start : start + size + (index < more)]
    if name == "filter":
        bound = draw.randrange(4)
        keep = [r for r in rows if r["k"] is not None and r["k"] >= bound]
        return dataset.filter(lambda r: r["k"] is not None and r["k"] >= bound), keep
    if name == "expression":
        bound = draw.randrange(4)
        keep = [r for r in rows if r["k"] is not None and r["k"] > bound]
        return dataset.filter(pc.field("k") > bound), keep
    if name == "concatenate":
        part = draw.randrange(count + 1)
        return concatenate_datasets([dataset, dataset.take(part)]), rows + rows[:part]
    if name == "take":
        n = draw.randrange(count + 3)
        return dataset.take(n), rows[:n]
    if name == "skip":
        n = draw.randrange(count + 3)
        return dataset.skip(n), rows[n:]
    if name == "repeat":
        return dataset.repeat(2), rows * 2
    if name == "flatten":
        return dataset.flatten_indices(), rows
    if name == "rename":
        return dataset.rename_column("t", "u").rename_column("u", "t"), rows
    if name == "item":
        return dataset.add_item({"k": 1, "t": "new", "l": [], "i": -1}), [*rows, {"k": 1, "t": "new", "l": [], "i": -1}]
    if name == "column":
        return dataset.remove_columns("i").add_column("i", np.arange(count)), [
            {**r, "i": n} for n, r in enumerate(rows)
        ]
    if name == "interleave":
        half = count // 2
        first, second = dataset.take(half), dataset.skip(half)
        return interleave_datasets([first, second]), [
            r for pair in zip(rows[:half], rows[half:], strict=False) for r in pair
        ]
    if name == "split":
        if count < 4:
            return dataset, rows
        parts = dataset.train_test_split(test_size=2, shuffle=False)
        return concatenate_datasets([parts["test"], parts["train"]]), rows[-2:] + rows[:-2]
    if name == "map":
        return dataset.map(lambda r: {"t": r["t"] + "!"}), [{**r, "t": r["t"] + "!"} for r in rows]
    if name == "batch":
        flat = dataset.batch(3).map(
            lambda b: {name: [v for one in b[name] for v in one] for name in ("k", "t", "l", "i")},
            batched=True,
            features=dataset.features,
        )
        return flat, rows
    return pickle.loads(pickle.dumps(dataset)), rows


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Dataset]:
    """The same rows in memory, in pieces, mapped from Arrow files, and in Parquet files."""
    folder = tmp_path_factory.mktemp("sources")
    features = Dataset.from_list(rows_of(23)).features
    memory = Dataset.from_list(rows_of(23), features=features)
    memory.save_to_disk(str(folder / "saved"), num_shards=3)
    for number in range(2):
        memory.shard(2, number).to_parquet(str(folder / f"{number}.parquet"), batch_size=5)
    parquet = Dataset.from_parquet([str(folder / f"{n}.parquet") for n in range(2)], cache_dir=str(folder))
    pieces = concatenate_datasets([memory.take(7), memory.skip(7).take(9), memory.skip(16)])
    return {"memory": memory, "pieces": pieces, "mapped": load_from_disk(str(folder / "saved")), "parquet": parquet}


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(["memory", "pieces", "mapped", "parquet"]),
    names=st.lists(st.sampled_from(STEPS + MORE), min_size=1, max_size=6),
    seed=st.integers(0, 10**6),
)
def test_any_chain_equals_the_same_on_a_list(
    sources: dict[str, Dataset], kind: str, names: list[str], seed: int
) -> None:
    dataset, rows, draw = sources[kind], rows_of(23), random.Random(seed)
    for name in names:
        dataset, rows = step(name, dataset, rows, draw)
        assert len(dataset) == len(rows), names
    rows = [{name: row[name] for name in dataset.column_names} for row in rows]
    assert dataset.to_list() == rows, names
    assert list(dataset) == rows
    assert [dataset[i] for i in range(len(rows))] == rows
    if rows:
        chosen = [draw.randrange(len(rows)) for _ in range(5)]
        assert dataset[chosen]["t"] == [rows[i]["t"] for i in chosen]
        assert dataset["k"][:] == [row["k"] for row in rows]
    assert [row for batch in dataset.iter(4) for row in batch["i"]] == [row["i"] for row in rows]
    # the same rows in every other way that they can be asked for
    assert list(dataset.to_iterable_dataset(num_shards=min(draw.randrange(1, 4), max(len(rows), 1)))) == rows
    assert pa.table(dataset).to_pylist() == rows
    assert dataset.with_format("numpy")["i"][:].tolist() == [row["i"] for row in rows]
    assert dataset.with_format("arrow")[:].column("l").to_pylist() == [row["l"] for row in rows]
    backwards = dataset.select(range(len(rows) - 1, -1, -1))
    assert backwards["t"][:] == [row["t"] for row in reversed(rows)]


def test_another_process_maps_files_again_and_is_not_sent_the_rows(tmp_path: Path) -> None:
    dataset = Dataset.from_dict({"a": list(range(50_000)), "b": ["x" * 20] * 50_000})
    dataset.save_to_disk(str(tmp_path / "saved"), num_shards=2)
    dataset.to_parquet(str(tmp_path / "a.parquet"))
    mapped = load_from_disk(str(tmp_path / "saved"))
    parquet = Dataset.from_parquet(str(tmp_path / "a.parquet"), cache_dir=str(tmp_path))
    for one in (mapped, parquet):
        chosen = one.select(range(24_990, 25_100)).rename_column("a", "c").select_columns(["c"])
        sent = pickle.dumps(chosen)
        assert len(sent) < 5000
        assert pickle.loads(sent)["c"][:] == list(range(24_990, 25_100))
        assert len(pickle.dumps(one.with_format("numpy"))) < 5000
    grown = mapped.add_column("n", np.arange(50_000))
    assert pickle.loads(pickle.dumps(grown))[-1] == {"a": 49_999, "b": "x" * 20, "n": 49_999}


def test_sources_say_which_rows_they_hold() -> None:
    assert issubclass(type(Dataset.from_dict({"a": [1]})._source), Source)
