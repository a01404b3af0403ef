"""Model inputs from ids: special tokens around, token types, truncation, for ids that are there already."""

from __future__ import annotations

import json
from typing import Any

from enfold.transformers.tokenization.batch import BatchEncoding
from enfold.transformers.tokenization.options import TruncationStrategy, settle

__all__ = ["FromIds", "surroundings"]


def surroundings(processor: Any, pair: bool) -> list[tuple[Any, int]]:
    """Return what a post-processor makes of a text or a pair: (id, type) of special tokens, ("A", type) of a text.

    Example:
        >>> from enfold.tokenizers.processors import BertProcessing
        >>> surroundings(BertProcessing(("[SEP]", 3), ("[CLS]", 2)), False)
        [(2, 0), ('A', 0), (3, 0)]
    """
    from enfold.tokenizers.component import spec_text

    spec = json.loads(spec_text(processor))
    steps = spec["processors"] if spec and spec["type"] == "Sequence" else [spec]
    for step in steps:
        kind = step and step["type"]
        if kind == "TemplateProcessing":
            known, found = step["special_tokens"], []
            for piece in step["pair" if pair else "single"]:
                ((name, value),) = piece.items()
                ids = [value["id"]] if name == "Sequence" else known[value["id"]]["ids"]
                found += [(id, value["type_id"]) for id in ids]
            return found
        if kind in ("BertProcessing", "RobertaProcessing"):
            (_, sep), (_, cls) = step["sep"], step["cls"]
            second = int(kind == "BertProcessing")
            first = [(cls, 0), ("A", 0), (sep, 0)]
            between = [] if second else [(sep, 0)]
            return [*first, *between, ("B", second), (sep, second)] if pair else first
    return [("A", 0), ("B", 1)] if pair else [("A", 0)]


