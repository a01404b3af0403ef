"""Supervised fine-tuning: a model learns to write the texts of a data set."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, ClassVar

from torch import Tensor, nn

from enfold.errors import nearest
from enfold.log import get_logger
from enfold.trl.base import AlignmentTrainer
from enfold.trl.collators import DataCollatorForLanguageModeling
from enfold.trl.formats import (
    column_names,
    is_conversational,
    is_conversational_from_value,
    maybe_convert_to_chatml,
    require_columns,
    shared_prefix,
    template_options,
    token_ids,
)
from enfold.trl.logprobs import unflattened
from enfold.trl.losses.supervised import LOSSES, supervised_loss
from enfold.trl.packing import pack_dataset
from enfold.trl.preparing import AlignmentError, kept, mapped
from enfold.trl.settings import AlignmentConfig, settings
from enfold.trl.templates import has_generation_markers, turn_masks

__all__ = ["SFTConfig", "SFTTrainer"]

logger = get_logger(__name__)
MASKS = ("completion_mask", "assistant_masks")


@settings
class SFTConfig(AlignmentConfig):
    """How an :class:`SFTTrainer` trains.

    Args:
        dataset_text_field: column of text (``text``).
        max_length: longer rows are cut off (1024); None leaves them. With packing, the length of a packed row.
        truncation_mode: ``"keep_start"`` or ``"keep_end"``.
        packing, packing_strategy, eval_packing: see :func:`enfold.trl.pack_dataset`; documents never see each other.
        padding_free: put the rows of a batch one after another.
        completion_only_loss: learn the completions alone; by default where rows have prompts and completions.
        assistant_only_loss: learn the assistant's turns alone.
        loss_type: ``"nll"`` or ``"dft"`` (https://arxiv.org/abs/2508.05629).
        shuffle_dataset: shuffle the rows before they are packed.
        dataset_kwargs: ``{"skip_prepare_dataset": True}`` for rows that the collator takes as they are.

    Example:
        >>> SFTConfig("out", max_seq_length=512).max_length
        512
    """

    learning_rate: float = 2e-5
    dataset_text_field: str = "text"
    dataset_kwargs: Any = None
    shuffle_dataset: bool = False
    packing: bool = False
    packing_strategy: str = "bfd"
    padding_free: bool = False
    eval_packing: bool | None = None
    completion_only_loss: bool | None = None
    assistant_only_loss: bool = False
    loss_type: str = "nll"
    disable_dropout: bool = False

    def __post_init__(self) -> None:
        self.loss_type = {"chunked_nll": "nll"}.get(self.loss_type, self.loss_type)
        self.packing_strategy = {"bfd-requeue": "bfd_split", "ffd": "bfd"}.get(
            self.packing_strategy, self.packing_strategy
        )
        if self.loss_type not in LOSSES:
            raise ValueError(
                f"loss_type is one of {', '.join(LOSSES)}, not {self.loss_type!r}{nearest(self.loss_type, LOSSES)}"
            )
        super().__post_init__()


class SFTTrainer(AlignmentTrainer):
    """Trains a causal language model on texts, conversations, or prompts with completions.

    Args:
        formatting_func: row → text (or a list of texts of a batch's rows), for data sets of other columns.
        dataset_text_field, max_seq_length, packing: as arguments of the trainer, where older programs give them.
        args, kwargs: as of :class:`~enfold.trl.base.AlignmentTrainer`.

    Example:
        >>> from enfold.trl import SFTTrainer
        >>> trainer = SFTTrainer("gpt2", train_dataset=rows)  # doctest: +SKIP
        >>> trainer.train()  # doctest: +SKIP
    """

    args: SFTConfig
    config_class: ClassVar[type[Any]] = SFTConfig
    columns = ("input_ids", "labels", "seq_lengths")
    method = "SFT"

    def __init__(
        self,
        model: Any = None,
        args: Any = None,
        *positional: Any,
        formatting_func: Callable[[dict[str, Any]], str] | None = None,
        dataset_text_field: str | None = None,
        max_seq_length: int | None = None,
        packing: bool | None = None,
        **kwargs: Any,
    ) -> None:
        older = {"dataset_text_field": dataset_text_field, "max_length": max_seq_length, "packing": packing}
        given = {name: value for name, value in older.items() if value is not None}
        if given:
            from enfold.trl.preparing import settled

            args = settled(args, SFTConfig, model, self.method)
            for name, value in given.items():
                setattr(args, name, value)
        self.formatting_func = formatting_func
        self._completions: bool | None = None
        super().__init__(model, args, *positional, **kwargs)
        if self.compute_loss_func is not None and self.args.loss_type == "dft":
            raise AlignmentError("loss_type='dft' is a loss of its own: leave out compute_loss_func")

    # --- data -----------------------------------------------------------------------------------------------------

    def _collator(self) -> Callable[..., Any]:
        packed = self.args.packing and self.args.packing_strategy != "wrapped"
        return DataCollatorForLanguageModeling(
            self.pad_token_id,
            padding_free=self.args.padding_free or packed,
            pad_to_multiple_of=self.args.pad_to_multiple_of,  # type: ignore[arg-type]
        )

    def _prepared(self, dataset: Any, name: str) -> Any:
        args = self.args
        ready = bool((args.dataset_kwargs or {}).get("skip_prepare_dataset"))
        packing = args.packing if name == "train" or args.eval_packing is None else args.eval_packing
        columns = column_names(dataset)
        if ready:
            if "labels" not in columns and set(MASKS) & set(columns):
                raise AlignmentError(
                    f"the {name} data set has masks and no labels, and skip_prepare_dataset makes none: it would learn "
                    "whole texts. Add labels, -100 where nothing is to be learnt"
                )
            return dataset
        if "input_ids" not in columns:
            dataset = self._tokenized(self._formatted(dataset, name), name)
        dataset = self._labelled(dataset, name)
        if args.max_length is not None and not packing:
            dataset = self._truncated(dataset, args.max_length, name)
        if args.shuffle_dataset:
            dataset = dataset.shuffle(seed=args.seed)
        if packing:
            if args.max_length is None:
                raise AlignmentError("packing needs max_length, the length of a packed row")
            dataset = pack_dataset(
                dataset.select_columns(["input_ids", "labels"]), args.max_length, args.packing_strategy
            )
        return dataset

    def _formatted(self, dataset: Any, name: str) -> Any:
        """Apply the caller's formatting, and bring conversations into the usual form."""
        format_row, field, processes = self.formatting_func, self.args.dataset_text_field, self.args.dataset_num_proc
        if format_row is not None:
            if self.args.completion_only_loss:
                raise AlignmentError(
                    "formatting_func makes whole texts, of which completion_only_loss knows no completion"
                )

            def as_text(row: dict[str, Any]) -> dict[str, Any]:
                text = format_row(row)
                return {field: text[0] if isinstance(text, list) else text}

            dataset = mapped(dataset, as_text, f"Formatting {name}", processes, remove_columns=column_names(dataset))
        if is_conversational_from_value(next(iter(dataset))):
            drop = ["conversations"]
            dataset = mapped(dataset, maybe_convert_to_chatml, f"Reading {name}", processes, remove_columns=drop)
        require_columns(dataset, [field], ["messages"], ["prompt", "completion"], trainer=type(self).__name__)
        return dataset

    def _tokenized(self, dataset: Any, name: str) -> Any:
        tokenizer, field, turns = self.processing_class, self.args.dataset_text_field, self.args.assistant_only_loss
        end = self.text_tokenizer.eos_token or ""
        first = next(iter(dataset))
        chat = is_conversational(first)
        if turns and not chat:
            raise AlignmentError("assistant_only_loss needs conversations, and the data set holds text")
        marked = chat and has_generation_markers(getattr(tokenizer, "chat_template", None))

        def read(messages: list[dict[str, Any]], options: dict[str, Any]) -> dict[str, Any]:
            if not turns:
                return {"input_ids": token_ids(tokenizer, messages, **options)["input_ids"]}
            if marked:
                found = token_ids(tokenizer, messages, return_assistant_tokens_mask=True, **options)
            else:
                found = turn_masks(tokenizer, messages, **options)
            if 1 not in found["assistant_masks"]:
                raise AlignmentError("assistant_only_loss: a conversation has no assistant's turn to learn")
            return {key: found[key] for key in ("input_ids", "assistant_masks")}

        def with_prompt(row: dict[str, Any]) -> dict[str, Any]:
            prompt, completion = row["prompt"], row["completion"]
            if chat:
                options = template_options(row)
                before = token_ids(tokenizer, prompt, add_generation_prompt=True, **options)["input_ids"]
                made = read(prompt + completion, options)
            else:
                completion = completion if completion.endswith(end) else completion + end
                before = token_ids(tokenizer, prompt)["input_ids"]
                made = {"input_ids": token_ids(tokenizer, prompt + completion)["input_ids"]}
            length = shared_prefix(before, made["input_ids"])
            if length < len(before):
                logger.log(
                    logging.DEBUG, "a prompt's end is written otherwise before its completion: %s", before[length:]
                )
            made["completion_mask"] = [0] * length + [1] * (len(made["input_ids"]) - length)
            return made

        def whole(row: dict[str, Any]) -> dict[str, Any]:
            if chat:
                return read(row["messages"], template_options(row))
            text = row[field]
            return {"input_ids": token_ids(tokenizer, text if text.endswith(end) else text + end)["input_ids"]}

        wanted = with_prompt if "prompt" in first and "completion" in first else whole
        return mapped(
            dataset, wanted, f"Tokenizing {name}", self.args.dataset_num_proc, remove_columns=column_names(dataset)
        )

    def _labelled(self, dataset: Any, name: str) -> Any:
        """Add labels: the ids, and -100 where a mask says that nothing is to be learnt."""
        columns = column_names(dataset)
        if "labels" in columns:
            return dataset
        wants = self.args.completion_only_loss
        used = [mask for mask in MASKS if mask in columns and (mask == "assistant_masks" or wants is not False)]
        if wants and "completion_mask" not in columns:
            raise AlignmentError("completion_only_loss needs rows of prompt and completion")

        def label(row: dict[str, Any]) -> dict[str, Any]:
            counted = zip(row["input_ids"], *(row[mask] for mask in used), strict=True)
            return {"labels": [token if all(bits) else -100 for token, *bits in counted]}

        drop = [column for column in columns if column != "input_ids"]
        return mapped(dataset, label, f"Labelling {name}", self.args.dataset_num_proc, remove_columns=drop)

    def _truncated(self, dataset: Any, most: int, name: str) -> Any:
        part = slice(None, most) if self.args.truncation_mode == "keep_start" else slice(-most, None)

        def cut(row: dict[str, Any]) -> dict[str, Any]:
            return {"input_ids": row["input_ids"][part], "labels": row["labels"][part]}

        processes = self.args.dataset_num_proc
        dataset = mapped(dataset, cut, f"Truncating {name}", processes)
        return kept(dataset, lambda row: any(label != -100 for label in row["labels"]), "truncation", processes)

    # --- loss -----------------------------------------------------------------------------------------------------

    def batch_loss(self, model: nn.Module, inputs: dict[str, Any]) -> Tensor:
        """Return the mean loss of the labels that count."""
        inputs = unflattened(inputs, self.pad_token_id)
        ids, labels, mask = inputs["input_ids"], inputs["labels"], inputs.get("attention_mask")
        known = ("input_ids", "labels", "attention_mask", "position_ids", "seq_lengths")
        extra = {key: value for key, value in inputs.items() if key not in known}
        found = self.scored(model, ids, mask, labels, **extra)
        self.count_tokens(int(mask.sum()) if mask is not None else ids.numel())
        self.measure(entropy=found.mean(found.entropy), mean_token_accuracy=found.mean(found.top1))
        own = self.compute_loss_func
        if own is not None or self.label_smoother is not None:
            outputs = model(input_ids=ids, attention_mask=mask, **extra)
            if own is not None:
                return own(outputs, labels, num_items_in_batch=None)
            assert self.label_smoother is not None
            return self.label_smoother(outputs, labels, shift_labels=True)
        return supervised_loss(found.log_probs, found.mask, self.args.loss_type)

    def training_step(self, model: nn.Module, inputs: Any, num_items_in_batch: Any = None) -> Tensor:
        """Compute one batch's gradients and return its loss."""
        return super().training_step(model, inputs, None)
