"""What an adapter is: what configuration classes share, and the file ``adapter_config.json``."""

from __future__ import annotations

import enum
import functools
import json
import operator
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, is_dataclass
from importlib import import_module
from typing import Any, ClassVar, TypeVar

from enfold.errors import EnfoldError, nearest
from enfold.log import get_logger

__all__ = [
    "CONFIG_NAME",
    "LayeredConfig",
    "PeftConfig",
    "PeftType",
    "TargetedConfig",
    "TaskType",
    "UnsupportedPeftFeature",
    "spelled",
]

CONFIG_NAME = "adapter_config.json"
PEFT_VERSION = "0.21.2"  # whose surface and files we write

logger = get_logger(__name__)
C = TypeVar("C", bound=type)


class UnsupportedPeftFeature(ValueError, EnfoldError):
    """A configuration asks for something that this version does not do; nothing was changed."""


class PeftType(str, enum.Enum):
    """The kind of adapter, as written in ``adapter_config.json``."""

    ADALORA = "ADALORA"
    ADAPTION_PROMPT = "ADAPTION_PROMPT"
    BOFT = "BOFT"
    BOTTLENECK = "BOTTLENECK"
    C3A = "C3A"
    CPT = "CPT"
    DELORA = "DELORA"
    FOURIERFT = "FOURIERFT"
    GRALORA = "GRALORA"
    HIRA = "HIRA"
    HRA = "HRA"
    IA3 = "IA3"
    LN_TUNING = "LN_TUNING"
    LOHA = "LOHA"
    LOKR = "LOKR"
    LORA = "LORA"
    MISS = "MISS"
    MULTITASK_PROMPT_TUNING = "MULTITASK_PROMPT_TUNING"
    OFT = "OFT"
    OSF = "OSF"
    POLY = "POLY"
    PREFIX_TUNING = "PREFIX_TUNING"
    PROMPT_TUNING = "PROMPT_TUNING"
    PSOFT = "PSOFT"
    P_TUNING = "P_TUNING"
    RANDLORA = "RANDLORA"
    ROAD = "ROAD"
    SHIRA = "SHIRA"
    TRAINABLE_TOKENS = "TRAINABLE_TOKENS"
    VBLORA = "VBLORA"
    VERA = "VERA"
    WAVEFT = "WAVEFT"


# Where the configuration of each kind is; a kind's module is read when it is first needed.
KINDS = {
    "ADALORA": ("adalora", "AdaLoraConfig"),
    "ADAPTION_PROMPT": ("adaption_prompt", "AdaptionPromptConfig"),
    "BOFT": ("boft", "BOFTConfig"),
    "BOTTLENECK": ("bottleneck", "BottleneckConfig"),
    "C3A": ("c3a", "C3AConfig"),
    "CPT": ("cpt", "CPTConfig"),
    "DELORA": ("delora", "DeloraConfig"),
    "FOURIERFT": ("fourierft", "FourierFTConfig"),
    "GRALORA": ("gralora", "GraloraConfig"),
    "HIRA": ("hira", "HiraConfig"),
    "HRA": ("hra", "HRAConfig"),
    "IA3": ("ia3", "IA3Config"),
    "LN_TUNING": ("ln_tuning", "LNTuningConfig"),
    "LOHA": ("loha", "LoHaConfig"),
    "LOKR": ("lokr", "LoKrConfig"),
    "LORA": ("lora_config", "LoraConfig"),
    "MISS": ("miss", "MissConfig"),
    "MULTITASK_PROMPT_TUNING": ("prompt_configs", "MultitaskPromptTuningConfig"),
    "OFT": ("oft", "OFTConfig"),
    "OSF": ("osf", "OSFConfig"),
    "POLY": ("poly", "PolyConfig"),
    "PREFIX_TUNING": ("prompt_configs", "PrefixTuningConfig"),
    "PROMPT_TUNING": ("prompt_configs", "PromptTuningConfig"),
    "PSOFT": ("psoft", "PsoftConfig"),
    "P_TUNING": ("prompt_configs", "PromptEncoderConfig"),
    "RANDLORA": ("randlora", "RandLoraConfig"),
    "ROAD": ("road", "RoadConfig"),
    "SHIRA": ("shira", "ShiraConfig"),
    "TRAINABLE_TOKENS": ("tokens", "TrainableTokensConfig"),
    "VBLORA": ("vblora", "VBLoRAConfig"),
    "VERA": ("vera", "VeraConfig"),
    "WAVEFT": ("waveft", "WaveFTConfig"),
}


def config_class(kind: str) -> type[PeftConfig]:
    """Return the configuration class of a kind of adapter.

    Raises:
        UnsupportedPeftFeature: there is no such kind.
    """
    if kind not in KINDS:
        raise UnsupportedPeftFeature(
            f"adapters of type {kind!r} are unknown{nearest(kind, KINDS)}; known: {', '.join(KINDS)}"
        )
    module, name = KINDS[kind]
    found: type[PeftConfig] = getattr(import_module(f"enfold.peft.{module}"), name)
    return found


