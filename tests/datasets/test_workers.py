"""Workers of ``map`` and ``filter``: processes and threads, what dies, what is interrupted, and a cache made once."""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from enfold.datasets import Dataset, DatasetDict, load_from_disk
from enfold.datasets.errors import CacheWriteError, MapOutputError, WorkerDiedError
from enfold.datasets.workers import is_ours


def numbers(count: int = 5000) -> Dataset:
    return Dataset.from_dict({"n": list(range(count)), "t": [f"row {i}" for i in range(count)]})


def on_disk(folder: Path, count: int = 5000) -> Dataset:
    numbers(count).save_to_disk(str(folder / "saved"))
    return load_from_disk(str(folder / "saved"))


def run(program: str, *arguments: str, **options: Any) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def test_processes_give_the_rows_of_one_worker_in_order() -> None:
    dataset = numbers()

    def double(row: dict[str, Any], rank: int) -> dict[str, Any]:
        return {"d": row["n"] * 2, "rank": rank, "pid": os.getpid()}

    made = dataset.map(double, with_rank=True, num_proc=3)
    assert made["d"][:] == [2 * n for n in range(5000)] and made["t"][:] == dataset["t"][:]
    assert os.getpid() not in set(made["pid"]) and set(made["rank"]) <= {0, 1, 2}
    assert dataset.filter(lambda row: row["n"] % 7 == 0, num_proc=2)["n"][:] == list(range(0, 5000, 7))
    assert dataset.map(lambda b: {"s": [sum(b["n"])]}, batched=True, remove_columns=["n", "t"], num_proc=2)["s"][:] == [
        sum(range(i, i + 1000)) for i in range(0, 5000, 1000)
    ]
    assert dataset.map(lambda row: None, num_proc=2).num_rows == 5000


def test_a_slow_range_keeps_one_worker_only() -> None:
    def lag(batch: Any) -> dict[str, Any]:
        if batch["n"][0] == 0:
            time.sleep(0.6)
        return {"pid": [os.getpid()] * len(batch["n"])}

    made = numbers(1000).map(lag, batched=True, batch_size=100, num_proc=2)["pid"][::100]
    assert made.count(made[0]) == 1 and len(set(made)) == 2


def test_ours_run_in_threads_and_others_in_processes() -> None:
    class Mapper:
        def __arrow_map__(self, batch: Any) -> Any:
            return batch

        def __call__(self, batch: Any) -> dict[str, Any]:
            return {"pid": [os.getpid()] * len(batch["n"])}

    mapper = Mapper()
    assert is_ours(mapper) and is_ours(lambda b: mapper(b)) and not is_ours(lambda b: b) and not is_ours(os.getpid)
    made = numbers().map(lambda b: mapper(b), batched=True, num_proc=2)
    assert set(made["pid"]) == {os.getpid()}


def test_errors_of_workers_are_their_own_and_name_the_rows() -> None:
    def fail(row: dict[str, Any]) -> dict[str, Any]:
        if row["n"] == 2500:
            raise KeyError("no such thing")
        return {"n": row["n"]}

    with pytest.raises(KeyError, match="no such thing") as found:
        numbers().map(fail, num_proc=2)
    if sys.version_info >= (3, 11):
        assert "in row 2500" in found.value.__notes__
    assert "in a worker process" in str(found.value.__cause__)

    def die(row: dict[str, Any]) -> dict[str, Any]:
        if row["n"] == 3500:
            os.kill(os.getpid(), signal.SIGKILL)
        return {"n": row["n"]}

    with pytest.raises(WorkerDiedError, match=r"ended by signal SIGKILL while it worked on row 3500"):
        numbers().map(die, num_proc=2)
    with pytest.raises(WorkerDiedError, match=r"ended with 3 while it worked on row 0"):
        numbers().filter(lambda row: os._exit(3) if row["n"] == 0 else True, num_proc=2)


