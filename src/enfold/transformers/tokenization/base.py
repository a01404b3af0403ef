"""PreTrainedTokenizerBase: a core tokenizer with a checkpoint's special tokens, lengths, padding and chat template."""

from __future__ import annotations

import copy
import hashlib
import itertools
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from enfold.log import get_logger
from enfold.tokenizers import Tokenizer
from enfold.transformers.sharing import PushToHubMixin
from enfold.transformers.tokenization import files
from enfold.transformers.tokenization.batch import BatchEncoding
from enfold.transformers.tokenization.chat import ChatTemplates
from enfold.transformers.tokenization.options import UNLIMITED, Options, settle
from enfold.transformers.tokenization.padding import Padding
from enfold.transformers.tokenization.special import Vocabulary
from enfold.transformers.tokenization.tensors import PaddedColumn, pad_rows, rectangle

__all__ = ["PreTrainedTokenizerBase"]

logger = get_logger(__name__)

# field → what fills it up to the length of its batch (ids are filled with the padding token)
_FILL = {"attention_mask": 0, "special_tokens_mask": 1}


class PreTrainedTokenizerBase(Vocabulary, Padding, ChatTemplates, PushToHubMixin):
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
    default_tokens: ClassVar[dict[str, str]] = {}

    def __init__(self, *args: Any, tokenizer_object: Any = None, tokenizer_file: Any = None, **kwargs: Any) -> None:
        settings = {**self.default_tokens, **kwargs}
        self.init_kwargs: dict[str, Any] = dict(kwargs)
        core = tokenizer_object
        if core is None and tokenizer_file is not None:
            core = Tokenizer.from_file(os.fspath(tokenizer_file))
        if core is None:
            core = self._build(*args, **settings)
        elif tokenizer_object is not None:
            core = copy.deepcopy(core)
        core.no_truncation()
        core.no_padding()
        tokens = {
            name: settings.pop(name)
            for name in list(settings)
            if (name.endswith("_token") and isinstance(settings[name], str | Mapping | type(None)))
            or (name.endswith("_token") and hasattr(settings[name], "content"))
        }
        extra = settings.pop("additional_special_tokens", None) or settings.pop("extra_special_tokens", None) or []
        settings.pop("extra_special_tokens", None)
        if isinstance(extra, Mapping):
            tokens, extra = {**tokens, **extra}, []
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
        self.clean_up_tokenization_spaces = bool(settings.pop("clean_up_tokenization_spaces", False))
        self.split_special_tokens = bool(settings.pop("split_special_tokens", False))
        self.chat_template = files.as_templates(settings.pop("chat_template", None))
        self.name_or_path: str = settings.pop("name_or_path", "")
        self.verbose = settings.pop("verbose", True)
        added = settings.pop("added_tokens_decoder", None) or {}
        files.add_listed_tokens(core, added)
        self._register_special()
        self._adapt(settings)
        self._warned_length = False

    def _build(self, *args: Any, **settings: Any) -> Tokenizer:
        raise ValueError(f"{type(self).__name__} needs tokenizer_object= or tokenizer_file=, or use from_pretrained")

    def _adapt(self, settings: dict[str, Any]) -> None:
        """Fit the core to the settings of the family that a checkpoint names explicitly."""

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
            legacy_format: accepted; the files are the same.
            filename_prefix: put before each file's name, with a hyphen.
            push_to_hub: upload as well; ``repo_id`` and the other arguments of ``push_to_hub`` may follow.

        Returns:
            The paths written.
        """
        written = files.save(self, save_directory, filename_prefix)
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
        made = object.__new__(type(self))
        state = {key: value for key, value in self.__dict__.items() if key != "_variants"}
        made.__dict__.update(copy.deepcopy(state, memo))
        made.__dict__["_variants"] = {}
        return made

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_variants"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.__dict__["_variants"] = {}

    # --- text to ids

    def __call__(
        self,
        text: Any = None,
        text_pair: Any = None,
        text_target: Any = None,
        text_pair_target: Any = None,
        add_special_tokens: bool = True,
        padding: bool | str | None = None,
        truncation: bool | str | None = None,
        max_length: int | None = None,
        stride: int = 0,
        is_split_into_words: bool = False,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_tensors: str | None = None,
        return_token_type_ids: bool | None = None,
        return_attention_mask: bool | None = None,
        return_overflowing_tokens: bool = False,
        return_special_tokens_mask: bool = False,
        return_offsets_mapping: bool = False,
        return_length: bool = False,
        verbose: bool = True,
        **kwargs: Any,
    ) -> BatchEncoding:
        """Turn texts into model inputs.

        Args:
            text: a text, a list of texts, a list of (text, text) pairs, a column of a data set; with
                ``is_split_into_words`` lists of words instead of texts.
            text_pair: the second text of each pair, shaped as ``text``.
            text_target: target texts; their ids are returned as ``labels`` (as ``input_ids`` without ``text``).
            text_pair_target: the second text of each target pair.
            add_special_tokens: put the model's special tokens around.
            padding: True or "longest" (of the batch), "max_length", or False (default).
            truncation: True or "longest_first", "only_first", "only_second", or False (default).
            max_length: limit in tokens; the model's by default.
            stride: tokens that overflowing parts share.
            is_split_into_words: the texts are lists of words.
            pad_to_multiple_of: pad to a multiple of this many tokens.
            padding_side: where padding goes; the tokenizer's ``padding_side`` by default.
            return_tensors: "pt", "np", "tf" or "jax"; lists by default (token columns for a column of a data set).
            return_token_type_ids: by default whether the model takes them.
            return_attention_mask: by default whether the model takes them.
            return_overflowing_tokens: return what is cut off as further rows, with ``overflow_to_sample_mapping``.
            return_special_tokens_mask: 1 for special tokens.
            return_offsets_mapping: (start, end) characters of each token.
            return_length: tokens of each row.
            verbose: whether to warn.
            kwargs: ``truncation_side`` and ``split_special_tokens`` for this call.

        Returns:
            A BatchEncoding: lists of ids for one text, lists of lists or tensors [batch, tokens] for several.

        Raises:
            ValueError: padding without a padding token, texts of another type, lists of different length.
        """
        if text is None and text_target is None:
            raise ValueError("give text or text_target")
        truncation_side = kwargs.pop("truncation_side", None) or self.truncation_side
        options = settle(
            padding=padding,
            truncation=truncation,
            max_length=max_length,
            stride=stride,
            pad_to_multiple_of=pad_to_multiple_of,
            padding_side=padding_side or self.padding_side,
            truncation_side=truncation_side,
            model_max_length=self.model_max_length,
            has_pad_token=self._special.get("pad_token") is not None,
            verbose=verbose,
        )
        asked = {
            "options": options,
            "add_special_tokens": add_special_tokens,
            "words": is_split_into_words,
            "tensors": None if return_tensors is None else str(getattr(return_tensors, "value", return_tensors)),
            "types": "token_type_ids" in self.model_input_names
            if return_token_type_ids is None
            else return_token_type_ids,
            "mask": "attention_mask" in self.model_input_names
            if return_attention_mask is None
            else return_attention_mask,
            "overflow": return_overflowing_tokens,
            "special_mask": return_special_tokens_mask,
            "offsets": return_offsets_mapping,
            "length": return_length,
            "split_special": kwargs.pop("split_special_tokens", self.split_special_tokens),
            "verbose": verbose,
        }
        encoded = None if text is None else self._encode(text, text_pair, **asked)
        if text_target is None:
            assert encoded is not None
            return encoded
        target = self._encode(text_target, text_pair_target, **asked)
        if encoded is None:
            return target
        encoded["labels"] = target["input_ids"]
        return encoded

    def _encode(
        self,
        text: Any,
        pair: Any,
        *,
        options: Options,
        add_special_tokens: bool,
        words: bool,
        tensors: str | None,
        types: bool,
        mask: bool,
        overflow: bool,
        special_mask: bool,
        offsets: bool,
        length: bool,
        split_special: bool,
        verbose: bool,
    ) -> BatchEncoding:
        first, second, batched = _shape_inputs(text, pair, words)
        core = self._variant(options, split_special)

        def encodings() -> list[Any]:
            if second is None:
                rows = core.encode_batch(list(first), is_pretokenized=words, add_special_tokens=add_special_tokens)
            else:
                pairs = list(zip(first, second, strict=True))
                rows = core.encode_batch(pairs, is_pretokenized=words, add_special_tokens=add_special_tokens)
            return self._pad_encodings(rows, options)

        fields = ["input_ids"]
        fields += ["token_type_ids"] * types + ["attention_mask"] * mask + ["special_tokens_mask"] * special_mask
        plain = options.truncation == "longest_first" or (options.truncation == "only_first" and second is None)
        flat = not (words or offsets or overflow or split_special) and (
            not options.truncates or (plain and options.truncation_side == "right")
        )
        rows: list[Any] | None = None
        samples: list[int] | None = None
        data: dict[str, Any]
        if flat:
            limit = options.max_length if options.truncates else None
            columns = self._tokenizer.encode_arrow(
                first, second, add_special_tokens=add_special_tokens, max_length=limit, fields=fields
            )
            # a column of a data set passes for a list, but is given back what it can store without lists
            keep = batched and (hasattr(first, "__arrow_c_array__") or hasattr(first, "__arrow_c_stream__"))
            data = self._fill_columns(columns, options, tensors, keep)
        else:
            rows = encodings()
            if overflow:
                samples = [index for index, row in enumerate(rows) for _ in range(1 + len(row.overflowing))]
                rows = [part for row in rows for part in (row, *row.overflowing)]
            data = {"input_ids": [row.ids for row in rows]}
            if types:
                data["token_type_ids"] = [row.type_ids for row in rows]
            if mask:
                data["attention_mask"] = [row.attention_mask for row in rows]
            if special_mask:
                data["special_tokens_mask"] = [row.special_tokens_mask for row in rows]
            if offsets:
                data["offset_mapping"] = [row.offsets for row in rows]
        if length:
            data["length"] = [len(row) for row in data["input_ids"]]
        if samples is not None:
            data["overflow_to_sample_mapping"] = samples
        if verbose and not options.truncates:
            self._warn_length(data["input_ids"])
        if not batched and tensors is None and not overflow:
            data = {key: value if key == "length" else value[0] for key, value in data.items()}
        return BatchEncoding(data, encodings if rows is None else rows, tensor_type=tensors)

    def _fill_columns(
        self, columns: dict[str, Any], options: Options, tensors: str | None, keep: bool
    ) -> dict[str, Any]:
        """Pad the core's flat columns to arrays (for tensors), columns (for data sets, ``keep``) or lists."""
        goal = None
        if options.padding != "do_not_pad":
            longest = _longest(columns["input_ids"])
            goal = options.max_length or 0 if options.padding == "max_length" else longest
            if options.multiple and goal % options.multiple:
                goal += options.multiple - goal % options.multiple
        data = {}
        for name, column in columns.items():
            fill = self._fill_value(name)
            if goal is None:
                data[name] = column if keep or tensors else column.tolist()
            elif longest <= goal and (tensors or keep):
                array = rectangle(column, goal, fill, options.padding_side)
                data[name] = array if tensors else PaddedColumn(array)
            else:
                data[name] = pad_rows(column.tolist(), goal, fill, options.padding_side)
        return data

    def _fill_value(self, name: str) -> int:
        return self.pad_token_id if name == "input_ids" else _FILL.get(name, self.pad_token_type_id)

    def _pad_encodings(self, rows: list[Any], options: Options) -> list[Any]:
        if options.padding == "do_not_pad":
            return rows
        goal = options.max_length or 0 if options.padding == "max_length" else max(map(len, rows), default=0)
        if options.multiple and goal % options.multiple:
            goal += options.multiple - goal % options.multiple
        for row in rows:
            row.pad(
                goal,
                direction=options.padding_side,
                pad_id=self.pad_token_id,
                pad_type_id=self.pad_token_type_id,
                pad_token=self.pad_token,
            )
        return rows

    def _variant(self, options: Options, split_special: bool) -> Tokenizer:
        """Return a core tokenizer that truncates as asked: a copy, made once for each way of truncating."""
        if not options.truncates and not split_special:
            return self._tokenizer
        cut = (
            (options.max_length, options.stride, options.truncation, options.truncation_side)
            if options.truncates
            else None
        )
        state = _state(self._tokenizer)
        key = (cut, split_special)
        held = self._variants.get(key)
        if held is not None and held[0] == state:
            return held[1]
        core = copy.deepcopy(self._tokenizer)
        if cut is not None:
            core.enable_truncation(cut[0], stride=cut[1], strategy=cut[2], direction=cut[3])
        core.encode_special_tokens = split_special
        if len(self._variants) >= 8:
            self._variants.clear()
        self._variants[key] = (state, core)
        return core

    def _warn_length(self, rows: Any) -> None:
        if self._warned_length or self.model_max_length >= UNLIMITED:
            return
        longest = max((len(row) for row in rows), default=0)
        if longest > self.model_max_length:
            object.__setattr__(self, "_warned_length", True)
            logger.warning(
                "a text of %d tokens is longer than the model's %d; pass truncation=True to cut it",
                longest,
                self.model_max_length,
            )

    def encode_plus(self, text: Any, text_pair: Any = None, **kwargs: Any) -> BatchEncoding:
        """Turn one text, or a pair, into model inputs; the same as calling the tokenizer."""
        return self(text, text_pair, **kwargs)

    def batch_encode_plus(self, batch_text_or_text_pairs: Any, **kwargs: Any) -> BatchEncoding:
        """Turn several texts, or pairs, into model inputs; the same as calling the tokenizer."""
        return self(batch_text_or_text_pairs, **kwargs)

    def encode(self, text: Any, text_pair: Any = None, **kwargs: Any) -> Any:
        """Return the ids of a text: a list, or a tensor with ``return_tensors``; arguments as for calling."""
        return self(text, text_pair, **kwargs)["input_ids"]

    def tokenize(
        self, text: str, pair: str | None = None, add_special_tokens: bool = False, **kwargs: Any
    ) -> list[str]:
        """Return the tokens of a text, without special tokens by default."""
        return self(text, pair, add_special_tokens=add_special_tokens, **kwargs).tokens()

    # --- ids to text

    def decode(
        self,
        token_ids: Any,
        skip_special_tokens: bool = False,
        clean_up_tokenization_spaces: bool | None = None,
        **kwargs: Any,
    ) -> Any:
        """Return the text of ids, or the texts of several rows of ids.

        Args:
            token_ids: an id, a list or an array of ids [tokens], or of rows [batch, tokens].
            skip_special_tokens: leave special tokens out.
            clean_up_tokenization_spaces: remove spaces before punctuation; the tokenizer's setting by default.
        """
        ids = _plain_ids(token_ids)
        clean = (
            self.clean_up_tokenization_spaces if clean_up_tokenization_spaces is None else clean_up_tokenization_spaces
        )
        if ids and not isinstance(ids[0], int):
            texts = self._tokenizer.decode_batch(
                [_plain_ids(row) for row in ids], skip_special_tokens=skip_special_tokens
            )
            return [self.clean_up_tokenization(text) for text in texts] if clean else texts
        text = self._tokenizer.decode(ids, skip_special_tokens=skip_special_tokens)
        return self.clean_up_tokenization(text) if clean else text

    def batch_decode(
        self,
        sequences: Any,
        skip_special_tokens: bool = False,
        clean_up_tokenization_spaces: bool | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """Return the texts of several rows of ids; arguments as for ``decode``."""
        rows = _plain_ids(sequences)
        if rows and isinstance(rows[0], int):
            return [self.decode([row], skip_special_tokens, clean_up_tokenization_spaces) for row in rows]
        return self.decode(rows, skip_special_tokens, clean_up_tokenization_spaces) if rows else []

    def convert_tokens_to_string(self, tokens: Sequence[str]) -> str:
        """Return the text that tokens stand for."""
        decoder = self._tokenizer.decoder
        return decoder.decode(list(tokens)) if decoder is not None else " ".join(tokens)

    @staticmethod
    def clean_up_tokenization(text: str) -> str:
        """Remove the spaces that splitting at punctuation leaves before it and inside English contractions."""
        for ending in (".", "?", "!", ",", "n't", "'m", "'s", "'ve", "'re"):
            text = text.replace(f" {ending}", ending)
            if ending == ",":
                text = text.replace(" ' ", "'")
        return text


def _state(core: Tokenizer) -> tuple[Any, ...]:
    """What changes when somebody changes the core tokenizer: its parts, its model, its size."""
    core._sync()
    return (*core._texts.values(), id(core._core.model), core.get_vocab_size(with_added_tokens=True))


def _plain_ids(ids: Any) -> list[Any]:
    if hasattr(ids, "tolist"):
        ids = ids.tolist()
    elif hasattr(ids, "numpy"):
        ids = ids.numpy().tolist()
    return [ids] if isinstance(ids, int) else list(ids)


def _longest(column: Any) -> int:
    offsets = memoryview(column.offsets)
    return max((end - start for start, end in itertools.pairwise(offsets)), default=0)


def _shape_inputs(text: Any, pair: Any, words: bool) -> tuple[Any, Any, bool]:
    """Return the first texts, the second ones or None, and whether a batch was given."""
    if hasattr(text, "__arrow_c_array__") or hasattr(text, "__arrow_c_stream__"):
        if not words and (pair is None or hasattr(pair, "__arrow_c_array__") or hasattr(pair, "__arrow_c_stream__")):
            return text, pair, True
        text = list(text)
    if hasattr(pair, "__arrow_c_array__") or hasattr(pair, "__arrow_c_stream__"):
        pair = list(pair)
    if hasattr(text, "tolist"):
        text = text.tolist()
    if not isinstance(text, str | list | tuple):
        raise ValueError(
            f"text is a string, a list of strings, or (is_split_into_words) lists of words, not {type(text).__name__}"
        )
    if words:
        batched = isinstance(text, list | tuple) and bool(text) and isinstance(text[0], list | tuple)
    else:
        batched = isinstance(text, list | tuple)
    if not batched:
        return [text], None if pair is None else [pair], False
    first = list(text)
    if pair is not None:
        if isinstance(pair, str):
            raise TypeError("text is a batch, so text_pair must be one too: a list of as many texts")
        second = list(pair)
        if len(second) != len(first):
            raise ValueError(f"{len(first)} texts and {len(second)} second texts: each text needs one")
        return first, second, True
    if not words and first and isinstance(first[0], list | tuple):
        if any(len(row) != 2 for row in first):
            raise ValueError(
                "a batch holds texts or (text, text) pairs; for lists of words pass is_split_into_words=True"
            )
        return [row[0] for row in first], [row[1] for row in first], True
    wrong = None if words else next((row for row in first if not isinstance(row, str)), None)
    if wrong is not None:
        raise ValueError(f"every text is a string; one of them is {type(wrong).__name__}")
    return first, None, True
