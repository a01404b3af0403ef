"""Processors: a tokenizer and the preprocessors of other modes, held together and saved side by side."""

from __future__ import annotations

import copy
import json
import os
from importlib import import_module
from typing import Any, ClassVar

from enfold.checkpoints.files import atomic_write
from enfold.errors import EnfoldError
from enfold.transformers.processing.files import WHOLE
from enfold.transformers.sharing import PushToHubMixin, split_fetch_arguments

__all__ = ["ProcessorMixin"]

# Settings of processor_config.json that describe parts or the class, not the processor itself.
_NOTES = ("processor_class", "auto_map", "feature_extractor", "image_processor", "tokenizer", "audio_tokenizer")


class ProcessorMixin(PushToHubMixin):
    """Base of processors.

    A class names its parts in ``attributes`` and what reads each in ``<part>_class``: the name of a class of
    ``enfold.transformers``, or several of which the first that is not None is the usual one.

    Args:
        parts: one for each name of ``attributes``, in that order or by name.
        chat_template: how chats become prompts; the tokenizer's own where None.
        settings: further settings, kept as attributes and saved.
    """

    attributes: ClassVar[list[str]] = ["feature_extractor", "tokenizer"]
    feature_extractor_class: ClassVar[Any] = "AutoFeatureExtractor"
    image_processor_class: ClassVar[Any] = "AutoImageProcessor"
    tokenizer_class: ClassVar[Any] = "AutoTokenizer"
    image_processor: Any
    tokenizer: Any

    def __init__(self, *parts: Any, chat_template: Any = None, **settings: Any) -> None:
        if len(parts) > len(self.attributes):
            raise TypeError(f"{type(self).__name__} takes {', '.join(self.attributes)}, not {len(parts)} parts")
        named = dict(zip(self.attributes, parts, strict=False))
        for name in self.attributes:
            if name in named and name in settings:
                raise TypeError(f"{type(self).__name__} got {name} twice")
            setattr(self, name, named[name] if name in named else settings.pop(name, None))
        self.chat_template = chat_template
        self._settings = settings
        for name, value in settings.items():
            setattr(self, name, value)

    # --- files

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | os.PathLike[str], **kwargs: Any) -> Any:
        """Read every part of a folder or repository.

        Args:
            pretrained_model_name_or_path: folder or repository id.
            kwargs: where to look (cache_dir, revision, token, subfolder, local_files_only, force_download); what is
                left goes to every part.
        """
        source = pretrained_model_name_or_path
        kwargs.pop("trust_remote_code", None)
        where, rest = split_fetch_arguments(kwargs)
        settings = {name: value for name, value in _settings(source, **where).items() if name not in _NOTES}
        parts = {name: cls._reader(name).from_pretrained(source, **where, **rest) for name in cls.attributes}
        return cls(**parts, **settings)

    @classmethod
    def _reader(cls, part: str) -> Any:
        named = getattr(cls, f"{part}_class")
        name = next(one for one in named if one is not None) if isinstance(named, tuple) else named
        return getattr(import_module("enfold.transformers"), name)

    def save_pretrained(self, save_directory: str | os.PathLike[str], push_to_hub: bool = False, **kwargs: Any) -> None:
        """Write every part, and the processor's own settings, into a folder.

        Args:
            save_directory: made when it does not exist.
            push_to_hub: upload it too; ``kwargs`` are those of ``push_to_hub``.
        """
        os.makedirs(save_directory, exist_ok=True)
        for name in self.attributes:
            part = getattr(self, name)
            if hasattr(part, "_set_processor_class"):
                part._set_processor_class(type(self).__name__)
            if part is not None:
                part.save_pretrained(save_directory)
        atomic_write(os.path.join(save_directory, WHOLE), self.to_json_string())
        if push_to_hub:
            self.push_to_hub(kwargs.pop("repo_id", os.path.basename(os.path.abspath(save_directory))), **kwargs)

    def to_dict(self) -> dict[str, Any]:
        """Return the processor's own settings, without those of its parts."""
        settings = {name: copy.deepcopy(getattr(self, name)) for name in self._settings}
        if self.chat_template is not None:
            settings["chat_template"] = self.chat_template
        return {**settings, "processor_class": type(self).__name__}

    def to_json_string(self) -> str:
        """Return the processor's own settings as JSON text."""
        return json.dumps(self.to_dict(), indent=2, sort_keys=True) + "\n"

    @classmethod
    def register_for_auto_class(cls, auto_class: str = "AutoProcessor") -> None:
        """Accepted for the ecosystem's spelling: enfold reads registered classes from ``AutoProcessor.register``."""

    # --- the parts' own

    @property
    def model_input_names(self) -> list[str]:
        """The names of all inputs that the parts make, each once."""
        names = [name for part in self.attributes for name in getattr(getattr(self, part), "model_input_names", ())]
        return list(dict.fromkeys(names))

    def _tokenizer(self) -> Any:
        tokenizer = getattr(self, "tokenizer", None)
        if tokenizer is None:
            raise EnfoldError(f"{type(self).__name__} has no tokenizer, so it neither reads nor writes text")
        return tokenizer

    def decode(self, *args: Any, **kwargs: Any) -> Any:
        """Turn ids into text: the tokenizer's ``decode``."""
        return self._tokenizer().decode(*args, **kwargs)

    def batch_decode(self, *args: Any, **kwargs: Any) -> Any:
        """Turn rows of ids into texts: the tokenizer's ``batch_decode``."""
        return self._tokenizer().batch_decode(*args, **kwargs)

    def apply_chat_template(self, conversation: Any, chat_template: Any = None, **kwargs: Any) -> Any:
        """Turn a chat into a prompt: the tokenizer's ``apply_chat_template``, with the processor's template."""
        template = self.chat_template if chat_template is None else chat_template
        return self._tokenizer().apply_chat_template(conversation, chat_template=template, **kwargs)

    def __repr__(self) -> str:
        parts = "\n".join(f"- {name}: {getattr(self, name)!r}" for name in self.attributes)
        return f"{type(self).__name__}:\n{parts}\n{self.to_json_string()}"


def _settings(source: Any, **where: Any) -> dict[str, Any]:
    from enfold.hub.fetch import find_file

    settings: dict[str, Any] = {}
    path = find_file(str(source), WHOLE, required=False, **where)
    if path is not None:
        with open(path, encoding="utf-8") as file:
            settings = json.load(file)
    for name in ("chat_template.jinja", "chat_template.json"):
        path = find_file(str(source), name, required=False, **where)
        if path is not None and "chat_template" not in settings:
            with open(path, encoding="utf-8") as file:
                text = file.read()
            settings["chat_template"] = text if name.endswith(".jinja") else json.loads(text)["chat_template"]
    return settings