class FromIds:
    """``prepare_for_model`` and what it is made of, for tokenizers."""

    _tokenizer: Any
    truncation_side: str

    def _around(self, pair: bool) -> list[tuple[Any, int]]:
        return surroundings(self._tokenizer.post_processor, pair)

    def build_inputs_with_special_tokens(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        """Return the ids of a text, or of a pair, with special tokens around."""
        texts = {"A": token_ids_0, "B": token_ids_1 or []}
        made: list[int] = []
        for item, _ in self._around(token_ids_1 is not None):
            made += texts.get(item, [item])
        return made

    def create_token_type_ids_from_sequences(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        """Return the token types of ``build_inputs_with_special_tokens``."""
        texts = {"A": token_ids_0, "B": token_ids_1 or []}
        made: list[int] = []
        for item, kind in self._around(token_ids_1 is not None):
            made += [kind] * (len(texts[item]) if item in texts else 1)
        return made

    def get_special_tokens_mask(
        self: Any,
        token_ids_0: list[int],
        token_ids_1: list[int] | None = None,
        already_has_special_tokens: bool = False,
    ) -> list[int]:
        """Return 1 for each special token that ``build_inputs_with_special_tokens`` adds, 0 for each other.

        Args:
            token_ids_0: ids of the first text; with ``already_has_special_tokens`` all ids.
            token_ids_1: ids of the second text.
            already_has_special_tokens: look for special tokens among the ids instead of adding them.
        """
        if already_has_special_tokens:
            if token_ids_1 is not None:
                raise ValueError("with already_has_special_tokens=True give all ids as token_ids_0, and no token_ids_1")
            special = set(self.all_special_ids)
            return [int(id in special) for id in token_ids_0]
        hole: Any = None  # what stands for an id of a text
        second = None if token_ids_1 is None else [hole] * len(token_ids_1)
        made = self.build_inputs_with_special_tokens([hole] * len(token_ids_0), second)
        return [int(id is not None) for id in made]

    def truncate_sequences(
        self,
        ids: list[int],
        pair_ids: list[int] | None = None,
        num_tokens_to_remove: int = 0,
        truncation_strategy: str = "longest_first",
        stride: int = 0,
    ) -> tuple[list[int], list[int] | None, list[int]]:
        """Cut ids, or a pair of them, at the tokenizer's ``truncation_side``.

        Args:
            ids: the first text's.
            pair_ids: the second text's.
            num_tokens_to_remove: how many go.
            truncation_strategy: "longest_first", "only_first" or "only_second".
            stride: how many of those that stay are repeated among those that overflow.

        Returns:
            What is left of both, and what overflowed (nothing for a pair cut "longest_first").
        """
        if num_tokens_to_remove <= 0:
            return ids, pair_ids, []
        strategy = TruncationStrategy(str(getattr(truncation_strategy, "value", truncation_strategy))).value
        right = self.truncation_side == "right"

        def cut(row: list[int], count: int) -> tuple[list[int], list[int]]:
            window = min(len(row), stride + count)
            if right:
                return row[: max(0, len(row) - count)], row[len(row) - window :]
            return row[count:], row[:window]

        if strategy == "only_first" or (strategy == "longest_first" and pair_ids is None):
            ids, over = cut(ids, num_tokens_to_remove)
            return ids, pair_ids, over
        if strategy == "only_second" and pair_ids:
            pair_ids, over = cut(pair_ids, num_tokens_to_remove)
            return ids, pair_ids, over
        if strategy == "longest_first":
            second = pair_ids or []
            first_gap = min(abs(len(second) - len(ids)), num_tokens_to_remove)
            half = (num_tokens_to_remove - first_gap) // 2
            longer = first_gap if len(ids) > len(second) else 0
            ids, _ = cut(ids, longer + half)
            second, _ = cut(second, num_tokens_to_remove - longer - half)
            return ids, second if pair_ids is not None else None, []
        return ids, pair_ids, []

    def prepare_for_model(
        self: Any,
        ids: list[int],
        pair_ids: list[int] | None = None,
        add_special_tokens: bool = True,
        padding: bool | str = False,
        truncation: bool | str | None = None,
        max_length: int | None = None,
        stride: int = 0,
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
        prepend_batch_axis: bool = False,
        **kwargs: Any,
    ) -> BatchEncoding:
        """Turn ids of a text, or of a pair, into model inputs; arguments as for calling the tokenizer.

        Returns:
            A BatchEncoding of one row; ``overflowing_tokens`` and ``num_truncated_tokens`` when asked for.

        Raises:
            ValueError: overflowing tokens of a pair cut "longest_first", which are not known.
        """
        options = settle(
            padding=padding,
            truncation=truncation,
            max_length=max_length,
            stride=stride,
            pad_to_multiple_of=pad_to_multiple_of,
            padding_side=padding_side or self.padding_side,
            truncation_side=self.truncation_side,
            model_max_length=self.model_max_length,
            has_pad_token=self.pad_token is not None,
            verbose=verbose,
        )
        if return_overflowing_tokens and options.truncation == "longest_first" and pair_ids is not None:
            raise ValueError("overflowing tokens of a pair are known only with only_first or only_second")
        names = self.model_input_names
        types = "token_type_ids" in names if return_token_type_ids is None else return_token_type_ids
        total = len(ids) + len(pair_ids or [])
        total += self.num_special_tokens_to_add(pair_ids is not None) if add_special_tokens else 0
        over: list[int] = []
        excess = total - (options.max_length or 0) if options.truncates else 0
        if excess > 0:
            ids, pair_ids, over = self.truncate_sequences(ids, pair_ids, excess, options.truncation, stride)
        if add_special_tokens:
            data = {"input_ids": self.build_inputs_with_special_tokens(ids, pair_ids)}
            kinds = self.create_token_type_ids_from_sequences(ids, pair_ids)
            mask = self.get_special_tokens_mask(ids, pair_ids)
        else:
            data = {"input_ids": [*ids, *(pair_ids or [])]}
            kinds, mask = [0] * len(ids) + [1] * len(pair_ids or []), [0] * len(data["input_ids"])
        if types:
            data["token_type_ids"] = kinds
        if return_special_tokens_mask:
            data["special_tokens_mask"] = mask
        if return_overflowing_tokens:
            data["overflowing_tokens"] = over
            data["num_truncated_tokens"] = excess
        made = self.pad(
            data,
            padding=options.padding if options.padding != "do_not_pad" else False,
            max_length=options.max_length,
            pad_to_multiple_of=pad_to_multiple_of,
            padding_side=options.padding_side,
            return_attention_mask=return_attention_mask,
            verbose=verbose,
        )
        if return_length:
            made["length"] = len(made["input_ids"])
        return made.convert_to_tensors(return_tensors, prepend_batch_axis)
