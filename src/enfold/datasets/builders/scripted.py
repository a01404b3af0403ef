"""Builders that users write as classes: where the data is, and how rows or tables are made of it."""

from __future__ import annotations

import copy
import inspect
import os
from collections.abc import Iterator
from typing import Any, ClassVar

import pyarrow as pa

from enfold.errors import nearest

from ..data_files import LocalTree, resolve, sanitize
from ..download import DownloadConfig, DownloadManager, StreamingDownloadManager
from ..errors import DatasetGenerationError
from ..features.features import Features
from ..fingerprint import Unhashable, combine, generate_random_fingerprint
from ..info import DatasetInfo, Version
from ..naming import camelcase_to_snakecase
from ..reading import rows_to_table
from ..splits import SplitGenerator
from ..utils.info_utils import VerificationMode, verify_checksums
from .base import DatasetBuilder
from .configs import BuilderConfig

__all__ = ["ArrowBasedBuilder", "GeneratorBasedBuilder"]


class _Scripted(DatasetBuilder):
    """What both kinds share: configurations, and the splits that the class names.

    Args:
        cache_dir: where the Arrow tables are kept.
        dataset_name: the dataset's name; the class's own where None.
        config_name: one of ``BUILDER_CONFIGS``.
        features: the columns' kinds in place of those of ``_info``.
        data_files, data_dir: what the configuration holds.
        base_path: the folder that relative paths start at; that of the class's file where None.
        config_kwargs: fields of the configuration.

    Raises:
        ValueError: a configuration that the class does not have, or none where it has several.
        TypeError: a field that the configuration does not have.
    """

    BUILDER_CONFIG_CLASS: ClassVar[Any] = BuilderConfig
    needs_files = False

    def __init__(
        self,
        cache_dir: str | None = None,
        dataset_name: str | None = None,
        config_name: str | None = None,
        *,
        features: Features | None = None,
        data_files: Any = None,
        data_dir: str | None = None,
        base_path: str | None = None,
        writer_batch_size: int | None = None,
        token: str | bool | None = None,
        **config_kwargs: Any,
    ) -> None:
        self._config = self._configured(config_name, {"data_dir": data_dir, "data_files": data_files, **config_kwargs})
        self.base_path = base_path or _folder_of(type(self))
        if self.config.data_files is not None:
            found = resolve(sanitize(self.config.data_files), LocalTree(data_dir or os.getcwd()), "", token)
            self.config.data_files = {split: [file.fetch() for file in files] for split, files in found.items()}
        super().__init__(
            {},
            cache_dir=cache_dir,
            dataset_name=dataset_name,
            config_name=self.config.name,
            features=features,
            info=self._info(),
        )
        said: Any = _version(self.config.version)
        self.info.version = self.info.version if said is None or str(said) == "0.0.0" else said
        try:
            self.hash = combine(self.hash, type(self), sorted(vars(self.config).items()))
        except Unhashable:
            self.hash = generate_random_fingerprint()
        self.cache_dir = os.path.join(
            os.path.dirname(os.path.dirname(os.path.dirname(self.cache_dir))),
            f"{self.config.name}-{self.hash}",
            str(self.info.version),
            os.path.basename(self.cache_dir),
        )
        self._generators: dict[str, SplitGenerator] = {}
        self._token = token

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "name" not in vars(cls):
            cls.name = camelcase_to_snakecase(cls.__name__)

    def _configured(self, name: str | None, options: dict[str, Any]) -> Any:
        options = {key: value for key, value in options.items() if value is not None}
        known = self.builder_configs
        if name is None and known:
            name = self.DEFAULT_CONFIG_NAME or (next(iter(known)) if len(known) == 1 else None)
            if name is None and not options:
                raise ValueError(f"Config name is missing: pick one of {list(known)}, as config_name")
        if name is not None and known and name not in known:
            raise ValueError(f"BuilderConfig {name!r} not found; there are {list(known)}{nearest(name, known)}")
        made = copy.copy(known[name]) if name in known else None
        kind = self.BUILDER_CONFIG_CLASS
        # a class may have an __init__ of its own, which passes on what it does not know
        parameters = inspect.signature(kind).parameters.values()
        passes_on = any(item.kind is item.VAR_KEYWORD for item in parameters)
        allowed = [*vars(made)] if made is not None else [item.name for item in parameters]
        for key in options:
            if key not in allowed and (made is not None or not passes_on):
                raise TypeError(f"the configuration has no field {key!r}{nearest(key, allowed)}")
        if made is None:
            made = kind(**{"name": name or "default", **options})
        for key, value in options.items():
            setattr(made, key, value)
        if self.VERSION is not None and str(made.version) in ("None", "0.0.0"):  # what it is when nothing is said
            made.version = _version(self.VERSION)
        return made

    @property
    def config(self) -> Any:
        """The configuration."""
        return self._config

    @property
    def builder_configs(self) -> dict[str, Any]:
        """The configurations that the class has, by name."""
        return {config.name: config for config in self.BUILDER_CONFIGS}

    # ---- what a class says

    def _info(self) -> DatasetInfo:
        """Return what is known about the dataset: at least its features."""
        raise NotImplementedError

    def _split_generators(self, dl_manager: DownloadManager) -> list[SplitGenerator]:
        """Return the splits, and what their rows are made of."""
        raise NotImplementedError

    def _tables(self, generator: SplitGenerator) -> Iterator[pa.Table]:
        raise NotImplementedError

    # ---- the same for all

    def _prepare_splits(self, kind: type[DownloadManager] = DownloadManager) -> None:
        config = DownloadConfig(token=self._token)
        manager = kind(self.dataset_name, self.config.data_dir, config, self.base_path)
        self._generators = {str(found.name): found for found in self._split_generators(manager)}
        self._fetched = manager
        self.data_files = {name: [] for name in self._generators}

    def _begin(self) -> None:
        if not self._generators:
            self._prepare_splits()

    def _count(self, checks: str) -> None:
        super()._count(checks)
        if checks == VerificationMode.ALL_CHECKS.value and self.info.download_checksums is not None:
            verify_checksums(self.info.download_checksums, self._fetched.get_recorded_sizes_checksums(), self.name)

    def split_tables(self, split: str) -> Iterator[tuple[str, pa.Table]]:
        """Yield the rows of a split."""
        if not self._generators:
            self._prepare_splits()
        yield from ((f"{self.name}, split {split}", table) for table in self._tables(self._generators[split]))

    def as_streaming_dataset(self, split: Any = None, base_path: str | None = None) -> Any:
        """Return the rows as they are generated: an iterable dataset of a split, or a dict of them."""
        from .. import IterableDataset, IterableDatasetDict  # type: ignore[attr-defined,unused-ignore]

        self._prepare_splits(StreamingDownloadManager)

        def rows(name: str) -> Iterator[dict[str, Any]]:
            for _, table in self.split_tables(name):
                yield from table.to_pylist()

        made = {
            name: IterableDataset.from_generator(rows, features=self.info.features, gen_kwargs={"name": name})
            for name in ([split] if split is not None else self._generators)
        }
        return made[split] if split is not None else IterableDatasetDict(made)


