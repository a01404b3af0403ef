"""Rows of token ids → batches, for each kind of alignment data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from enfold.transformers.trainer.columns import Ragged, pad_ragged

__all__ = [
    "DataCollatorForLanguageModeling",
    "DataCollatorForPreference",
    "DataCollatorForUnpairedPreference",
    "pad",
    "padded",
]

Rows = Sequence[dict[str, Any]]


def pad(
    tensors: Sequence[Tensor],
    padding_value: float = 0,
    padding_side: str = "right",
    pad_to_multiple_of: int | None = None,
) -> Tensor:
    """Return tensors of different shapes as one, filled up where one is smaller.

    Args:
        tensors: of equal number of dimensions.
        padding_value: what fills.
        padding_side: where the first dimension is filled: ``"right"`` or ``"left"``.
        pad_to_multiple_of: the first dimension becomes a multiple of it.

    Example:
        >>> pad([torch.tensor([1, 2, 3]), torch.tensor([4])], padding_side="left").tolist()
        [[1, 2, 3], [0, 0, 4]]
    """
    if padding_side not in ("left", "right"):
        raise ValueError(f"padding_side is 'left' or 'right', not {padding_side!r}")
    shape = [max(sizes) for sizes in zip(*(tensor.shape for tensor in tensors), strict=True)]
    if pad_to_multiple_of:
        shape[0] = -(-shape[0] // pad_to_multiple_of) * pad_to_multiple_of
    out = tensors[0].new_full((len(tensors), *shape), padding_value)
    for row, tensor in zip(out, tensors, strict=True):
        start = shape[0] - len(tensor) if padding_side == "left" else 0
        places = (slice(start, start + len(tensor)), *(slice(size) for size in tensor.shape[1:]))
        row[places] = tensor
    return out


def padded(rows: Sequence[Any], fill: float, multiple: int | None = None, side: str = "right") -> Tensor:
    """Return lists of numbers as one tensor (rows, longest), as wide as a multiple of ``multiple``."""
    ragged = Ragged.from_rows(list(rows))
    width = int(ragged.lengths.max()) if len(ragged) else 0
    return torch.from_numpy(
        pad_ragged(ragged, fill, width=-(-width // multiple) * multiple if multiple else width, side=side)
    )


@dataclass
class DataCollatorForLanguageModeling:
    """Makes batches of ``input_ids`` and ``labels``; labels are the ids where a row has none.

    Args:
        pad_token_id: fills the gaps.
        padding_free: put all rows one after another into a single one; ``position_ids`` begin anew with each, and with
            each document of a packed row.
        return_position_ids: give positions in padded batches too.
        pad_to_multiple_of: width of the batch.
        return_tensors: ``"pt"``.

    Example:
        >>> batch = DataCollatorForLanguageModeling(0)([{"input_ids": [1, 2]}, {"input_ids": [3]}])
        >>> batch["labels"].tolist()
        [[1, 2], [3, -100]]
    """

    pad_token_id: int
    padding_free: bool = False
    return_position_ids: bool = False
    pad_to_multiple_of: int | None = None
    return_tensors: str = "pt"

    def __call__(self, features: Rows) -> dict[str, Any]:
        ids = [list(row["input_ids"]) for row in features]
        labels = [list(row["labels"] if "labels" in row else row["input_ids"]) for row in features]
        lengths = [list(row.get("seq_lengths", [len(row["input_ids"])])) for row in features]
        positions = [[place for length in row for place in range(length)] for row in lengths]
        if self.padding_free:
            ids, labels, positions = ([[item for row in rows for item in row]] for rows in (ids, labels, positions))
        multiple = self.pad_to_multiple_of
        batch: dict[str, Any] = {
            "input_ids": padded(ids, self.pad_token_id, multiple),
            "labels": padded(labels, -100, multiple),
        }
        if not self.padding_free:
            if self.return_position_ids:
                batch["position_ids"] = padded(positions, 0, multiple)
            batch["attention_mask"] = padded([[1] * len(row) for row in ids], 0, multiple)
            return batch
        batch["position_ids"] = padded(positions, 0, multiple)
        batch["labels"][batch["position_ids"] == 0] = -100  # nothing may predict where a document begins
        starts = (batch["position_ids"][0] == 0).nonzero().flatten()
        bounds = torch.cat([starts, torch.tensor([batch["position_ids"].shape[1]])]).to(torch.int32)
        batch["cu_seq_lens_q"] = batch["cu_seq_lens_k"] = bounds
        batch["max_length_q"] = batch["max_length_k"] = int(bounds.diff().max())
        batch["seq_idx"] = torch.repeat_interleave(torch.arange(len(starts), dtype=torch.int32), bounds.diff())[None]
        return batch

    @staticmethod
    def get_position_ids_from_packed_seq_lengths(batch_seq_lengths: list[list[int]]) -> list[Tensor]:
        """Return positions of packed rows, given the lengths of the documents in each."""
        return [torch.cat([torch.arange(length) for length in row]) for row in batch_seq_lengths]


def _cut(rows: list[list[int]], most: int | None, mode: str) -> list[list[int]]:
    if most is None:
        return rows
    return [row[:most] if mode == "keep_start" else row[-most:] for row in rows]


@dataclass
class DataCollatorForPreference:
    """Makes batches of preferences: every prompt with its chosen answer, then every prompt with its rejected one.

    Args:
        pad_token_id: fills the gaps.
        max_length: longer rows are cut off.
        truncation_mode: ``"keep_start"`` cuts at the end, ``"keep_end"`` at the beginning.
        pad_to_multiple_of: width of the batch.
        return_tensors: ``"pt"``.

    Example:
        >>> batch = DataCollatorForPreference(0)([{"prompt_ids": [1], "chosen_ids": [2, 3], "rejected_ids": [4]}])
        >>> batch["input_ids"].tolist(), batch["completion_mask"].tolist()
        ([[1, 2, 3], [1, 4, 0]], [[0, 1, 1], [0, 1, 0]])
    """

    pad_token_id: int
    max_length: int | None = None
    truncation_mode: str = "keep_start"
    pad_to_multiple_of: int | None = None
    return_tensors: str = "pt"

    def __call__(self, features: Rows) -> dict[str, Tensor]:
        ids, marks = [], []
        for name in ("chosen_ids", "rejected_ids"):
            for row in features:
                prompt, answer = list(row["prompt_ids"]), list(row[name])
                ids.append(prompt + answer)
                marks.append([0] * len(prompt) + [1] * len(answer))
        ids, marks = (_cut(rows, self.max_length, self.truncation_mode) for rows in (ids, marks))
        multiple = self.pad_to_multiple_of
        batch = {
            "input_ids": padded(ids, self.pad_token_id, multiple),
            "attention_mask": padded([[1] * len(row) for row in ids], 0, multiple),
            "completion_mask": padded(marks, 0, multiple),
        }
        for name in ("ref_chosen_logps", "ref_rejected_logps"):
            if name in features[0]:
                batch[name] = torch.tensor(np.asarray([row[name] for row in features]), dtype=torch.float32)
        return batch


@dataclass
class DataCollatorForUnpairedPreference:
    """Makes batches of answers that are good or bad, and of the same answers after other prompts.

    The mismatched pairs tell how far the policy has moved from its reference in general.

    Args:
        pad_token_id: fills the gaps.
        max_length: longer rows are cut off at the end.
        pad_to_multiple_of: width of the batch.
        return_tensors: ``"pt"``.
    """

    pad_token_id: int
    max_length: int | None = None
    pad_to_multiple_of: int | None = None
    return_tensors: str = "pt"

    def __call__(self, features: Rows) -> dict[str, Any]:
        batch: dict[str, Any] = {}
        for prefix, answer in (("", "completion_ids"), ("KL_", "KL_completion_ids")):
            if answer not in features[0]:
                continue
            ids = [list(row["prompt_ids"]) + list(row[answer]) for row in features]
            marks = [[0] * len(row["prompt_ids"]) + [1] * len(row[answer]) for row in features]
            ids, marks = (_cut(rows, self.max_length, "keep_start") for rows in (ids, marks))
            multiple = self.pad_to_multiple_of
            batch[f"{prefix}input_ids"] = padded(ids, self.pad_token_id, multiple)
            batch[f"{prefix}attention_mask"] = padded([[1] * len(row) for row in ids], 0, multiple)
            batch[f"{prefix}completion_mask"] = padded(marks, 0, multiple)
        batch["label"] = torch.tensor([bool(row["label"]) for row in features])
        for name in ("ref_logps", "ref_KL_logps"):
            if name in features[0]:
                batch[name] = torch.tensor(np.asarray([row[name] for row in features]), dtype=torch.float32)
        return batch
