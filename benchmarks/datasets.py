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
- batch python, batch arrow: 20 batches of 1,000 rows of a shuffled dataset of text, integer and label;
- list to torch: a column of 20,000 lists of 128 integers to tensors, batches of 1,000;
- filter expression: 200,000 rows by an Arrow expression here, by the only way that the peer has there (a function);
- csv, json: a file of 100,000 rows to a dataset, with an empty cache.

``python benchmarks/datasets.py tokens [PAIRS]`` maps a BERT tokenizer over short texts, beside `datasets` with
`tokenizers` 0.23 (through transformers) and with 1.0rc (through ``encode_batch``).

``python benchmarks/datasets.py files [PAIRS]`` reads a million rows of csv, jsonl and parquet into a dataset and every
row once, beside pyarrow's own readers, and names the bytes that are left on disk.

Each row is the median ratio of at least nine interleaved pairs; times are processor time of one thread.
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

from _turns import beside

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
    "batch python",
    "batch arrow",
    "list to torch",
    "filter expression",
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
        self.mixed = lib.Dataset.from_dict(
            {"text": [f"a text of number {i}" for i in range(20000)], "n": list(range(20000)), "label": [0, 1] * 10000}
        ).shuffle(seed=2)
        self.large = lib.Dataset.from_dict({"n": np.arange(200000) % 1000})
        self.order = rng.integers(0, 20000, 2000).tolist()

    def run(self, name):
        start = time.process_time()
        result = getattr(self, name.replace(" ", "_"))()
        spent = time.process_time() - start
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

    def batch_python(self):
        return [self.mixed[start : start + 1000]["text"][7] for start in range(0, 20000, 1000)]

    def batch_arrow(self):
        table = self.mixed.with_format("arrow")
        return [table[start : start + 1000].column("n")[7].as_py() for start in range(0, 20000, 1000)]

    def list_to_torch(self):
        tensors = self.tokens.with_format("torch", columns=["input_ids"])
        return [int(tensors[start : start + 1000]["input_ids"][3, 5]) for start in range(0, 20000, 1000)]

    def filter_expression(self):
        if self.lib.__name__.startswith("enfold"):
            import pyarrow.compute as pc

            return len(self.large.filter(pc.field("n") > 900))
        return len(self.large.filter(lambda row: row["n"] > 900, load_from_cache_file=False))

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
    beside(write, COMMON + WORKER, COMMON, "Rows", ROWS, pairs)


TOKENS = """
import random

import pyarrow as pa

pa.set_cpu_count(1)


class Tokens:
    def __init__(self, lib, tokenize, vocabulary, count):
        lib.disable_progress_bars()
        draw = random.Random(0)
        words = [line.strip() for line in open(vocabulary + "/vocab.txt", encoding="utf-8")]
        words = [word for word in words if word.isalpha()][:20000]
        flat = draw.choices(words, [1 / (i + 10) for i in range(len(words))], k=count * 12)
        texts = [" ".join(flat[i * 12 : i * 12 + 12]) for i in range(count)]
        folder = tempfile.mkdtemp()
        lib.Dataset.from_dict({"text": texts}).save_to_disk(folder)
        self.dataset, self.tokenize = lib.load_from_disk(folder), tokenize

    def run(self):
        start = time.process_time()
        made = self.dataset.map(self.tokenize, batched=True, new_fingerprint=os.urandom(8).hex())
        spent = (time.process_time() - start) / len(made)
        path = made.cache_files[0]["filename"]
        found = hashlib.sha256(json.dumps(made[:2000]["input_ids"]).encode()).hexdigest()
        os.unlink(path)
        return spent, found
"""

TOKENS_PEER = """
import datasets

if sys.argv[2] == "rc":
    import tokenizers

    content = json.load(open(sys.argv[1] + "/tokenizer.json", encoding="utf-8"))
    content["padding"] = None  # the file pads to a fixed length; transformers does not unless it is asked to
    path = os.path.join(tempfile.mkdtemp(), "tokenizer.json")
    with open(path, "w") as file:
        json.dump(content, file)
    tokenizer = tokenizers.Tokenizer.from_file(path)

    def tokenize(batch):
        made = tokenizer.encode_batch(list(batch["text"]))
        names = {"input_ids": "ids", "token_type_ids": "type_ids", "attention_mask": "attention_mask"}
        return {name: [getattr(one, field) for one in made] for name, field in names.items()}
else:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])

    def tokenize(batch):
        return tokenizer(batch["text"], truncation=True)

work = Tokens(datasets, tokenize, sys.argv[1], int(sys.argv[3]))
print("ready", flush=True)
for line in sys.stdin:
    print(json.dumps(work.run()), flush=True)
"""
IMPORTS = "import hashlib, json, os, sys, tempfile, time\n"