class GeneratorBasedBuilder(_Scripted):
    """A builder whose ``_generate_examples`` yields pairs of a key and a row."""

    def _generate_examples(self, **gen_kwargs: Any) -> Iterator[tuple[Any, dict[str, Any]]]:
        """Yield the rows of a split, each with a key of its own."""
        raise NotImplementedError

    def _tables(self, generator: SplitGenerator) -> Iterator[pa.Table]:
        size = self.DEFAULT_WRITER_BATCH_SIZE or 1000
        rows: list[dict[str, Any]] = []
        for item in self._generate_examples(**generator.gen_kwargs):
            if not isinstance(item, tuple) or len(item) != 2 or not isinstance(item[1], dict):
                raise DatasetGenerationError(f"{self.name}: _generate_examples yields pairs (key, row), not {item!r}")
            rows.append(item[1])
            if len(rows) == size:
                yield rows_to_table(rows, self.info.features)
                rows = []
        if rows:
            yield rows_to_table(rows, self.info.features)


class ArrowBasedBuilder(_Scripted):
    """A builder whose ``_generate_tables`` yields pairs of a key and an Arrow table."""

    def _generate_tables(self, **gen_kwargs: Any) -> Iterator[tuple[Any, pa.Table]]:
        """Yield the rows of a split as tables, each with a key of its own."""
        raise NotImplementedError

    def _tables(self, generator: SplitGenerator) -> Iterator[pa.Table]:
        for _, table in self._generate_tables(**generator.gen_kwargs):
            yield table


def _version(value: Any) -> Version | None:
    return Version(value) if isinstance(value, str) else value


def _folder_of(kind: type) -> str:
    try:
        return os.path.dirname(os.path.abspath(inspect.getfile(kind)))
    except (TypeError, OSError):
        return os.getcwd()
