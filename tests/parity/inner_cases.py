"""What the inner modules of `datasets` give, as JSON; run on the peer and, through the drop-in, on ours.

``python inner_cases.py FOLDER`` prints name → result, or the name of the error's class.
"""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
from datasets import ClassLabel, Features, Image, List, Sequence, Value, config
from datasets.arrow_writer import (
    ArrowWriter,
    OptimizedTypedSequence,
    ParquetWriter,
    TypedSequence,
)
from datasets.builder import ArrowBasedBuilder, BuilderConfig, DatasetBuilder, GeneratorBasedBuilder
from datasets.exceptions import ExpectedMoreSplitsError, NonMatchingSplitsSizesError, UnexpectedSplitsError
from datasets.features.features import (
    cast_to_python_objects,
    decode_nested_example,
    encode_nested_example,
    generate_from_arrow_type,
    generate_from_dict,
    get_nested_type,
    require_decoding,
    require_storage_cast,
    require_storage_embed,
    string_to_arrow,
)
from datasets.filesystems import is_remote_filesystem, rename
from datasets.formatting import get_format_type_from_alias
from datasets.formatting.formatting import LazyBatch, LazyRow
from datasets.naming import (
    camelcase_to_snakecase,
    filename_prefix_for_split,
    filenames_for_dataset_split,
    filepattern_for_dataset_split,
    snakecase_to_camelcase,
)
from datasets.packaged_modules.csv.csv import Csv, CsvConfig
from datasets.packaged_modules.folder_based_builder.folder_based_builder import FolderBasedBuilder
from datasets.packaged_modules.imagefolder.imagefolder import ImageFolder
from datasets.packaged_modules.json.json import Json, JsonConfig
from datasets.parallel import parallel_backend
from datasets.splits import SplitGenerator, SplitInfo
from datasets.table import (
    InMemoryTable,
    MemoryMappedTable,
    Table,
    array_cast,
    cast_table_to_features,
    cast_table_to_schema,
    concat_tables,
    table_cast,
    table_flatten,
    table_iter,
)
from datasets.utils import logging
from datasets.utils.file_utils import (
    hash_url_to_filename,
    is_local_path,
    is_relative_path,
    is_remote_url,
    readline,
    url_or_path_join,
    url_or_path_parent,
    xbasename,
    xdirname,
    xjoin,
    xlistdir,
    xopen,
    xsplitext,
)
from datasets.utils.filelock import FileLock
from datasets.utils.info_utils import VerificationMode, get_size_checksum_dict, is_small_dataset, verify_splits
from datasets.utils.py_utils import (
    NonMutableDict,
    asdict,
    convert_file_size_to_int,
    first_non_null_value,
    glob_pattern_to_regex,
    iter_batched,
    map_nested,
    size_str,
    string_to_dict,
    temp_seed,
    temporary_assignment,
    unique_values,
    zip_dict,
)
from datasets.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars, tqdm
from datasets.utils.version import Version

FOLDER = Path(sys.argv[1])
CASES: dict[str, Callable[[], Any]] = {}
WORDS = ["SquadV2", "HTMLPages2", "iPhone", "web_pages__old", "a_b", "IMDB", "x1_y2", "GLUE2Tasks"]
ADDRESSES = ["https://x.org/a/b.zip?x=1", "s3://b/k.txt", "hf://datasets/o/n@r/p/q.csv", "/a/b.tar.gz", "a/b", "c.txt"]
ADDRESSES += ["zip://in/a.txt::https://x.org/b.zip", "file:///tmp/x"]


def case(function: Callable[[], Any]) -> Callable[[], Any]:
    CASES[function.__name__] = function
    return function


@case
def names() -> Any:
    shards = filenames_for_dataset_split("/f", "SquadV2", "train", "arrow", [3, 2])
    one = filenames_for_dataset_split("/f", "squad", "train", "arrow", [3])
    made = [filename_prefix_for_split("MyData", "test"), filepattern_for_dataset_split("d", "train", "/f", "arrow")]
    return [list(map(camelcase_to_snakecase, WORDS)), list(map(snakecase_to_camelcase, WORDS)), shards, one, made]


@case
def a_path_as_a_name() -> Any:
    return filename_prefix_for_split("a/b", "train")


@case
def a_split_with_a_dash() -> Any:
    return filename_prefix_for_split("a", "tr-ain")


