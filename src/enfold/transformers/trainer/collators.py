"""Collators: rows of a data set into one batch of tensors.

Each works on columns (``collate_columns``); being called with a list of rows turns them into columns first. The
trainer hands over columns straight from Arrow buffers, so that no row ever becomes Python objects.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from enfold.errors import EnfoldError
from enfold.transformers.trainer.columns import Ragged, RaggedRows, column_of, columns_of, pad_ragged

__all__ = [
    "CollateError",
    "DataCollator",
    "DataCollatorForMultipleChoice",
    "DataCollatorForSeq2Seq",
    "DataCollatorForTokenClassification",
    "DataCollatorMixin",
    "DataCollatorWithFlattening",
    "DataCollatorWithPadding",
    "DefaultDataCollator",
    "default_data_collator",
]

Columns = dict[str, Any]
IGNORED_LABEL = -100  # the index that cross-entropy leaves out


DataCollator = Callable[[Sequence[Any]], dict[str, Any]]  # what a collator is: rows → batch


class CollateError(ValueError, EnfoldError):
    """Rows cannot be made into a batch."""


class DataCollatorMixin:
    """Base of collators: tensors in ``torch_call``, arrays in ``numpy_call``, TensorFlow's in ``tf_call``."""

    return_tensors: str = "pt"

    def __call__(self, features: Sequence[Any], return_tensors: str | None = None) -> Any:
        wanted = return_tensors or self.return_tensors
        call = getattr(self, {"pt": "torch_call", "np": "numpy_call", "tf": "tf_call"}.get(wanted, ""), None)
        if call is None:
            raise CollateError(f"{type(self).__name__} makes no {wanted!r} batches; expected 'pt', 'np' or 'tf'")
        return call(features)


def _label_last(columns: Columns) -> Columns:
    """Give ``label`` and ``label_ids`` the name that models take."""
    for name in ("label", "label_ids"):
        if name in columns:
            columns = dict(columns)
            value = columns.pop(name)
            columns.setdefault("labels", value)
    return columns


def _finish(columns: Columns, kind: str | None) -> Any:
    """Turn columns of arrays into a batch of tensors (``pt``, ``tf``) or arrays (``np``)."""
    if kind == "tf":
        return for_tensorflow(_finish(columns, "np"))
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
            stacked = torch.stack(column)
            out[name] = stacked if kind == "pt" else stacked.numpy()
        else:
            raise CollateError(
                f"column {name!r} holds {type(column[0]).__name__ if len(column) else 'no'} values, which make no "
                "tensor; remove it, or let remove_unused_columns=True do so"
            )
    return out


def for_tensorflow(batch: Mapping[str, Any]) -> dict[str, Any]:
    """Return a batch's arrays as TensorFlow's tensors; integers have 32 bits.

    Raises:
        MissingExtra: TensorFlow is not installed.
    """
    from enfold.transformers.tokenization.tensors import to_tensor

    return {name: to_tensor(value, "tf") for name, value in batch.items()}


def _batch(tensors: dict[str, Any]) -> Any:
    from enfold.transformers.tokenization import BatchEncoding

    return BatchEncoding(tensors)


