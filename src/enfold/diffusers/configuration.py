"""Configurations of schedulers, models and pipelines: the arguments something was built with, kept and written down."""

from __future__ import annotations

import functools
import importlib
import inspect
import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, NoReturn, TypeVar

from enfold.checkpoints.files import atomic_write
from enfold.errors import EnfoldError, nearest
from enfold.hub.fetch import find_file
from enfold.log import get_logger
from enfold.transformers.sharing import PushToHubMixin, UnknownField, split_fetch_arguments

__all__ = ["ConfigMixin", "DiffusersConfigError", "FrozenDict", "register_to_config"]

logger = get_logger(__name__)
# What `_diffusers_version` says in files we write: the version whose format they have.
FORMAT_VERSION = "0.42.1"
# Kept in memory, never written.
QUIET = ("_use_default_values", "_ignore_files", "_pre_quantization_dtype")

Init = TypeVar("Init", bound=Callable[..., None])


class DiffusersConfigError(EnfoldError, ValueError, OSError):
    """A configuration is absent, unreadable, or does not fit."""


class FrozenDict(dict[str, Any]):
    """A dictionary that does not change; its keys are attributes too.

    Example:
        >>> config = FrozenDict({"in_channels": 4})
        >>> config.in_channels, config["in_channels"]
        (4, 4)
        >>> config["in_channels"] = 3
        Traceback (most recent call last):
            ...
        TypeError: a configuration does not change; register_to_config(in_channels=…) of what it belongs to replaces it
    """

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise UnknownField("the configuration", name, self) from None

    def _refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        name = args[0] if args and isinstance(args[0], str) else "name"
        raise TypeError(
            f"a configuration does not change; register_to_config({name}=…) of what it belongs to replaces it"
        )

    __setitem__ = __delitem__ = __setattr__ = __delattr__ = _refuse
    pop = popitem = setdefault = update = clear = _refuse


