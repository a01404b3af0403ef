"""Configurations: what a dataset is called, where its files are, and a builder's options, in one dataclass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..info import Version

__all__ = ["BuilderConfig", "config_class"]

_made: dict[Any, Any] = {}


@dataclass
class BuilderConfig:
    """A configuration of a dataset; a dataclass that inherits from it adds options of its own.

    Args:
        name: its name.
        version: its version.
        data_dir: the folder that the user gave.
        data_files: the files that the user gave, by split.
        description: what it is.
    """

    name: str = "default"
    version: Version | str | None = "0.0.0"
    data_dir: str | None = None
    data_files: Any = None
    description: str | None = None


def config_class(builder: Any) -> Any:
    """Return the configuration of a builder of files: a dataclass of :class:`BuilderConfig` and its ``Options``.

    Example:
        >>> from enfold.datasets.builders.base import builder_of
        >>> made = config_class(builder_of("csv"))(name="semicolons", sep=";")
        >>> type(made).__name__, made.name, made.sep
        ('CsvConfig', 'semicolons', ';')
    """
    if builder in _made:
        return _made[builder]
    options = builder.Options
    title = builder.__name__ if builder.__name__ != "Builder" else builder.name.capitalize()
    body = {
        "__annotations__": {"features": "Features | None"},
        "features": None,
        "__module__": __name__,
        "__doc__": f"A configuration of the {builder.name} builder; {options.__doc__}",
    }
    _made[builder] = dataclass(type(f"{title}Config", (options, BuilderConfig), body))
    return _made[builder]
