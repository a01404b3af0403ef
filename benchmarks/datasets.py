"""Maps, batches, rows and files beside datasets 5.2.0, in turns, one thread.

Run with the project's Python: ``python benchmarks/datasets.py [PAIRS]``. Both sides run the code in ``COMMON`` on the
same rows; what a row computes is hashed on both sides and must be equal before it counts.

- map lists: a function that returns 128 integers a row as Python lists, 10,000 rows (the fingerprint is given on both
  sides: the data that the function holds is not hashed);
- map arrays: the same integers as one numpy array a batch;
- map rows: a function over one row at a time, 20,000 rows;
- filter rows: likewise;
- shuffled torch: every row once in random order, batches of 256, three columns, as tensors;
- shuffled python: likewise, as lists;
- row: ``dataset[i]`` for 2,000 random rows, Python and torch;
- iterate: every row of 20,000;
- csv, json: a file of 100,000 rows to a dataset, with an empty cache.

Each row is the median ratio of at least nine interleaved pairs.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
ROWS = (
    "map lists",
    "map arrays",
    "map rows",
    "filter rows",
    "shuffled torch",
    "shuffled python",
    "row python",
    "row torch",
    "iterate",
    "csv",
    "json",
)

COMMON = """
import hashlib, json, os, shutil, sys, tempfile, time
import numpy as np
import torch

torch.set_num_threads(1)


class Rows:
    def __init__(self, lib, folder):
        lib.disable_progress_bars()
        self.lib, self.folder = lib, folder
        rng = np.random.default_rng(0)
        self.ids = rng.integers(0, 30000, (20000, 128)).astype(np.int32)
        self.lists = self.ids[:10000].tolist()
        self.small = lib.Dataset.from_dict({"i": list(range(20000)), "t": [f"row {i}" for i in range(20000)]})
        self.part = self.small.select(range(10000))
        self.tokens = lib.Dataset.from_dict(
            {"i": list(range(20000)), "input_ids": self.ids, "label": (self.ids[:, 0] % 2).astype(np.int64)}
        )
        self.shuffled = self.tokens.shuffle(seed=1)
        self.tensors = self.shuffled.with_format("torch")
        self.order = rng.integers(0, 20000, 2000).tolist()

    def run(self, name):
        start = time.perf_counter()
        result = getattr(self, name.replace(" ", "_"))()
        spent = time.perf_counter() - start
        return spent, hashlib.sha256(self.plain(result)).hexdigest()

    def plain(self, value):
        if hasattr(value, "column_names"):
            value = value.with_format(None)[::997]
        if isinstance(value, torch.Tensor):
            value = value.tolist()
        return json.dumps(value, default=lambda item: item.tolist()).encode()

    def map_lists(self):
        def tokens(batch):
            first = batch["i"][0]
            return {"input_ids": self.lists[first : first + len(batch["i"])]}

        return self.part.map(tokens, batched=True, new_fingerprint=str(time.time()))

    def map_arrays(self):
        def tokens(batch):
            first = batch["i"][0]
            return {"input_ids": self.ids[first : first + len(batch["i"])]}

        return self.part.map(tokens, batched=True, new_fingerprint=str(time.time()))

    def map_rows(self):
        return self.small.map(lambda row: {"n": row["i"] + 1, "s": row["t"].upper()})

    def filter_rows(self):
        return self.small.filter(lambda row: row["i"] % 3 == 0)

    def shuffled_torch(self):
        total = 0
        for batch in self.tensors.iter(256):
            total += int(batch["input_ids"][0, 0]) + int(batch["label"].sum())
        return total

    def shuffled_python(self):
        total = 0
        for batch in self.shuffled.iter(256):
            total += batch["input_ids"][0][0] + sum(batch["label"])
        return total

    def row_python(self):
        return [self.shuffled[i]["input_ids"][0] for i in self.order]

    def row_torch(self):
        return [int(self.tensors[i]["input_ids"][0]) for i in self.order]

    def iterate(self):
        return sum(row["i"] + len(row["t"]) for row in self.small)

    def load(self, kind):
        cache = tempfile.mkdtemp(dir=self.folder)
        path = os.path.join(self.folder, "rows." + kind)
        made = self.lib.load_dataset(kind, data_files=path, split="train", cache_dir=cache)
        result = made[::9973]
        shutil.rmtree(cache, ignore_errors=True)
        return result

    def csv(self):
        return self.load("csv")

    def json(self):
        return self.load("json")
"""

WORKER = """
import datasets

rows = Rows(datasets, sys.argv[1])
print("ready", flush=True)
for line in sys.stdin:
    print(json.dumps(rows.run(line.strip())), flush=True)
"""


def write(folder: str) -> None:
    """Write the files that both sides load."""
    with open(os.path.join(folder, "rows.csv"), "w") as table, open(os.path.join(folder, "rows.json"), "w") as lines:
        table.write("text,label,score\n")
        for i in range(100_000):
            text = f"the {i % 977}th headline about {i}, with a comma"
            table.write(f'"{text}",{i % 3},{i / 8}\n')
            lines.write(json.dumps({"text": text, "label": i % 3, "score": i / 8}) + "\n")


def main(pairs: int) -> None:
    """Time both sides in turns and print a table."""
    folder = tempfile.mkdtemp(prefix="enfold-benchmark-")
    write(folder)
    threads = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    os.environ.update(threads)
    peer = subprocess.Popen(
        [ROOT / ".peers" / "models" / "bin" / "python", "-c", COMMON + WORKER, folder],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env={**os.environ, "HF_HOME": os.path.join(folder, "peer")},
    )  # fmt: skip
    assert peer.stdin is not None and peer.stdout is not None
    import pyarrow as pa

    pa.set_cpu_count(1)
    os.environ["HF_HOME"] = os.path.join(folder, "ours")
    # run beside the packages, not as one of them: this file's own folder must not be searched for imports
    sys.path[:] = [path for path in sys.path if Path(path or ".").resolve() != Path(__file__).resolve().parent]
    import enfold.datasets as ours

    scope: dict[str, Any] = {}
    exec(compile(COMMON, "common", "exec"), scope)
    rows = scope["Rows"](ours, folder)
    assert peer.stdout.readline().strip() == "ready", "the peer did not start: run `make peers`"
    print(f"{'':16}{'ours ms':>10}{'peer ms':>10}{'ratio':>8}   ({pairs} pairs)")
    for name in ROWS:
        mine, theirs = [], []
        for turn in range(pairs + 1):
            spent, found = rows.run(name)
            peer.stdin.write(name + "\n")
            peer.stdin.flush()
            other, expected = json.loads(peer.stdout.readline())
            assert found == expected, f"{name}: the results differ"
            if turn:  # the first pair warms both sides up
                mine.append(spent)
                theirs.append(other)
        ratio = statistics.median(b / a for a, b in zip(mine, theirs, strict=True))
        print(
            f"{name:16}{statistics.median(mine) * 1e3:10.1f}{statistics.median(theirs) * 1e3:10.1f}{ratio:7.1f}x",
            flush=True,
        )
    peer.stdin.close()
    peer.wait()
    import shutil

    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 9)
