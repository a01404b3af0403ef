"""Batches that both sides make of the same rows: uses only names that both have."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import torch

TEXTS = [
    "unbelievably good films are remembered",
    "a bad one",
    "the acting was wonderful and the story moved everyone in the cinema",
    "forgettable",
]


def _plain(batch: Any) -> dict[str, Any]:
    return {name: np.asarray(value).tolist() for name, value in batch.items()}


def batches(library: Any, folder: str) -> dict[str, Any]:
    """Every collator's batch of the same rows."""
    tokenizer = library.AutoTokenizer.from_pretrained(folder)
    rows = [{"input_ids": tokenizer(text)["input_ids"]} for text in TEXTS]
    even = [{"input_ids": (row["input_ids"] * 4)[:12]} for row in rows]
    targets = [{**row, "labels": row["input_ids"][1:-1]} for row in rows]
    labelled = [{**row, "labels": list(range(len(row["input_ids"])))} for row in rows]
    special = [tokenizer(text, return_special_tokens_mask=True) for text in TEXTS]
    wide = {
        "return_special_tokens_mask": True,
        "return_offsets_mapping": True,
        "padding": "max_length",
        "max_length": 16,
    }
    offsets = [tokenizer(text, **wide) for text in TEXTS]
    choices = [{"input_ids": [a["input_ids"], b["input_ids"]], "label": 1} for a, b in itertools.pairwise(rows)]
    made: dict[str, Any] = {}

    def note(name: str, collator: Any, given: list[Any]) -> None:
        torch.manual_seed(11)
        made[name] = _plain(collator([dict(row) for row in given]))

    model = library.DataCollatorForLanguageModeling
    note("masked", model(tokenizer), rows)
    note("masked, seeded", model(tokenizer, seed=5, mlm_probability=0.4, pad_to_multiple_of=8), special)
    note("masked, mixed", model(tokenizer, mlm_probability=0.5, mask_replace_prob=0.5, random_replace_prob=0.4), rows)
    note("whole words", model(tokenizer, whole_word_mask=True, mlm_probability=0.4), offsets)
    note("causal", model(tokenizer, mlm=False), rows)
    note("permuted", library.DataCollatorForPermutationLanguageModeling(tokenizer), even)
    note("permuted, long", library.DataCollatorForPermutationLanguageModeling(tokenizer, 0.4, 3), even)
    flat = library.DataCollatorWithFlattening
    note("flat", flat(), rows)
    more = {"return_flash_attn_kwargs": True, "return_seq_idx": True, "position_ids_start": 2, "separator_id": -7}
    note("flat, all", flat(**more), labelled)
    note("choices", library.DataCollatorForMultipleChoice(tokenizer), choices)
    note("pairs", library.DataCollatorForSeq2Seq(tokenizer, pad_to_multiple_of=4), targets)
    note("tokens", library.DataCollatorForTokenClassification(tokenizer), labelled)
    return made