@dataclass
class DefaultDataCollator:
    """Stacks rows that are alike; ``label`` and ``label_ids`` become ``labels``.

    Args:
        return_tensors: ``"pt"``, ``"np"`` or ``"tf"``.

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
        return_tensors: ``"pt"``, ``"np"`` or ``"tf"``.
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
        return_tensors: ``"pt"``, ``"np"`` or ``"tf"``.
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
        return_tensors: ``"pt"``, ``"np"`` or ``"tf"``.
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
        kind = return_tensors or self.return_tensors
        make = getattr(self.model, "prepare_decoder_input_ids_from_labels", None)
        if labels is not None and make is not None and "decoder_input_ids" not in padded:
            made = make(labels=torch.from_numpy(np.ascontiguousarray(padded["labels"], dtype=np.int64)))
            padded["decoder_input_ids"] = made.numpy()
        return _batch(_finish(padded, kind))


@dataclass
class DataCollatorForMultipleChoice:
    """Pads rows that hold several tokenized choices each, to shape (rows, choices, width).

    Args:
        tokenizer: the tokenizer.
        padding, max_length, pad_to_multiple_of: as in :class:`DataCollatorWithPadding`.
        return_tensors: ``"pt"``, ``"np"`` or ``"tf"``.

    Example:
        >>> from types import SimpleNamespace
        >>> tokenizer = SimpleNamespace(pad_token_id=0, padding_side="right", model_input_names=["input_ids"])
        >>> rows = [{"input_ids": [[1, 2], [3]], "label": 0}, {"input_ids": [[4], [5, 6, 7]], "label": 1}]
        >>> DataCollatorForMultipleChoice(tokenizer)(rows)["input_ids"].shape
        torch.Size([2, 2, 3])
    """

    tokenizer: Any
    padding: bool | str = True
    max_length: int | None = None
    pad_to_multiple_of: int | None = None
    return_tensors: str = "pt"

    def __call__(self, features: Sequence[Mapping[str, Any]]) -> Any:
        name = "label" if "label" in features[0] else "labels"
        choices = len(features[0]["input_ids"])
        if any(len(row["input_ids"]) != choices for row in features):
            raise CollateError(f"every row must have as many choices as the first, which has {choices}")
        flat = [{key: row[key][place] for key in row if key != name} for row in features for place in range(choices)]
        padded = _pad(self.tokenizer, columns_of(flat), self.padding, self.max_length, self.pad_to_multiple_of)
        batch = _finish(padded, "np")
        batch = {key: value.reshape(len(features), choices, -1) for key, value in batch.items()}
        batch = _finish(batch, self.return_tensors)
        if name in features[0]:
            labels = np.asarray([int(row[name]) for row in features], np.int64)
            batch["labels"] = _finish({"labels": labels}, self.return_tensors)["labels"]
        return _batch(batch)


@dataclass
class DataCollatorWithFlattening:
    """Puts all rows of a batch one after another into a single row, so that nothing is padded.

    ``position_ids`` begin anew with every row: a model takes from them where rows begin.

    Args:
        return_tensors: ``"pt"``, ``"np"`` or ``"tf"``.
        return_position_ids: give them.
        separator_id: label of every row's first token, which nothing may predict.
        return_flash_attn_kwargs: give where rows begin as ``cu_seq_lens_q``, ``cu_seq_lens_k``, ``max_length_q`` and
            ``max_length_k``.
        return_seq_idx: give the number of each token's row.
        position_ids_start: position of a row's first token.

    Example:
        >>> DataCollatorWithFlattening()([{"input_ids": [5, 6]}, {"input_ids": [7]}])["position_ids"]
        tensor([[0, 1, 0]])
    """

    return_tensors: str = "pt"
    return_position_ids: bool = True
    separator_id: int = IGNORED_LABEL
    return_flash_attn_kwargs: bool = False
    return_seq_idx: bool = False
    position_ids_start: int = 0

    def __call__(
        self, features: Sequence[Any], return_tensors: str | None = None, separator_id: int | None = None
    ) -> dict[str, Any]:
        columns = columns_of([{key: row[key] for key in ("input_ids", "labels") if key in row} for row in features])
        return self.collate_columns(columns, return_tensors, separator_id)

    def collate_columns(
        self, columns: Columns, return_tensors: str | None = None, separator_id: int | None = None
    ) -> dict[str, Any]:
        """Make a batch of columns."""
        rows = _ragged(columns["input_ids"])
        lengths = rows.lengths
        stops = np.cumsum(lengths)
        starts = stops - lengths
        targets = _ragged(columns.get("labels", rows))
        if not (targets.lengths == lengths).all():
            raise CollateError("every row needs as many labels as input_ids to be put one after another")
        labels = _flat(targets)
        labels[starts] = self.separator_id if separator_id is None else separator_id
        batch: dict[str, Any] = {"input_ids": _flat(rows)[None], "labels": labels[None]}
        if self.return_position_ids:
            batch["position_ids"] = (np.arange(len(labels)) - np.repeat(starts, lengths) + self.position_ids_start)[
                None
            ]
        if self.return_seq_idx:
            batch["seq_idx"] = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)[None]
        if self.return_flash_attn_kwargs:
            batch["cu_seq_lens_q"] = batch["cu_seq_lens_k"] = np.concatenate([[0], stops]).astype(np.int32)
            batch["max_length_q"] = batch["max_length_k"] = int(lengths.max())
        kind = return_tensors or self.return_tensors
        if kind == "np":
            return batch
        if kind == "tf":
            return for_tensorflow(batch)
        return {
            key: torch.from_numpy(value) if isinstance(value, np.ndarray) else value for key, value in batch.items()
        }


def _ragged(column: Any) -> Ragged:
    return column if isinstance(column, Ragged) else Ragged.from_rows(list(column))


def _flat(rows: Ragged) -> Any:
    return np.concatenate([rows[index] for index in range(len(rows))]).astype(np.int64)
