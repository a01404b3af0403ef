"""Configurations: what a ``config.json`` says, as attributes; loads neither torch nor numpy."""

from __future__ import annotations

import copy
import json
import os
import sys
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from enfold.errors import EnfoldError, nearest
from enfold.log import get_logger
from enfold.transformers.sharing import PushToHubMixin, UnknownField, split_fetch_arguments

__all__ = ["CONFIG_MAPPING", "AutoConfig", "ConfigError", "PreTrainedConfig", "PretrainedConfig"]

logger = get_logger(__name__)
CONFIG_NAME = "config.json"


class ConfigError(EnfoldError, ValueError, OSError):
    """A configuration is absent, unreadable, or of an unknown kind."""


class PretrainedConfig(PushToHubMixin):
    """Base of all configurations.

    A family states its fields as annotated class attributes with their defaults; they become keyword arguments (and
    positional ones, in that order). Keys that nobody declared are kept as attributes and written back.

    Args:
        kwargs: values of fields, shared ones such as ``num_labels`` or ``id2label``, and any other key.

    Example:
        >>> class TinyConfig(PretrainedConfig):
        ...     model_type = "tiny"
        ...     hidden_size: int = 8
        >>> config = TinyConfig(num_labels=3, colour="red")
        >>> config.hidden_size, config.num_labels, config.colour
        (8, 3, 'red')
    """

    model_type: ClassVar[str] = ""
    base_config_key: ClassVar[str] = ""
    sub_configs: ClassVar[dict[str, Any]] = {}
    has_no_defaults_at_init: ClassVar[bool] = False
    # other spelling → declared field
    attribute_map: ClassVar[dict[str, str]] = {}
    keys_to_ignore_at_inference: ClassVar[list[str]] = []
    # What every configuration has; written only where it differs from these.
    SHARED: ClassVar[dict[str, Any]] = {
        "_name_or_path": "",
        "architectures": None,
        "chunk_size_feed_forward": 0,
        "dtype": None,
        "is_encoder_decoder": False,
        "output_attentions": False,
        "output_hidden_states": False,
        "problem_type": None,
        "return_dict": True,
    }
    # Likewise, but absent from ``to_dict`` while unset: fields of v4 that families now declare for themselves.
    QUIET: ClassVar[dict[str, Any]] = {
        "add_cross_attention": False,
        "bos_token_id": None,
        "cross_attention_hidden_size": None,
        "decoder_start_token_id": None,
        "eos_token_id": None,
        "finetuning_task": None,
        "is_decoder": False,
        "pad_token_id": None,
        "prefix": None,
        "pruned_heads": {},
        "sep_token_id": None,
        "task_specific_params": None,
        "tie_encoder_decoder": False,
        "tie_word_embeddings": True,
        "tokenizer_class": None,
        "torchscript": False,
    }
    # old spelling → new one, for keys that every configuration knows
    RENAMED: ClassVar[dict[str, str]] = {"torch_dtype": "dtype", "use_return_dict": "return_dict"}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        fields = self.declared()
        if len(args) > len(fields):
            raise TypeError(f"{type(self).__name__} has {len(fields)} fields, but {len(args)} values were given")
        kwargs.update(zip(fields, args, strict=False))
        given = {self._canonical(name): value for name, value in kwargs.items() if value is not None or name in fields}
        given.update({name: None for name in map(self._canonical, kwargs) if name not in given})
        labels = given.pop("id2label", None)
        names = given.pop("label2id", None)
        count = given.pop("num_labels", None)
        given.pop("model_type", None)
        given.pop("transformers_version", None)
        implementation = given.pop("attn_implementation", given.pop("_attn_implementation", None))
        for name, default in {**self.SHARED, **self.QUIET, **fields}.items():
            value = given.pop(name) if name in given else default
            if isinstance(value, dict | list):
                value = copy.deepcopy(value)
            setattr(self, name, value)
        if labels is not None:
            self.id2label = {int(key): value for key, value in labels.items()}
            if count is not None and count != len(self.id2label):
                logger.warning("num_labels=%d does not fit the %d labels of id2label", count, len(self.id2label))
                self.num_labels = count
            elif names:
                self.label2id = dict(names)
        else:
            self.num_labels = 2 if count is None else count
        for name, value in given.items():
            setattr(self, name, value)
        self.complete()
        self._attn_implementation = implementation

    def complete(self) -> None:
        """Fill in fields that follow from others; families override it."""

    # --- fields and their spellings

    @classmethod
    def declared(cls) -> dict[str, Any]:
        """Return the fields that the family declares, with their defaults, in order."""
        fields: dict[str, Any] = {}
        for kind in reversed(cls.__mro__):
            if kind is not PretrainedConfig and issubclass(kind, PretrainedConfig):
                for name, note in vars(kind).get("__annotations__", {}).items():
                    if not str(note).startswith("ClassVar"):
                        fields[name] = getattr(kind, name, None)
        return fields

    def _canonical(self, name: str) -> str:
        return self.attribute_map.get(name) or self.RENAMED.get(name, name)

    def __getattr__(self, name: str) -> Any:
        # Only names that are not set arrive here, so that reading a field costs nothing.
        if not name.startswith("__"):
            real = self._canonical(name)
            if real != name:
                return getattr(self, real)
        raise UnknownField(type(self).__name__, name, vars(self))

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(self._canonical(name), value)

    @property
    def dtype(self) -> Any:
        """The type of the weights: a ``torch.dtype`` where torch is loaded, else its name, or None."""
        name = self.__dict__.get("_dtype")
        torch = sys.modules.get("torch")
        return getattr(torch, name, name) if torch is not None and name else name

    @dtype.setter
    def dtype(self, value: Any) -> None:
        self.__dict__["_dtype"] = None if value is None else str(value).removeprefix("torch.")

    @property
    def _attn_implementation(self) -> Any:
        """How the model attends; its parts may attend in other ways. No file says it."""
        return self.__dict__.get("_attention")

    @_attn_implementation.setter
    def _attn_implementation(self, name: str | Mapping[str, str | None] | None) -> None:
        """Take a name for the whole and its parts; or part (``""`` is the whole's own) → name, the others as before."""
        named = name if isinstance(name, Mapping) else dict.fromkeys(("", *self.sub_configs), name)
        self.__dict__["_attention"] = named.get("", self.__dict__.get("_attention"))
        for field in self.sub_configs:
            part = self.__dict__.get(field)
            if named.get(field) is not None and isinstance(part, PretrainedConfig):
                part._attn_implementation = named[field]

    @property
    def num_labels(self) -> int:
        """How many classes a head predicts: the number of ``id2label``."""
        return len(self.id2label)

    @num_labels.setter
    def num_labels(self, count: int) -> None:
        if len(self.__dict__.get("id2label") or {}) != count or self.__dict__.get("label2id") is None:
            self.__dict__["id2label"] = {index: f"LABEL_{index}" for index in range(count)}
            self.__dict__["label2id"] = {label: index for index, label in self.id2label.items()}

    @property
    def id2label(self) -> dict[int, str]:
        """Class → its name."""
        return self.__dict__.get("id2label", {})

    @id2label.setter
    def id2label(self, labels: Mapping[Any, str]) -> None:
        self.__dict__["id2label"] = {int(index): label for index, label in labels.items()}
        self.__dict__["label2id"] = {label: int(index) for index, label in labels.items()}

    @property
    def name_or_path(self) -> str:
        """Where the configuration came from."""
        return str(self._name_or_path or "")

    @name_or_path.setter
    def name_or_path(self, value: str) -> None:
        self._name_or_path = str(value)

    def get_text_config(self, decoder: bool | None = None, encoder: bool | None = None) -> PretrainedConfig:
        """Return the configuration of the text part: the configuration itself where there is no other part."""
        return self

    # --- to and from dictionaries

    def to_dict(self) -> dict[str, Any]:
        """Return everything as a dictionary that JSON can hold."""
        state = {**vars(self), "dtype": self.__dict__.get("_dtype")}
        result: dict[str, Any] = {}
        fields = self.declared()
        for name, value in state.items():
            if name.startswith("_") and name != "_name_or_path":
                continue
            if name in self.QUIET and name not in fields and value == self.QUIET[name]:
                continue
            result[name] = value.to_dict() if isinstance(value, PretrainedConfig) else copy.deepcopy(value)
        result["model_type"] = self.model_type
        from enfold.transformers import __version__

        result["transformers_version"] = __version__
        return result

    def to_diff_dict(self) -> dict[str, Any]:
        """Return the dictionary without what every configuration has by default; this is what is saved."""
        state = self.to_dict()
        for name, default in self.SHARED.items():
            if state.get(name) == default:
                state.pop(name, None)
        if list(self.id2label.values()) == ["LABEL_0", "LABEL_1"]:
            state.pop("id2label", None)
            state.pop("label2id", None)
        state.pop("_name_or_path", None)
        return state

    def to_json_string(self, use_diff: bool = True) -> str:
        """Return the JSON text; ``use_diff=False`` writes defaults too."""
        return json.dumps(_plain(self.to_diff_dict() if use_diff else self.to_dict()), indent=2, sort_keys=True) + "\n"

    def to_json_file(self, json_file_path: str | os.PathLike[str], use_diff: bool = True) -> None:
        """Write the JSON text to a file."""
        from enfold.checkpoints.files import atomic_write

        atomic_write(json_file_path, self.to_json_string(use_diff))

    @classmethod
    def from_dict(cls, config_dict: Mapping[str, Any], **kwargs: Any) -> Any:
        """Make a configuration of a dictionary.

        Args:
            config_dict: what ``to_dict`` gives.
            kwargs: values that override it; ``return_unused_kwargs=True`` returns those that are no field as well.

        Returns:
            The configuration, or ``(configuration, unused)``.
        """
        keep = kwargs.pop("return_unused_kwargs", False)
        config = cls(**config_dict)
        unused = {}
        for name, value in kwargs.items():
            known = config._canonical(name)
            if known in vars(config) or isinstance(getattr(type(config), known, None), property):
                current = getattr(config, known)
                if isinstance(current, PretrainedConfig) and isinstance(value, dict):
                    value = type(current)(**value)
                setattr(config, known, value)
            else:
                unused[name] = value
        implementation = unused.pop("attn_implementation", None)
        if implementation is not None:
            config._attn_implementation = implementation
        return (config, unused) if keep else config

    @classmethod
    def from_json_file(cls, json_file: str | os.PathLike[str]) -> Any:
        """Make a configuration of a JSON file."""
        return cls.from_dict(_read_json(os.fspath(json_file)))

    def update(self, config_dict: Mapping[str, Any]) -> None:
        """Set several attributes."""
        for name, value in config_dict.items():
            setattr(self, name, value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PretrainedConfig) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]

    def __iter__(self) -> Iterator[str]:
        return iter(self.to_dict())

    def __repr__(self) -> str:
        return f"{type(self).__name__} {self.to_json_string()}"

    # --- files

    @classmethod
    def get_config_dict(cls, source: str | os.PathLike[str], **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the dictionary of a folder's or repository's ``config.json``, and the arguments that are left."""
        where, rest = split_fetch_arguments(kwargs)
        name = rest.pop("_configuration_file", CONFIG_NAME)
        source, gguf = os.fspath(source), rest.pop("gguf_file", None)
        if gguf is not None:
            from enfold.transformers.gguf import config_of, open_gguf

            return {**config_of(open_gguf(source, gguf, **where)), "_name_or_path": source}, rest
        if os.path.isfile(source):
            path = source
        else:
            from enfold.hub.fetch import find_file

            path = str(find_file(source, name, **where))
        state = _read_json(path)
        state["_name_or_path"] = source
        return state, rest

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | os.PathLike[str], **kwargs: Any) -> Any:
        """Read the configuration of a folder, a repository, or a JSON file.

        Args:
            pretrained_model_name_or_path: folder, repository id or file.
            kwargs: where to look (cache_dir, revision, token, subfolder, local_files_only, force_download), values
                that override the file's, and ``return_unused_kwargs``.
        """
        state, rest = cls.get_config_dict(pretrained_model_name_or_path, **kwargs)
        nested = state.get(cls.base_config_key) if cls.base_config_key else None
        if isinstance(nested, dict) and state.get("model_type") != cls.model_type:
            state = nested
        kind = state.get("model_type")
        if kind and cls.model_type and kind != cls.model_type:
            logger.warning(
                "%s is the configuration of a %s model, read here as %s",
                pretrained_model_name_or_path,
                kind,
                cls.model_type,
            )
        return cls.from_dict(state, **rest)

    def save_pretrained(self, save_directory: str | os.PathLike[str], push_to_hub: bool = False, **kwargs: Any) -> None:
        """Write ``config.json`` into a folder.

        Args:
            save_directory: made when it does not exist.
            push_to_hub: upload it too; ``kwargs`` are those of ``push_to_hub``.
        """
        self.to_json_file(os.path.join(save_directory, CONFIG_NAME))
        if push_to_hub:
            self.push_to_hub(kwargs.pop("repo_id", os.path.basename(os.path.abspath(save_directory))), **kwargs)

    @classmethod
    def register_for_auto_class(cls, auto_class: str = "AutoConfig") -> None:
        """Accepted for the ecosystem's spelling: enfold reads registered classes from ``AutoConfig.register``."""


PreTrainedConfig = PretrainedConfig


def _read_json(path: str) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:
            state = json.load(file)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} is no readable JSON: {error}") from error
    if not isinstance(state, dict):
        raise ConfigError(f"{path} holds a JSON {type(state).__name__}, not an object")
    return state


