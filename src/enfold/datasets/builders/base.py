"""What the builders share: files are fetched, read into tables, and kept as Arrow that every process maps."""

from __future__ import annotations

import dataclasses
import glob
import hashlib
import importlib
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import pyarrow as pa

from enfold.errors import nearest
from enfold.log import get_logger
from enfold.progress import Progress

from ..config import datasets_cache
from ..data_files import DataFile
from ..dataset import Dataset
from ..dataset_dict import DatasetDict
from ..download import VerificationMode
from ..errors import DataFilesNotFoundError, DatasetGenerationCastError, DatasetGenerationError, UnexpectedSplitsError
from ..features.features import Features
from ..fingerprint import combine
from ..info import DatasetInfo, Version
from ..source import Source, TableSource, chain, open_arrow
from ..splits import NamedSplit, SplitDict, SplitInfo, parse_split, unknown_split
from ..utils.info_utils import verify_splits
from ..writer import TableWriter
from . import configs, kinds
from .archives import extract, is_archive
from .fitting import fit

__all__ = ["BUILDERS", "DatasetBuilder", "StartAgain", "builder_for", "builder_of", "readable_by"]

logger = get_logger(__name__)

#: builder → (the endings of its files, options that an ending implies)
BUILDERS: dict[str, dict[str, dict[str, Any]]] = {
    "csv": {".csv": {}, ".tsv": {"sep": "\t"}},
    "json": {".json": {}, ".jsonl": {}, ".ndjson": {}},
    "parquet": {".parquet": {}, ".geoparquet": {}, ".gpq": {}},
    "text": {".txt": {}},
    "arrow": {".arrow": {}},
    "webdataset": {".tar": {}},
    "imagefolder": {f".{ending}": {} for ending in kinds.IMAGES},
    "audiofolder": {f".{ending}": {} for ending in kinds.AUDIO},
    "videofolder": {f".{ending}": {} for ending in kinds.VIDEOS},
    "pdffolder": {f".{ending}": {} for ending in kinds.PDF},
    "xml": {".xml": {}},
    "hdf5": {".h5": {}, ".hdf5": {}},
    "cache": {},
    "pandas": {".pkl": {}, ".pickle": {}},
    "sql": {},
}
# Where a builder's class is, unless it is `Builder` in the module of its name.
_CLASSES = {
    "imagefolder": ("folder_files", "ImageFolder"),
    "audiofolder": ("folder_files", "AudioFolder"),
    "videofolder": ("folder_files", "VideoFolder"),
    "pdffolder": ("folder_files", "PdfFolder"),
}
_PACKED = (".gz", ".bz2", ".zst", ".lz4", ".xz")
# Part of every cache folder's name: raise it when what a builder writes changes.
_FORMAT = "enfold-1"


def builder_of(name: str) -> type[DatasetBuilder]:
    """Return the builder class of a name such as ``"csv"``."""
    module, kind = _CLASSES.get(name, (f"{name}_files", "Builder"))
    return getattr(importlib.import_module(f"{__package__}.{module}"), kind)


def builder_for(names: Sequence[str]) -> tuple[str, dict[str, Any], list[str]] | None:
    """Return the builder that most of the files are for, the options that their ending implies, and those files.

    Example:
        >>> builder_for(["a.tsv", "b.tsv", "notes.md"])
        ('csv', {'sep': '\\t'}, ['a.tsv', 'b.tsv'])
    """
    found: list[tuple[str, str]] = []
    for name in names:
        if name.rsplit("/", 1)[-1] not in kinds.METADATA:
            ending = _ending(name)
            found += [(builder, ending) for builder, endings in BUILDERS.items() if ending in endings]
    if not found:
        return None if not any(name.rsplit("/", 1)[-1] in kinds.METADATA for name in names) else _of_metadata(names)
    counts = Counter(builder for builder, _ in found)  # a folder holds images of several endings
    builder = max(counts, key=lambda name: (counts[name], name == "parquet"))
    ending = Counter(ending for kind, ending in found if kind == builder).most_common(1)[0][0]
    readable = [name for name in names if _ending(name) in BUILDERS[builder]]
    if builder in _CLASSES:
        readable = readable_by(builder, names)
    return builder, BUILDERS[builder][ending], readable