@case
def addresses() -> Any:
    told = [[is_remote_url(one), is_local_path(one), is_relative_path(one)] for one in ADDRESSES]
    parts = [[xbasename(one), xdirname(one), list(xsplitext(one)), url_or_path_parent(one)] for one in ADDRESSES]
    joined = [[xjoin(one, "c", "d.txt"), xjoin(one, "../e"), url_or_path_join(one, "z")] for one in ADDRESSES]
    hashes = [hash_url_to_filename("https://x.org/a.py", "etag"), hash_url_to_filename("https://x.org/a")]
    return [told, parts, joined, hashes]


@case
def files() -> Any:
    (FOLDER / "a.txt").write_text("one\ntwo\n")
    with xopen(str(FOLDER / "a.txt")) as file:
        text = file.read()
    with open(FOLDER / "a.txt", "rb") as raw:
        first = readline(raw).decode()
    size = get_size_checksum_dict(str(FOLDER / "a.txt"), record_checksum=True)
    with FileLock(str(FOLDER / "a.lock")):
        pass
    return [text, first, size, sorted(xlistdir(str(FOLDER))) != []]


@case
def nested() -> Any:
    data = {"a": [1, 2, (3,)], "b": {"c": 4}, "d": [[5]]}
    out = [map_nested(lambda value: value + 1, data, map_tuple=True)]
    out += [map_nested(str, [1, [2]]), map_nested(str, 7), map_nested(lambda v: str(v), data, dict_only=True)]
    out += [map_nested(lambda rows: [row * 2 for row in rows], list(range(7)), batched=True, batch_size=3)]
    out += [map_nested(abs, [-1, -2, -3, -4, -5], num_proc=2), map_nested(abs, {"x": -1, "y": -2}, num_proc=2)]
    return [*out, map_nested(lambda v: v * 2, np.arange(3), map_numpy=True).tolist()]


@case
def sizes() -> Any:
    told = [size_str(n) for n in (0, None, 1, 1023, 1024, 3 << 20, 5 << 30, 7 << 40, 2 << 50)]
    read = [convert_file_size_to_int(text) for text in ("1KB", "2MiB", "3GB", "500MB", "4TB", 17)]
    return [told, read, is_small_dataset(None), is_small_dataset(10**12)]


@dataclass
class Known:
    name: str
    size: int = 2


@case
def small_helpers() -> Any:
    with temp_seed(3):
        drawn = np.random.rand(3).tolist()
    with temp_seed(3, set_pytorch=True):
        import torch

        drawn += torch.rand(2).tolist()
    holder = Version("1.0.0")
    with temporary_assignment(holder, "description", "x"):
        inside = holder.description
    return [
        drawn,
        [inside, holder.description],
        list(unique_values([3, 1, 3, 2, 1])),
        list(zip_dict({"a": 1, "b": 2}, {"b": 3, "a": 4})),
        [first_non_null_value([None, None, 0]), first_non_null_value([None])],
        list(iter_batched(range(5), 2)),
        [asdict(Known("x")), asdict(Known("y", 3))],
        string_to_dict("data/train-00000-of-00002-x.parquet", "data/{split}-{a}-of-{b}.parquet"),
        [bool(re.fullmatch(glob_pattern_to_regex("a/*.csv"), t)) for t in ("a/b.csv", "a/b/c.csv", "a/b")],
    ]


@case
def a_key_set_twice() -> Any:
    made = NonMutableDict({"a": 1})
    made["a"] = 2


@case
def fewer_rows_than_described() -> Any:
    verify_splits({"train": SplitInfo("train", 1, 2)}, {"train": SplitInfo("train", 1, 3)})


@case
def a_split_too_few() -> Any:
    verify_splits({"train": SplitInfo("train", 1, 2), "test": SplitInfo("test", 1, 2)}, {"train": SplitInfo()})


@case
def a_split_too_many() -> Any:
    verify_splits({"train": SplitInfo("train", 1, 2)}, {"train": SplitInfo("train", 1, 2), "test": SplitInfo()})


@case
def errors_are_of_their_kinds() -> Any:
    kinds = (ExpectedMoreSplitsError, NonMatchingSplitsSizesError, UnexpectedSplitsError)
    root = datasets.exceptions.SplitsVerificationError
    known = [name for name in dir(datasets.exceptions) if name.endswith("Error")]
    roots = [issubclass(kind, root) for kind in kinds]
    return [roots, sorted(name for name in known if name in PEER_ERRORS)]