def _plain(value: Any) -> Any:
    """Return ``value`` with string keys and names of types, as JSON wants them."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value).removeprefix("torch.") if type(value).__name__ == "dtype" else value


class _ConfigMapping(Mapping[str, type[PretrainedConfig]]):
    """model_type → configuration class; a class is imported when it is asked for."""

    def __init__(self) -> None:
        self.extra: dict[str, type[PretrainedConfig]] = {}

    def __getitem__(self, model_type: str) -> type[PretrainedConfig]:
        if model_type in self.extra:
            return self.extra[model_type]
        from importlib import import_module

        from enfold.transformers.registry import MODELS

        row = MODELS[model_type]
        return getattr(import_module(f"enfold.transformers.configs.{row.module}"), f"{row.prefix}Config")

    def __iter__(self) -> Iterator[str]:
        from enfold.transformers.registry import MODELS

        return iter({**MODELS, **self.extra})

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, model_type: object) -> bool:
        from enfold.transformers.registry import MODELS

        return model_type in self.extra or model_type in MODELS

    def register(self, model_type: str, config: type[PretrainedConfig], exist_ok: bool = False) -> None:
        """Add a class under a model type."""
        if model_type in self and not exist_ok:
            raise ValueError(f"the model type {model_type!r} is taken; exist_ok=True replaces it")
        self.extra[model_type] = config


CONFIG_MAPPING = _ConfigMapping()


class AutoConfig:
    """The configuration class that fits a folder or repository.

    Example:
        >>> AutoConfig.for_model("bert", num_labels=3).num_labels
        3
    """

    def __init__(self) -> None:
        raise OSError("AutoConfig makes other classes: use AutoConfig.from_pretrained(…) or AutoConfig.for_model(…)")

    @classmethod
    def for_model(cls, model_type: str, *args: Any, **kwargs: Any) -> PretrainedConfig:
        """Return a configuration of a model type.

        Raises:
            ConfigError: for an unknown type; it shows the nearest one.
        """
        return _config_class(model_type, "for_model")(*args, **kwargs)

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | os.PathLike[str], **kwargs: Any) -> Any:
        """Read a configuration; arguments as ``PretrainedConfig.from_pretrained``.

        ``trust_remote_code=True`` runs the class that the repository brings along, if it does.

        Raises:
            ConfigError: when the file's ``model_type`` is not known.
            RemoteCodeError: when only code of the repository knows it, and nobody said that it may run.
        """
        trust, code_revision = kwargs.pop("trust_remote_code", None), kwargs.pop("code_revision", None)
        state, rest = PretrainedConfig.get_config_dict(pretrained_model_name_or_path, **kwargs)
        kind = state.get("model_type")
        brought = (state.get("auto_map") or {}).get("AutoConfig")
        if brought and (trust or kind not in CONFIG_MAPPING):
            from enfold.transformers.remote import remote_class

            where, _ = split_fetch_arguments(kwargs)
            own = remote_class(brought, "AutoConfig", pretrained_model_name_or_path, trust, code_revision, **where)
            return own.from_dict(state, **rest)
        if kind is None:
            # Files from before the key existed: the longest type that the name contains.
            name = str(pretrained_model_name_or_path).lower()
            kind = max((known for known in CONFIG_MAPPING if known in name), key=len, default=None)
            if kind is None:
                raise ConfigError(f"{pretrained_model_name_or_path}: config.json has no 'model_type'")
        return _config_class(kind, str(pretrained_model_name_or_path)).from_dict(state, **rest)

    @staticmethod
    def register(model_type: str, config: type[PretrainedConfig], exist_ok: bool = False) -> None:
        """Make a class of your own known under its ``model_type``."""
        if config.model_type and config.model_type != model_type:
            raise ValueError(f"{config.__name__}.model_type is {config.model_type!r}, not {model_type!r}")
        CONFIG_MAPPING.register(model_type, config, exist_ok)


def _config_class(model_type: str, source: str) -> type[PretrainedConfig]:
    if model_type not in CONFIG_MAPPING:
        hint = nearest(model_type, CONFIG_MAPPING) or f"; known are {', '.join(sorted(CONFIG_MAPPING))}"
        raise ConfigError(f"{source}: unknown model_type {model_type!r}{hint}")
    return CONFIG_MAPPING[model_type]
