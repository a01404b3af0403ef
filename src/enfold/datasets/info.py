"""What is known about a dataset beside its rows."""

from __future__ import annotations

import copy
import functools
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from .card import infos_form, infos_of, join_card, split_card
from .features.features import Features
from .splits import NamedSplit, SplitDict

__all__ = ["DatasetInfo", "DatasetInfosDict", "InfoMixin", "SupervisedKeysData", "Version", "write_text"]


_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")


@functools.total_ordering
@dataclass(eq=False)
class Version:
    """A version of a dataset: three numbers. It is compared with others and with texts.

    Args:
        version_str: the three numbers with dots between them.
        description: what is new in it.
        major, minor, patch: the three numbers, read from the text.

    Raises:
        ValueError: a text of another form.

    Example:
        >>> Version("1.2.0").tuple, Version("1.2.0") < "1.10.0"
        ((1, 2, 0), True)
    """

    version_str: str
    description: str | None = None
    major: Any = None
    minor: Any = None
    patch: Any = None

    def __post_init__(self) -> None:
        found = _VERSION.fullmatch(self.version_str)
        if found is None:
            raise ValueError(f"{self.version_str!r} is no version: expected three numbers, such as '1.0.0'")
        self.major, self.minor, self.patch = map(int, found.groups())

    @property
    def tuple(self) -> tuple[int, int, int]:
        """The three numbers."""
        return self.major, self.minor, self.patch

    @classmethod
    def from_dict(cls, dic: Mapping[str, Any]) -> Version:
        """Return the version that ``dataset_info.json`` holds."""
        return cls(str(dic.get("version_str", "0.0.0")), dic.get("description"))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str):
            found = _VERSION.fullmatch(other)
            return found is not None and self.tuple == Version(other).tuple
        return isinstance(other, Version) and self.tuple == other.tuple

    def __lt__(self, other: Version | str) -> bool:
        return self.tuple < (Version(other) if isinstance(other, str) else other).tuple

    def __hash__(self) -> int:
        return hash(".".join(map(str, self.tuple)))  # that of the text that it is equal to

    def __str__(self) -> str:
        return self.version_str

    def __repr__(self) -> str:
        return self.version_str


@dataclass
class SupervisedKeysData:
    """The columns that a model is given and that it has to give.

    Args:
        input, output: the columns' names.
    """

    input: str = ""
    output: str = ""


