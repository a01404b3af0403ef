"""What holds for every stream: the rows are those of a list, a state gives the rest, readers share all rows."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enfold.datasets import Dataset, IterableDataset, concatenate_datasets, interleave_datasets
from enfold.datasets.distributed import split_dataset_by_node
from enfold.datasets.streaming.shards import RowsShard

ROWS = [{"a": i, "t": f"row {i}"} for i in range(37)]


def stream(shards: int = 4, rows: int = 37) -> IterableDataset:
    return Dataset.from_list(ROWS[:rows]).to_iterable_dataset(num_shards=shards)


def double(row: dict[str, Any]) -> dict[str, Any]:
    return {"a": row["a"] * 2}


def odd(row: dict[str, Any]) -> bool:
    return row["a"] % 3 != 0


def twice(batch: Any) -> dict[str, Any]:
    return {"a": [a for a in batch["a"] for _ in range(2)], "t": [t for t in batch["t"] for _ in range(2)]}


# name → (the step on a stream, the same on a list of rows)
STEPS: dict[str, tuple[Callable[[Any], Any], Callable[[list[Any]], list[Any]]]] = {
    "map": (lambda s: s.map(double), lambda rows: [{**row, **double(row)} for row in rows]),
    "index": (
        lambda s: s.map(lambda row, i: {"a": row["a"] + i}, with_indices=True),
        lambda rows: [{**row, "a": row["a"] + i} for i, row in enumerate(rows)],
    ),
    "batched": (
        lambda s: s.map(twice, batched=True, batch_size=5),
        lambda rows: [dict(row) for row in rows for _ in range(2)],
    ),
    "filter": (lambda s: s.filter(odd), lambda rows: [row for row in rows if odd(row)]),
    "batched filter": (
        lambda s: s.filter(lambda b: [a % 2 == 0 for a in b["a"]], batched=True, batch_size=4),
        lambda rows: [row for row in rows if row["a"] % 2 == 0],
    ),
    "skip": (lambda s: s.skip(5), lambda rows: rows[5:]),
    "take": (lambda s: s.take(20), lambda rows: rows[:20]),
    "repeat": (lambda s: s.repeat(2), lambda rows: rows + rows),
    "select": (lambda s: s.select_columns(["t", "a"]), lambda rows: [{"t": r["t"], "a": r["a"]} for r in rows]),
    "rename": (
        lambda s: s.rename_column("t", "u").rename_column("u", "t"),
        lambda rows: rows,
    ),
    "concatenate": (lambda s: concatenate_datasets([s, s.take(3)]), lambda rows: rows + rows[:3]),
}
CHAINS = st.lists(st.sampled_from(sorted(STEPS)), max_size=4)


def chain(made: Any, names: list[str]) -> Any:
    for name in names:
        made = STEPS[name][0](made)
    return made


def rest(made: Any, again: Any, after: int) -> list[Any]:
    """Read some rows, keep the state as JSON, and read the rest with another stream of the same steps."""
    rows = iter(made)
    for _ in range(after):
        next(rows)
    again.load_state_dict(json.loads(json.dumps(made.state_dict())))
    return list(again)


@settings(max_examples=60, deadline=None)
@given(CHAINS, st.integers(1, 5))
def test_a_chain_of_steps_gives_the_rows_that_it_gives_of_a_list(names: list[str], shards: int) -> None:
    expected = [dict(row) for row in ROWS]
    for name in names:
        expected = STEPS[name][1](expected)
    made = chain(stream(shards), names)
    assert list(made) == expected
    assert [row for batch in made.iter(7) for row in _rows(batch)] == expected


def _rows(batch: dict[str, list[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(batch, values, strict=True)) for values in zip(*batch.values(), strict=True)]


@settings(max_examples=60, deadline=None)
@given(CHAINS, st.integers(1, 5), st.booleans(), st.integers(1, 12), st.data())
def test_a_state_gives_the_rest_exactly(
    names: list[str], shards: int, shuffled: bool, buffer: int, data: st.DataObject
) -> None:
    def made() -> Any:
        found = stream(shards)
        if shuffled:
            found = found.shuffle(seed=3, buffer_size=buffer, max_buffer_input_shards=2)
        return chain(found, names)

    full = list(made())
    after = data.draw(st.integers(0, len(full)))
    assert rest(made(), made(), after) == full[after:]


MIXED: dict[str, Callable[[], Any]] = {
    "turns": lambda: interleave_datasets([stream(2, 9).map(double), stream(3, 14)]),
    "all": lambda: interleave_datasets([stream(2, 9), stream(3, 14).filter(odd)], stopping_strategy="all_exhausted"),
    "drawn": lambda: interleave_datasets(
        [stream(2, 9).shuffle(seed=1, buffer_size=3), stream(3, 14)],
        probabilities=[0.2, 0.8],
        seed=5,
        stopping_strategy="all_exhausted_without_replacement",
    ),
    "shuffled behind": lambda: interleave_datasets([stream(2, 9), stream(3, 14)]).shuffle(seed=2, buffer_size=4),
    "beside": lambda: concatenate_datasets(
        [stream(2, 9).select_columns("a"), stream(1, 9).select_columns("t")], axis=1
    ),
    "batches": lambda: stream(2, 14).shuffle(seed=1, buffer_size=6).batch(4),
    "runs": lambda: stream(3, 30).map(lambda row: {"k": row["a"] // 4}).batch(by_column="k"),
    "shuffled map": lambda: stream(5).map(twice, batched=True, batch_size=3).shuffle(seed=9, buffer_size=5),
    "twice shuffled": lambda: stream(5).shuffle(seed=9, buffer_size=5).map(double).shuffle(seed=8, buffer_size=7),
    "added": lambda: stream(2, 9).add_column("n", list(range(9))).remove_columns("t"),
}


@pytest.mark.parametrize("name", MIXED)
def test_a_state_at_every_row_gives_the_rest(name: str) -> None:
    full = list(MIXED[name]())
    assert full
    for after in range(len(full) + 1):
        assert rest(MIXED[name](), MIXED[name](), after) == full[after:], after


def plain(rows: list[Any]) -> list[str]:
    return sorted(json.dumps(row, sort_keys=True) for row in rows)


def read_by(made: Any, world: int, workers: int, rank: int) -> list[list[Any]]:
    """Return the rows of each worker of a machine, as a DataLoader's workers would read them."""
    node = split_dataset_by_node(made, rank, world)
    if not workers:
        return [list(node)]
    step = node._step.at_epoch(node.epoch)
    out = []
    for worker in range(workers):
        part = node._same(step.share(rank + world * worker, world * workers))
        part._node = (0, 1, "auto")
        out.append(list(part))
    return out


