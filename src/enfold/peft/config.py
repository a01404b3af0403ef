"""What an adapter is: the configuration classes and the file ``adapter_config.json``."""

from __future__ import annotations

import enum
import functools
import json
import operator
import os
from collections.abc import Callable
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, ClassVar, TypeVar

from enfold.errors import EnfoldError, nearest
from enfold.log import get_logger

__all__ = ["CONFIG_NAME", "LoraConfig", "PeftConfig", "PeftType", "TaskType", "UnsupportedPeftFeature"]

CONFIG_NAME = "adapter_config.json"
PEFT_VERSION = "0.21.2"  # whose surface and files we write

logger = get_logger(__name__)
C = TypeVar("C", bound=type)


class UnsupportedPeftFeature(ValueError, EnfoldError):
    """A configuration asks for something that this version does not do; nothing was changed."""


class PeftType(str, enum.Enum):
    """The kind of adapter, as written in ``adapter_config.json``."""

    LORA = "LORA"


class TaskType(str, enum.Enum):
    """The task that the adapted model is for; it decides which head trains along with the adapter."""

    SEQ_CLS = "SEQ_CLS"
    SEQ_2_SEQ_LM = "SEQ_2_SEQ_LM"
    CAUSAL_LM = "CAUSAL_LM"
    TOKEN_CLS = "TOKEN_CLS"
    QUESTION_ANS = "QUESTION_ANS"
    FEATURE_EXTRACTION = "FEATURE_EXTRACTION"


def _spelled(aliases: dict[str, str]) -> Callable[[C], C]:
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

    _kinds: ClassVar[dict[str, type[PeftConfig]]] = {}

    def __post_init__(self) -> None:
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

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values, sets as sorted lists, the way they are written to the file."""
        return {item.name: _plain(getattr(self, item.name)) for item in fields(self)}

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
        if kind not in cls._kinds:
            raise UnsupportedPeftFeature(
                f"adapters of type {kind!r} are unknown{nearest(kind, cls._kinds)}; known: {', '.join(cls._kinds)}"
            )
        target = cls._kinds[kind]
        known = {item.name for item in fields(target)}
        unknown = sorted(name for name in merged if name not in known)
        if unknown:
            logger.warning("adapter configuration has fields that this version does not know: %s", ", ".join(unknown))
        return target(**{name: value for name, value in merged.items() if name in known})

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
        """
        where, rest = split_source_arguments(kwargs)
        path = find_adapter_file(pretrained_model_name_or_path, CONFIG_NAME, subfolder=subfolder, **where)
        if path is None:  # pragma: no cover - find_adapter_file raises for a required file
            raise FileNotFoundError(CONFIG_NAME)
        with open(path, encoding="utf-8") as file:
            return cls.from_dict(json.load(file), **rest)


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
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