class ConfigMixin(PushToHubMixin):
    """What is built from plain arguments, remembers them as ``config``, and is rebuilt from them.

    A class names its file in ``config_name`` and decorates its constructor with ``register_to_config``.

    Attributes:
        config_name: the file's name.
        ignore_for_config: arguments that are not remembered.
        has_compatibles: whether a configuration of another class (``_compatibles``) is accepted by ``from_config``.

    Example:
        >>> class Gain(ConfigMixin):
        ...     config_name = "gain.json"
        ...     @register_to_config
        ...     def __init__(self, factor: float = 2.0, offset: int = 0):
        ...         self.factor = factor
        >>> gain = Gain.from_config({"factor": 3.0})
        >>> gain.factor, gain.config.offset
        (3.0, 0)
    """

    config_name: ClassVar[str | None] = None
    ignore_for_config: ClassVar[Iterable[str]] = ()
    has_compatibles: ClassVar[bool] = False
    _compatibles: ClassVar[list[str]] = []

    _internal_dict: FrozenDict

    @property
    def config(self) -> FrozenDict:
        """The arguments this was built with."""
        return self._internal_dict

    def register_to_config(self, **values: Any) -> None:
        """Put values into the configuration; those that are there already stay unless named."""
        before = self.__dict__.get("_internal_dict", {})
        values.pop("kwargs", None)
        self.__dict__["_internal_dict"] = FrozenDict({**before, **values})

    def __getattr__(self, name: str) -> Any:
        config = self.__dict__.get("_internal_dict")
        if config is not None and name in config:
            return config[name]
        inherited = getattr(super(), "__getattr__", None)  # a module finds its parameters and submodules so
        if inherited is not None:
            return inherited(name)
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}{nearest(name, config or ())}")

    @classmethod
    def init_fields(cls) -> dict[str, Any]:
        """Return the arguments of the constructor and their defaults."""
        skipped = {"self", "args", "kwargs", *cls.ignore_for_config}
        parameters = inspect.signature(cls).parameters
        return {name: found.default for name, found in parameters.items() if name not in skipped}

    @classmethod
    def load_config(
        cls,
        pretrained_model_name_or_path: str | os.PathLike[str],
        return_unused_kwargs: bool = False,
        return_commit_hash: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Read the file of a configuration.

        Args:
            pretrained_model_name_or_path: a folder, the file itself, or a repository's id.
            return_unused_kwargs: return what ``kwargs`` held besides the place, too.
            return_commit_hash: return the commit it was read from, too (None for a folder).
            kwargs: where to look: subfolder, revision, cache_dir, token, local_files_only, force_download.

        Returns:
            The dictionary; with one or both flags, a tuple that begins with it.

        Raises:
            DiffusersConfigError: the file is not a JSON object.
            OSError: there is no such file.
        """
        if cls.config_name is None:
            raise DiffusersConfigError(f"{cls.__name__} names no config_name, so there is no file to read")
        where, rest = split_fetch_arguments(kwargs)
        path = os.fspath(pretrained_model_name_or_path)
        if not os.path.isfile(path):
            path = str(find_file(path, cls.config_name, **where))
        config = read_json(path)
        if not return_unused_kwargs and not return_commit_hash:
            return config
        parts = Path(path).parts
        commit = parts[parts.index("snapshots") + 1] if "snapshots" in parts else None
        return (config, *([rest] if return_unused_kwargs else []), *([commit] if return_commit_hash else []))

    get_config_dict = load_config

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any] | str | os.PathLike[str], return_unused_kwargs: bool = False, **kwargs: Any
    ) -> Any:
        """Build from a configuration, of this class or of one it is compatible with.

        Args:
            config: what ``config`` or ``load_config`` gave; a path is read first.
            return_unused_kwargs: return what was not used, too.
            kwargs: arguments that replace those of the configuration.

        Returns:
            The object; what it did not need stays in its configuration, for the next ``from_config``.
        """
        fields: Mapping[str, Any]
        if isinstance(config, Mapping):
            fields = config
        else:
            fields, kwargs = cls.load_config(config, return_unused_kwargs=True, **kwargs)
        chosen, unused, hidden = cls.extract_init_dict(fields, **kwargs)
        made = cls(**chosen)
        if "_class_name" in hidden:
            hidden["_class_name"] = cls.__name__
        made.register_to_config(**hidden)
        return (made, {**unused, **hidden}) if return_unused_kwargs else made

    @classmethod
    def extract_init_dict(
        cls, config_dict: Mapping[str, Any], **kwargs: Any
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        """Divide a configuration into arguments of the constructor, what nobody knows, and what others may need.

        A value that the configuration's own class had only by default is left to the default of this class.
        """
        defaulted = config_dict.get("_use_default_values", ())
        known = cls.init_fields()
        given = {name: value for name, value in config_dict.items() if name not in defaulted and name not in QUIET}
        chosen = {name: given[name] for name in known if name in given}
        chosen |= {name: kwargs.pop(name) for name in [*kwargs] if name in known}
        hidden = {name: value for name, value in given.items() if name not in chosen}
        strange = {name: value for name, value in hidden.items() if not name.startswith("_")}
        for relative in cls._relatives(config_dict.get("_class_name")):
            strange = {name: value for name, value in strange.items() if name not in relative}
        strange.pop("quantization_config", None)
        if strange:
            logger.warning(
                "%s has no arguments %s; they are kept in its configuration and change nothing",
                cls.__name__,
                ", ".join(f"{name}{nearest(name, known)}" for name in strange),
            )
        return chosen, {**strange, **kwargs}, hidden

    @classmethod
    def _relatives(cls, class_name: Any) -> list[set[str]]:
        """Return the arguments of the classes that a configuration may come from."""
        library = importlib.import_module("enfold.diffusers")
        names = {*(cls._compatibles if cls.has_compatibles else ()), *([class_name] if class_name else ())} - {
            cls.__name__
        }
        found = [getattr(library, name, None) for name in names if isinstance(name, str)]
        return [{*kind.init_fields()} for kind in found if isinstance(kind, type) and issubclass(kind, ConfigMixin)]

    def save_config(self, save_directory: str | os.PathLike[str], push_to_hub: bool = False, **kwargs: Any) -> None:
        """Write the configuration into a folder.

        Args:
            save_directory: made when it does not exist.
            push_to_hub: upload it afterwards, to ``repo_id`` (by default the folder's name).
            kwargs: arguments of ``push_to_hub``.
        """
        folder = Path(save_directory)
        if folder.is_file():
            raise DiffusersConfigError(f"{str(folder)!r} is a file; a configuration is saved into a folder")
        folder.mkdir(parents=True, exist_ok=True)
        self.to_json_file(folder / str(self.config_name))
        if push_to_hub:
            self.push_to_hub(kwargs.pop("repo_id", folder.name), **kwargs)

    def to_json_string(self) -> str:
        """Return what the file of the configuration holds."""
        config = {name: _plain(value) for name, value in self._internal_dict.items() if name not in QUIET}
        config |= {"_class_name": type(self).__name__, "_diffusers_version": FORMAT_VERSION}
        return json.dumps(config, indent=2, sort_keys=True) + "\n"

    def to_json_file(self, json_file_path: str | os.PathLike[str]) -> None:
        """Write the configuration to a file, whole or not at all."""
        atomic_write(json_file_path, self.to_json_string())

    def __repr__(self) -> str:
        return f"{type(self).__name__} {self.to_json_string()}"


def register_to_config(init: Init) -> Init:
    """Decorate a constructor so that its arguments become the ``config`` of what is built, before its body runs."""
    parameters = dict(list(inspect.signature(init).parameters.items())[1:])

    @functools.wraps(init)
    def wrapped(self: Any, *args: Any, **kwargs: Any) -> None:
        private = {name: kwargs.pop(name) for name in [*kwargs] if name.startswith("_")}
        names = [name for name in parameters if name not in self.ignore_for_config]
        given = dict(zip(parameters, args, strict=False)) | kwargs
        values = {name: given.get(name, parameters[name].default) for name in names if name != "kwargs"}
        self.register_to_config(**private, **remembered(values, given))
        init(self, *args, **kwargs)

    return wrapped  # type: ignore[return-value]


def remembered(values: dict[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return values with a note of which were only defaults: another class's defaults take their place."""
    defaulted = [name for name in values if name not in given]
    return {**values, **({"_use_default_values": defaulted} if defaulted else {})}


def read_json(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        DiffusersConfigError: the file holds something else.
    """
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise DiffusersConfigError(f"{os.fspath(path)!r} is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise DiffusersConfigError(f"{os.fspath(path)!r} holds a {type(found).__name__}; expected an object of fields")
    return found


def _plain(value: Any) -> Any:
    """Return a value as JSON has it: arrays are lists, paths are text."""
    if isinstance(value, Path):
        return value.as_posix()
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    for method in ("tolist", "to_dict"):
        if hasattr(value, method):
            return getattr(value, method)()
    return value