@dataclass
class DatasetInfo:
    """A dataset's description, features and sizes, as ``dataset_info.json`` and the card's YAML hold them.

    Args:
        features: the columns.
        supervised_keys: the columns of input and target, where the dataset names them.
        splits: the sizes of the splits.
        download_size: bytes of the data files.
        dataset_size: bytes of the Arrow data.
        post_processed, post_processing_size: what older files may hold; kept as it is.
    """

    description: str = field(default_factory=str)
    citation: str = field(default_factory=str)
    homepage: str = field(default_factory=str)
    license: str = field(default_factory=str)
    features: Features | None = None
    post_processed: Any = None
    supervised_keys: Any = None
    builder_name: str | None = None
    dataset_name: str | None = None
    config_name: str | None = None
    version: Version | str | None = None
    splits: SplitDict | None = None
    download_checksums: dict[str, Any] | None = field(default=None, repr=False)
    download_size: int | None = None
    post_processing_size: int | None = None
    dataset_size: int | None = None
    size_in_bytes: int | None = None

    def __post_init__(self) -> None:
        if self.features is not None and not isinstance(self.features, Features):
            self.features = Features.from_dict(self.features) if _is_form(self.features) else Features(self.features)
        if self.supervised_keys is not None and not isinstance(self.supervised_keys, SupervisedKeysData):
            keys = self.supervised_keys
            self.supervised_keys = (
                SupervisedKeysData(**keys) if isinstance(keys, Mapping) else SupervisedKeysData(*keys)
            )
        if isinstance(self.version, Mapping):
            self.version = Version.from_dict(self.version)
        elif isinstance(self.version, str):
            self.version = Version(self.version)
        if self.splits is not None and not isinstance(self.splits, SplitDict):
            self.splits = SplitDict.from_split_dict(self.splits)

    def __repr__(self) -> str:
        shown = {item.name: getattr(self, item.name) for item in fields(self) if item.repr}
        return (
            f"DatasetInfo({', '.join(f'{name}={value!r}' for name, value in shown.items() if value not in (None, ''))})"
        )

    def copy(self) -> DatasetInfo:
        """Return a copy that shares nothing with the original."""
        return copy.deepcopy(self)

    def to_dict(self) -> dict[str, Any]:
        """Return the form that ``dataset_info.json`` holds."""
        out: dict[str, Any] = {}
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, Features):
                value = value.to_dict()
            elif isinstance(value, Version):
                major, minor, patch = value.tuple
                value = {"version_str": str(value), "major": major, "minor": minor, "patch": patch}
            elif isinstance(value, SupervisedKeysData):
                value = {"input": value.input, "output": value.output}
            elif isinstance(value, SplitDict):
                value = {name: split.to_dict() for name, split in value.items()}
            if value is not None:
                out[item.name] = value
        return out

    @classmethod
    def from_dict(cls, dataset_info_dict: Mapping[str, Any]) -> DatasetInfo:
        """Return the information that a ``dataset_info.json`` holds; fields of other programs are passed over."""
        known = {item.name for item in fields(cls)}
        return cls(**{name: value for name, value in dataset_info_dict.items() if name in known})

    @classmethod
    def from_merge(cls, dataset_infos: Iterable[DatasetInfo | None]) -> DatasetInfo:
        """Return what is known about datasets that became one: the texts of all, each once."""
        infos = [info for info in dataset_infos if info is not None]
        if infos and all(info == infos[0] for info in infos):
            return infos[0].copy()
        texts: dict[str, Any] = {
            name: "\n\n".join(dict.fromkeys(getattr(info, name) for info in infos)).strip()
            for name in ("description", "citation", "homepage", "license")
        }
        return cls(**texts)

    def update(self, other_dataset_info: DatasetInfo, ignore_none: bool = True) -> None:
        """Take over what another one says, or also where it says nothing."""
        for item in fields(self):
            value = getattr(other_dataset_info, item.name)
            if value is not None or not ignore_none:
                setattr(self, item.name, copy.deepcopy(value))

    def write_to_directory(
        self, dataset_info_dir: str, pretty_print: bool = False, storage_options: dict[str, Any] | None = None
    ) -> None:
        """Write ``dataset_info.json``, and the licence where there is one, into a folder.

        Args:
            dataset_info_dir: a folder, or the address of one that fsspec knows.
            pretty_print: indent the JSON.
            storage_options: arguments of the file system.
        """
        texts = {"dataset_info.json": json.dumps(self.to_dict(), indent=4 if pretty_print else None)}
        if self.license:
            texts["LICENSE"] = self.license
        for name, text in texts.items():
            if "://" in dataset_info_dir:
                import fsspec

                with fsspec.open(f"{dataset_info_dir.rstrip('/')}/{name}", "wb", **(storage_options or {})) as file:
                    file.write(text.encode())
            else:
                write_text(os.path.join(dataset_info_dir, name), text)

    @classmethod
    def from_directory(cls, dataset_info_dir: str, storage_options: dict[str, Any] | None = None) -> DatasetInfo:
        """Return the information in the ``dataset_info.json`` of a folder, or of an address that fsspec knows.

        Raises:
            FileNotFoundError: there is none.
        """
        if "://" in dataset_info_dir:
            import fsspec

            address = f"{dataset_info_dir.rstrip('/')}/dataset_info.json"
            with fsspec.open(address, "rb", **(storage_options or {})) as remote:
                return cls.from_dict(json.load(remote))
        with open(os.path.join(dataset_info_dir, "dataset_info.json"), encoding="utf-8") as file:
            return cls.from_dict(json.load(file))

    def to_yaml_dict(self) -> dict[str, Any]:
        """Return the form that the YAML header of a card holds under ``dataset_info``."""
        out: dict[str, Any] = {}
        if self.config_name:
            out["config_name"] = self.config_name
        if self.features is not None:
            out["features"] = self.features.to_yaml_list()
        if self.splits is not None:
            out["splits"] = self.splits.to_yaml_list()
        for name in ("download_size", "dataset_size"):
            if getattr(self, name) is not None:
                out[name] = getattr(self, name)
        return out

    _to_yaml_dict = to_yaml_dict

    @classmethod
    def from_yaml_dict(cls, form: Mapping[str, Any]) -> DatasetInfo:
        """Return the information that a card's YAML header holds."""
        known = {item.name for item in fields(cls)} - {"features"}
        made = cls(**{name: value for name, value in form.items() if name in known})
        if form.get("features") is not None:
            made.features = Features.from_yaml_list(form["features"])
        return made

    _from_yaml_dict = from_yaml_dict
    _INCLUDED_INFO_IN_YAML: ClassVar[list[str]] = ["config_name", "download_size", "dataset_size", "features", "splits"]


