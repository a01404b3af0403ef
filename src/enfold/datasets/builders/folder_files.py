"""Folders of images, recordings, videos or documents, with labels by folder or with metadata files."""

from __future__ import annotations

import dataclasses
import os
import posixpath
from collections.abc import Iterator
from functools import partial
from typing import Any, ClassVar

import pyarrow as pa

from enfold.errors import nearest

from ..data_files import DataFile
from ..errors import DatasetGenerationError
from ..features.audio import Audio
from ..features.features import Features
from ..features.image import Image
from ..features.pdf import Pdf
from ..features.types import ClassLabel, List, Value
from ..features.video import Video
from ..values import arrow_to_list, one_array
from . import kinds
from .archives import extract, is_archive
from .base import DatasetBuilder

__all__ = ["AudioFolder", "FolderBuilder", "ImageFolder", "PdfFolder", "VideoFolder"]

# Files of a table; what one holds are paths.
_ROWS = 1000


class FolderBuilder(DatasetBuilder):
    """Makes a row of every file of one kind, or of every row of the metadata files beside them.

    Labels are the names of the folders that the files are in, where there are several on one level. A metadata file
    (``metadata.csv``, ``.jsonl`` or ``.parquet``) names the files in its column ``file_name``, or in columns such as
    ``left_file_name`` or ``page_file_names``; its other columns are columns of the dataset.
    """

    column: ClassVar[str]
    feature: ClassVar[Any]
    endings: ClassVar[list[str]]

    @dataclasses.dataclass
    class Options:
        """What can be said about a folder.

        Args:
            drop_labels: make no labels of the folders' names; where None, labels are made where there are several and
                no metadata.
            drop_metadata: leave metadata files out.
            metadata_filenames: their names.
            filters: only rows of the metadata that fit, as a ``pyarrow`` expression or a list of comparisons.
            decode_num_threads: accepted for compatibility.
        """

        drop_labels: bool | None = None
        drop_metadata: bool | None = None
        metadata_filenames: list[str] | None = None
        filters: Any = None
        decode_num_threads: int = 32

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._names = tuple(self.options.metadata_filenames or kinds.METADATA)
        self._by_name = {file.name: file for files in self.data_files.values() for file in files}
        self._members: dict[str, list[str]] = {}
        self._labelled = self._described = False
        self._survey()

    # ---- what there is

    def _survey(self) -> None:
        """Look at the names: are there metadata files, do the folders' names differ?"""
        metadata: dict[str, list[DataFile]] = {}
        labels: dict[str, set[str]] = {split: set() for split in self.data_files}
        depths: set[int] = set()
        media = 0
        for split, files in self.data_files.items():
            for file in files:
                if is_archive(file.name):
                    inside = self._members[file.name] = extract(file.fetch())
                    for path in inside:
                        if os.path.basename(path) in self._names:
                            metadata.setdefault(split, []).append(DataFile(path, path, partial(str, path)))
                names = self._members.get(file.name, [file.name])
                if file.name.rsplit("/", 1)[-1] in self._names:
                    metadata.setdefault(split, []).append(file)
                for name in names:
                    if self._is_media(name):
                        media += 1
                        labels[split].add(_label(name))
                        depths.add(name.count("/"))
        if metadata and not self.options.drop_metadata:
            self._described = True
            made = self._metadata_features(metadata)
        else:
            self._labelled = not self.options.drop_labels
            if self.options.drop_labels is None:
                # the folders that tell splits apart are no labels: one split alone must have several
                self._labelled = any(len(found) > 1 for found in labels.values()) and len(depths) == 1
            made = Features({self.column: self.feature()})
            if self._labelled:
                made["label"] = ClassLabel(names=sorted(set().union(*labels.values())))
            if not media:
                shown = list(self._by_name)[:3]
                raise DatasetGenerationError(f"there is no {self.column} in {shown}: known endings are {self.endings}")
        if self.info.features is None:
            self.info.features = made

    def _is_media(self, name: str) -> bool:
        return os.path.splitext(name)[1][1:].lower() in self.endings

    def _metadata_features(self, metadata: dict[str, list[DataFile]]) -> Features:
        kinds_seen = {os.path.splitext(file.name)[1] for files in metadata.values() for file in files}
        if len(kinds_seen) > 1:
            raise DatasetGenerationError(f"the metadata files are of several kinds: {sorted(kinds_seen)}")
        first: tuple[str, Features] | None = None
        for files in metadata.values():
            table = next((table for file in files for table in self._metadata(file.fetch(), file.name)), None)
            if table is None:
                continue
            found = Features.from_arrow_schema(table.schema)
            if first is not None and found != first[1]:
                raise DatasetGenerationError(
                    f"the metadata files differ: {first[0]} has the columns {first[1]}, {files[0].name} has {found}"
                )
            first = first or (files[0].name, found)
        if first is None:
            raise DatasetGenerationError(
                f"the metadata files {[files[0].name for files in metadata.values()]} are empty"
            )
        made = self._with_files(dict(first[1]))
        if made == dict(first[1]):
            raise DatasetGenerationError(
                f"{first[0]}: one of the columns must be `file_name`, `*_file_name`, `file_names` or `*_file_names`, "
                f"to say which file a row is about; there are {list(first[1])}{nearest('file_name', first[1])}"
            )
        return Features(made)

    def _with_files(self, feature: Any) -> Any:
        """Return the metadata's features with files in the places of their names."""
        if isinstance(feature, List):
            return List(self._with_files(feature.feature), length=feature.length)
        if not isinstance(feature, dict):
            return feature
        out: dict[str, Any] = {}
        for name, inner in feature.items():
            place = _place(name, inner, self.column)
            if place is None:
                out[name] = self._with_files(inner)
            else:
                out[place] = List(self.feature()) if isinstance(inner, List) else self.feature()
        return out

    # ---- the rows

    def split_tables(self, split: str) -> Iterator[tuple[str, pa.Table]]:
        """Yield the rows of a split as they lie in its files, many files to a table."""
        files = self.data_files[split]
        if self._described:
            for file in files:
                yield from ((file.name, table) for table in self.tables(file.fetch(), file.name))
            return
        pending: list[tuple[str, str]] = []
        for file in files:
            if file.name in self._members:
                pending += [(path, path) for path in self._members[file.name] if self._is_media(path)]
            elif self._is_media(file.name):
                pending.append((file.fetch(), file.name))
            while len(pending) >= _ROWS:
                yield file.name, self._media(pending[:_ROWS])
                pending = pending[_ROWS:]
        if pending:
            yield files[-1].name, self._media(pending)

    def tables(self, path: str, name: str) -> Iterator[pa.Table]:
        """Yield the rows that one file brings: its own, or those of a metadata file, or those of an archive."""
        members = self._members.get(name)
        if self._described:
            for inside in members if members is not None else [path]:
                shown = inside if members is not None else name
                if os.path.basename(shown) in self._names:
                    for table in self._metadata(inside, shown):
                        yield self._resolved(table, inside, shown)
            return
        rows = [(inside, inside) for inside in members] if members is not None else [(path, name)]
        rows = [row for row in rows if self._is_media(row[1])]
        if rows:
            yield self._media(rows)

    def _media(self, files: list[tuple[str, str]]) -> pa.Table:
        columns: dict[str, Any] = {self.column: pa.array([os.path.abspath(path) for path, _ in files])}
        if self._labelled:
            columns["label"] = pa.array([_label(name) for _, name in files])
        return pa.table(columns)

    def _metadata(self, path: str, name: str) -> Iterator[pa.Table]:
        """Yield the rows of a metadata file as it has them."""
        if name.endswith(".parquet"):
            import pyarrow.parquet as pq

            try:
                tables: Any = (pa.Table.from_batches([batch]) for batch in pq.ParquetFile(path).iter_batches(10_000))
                for table in tables:
                    yield self._filtered(table)
            except (pa.ArrowInvalid, OSError) as error:
                raise DatasetGenerationError(f"{name}: no Parquet file: {error}") from error
            return
        from .base import builder_of

        file = DataFile(name, name, lambda: path)
        reader = builder_of("csv" if name.endswith(".csv") else "json")({"train": [file]}, cache_dir=self.cache_dir)
        for table in reader.tables(path, name):
            yield self._filtered(table)

    def _filtered(self, table: pa.Table) -> pa.Table:
        chosen = self.options.filters
        if chosen is None:
            return table
        if isinstance(chosen, list):
            import pyarrow.parquet as pq

            chosen = pq.filters_to_expression(chosen)
        return table.filter(chosen)

    def _resolved(self, table: pa.Table, path: str, name: str) -> pa.Table:
        """Return rows of a metadata file with the paths of files in the places of their names."""
        names, columns = [], []
        for title in table.column_names:
            feature = Features.from_arrow_schema(table.select([title]).schema)[title]
            place = _place(title, feature, self.column)
            array = one_array(table.column(title))
            if place is None and self._with_files(feature) == feature:
                names.append(title)
                columns.append(array)
                continue
            values = arrow_to_list(array)
            names.append(place or title)
            wanted = self._with_files({title: feature})[place or title]
            made = [self._row(title, feature, value, (path, name, row)) for row, value in enumerate(values, 1)]
            from ..features.storage import encode, to_arrow

            columns.append(pa.array([encode(wanted, value) for value in made], to_arrow(wanted)))
        return pa.table(columns, names=names)

    def _row(self, title: str, feature: Any, value: Any, where: tuple[str, str, int]) -> Any:
        if value is None:
            return None
        if _place(title, feature, self.column) is not None:
            found = [self._file(item, where) for item in (value if isinstance(value, list) else [value])]
            return found if isinstance(value, list) else found[0]
        if isinstance(feature, dict):
            out = {}
            for name, inner in feature.items():
                place = _place(name, inner, self.column)
                out[place or name] = self._row(name, inner, value.get(name), where)
            return out
        if isinstance(feature, List):
            return [self._row("", feature.feature, item, where) for item in value]
        return value

    def _file(self, name: Any, where: tuple[str, str, int]) -> Any:
        """Return the path of a file that a metadata file names.

        Raises:
            DatasetGenerationError: the name leads out of the folder, or there is no such file.
        """
        if name is None:
            return None
        path, shown, row = where
        place = f"{shown}, row {row}"
        clean = posixpath.normpath(str(name).replace("\\", "/"))
        if "://" in str(name) or clean.startswith(("/", "../")) or clean == ".." or os.path.isabs(str(name)):
            raise DatasetGenerationError(f"{place}: {name!r} is no path inside of the folder of the metadata file")
        known = self._by_name.get(posixpath.join(posixpath.dirname(shown), clean))
        if known is not None:
            return os.path.abspath(known.fetch())
        local = os.path.join(os.path.dirname(os.path.abspath(path)), *clean.split("/"))
        if not os.path.isfile(local):
            folder = os.path.dirname(local)
            hint = nearest(os.path.basename(local), os.listdir(folder)) if os.path.isdir(folder) else ""
            raise DatasetGenerationError(f"{place}: there is no file {name!r}{hint}")
        return local


