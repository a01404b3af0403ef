"""What is known about a dataset beside its rows."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from .features.features import Features
from .splits import SplitDict, SplitInfo

__all__ = ["DatasetInfo", "Version", "write_text"]


@dataclass(frozen=True)
class Version:
    """A version of a dataset: three numbers.

    Example:
        >>> Version("1.2.0").tuple
        (1, 2, 0)
    """

    version_str: str
    description: str | None = None

    @property
    def tuple(self) -> tuple[int, int, int]:
        """The three numbers."""
        major, minor, patch = (int(part) for part in self.version_str.split("."))
        return major, minor, patch

    def __str__(self) -> str:
        return self.version_str

    def __repr__(self) -> str:
        return self.version_str


@dataclass
class DatasetInfo:
    """A dataset's description, features and sizes, as ``dataset_info.json`` and the card's YAML hold them.

    Args:
        features: the columns.
        splits: the sizes of the splits.
        download_size: bytes of the data files.
        dataset_size: bytes of the Arrow data.
    """

    description: str = ""
    citation: str = ""
    homepage: str = ""
    license: str = ""
    features: Features | None = None
    builder_name: str | None = None
    dataset_name: str | None = None
    config_name: str | None = None
    version: Version | str | None = None
    splits: SplitDict | None = None
    download_checksums: dict[str, Any] | None = field(default=None, repr=False)
    download_size: int | None = None
    dataset_size: int | None = None
    size_in_bytes: int | None = None

    def __post_init__(self) -> None:
        if self.features is not None and not isinstance(self.features, Features):
            self.features = Features.from_dict(self.features) if _is_form(self.features) else Features(self.features)
        if isinstance(self.version, Mapping):
            self.version = Version(str(self.version.get("version_str", "0.0.0")))
        elif isinstance(self.version, str):
            self.version = Version(self.version)
        if self.splits is not None and not isinstance(self.splits, SplitDict):
            entries = self.splits.values() if isinstance(self.splits, Mapping) else self.splits
            known = {item.name for item in fields(SplitInfo)}
            made = SplitDict()
            for entry in entries:
                made.add(
                    entry if isinstance(entry, SplitInfo) else SplitInfo(**{k: entry[k] for k in entry if k in known})
                )
            self.splits = made

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
            elif isinstance(value, SplitDict):
                value = {name: split.to_dict() for name, split in value.items()}
            if value is not None:
                out[item.name] = value
        return out

    @classmethod
    def from_dict(cls, form: Mapping[str, Any]) -> DatasetInfo:
        """Return the information that a ``dataset_info.json`` holds; fields of other programs are passed over."""
        known = {item.name for item in fields(cls)}
        return cls(**{name: value for name, value in form.items() if name in known})

    def write_to_directory(self, dataset_info_dir: str, pretty_print: bool = False) -> None:
        """Write ``dataset_info.json`` into a folder."""
        text = json.dumps(self.to_dict(), indent=4 if pretty_print else None)
        write_text(os.path.join(dataset_info_dir, "dataset_info.json"), text)

    @classmethod
    def from_directory(cls, dataset_info_dir: str) -> DatasetInfo:
        """Return the information in a folder's ``dataset_info.json``."""
        with open(os.path.join(dataset_info_dir, "dataset_info.json"), encoding="utf-8") as file:
            return cls.from_dict(json.load(file))

    def to_yaml_dict(self) -> dict[str, Any]:
        """Return the form that the YAML header of a card holds under ``dataset_info``."""
        out: dict[str, Any] = {}
        if self.config_name and self.config_name != "default":
            out["config_name"] = self.config_name
        if self.features is not None:
            out["features"] = self.features.to_yaml_list()
        if self.splits is not None:
            out["splits"] = [
                {"name": split.name, "num_bytes": split.num_bytes, "num_examples": split.num_examples}
                for split in self.splits.values()
            ]
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


def _is_form(features: Any) -> bool:
    return all(isinstance(value, (dict, list)) for value in features.values())


def write_text(path: str, text: str) -> None:
    """Write a text file so that a reader sees all of it or none."""
    temporary = f"{path}.{os.getpid()}.tmp"
    with open(temporary, "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(temporary, path)
