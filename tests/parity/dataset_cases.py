"""What both libraries are asked: run by each on one folder, it prints what it saw as JSON.

Usage: ``python dataset_cases.py LIBRARY FOLDER`` with ``datasets`` or ``enfold.datasets``.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from typing import Any

CSV = {
    "plain.csv": 'text,label,score\nrow 0,0,0.5\nrow 1,1,1\n"a, ""b""\nc",2,\n',
    "missing.csv": "a,b,c,,a,e\n1,x,2020-01-01,1.5,True,\n,NA,12:30,2,,\n3,null,x,,False,\n",
    "short.csv": "x,y\n1,2\n3\n",
    "numbers.csv": "i,f,big,neg,exp\n1,1.0,3000000000,-1,1e3\n2,.5,4,-2,2E-1\n",
    "bools.csv": "a,b,c\ntrue,True,yes\nfalse,FALSE,no\n",
    "unicode.csv": "\ufeffnamé,z\nélan,日本\n",
}
JSON = {
    "lines.json": '{"a": 1, "b": "x", "n": {"z": [1, 2]}, "l": [{"k": true}]}\n'
    '{"a": 2, "b": null, "n": {"z": []}, "l": []}\n',
    "wide.jsonl": '{"a": 1}\n{"a": 2.5, "b": [[1], []]}\n{"a": null}\n',
    "dates.jsonl": '{"t": "2020-01-01 00:00:00", "d": "2020-01-01", "s": "x2020"}\n',
    "array.json": '[{"a": 1, "s": "x"}, {"a": 2, "s": null}]',
    "strings.json": '["a", "b"]',
    "mixed.jsonl": '{"a": 1}\n{"a": "x"}\n',
}
FIELD = ("field.json", '{"version": 1, "data": [{"a": 1, "q": {"z": [1]}}, {"a": 2, "q": null}]}')
SPLITS = [
    "train",
    "train[:10%]",
    "train[33%:66%]",
    "train[-3:]",
    "train[5:7]+train[:1]",
    "train[:50%](pct1_dropremainder)",
]


def write(folder: str) -> None:
    """Write the input files."""
    for name, text in [*CSV.items(), *JSON.items(), FIELD, ("lines.txt", "\n".join(map(str, range(203))) + "\n")]:
        with open(os.path.join(folder, name), "w", encoding="utf-8", newline="") as file:
            file.write(text)


def plain(value: Any) -> Any:
    """Make a value comparable: dates as text, the large strings of recent pandas as strings."""
    return json.loads(json.dumps(value, default=str).replace("large_string", "string"))


def seen(dataset: Any) -> Any:
    """Return features and rows."""
    return [plain(dataset.features.to_dict()), plain(dataset.to_list())]


def run(lib: Any, folder: str, cache: str) -> dict[str, Any]:
    """Return what the library makes of the cases."""
    out: dict[str, Any] = {}

    def load(kind: str, name: str, **options: Any) -> Any:
        path = os.path.join(folder, name)
        return lib.load_dataset(kind, data_files=path, split="train", cache_dir=cache, **options)

    for name in CSV:
        out[name] = seen(load("csv", name))
    for name in JSON:
        out[name] = seen(load("json", name))
    out[FIELD[0]] = seen(load("json", FIELD[0], field="data"))
    for split in SPLITS:
        part = lib.load_dataset("text", data_files=os.path.join(folder, "lines.txt"), split=split, cache_dir=cache)
        out[f"split {split}"] = part["text"][:]

    rows = lib.Dataset.from_dict(
        {"a": list(range(50)), "k": [i * 7 % 5 for i in range(50)], "l": [i % 3 for i in range(50)]}
    )
    rows = rows.cast_column("l", lib.ClassLabel(names=["x", "y", "z"]))
    for seed in (0, 42, 12345):
        out[f"shuffle {seed}"] = rows.shuffle(seed=seed)["a"][:]
        for options in (
            {"test_size": 0.23},
            {"train_size": 0.5},
            {"test_size": 7, "train_size": 30},
            {},
            {"test_size": 0.3, "stratify_by_column": "l"},
            {"test_size": 10, "train_size": 20, "stratify_by_column": "l"},
        ):
            splits = rows.train_test_split(seed=seed, **options)
            out[f"split {seed} {sorted(options.items())}"] = {name: part["a"][:] for name, part in splits.items()}
        mixed = lib.interleave_datasets(
            [rows, rows.select(range(5))], probabilities=[0.6, 0.4], seed=seed, stopping_strategy="all_exhausted"
        )
        out[f"interleave {seed}"] = mixed["a"][:]
    import numpy

    numpy.random.seed(7)
    out["shuffle without a seed"] = [rows.shuffle()["a"][:], rows.shuffle()["a"][:]]
    for strategy in ("first_exhausted", "all_exhausted"):
        turns = lib.interleave_datasets([rows, rows.select(range(5))], stopping_strategy=strategy)
        out[f"turns {strategy}"] = turns["a"][:]
    out["sort"] = rows.sort(["k", "a"], reverse=[True, False])["a"][:]
    out["sort one"] = rows.sort("k")["a"][:]
    out["shards"] = [rows.shard(7, i)["a"][:] for i in range(7)] + [rows.shard(4, 1, contiguous=False)["a"][:]]

    def tokens(batch: Any) -> dict[str, Any]:
        ids = [[n] * (n % 4) for n in batch["a"]]
        return {
            "input_ids": ids,
            "attention_mask": [[1] * len(i) for i in ids],
            "labels": batch["l"],
            "f": [n / 2 for n in batch["a"]],
        }

    out["map"] = seen(rows.map(tokens, batched=True, batch_size=7, remove_columns=["k"]))
    out["map rows"] = seen(rows.map(lambda row, i: {"k": str(row["k"] + i), "new": {"i": [i]}}, with_indices=True))
    out["filter"] = rows.filter(lambda row: row["k"] > 2)["a"][:]
    encoded = lib.Dataset.from_dict({"c": ["b", "a", "b", None]}).class_encode_column("c")
    out["class encode"] = seen(encoded)
    out["unique"] = rows.unique("k")
    out["flatten"] = seen(lib.Dataset.from_dict({"s": [{"x": 1, "y": {"z": [2]}}]}).flatten())
    nested = lib.Features(
        {
            "v": lib.Value("timestamp[ms, tz=UTC]"),
            "c": lib.ClassLabel(names=["no", "yes"]),
            "l": lib.List(lib.Value("int8"), length=3),
            "s": {"x": lib.List({"k": lib.Value("bool")}), "d": lib.Value("decimal128(9, 2)")},
            "q": lib.Sequence({"u": lib.Value("int8"), "w": lib.Sequence(lib.ClassLabel(names=["z"]))}),
            "big": lib.LargeList(lib.Value("large_string")),
            "t": lib.Translation(["fr", "en"]),
            "j": lib.Json(),
        }
    )
    out["features yaml"] = nested._to_yaml_list()
    out["features dict"] = plain(nested.to_dict())
    out["features arrow"] = plain(json.loads(nested.arrow_schema.metadata[b"huggingface"]))
    out["features back"] = repr(lib.Features._from_yaml_list(nested._to_yaml_list())) == repr(nested)
    out["repr"] = [
        repr(rows),
        repr(lib.DatasetDict({"train": rows})),
        repr(nested["l"]),
        repr(nested["c"]),
        repr(rows["a"][:2]),
    ]
    for kind in ("numpy", "torch"):
        formatted = lib.Dataset.from_dict(
            {
                "i": [1, 2],
                "f": [0.5, None],
                "l": [[1, 2], [3, 4]],
                "r": [[1.5], []],
                "t": ["x", "y"],
                "b": [True, False],
            }
        ).with_format(kind)
        batch, row = formatted[:], formatted[1]
        out[kind] = [
            [str(getattr(value, "dtype", type(value))), str(value)] for value in [*batch.values(), row["i"], row["l"]]
        ]
    runs = lib.Dataset.from_dict({"g": [1, 1, 2, 3, 3], "v": [1, 2, 3, 4, 5]})
    out["batch by_column"] = seen(runs.batch(by_column="g"))
    out["batch by columns"] = seen(runs.batch(by_column=["g", "v"]))
    out["batch dropped"] = seen(runs.batch(by_column="g", drop_last_batch=True, batch_size=2))
    two = lib.Dataset.from_dict({"a": [0, 1]})
    for name, values in (
        ("scalars", [1, "s"]),
        ("fields", [{"a": 1}, {"a": "b"}]),
        ("keys", [{"a": 1}, {"b": 2}]),
        ("lists", [[1, "s"], [2]]),
        ("list and number", [[1], 2.5]),
        ("truth and number", [True, 2.5]),
        ("numbers", [1, 2.5]),
    ):
        out[f"mixed {name}"] = seen(two.map(lambda row, v=values: {"x": v[row["a"]]}))
        out[f"mixed {name} batched"] = seen(two.map(lambda batch, v=values: {"x": v}, batched=True))
    splits = lib.DatasetDict({"train": two, "test": two.select([1])})
    named = splits.map(lambda row, i, split: {"s": f"{split} {i}"}, with_indices=True, with_split=True)
    out["with_split"] = [seen(named["train"]), seen(named["test"])]
    with two.formatted_as("numpy"):
        out["formatted_as"] = str(type(two[0]["a"]))
    out["formatted_as after"] = str(type(two[0]["a"]))
    out["num_proc"] = seen(runs.map(lambda row: {"w": row["v"] * 2}, num_proc=2))
    out["filter num_proc"] = seen(runs.filter(lambda row: row["v"] % 2 == 1, num_proc=2))
    csv_file, json_file = os.path.join(cache, "out.csv"), os.path.join(cache, "out.json")
    table = lib.Dataset.from_dict(
        {"t": ['a,"b"', None], "f": [0.1, 2.0], "l": [[1, 2], []], "b": [True, False], "u": ["é", "x"]}
    )
    table.to_csv(csv_file), table.to_json(json_file)
    for name, path in (("to_csv", csv_file), ("to_json", json_file)):
        with open(path, encoding="utf-8") as file:
            out[name] = file.read()
    return out


def save(lib: Any, folder: str) -> None:
    """Write what the other library is to read."""
    features = lib.Features(
        {
            "t": lib.Value("string"),
            "c": lib.ClassLabel(names=["no", "yes"]),
            "l": lib.List(lib.Value("int32")),
            "s": {"x": lib.Value("float32")},
        }
    )
    data = {"t": ["a", None, "c"], "c": [0, 1, 1], "l": [[1], [], [2, 3]], "s": [{"x": 0.5}, {"x": None}, {"x": 2.0}]}
    dataset = lib.Dataset.from_dict(data, features=features, split="train").select([2, 0, 1])
    lib.DatasetDict({"train": dataset, "test": dataset.select([1])}).save_to_disk(os.path.join(folder, "saved"))
    dataset.to_parquet(os.path.join(folder, "saved.parquet"))


def read(lib: Any, folder: str, cache: str) -> dict[str, Any]:
    """Return what is read of that."""
    splits = lib.load_from_disk(os.path.join(folder, "saved"))
    parquet = lib.load_dataset(
        "parquet", data_files=os.path.join(folder, "saved.parquet"), split="train", cache_dir=cache
    )
    return {
        **{name: [seen(part), str(part.split), part._fingerprint] for name, part in splits.items()},
        "parquet": seen(parquet),
    }


def main() -> None:
    """Save; then, where the other side has saved, run the cases and print what was seen."""
    name, folder, mine, theirs = sys.argv[1:5]
    lib = importlib.import_module(name)
    lib.disable_progress_bars()
    cache = os.path.join(mine, "cache")
    os.makedirs(cache, exist_ok=True)
    save(lib, mine)
    if not os.path.isdir(os.path.join(theirs, "saved")):
        return  # the other side goes first
    result = run(lib, folder, cache)
    result["read"] = read(lib, theirs, cache)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
