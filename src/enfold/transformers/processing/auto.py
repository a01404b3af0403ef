"""Auto classes of feature extractors, image processors and processors: the class that fits a repository."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any, ClassVar

from enfold.errors import EnfoldError
from enfold.transformers.config import AutoConfig, ConfigError, PretrainedConfig
from enfold.transformers.processing.files import PreprocessorError, read_settings
from enfold.transformers.processing.processor import _settings as processor_settings
from enfold.transformers.registry import FEATURE_EXTRACTORS, IMAGE_PROCESSORS, PROCESSORS
from enfold.transformers.remote import remote_class
from enfold.transformers.sharing import split_fetch_arguments

__all__ = ["AutoFeatureExtractor", "AutoImageProcessor", "AutoProcessor"]


def _class(name: str) -> Any:
    """Return the class of a name; the ``…Fast`` of an image processor is the same class here."""
    library = import_module("enfold.transformers")
    for spelling in (name, name.removesuffix("Fast"), name.removesuffix("Fast").removesuffix("Pil")):
        found = getattr(library, spelling, None)
        if found is not None:
            return found
    return None


class _AutoPreprocessor:
    """Base: the class is named by the settings, or else found by the model's type."""

    part: ClassVar[str]
    table: ClassVar[dict[str, str]]
    extra: ClassVar[dict[type[PretrainedConfig], Any]]

    def __init__(self) -> None:
        name = type(self).__name__
        raise OSError(f"{name} makes other classes: use {name}.from_pretrained(…)")

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | os.PathLike[str], **kwargs: Any) -> Any:
        """Read the preprocessor of a folder or repository.

        Args:
            pretrained_model_name_or_path: folder, repository id or JSON file.
            kwargs: as the class's own ``from_pretrained``; ``config`` may give the model's configuration.

        Raises:
            PreprocessorError: when the repository has no settings, or none that name a known class.
        """
        config = kwargs.pop("config", None)
        source = pretrained_model_name_or_path
        asked = {name: kwargs.pop(name, None) for name in ("trust_remote_code", "code_revision")}
        where, _ = split_fetch_arguments(dict(kwargs))
        settings = read_settings(source, cls.part, **where)
        brought = (settings.get("auto_map") or {}).get(cls.__name__)
        # Vision models of old kept an image processor under a feature extractor's name, and the other way round.
        name = settings.get(f"{cls.part}_type") or settings.get("image_processor_type")
        name = name or settings.get("feature_extractor_type")
        if name is not None and _class(name) is None and name.endswith("FeatureExtractor"):
            name = name.removesuffix("FeatureExtractor") + "ImageProcessor"
        kind = None if name is None else _class(name)
        if kind is None:
            if not isinstance(config, PretrainedConfig):
                try:
                    config = AutoConfig.from_pretrained(source if config is None else config, **asked, **where)
                except (ConfigError, OSError):
                    config = None
            kind = cls.extra.get(type(config)) if config is not None else None
            if kind is None and config is not None and config.model_type in cls.table:
                kind = _class(cls.table[config.model_type])
        if brought and (asked["trust_remote_code"] or kind is None):
            kind = remote_class(brought, cls.__name__, source, *asked.values(), **where)
        if kind is None:
            raise PreprocessorError(
                f"{source}: {name or 'no class'} is named by its settings, and no {cls.part.replace('_', ' ')} "
                f"is known for {'its model' if config is None else config.model_type}"
            )
        return kind.from_pretrained(source, **kwargs)

    @classmethod
    def register(
        cls, config_class: type[PretrainedConfig], *classes: Any, exist_ok: bool = False, **named: Any
    ) -> None:
        """Make a class of your own known for a configuration class."""
        given = [one for one in (*classes, *named.values()) if one is not None]
        if not given:
            raise ValueError(f"{cls.__name__}.register needs a class beside {config_class.__name__}")
        if config_class in cls.extra and not exist_ok:
            raise ValueError(f"{config_class.__name__} has a {cls.part} already; exist_ok=True replaces it")
        cls.extra[config_class] = given[0]


class AutoFeatureExtractor(_AutoPreprocessor):
    """The feature extractor that fits a folder or repository; that of a vision model is its image processor."""

    part = "feature_extractor"
    table = {**IMAGE_PROCESSORS, **FEATURE_EXTRACTORS}
    extra: ClassVar[dict[type[PretrainedConfig], Any]] = {}


class AutoImageProcessor(_AutoPreprocessor):
    """The image processor that fits a folder or repository."""

    part = "image_processor"
    table = IMAGE_PROCESSORS
    extra: ClassVar[dict[type[PretrainedConfig], Any]] = {}


class AutoProcessor:
    """The processor that fits a folder or repository; where a model has none, its tokenizer or preprocessor."""

    extra: ClassVar[dict[type[PretrainedConfig], Any]] = {}

    def __init__(self) -> None:
        raise OSError("AutoProcessor makes other classes: use AutoProcessor.from_pretrained(…)")

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | os.PathLike[str], **kwargs: Any) -> Any:
        """Read the processor of a folder or repository.

        Args:
            pretrained_model_name_or_path: folder or repository id.
            kwargs: as ``ProcessorMixin.from_pretrained``; ``config`` may give the model's configuration.

        Raises:
            EnfoldError: when nothing there turns inputs into tensors.
        """
        source, config = pretrained_model_name_or_path, kwargs.pop("config", None)
        asked = {name: kwargs.pop(name, None) for name in ("trust_remote_code", "code_revision")}
        where, _ = split_fetch_arguments(dict(kwargs))
        settings = processor_settings(source, **where)
        names, brought = [settings.get("processor_class")], (settings.get("auto_map") or {}).get("AutoProcessor")
        for part in ("feature_extractor", "image_processor"):
            try:
                settings = read_settings(source, part, **where)
                names.append(settings.get("processor_class"))
                brought = brought or (settings.get("auto_map") or {}).get("AutoProcessor")
            except PreprocessorError:
                pass
        kind = next((_class(name) for name in names if name and _class(name) is not None), None)
        if brought and (asked["trust_remote_code"] or kind is None):
            kind = remote_class(brought, "AutoProcessor", source, *asked.values(), **where)
        if kind is None:
            if not isinstance(config, PretrainedConfig):
                try:
                    config = AutoConfig.from_pretrained(source, **asked, **where)
                except (ConfigError, OSError):
                    config = None
            if config is not None:
                kind = cls.extra.get(type(config)) or _class(PROCESSORS.get(config.model_type, "")) or None
        if kind is not None:
            return kind.from_pretrained(source, **kwargs)
        library = import_module("enfold.transformers")
        for reader in ("AutoTokenizer", "AutoImageProcessor", "AutoFeatureExtractor"):
            try:
                return getattr(library, reader).from_pretrained(source, **asked, **kwargs)
            except (OSError, ValueError):
                continue
        raise EnfoldError(f"{source} has no processor, tokenizer, image processor or feature extractor")

    @classmethod
    def register(cls, config_class: type[PretrainedConfig], processor_class: Any, exist_ok: bool = False) -> None:
        """Make a class of your own known for a configuration class."""
        if config_class in cls.extra and not exist_ok:
            raise ValueError(f"{config_class.__name__} has a processor already; exist_ok=True replaces it")
        cls.extra[config_class] = processor_class