class DatasetInfosDict(dict[str, DatasetInfo]):
    """What is known about each configuration of a dataset, by name, as its card holds it under ``dataset_info``.

    Example:
        >>> DatasetInfosDict({"en": DatasetInfo(dataset_size=42)}).to_dataset_card_data(card := {})
        >>> card
        {'dataset_info': {'config_name': 'en', 'dataset_size': 42}}
    """

    @classmethod
    def from_dataset_card_data(cls, dataset_card_data: Any) -> DatasetInfosDict:
        """Return what the header of a card says: a dict, or a ``DatasetCardData``."""
        forms = infos_of(dataset_card_data)
        return cls({name: DatasetInfo.from_yaml_dict(form | {"config_name": name}) for name, form in forms.items()})

    def to_dataset_card_data(self, dataset_card_data: Any) -> None:
        """Put all of it into the header of a card, beside the configurations that are there."""
        forms = {name: info.to_yaml_dict() | {"config_name": name} for name, info in self.items()}
        if forms:
            dataset_card_data["dataset_info"] = infos_form({**infos_of(dataset_card_data), **forms})

    @classmethod
    def from_directory(cls, dataset_infos_dir: str) -> DatasetInfosDict:
        """Return what the card of a folder says, or else its ``dataset_infos.json``, as older datasets have it."""
        card, older = (os.path.join(dataset_infos_dir, name) for name in ("README.md", "dataset_infos.json"))
        if os.path.exists(card):
            with open(card, encoding="utf-8") as file:
                found = cls.from_dataset_card_data(split_card(file.read())[0])
            if found:
                return found
        if os.path.exists(older):
            with open(older, encoding="utf-8") as file:
                forms = json.load(file)
            return cls({name: DatasetInfo.from_dict(form | {"config_name": name}) for name, form in forms.items()})
        return cls()

    def write_to_directory(self, dataset_infos_dir: str, overwrite: bool = False, pretty_print: bool = False) -> None:
        """Write all of it into the card of a folder, and into its ``dataset_infos.json`` where there is one.

        Args:
            dataset_infos_dir: the folder.
            overwrite: leave out what it holds of other configurations.
            pretty_print: indent the JSON.
        """
        card, older = (os.path.join(dataset_infos_dir, name) for name in ("README.md", "dataset_infos.json"))
        whole = self if overwrite else DatasetInfosDict({**DatasetInfosDict.from_directory(dataset_infos_dir), **self})
        if os.path.exists(older):
            forms = {name: info.to_dict() for name, info in whole.items()}
            write_text(older, json.dumps(forms, indent=4 if pretty_print else None))
        header: dict[str, Any] = {}
        body = ""
        if os.path.exists(card):
            with open(card, encoding="utf-8") as file:
                header, body = split_card(file.read())
        header.pop("dataset_info", None)
        whole.to_dataset_card_data(header)
        if whole:
            write_text(card, join_card(header, body))


class InfoMixin:
    """What a dataset and a stream say of themselves."""

    _info: DatasetInfo
    _split: NamedSplit | None

    @property
    def info(self) -> DatasetInfo:
        """What is known about the dataset."""
        return self._info

    @property
    def split(self) -> NamedSplit | None:
        """The name of the split."""
        return self._split

    @property
    def builder_name(self) -> str | None:
        """The name of the builder that made the dataset."""
        return self._info.builder_name

    @property
    def config_name(self) -> str | None:
        """The name of the configuration."""
        return self._info.config_name

    @property
    def description(self) -> str:
        """The description."""
        return self._info.description

    @property
    def citation(self) -> str:
        """How to cite the dataset."""
        return self._info.citation

    @property
    def homepage(self) -> str:
        """The dataset's page."""
        return self._info.homepage

    @property
    def license(self) -> str:
        """The dataset's licence."""
        return self._info.license

    @property
    def version(self) -> Any:
        """The dataset's version."""
        return self._info.version

    @property
    def download_checksums(self) -> dict[str, Any] | None:
        """The checksums of the files that were downloaded."""
        return self._info.download_checksums

    @property
    def supervised_keys(self) -> Any:
        """The columns of input and target, where the dataset names them."""
        return self._info.supervised_keys

    @property
    def download_size(self) -> int | None:
        """Bytes of the data files."""
        return self._info.download_size

    @property
    def dataset_size(self) -> int | None:
        """Bytes of the Arrow data."""
        return self._info.dataset_size

    @property
    def size_in_bytes(self) -> int | None:
        """Bytes of the data files and of the Arrow data."""
        return self._info.size_in_bytes


def _is_form(features: Any) -> bool:
    return all(isinstance(value, (dict, list)) for value in features.values())


def write_text(path: str, text: str) -> None:
    """Write a text file so that a reader sees all of it or none."""
    temporary = f"{path}.{os.getpid()}.tmp"
    with open(temporary, "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(temporary, path)
