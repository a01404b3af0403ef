"""PreTrainedTokenizerBase: a core tokenizer with a checkpoint's special tokens, lengths, padding and chat template."""

from __future__ import annotations

import copy
import hashlib
import json
import os
from typing import Any, ClassVar

from enfold.tokenizers import Tokenizer
from enfold.transformers.sharing import PushToHubMixin
from enfold.transformers.tokenization import files
from enfold.transformers.tokenization.calls import Calls
from enfold.transformers.tokenization.chat import ChatTemplates
from enfold.transformers.tokenization.decoding import Decoding
from enfold.transformers.tokenization.ids import FromIds
from enfold.transformers.tokenization.older import OlderNames
from enfold.transformers.tokenization.options import UNLIMITED
from enfold.transformers.tokenization.padding import Padding
from enfold.transformers.tokenization.special import Vocabulary, special_settings

__all__ = ["PreTrainedTokenizerBase"]


class PreTrainedTokenizerBase(Calls, Decoding, FromIds, Vocabulary, Padding, ChatTemplates, OlderNames, PushToHubMixin):
    """Text to model inputs and back.

    Calling it never changes it: padding and truncation are settled for each call.

    Args:
        tokenizer_object: the core tokenizer (``enfold.tokenizers.Tokenizer``).
        tokenizer_file: a tokenizer.json to read it from instead.
        model_max_length: longest input in tokens; unlimited by default.
        padding_side: where padding goes, "right" or "left".
        truncation_side: what is cut, "right" or "left".
        model_input_names: what the model takes, in order.
        clean_up_tokenization_spaces: remove spaces before punctuation when decoding.
        split_special_tokens: cut special tokens in the text like any other.
        chat_template: a Jinja template for conversations, or name → template.
        kwargs: special tokens (``bos_token`` … ``mask_token``, ``additional_special_tokens``), and whatever else the
            checkpoint's configuration holds, which is kept and saved again.

    Example:
        >>> from enfold.tokenizers import Tokenizer, models, pre_tokenizers
        >>> core = Tokenizer(models.WordLevel({"[UNK]": 0, "[PAD]": 1, "hello": 2, "world": 3}, unk_token="[UNK]"))
        >>> core.pre_tokenizer = pre_tokenizers.Whitespace()
        >>> tokenizer = PreTrainedTokenizerBase(tokenizer_object=core, unk_token="[UNK]", pad_token="[PAD]")
        >>> tokenizer(["hello world", "hello"], padding=True)["input_ids"]
        [[2, 3], [2, 1]]
    """

    vocab_files_names: ClassVar[dict[str, str]] = {"tokenizer_file": "tokenizer.json"}
    model_input_names: list[str] = ["input_ids", "attention_mask"]
    padding_side: str = "right"
    truncation_side: str = "right"
    # special tokens of the family, where a checkpoint does not name its own
    default_tokens: ClassVar[dict[str, Any]] = {}
    default_extra: ClassVar[tuple[str, ...]] = ()
    # the class that a saved folder names, where it is not this one
    saved_class: ClassVar[str | None] = None

    def __init__(self, *args: Any, tokenizer_object: Any = None, tokenizer_file: Any = None, **kwargs: Any) -> None:
        settings = {**self.default_tokens, **kwargs}
        self.init_kwargs: dict[str, Any] = dict(kwargs)
        built = tokenizer_object is None and tokenizer_file is None
        if built:
            core = self._build(*args, **settings)
        elif tokenizer_object is not None:
            core = copy.deepcopy(tokenizer_object)
        else:
            core = Tokenizer.from_file(os.fspath(tokenizer_file))
        core.no_truncation()
        core.no_padding()
        tokens, extra = special_settings(settings, self.default_tokens, self.default_extra)
        self._start_vocabulary(core, tokens, extra)
        self.model_max_length: int = (
            settings.pop("model_max_length", None) or settings.pop("max_len", None) or UNLIMITED
        )
        self.padding_side = settings.pop("padding_side", self.padding_side)
        self.truncation_side = settings.pop("truncation_side", self.truncation_side)
        for name, side in (("padding_side", self.padding_side), ("truncation_side", self.truncation_side)):
            if side not in ("left", "right"):
                raise ValueError(f"{name} is 'left' or 'right', not {side!r}")
        self.model_input_names = list(settings.pop("model_input_names", self.model_input_names))
        if "pad_token_type_id" in settings:
            self.pad_token_type_id = settings.pop("pad_token_type_id")
        self.clean_up_tokenization_spaces = bool(settings.pop("clean_up_tokenization_spaces", False))
        self.split_special_tokens = bool(settings.pop("split_special_tokens", False))
        self.chat_template = files.as_templates(settings.pop("chat_template", None))
        self.response_schema = settings.pop("response_schema", None)
        self.name_or_path: str = settings.pop("name_or_path", "")
        self.verbose = settings.pop("verbose", True)
        files.add_listed_tokens(core, settings.pop("added_tokens_decoder", None) or {})
        self._register_special(built)
        self._adapt(settings, built)
        self._warned_length = False

    def _build(self, *args: Any, **settings: Any) -> Tokenizer:
        raise ValueError(f"{type(self).__name__} needs tokenizer_object= or tokenizer_file=, or use from_pretrained")

    def _adapt(self, settings: dict[str, Any], built: bool) -> None:
        """Fit the core to settings of the family: all of them when it was ``built``, else those that are named."""

    # --- files

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | os.PathLike[str], *inputs: Any, **kwargs: Any) -> Any:
        """Load a tokenizer from a local folder, a file, or a repository.

        Args:
            pretrained_model_name_or_path: folder, tokenizer.json, or repository id.
            inputs: passed to the class.
            kwargs: where to look (``subfolder``, ``revision``, ``cache_dir``, ``token``, ``local_files_only``,
                ``force_download``) and settings that override the checkpoint's (``padding_side``, ``pad_token`` …).

        Raises:
            OSError: no such folder or repository, or it holds no tokenizer; the message names what was looked for.
        """
        return files.load(cls, pretrained_model_name_or_path, inputs, kwargs)

    def save_pretrained(
        self,
        save_directory: str | os.PathLike[str],
        legacy_format: bool | None = None,
        filename_prefix: str | None = None,
        push_to_hub: bool = False,
        **kwargs: Any,
    ) -> tuple[str, ...]:
        """Write tokenizer.json, tokenizer_config.json, special_tokens_map.json and the chat template.

        Args:
            save_directory: folder; made when missing.
            legacy_format: write the vocabulary files (vocab.txt …) and added_tokens.json as well.
            filename_prefix: put before each file's name, with a hyphen.
            push_to_hub: upload as well; ``repo_id`` and the other arguments of ``push_to_hub`` may follow.

        Returns:
            The paths written.
        """
        written = files.save(self, save_directory, filename_prefix, bool(legacy_format))
        if push_to_hub:
            self.push_to_hub(kwargs.pop("repo_id", os.path.basename(os.path.normpath(save_directory))), **kwargs)
        return written

    def save_vocabulary(self, save_directory: str, filename_prefix: str | None = None) -> tuple[str, ...]:
        """Write the model's own vocabulary files (vocab.txt, or vocab.json and merges.txt) and return their paths."""
        return tuple(self._tokenizer.model.save(save_directory, filename_prefix))

    # --- what it is

    @property
    def backend_tokenizer(self) -> Tokenizer:
        """The core tokenizer."""
        return self._tokenizer

    @property
    def is_fast(self) -> bool:
        """Always true: there is one implementation."""
        return True

    @property
    def decoder(self) -> Any:
        """The core's decoder."""
        return self._tokenizer.decoder

    @property
    def max_len_single_sentence(self) -> int:
        """Tokens of one text that fit."""
        return self.model_max_length - self.num_special_tokens_to_add(False)

    @property
    def max_len_sentences_pair(self) -> int:
        """Tokens of a pair that fit."""
        return self.model_max_length - self.num_special_tokens_to_add(True)

    def num_special_tokens_to_add(self, pair: bool = False) -> int:
        """Return how many special tokens surround one text, or a pair."""
        return self._tokenizer.num_special_tokens_to_add(pair)

    def __fingerprint__(self) -> str:
        """Return a hash of everything that the result of a call depends on."""
        settings = [
            type(self).__name__,
            self.special_tokens_map,
            self.padding_side,
            self.truncation_side,
            self.model_max_length,
            self.model_input_names,
            self.clean_up_tokenization_spaces,
            self.split_special_tokens,
            self.chat_template,
            self._tokenizer.__fingerprint__(),
        ]
        return hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()[:32]

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(name_or_path={self.name_or_path!r}, vocab_size={self.vocab_size}, "
            f"model_max_length={self.model_max_length}, padding_side={self.padding_side!r}, "
            f"truncation_side={self.truncation_side!r}, special_tokens={self.special_tokens_map})"
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        memo[id(self)] = made = object.__new__(type(self))
        state = {key: value for key, value in self.__dict__.items() if key != "_variants"}
        made.__dict__.update(copy.deepcopy(state, memo))
        made.__dict__["_variants"] = {}
        return made

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_variants"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.__dict__["_variants"] = {}