PEER_ERRORS = """
DatasetsError DefunctDatasetError FileNotFoundDatasetsError DataFilesNotFoundError DatasetNotFoundError
DatasetBuildError ManualDownloadError FileFormatError DatasetGenerationError DatasetGenerationCastError
ChecksumVerificationError UnexpectedDownloadedFileError ExpectedMoreDownloadedFilesError NonMatchingChecksumError
SplitsVerificationError UnexpectedSplitsError ExpectedMoreSplitsError NonMatchingSplitsSizesError
""".split()


@case
def features() -> Any:
    kinds = [Value("int32"), ClassLabel(names=["a", "b"]), List(Value("string")), {"x": List({"y": Value("float32")})}]
    kinds += [Image(), Image(decode=False), Sequence({"z": ClassLabel(names=["a"])})]
    told = [[require_decoding(k), require_storage_cast(k), require_storage_embed(k)] for k in kinds]
    more = [require_decoding(Image(decode=False), ignore_decode_attribute=True), str(string_to_arrow("timestamp[us]"))]
    types = [str(get_nested_type(kind)) for kind in kinds]
    back = [str(generate_from_arrow_type(pa.list_(pa.struct([("a", pa.int8())])))), str(generate_from_dict(FORM))]
    encoded = encode_nested_example({"a": List(kinds[1])}, {"a": ["b", "a"]})
    decoded = decode_nested_example({"a": Value("int32")}, {"a": 3})
    python = cast_to_python_objects({"a": np.arange(4).reshape(2, 2), "b": (np.float32(1.5), [np.array(["x"])])})
    return [told, more, types, back, encoded, decoded, python]


FORM = {
    "a": {"dtype": "string", "_type": "Value"},
    "b": {"feature": {"dtype": "int8", "_type": "Value"}, "_type": "List"},
}


@case
def tables() -> Any:
    table = InMemoryTable.from_pydict({"a": [1, 2, 3], "s": [{"x": 1}, {"x": 2}, None]})
    other = table.slice(1, 1)
    both = concat_tables([table, other])
    side = concat_tables([table, InMemoryTable.from_pydict({"b": ["x", "y", "z"]})], axis=1)
    wide = cast_table_to_schema(table.table.select(["a"]), pa.schema([("a", pa.int64()), ("n", pa.string())]))
    labels = cast_table_to_features(pa.table({"l": ["b", "a"]}), Features({"l": ClassLabel(names=["a", "b"])}))
    with pa.OSFile(str(FOLDER / "t.arrow"), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table.table)
    mapped = MemoryMappedTable.from_file(str(FOLDER / "t.arrow"))
    return [
        [isinstance(one, Table) for one in (table, other, both, side, mapped)],
        [both.num_rows, both.column("a").to_pylist(), side.column_names, mapped.to_pydict(), len(mapped)],
        [wide.to_pydict(), labels.to_pydict(), mapped.path.endswith("t.arrow")],
        [table_flatten(table).column_names, [len(part) for part in table_iter(table, 2)], table == table.slice(0)],
        array_cast(pa.array([{"x": 1}]), pa.struct([("x", pa.string())])).to_pylist(),
        str(table_cast(table.table, pa.schema([("a", pa.float32()), table.schema.field("s")])).schema),
        [table.select(["a"]).column_names, table.drop(["a"]).column_names, table.rename_columns(["u", "v"]).shape],
    ]


@case
def a_column_too_many() -> Any:
    return cast_table_to_schema(pa.table({"a": [1], "b": [2]}), pa.schema([("a", pa.int64())]))


@case
def typed_sequences() -> Any:
    plain = pa.array(TypedSequence([1, 2, 3]))
    typed = pa.array(TypedSequence([1, 2, 3], type=Value("int32")))
    tried = pa.array(TypedSequence(["a", "b"], try_type=Value("int32")))
    small = [pa.array(OptimizedTypedSequence([[1, 2]], col=col)) for col in ("input_ids", "attention_mask", "other")]
    return [str(one.type) for one in (plain, typed, tried, *small)]


@case
def a_value_of_another_type() -> Any:
    return pa.array(TypedSequence(["a", "b"], type=Value("int32")))


@case
def writing() -> Any:
    out = []
    for kind, ending in ((ArrowWriter, "arrow"), (ParquetWriter, "parquet")):
        path = str(FOLDER / f"w.{ending}")
        with kind(path=path, features=Features({"n": Value("int32"), "t": List(Value("string"))})) as writer:
            writer.write({"n": 1, "t": ["a"]})
            writer.write_batch({"n": [2, 3], "t": [[], None]})
            writer.write_table(pa.table({"n": [4], "t": [["z"]]}))
            count, size = writer.finalize()
        read = datasets.Dataset.from_file(path) if ending == "arrow" else datasets.Dataset.from_parquet(path)
        out.append([count, size > 0, read.to_list(), str(read.features)])
    sink = pa.BufferOutputStream()
    with ArrowWriter(stream=sink) as writer:
        writer.write({"a": 1.5})
        writer.finalize()
    return [out, pa.ipc.open_stream(sink.getvalue()).read_all().to_pydict(), str(writer.schema.field("a").type)]


