"""Collators: padding from lists and from flat buffers, labels, masks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from enfold.transformers.trainer import (
    DataCollatorForLanguageModeling,
    DataCollatorForSeq2Seq,
    DataCollatorForTokenClassification,
    DataCollatorWithPadding,
    default_data_collator,
)
from enfold.transformers.trainer.batches import build_loader, length_grouped_indices
from enfold.transformers.trainer.collators import CollateError
from enfold.transformers.trainer.columns import ColumnTable, Ragged, RaggedRows, pad_ragged


class Tokenizer:
    """What collators ask of a tokenizer."""

    pad_token_id: int | None = 9
    pad_token_type_id = 0
    padding_side = "right"
    model_input_names = ["input_ids", "attention_mask"]
    mask_token = "[MASK]"
    all_special_ids = [9, 1]

    def __len__(self) -> int:
        return 50

    def convert_tokens_to_ids(self, token: str) -> int:
        return 49


class Arrow:
    """A data set that keeps an Arrow table."""

    def __init__(self, table: pa.Table) -> None:
        self.table, self.column_names, self.format = table, table.column_names, {"type": None}

    def __len__(self) -> int:
        return self.table.num_rows

    def __getitem__(self, key: Any) -> Any:
        return self.table

    def with_format(self, kind: str) -> Arrow:
        return self


@given(st.lists(st.lists(st.integers(-5, 5), max_size=6), min_size=1, max_size=6), st.sampled_from(["left", "right"]))
def test_padding_keeps_every_value_in_its_place(lists: list[list[int]], side: str) -> None:
    padded = pad_ragged(Ragged.from_rows(lists), 7, side=side)
    width = max(map(len, lists))
    for row, values in zip(lists, padded, strict=True):
        gap = [7] * (width - len(row))
        assert values.tolist() == (gap + row if side == "left" else row + gap)


def test_rows_are_padded_to_the_longest_and_get_a_mask() -> None:
    batch = DataCollatorWithPadding(Tokenizer())([{"input_ids": [2, 3], "label": 1}, {"input_ids": [4], "label": 0}])
    assert batch["input_ids"].tolist() == [[2, 3], [4, 9]]
    assert batch["attention_mask"].tolist() == [[1, 1], [1, 0]]
    assert batch["labels"].tolist() == [1, 0] and "label" not in batch


def test_width_can_be_fixed_or_rounded_up() -> None:
    features = [{"input_ids": [2, 3]}, {"input_ids": [4]}]
    assert DataCollatorWithPadding(Tokenizer(), pad_to_multiple_of=8)(features)["input_ids"].shape == (2, 8)
    fixed = DataCollatorWithPadding(Tokenizer(), padding="max_length", max_length=5)
    assert fixed(features)["attention_mask"].sum(1).tolist() == [2, 1]
    assert fixed(features)["input_ids"].shape == (2, 5)


def test_a_tokenizer_without_a_padding_token_is_explained() -> None:
    tokenizer = Tokenizer()
    tokenizer.pad_token_id = None
    with pytest.raises(CollateError, match="pad_token"):
        DataCollatorWithPadding(tokenizer)([{"input_ids": [2, 3]}, {"input_ids": [4]}])


def test_a_column_of_text_or_of_uneven_rows_is_named() -> None:
    with pytest.raises(CollateError, match="'text'"):
        DataCollatorWithPadding(Tokenizer())([{"input_ids": [2], "text": "a"}])
    with pytest.raises(RaggedRows, match="'x'"):
        default_data_collator([{"x": [1, 2]}, {"x": [1]}])


def test_labels_of_tokens_are_filled_with_the_ignored_one() -> None:
    features = [{"input_ids": [2, 3], "labels": [0, 1]}, {"input_ids": [4], "labels": [2]}]
    assert DataCollatorForTokenClassification(Tokenizer())(features)["labels"].tolist() == [[0, 1], [2, -100]]


def test_targets_are_padded_to_the_longest_target() -> None:
    features = [{"input_ids": [2, 3, 4], "labels": [5]}, {"input_ids": [4], "labels": [6, 7]}]
    batch = DataCollatorForSeq2Seq(Tokenizer())(features)
    assert batch["input_ids"].shape == (2, 3)
    assert batch["labels"].tolist() == [[5, -100], [6, 7]]


def test_causal_labels_are_the_tokens_without_the_gaps() -> None:
    batch = DataCollatorForLanguageModeling(Tokenizer(), mlm=False)([{"input_ids": [2, 3]}, {"input_ids": [4]}])
    assert batch["labels"].tolist() == [[2, 3], [4, -100]]


def test_masked_tokens_are_hidden_in_the_given_shares() -> None:
    torch.manual_seed(0)
    ids = torch.randint(2, 9, (200, 100))
    ids[:, 0] = 1
    shown, labels = DataCollatorForLanguageModeling(Tokenizer()).mask_tokens(ids)
    hidden = labels != -100
    assert not hidden[:, 0].any()
    assert abs(hidden[:, 1:].float().mean().item() - 0.15) < 0.01
    assert abs((shown[hidden] == 49).float().mean().item() - 0.8) < 0.02
    assert torch.equal(shown[~hidden], ids[~hidden])
    assert torch.equal(labels[hidden], ids[hidden])


def test_a_seed_makes_masking_repeatable() -> None:
    ids = torch.randint(2, 9, (5, 9))
    first, second = (DataCollatorForLanguageModeling(Tokenizer(), seed=3).mask_tokens(ids)[0] for _ in range(2))
    assert torch.equal(first, second)


def table() -> pa.Table:
    parts = [
        {"input_ids": [[1, 2, 3], [4]], "label": [0, 1], "skip": ["a", "b"]},
        {"input_ids": [[], [5, 6]], "label": [1, 0], "skip": ["c", "d"]},
    ]
    return pa.concat_tables([pa.table(part) for part in parts]).slice(0, 4)


@pytest.mark.parametrize("cut", [slice(0, 4), slice(1, 4)])
def test_columns_from_arrow_give_the_same_batch_as_rows(cut: slice) -> None:
    whole = table().slice(cut.start, cut.stop - cut.start)
    collator = DataCollatorWithPadding(Tokenizer())
    columns = ColumnTable.of(Arrow(whole), ["input_ids", "label"])
    assert columns is not None
    order = [2, 0, 1]
    fast = collator.collate_columns(columns.take(order))
    rows = whole.select(["input_ids", "label"]).to_pylist()
    slow = collator([rows[index] for index in order])
    assert set(fast) == set(slow)
    for name in fast:
        assert torch.equal(fast[name], slow[name]), name


def test_columns_with_gaps_or_text_are_left_to_rows() -> None:
    assert ColumnTable.of(Arrow(pa.table({"x": [1, None]})), ["x"]) is None
    assert ColumnTable.of(Arrow(pa.table({"x": ["a", "b"]})), ["x"]) is None
    assert ColumnTable.of([1, 2], ["x"]) is None


def test_a_loader_over_arrow_never_asks_for_single_rows() -> None:
    loader = build_loader(
        Arrow(table()), DataCollatorWithPadding(Tokenizer()), batch_size=3, columns=["input_ids", "label"]
    )
    assert [batch["labels"].tolist() for batch in loader] == [[0, 1, 1], [0]]
    assert len(loader) == 2


def test_grouping_by_length_reads_every_row_once_and_pads_less() -> None:
    lengths = np.random.default_rng(0).integers(1, 100, 500)
    order = length_grouped_indices(lengths, 10, generator=torch.Generator().manual_seed(0))
    assert sorted(order) == list(range(500))
    assert lengths[order[0]] == lengths.max()
    grouped = sum(10 * lengths[order[i : i + 10]].max() for i in range(0, 500, 10))
    plain = sum(10 * lengths[i : i + 10].max() for i in range(0, 500, 10))
    assert grouped < 0.8 * plain
