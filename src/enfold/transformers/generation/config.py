"""How to write on, as data; loads no torch."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from enfold.errors import EnfoldError, nearest
from enfold.log import get_logger
from enfold.transformers.sharing import PushToHubMixin, UnknownField, split_fetch_arguments

__all__ = ["GenerationConfig", "GenerationError"]

FILE_NAME = "generation_config.json"
logger = get_logger(__name__)
_said: set[str] = set()  # warnings that were given


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
        "encoder_repetition_penalty": 1.0,
        "encoder_no_repeat_ngram_size": 0,
        "num_assistant_tokens": 20,
        "num_assistant_tokens_schedule": "constant",
        "assistant_confidence_threshold": 0.4,
        "assistant_lookbehind": 10,
        "target_lookbehind": 10,
        "num_beam_groups": 1,
        "diversity_penalty": 0.0,
    }
    FIELDS: ClassVar[tuple[str, ...]] = (
        *DEFAULTS,
        "assistant_early_exit",
        "assistant_ensemble_weight",
        "bad_words_ids",
        "begin_suppress_tokens",
        "bos_token_id",
        "cache_config",
        "cache_implementation",
        "compile_config",
        "constraints",
        "decoder_start_token_id",
        "disable_compile",
        "dola_layers",
        "eos_token_id",
        "exponential_decay_length_penalty",
        "force_words_ids",
        "forced_bos_token_id",
        "forced_eos_token_id",
        "guidance_scale",
        "is_assistant",
        "low_memory",
        "max_cache_len",
        "max_matching_ngram_size",
        "max_new_tokens",
        "max_time",
        "min_new_tokens",
        "min_p",
        "output_attentions",
        "output_hidden_states",
        "output_logits",
        "pad_token_id",
        "penalty_alpha",
        "prefill_chunk_size",
        "prompt_lookup_num_tokens",
        "renormalize_logits",
        "sequence_bias",
        "speculation_type",
        "stop_strings",
        "suppress_tokens",
        "token_healing",
        "top_h",
        "watermarking_config",
    )
    # Names of caches: those that grow, and those of one size from the start (v4 had one for each mixture of layers).
    GROWING_CACHES: ClassVar[tuple[str, ...]] = ("dynamic", "dynamic_full", "offloaded", "quantized")
    FIXED_CACHES: ClassVar[tuple[str, ...]] = (
        "static",
        "sliding_window",
        "hybrid",
        "hybrid_chunked",
        "offloaded_static",
        "offloaded_hybrid",
        "offloaded_hybrid_chunked",
    )
    # field → the value at which it does nothing, for fields that only sampling and only beams look at
    _SAMPLING: ClassVar[dict[str, Any]] = {
        "temperature": 1.0,
        "top_k": 50,
        "top_p": 1.0,
        "min_p": None,
        "top_h": None,
        "typical_p": 1.0,
        "epsilon_cutoff": 0.0,
        "eta_cutoff": 0.0,
    }
    _BEAMS: ClassVar[dict[str, Any]] = {"early_stopping": False, "length_penalty": 1.0}
    _RECORDED: ClassVar[tuple[str, ...]] = (
        "output_attentions",
        "output_hidden_states",
        "output_scores",
        "output_logits",
    )
    _ARGUMENTS: ClassVar[tuple[str, ...]] = (
        "logits_processor",
        "stopping_criteria",
        "prefix_allowed_tokens_fn",
        "synced_gpus",
        "assistant_model",
        "streamer",
        "negative_prompt_ids",
        "negative_prompt_attention_mask",
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

    def validate(self, strict: bool = False, asked: Collection[str] | None = None) -> None:
        """Look for values that make no sense, alone or together.

        Args:
            strict: raise for values that have no effect too; else they are said once in the log.
            asked: fields whose lack of effect is worth a word; all by default.

        Raises:
            GenerationError: for values that no method accepts.
        """
        for name in ("max_new_tokens", "max_length", "num_beams", "num_return_sequences", "prefill_chunk_size"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise GenerationError(f"{name}={value} must be greater than 0")
        if self.early_stopping is not None and self.early_stopping not in (True, False, "never"):
            raise GenerationError(f"early_stopping={self.early_stopping!r} must be True, False or 'never'")
        caches = (*self.GROWING_CACHES, *self.FIXED_CACHES, "paged")
        if self.cache_implementation is not None and self.cache_implementation not in caches:
            hint = nearest(str(self.cache_implementation), caches) or f"; expected one of {', '.join(caches)}"
            raise GenerationError(f"unknown cache_implementation {self.cache_implementation!r}{hint}")
        for name in self._ARGUMENTS:
            if hasattr(self, name):
                raise GenerationError(f"{name} is an argument of generate, not a field of GenerationConfig")
        self._validate_number_of_sequences()
        self._validate_forced_tokens()
        idle = {name: why for name, why in self.idle().items() if asked is None or name in asked}
        if strict and idle:
            raise GenerationError("; ".join(idle.values()))
        for message in idle.values():
            if message not in _said:
                _said.add(message)
                logger.warning(message)

    def idle(self) -> dict[str, str]:
        """Return the fields that are set and do nothing, with the reason.

        Example:
            >>> list(GenerationConfig(top_p=0.9, do_sample=True).idle()), list(GenerationConfig(min_p=0.1).idle())
            ([], ['min_p'])
        """
        found = {}
        if not self.do_sample:
            for name, neutral in self._SAMPLING.items():
                used = name == "top_k" and self.penalty_alpha  # contrastive search chooses among so many
                if getattr(self, name) not in (None, neutral) and not used:
                    found[name] = f"{name}={getattr(self, name)} does nothing without do_sample=True"
        if (self.num_beams or 1) == 1:
            for name, neutral in self._BEAMS.items():
                if getattr(self, name) not in (None, neutral):
                    found[name] = f"{name}={getattr(self, name)} does nothing without num_beams > 1"
        if not self.return_dict_in_generate:
            for name in self._RECORDED:
                if getattr(self, name):
                    found[name] = f"{name} does nothing without return_dict_in_generate=True"
        if self.use_cache is False and self.cache_implementation is not None:
            found["cache_implementation"] = "cache_implementation does nothing with use_cache=False"
        return found

    def _validate_number_of_sequences(self) -> None:
        count, beams = self.num_return_sequences or 1, self.num_beams or 1
        if count > 1 and beams == 1 and not self.do_sample and self.num_return_sequences is not None:
            raise GenerationError(
                "num_return_sequences > 1 needs do_sample=True or num_beams > 1: greedy has one answer"
            )
        if count > beams > 1:
            raise GenerationError(f"num_return_sequences={count} exceeds num_beams={beams}")

    def _validate_forced_tokens(self) -> None:
        never = set(self.suppress_tokens or ())
        for name in ("forced_bos_token_id", "forced_eos_token_id"):
            forced = getattr(self, name)
            tokens = set() if forced is None else {forced} if isinstance(forced, int) else set(forced)
            if tokens and tokens <= never:
                raise GenerationError(f"{name}={forced} is also in suppress_tokens: nothing could follow")

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
        given = {name for name, value in vars(self).items() if value is not None}
        full.validate(asked=given | set(kwargs))
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

        fields = {name: _plain(name, value) for name, value in vars(self).items()}
        return {**fields, "transformers_version": __version__}

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
        if not isinstance(model_config, dict):
            parts = (model_config.get_text_config(decoder=True), model_config)  # what the whole says counts more
            model_config = {n: v for part in parts for n, v in vars(part).items() if v is not None}
        state = model_config
        found = {name: state[name] for name in cls._TOKENS if state.get(name) is not None}
        found.update({name: state[name] for name in cls.keys_of_old(state)})
        return cls(**found)

    @classmethod
    def keys_of_old(cls, state: Mapping[str, Any]) -> list[str]:
        """Return the keys of a model's configuration that are about generation, as files of before this class have
        them; token numbers, and what the model itself looks at, are not among them.

        Example:
            >>> GenerationConfig.keys_of_old({"hidden_size": 8, "num_beams": 4, "eos_token_id": 2})
            ['num_beams']
        """
        shared = {"output_attentions", "output_hidden_states", "use_cache", "is_assistant", *cls._TOKENS}
        return [name for name in cls.FIELDS if name not in shared and state.get(name) is not None]

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


def _plain(name: str, value: Any) -> Any:
    """Return a field's value as JSON can hold it."""
    if hasattr(value, "to_dict"):
        return value.to_dict()
    if name == "sequence_bias" and isinstance(value, Mapping):
        return [[list(tokens), bias] for tokens, bias in value.items()]
    return copy.deepcopy(value)