@case
def writing_nothing() -> Any:
    with ArrowWriter(stream=io.BytesIO()) as writer:
        writer.finalize()


@case
def configurations() -> Any:
    made = [CsvConfig(name="c", sep=";"), JsonConfig(field="data")]
    kinds = [issubclass(kind, DatasetBuilder) for kind in (Csv, Json, GeneratorBasedBuilder, ArrowBasedBuilder)]
    base = [isinstance(one, BuilderConfig) for one in made]
    (FOLDER / "c.csv").write_text("a;b\n1;x\n")
    found = datasets.load_dataset_builder("csv", data_files=str(FOLDER / "c.csv"), sep=";")
    said = [found.config.name[:7], found.config.sep, isinstance(found.config, CsvConfig), isinstance(found, Csv)]
    folder = issubclass(ImageFolder, FolderBasedBuilder)
    return [[one.name for one in made], made[0].sep, made[1].field, kinds, base, said, folder, SplitGenerator("a").name]


@case
def formats() -> Any:
    names = [get_format_type_from_alias(name) for name in ("np", "pt", "torch", "pandas", "arrow", None)]
    seen = []
    rows = datasets.Dataset.from_dict({"a": [1, 2]})
    rows.map(lambda batch: seen.append(isinstance(batch, LazyBatch)), batched=True, load_from_cache_file=False)
    return [names, all(seen), LazyRow.__name__ != LazyBatch.__name__]


@case
def file_systems() -> Any:
    import fsspec

    local, memory = fsspec.filesystem("file"), fsspec.filesystem("memory")
    (FOLDER / "old.txt").write_text("x")
    rename(local, str(FOLDER / "old.txt"), str(FOLDER / "new.txt"))
    with memory.open("/m/a.txt", "w") as file:
        file.write("y")
    rename(memory, "/m", "/n")
    return [
        is_remote_filesystem(local),
        is_remote_filesystem(memory),
        (FOLDER / "new.txt").exists(),
        memory.exists("/n"),
    ]


@case
def switches() -> Any:
    before = logging.get_verbosity()
    levels = []
    for name in ("debug", "info", "warning", "error"):
        getattr(logging, f"set_verbosity_{name}")()
        levels.append(logging.get_verbosity())
    logging.set_verbosity(logging.WARNING)
    logging.enable_propagation(), logging.disable_propagation()
    logging.set_verbosity(before)
    disable_progress_bars()
    shown = [are_progress_bars_disabled(), sum(tqdm([1, 2, 3], desc="x"))]
    enable_progress_bars()
    with tqdm(total=3, unit="rows", disable=True) as bar:
        bar.update(2)
        bar.set_description("y")
        bar.set_postfix(loss=1)
    with parallel_backend("loky"):
        pass
    return [levels, shown, are_progress_bars_disabled(), [mode.value for mode in VerificationMode]]


@case
def settings() -> Any:
    names = (
        "DATASET_INFO_FILENAME DATASETDICT_JSON_FILENAME DATASET_STATE_JSON_FILENAME MAX_SHARD_SIZE IN_MEMORY_MAX_SIZE"
    )
    names += " TORCH_AVAILABLE PIL_AVAILABLE DEFAULT_MAX_BATCH_SIZE REPOCARD_FILENAME"
    told = [getattr(config, name) for name in names.split()]
    below = str(config.EXTRACTED_DATASETS_PATH).removeprefix(str(config.HF_DATASETS_CACHE))
    before, config.IN_MEMORY_MAX_SIZE = config.IN_MEMORY_MAX_SIZE, 100
    small = [is_small_dataset(99), is_small_dataset(101)]
    config.IN_MEMORY_MAX_SIZE = before
    return [told, below, small, config.TORCH_VERSION >= config.PYARROW_VERSION]


if __name__ == "__main__":
    out: dict[str, Any] = {}
    for name, function in CASES.items():
        try:
            out[name] = function()
        except Exception as error:
            out[name] = type(error).__name__
    print(json.dumps(out, default=str))