class TaskType(str, enum.Enum):
    """The task that the adapted model is for; it decides which head trains along with the adapter."""

    SEQ_CLS = "SEQ_CLS"
    SEQ_2_SEQ_LM = "SEQ_2_SEQ_LM"
    CAUSAL_LM = "CAUSAL_LM"
    TOKEN_CLS = "TOKEN_CLS"
    QUESTION_ANS = "QUESTION_ANS"
    FEATURE_EXTRACTION = "FEATURE_EXTRACTION"


def spelled(aliases: dict[str, str]) -> Callable[[C], C]:
    """Let a dataclass take and show further spellings of its fields (alias → field)."""

    def decorate(cls: C) -> C:
        plain = cls.__init__  # type: ignore[misc]

        @functools.wraps(plain)
        def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
            for alias, name in aliases.items():
                if alias in kwargs:
                    if name in kwargs:
                        raise TypeError(f"{alias!r} is another spelling of {name!r}: give one of them")
                    kwargs[name] = kwargs.pop(alias)
            known = {item.name for item in fields(self)}
            for name in kwargs:
                if name not in known:
                    raise TypeError(f"{type(self).__name__} has no field {name!r}{nearest(name, known)}")
            plain(self, *args, **kwargs)

        cls.__init__ = __init__  # type: ignore[misc]
        for alias, name in aliases.items():
            setattr(cls, alias, property(operator.attrgetter(name)))
        return cls

    return decorate