def _label(name: str) -> str:
    return name.replace(os.sep, "/").split("/")[-2] if "/" in name else ""


def _place(name: str, feature: Any, column: str) -> str | None:
    """Return the column that files named in a metadata column go to, or None where it names no files."""
    text = isinstance(feature, Value) and feature.dtype in ("string", "large_string")
    if text and (name == "file_name" or name.endswith("_file_name")):
        return name[: -len("_file_name")] or column
    texts = isinstance(feature, List) and feature.feature in (Value("string"), Value("large_string"))
    if texts and (name == "file_names" or name.endswith("_file_names")):
        return name[: -len("_file_names")] or f"{column}s"
    return None


class ImageFolder(FolderBuilder):
    """A folder of images."""

    name = "imagefolder"
    column = "image"
    feature = Image
    endings = kinds.IMAGES


class AudioFolder(FolderBuilder):
    """A folder of recordings."""

    name = "audiofolder"
    column = "audio"
    feature = Audio
    endings = kinds.AUDIO


class VideoFolder(FolderBuilder):
    """A folder of videos; showing their frames needs PyAV."""

    name = "videofolder"
    column = "video"
    feature = Video
    endings = kinds.VIDEOS


class PdfFolder(FolderBuilder):
    """A folder of PDF documents; opening them needs pdfplumber."""

    name = "pdffolder"
    column = "pdf"
    feature = Pdf
    endings = kinds.PDF
