"""How to write on, as data; loads no torch."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from enfold.errors import EnfoldError
from enfold.transformers.sharing import PushToHubMixin, UnknownField, split_fetch_arguments

__all__ = ["GenerationConfig", "GenerationError"]

FILE_NAME = "generation_config.json"


class GenerationError(EnfoldError, ValueError):
    """Arguments of ``generate`` that do not make sense, alone or together."""


class GenerationConfig(PushToHubMixin):
    """The arguments of ``generate``. What is None takes the model's value, and then the one in ``DEFAULTS``.

    Args:
        kwargs: any of ``FIELDS``; further keys are kept.

    Example:
        >>> GenerationConfig(max_new_tokens=5, do_sample=True).max_new_tokens
        5
    """

    # What applies where nobody says otherwise.
    DEFAULTS: ClassVar[dict[str, Any]] = {
        "max_length": 20,
        "min_length": 0,
        "do_sample": False,
        "use_cache": True,
        "early_stopping": False,
        "num_beams": 1,
        "temperature": 1.0,
        "top_k": 50,
        "top_p": 1.0,
        "typical_p": 1.0,
        "repetition_penalty": 1.0,
        "length_penalty": 1.0,
        "no_repeat_ngram_size": 0,
        "num_return_sequences": 1,
        "output_scores": False,
        "return_dict_in_generate": False,
        "remove_invalid_values": False,
        "epsilon_cutoff": 0.0,
        "eta_cutoff": 0.0,
    }
    FIELDS: ClassVar[tuple[str, ...]] = (
        *DEFAULTS,
        "bad_words_ids",
        "begin_suppress_tokens",
        "bos_token_id",
        "cache_implementation",
        "decoder_start_token_id",
        "diversity_penalty",
        "encoder_no_repeat_ngram_size",
        "encoder_repetition_penalty",
        "eos_token_id",
        "exponential_decay_length_penalty",
        "force_words_ids",
        "forced_bos_token_id",
        "forced_eos_token_id",
        "guidance_scale",
        "max_new_tokens",
        "max_time",
        "min_new_tokens",
        "min_p",
        "num_beam_groups",
        "output_attentions",
        "output_hidden_states",
        "output_logits",
        "pad_token_id",
        "penalty_alpha",
        "prompt_lookup_num_tokens",
        "renormalize_logits",
        "sequence_bias",
        "stop_strings",
        "suppress_tokens",
        "top_h",
        "watermarking_config",
    )
    # Fields of a model's configuration that old files use for generation.
    _TOKENS: ClassVar[tuple[str, ...]] = ("bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id")

    def __init__(self, **kwargs: Any) -> None:
        for name in self.FIELDS:
            setattr(self, name, kwargs.pop(name, None))
        for name in ("transformers_version", "_from_model_config", "_commit_hash"):
            kwargs.pop(name, None)
        for name, value in kwargs.items():
            setattr(self, name, value)
        self.validate()

    def validate(self, strict: bool = False) -> None:
        """Raise ``GenerationError`` for values that no method accepts."""
        for name in ("max_new_tokens", "max_length", "num_beams", "num_return_sequences"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise GenerationError(f"{name}={value} must be greater than 0")
        if self.early_stopping is not None and self.early_stopping not in (True, False, "never"):
            raise GenerationError(f"early_stopping={self.early_stopping!r} must be True, False or 'never'")

    def filled(self, model_config: GenerationConfig | None, **kwargs: Any) -> tuple[GenerationConfig, dict[str, Any]]:
        """Return a copy in which nothing is open, and the arguments that are no generation fields.

        Args:
            model_config: fills what is None here.
            kwargs: override everything.
        """
        full = copy.copy(self)
        rest = {}
        for name, value in kwargs.items():
            if name in self.FIELDS or hasattr(full, name):
                setattr(full, name, value)
            else:
                rest[name] = value
        set_here = {name for name, value in kwargs.items() if value is None and name in self.FIELDS}
        sources = [vars(model_config)] if model_config is not None else []
        for source in (*sources, self.DEFAULTS):
            for name, value in source.items():
                # An explicit None switches a thing off; a length always needs a number.
                if getattr(full, name, None) is None and (name not in set_here or name == "max_length"):
                    setattr(full, name, value)
        full.validate()
        return full, rest

    def update(self, **kwargs: Any) -> dict[str, Any]:
        """Set fields and return the arguments that are no fields."""
        unused = {}
        for name, value in kwargs.items():
            if hasattr(self, name):
                setattr(self, name, value)
            else:
                unused[name] = value
        self.validate()
        return unused

    if TYPE_CHECKING:

        def __setattr__(self, name: str, value: Any) -> None: ...

    def __getattr__(self, name: str) -> Any:
        raise UnknownField("GenerationConfig", name, self.FIELDS)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GenerationConfig) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"GenerationConfig {self.to_json_string()}"

    def to_dict(self) -> dict[str, Any]:
        """Return all fields."""
        from enfold.transformers import __version__

        return {**copy.deepcopy(vars(self)), "transformers_version": __version__}

    def to_diff_dict(self) -> dict[str, Any]:
        """Return the fields that are set."""
        return {name: value for name, value in self.to_dict().items() if value is not None}

    def to_json_string(self, use_diff: bool = True) -> str:
        """Return the JSON text."""
        return json.dumps(self.to_diff_dict() if use_diff else self.to_dict(), indent=2, sort_keys=True) + "\n"

    @classmethod
    def from_dict(cls, config_dict: Mapping[str, Any], **kwargs: Any) -> Any:
        """Make a configuration of a dictionary; ``return_unused_kwargs`` returns what is no field too."""
        keep = kwargs.pop("return_unused_kwargs", False)
        config = cls(**config_dict)
        unused = config.update(**kwargs)
        return (config, unused) if keep else config

    @classmethod
    def from_model_config(cls, model_config: Any) -> GenerationConfig:
        """Make a configuration of what a model's configuration says about generation, as old files do."""
        state = model_config if isinstance(model_config, dict) else vars(model_config)
        found = {name: state[name] for name in cls._TOKENS if state.get(name) is not None}
        skipped = {"output_attentions", "output_hidden_states", "use_cache", *cls._TOKENS}
        found.update({n: state[n] for n in cls.FIELDS if n not in skipped and state.get(n) is not None})
        return cls(**found)

    @classmethod
    def find(cls, source: str | os.PathLike[str], **where: Any) -> GenerationConfig | None:
        """Return the configuration of a folder or repository, or None where it has no such file."""
        from enfold.hub.fetch import find_file

        path = find_file(os.fspath(source), FILE_NAME, required=False, **where)
        if path is None:
            return None
        with open(path, encoding="utf-8") as file:
            return cls(**json.load(file))

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name: str | os.PathLike[str],
        config_file_name: str | os.PathLike[str] | None = None,
        **kwargs: Any,
    ) -> Any:
        """Read ``generation_config.json`` of a folder or repository; ``kwargs`` say where to look or override."""
        from enfold.hub.fetch import find_file

        where, rest = split_fetch_arguments(kwargs)
        name = os.fspath(config_file_name) if config_file_name else FILE_NAME
        path = find_file(os.fspath(pretrained_model_name), name, **where)
        with open(str(path), encoding="utf-8") as file:
            return cls.from_dict(json.load(file), **rest)

    def save_pretrained(
        self,
        save_directory: str | os.PathLike[str],
        config_file_name: str | os.PathLike[str] | None = None,
        push_to_hub: bool = False,
        **kwargs: Any,
    ) -> None:
        """Write ``generation_config.json`` into a folder, and upload it with ``push_to_hub=True``."""
        from enfold.checkpoints.files import atomic_write

        atomic_write(os.path.join(save_directory, config_file_name or FILE_NAME), self.to_json_string())
        if push_to_hub:
            self.push_to_hub(kwargs.pop("repo_id", os.path.basename(os.path.abspath(save_directory))), **kwargs)