def tokens(pairs: int) -> None:
    """Map a tokenizer over texts on three sides in turns."""
    os.environ.update({"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"})
    sys.path.insert(0, str(ROOT / "tests"))
    import real_vocabularies

    vocabulary = str(real_vocabularies.folder("bert"))
    python = str(ROOT / ".peers" / "models" / "bin" / "python")
    rc = next((ROOT / ".peers" / "tokenizers" / "lib").glob("python*")) / "site-packages"
    peers = {}
    for name, count, extra in (("0.23", 20_000, {}), ("rc", 100_000, {"PYTHONPATH": str(rc)})):
        peers[name] = subprocess.Popen(
            [python, "-c", IMPORTS + TOKENS + TOKENS_PEER, vocabulary, name, str(count)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env={**os.environ, **extra},
        )  # fmt: skip
    sys.path[:] = [path for path in sys.path if Path(path or ".").resolve() != Path(__file__).resolve().parent]
    import enfold.datasets as ours
    from enfold.transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(vocabulary)
    scope: dict[str, Any] = {}
    exec(compile(IMPORTS + TOKENS, "tokens", "exec"), scope)
    work = scope["Tokens"](ours, lambda b: tokenizer(b["text"], truncation=True), vocabulary, 1_000_000)
    times: dict[str, list[float]] = {"ours": [], **{name: [] for name in peers}}
    for peer in peers.values():
        assert peer.stdout is not None and peer.stdout.readline().strip() == "ready"
    for _ in range(pairs + 1):
        spent, found = work.run()
        times["ours"].append(spent)
        for name, peer in peers.items():
            assert peer.stdin is not None and peer.stdout is not None
            peer.stdin.write("\n")
            peer.stdin.flush()
            other, expected = json.loads(peer.stdout.readline())
            assert found == expected, f"tokenizers {name}: the ids differ"
            times[name].append(other)
    print(f"map a tokenizer: ours {statistics.median(times['ours'][1:]) * 1e6:.2f} us a row ({pairs} pairs)")
    for name in peers:
        ratio = statistics.median(b / a for a, b in list(zip(times["ours"], times[name], strict=True))[1:])
        print(f"  datasets + tokenizers {name}: {statistics.median(times[name][1:]) * 1e6:.2f} us a row, {ratio:.1f}x")
        peers[name].stdin.close()  # type: ignore[union-attr]
        peers[name].wait()


def files(pairs: int) -> None:
    """Read a million rows of each kind of file into a dataset, and with pyarrow's readers."""
    import shutil
    import time

    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.json
    import pyarrow.parquet

    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    folder = tempfile.mkdtemp(prefix="enfold-files-")
    os.environ["HF_HOME"] = os.path.join(folder, "home")
    sys.path[:] = [path for path in sys.path if Path(path or ".").resolve() != Path(__file__).resolve().parent]
    import enfold.datasets as ours

    ours.disable_progress_bars()
    count = 1_000_000
    table = pa.table(
        {
            "text": [f"the {i % 977}th headline about {i}" for i in range(count)],
            "label": [i % 3 for i in range(count)],
            "score": [i / 8 for i in range(count)],
        }
    )
    paths = {kind: os.path.join(folder, f"rows.{kind}") for kind in ("csv", "json", "parquet")}
    pa.csv.write_csv(table, paths["csv"])
    pa.parquet.write_table(table, paths["parquet"], row_group_size=100_000)
    with open(paths["json"], "w") as lines:
        for row in table.to_pylist():
            lines.write(json.dumps(row) + "\n")
    readers = {
        "csv": pa.csv.read_csv,
        "json": pa.json.read_json,
        "parquet": lambda path: pa.parquet.ParquetFile(path, memory_map=True).read(),
    }
    print(f"{'':10}{'ours ms':>10}{'pyarrow ms':>12}{'ratio':>8}{'bytes on disk':>16}   ({pairs} pairs)")
    for kind, path in paths.items():
        mine, theirs, left = [], [], 0
        for _ in range(pairs + 1):
            cache = tempfile.mkdtemp(dir=folder)
            start = time.process_time()
            dataset = ours.load_dataset(kind, data_files=path, split="train", cache_dir=cache)
            total = sum(batch["label"].to_numpy().sum() for batch in dataset.with_format("arrow").iter(100_000))
            mine.append(time.process_time() - start)
            left = sum(file.stat().st_size for file in Path(cache).rglob("*.arrow"))
            start = time.process_time()
            read = readers[kind](path)
            expected = sum(batch.column("label").to_numpy().sum() for batch in read.to_batches(100_000))
            theirs.append(time.process_time() - start)
            assert total == expected and dataset[999_999]["text"] == read.column("text")[999_999].as_py()
            del dataset, read
            # where caches stay, writing the next one costs the system several times as much on some machines
            shutil.rmtree(cache)
        ratio = statistics.median(a / b for a, b in list(zip(mine, theirs, strict=True))[1:])
        ours_ms, theirs_ms = statistics.median(mine[1:]) * 1e3, statistics.median(theirs[1:]) * 1e3
        print(f"{kind:10}{ours_ms:10.0f}{theirs_ms:12.0f}{ratio:7.2f}x{left:16,d}", flush=True)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    words = [word for word in sys.argv[1:] if not word.isdigit()]
    number = next((int(word) for word in sys.argv[1:] if word.isdigit()), 9)
    {"tokens": tokens, "files": files}.get(words[0] if words else "", main)(number)
