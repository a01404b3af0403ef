"""Calling a tokenizer: texts in every shape to ids, cut, padded and in the container that was asked for."""

from __future__ import annotations

import contextlib
import copy
import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

from enfold.log import get_logger
from enfold.tokenizers import Tokenizer
from enfold.transformers.tokenization.batch import BatchEncoding
from enfold.transformers.tokenization.options import UNLIMITED, Options, settle
from enfold.transformers.tokenization.tensors import PaddedColumn, pad_rows, rectangle

__all__ = ["Asked", "Calls", "shape_inputs"]

logger = get_logger(__name__)

# field → what fills it up to the length of its batch (ids are filled with the padding token)
_FILL = {"attention_mask": 0, "special_tokens_mask": 1}


class Asked(NamedTuple):
    """What a call asked for, beside its texts."""

    options: Options  # how to pad and cut
    add_special_tokens: bool
    words: bool  # texts come as lists of words
    tensors: str | None  # the kind of tensors to return
    types: bool
    mask: bool
    overflow: bool
    special_mask: bool
    offsets: bool
    length: bool
    split_special: bool  # special tokens in the texts are cut like any other
    verbose: bool


class Calls:
    """``__call__`` and its older names for tokenizers."""

    _tokenizer: Any
    _variants: dict[Any, Any]
    _special: dict[str, Any]
    _warned_length: bool
    model_input_names: list[str]
    model_max_length: int
    padding_side: str
    truncation_side: str
    split_special_tokens: bool
    pad_token: Any
    pad_token_id: Any
    pad_token_type_id: int

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
        names = self.model_input_names
        asked = Asked(
            options=options,
            add_special_tokens=add_special_tokens,
            words=is_split_into_words,
            tensors=None if return_tensors is None else str(getattr(return_tensors, "value", return_tensors)),
            types="token_type_ids" in names if return_token_type_ids is None else return_token_type_ids,
            mask="attention_mask" in names if return_attention_mask is None else return_attention_mask,
            overflow=return_overflowing_tokens,
            special_mask=return_special_tokens_mask,
            offsets=return_offsets_mapping,
            length=return_length,
            split_special=kwargs.pop("split_special_tokens", self.split_special_tokens),
            verbose=verbose,
        )
        encoded = None if text is None else self._encode(text, text_pair, asked)
        if text_target is None:
            assert encoded is not None
            return encoded
        self._switch_to_target_mode()
        try:
            target = self._encode(text_target, text_pair_target, asked)
        finally:
            self._switch_to_input_mode()
        if encoded is None:
            return target
        encoded["labels"] = target["input_ids"]
        return encoded

    def _encode(self, text: Any, pair: Any, asked: Asked) -> BatchEncoding:
        first, second, batched = shape_inputs(text, pair, asked.words)
        core = self._variant(asked.options, asked.split_special)

        def encodings() -> list[Any]:
            if second is None:
                rows = core.encode_batch(
                    list(first), is_pretokenized=asked.words, add_special_tokens=asked.add_special_tokens
                )
            else:
                pairs = list(zip(first, second, strict=True))
                rows = core.encode_batch(
                    pairs, is_pretokenized=asked.words, add_special_tokens=asked.add_special_tokens
                )
            return self._pad_encodings(rows, asked.options)

        fields = ["input_ids"]
        fields += (
            ["token_type_ids"] * asked.types
            + ["attention_mask"] * asked.mask
            + ["special_tokens_mask"] * asked.special_mask
        )
        plain = asked.options.truncation == "longest_first" or (
            asked.options.truncation == "only_first" and second is None
        )
        flat = not (asked.words or asked.offsets or asked.overflow or asked.split_special) and (
            not asked.options.truncates or (plain and asked.options.truncation_side == "right")
        )
        rows: list[Any] | None = None
        samples: list[int] | None = None
        data: dict[str, Any]
        if flat:
            limit = asked.options.max_length if asked.options.truncates else None
            columns = self._tokenizer.encode_arrow(
                first, second, add_special_tokens=asked.add_special_tokens, max_length=limit, fields=fields
            )
            # a column of a data set passes for a list, but is given back what it can store without lists
            keep = batched and (hasattr(first, "__arrow_c_array__") or hasattr(first, "__arrow_c_stream__"))
            data = self._fill_columns(columns, asked.options, asked.tensors, keep)
        else:
            rows = encodings()
            if asked.overflow:
                samples = [index for index, row in enumerate(rows) for _ in range(1 + len(row.overflowing))]
                rows = [part for row in rows for part in (row, *row.overflowing)]
            data = {"input_ids": [row.ids for row in rows]}
            if asked.types:
                data["token_type_ids"] = [row.type_ids for row in rows]
            if asked.mask:
                data["attention_mask"] = [row.attention_mask for row in rows]
            if asked.special_mask:
                data["special_tokens_mask"] = [row.special_tokens_mask for row in rows]
            if asked.offsets:
                data["offset_mapping"] = [row.offsets for row in rows]
        if asked.length:
            data["length"] = [len(row) for row in data["input_ids"]]
        if samples is not None:
            data["overflow_to_sample_mapping"] = samples
        if asked.verbose and not asked.options.truncates:
            self._warn_length(data["input_ids"])
        if not batched and asked.tensors is None and not asked.overflow:
            data = {key: value if key == "length" else value[0] for key, value in data.items()}
        return BatchEncoding(data, encodings if rows is None else rows, tensor_type=asked.tensors)

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
        # what was set on the core itself is none of this call's business
        own = self._tokenizer.truncation is not None or self._tokenizer.padding is not None
        if not options.truncates and not split_special and not own:
            return self._tokenizer
        cut = (
            (options.max_length, options.stride, options.truncation, options.truncation_side)
            if options.truncates
            else None
        )
        state = self._tokenizer.revision
        key = (cut, split_special)
        held = self._variants.get(key)
        if held is not None and held[0] == state:
            return held[1]
        core = copy.deepcopy(self._tokenizer)
        core.no_padding()
        core.no_truncation()
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

    def _switch_to_input_mode(self) -> None:
        """Encode source texts from now on; families with languages override this."""

    def _switch_to_target_mode(self) -> None:
        """Encode target texts from now on; families with languages override this."""

    @contextlib.contextmanager
    def as_target_tokenizer(self) -> Iterator[None]:
        """Encode target texts inside a ``with`` block; ``text_target=`` does the same for one call."""
        self._switch_to_target_mode()
        try:
            yield
        finally:
            self._switch_to_input_mode()

    def prepare_seq2seq_batch(
        self,
        src_texts: list[str],
        tgt_texts: list[str] | None = None,
        max_length: int | None = None,
        max_target_length: int | None = None,
        padding: bool | str = "longest",
        return_tensors: str | None = None,
        truncation: bool | str = True,
        **kwargs: Any,
    ) -> BatchEncoding:
        """Return source texts with, as ``labels``, target texts; calling with ``text_target=`` is the newer way."""
        for name in ("src_lang", "tgt_lang"):
            kwargs.pop(name, None)
        options = {"padding": padding, "truncation": truncation, "return_tensors": return_tensors, **kwargs}
        inputs = self(src_texts, max_length=max_length or self.model_max_length, **options)
        if tgt_texts is not None:
            with self.as_target_tokenizer():
                limit = max_target_length or max_length or self.model_max_length
                inputs["labels"] = self(tgt_texts, max_length=limit, **options)["input_ids"]
        return inputs

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


def _longest(column: Any) -> int:
    offsets = memoryview(column.offsets)
    return max((end - start for start, end in itertools.pairwise(offsets)), default=0)


def shape_inputs(text: Any, pair: Any, words: bool) -> tuple[Any, Any, bool]:
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
