"""The builders of files and their configurations under the names that `datasets` has for them."""

from __future__ import annotations

from typing import Any

from enfold.errors import nearest

from .builders.base import BUILDERS, builder_of
from .builders.configs import config_class
from .builders.folder_files import FolderBuilder

__all__: list[str] = []

# class → builder; with "Config" behind it, the class of its configurations
_BUILDERS = {
    "Arrow": "arrow",
    "AudioFolder": "audiofolder",
    "Cache": "cache",
    "Csv": "csv",
    "HDF5": "hdf5",
    "ImageFolder": "imagefolder",
    "Json": "json",
    "Pandas": "pandas",
    "Parquet": "parquet",
    "PdfFolder": "pdffolder",
    "Sql": "sql",
    "Text": "text",
    "VideoFolder": "videofolder",
    "WebDataset": "webdataset",
    "Xml": "xml",
}

_PACKAGED_DATASETS_MODULES = dict.fromkeys(BUILDERS, (__name__, ""))
_EXTENSION_TO_MODULE = {
    ending: (name, options) for name, kinds in BUILDERS.items() for ending, options in kinds.items()
}
_MODULE_TO_EXTENSIONS = {name: [*kinds, ".zip"] for name, kinds in BUILDERS.items()}


def __getattr__(name: str) -> Any:
    if name == "FolderBasedBuilder":
        return FolderBuilder
    kind = _BUILDERS.get(name.removesuffix("Config"))
    if kind is None:
        known = [*_BUILDERS, *(f"{kind}Config" for kind in _BUILDERS)]
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}{nearest(name, known)}")
    builder = builder_of(kind)
    return config_class(builder) if name.endswith("Config") else builder


def __dir__() -> list[str]:
    return sorted([*_BUILDERS, *(f"{name}Config" for name in _BUILDERS), *globals()])