def _of_metadata(names: Sequence[str]) -> tuple[str, dict[str, Any], list[str]]:
    """What ``metadata.csv`` is on its own: a table like any other."""
    ending = Counter(_ending(name) for name in names if name.rsplit("/", 1)[-1] in kinds.METADATA).most_common(1)[0][0]
    builder = next(builder for builder, endings in BUILDERS.items() if ending in endings)
    return builder, BUILDERS[builder][ending], [name for name in names if _ending(name) == ending]


def readable_by(builder: str, names: Sequence[str]) -> list[str]:
    """Return the names of files that a builder reads, with archives and metadata files where it reads those."""
    folder = builder in _CLASSES
    return [
        name
        for name in names
        if (_ending(name) in BUILDERS[builder] and name.rsplit("/", 1)[-1] not in kinds.METADATA)
        or (folder and (is_archive(name) or name.rsplit("/", 1)[-1] in kinds.METADATA))
    ]


def _ending(name: str) -> str:
    lower = name.lower()
    for packed in _PACKED:
        lower = lower.removesuffix(packed)
    return os.path.splitext(lower)[1]


class StartAgain(Exception):
    """What a builder gave of a large file, part by part, was wrong: it must be read as a whole."""


class DatasetBuilder:
    """Makes a dataset of files of one kind.

    Args:
        data_files: the files of each split.
        cache_dir: where the Arrow tables are kept; ``HF_DATASETS_CACHE`` where None.
        dataset_name: the dataset's name, part of the cache folder's.
        config_name: the configuration's name.
        features: the columns' kinds; inferred where None.
        info: what is known about the dataset already.
        commit: the commit of a repository whose files these are, as its card says and with no other options: the cache
            folder is then the one that ``datasets`` has for it, and either finds what the other made.
        options: the fields of the builder's ``Options``.

    Raises:
        TypeError: an option that the builder does not have; the nearest one is named.
    """

    name: ClassVar[str]
    #: what user-written builders set; see :mod:`enfold.datasets.builders.scripted`
    VERSION: ClassVar[Any] = None
    BUILDER_CONFIGS: ClassVar[list[Any]] = []
    DEFAULT_CONFIG_NAME: ClassVar[str | None] = None
    DEFAULT_WRITER_BATCH_SIZE: ClassVar[int | None] = None
    #: whether the files themselves are the table, so that nothing is written
    in_place: ClassVar[bool] = False
    #: whether rows come from files; else ``split_tables`` knows where they are
    needs_files: ClassVar[bool] = True
    #: whether what ``tables`` gave is forgotten where it raises StartAgain, so that it need not be sure of it
    may_start_again: bool = False

    @dataclasses.dataclass
    class Options:
        """What can be said about the files."""

    def __init__(
        self,
        data_files: dict[str, list[DataFile]],
        *,
        cache_dir: str | None = None,
        dataset_name: str | None = None,
        config_name: str = "default",
        features: Features | None = None,
        info: DatasetInfo | None = None,
        commit: str | None = None,
        **options: Any,
    ) -> None:
        known = [item.name for item in dataclasses.fields(self.Options)]
        for option in options:
            if option not in known:
                raise TypeError(f"the {self.name} builder has no option {option!r}{nearest(option, known)}")
        if self.needs_files and not any(data_files.values()):
            raise DataFilesNotFoundError(f"the {self.name} builder was given no data file")
        self.options: Any = self.Options(**options)
        self.data_files = {split: files for split, files in data_files.items() if files or not self.needs_files}
        self.info = info.copy() if info is not None else DatasetInfo()
        if features is not None:
            self.info.features = Features(features)
        self.dataset_name = (dataset_name or self.name).replace("/", "___")
        self.config_name = config_name
        self.info.builder_name = self.name
        self.info.dataset_name = self.dataset_name.rsplit("___", 1)[-1]
        self.info.config_name = config_name
        self.info.version = self.info.version or Version("0.0.0")
        self._given, self._expected = self.info.features, self.info.splits
        files = {split: [file.identity for file in entries] for split, entries in self.data_files.items()}
        form = self.info.features.to_dict() if self.info.features is not None else None
        self.hash = combine(_FORMAT, self.name, files, self._options_key(), form)
        version = hashlib.sha256(f"{_FORMAT} {self.name}".encode()).hexdigest()
        place = (config_name, "0.0.0", commit) if commit else (f"{config_name}-{self.hash}", "0.0.0", version)
        self.cache_dir = os.path.join(
            os.path.abspath(cache_dir or datasets_cache()),
            self.dataset_name,
            *(part.replace("/", "-") for part in place),
        )
        self._sources: dict[str, Source] = {}
        if not self.in_place and os.path.isfile(os.path.join(self.cache_dir, "dataset_info.json")):
            self.info = DatasetInfo.from_directory(self.cache_dir)  # an earlier run knows columns and sizes

    # ---- what each builder gives

    def tables(self, path: str, name: str) -> Iterator[pa.Table]:
        """Yield the rows of one file.

        Raises:
            DatasetGenerationError: the file cannot be read; the message names it and the line.
        """
        raise NotImplementedError

    def source(self, paths: list[str]) -> Source:
        """Return the rows of files that are read in place."""
        raise NotImplementedError

    def split_tables(self, split: str) -> Iterator[tuple[str, pa.Table]]:
        """Yield the rows of a split as pairs (the file that they are from, a table); archives are unpacked first."""
        for file in self.data_files[split]:
            local = file.fetch()
            if is_archive(file.name) and self.name != "webdataset":
                inside = extract(local)
                readable = [path for path in inside if _ending(path) in BUILDERS.get(self.name, {})] or inside
                for path in readable:
                    shown = f"{file.name}::{os.path.basename(path)}"
                    yield from ((shown, table) for table in self.tables(path, shown))
            else:
                yield from ((file.name, table) for table in self.tables(local, file.name))

    def _begin(self) -> None:
        """Find out what there is, before anything is fetched."""

    def _options_key(self) -> Any:
        """What the options are, for the cache folder's name."""
        return dataclasses.asdict(self.options)

    # ---- the same for all

    def download_and_prepare(
        self,
        output_dir: str | None = None,
        download_config: Any = None,
        download_mode: Any = None,
        verification_mode: Any = None,
        dl_manager: Any = None,
        base_path: str | None = None,
        file_format: str = "arrow",
        max_shard_size: str | int | None = None,
        num_proc: int | None = None,
        storage_options: dict[str, Any] | None = None,
        keep_in_memory: bool = False,
    ) -> None:
        """Fetch the files and make the tables, unless they are there already.

        Args:
            output_dir: a folder to put them into, in place of the cache, or the address of one that fsspec knows.
            download_mode: ``"reuse_dataset_if_exists"`` (the default), or ``"force_redownload"`` and
                ``"reuse_cache_if_exists"`` to make the tables again.
            file_format: ``"arrow"``, or ``"parquet"`` for an ``output_dir`` that other programs read.
            max_shard_size: bytes of a file at most, such as ``"500MB"``, with ``"parquet"`` or an address.
            storage_options: arguments of the file system behind an address.
            keep_in_memory: write nothing.
            verification_mode: ``"no_checks"`` to take splits of other sizes than the card says.
            download_config, dl_manager, base_path, num_proc: accepted for compatibility.

        Raises:
            ValueError: another format.
            SplitsVerificationError: the splits, or their numbers of rows, are not those that the card says.
        """
        self._begin()
        checks = str(getattr(verification_mode, "value", verification_mode) or "basic_checks").lower()
        if file_format not in ("arrow", "parquet"):
            raise ValueError(f"file_format must be 'arrow' or 'parquet', not {file_format!r}")
        remote = output_dir is not None and "://" in output_dir
        if remote or file_format == "parquet":
            from .output import write_splits

            self.download_and_prepare(download_mode=download_mode, verification_mode=checks)
            write_splits(self, output_dir or self.cache_dir, file_format, max_shard_size, storage_options)
            return
        if output_dir is not None:
            self.cache_dir = os.path.abspath(output_dir)
        mode = str(getattr(download_mode, "value", download_mode) or "").lower()
        again = mode in ("force_redownload", "reuse_cache_if_exists")
        if self.in_place:
            for split, files in self.data_files.items():
                self._sources[split] = self.source([file.fetch() for file in files])
            features = self.info.features or Features.from_arrow_schema(next(iter(self._sources.values())).schema)
            self.info.features = features
            self._count(checks)
            return
        if keep_in_memory:
            for split in self.data_files:
                self._sources[split] = self._build(split, None)
            self._count(checks)
            return
        if not again and self._load():
            return
        from filelock import FileLock

        os.makedirs(os.path.dirname(self.cache_dir), exist_ok=True)
        with FileLock(f"{self.cache_dir}_builder.lock"):
            if not again and self._load():  # another process made it while this one waited
                return
            self._prepare(checks)

    def _prepare(self, checks: str) -> None:
        temporary = f"{self.cache_dir}.incomplete"
        shutil.rmtree(temporary, ignore_errors=True)
        os.makedirs(temporary)
        try:
            for split in self.data_files:
                path = os.path.join(temporary, f"{self.info.dataset_name}-{split}.arrow")
                self._sources[split] = self._build(split, path)
            self._count(checks)
            self.info.write_to_directory(temporary)
            shutil.rmtree(self.cache_dir, ignore_errors=True)
            os.replace(temporary, self.cache_dir)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        self._sources = {}
        self._load()

    def _build(self, split: str, path: str | None) -> Source:
        self.may_start_again = True
        try:
            return self._written(split, path)
        except StartAgain:
            self.may_start_again = False
            return self._written(split, path)
        finally:
            self.may_start_again = False

    def _written(self, split: str, path: str | None) -> Source:
        wanted = self.info.features
        schema = wanted.arrow_schema if wanted is not None else None
        if schema is not None and path is None:
            schema = schema.remove_metadata()
        label = f"Generating {split} split"
        with TableWriter(path, schema, self._describe) as writer, Progress(label=label, unit="examples") as bar:
            shown = split
            try:
                for shown, table in self.split_tables(split):
                    table = fit(table, wanted, shown) if wanted is not None else table
                    writer.write(table.replace_schema_metadata(None))
                    bar.advance(table.num_rows)
            except pa.ArrowInvalid as error:
                if isinstance(error, DatasetGenerationError):
                    raise
                raise DatasetGenerationCastError(f"{shown}: {error}") from error
            except UnicodeDecodeError as error:
                raise DatasetGenerationError(
                    f"{shown}: not {error.encoding.upper()} text ({error}); pass encoding="
                ) from error
            source = writer.finish()
            assert writer.schema is not None
        # the first split decides; the others must have its columns
        self.info.features = self._describe(writer.schema)
        return source

    def _describe(self, schema: pa.Schema) -> Features:
        return self.info.features if self.info.features is not None else self._inferred(schema)

    def _inferred(self, schema: pa.Schema) -> Features:
        return Features.from_arrow_schema(schema)

    def _count(self, checks: str) -> None:
        splits = SplitDict()
        for split, source in self._sources.items():
            splits.add(SplitInfo(split, int(source.nbytes), source.num_rows, dataset_name=self.info.dataset_name))
        if checks != VerificationMode.NO_CHECKS.value:
            verify_splits(self._expected, splits)
        self.info.splits = splits
        sizes = [os.path.getsize(file.fetch()) for files in self.data_files.values() for file in files]
        self.info.download_size = sum(sizes)
        self.info.dataset_size = sum(split.num_bytes for split in splits.values())
        self.info.size_in_bytes = self.info.download_size + self.info.dataset_size

    def _load(self) -> bool:
        if not os.path.isfile(os.path.join(self.cache_dir, "dataset_info.json")):
            return False
        info = DatasetInfo.from_directory(self.cache_dir)
        found = {split: shard_paths(self.cache_dir, self.info.dataset_name or "", split) for split in info.splits or {}}
        if not found or not all(found.values()):
            return False
        for split, paths in found.items():
            self._sources[split] = chain([TableSource.mapped(path, open_arrow(path)) for path in paths])
        self.info = info
        return True

    @property
    def config(self) -> Any:
        """The configuration: its name, its files by split, and the builder's options as attributes."""
        files = {split: [file.name for file in entries] for split, entries in self.data_files.items()}
        said = {item.name: getattr(self.options, item.name) for item in dataclasses.fields(self.options)}
        return configs.config_class(type(self))(
            name=self.config_name, version=self.info.version, data_files=files, **{**said, "features": self._given}
        )

    def as_streaming_dataset(self, split: Any = None, base_path: str | None = None) -> Any:
        """Return the rows as a stream that reads the files when it is asked, or a dict of them where ``split`` is None.

        Args:
            split: an instruction such as ``"train[:10%]+test"``.
            base_path: accepted for compatibility.
        """
        from ..streaming.making import stream_splits

        return stream_splits(self, split, None)

    def as_dataset(self, split: Any = None, in_memory: bool = False, **accepted: Any) -> Any:
        """Return a split, a part of one, or all of them.

        Args:
            split: an instruction such as ``"train[:10%]+test"``, a list or dict of them, or None for all splits.
            in_memory: read the tables instead of mapping them.

        Raises:
            ValueError: a split that the dataset does not have; those that it has are named.
        """
        if not self._sources:
            raise DatasetGenerationError("call download_and_prepare before as_dataset")
        if split is None:
            return DatasetDict({name: self._one(name, in_memory) for name in self._sources})
        if isinstance(split, (list, tuple)):
            return [self.as_dataset(part, in_memory) for part in split]
        if isinstance(split, dict):
            return DatasetDict({name: self.as_dataset(part, in_memory) for name, part in split.items()})
        return self._one(split, in_memory)

    def _one(self, instruction: Any, in_memory: bool) -> Dataset:
        known = list(self._sources)
        parts = []
        cuts = []
        terms = parse_split("+".join(known) if str(instruction) == "all" and "all" not in known else instruction)
        for term in terms:
            if term.split not in self._sources:
                raise UnexpectedSplitsError(unknown_split(term.split, known))
            source = self._sources[term.split]
            start, stop = term.rows(source.num_rows)
            parts.append(source.slice(start, stop))
            cuts.append([term.split, start, stop])
        source = chain(parts)
        if in_memory:
            source = TableSource(pa.Table.from_batches(_copied(source), source.schema))
        return Dataset(
            source,
            self.info,
            NamedSplit("+".join(map(str, terms))),
            fingerprint=combine(self.hash, cuts),
            cache_dir=None if in_memory else self.cache_dir,
        )


def shard_paths(folder: str, name: str, split: str) -> list[str]:
    """Return the Arrow files of a split in a cache folder: one, or the numbered ones of several shards."""
    stem = os.path.join(folder, f"{name}-{split}")
    if os.path.isfile(f"{stem}.arrow"):
        return [f"{stem}.arrow"]
    found = sorted(glob.glob(f"{glob.escape(stem)}-?????-of-?????.arrow"))
    return found if found and found[-1].endswith(f"-of-{len(found):05d}.arrow") else []


def _copied(source: Source) -> Iterator[pa.RecordBatch]:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, source.schema) as writer:
        for piece in source.pieces():
            writer.write_table(piece)
    yield from pa.ipc.open_stream(sink.getvalue())
