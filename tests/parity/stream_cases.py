"""What both libraries are asked about streams; run as a script with the library's name and a folder."""

from __future__ import annotations

import bz2
import gzip
import importlib
import json
import lzma
import os
import sys
from typing import Any

ROWS = 2_500


def write(folder: str) -> None:
    """Write the input files."""
    rows = [{"a": i, "t": f'row {i}, "quoted"' if i % 7 == 0 else f"row {i}", "f": i / 4} for i in range(ROWS)]

    def csv_row(row: dict[str, Any]) -> str:
        text = row["t"].replace('"', '""')
        return (
            f'{row["a"]},"{text}\nsecond line",{row["f"]}\n'
            if row["a"] % 11 == 0
            else f'{row["a"]},"{text}",{row["f"]}\n'
        )

    files = {
        "rows.csv": "a,t,f\n" + "".join(map(csv_row, rows)),
        "rows.tsv": "a\tt\n" + "".join(f"{row['a']}\t{row['a']}th\n" for row in rows),
        "rows.jsonl": "".join(json.dumps({**row, "l": [row["a"], 1], "s": {"x": row["f"]}}) + "\n" for row in rows),
        "array.json": json.dumps(rows[:50]),
        "field.json": json.dumps({"data": rows[:50]}),
        "lines.txt": "".join(f"line {i}\n" if i % 5 else "\n" for i in range(ROWS)).rstrip("\n"),
        "train-00000.txt": "a\nb\n",
        "train-00001.txt": "c\n",
        "train-00002.txt": "d\ne\nf\n",
        "test.txt": "x\ny\n",
    }
    for name, text in files.items():
        data = text.encode()
        with open(os.path.join(folder, name), "wb") as file:
            file.write(data)
        for end, pack in ((".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)):
            if name in ("rows.csv", "rows.jsonl", "lines.txt"):
                with open(os.path.join(folder, name + end), "wb") as file:
                    file.write(pack(data))


def plain(value: Any) -> Any:
    """Make a value comparable."""
    if hasattr(value, "tolist"):
        return [str(getattr(value, "dtype", "")), value.tolist()]
    if isinstance(value, dict):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def run(lib: Any, folder: str) -> dict[str, Any]:
    """Return what the library makes of the cases."""
    out: dict[str, Any] = {}

    def load(kind: str, name: str, **options: Any) -> Any:
        return lib.load_dataset(kind, data_files=os.path.join(folder, name), split="train", streaming=True, **options)

    ours = "enfold" in lib.__name__
    for end in ("", ".gz", ".bz2", ".xz"):
        out[f"csv{end}"] = list(load("csv", f"rows.csv{end}"))
        out[f"json{end}"] = list(load("json", f"rows.jsonl{end}"))
        out[f"text{end}"] = list(load("text", f"lines.txt{end}"))
    out["tsv"] = list(load("csv", "rows.tsv", sep="\t"))
    out["array"] = list(load("json", "array.json"))
    out["field"] = list(load("json", "field.json", field="data"))
    out["paragraphs"] = list(load("text", "lines.txt", sample_by="paragraph"))
    out["breaks"] = list(load("text", "lines.txt", keep_linebreaks=True))
    source = lib.Dataset.from_dict({"a": list(range(40)), "t": [f"row {i}" for i in range(40)]})
    path = os.path.join(folder, f"{'ours' if ours else 'peer'}.parquet")
    source.to_parquet(path, batch_size=7)
    out["parquet"] = list(load("parquet", path))
    out["parquet columns"] = list(load("parquet", path, columns=["t"]))
    out["parquet filters"] = list(load("parquet", path, filters=[("a", ">", 31)]))
    shards = {"train": os.path.join(folder, "train-*.txt"), "test": os.path.join(folder, "test.txt")}
    both = lib.load_dataset("text", data_files=shards, streaming=True)
    out["splits"] = {name: [list(stream), stream.num_shards, str(stream.split)] for name, stream in both.items()}
    for split in ("train", "test+train"):
        out[f"split {split}"] = list(lib.load_dataset("text", data_files=shards, split=split, streaming=True))

    stream = source.to_iterable_dataset(num_shards=3)
    other = lib.Dataset.from_dict({"a": [100, 101, 102, 103, 104], "t": list("vwxyz")}).to_iterable_dataset()
    short = source.to_iterable_dataset(num_shards=2).take(2)
    chains = {
        "rows": stream,
        "map": stream.map(lambda row: {"b": row["a"] + 1, "t": row["t"].upper()}),
        "map removed": stream.map(lambda row: {"t": 1}, remove_columns=["a", "t"]),
        "map inputs": stream.map(lambda a: {"b": -a}, input_columns="a"),
        "map indices": stream.map(lambda row, i: {"b": row["a"] * i}, with_indices=True),
        "map kwargs": stream.map(lambda row, k: {"b": row["a"] * k}, fn_kwargs={"k": 3}),
        "batched": stream.map(lambda b: {"b": [a + 1 for a in b["a"]]}, batched=True, batch_size=7),
        "batched more": stream.map(
            lambda b: {"n": [len(b["a"])] * 2}, batched=True, batch_size=9, remove_columns=["a", "t"]
        ),
        "batched all": stream.map(
            lambda b: {"n": [len(b["a"])]}, batched=True, batch_size=None, remove_columns=["a", "t"]
        ),
        "batched dropped": stream.map(
            lambda b: {"n": [len(b["a"])]}, batched=True, batch_size=9, drop_last_batch=True, remove_columns=["a", "t"]
        ),
        "batched indices": stream.map(
            lambda b, i: {"n": [len(i)], "i": [i[0]]},
            with_indices=True,
            batched=True,
            batch_size=9,
            remove_columns=["a", "t"],
        ),
        "filter": stream.filter(lambda row: row["a"] % 3 == 1),
        "filter indices": stream.filter(lambda row, i: i % 4 == 1, with_indices=True),
        "filter inputs": stream.filter(lambda a: a > 30, input_columns=["a"]),
        "filter batched": stream.filter(lambda b: [a > 30 for a in b["a"]], batched=True, batch_size=6),
        "skip": stream.skip(33),
        "take": stream.take(5),
        "skip take": stream.skip(3).take(5).skip(1),
        "too far": stream.skip(100),
        "repeat": stream.take(3).repeat(3),
        "batch": stream.batch(16),
        "batch dropped": stream.batch(16, drop_last_batch=True),
        "batch column": stream.map(lambda row: {"k": row["a"] // 7}).batch(by_column="k"),
        "rename": stream.rename_columns({"a": "b"}),
        "rename one": stream.rename_column("a", "b"),
        "remove": stream.remove_columns("a"),
        "select": stream.select_columns(["t"]),
        "add": stream.add_column("n", list(range(40))),
        "cast column": stream.cast_column("a", lib.Value("float32")),
        "cast": stream.cast(lib.Features({"a": lib.Value("string"), "t": lib.Value("string")})),
        "concatenate": lib.concatenate_datasets([stream, other]),
        "beside": lib.concatenate_datasets([stream, stream.rename_columns({"a": "x", "t": "y"})], axis=1),
        "numpy": stream.take(3).with_format("numpy"),
        "torch": stream.take(3).with_format("torch"),
        "map torch": stream.take(3).map(lambda row: {"v": [row["a"], 1]}).with_format("torch"),
        "map numpy": stream.take(3).select_columns("a").with_format("numpy").map(lambda row: {"v": row["a"] * 2}),
        "tuple": stream.take(3).map(lambda row: {"v": (row["a"], "x")}),
        "features": stream.take(3).map(
            lambda row: {"v": row["a"]},
            features=lib.Features({"a": lib.Value("int32"), "t": lib.Value("string"), "v": lib.Value("float32")}),
        ),
        "labels": stream.take(3)
        .map(lambda row: {"l": ["no", "yes"][row["a"] % 2]}, remove_columns=["a", "t"])
        .cast(lib.Features({"l": lib.ClassLabel(names=["no", "yes"])})),
        "generator": lib.IterableDataset.from_generator(
            lambda parts: ({"p": p, "i": i} for p in parts for i in range(3)), gen_kwargs={"parts": [1, 2, 3]}
        ),
        "list": lib.IterableDataset.from_list([{"a": 1}, {"a": 2}]),
        "shard": stream.shard(num_shards=3, index=1),
        "shard few": stream.shard(num_shards=2, index=0),
        "node": lib.distributed.split_dataset_by_node(stream, 1, 3),
    }
    for strategy in ("first_exhausted", "all_exhausted", "all_exhausted_without_replacement"):
        chains[f"turns {strategy}"] = lib.interleave_datasets([stream, other], stopping_strategy=strategy)
        chains[f"three {strategy}"] = lib.interleave_datasets([short, stream, other], stopping_strategy=strategy)
        chains[f"drawn {strategy}"] = lib.interleave_datasets(
            [stream, other, short], probabilities=[0.5, 0.3, 0.2], seed=42, stopping_strategy=strategy
        )
    for name, made in chains.items():
        try:
            out[f"{name}: rows"] = [plain(row) for row in made]
            out[f"{name}: batches"] = [plain(batch) for batch in made.iter(batch_size=6)]
        except Exception as error:
            out[f"{name}: rows"] = f"{type(error).__name__} {error}"
        out[f"{name}: shards"] = made.num_shards
    for name in (
        "rows",
        "rename",
        "remove",
        "select",
        "cast column",
        "concatenate",
        "beside",
        "batch",
        "features",
        "map",
        "filter",
    ):
        features = chains[name].features
        out[f"{name}: features"] = None if features is None else features.to_dict()
        out[f"{name}: columns"] = chains[name].column_names
    out["to_list"], out["to_dict"] = stream.take(3).to_list(), stream.take(3).to_dict()
    for kind in ("csv", "json", "parquet"):
        path = os.path.join(folder, f"{'ours' if ours else 'peer'}-written.{kind}")
        getattr(stream, f"to_{kind}")(path)
        out[f"to_{kind}"] = lib.load_dataset(kind, data_files=path, split="train", streaming=False)[:]
        if kind != "parquet":
            with open(path) as file:
                out[f"to_{kind} text"] = file.read()
    kept = source.shard(3, 1, contiguous=True)
    out["node of a dataset"] = [lib.distributed.split_dataset_by_node(source, r, 3)["a"][:] for r in range(3)] + [
        kept["a"][:]
    ]
    return out


if __name__ == "__main__":
    name, place = sys.argv[1:]
    library = importlib.import_module(name)
    importlib.import_module(f"{name}.distributed")
    library.disable_progress_bars()
    print(json.dumps(run(library, place), default=str))
