"""What feature extractors and image processors share: their settings, read from and written to a repository."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Mapping
from typing import Any, ClassVar

from enfold.checkpoints.files import atomic_write
from enfold.errors import EnfoldError
from enfold.transformers.sharing import PushToHubMixin, split_fetch_arguments

__all__ = ["Preprocessor", "PreprocessorError", "read_settings"]

OWN = "preprocessor_config.json"
WHOLE = "processor_config.json"  # transformers 5: the settings of all parts of a processor, by part


class PreprocessorError(EnfoldError, OSError):
    """A repository has no settings of this kind, or they cannot be read."""


def read_settings(source: str | os.PathLike[str], part: str, **where: Any) -> dict[str, Any]:
    """Return the settings of a part, ``"feature_extractor"`` or ``"image_processor"``.

    Args:
        source: a folder, a repository's id, or a JSON file.
        part: which part; it is looked for in ``preprocessor_config.json``, then in ``processor_config.json``.
        where: what ``find_file`` takes.

    Raises:
        PreprocessorError: when there are none, or no JSON object.
    """
    from enfold.hub.fetch import find_file

    if os.path.isfile(source):
        return _object(os.fspath(source))
    for name in (OWN, WHOLE):
        path = find_file(str(source), name, required=False, **where)
        if path is None:
            continue
        settings = _object(str(path))
        if name == OWN:
            return settings
        if isinstance(settings.get(part), dict):
            return settings[part]
    raise PreprocessorError(f"{source} has no settings of an {part.replace('_', ' ')}: looked for {OWN} and {WHOLE}")


def _object(path: str) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:
            settings = json.load(file)
    except (OSError, ValueError) as error:
        raise PreprocessorError(f"{path} is no readable JSON: {error}") from error
    if not isinstance(settings, dict):
        raise PreprocessorError(f"{path} holds a JSON {type(settings).__name__}, not an object")
    return settings


class Preprocessor(PushToHubMixin):
    """Base of feature extractors and image processors: every argument is a setting, kept as an attribute.

    Args:
        settings: values that the class has no argument for; they are kept, saved, and otherwise ignored.
    """

    part: ClassVar[str]  # "feature_extractor" or "image_processor"
    model_input_names: ClassVar[list[str]] = []
    _auto_class: ClassVar[str | None] = None

    def __init__(self, **settings: Any) -> None:
        self._processor_class = settings.pop("processor_class", None)
        for name in ("feature_extractor_type", "image_processor_type", "auto_map"):
            settings.pop(name, None)
        for name, value in settings.items():
            setattr(self, name, value)

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | os.PathLike[str], **kwargs: Any) -> Any:
        """Read the settings of a folder, a repository, or a JSON file.

        Args:
            pretrained_model_name_or_path: folder, repository id or file.
            kwargs: where to look (cache_dir, revision, token, subfolder, local_files_only, force_download), and
                settings that override the file's.
        """
        for name in ("trust_remote_code", "use_fast", "backend"):
            kwargs.pop(name, None)
        where, overrides = split_fetch_arguments(kwargs)
        return cls.from_dict(read_settings(pretrained_model_name_or_path, cls.part, **where), **overrides)

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any], **kwargs: Any) -> Any:
        """Make one of a dictionary; ``kwargs`` override it, ``return_unused_kwargs=True`` returns those left over."""
        keep = kwargs.pop("return_unused_kwargs", False)
        made = cls(**{**settings, **{name: value for name, value in kwargs.items() if value is not None}})
        return (made, {}) if keep else made

    @classmethod
    def from_json_file(cls, json_file: str | os.PathLike[str]) -> Any:
        """Make one of a JSON file."""
        return cls.from_dict(_object(os.fspath(json_file)))

    @classmethod
    def get_feature_extractor_dict(cls, source: Any, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the settings of a source, and the arguments that are left."""
        where, rest = split_fetch_arguments(kwargs)
        return read_settings(source, cls.part, **where), rest

    get_image_processor_dict = get_feature_extractor_dict

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as JSON can hold them."""
        settings = {name: copy.deepcopy(value) for name, value in vars(self).items() if not name.startswith("_")}
        settings[f"{self.part}_type"] = type(self).__name__
        if self._processor_class is not None:
            settings["processor_class"] = self._processor_class
        return {name: value.tolist() if hasattr(value, "tolist") else value for name, value in settings.items()}

    def to_json_string(self) -> str:
        """Return the settings as JSON text."""
        return json.dumps(self.to_dict(), indent=2, sort_keys=True) + "\n"

    def to_json_file(self, json_file_path: str | os.PathLike[str]) -> None:
        """Write the settings to a file."""
        atomic_write(json_file_path, self.to_json_string())

    def save_pretrained(self, save_directory: str | os.PathLike[str], push_to_hub: bool = False, **kwargs: Any) -> list:
        """Write ``preprocessor_config.json`` into a folder, which is made when it does not exist; return its path."""
        path = os.path.join(save_directory, OWN)
        self.to_json_file(path)
        if push_to_hub:
            self.push_to_hub(kwargs.pop("repo_id", os.path.basename(os.path.abspath(save_directory))), **kwargs)
        return [path]

    def _set_processor_class(self, processor_class: str) -> None:
        self._processor_class = processor_class

    @classmethod
    def register_for_auto_class(cls, auto_class: str = "") -> None:
        """Accepted for the ecosystem's spelling: enfold reads registered classes from the auto class's ``register``."""

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self.to_dict() == other.to_dict()  # type: ignore[attr-defined]

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__} {self.to_json_string()}"
