"""What pipelines that write tell ``generate``: the call's words first, then the model's, then the task's."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

__all__ = ["WritingPipeline"]

from enfold.transformers.pipelines.base import Pipeline

# setting → values that say nothing of their own
_USUAL: dict[str, tuple[Any, ...]] = {
    "max_length": (None, 20),
    "do_sample": (None, False),
    "temperature": (None, 1.0),
    "max_new_tokens": (None,),
    "num_beams": (None, 1),
}


class WritingPipeline(Pipeline):
    """Base of tasks that call ``generate``.

    Attributes:
        defaults: how the task writes where neither the call nor the model's own generation settings say.
        prefix: what is put before each text: the call's, the task's in ``config.task_specific_params``, or the
            configuration's.
        generation_config: the model's own settings, with those for this task in ``config.task_specific_params``.
    """

    _load_tokenizer = True
    _load_feature_extractor = _load_image_processor = _load_processor = False
    defaults: Mapping[str, Any] = {}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        config = getattr(self.model, "config", None)
        self.prefix: str | None = getattr(config, "prefix", None)
        self.generation_config = copy.deepcopy(getattr(self.model, "generation_config", None))
        special = dict((getattr(config, "task_specific_params", None) or {}).get(self.task) or {})
        self.prefix = special.pop("prefix", self.prefix)
        if special and self.generation_config is not None:
            self.generation_config.update(**special)
        self.prefix = self._preprocess_params.get("prefix", self.prefix)

    def settings(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of ``generate`` for a call that asked for some."""
        settings, own = dict(asked), self.generation_config
        if settings.get("generation_config") is None:
            if own is not None:
                settings["generation_config"] = own
            for name, value in self.defaults.items():
                if name not in settings and not is_set(own, name) and not self._contradicts(name, settings):
                    settings[name] = value
        pad = self.pad_id()
        if pad is not None and getattr(own, "pad_token_id", None) is None:
            settings.setdefault("pad_token_id", pad)
        if settings.get("stop_strings"):
            settings.setdefault("tokenizer", self.tokenizer)
        return settings

    def _contradicts(self, name: str, settings: Mapping[str, Any]) -> bool:
        """Return whether a default does not go with what is asked for."""
        if name == "max_new_tokens":
            return settings.get("max_length") is not None or is_set(self.generation_config, "max_length")
        if name == "temperature" and settings.get("do_sample") is False:
            return True
        return name in ("do_sample", "temperature") and settings.get("num_beams", 1) != 1

    def pad_id(self) -> int | None:
        """Return the id that fills up rows: the tokenizer's, or else its end of text."""
        if self.tokenizer is None:
            return None
        pad = self.tokenizer.pad_token_id
        return self.tokenizer.eos_token_id if pad is None else pad

    def stop_id(self, stop_sequence: str) -> int:
        """Return the id that stops the text: the first of ``stop_sequence``."""
        return self.tokenizer.encode(stop_sequence, add_special_tokens=False)[0]


def is_set(config: Any, name: str) -> bool:
    """Return whether generation settings say something other than the usual."""
    return config is not None and getattr(config, name, None) not in _USUAL[name]
