"""Collators: rows of a data set into one batch of tensors.

Each works on columns (``collate_columns``); being called with a list of rows turns them into columns first. The
trainer hands over columns straight from Arrow buffers, so that no row ever becomes Python objects.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from enfold.errors import EnfoldError
from enfold.transformers.trainer.columns import Ragged, RaggedRows, column_of, columns_of, pad_ragged

__all__ = [
    "CollateError",
    "DataCollatorForLanguageModeling",
    "DataCollatorForSeq2Seq",
    "DataCollatorForTokenClassification",
    "DataCollatorWithPadding",
    "DefaultDataCollator",
    "default_data_collator",
]

Columns = dict[str, Any]
IGNORED_LABEL = -100  # the index that cross-entropy leaves out


class CollateError(ValueError, EnfoldError):
    """Rows cannot be made into a batch."""


def _label_last(columns: Columns) -> Columns:
    """Give ``label`` and ``label_ids`` the name that models take."""
    for name in ("label", "label_ids"):
        if name in columns:
            columns = dict(columns)
            value = columns.pop(name)
            columns.setdefault("labels", value)
    return columns


def _finish(columns: Columns, kind: str | None) -> Any:
    """Turn columns of arrays into a batch of tensors (``pt``) or arrays (``np``)."""
    out: dict[str, Any] = {}
    for name, column in columns.items():
        if isinstance(column, Ragged):
            lengths = column.lengths
            if len(lengths) and not (lengths == lengths[0]).all():
                raise RaggedRows(
                    f"the rows of column {name!r} have different lengths and this collator does not pad it; use a "
                    "collator that does, or remove the column"
                )
            column = pad_ragged(column, 0)
        if isinstance(column, np.ndarray) and column.dtype.kind in "iufb":
            if column.dtype.kind == "f":
                column = column.astype(np.float32, copy=False)
            elif column.dtype.kind in "iu":
                column = column.astype(np.int64, copy=False)
            if not column.flags.writeable or not column.flags.c_contiguous:
                column = column.copy()
            out[name] = torch.from_numpy(column) if kind == "pt" else column
        elif isinstance(column, Tensor):
            out[name] = column if kind == "pt" else column.numpy()
        elif isinstance(column, list) and column and isinstance(column[0], Tensor):
            out[name] = torch.stack(column)
        else:
            raise CollateError(
                f"column {name!r} holds {type(column[0]).__name__ if len(column) else 'no'} values, which make no "
                "tensor; remove it, or let remove_unused_columns=True do so"
            )
    return out


def _batch(tensors: dict[str, Any]) -> Any:
    from enfold.transformers.tokenization import BatchEncoding

    return BatchEncoding(tensors)


@dataclass
class DefaultDataCollator:
    """Stacks rows that are alike; ``label`` and ``label_ids`` become ``labels``.

    Args:
        return_tensors: ``"pt"`` or ``"np"``.

    Example:
        >>> DefaultDataCollator()([{"x": [1, 2], "label": 0}, {"x": [3, 4], "label": 1}])["labels"]
        tensor([0, 1])
    """

    return_tensors: str = "pt"

    def __call__(self, features: Sequence[Any], return_tensors: str | None = None) -> dict[str, Any]:
        return self.collate_columns(columns_of(_as_mappings(features)), return_tensors)

    def collate_columns(self, columns: Columns, return_tensors: str | None = None) -> dict[str, Any]:
        """Make a batch of columns; those that hold text are left out."""
        kept = {name: column for name, column in columns.items() if not _is_text(column)}
        return _finish(_label_last(kept), return_tensors or self.return_tensors)


def default_data_collator(features: Sequence[Any], return_tensors: str = "pt") -> dict[str, Any]:
    """Stack rows that are alike into tensors; ``label`` and ``label_ids`` become ``labels``."""
    return DefaultDataCollator()(features, return_tensors)


def _is_text(column: Any) -> bool:
    return isinstance(column, list) and (not column or column[0] is None or isinstance(column[0], (str, bytes)))


def _as_mappings(features: Sequence[Any]) -> Sequence[Mapping[str, Any]]:
    if features and not isinstance(features[0], Mapping) and not hasattr(features[0], "keys"):
        return [vars(feature) for feature in features]
    return features


def _pad(
    tokenizer: Any,
    columns: Columns,
    padding: Any = True,
    max_length: int | None = None,
    multiple: int | None = None,
    fills: Mapping[str, int] | None = None,
) -> Columns:
    """Pad a tokenizer's columns to one length, as its settings say, and add the attention mask where it lacks.

    Args:
        tokenizer: gives ``pad_token_id``, ``pad_token_type_id``, ``padding_side`` and ``model_input_names``.
        columns: of rows.
        padding: True or ``"longest"``, ``"max_length"``, or False.
        max_length: the width under ``"max_length"``.
        multiple: the width is rounded up to a multiple of it.
        fills: further columns of the same lengths → what fills their gaps.
    """
    main = getattr(tokenizer, "model_input_names", ["input_ids"])[0]
    if main not in columns:
        raise CollateError(f"the rows have no {main!r}; they have {', '.join(columns)}. Were they tokenized?")
    ids = columns[main]
    if isinstance(ids, np.ndarray) and ids.ndim == 2:
        ids = Ragged.from_rows(list(ids))
    if not isinstance(ids, Ragged):
        raise CollateError(f"{main!r} must hold one list of token ids per row")
    columns = {**columns, main: ids}
    if "attention_mask" not in columns and "attention_mask" in getattr(tokenizer, "model_input_names", ()):
        columns["attention_mask"] = ids.constant(1)
    width = int(ids.lengths.max()) if len(ids) else 0
    if padding == "max_length":
        width = max(width, max_length or getattr(tokenizer, "model_max_length", width))
    if multiple:
        width = -(-width // multiple) * multiple
    fill_of: dict[str, Any] = {
        main: getattr(tokenizer, "pad_token_id", None),
        "attention_mask": 0,
        "token_type_ids": getattr(tokenizer, "pad_token_type_id", 0),
        "special_tokens_mask": 1,
        **(fills or {}),
    }
    side = getattr(tokenizer, "padding_side", "right")
    uneven = bool((ids.lengths != width).any())
    if uneven and fill_of[main] is None:
        raise CollateError(
            "the tokenizer has no padding token, so rows of different lengths cannot be batched; set one, for example "
            "tokenizer.pad_token = tokenizer.eos_token"
        )
    out: Columns = {}
    for name, column in columns.items():
        if name in fill_of and not isinstance(column, Ragged) and not _is_text(column):
            column = column_of(list(column)) if getattr(column, "ndim", 2) > 1 else column
        if name in fill_of and isinstance(column, np.ndarray) and column.ndim == 2:
            column = Ragged.from_rows(list(column))
        if name in fill_of and isinstance(column, Ragged) and padding is not False:
            column = pad_ragged(column, fill_of[name] or 0, width=width, side=side)
        out[name] = column
    return out


@dataclass
class DataCollatorWithPadding:
    """Pads tokenized rows to the longest of the batch.

    Args:
        tokenizer: the tokenizer.
        padding: True or ``"longest"``, ``"max_length"``, or False for rows that are alike already.
        max_length: the width under ``"max_length"``.
        pad_to_multiple_of: round the width up.
        return_tensors: ``"pt"`` or ``"np"``.
    """

    tokenizer: Any
    padding: bool | str = True
    max_length: int | None = None
    pad_to_multiple_of: int | None = None
    return_tensors: str = "pt"

    def __call__(self, features: Sequence[Any]) -> Any:
        return self.collate_columns(columns_of(features))

    def collate_columns(self, columns: Columns) -> Any:
        """Make a batch of columns."""
        padded = _pad(self.tokenizer, columns, self.padding, self.max_length, self.pad_to_multiple_of)
        return _batch(_finish(_label_last(padded), self.return_tensors))


@dataclass
class DataCollatorForTokenClassification:
    """Pads tokenized rows and their labels, one label a token.

    Args:
        tokenizer: the tokenizer.
        padding, max_length, pad_to_multiple_of: as in :class:`DataCollatorWithPadding`.
        label_pad_token_id: label of the gaps; the default is left out of the loss.
        return_tensors: ``"pt"`` or ``"np"``.
    """

    tokenizer: Any
    padding: bool | str = True
    max_length: int | None = None
    pad_to_multiple_of: int | None = None
    label_pad_token_id: int = IGNORED_LABEL
    return_tensors: str = "pt"

    def __call__(self, features: Sequence[Any]) -> Any:
        return self.collate_columns(columns_of(features))

    def collate_columns(self, columns: Columns) -> Any:
        """Make a batch of columns."""
        name = "label" if "label" in columns and "labels" not in columns else "labels"
        fills = {name: self.label_pad_token_id}
        padded = _pad(self.tokenizer, columns, self.padding, self.max_length, self.pad_to_multiple_of, fills)
        return _batch(_finish(_label_last(padded), self.return_tensors))


@dataclass
class DataCollatorForSeq2Seq:
    """Pads tokenized sources, and targets to the longest target.

    Args:
        tokenizer: the tokenizer.
        model: a model that can make ``decoder_input_ids`` of the labels, or None.
        padding, max_length, pad_to_multiple_of: as in :class:`DataCollatorWithPadding`; also of the targets.
        label_pad_token_id: label of the gaps; the default is left out of the loss.
        return_tensors: ``"pt"`` or ``"np"``.
    """

    tokenizer: Any
    model: Any = None
    padding: bool | str = True
    max_length: int | None = None
    pad_to_multiple_of: int | None = None
    label_pad_token_id: int = IGNORED_LABEL
    return_tensors: str = "pt"

    def __call__(self, features: Sequence[Any], return_tensors: str | None = None) -> Any:
        return self.collate_columns(columns_of(features), return_tensors)

    def collate_columns(self, columns: Columns, return_tensors: str | None = None) -> Any:
        """Make a batch of columns."""
        columns = _label_last(columns)
        labels = columns.pop("labels", None) if "labels" in columns else None
        padded = _pad(self.tokenizer, columns, self.padding, self.max_length, self.pad_to_multiple_of)
        if labels is not None:
            rows = labels if isinstance(labels, Ragged) else Ragged.from_rows(list(labels))
            width = int(rows.lengths.max()) if len(rows) else 0
            if self.padding == "max_length" and self.max_length is not None:
                width = max(width, self.max_length)
            if self.pad_to_multiple_of:
                width = -(-width // self.pad_to_multiple_of) * self.pad_to_multiple_of
            side = getattr(self.tokenizer, "padding_side", "right")
            padded["labels"] = pad_ragged(rows, self.label_pad_token_id, width=width, side=side)
        batch = _finish(padded, return_tensors or self.return_tensors)
        make = getattr(self.model, "prepare_decoder_input_ids_from_labels", None)
        if labels is not None and make is not None and "decoder_input_ids" not in batch:
            batch["decoder_input_ids"] = make(labels=batch["labels"])
        return _batch(batch)


@dataclass
class DataCollatorForLanguageModeling:
    """Pads tokenized rows and makes the labels of language modelling.

    With ``mlm``, a share of the tokens is to be predicted; of these, 80 % are shown as the mask token, 10 % as a random
    token and 10 % as they are (https://arxiv.org/abs/1810.04805). Without it the labels are the tokens themselves,
    gaps left out.

    Args:
        tokenizer: the tokenizer.
        mlm: masked rather than causal.
        mlm_probability: share of tokens to predict.
        mask_replace_prob, random_replace_prob: how those are shown.
        pad_to_multiple_of: round the width up.
        return_tensors: ``"pt"`` or ``"np"``.
        seed: of a generator of the collator's own; by default torch's is used.
    """

    tokenizer: Any
    mlm: bool = True
    mlm_probability: float | None = 0.15
    mask_replace_prob: float = 0.8
    random_replace_prob: float = 0.1
    pad_to_multiple_of: int | None = None
    return_tensors: str = "pt"
    seed: int | None = None

    def __post_init__(self) -> None:
        if self.mlm:
            if getattr(self.tokenizer, "mask_token", None) is None:
                raise ValueError("the tokenizer has no mask token; use mlm=False for causal language modelling")
            if self.mlm_probability is None or not 0 <= self.mlm_probability <= 1:
                raise ValueError(f"mlm_probability lies between 0 and 1, got {self.mlm_probability}")
        if not 0 <= self.mask_replace_prob + self.random_replace_prob <= 1:
            raise ValueError("mask_replace_prob and random_replace_prob may not add up to more than 1")
        self._generator = None if self.seed is None else torch.Generator().manual_seed(self.seed)

    def __call__(self, features: Sequence[Any], return_tensors: str | None = None) -> Any:
        if features and not isinstance(features[0], Mapping) and not hasattr(features[0], "keys"):
            features = [{"input_ids": feature} for feature in features]
        return self.collate_columns(columns_of(features), return_tensors)

    def collate_columns(self, columns: Columns, return_tensors: str | None = None) -> Any:
        """Make a batch of columns."""
        batch = _finish(_pad(self.tokenizer, columns, multiple=self.pad_to_multiple_of), "pt")
        special = batch.pop("special_tokens_mask", None)
        if self.mlm:
            batch["input_ids"], batch["labels"] = self.mask_tokens(batch["input_ids"], special)
        else:
            labels = batch.get("labels", batch["input_ids"]).clone()
            pad = getattr(self.tokenizer, "pad_token_id", None)
            if pad is not None:
                labels[labels == pad] = IGNORED_LABEL
            batch["labels"] = labels
        if (return_tensors or self.return_tensors) == "np":
            batch = {name: value.numpy() for name, value in batch.items()}
        return _batch(batch)

    def mask_tokens(self, inputs: Tensor, special_tokens_mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Hide some tokens.

        Args:
            inputs: token ids, shape (rows, width).
            special_tokens_mask: same shape, 1 where a token is never hidden; by default the tokenizer's special ones.

        Returns:
            What the model sees, and the labels: the hidden tokens, -100 elsewhere.
        """
        labels, shown = inputs.clone(), inputs.clone()
        if special_tokens_mask is None:
            special = torch.isin(labels, torch.tensor(list(self.tokenizer.all_special_ids), dtype=labels.dtype))
        else:
            special = special_tokens_mask.bool()
        share = torch.full(labels.shape, float(self.mlm_probability or 0.0)).masked_fill_(special, 0.0)
        hidden = self._draw(share)
        labels[~hidden] = IGNORED_LABEL
        masked = self._draw(torch.full(labels.shape, self.mask_replace_prob)) & hidden
        shown[masked] = self.tokenizer.convert_tokens_to_ids(self.tokenizer.mask_token)
        if self.mask_replace_prob == 1 or self.random_replace_prob == 0:
            return shown, labels
        rest = self.random_replace_prob / (1 - self.mask_replace_prob)
        changed = self._draw(torch.full(labels.shape, rest)) & hidden & ~masked
        words = torch.randint(len(self.tokenizer), labels.shape, dtype=torch.long, generator=self._generator)
        shown[changed] = words[changed]
        return shown, labels

    def _draw(self, share: Tensor) -> Tensor:
        return torch.bernoulli(share, generator=self._generator).bool()
