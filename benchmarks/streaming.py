"""Streams beside datasets 5.2.0, in turns, one thread.

Run with the project's Python: ``python benchmarks/streaming.py [PAIRS]``. Both sides run the code in ``COMMON`` on the
same files; what a row computes is hashed on both sides and must be equal before it counts (shuffled rows by their sum:
each side has an order of its own).

- parquet, csv, jsonl: every row of a streamed file of 60,000 rows, as Python values;
- shuffled: every row of the Parquet file, shuffled with a buffer of 1,000;
- arrow, numpy, torch: batches of 1,000 rows of the Parquet file, a list of 32 integers in each row;
- map: a function over batches of 1,000 rows;
- resume: the state after 50,000 rows of the Parquet file, and the next row of a stream that was given it;
- resume shuffled: likewise behind shuffle; the peer drops its buffer, so that only the time is compared.

Each row is the median ratio of at least nine interleaved pairs, in CPU time.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from _turns import beside

ROOT = Path(__file__).resolve().parent.parent
ROWS = ("parquet", "csv", "jsonl", "shuffled", "arrow", "numpy", "torch", "map", "resume", "resume shuffled")

COMMON = """
import hashlib, json, os, sys, time
import torch

torch.set_num_threads(1)


class Streams:
    def __init__(self, lib, folder):
        lib.disable_progress_bars()
        self.lib, self.folder = lib, folder
        self.kept = {}

    def load(self, kind, name):
        path = os.path.join(self.folder, name)
        return self.lib.load_dataset(kind, data_files=path, split="train", streaming=True)

    def run(self, name):
        work = getattr(self, name.replace(" ", "_"))
        prepare = getattr(self, "prepare_" + name.replace(" ", "_"), None)
        if prepare and name not in self.kept:
            self.kept[name] = prepare()
        start = time.process_time()
        result = work()
        spent = time.process_time() - start
        return spent, hashlib.sha256(json.dumps(result).encode()).hexdigest()

    def total(self, stream):
        total = 0
        for row in stream:
            total += row["a"] + len(row["t"])
        return total

    def parquet(self):
        return self.total(self.load("parquet", "rows.parquet").select_columns(["a", "t"]))

    def csv(self):
        return self.total(self.load("csv", "rows.csv"))

    def jsonl(self):
        return self.total(self.load("json", "rows.jsonl"))

    def shuffled(self):
        return self.total(self.load("parquet", "rows.parquet").shuffle(seed=1, buffer_size=1000))

    def batches(self, kind):
        total = 0
        for batch in self.load("parquet", "rows.parquet").with_format(kind).iter(1000):
            total += len(batch["a"])
            last = batch["l"][-1]
            total += int(last[0].as_py() if hasattr(last[0], "as_py") else last[0])
        return total

    def arrow(self):
        return self.batches("arrow")

    def numpy(self):
        return self.batches("numpy")

    def torch(self):
        return self.batches("torch")

    def map(self):
        stream = self.load("parquet", "rows.parquet").select_columns(["a", "t"])
        return self.total(stream.map(lambda batch: {"a": [a + 1 for a in batch["a"]]}, batched=True))

    def stopped(self, stream):
        for number, _ in enumerate(stream):
            if number == 50_000:
                return stream
        raise ValueError("the stream is too short")

    def prepare_resume(self):
        return self.stopped(self.load("parquet", "rows.parquet"))

    def resume(self):
        state = self.kept["resume"].state_dict()
        stream = self.load("parquet", "rows.parquet")
        stream.load_state_dict(state)
        return next(iter(stream))["a"]

    def prepare_resume_shuffled(self):
        return self.stopped(self.load("parquet", "rows.parquet").shuffle(seed=1, buffer_size=1000))

    def resume_shuffled(self):
        state = self.kept["resume shuffled"].state_dict()
        stream = self.load("parquet", "rows.parquet").shuffle(seed=1, buffer_size=1000)
        stream.load_state_dict(state)
        next(iter(stream))
        return 0
"""

WORKER = """
import datasets
import logging

logging.disable(logging.WARNING)
streams = Streams(datasets, sys.argv[1])
print("ready", flush=True)
for line in sys.stdin:
    print(json.dumps(streams.run(line.strip())), flush=True)
"""


def write(folder: str, rows: int = 60_000) -> None:
    """Write the files that both sides stream."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts = [f"the {i % 977}th headline about {i}, with a comma" for i in range(rows)]
    numbers = pa.array(np.arange(rows * 32, dtype=np.int32) % 30_000)
    lists = pa.ListArray.from_arrays(pa.array(np.arange(rows + 1, dtype=np.int32) * 32), numbers)
    table = pa.table({"a": pa.array(range(rows)), "t": pa.array(texts), "l": lists})
    pq.write_table(table, os.path.join(folder, "rows.parquet"), row_group_size=5000)
    with open(os.path.join(folder, "rows.csv"), "w") as csv, open(os.path.join(folder, "rows.jsonl"), "w") as lines:
        csv.write("a,t\n")
        for i, text in enumerate(texts):
            csv.write(f'{i},"{text}"\n')
            lines.write(json.dumps({"a": i, "t": text}) + "\n")


def main(pairs: int) -> None:
    """Time both sides in turns and print a table."""
    beside(write, COMMON + WORKER, COMMON, "Streams", ROWS, pairs)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 9)