@_spelled({"alpha": "lora_alpha"})
@dataclass
class LoraConfig(PeftConfig):
    """How low-rank adapters are put into a model.

    A targeted layer computes ``W x + scale · B A x`` with A of shape (r, in) and B of shape (out, r); only A and B
    train. Every field of the ecosystem's files is accepted and kept; a field whose feature is missing here is refused
    when the adapter is made, not silently ignored.

    Args:
        r: rank.
        target_modules: names, a regular expression, ``"all-linear"``, or None for the usual ones of the model type.
        exclude_modules: names or a regular expression of modules to leave out.
        lora_alpha: scale is ``lora_alpha / r`` (``alpha`` is accepted too).
        lora_dropout: dropout on the adapter's input, 0 to 1.
        fan_in_fan_out: weights are stored as (in, out), as GPT-2's are; set by itself where the layer says so.
        bias: which biases train: ``"none"``, ``"all"`` or ``"lora_only"``.
        use_rslora: scale by ``lora_alpha / sqrt(r)`` (https://arxiv.org/abs/2312.03732).
        modules_to_save: modules that train whole and are saved with the adapter.
        init_lora_weights: True for a zero start with uniform A, ``"gaussian"`` for normal A, False for random A and B.
        layers_to_transform: indices of the layers to adapt; None for all.
        layers_pattern: name of the list the layers are in, when ``layers_to_transform`` is given.
        rank_pattern: module name or regular expression → rank.
        alpha_pattern: module name or regular expression → alpha.

    Example:
        >>> LoraConfig(r=8, alpha=16, target_modules=["q_proj"]).lora_alpha
        16

    Source: Hu et al., https://arxiv.org/abs/2106.09685
    """

    r: int = 8
    target_modules: list[str] | set[str] | str | None = None
    exclude_modules: list[str] | set[str] | str | None = None
    lora_alpha: int = 8
    lora_dropout: float = 0.0
    fan_in_fan_out: bool = False
    bias: str = "none"
    use_rslora: bool = False
    modules_to_save: list[str] | None = None
    init_lora_weights: bool | str = True
    layers_to_transform: list[int] | int | None = None
    layers_pattern: list[str] | str | None = None
    rank_pattern: dict[str, int] = field(default_factory=dict)
    alpha_pattern: dict[str, int] = field(default_factory=dict)
    # Kept in the file and refused by `check_supported` when they are set: their features come with later work.
    megatron_config: dict[str, Any] | None = None
    megatron_core: str | None = "megatron.core"
    trainable_token_indices: list[int] | dict[str, list[int]] | None = None
    loftq_config: dict[str, Any] = field(default_factory=dict)
    eva_config: dict[str, Any] | None = None
    corda_config: dict[str, Any] | None = None
    lora_ga_config: dict[str, Any] | None = None
    use_dora: bool = False
    velora_config: dict[str, Any] | None = None
    alora_invocation_tokens: list[int] | None = None
    use_qalora: bool = False
    qalora_group_size: int = 16
    monteclora_config: dict[str, Any] | None = None
    layer_replication: list[tuple[int, int]] | None = None
    lora_bias: bool = False
    target_parameters: list[str] | None = None
    use_bdlora: dict[str, Any] | bool | None = None
    arrow_config: dict[str, Any] | None = None
    kasa_config: dict[str, Any] | None = None
    ensure_weight_tying: bool = False
    runtime_config: dict[str, Any] | None = None  # of one run: never in the file

    def __post_init__(self) -> None:
        self.peft_type = PeftType.LORA
        super().__post_init__()
        if self.r < 1:
            raise ValueError(f"r must be at least 1, got {self.r}")
        if self.bias not in ("none", "all", "lora_only"):
            raise ValueError(f"bias must be 'none', 'all' or 'lora_only', got {self.bias!r}")
        for name in ("target_modules", "exclude_modules"):
            value = getattr(self, name)
            if isinstance(value, (list, tuple)):
                setattr(self, name, set(value))
        if isinstance(self.target_modules, str):
            for name in ("layers_to_transform", "layers_pattern"):
                if getattr(self, name) is not None:
                    raise ValueError(f"{name} cannot be used when target_modules is a regular expression")
        if self.layers_pattern and self.layers_to_transform is None:
            raise ValueError("layers_pattern needs layers_to_transform")

    def to_dict(self) -> dict[str, Any]:
        """Return the fields that are written to the file."""
        return {name: value for name, value in super().to_dict().items() if name != "runtime_config"}

    def check_supported(self) -> None:
        """Raise :class:`UnsupportedPeftFeature` when a field asks for something that is not implemented."""
        for item in fields(self):
            if item.name in _ABSENT and getattr(self, item.name) != _default(item):
                raise UnsupportedPeftFeature(f"LoraConfig.{item.name} is not supported; leave it at {_default(item)!r}")
        if not isinstance(self.init_lora_weights, bool) and str(self.init_lora_weights).lower() != "gaussian":
            raise UnsupportedPeftFeature(
                f"init_lora_weights={self.init_lora_weights!r} is not supported; use True, False or 'gaussian'"
            )


_ABSENT = frozenset(
    {
        "megatron_config",
        "trainable_token_indices",
        "loftq_config",
        "eva_config",
        "corda_config",
        "lora_ga_config",
        "use_dora",
        "velora_config",
        "alora_invocation_tokens",
        "use_qalora",
        "monteclora_config",
        "layer_replication",
        "lora_bias",
        "target_parameters",
        "use_bdlora",
        "arrow_config",
        "kasa_config",
        "ensure_weight_tying",
        "runtime_config",
    }
)


def _default(item: Field[Any]) -> Any:
    return item.default_factory() if item.default_factory is not MISSING else item.default


PeftConfig._kinds["LORA"] = LoraConfig
