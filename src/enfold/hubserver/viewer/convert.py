"""Turn a folder of a dataset's files into Parquet files and a description: ``python -I convert.py FOLDER OUT LIMITS``.

A program of its own, run confined: the files are anybody's. It writes ``OUT/{number}.parquet`` for each split, and
``OUT/said.json``.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

_GROUP_ROWS, _GROUP_BYTES = 1_000, 8_000_000  # of a group of rows: what is read for a page
_BINS, _LABELS = 10, 30


def main(folder: Path, out: Path, rows: int, size: int) -> None:
    """Convert every configuration and split, ``rows`` rows and ``size`` bytes of each at most."""
    from enfold.datasets import get_dataset_config_names, load_dataset

    splits: list[dict[str, Any]] = []
    for config in get_dataset_config_names(str(folder)):
        for split, dataset in load_dataset(str(folder), config, streaming=True).items():
            said = _write(dataset, folder, out / f"{len(splits)}.parquet", rows, size)
            splits.append({"config": config, "split": str(split), "file": f"{len(splits)}.parquet", **said})
    (out / "said.json").write_text(json.dumps(splits))


def _write(dataset: Any, folder: Path, path: Path, rows: int, size: int) -> dict[str, Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    writer, waiting, held = None, [], 0
    count = length = 0
    partial = False
    for table in dataset.with_format("arrow").iter(batch_size=200):
        table = _embedded(table.slice(0, rows - count), dataset.features or {}, folder)
        writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
        waiting.append(table)
        count, length, held = count + table.num_rows, length + table.nbytes, held + table.nbytes
        if held >= _GROUP_BYTES or sum(part.num_rows for part in waiting) >= _GROUP_ROWS:
            writer.write_table(pa.concat_tables(waiting))
            waiting, held = [], 0
        if count >= rows or length >= size:
            partial = True
            break
    if writer is None:
        raise ValueError("a split has no rows")
    if waiting:
        writer.write_table(pa.concat_tables(waiting))
    writer.close()
    features = dataset.features.to_dict() if dataset.features is not None else {}
    columns = []
    for name in pq.read_schema(path).names:
        columns.append(_column(name, features.get(name), pq.read_table(path, columns=[name]).column(0)))
    return {"rows": count, "bytes": length, "partial": partial, "features": features, "columns": columns}


def _embedded(table: Any, features: Any, folder: Path) -> Any:
    """Put the files of pictures and sounds into the table; what is not of the dataset's own folder stays a name."""
    import pyarrow as pa

    for at, name in enumerate(table.column_names):
        kind = type(features[name]).__name__ if name in features else ""
        if kind not in {"Image", "Audio"} or not pa.types.is_struct(table.schema.field(at).type):
            continue
        made = []
        for value in table.column(at).to_pylist():
            path = value and value.get("path")
            if path and value.get("bytes") is None:
                found = Path(path).resolve()
                inside = found.is_relative_to(folder.resolve()) and found.is_file()
                value = {"bytes": found.read_bytes() if inside else None, "path": found.name if inside else path}
            made.append(value)
        array = pa.array(made, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
        table = table.set_column(at, name, array)
    return table


# ---------------------------------------------------------------------- what a column holds


def _column(name: str, feature: Any, values: Any) -> dict[str, Any]:
    """Return the statistics of a column, as the dataset viewer's API gives them."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = values.type
    said: dict[str, Any] = {"nan_count": values.null_count, "nan_proportion": _share(values.null_count, len(values))}
    values = values.drop_null()
    if isinstance(feature, dict) and feature.get("_type") == "ClassLabel":
        names = feature.get("names") or []
        counts = {str(item["values"]): item["counts"] for item in pc.value_counts(values).to_pylist()}
        none = counts.pop("-1", 0)
        named = {names[int(key)] if int(key) < len(names) else key: count for key, count in counts.items()}
        said |= {"no_label_count": none, "no_label_proportion": _share(none, len(values))}
        return {"column_name": name, "column_type": "class_label", "column_statistics": _labels(said, named)}
    if pa.types.is_boolean(kind):
        counts = {str(item["values"]): item["counts"] for item in pc.value_counts(values).to_pylist()}
        return {"column_name": name, "column_type": "bool", "column_statistics": {**said, "frequencies": counts}}
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        whole = pa.types.is_integer(kind)
        return {
            "column_name": name,
            "column_type": "int" if whole else "float",
            "column_statistics": said | _numbers(values, whole),
        }
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        distinct = pc.count_distinct(values).as_py()
        if distinct <= _LABELS and distinct <= max(len(values) * 0.5, 1):
            counts = {str(item["values"]): item["counts"] for item in pc.value_counts(values).to_pylist()}
            return {"column_name": name, "column_type": "string_label", "column_statistics": _labels(said, counts)}
        lengths = pc.utf8_length(values)
        return {"column_name": name, "column_type": "string_text", "column_statistics": said | _numbers(lengths, True)}
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        lengths = pc.list_value_length(values)
        return {"column_name": name, "column_type": "list", "column_statistics": said | _numbers(lengths, True)}
    media = {"Image": "image", "Audio": "audio"}.get(feature.get("_type", "") if isinstance(feature, dict) else "")
    return {"column_name": name, "column_type": media or "other", "column_statistics": said}


def _labels(said: dict[str, Any], counts: dict[str, int]) -> dict[str, Any]:
    return {**said, "n_unique": len(counts), "frequencies": counts}


def _share(count: int, total: int) -> float:
    return round(count / total, 5) if total else 0.0


def _numbers(values: Any, whole: bool) -> dict[str, Any]:
    import numpy as np

    array = np.asarray(values.to_numpy(zero_copy_only=False))
    array = array[np.isfinite(array.astype("float64"))] if len(array) else array
    if not len(array):
        return dict.fromkeys(("min", "max", "mean", "median", "std", "histogram"))
    low, high = array.min(), array.max()
    floats = array.astype("float64")
    if whole:  # bins of whole numbers, the last of which may be shorter
        width = max(math.ceil((int(high) - int(low) + 1) / _BINS), 1)
        edges: list[Any] = [*list(range(int(low), int(high) + 1, width))[:_BINS], int(high)]
        cuts = np.array([*edges[:-1], int(high) + 1], dtype="float64")
        counts = np.histogram(floats, cuts)[0] if len(set(cuts)) == len(cuts) else np.array([len(array)])
    elif low == high:
        counts, edges = np.array([len(array)]), [float(low), float(high)]
    else:
        counts, found = np.histogram(floats, _BINS)
        edges = [float(edge) for edge in found]
    number = int if whole else float
    return {
        "min": number(low),
        "max": number(high),
        "mean": round(float(floats.mean()), 5),
        "median": round(float(np.median(floats)), 5),
        "std": round(float(floats.std(ddof=1)), 5) if len(array) > 1 else 0.0,
        "histogram": {"hist": [int(count) for count in counts], "bin_edges": edges},
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
