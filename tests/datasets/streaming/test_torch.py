"""Streams and torch: the workers of a DataLoader, epochs, states that come from workers, several processes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from enfold.datasets import Dataset, IterableDataset, load_dataset
from enfold.datasets.distributed import split_dataset_by_node

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")


def stream(shards: int = 4) -> IterableDataset:
    return Dataset.from_dict({"a": list(range(50))}).to_iterable_dataset(shards)


def loader(made: Any, workers: int, **options: Any) -> Any:
    return torch.utils.data.DataLoader(made, batch_size=4, num_workers=workers, **options)


def seen(batches: Any) -> list[int]:
    return [int(value) for batch in batches for value in batch["a"]]


def test_a_stream_is_an_iterable_dataset_of_torch() -> None:
    assert isinstance(stream(), torch.utils.data.IterableDataset)
    assert type(stream()) is IterableDataset and not hasattr(stream(), "__len__")


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_the_workers_of_a_loader_share_the_rows(workers: int) -> None:
    for shards in (1, 4, 7):
        plain = seen(loader(stream(shards).with_format("torch"), workers))
        assert sorted(plain) == list(range(50))
        shuffled = stream(shards).shuffle(seed=3, buffer_size=8).map(lambda row: {"a": row["a"] + 100})
        assert sorted(seen(loader(shuffled, workers))) == list(range(100, 150))


def test_workers_that_stay_see_the_epoch() -> None:
    made = stream().shuffle(seed=3, buffer_size=20)
    batches = loader(made, 2, persistent_workers=True)
    orders = []
    for epoch in (0, 1, 0):
        made.set_epoch(epoch)
        orders.append(seen(batches))
    assert orders[0] == orders[2] != orders[1] and sorted(orders[1]) == list(range(50))


class _Stateful(torch.utils.data.IterableDataset):
    """What a loader with states does in a worker: rows with the state behind each of them."""

    def __init__(self, made: IterableDataset, states: dict[int, Any] | None = None) -> None:
        self.made, self.states = made, states or {}

    def __iter__(self) -> Any:
        worker = torch.utils.data.get_worker_info().id
        if worker in self.states:
            self.made.load_state_dict(self.states[worker])
        for row in self.made:
            yield worker, row["a"], json.dumps(self.made.state_dict())


@pytest.mark.parametrize("shards", [1, 5])
def test_the_states_of_workers_give_their_rest(shards: int) -> None:
    def made() -> IterableDataset:
        found = stream(shards).shuffle(seed=2, buffer_size=6).map(lambda row: {"b": row["a"] % 3})
        found.set_epoch(2)
        return found

    def read(states: dict[int, Any] | None = None) -> list[Any]:
        return list(torch.utils.data.DataLoader(_Stateful(made(), states), batch_size=None, num_workers=3))

    full = read()
    for stop in (0, 7, 22, len(full)):
        states: dict[int, Any] = {}
        for worker, _, state in full[:stop]:
            states[worker] = json.loads(state)
        rest = sorted(value for _, value, _ in read(states))
        assert rest == sorted(value for _, value, _ in full[stop:])


SCRIPT = """
import json, sys
from enfold.datasets import load_dataset
from enfold.datasets.distributed import split_dataset_by_node
rank, path = int(sys.argv[1]), sys.argv[2]
made = load_dataset("json", data_files=path, split="train", streaming=True)
made = made.shuffle(seed=5, buffer_size=10).filter(lambda row: row["a"] != 13)
made.set_epoch(1)
print(json.dumps([row["a"] for row in split_dataset_by_node(made, rank, 2)]))
assert "torch" not in sys.modules and "pandas" not in sys.modules
"""


def test_two_processes_read_the_two_halves(tmp_path: Path) -> None:
    for number in range(3):
        rows = range(number * 10, number * 10 + (10 if number else 7))
        (tmp_path / f"{number}.jsonl").write_text("".join(json.dumps({"a": i}) + "\n" for i in rows))
    running = [
        subprocess.Popen([sys.executable, "-c", SCRIPT, str(rank), str(tmp_path / "*.jsonl")], stdout=subprocess.PIPE)
        for rank in range(2)
    ]
    parts = [json.loads(process.communicate()[0]) for process in running]
    assert sorted(parts[0] + parts[1]) == [*range(7), 10, 11, 12, *range(14, 30)] and all(parts)
    made = load_dataset("json", data_files=str(tmp_path / "*.jsonl"), split="train", streaming=True)
    made = made.shuffle(seed=5, buffer_size=10).filter(lambda row: row["a"] != 13)
    made.set_epoch(1)
    assert [[row["a"] for row in split_dataset_by_node(made, rank, 2)] for rank in range(2)] == parts


@pytest.mark.slow
def test_streams_go_to_processes_that_are_started_anew(tmp_path: Path) -> None:
    import pickle

    source = Dataset.from_dict({"a": list(range(30))})
    source.to_parquet(tmp_path / "rows.parquet")
    source.to_csv(tmp_path / "rows.csv")
    for kind in ("parquet", "csv"):
        made = load_dataset(kind, data_files=str(tmp_path / f"rows.{kind}"), split="train", streaming=True)
        made = made.shuffle(seed=1, buffer_size=4).with_format("torch")
        assert [row["a"] for row in pickle.loads(pickle.dumps(made))] == [row["a"] for row in made]
    assert sorted(seen(loader(made, 1, multiprocessing_context="spawn"))) == list(range(30))
