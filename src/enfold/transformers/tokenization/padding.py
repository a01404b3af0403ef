"""Padding of examples that are already ids, as collators do it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from enfold.transformers.tokenization.batch import BatchEncoding
from enfold.transformers.tokenization.options import settle
from enfold.transformers.tokenization.tensors import is_column, is_tensor, to_lists

__all__ = ["Padding"]


class Padding:
    """``pad`` for tokenizers."""

    # further values that are as long as the ids, and what they are filled with
    padded_fields: ClassVar[dict[str, Any]] = {}

    def pad(
        self: Any,
        encoded_inputs: Any,
        padding: bool | str = True,
        max_length: int | None = None,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_attention_mask: bool | None = None,
        return_tensors: str | None = None,
        verbose: bool = True,
        **kwargs: Any,
    ) -> BatchEncoding:
        """Pad examples to one length.

        Ids, token types, attention and special-token masks are padded; other values (labels) stay as they are.

        Args:
            encoded_inputs: a list of examples (name → list or tensor), or one batch (name → list of lists).
            padding: True or "longest", "max_length", False.
            max_length: the length for "max_length"; the model's by default.
            pad_to_multiple_of: pad to a multiple of this many tokens.
            padding_side: "right" or "left"; the tokenizer's by default.
            return_attention_mask: add a mask; by default whether the model takes one.
            return_tensors: "pt", "np", "tf" or "jax"; lists by default.

        Returns:
            A BatchEncoding of lists of lists, or tensors [batch, tokens].

        Raises:
            ValueError: no ``input_ids`` among the values, or no padding token.
        """
        if isinstance(encoded_inputs, list | tuple) and encoded_inputs and isinstance(encoded_inputs[0], Mapping):
            encoded_inputs = {key: [row[key] for row in encoded_inputs] for key in encoded_inputs[0]}
        data = dict(encoded_inputs)
        main = self.model_input_names[0]
        if main not in data:
            raise ValueError(
                f"padding needs {main!r} among the values; these have {', '.join(map(str, data)) or 'none'}"
            )
        kind = None if return_tensors is None else str(getattr(return_tensors, "value", return_tensors))
        if len(data[main]) == 0:
            if return_attention_mask:
                data["attention_mask"] = []
            return BatchEncoding(data, tensor_type=kind)
        for key, value in data.items():
            if is_column(value) or is_tensor(value):
                data[key] = to_lists(value)
            elif isinstance(value, list | tuple):
                data[key] = [to_lists(item) if is_tensor(item) else item for item in value]
        single = not isinstance(data[main][0], list | tuple)
        if single:
            data = {key: [value] for key, value in data.items()}
        options = settle(
            padding=padding,
            truncation=False,
            max_length=max_length,
            stride=0,
            pad_to_multiple_of=pad_to_multiple_of,
            padding_side=padding_side or self.padding_side,
            truncation_side=self.truncation_side,
            model_max_length=self.model_max_length,
            has_pad_token=self.pad_token is not None,
            verbose=verbose,
        )
        rows = data[main]
        wants_mask = (
            "attention_mask" in self.model_input_names if return_attention_mask is None else return_attention_mask
        )
        if wants_mask and "attention_mask" not in data:
            data["attention_mask"] = [[1] * len(row) for row in rows]
        if options.padding != "do_not_pad":
            goal = options.max_length or 0 if options.padding == "max_length" else max(map(len, rows))
            if options.multiple and goal % options.multiple:
                goal += options.multiple - goal % options.multiple
            for key in (main, "attention_mask", "token_type_ids", "special_tokens_mask"):
                if key in data:
                    fill = self.pad_token_id if key == main else self._fill_value(key)
                    data[key] = [_filled(list(row), goal, fill, options.padding_side) for row in data[key]]
            for key, fill in self.padded_fields.items():
                if key in data:
                    data[key] = [_filled(list(row), goal, fill, options.padding_side) for row in data[key]]
        if single and kind is None:
            data = {key: value[0] for key, value in data.items()}
        return BatchEncoding(data, tensor_type=kind)


def _filled(row: list[Any], goal: int, fill: Any, side: str) -> list[Any]:
    rest = [fill] * (goal - len(row))
    return row + rest if side == "right" else rest + row