def test_workers_that_are_spawned_get_the_function_and_the_rows(tmp_path: Path) -> None:
    program = """
        import multiprocessing, sys
        from enfold.datasets import load_from_disk
        def double(row):
            return {"d": row["n"] * 2}
        if __name__ == "__main__":
            multiprocessing.set_start_method("spawn")
            dataset = load_from_disk(sys.argv[1]).select(range(100, 3100)).select_columns(["n"])
            print(sum(dataset.map(double, num_proc=2, keep_in_memory=True)["d"]))
    """
    on_disk(tmp_path)
    path = tmp_path / "program.py"
    path.write_text(textwrap.dedent(program))
    done = subprocess.run([sys.executable, path, tmp_path / "saved"], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == str(sum(range(200, 6200, 2))), done.stderr


def test_an_interrupt_ends_all_workers(tmp_path: Path) -> None:
    program = """
        import os, sys, time
        from enfold.datasets import Dataset
        def slow(row):
            open(os.path.join(sys.argv[1], str(os.getpid())), "w").close()
            time.sleep(30)
            return row
        Dataset.from_dict({"n": list(range(4000))}).map(slow, num_proc=2)
    """
    process = run(program, str(tmp_path), start_new_session=True)
    deadline = time.monotonic() + 30
    while len(os.listdir(tmp_path)) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    _, text = process.communicate(timeout=20)
    assert "KeyboardInterrupt" in text and process.returncode != 0
    for worker in os.listdir(tmp_path):
        with pytest.raises(ProcessLookupError):
            os.kill(int(worker), 0)


def test_the_files_of_several_workers_are_named_and_found_as_a_set(tmp_path: Path) -> None:
    dataset = on_disk(tmp_path)

    def double(row: dict[str, Any]) -> dict[str, Any]:
        return {"d": row["n"] * 2}

    first = dataset.map(double, num_proc=2)
    names = sorted(os.path.basename(file["filename"]) for file in first.cache_files)
    assert len(names) == 2 and all(name.endswith(f"_{i:05d}_of_00002.arrow") for i, name in enumerate(names))
    stamps = [os.stat(file["filename"]).st_mtime_ns for file in first.cache_files]
    for workers in (None, 2, 3):
        again = dataset.map(double, num_proc=workers)
        assert again.cache_files == first.cache_files and again[:] == first[:]
    assert [os.stat(file["filename"]).st_mtime_ns for file in first.cache_files] == stamps
    os.unlink(first.cache_files[1]["filename"])  # half a set is no result
    assert dataset.map(double)["d"][:] == [2 * n for n in range(5000)]
    named = dataset.map(
        double, num_proc=2, cache_file_name=str(tmp_path / "mine.arrow"), suffix_template="-{rank}-{num_proc}"
    )
    assert sorted(p.name for p in tmp_path.glob("mine*")) == ["mine-0-2.arrow", "mine-1-2.arrow"]
    assert named["d"][:] == first["d"][:]


def test_a_type_that_widens_in_a_later_file_is_the_type_of_all(tmp_path: Path) -> None:
    dataset = on_disk(tmp_path, 4000)
    made = dataset.map(lambda row: {"x": None if row["n"] < 3000 else 1.5}, num_proc=2)
    assert made["x"][0] is None and made["x"][3500] == 1.5 and str(made.features["x"].dtype) == "float64"
    assert dataset.map(lambda row: {"x": None if row["n"] < 3000 else 1.5}, num_proc=2)[:] == made[:]


def test_two_processes_build_one_cache_once(tmp_path: Path) -> None:
    on_disk(tmp_path, 300)
    program = """
        import os, sys, time
        from enfold.datasets import load_from_disk
        def slow(row, log=sys.argv[2]):
            time.sleep(0.004)
            with open(log, "a") as file:
                file.write(f"{row['n']}\\n")
            return {"d": row["n"] + 1}
        made = load_from_disk(sys.argv[1]).map(slow)
        print(sum(made["d"]), made.cache_files[0]["filename"])
    """
    log = tmp_path / "log"
    both = [run(program, str(tmp_path / "saved"), str(log)) for _ in range(2)]
    outs = [process.communicate(timeout=60) for process in both]
    assert outs[0][0] == outs[1][0] != "", outs
    assert len(log.read_text().split()) == 300, "one of them computed, the other read"
    assert not list((tmp_path / "saved").glob("*.lock"))


def test_a_kill_during_map_leaves_no_cache(tmp_path: Path) -> None:
    dataset = on_disk(tmp_path, 3000)
    program = """
        import os, signal, sys
        from enfold.datasets import load_from_disk
        from enfold.datasets import writer
        writer.FLUSH_BYTES = 1
        def fatal(row):
            if row["n"] == 2500:
                os.kill(os.getpid(), signal.SIGKILL)
            return {"d": row["n"]}
        load_from_disk(sys.argv[1]).map(fatal, new_fingerprint="feed")
    """
    process = run(program, str(tmp_path / "saved"))
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert not (tmp_path / "saved" / "cache-feed.arrow").exists()
    made = dataset.map(lambda row: {"d": row["n"]}, new_fingerprint="feed")
    assert made["d"][:] == list(range(3000))
    dataset.cleanup_cache_files()


def test_a_damaged_cache_is_made_again(tmp_path: Path) -> None:
    dataset = on_disk(tmp_path, 3000)
    first = dataset.map(lambda row: {"d": row["n"]})
    path = first.cache_files[0]["filename"]
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        half = file.read(size // 2)
    os.unlink(path)
    Path(path).write_bytes(half)
    assert dataset.map(lambda row: {"d": row["n"]})["d"][:] == list(range(3000))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB where this user may mount one; else a folder, and no file may grow past 1 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    if os.geteuid() == 0 and subprocess.run(command, capture_output=True).returncode == 0:
        try:
            yield folder
        finally:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        yield folder
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)


def test_a_disk_that_fills_leaves_nothing_half_written(small_disk: Path) -> None:
    dataset = on_disk(small_disk, 3000)
    before = sorted(small_disk.rglob("*"))
    free = os.statvfs(small_disk).f_bavail
    for workers in (None, 2):
        with pytest.raises(CacheWriteError, match=r"the disk is full.*nothing of the result is kept"):
            dataset.map(lambda row: {"long": "x" * 3000}, num_proc=workers)
        assert sorted(small_disk.rglob("*")) == before
    wide = numbers(3000).map(lambda row: {"long": "x" * 3000}, keep_in_memory=True)
    with pytest.raises(OSError, match=r"disk is full|too large|No space"):
        wide.save_to_disk(str(small_disk / "copy"))
    with pytest.raises(OSError, match=r"disk is full|too large|No space"):
        wide.to_json(str(small_disk / "copy.jsonl"))
    with pytest.raises(CacheWriteError, match="the disk is full"):
        Dataset.from_generator(
            lambda numbers: ({"long": f"{n}" * 3000} for n in numbers),
            gen_kwargs={"numbers": list(range(3000))},
            num_proc=2,
            cache_dir=str(small_disk / "generated"),
        )
    assert not list(small_disk.glob("copy*")) and not list(small_disk.rglob("generator-*"))
    shutil.rmtree(small_disk / "generated", ignore_errors=True)
    assert os.statvfs(small_disk).f_bavail >= free - 8, "the room is free again"
    # a result that fits is made where the others were not
    assert dataset.map(lambda row: {"long": "x" * 50}).num_rows == 3000


def test_coroutines_wait_at_the_same_time() -> None:
    active, most = 0, 0

    async def fetch(row: dict[str, Any]) -> dict[str, Any]:
        nonlocal active, most
        active += 1
        most = max(most, active)
        await asyncio.sleep(0.01)
        active -= 1
        return {"d": row["n"] * 2}

    assert numbers(200).map(fetch)["d"][:] == [2 * n for n in range(200)] and most > 50

    async def batched(batch: Any) -> dict[str, Any]:
        await asyncio.sleep(0.05)
        return {"d": [n * 2 for n in batch["n"]]}

    waits = []
    for _ in range(3):
        start = time.monotonic()
        made = numbers(200).map(batched, batched=True, batch_size=10, load_from_cache_file=False)
        assert made["d"][:] == [2 * n for n in range(200)]
        waits.append(time.monotonic() - start)
    assert min(waits) < 0.8, "twenty waits of 0.05 s follow one another"

    async def even(row: dict[str, Any]) -> bool:
        return row["n"] % 2 == 0

    assert numbers(100).filter(even)["n"][:] == list(range(0, 100, 2))

    async def fail(row: dict[str, Any]) -> dict[str, Any]:
        raise ValueError(f"row {row['n']} is bad")

    with pytest.raises(ValueError, match="row 0 is bad"):
        numbers(10).map(fail)


def test_values_without_a_common_type_are_kept_as_json() -> None:
    dataset = Dataset.from_dict({"a": [1, 2]})
    cases = [
        ([1, "s"], [1, "s"]),
        ([{"k": 1}, {"k": "s"}], [{"k": 1}, {"k": "s"}]),
        ([{"a": 1}, {"b": 2}], [{"a": 1}, {"b": 2}]),
        ([[1, "s"], None], [[1, "s"], None]),
        ([[1], 2.5], [[1], 2.5]),
    ]
    for values, expected in cases:
        made = dataset.map(lambda row, v=values: {"x": v[row["a"] - 1]})
        assert made["x"][:] == expected and "Json" in repr(made.features["x"]), values
        assert dataset.map(lambda b, v=values: {"x": v}, batched=True)["x"][:] == expected
    with pytest.raises(MapOutputError):
        dataset.map(lambda row: {"x": [1, "s"][row["a"] - 1]}, on_mixed_types=None)
    with pytest.raises(MapOutputError, match="column 'x' has missing values"):
        dataset.map(lambda row: {"x": None}, disable_nullable=True)


def test_splits_know_their_names() -> None:
    splits = DatasetDict({"train": numbers(2), "test": numbers(1)})
    made = splits.map(lambda row, i, split: {"s": f"{split} {i}"}, with_indices=True, with_split=True)
    assert made["train"]["s"][:] == ["train 0", "train 1"] and made["test"]["s"][:] == ["test 0"]
    with splits.formatted_as("numpy"):
        assert type(splits["train"][0]["n"]).__name__ == "int64"
    assert type(splits["train"][0]["n"]) is int


def test_rows_are_batched_by_number_and_by_column() -> None:
    dataset = Dataset.from_dict({"g": [1, 1, 2, 3, 3, None, None], "v": list("abcdefg")})
    assert dataset.batch(by_column="g")["v"][:] == [["a", "b"], ["c"], ["d", "e"], ["f", "g"]]
    assert dataset.batch(by_column=["g", "v"])["v"][:] == [[c] for c in "abcdefg"]
    assert dataset.batch(3)["v"][:] == [["a", "b", "c"], ["d", "e", "f"], ["g"]]
    assert dataset.batch(3, drop_last_batch=True).num_rows == 2
    assert dataset.batch(by_column="g", drop_last_batch=True)["v"][:] == [["a", "b"], ["c"], ["d", "e"]]
    assert dataset.select([6, 0, 1]).batch(2)["v"][:] == [["g", "a"], ["b"]]
    assert dataset.select([]).batch(2).features == dataset.batch(2).features
    with pytest.raises(ValueError, match="batch_size or by_column"):
        dataset.batch()


def meet() -> None:
    """Wait for the three processes of the test that asks for them, so that none takes all there is."""
    folder = os.environ.get("MEETING")
    if folder is not None:
        Path(folder, str(os.getpid())).touch()
        deadline = time.monotonic() + 30
        while len(os.listdir(folder)) < 3 and time.monotonic() < deadline:
            time.sleep(0.005)


def numbered(files: list[str]) -> Iterator[dict[str, Any]]:
    for file in files:
        if file == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        meet()
        yield {"file": file, "value": int(file), "pid": os.getpid()}


def test_processes_share_out_what_a_generator_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [str(i) for i in range(7)]
    (tmp_path / "meeting").mkdir()
    monkeypatch.setenv("MEETING", str(tmp_path / "meeting"))
    made = Dataset.from_generator(numbered, gen_kwargs={"files": files}, num_proc=3, cache_dir=str(tmp_path))
    assert made["file"][:] == files and len(set(made["pid"])) == 3 and os.getpid() not in set(made["pid"])
    assert sorted(Path(entry["filename"]).name for entry in made.cache_files) == [
        f"generator-train-{i:05d}-of-00003.arrow" for i in range(3)
    ]
    assert not list(tmp_path.rglob("*.tmp"))
    # the rows are found again, however many processes are asked for
    monkeypatch.delenv("MEETING")
    again = Dataset.from_generator(numbered, gen_kwargs={"files": files}, cache_dir=str(tmp_path))
    assert again[:] == made[:] and again._fingerprint == made._fingerprint
    few = Dataset.from_generator(numbered, gen_kwargs={"files": ["5"]}, num_proc=4, cache_dir=str(tmp_path))
    assert few["value"][:] == [5]
    with pytest.raises(ValueError, match="no list"):
        Dataset.from_generator(numbered, gen_kwargs={"files": ("1",)}, num_proc=2, cache_dir=str(tmp_path))


def mixed(kinds: list[str]) -> Iterator[dict[str, Any]]:
    for kind in kinds:
        yield {"x": {"none": None, "int": 1, "float": 1.5}[kind]}


def test_the_types_of_several_processes_become_one(tmp_path: Path) -> None:
    kinds = ["none", "int", "float"]
    made = Dataset.from_generator(mixed, gen_kwargs={"kinds": kinds}, num_proc=3, cache_dir=str(tmp_path))
    assert made.features["x"].dtype == "float64" and made["x"][:] == [None, 1.0, 1.5]


def test_a_generator_that_dies_leaves_nothing_and_names_its_shards(tmp_path: Path) -> None:
    with pytest.raises(WorkerDiedError, match=r"SIGKILL while it worked on shards 1 to 1"):
        Dataset.from_generator(numbered, gen_kwargs={"files": ["1", "die"]}, num_proc=2, cache_dir=str(tmp_path))
    assert not list(tmp_path.rglob("*.arrow")) and not list(tmp_path.rglob("*.tmp"))


def test_few_rows_of_a_slow_function_are_shared_too(tmp_path: Path) -> None:
    def slow(row: dict[str, Any]) -> dict[str, Any]:
        time.sleep(0.1)  # the third process has begun before the others are through
        return {"process": os.getpid()}

    made = Dataset.from_dict({"n": list(range(24))}).map(slow, num_proc=3)
    assert made["n"][:] == list(range(24)) and len(set(made["process"][:])) == 3
    assert os.getpid() not in made["process"][:]
    with pytest.raises(WorkerDiedError, match="ended with 3 while it worked on rows 8 to 11"):
        made.map(lambda batch: os._exit(3) if 9 in batch["n"] else None, batched=True, batch_size=4, num_proc=2)