SHARED: list[Callable[[int], Any]] = [
    lambda n: stream(n),
    lambda n: stream(n).map(double).filter(lambda row: row["a"] < 70),
    lambda n: stream(n).shuffle(seed=4, buffer_size=6, max_buffer_input_shards=2),
    lambda n: stream(n).map(double).shuffle(seed=4, buffer_size=50),
    lambda n: stream(n).skip(3).take(30).map(lambda row, i: {"i": i}, with_indices=True),
    lambda n: interleave_datasets([stream(n), stream(2, 12)], stopping_strategy="all_exhausted"),
    lambda n: concatenate_datasets([stream(n), stream(2, 12)]).shuffle(seed=1, buffer_size=5),
]


@pytest.mark.parametrize("world", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("workers", [0, 1, 2, 3])
def test_machines_and_their_workers_share_all_rows(world: int, workers: int) -> None:
    for shards in (1, 3, 7):
        for make in SHARED:
            parts = [part for rank in range(world) for part in read_by(make(shards), world, workers, rank)]
            assert plain([row for part in parts for row in part]) == plain(list(make(shards)))
            assert all(parts), "no reader is idle"


@pytest.mark.parametrize("shards", [1, 3, 8])
def test_the_shuffled_order_is_the_same_for_any_number_of_readers(shards: int) -> None:
    def made() -> Any:
        return stream(shards).shuffle(seed=4, buffer_size=5, max_buffer_input_shards=2)

    order = {row["a"]: place for place, row in enumerate(made())}
    for world in (2, 3, 5):
        for rank in range(world):
            places = [order[row["a"]] for row in split_dataset_by_node(made(), rank, world)]
            assert places == sorted(places)


def test_every_epoch_has_an_order_of_its_own_and_the_same_again() -> None:
    made = stream().shuffle(seed=4, buffer_size=10)
    orders = []
    for epoch in (0, 1, 2, 0):
        made.set_epoch(epoch)
        orders.append([row["a"] for row in made])
    assert orders[0] == orders[3] and len({tuple(order) for order in orders}) == 3
    assert all(sorted(order) == list(range(37)) for order in orders)


def test_a_state_of_another_epoch_is_resumed_in_its_epoch() -> None:
    made = stream().shuffle(seed=4, buffer_size=10)
    made.set_epoch(3)
    full = list(made)
    rows = iter(made)
    for _ in range(11):
        next(rows)
    state = made.state_dict()
    fresh = stream().shuffle(seed=4, buffer_size=10)
    fresh.load_state_dict(state)
    assert fresh.epoch == 3 and list(fresh) == full[11:]
    assert list(fresh) == full, "a state is for one iteration"
    fresh.load_state_dict(state)
    fresh.set_epoch(4)
    assert len(list(fresh)) == 37, "the next epoch begins at its beginning"


def test_a_state_does_not_grow_with_the_rows_that_were_read() -> None:
    made = Dataset.from_dict({"a": list(range(5000))}).to_iterable_dataset(7).shuffle(seed=1, buffer_size=400)
    sizes = set()
    for number, _ in enumerate(made):
        if number % 500 == 250:
            sizes.add(len(json.dumps(made.state_dict())) // 50)
    assert max(sizes) <= 20


def test_a_state_of_another_reader_or_thing_is_refused() -> None:
    made = stream()
    next(iter(made))
    other = split_dataset_by_node(stream(), 1, 2)
    other.load_state_dict(made.state_dict())
    with pytest.raises(ValueError, match=r"reader 0 of 1.*reader 1 of 2"):
        list(other)
    with pytest.raises(ValueError, match="no state"):
        made.load_state_dict({"place": None})


def test_the_rows_of_a_batch_can_be_the_middle_of_an_iteration() -> None:
    made = stream().shuffle(seed=1, buffer_size=10).map(double)
    full = list(made)
    batches = made.iter(6)
    seen = [a for _ in range(3) for a in next(batches)["a"]]
    again = stream().shuffle(seed=1, buffer_size=10).map(double)
    again.load_state_dict(json.loads(json.dumps(made.state_dict())))
    assert seen + [row["a"] for row in again] == [row["a"] for row in full]


class Counted(RowsShard):
    """A shard that notes how many rows were read of it."""

    read_rows: ClassVar[list[int]] = []

    def read(self, position: Any = None) -> Any:
        for at, piece in super().read(position):
            self.read_rows.append(piece.num_rows)
            yield at, piece


@pytest.mark.parametrize("name", ["skip", "take", "both", "mixed", "renamed"])
def test_readers_of_a_part_read_their_own_shards(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("enfold.datasets.streaming.making.RowsShard", Counted)

    def made(low: int = 0) -> Any:
        rows = Dataset.from_dict({"a": list(range(low, low + 800))})
        return rows.to_iterable_dataset(num_shards=8)

    parts = {
        "skip": made().skip(250),
        "take": made().take(650),
        "both": made().skip(110).map(lambda row: row),
        "mixed": interleave_datasets([made(), made(1000)], stopping_strategy="all_exhausted_without_replacement"),
        "renamed": made().rename_column("a", "b").skip(100).rename_column("b", "a"),
    }
    expected = sorted(row["a"] for row in parts[name])
    Counted.read_rows.clear()
    found = [row["a"] for i in range(2) for row in split_dataset_by_node(parts[name], i, 2)]
    assert sorted(found) == expected
    # the rows of cut shards are dealt, so that both read them: not more than two hundred rows beside those given
    assert sum(Counted.read_rows) <= len(expected) + 300


def test_a_part_of_files_that_do_not_say_their_rows_is_dealt(tmp_path: Any) -> None:
    for number in range(2):
        (tmp_path / f"{number}.jsonl").write_text("".join(f'{{"a": {number * 10 + i}}}\n' for i in range(10)))
    files = [str(tmp_path / f"{number}.jsonl") for number in range(2)]
    made = IterableDataset.from_json(files).skip(3).take(12)
    found = [row["a"] for i in range(3) for row in split_dataset_by_node(made, i, 3)]
    assert sorted(found) == list(range(3, 15))