@dataclass
class PeftConfig:
    """The part of an adapter's configuration that every kind of adapter has.

    Args:
        peft_type: the kind of adapter.
        auto_mapping: class and library of the base model, for adapters without a task type.
        peft_version: version that wrote the file.
        base_model_name_or_path: folder or repository of the base model.
        revision: revision of the base model.
        task_type: one of :class:`TaskType`, or None for any module.
        inference_mode: whether the adapter is frozen.

    Example:
        >>> PeftConfig.from_dict({"peft_type": "LORA", "r": 4}).r
        4
    """

    peft_type: PeftType | str | None = None
    auto_mapping: dict[str, Any] | None = None
    peft_version: str | None = None
    base_model_name_or_path: str | None = None
    revision: str | None = None
    task_type: TaskType | str | None = None
    inference_mode: bool = False

    kind: ClassVar[str | None] = None  # of the class
    unwritten: ClassVar[frozenset[str]] = frozenset()  # fields that stay out of the file

    def __post_init__(self) -> None:
        if self.kind is not None:
            self.peft_type = PeftType(self.kind)
        if self.task_type is not None:
            known = [task.value for task in TaskType]
            if self.task_type not in known:
                raise ValueError(f"unknown task_type {self.task_type!r}{nearest(str(self.task_type), known)}")
            self.task_type = TaskType(self.task_type)
        if self.peft_version is None:
            self.peft_version = PEFT_VERSION

    @property
    def is_prompt_learning(self) -> bool:
        """Whether the adapter is a learnt prompt rather than a change of weights."""
        return False

    @property
    def is_adaption_prompt(self) -> bool:
        """Whether the adapter is a prompt inside the attention of some layers."""
        return False

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values, sets as sorted lists, the way they are written to the file."""
        names = (item.name for item in fields(self) if item.name not in self.unwritten)
        return {name: _plain(getattr(self, name)) for name in names}

    def save_pretrained(self, save_directory: str | os.PathLike[str], **kwargs: Any) -> None:
        """Write ``adapter_config.json`` into ``save_directory``; keyword arguments override fields in the file."""
        folder = os.fspath(save_directory)
        if os.path.isfile(folder):
            raise ValueError(f"{folder} is a file; a folder was expected")
        os.makedirs(folder, exist_ok=True)
        values = {**self.to_dict(), **{name: _plain(value) for name, value in kwargs.items()}}
        path = os.path.join(folder, CONFIG_NAME)
        with open(path + ".tmp", "w", encoding="utf-8") as file:
            file.write(json.dumps(values, indent=2, sort_keys=True))
        os.replace(path + ".tmp", path)

    @classmethod
    def from_dict(cls, values: dict[str, Any], **overrides: Any) -> PeftConfig:
        """Build the configuration that a file's content describes.

        Args:
            values: content of ``adapter_config.json``. Fields that this version does not know are left out with a
                warning, because newer writers add fields.
            overrides: fields that replace those of the file.

        Raises:
            ValueError: the kind of adapter is unknown.
        """
        merged = {**values, **overrides}
        kind = str(getattr(merged.get("peft_type"), "value", merged.get("peft_type") or "LORA"))
        target = config_class(kind)
        known = {item.name for item in fields(target)}
        unknown = sorted(name for name in merged if name not in known)
        if unknown:
            logger.warning("adapter configuration has fields that this version does not know: %s", ", ".join(unknown))
        return target(**{name: value for name, value in merged.items() if name in known})

    @classmethod
    def from_peft_type(cls, **kwargs: Any) -> PeftConfig:
        """Make a configuration of the kind ``peft_type``, or of this class where that is not said.

        Example:
            >>> PeftConfig.from_peft_type(peft_type="LORA", r=4).r
            4
        """
        return cls.from_dict({"peft_type": cls.kind, **kwargs})

    @classmethod
    def from_json_file(cls, path_json_file: str | os.PathLike[str], **kwargs: Any) -> dict[str, Any]:
        """Return the values of a file, without settings of one run that may have got into it.

        Raises:
            FileNotFoundError: there is no such file.
        """
        with open(path_json_file, encoding="utf-8") as file:
            values: dict[str, Any] = json.load(file)
        values.pop("runtime_config", None)
        return values

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | os.PathLike[str], subfolder: str | None = None, **kwargs: Any
    ) -> PeftConfig:
        """Read the configuration of an adapter from a folder or a repository.

        Args:
            pretrained_model_name_or_path: folder or repository id.
            subfolder: folder inside it, for an adapter that is not the default one.
            kwargs: ``revision``, ``cache_dir``, ``token``, ``local_files_only``, ``force_download`` to find the file;
                anything else overrides a field.

        Returns:
            The configuration class of the adapter's kind, for example :class:`LoraConfig`.

        Raises:
            TypeError: the file does not say which kind that is.
        """
        where, rest = split_source_arguments(kwargs)
        path = find_adapter_file(pretrained_model_name_or_path, CONFIG_NAME, subfolder=subfolder, **where)
        if path is None:  # pragma: no cover - find_adapter_file raises for a required file
            raise FileNotFoundError(CONFIG_NAME)
        values = cls.from_json_file(path)
        if "peft_type" not in values:
            raise TypeError(f"{path} is no adapter's configuration: it does not say peft_type, the kind of adapter")
        return cls.from_dict(values, **rest)


@dataclass
class TargetedConfig(PeftConfig):
    """The part of a configuration that says which modules of a model are adapted.

    Args:
        target_modules: names, a regular expression, ``"all-linear"``, or None for the usual ones of the model type.
        exclude_modules: names or a regular expression of modules to leave out.
        modules_to_save: modules that train whole and are saved with the adapter.
    """

    target_modules: list[str] | set[str] | str | None = None
    exclude_modules: list[str] | set[str] | str | None = None
    modules_to_save: list[str] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("target_modules", "exclude_modules"):
            value = getattr(self, name)
            if isinstance(value, (list, tuple)):
                setattr(self, name, set(value))

    def check_supported(self) -> None:
        """Raise :class:`UnsupportedPeftFeature` when a field asks for something that is not implemented."""


@dataclass
class LayeredConfig(TargetedConfig):
    """A configuration that can also say which layers are adapted, by their index.

    Args:
        layers_to_transform: indices of the layers to adapt; None for all.
        layers_pattern: name of the list the layers are in, when ``layers_to_transform`` is given.
    """

    layers_to_transform: list[int] | int | None = None
    layers_pattern: list[str] | str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.target_modules, str):
            for name in ("layers_to_transform", "layers_pattern"):
                if getattr(self, name) is not None:
                    raise ValueError(f"{name} cannot be used when target_modules is a regular expression")
        if self.layers_pattern and self.layers_to_transform is None:
            raise ValueError("layers_pattern needs layers_to_transform")
        allowed = ("none", "all", f"{self.prefix}_only")
        if getattr(self, "bias", "none") not in allowed:
            raise ValueError(f"bias must be one of {', '.join(allowed)}, not {getattr(self, 'bias', None)!r}")

    @property
    def prefix(self) -> str:
        """What names of this kind begin with, as in ``bias="lora_only"``."""
        return (self.kind or "").lower()


_SOURCE_ARGUMENTS = ("revision", "cache_dir", "token", "local_files_only", "force_download")
_IGNORED_ARGUMENTS = ("proxies", "resume_download")


def split_source_arguments(kwargs: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Split keyword arguments into those that say where a file is found and the rest."""
    rest = {name: value for name, value in kwargs.items() if name not in _IGNORED_ARGUMENTS}
    if "use_auth_token" in rest:
        rest.setdefault("token", rest.pop("use_auth_token"))
    where = {name: rest.pop(name) for name in _SOURCE_ARGUMENTS if name in rest}
    return {name: value for name, value in where.items() if value is not None}, rest


def find_adapter_file(
    source: str | os.PathLike[str], filename: str, *, subfolder: str | None = None, required: bool = True, **where: Any
) -> str | None:
    """Return the path of an adapter's file in a local folder or a repository."""
    from enfold.hub.fetch import find_file

    return find_file(os.fspath(source), filename, subfolder=subfolder or "", required=required, **where)


def _plain(value: Any) -> Any:
    if isinstance(value, enum.Enum):
        return value.value
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
