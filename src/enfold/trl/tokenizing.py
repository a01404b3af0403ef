"""Preferences and prompts as token ids: the part of their preparation that several trainers share."""

from __future__ import annotations

from typing import Any

from enfold.trl.formats import (
    column_names,
    extract_prompt,
    is_conversational,
    require_columns,
    shared_prefix,
    template_options,
    token_ids,
)
from enfold.trl.preparing import kept, mapped

__all__ = ["answers", "tokenized_preferences"]


def answers(tokenizer: Any, row: dict[str, Any], *names: str) -> tuple[list[int], list[list[int]]]:
    """Return a row's prompt as ids, and its answers after it.

    The prompt is what it shares with every whole text: some templates, and some merges of tokens, write its end
    otherwise when an answer follows.

    Args:
        tokenizer: tokenizer or processor.
        row: has ``prompt`` and the answers.
        names: the answers' columns.
    """
    if is_conversational({"prompt": row["prompt"]}):
        options = template_options(row)
        prompt = token_ids(tokenizer, row["prompt"], add_generation_prompt=True, **options)["input_ids"]
        wholes = [token_ids(tokenizer, row["prompt"] + row[name], **options)["input_ids"] for name in names]
    else:
        prompt = token_ids(tokenizer, row["prompt"])["input_ids"]
        wholes = [token_ids(tokenizer, row["prompt"] + row[name])["input_ids"] for name in names]
    length = min(shared_prefix(prompt, whole) for whole in wholes)
    return list(prompt[:length]), [list(whole[length:]) for whole in wholes]


def tokenized_preferences(trainer: Any, dataset: Any, name: str) -> Any:
    """Return preferences as ``prompt_ids``, ``chosen_ids`` and ``rejected_ids``.

    Args:
        trainer: whose tokenizer and arguments count.
        dataset: with ``chosen``, ``rejected`` and perhaps ``prompt``; one with ids already is only cut.
        name: of the data set, for the progress.
    """
    args, tokenizer = trainer.args, trainer.processing_class
    if not {"prompt_ids", "chosen_ids", "rejected_ids"} <= set(column_names(dataset)):
        require_columns(dataset, ["chosen", "rejected"], trainer=type(trainer).__name__)
        end = trainer.text_tokenizer.eos_token or ""

        def read(row: dict[str, Any]) -> dict[str, Any]:
            if "prompt" not in row:
                row = {**row, **extract_prompt(row)}
            if not is_conversational({"prompt": row["prompt"]}):
                finished = {
                    key: row[key] if row[key].endswith(end) else row[key] + end for key in ("chosen", "rejected")
                }
                row = {**row, **finished}
            prompt, (chosen, rejected) = answers(tokenizer, row, "chosen", "rejected")
            last = trainer.text_tokenizer.eos_token_id
            if getattr(trainer, "always_ends", False) and last is not None:
                chosen, rejected = (ids if ids[-1:] == [last] else [*ids, last] for ids in (chosen, rejected))
            longest = getattr(args, "max_prompt_length", None)
            if longest is not None:
                prompt = prompt[-longest:]
            return {"prompt_ids": prompt, "chosen_ids": chosen, "rejected_ids": rejected}

        drop = [column for column in column_names(dataset) if column not in trainer.columns]
        dataset = mapped(dataset, read, f"Tokenizing {name}", args.dataset_num_proc, remove_columns=drop)
    most = args.max_length
    if most is not None and args.truncation_mode == "keep_start":
        # the rest of such rows would be cut off: nothing of their answers is left to learn from
        dataset = kept(dataset, lambda row: len(row["prompt_ids"]) < most, "truncation", args.dataset_num_proc)
    return dataset
