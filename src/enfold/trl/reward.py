"""Reward models: a number for every answer, learnt from which of two people prefer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from enfold.trl.base import AlignmentTrainer
from enfold.trl.collators import padded
from enfold.trl.formats import column_names, is_conversational, require_columns, template_options, token_ids
from enfold.trl.losses.preference import reward_loss
from enfold.trl.preparing import AlignmentError, kept, mapped
from enfold.trl.settings import AlignmentConfig, settings

__all__ = ["DataCollatorForPreference", "RewardConfig", "RewardTrainer"]


@dataclass
class DataCollatorForPreference:
    """Makes batches of whole texts: the chosen ones, then the rejected ones.

    Args:
        pad_token_id: fills the gaps.
        pad_to_multiple_of: width of the batch.
        return_tensors: ``"pt"``.
    """

    pad_token_id: int
    pad_to_multiple_of: int | None = None
    return_tensors: str = "pt"

    def __call__(self, features: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
        ids = [list(row[name]) for name in ("chosen_ids", "rejected_ids") for row in features]
        batch = {
            "input_ids": padded(ids, self.pad_token_id, self.pad_to_multiple_of),
            "attention_mask": padded([[1] * len(row) for row in ids], 0, self.pad_to_multiple_of),
        }
        if "margin" in features[0]:
            batch["margin"] = torch.tensor([row["margin"] for row in features], dtype=torch.float32)
        return batch


@settings
class RewardConfig(AlignmentConfig):
    """How a :class:`RewardTrainer` trains.

    Args:
        max_length: rows with a longer text are left out (1024).
        center_rewards_coefficient: weight of the term that keeps rewards around zero; 0.01 is usual.
    """

    learning_rate: float = 1e-4
    center_rewards_coefficient: float | None = None


class RewardTrainer(AlignmentTrainer):
    """Trains a model with one output on preferences.

    Args:
        model: a classifier with ``num_labels=1``, or the name of a model to make one of.
        args, kwargs: as of :class:`~enfold.trl.base.AlignmentTrainer`.

    Example:
        >>> from enfold.trl import RewardTrainer
        >>> RewardTrainer("Qwen/Qwen3-0.6B", train_dataset=pairs).train()  # doctest: +SKIP

    Source: https://arxiv.org/abs/2203.02155
    """

    args: RewardConfig
    config_class: ClassVar[type[Any]] = RewardConfig
    columns = ("chosen_ids", "rejected_ids", "margin")
    architecture = "AutoModelForSequenceClassification"
    method = "Reward"

    def _loaded(self, model: Any, args: Any, quantization_config: Any) -> nn.Module:
        if isinstance(model, str):
            args.model_init_kwargs = {"num_labels": 1, **(args.model_init_kwargs or {})}
        loaded = super()._loaded(model, args, quantization_config)
        outputs = getattr(getattr(loaded, "config", None), "num_labels", None)
        if outputs != 1:
            raise AlignmentError(f"a reward model has num_labels=1, one number for a text; this one has {outputs}")
        return loaded

    def _collator(self) -> Callable[..., Any]:
        return DataCollatorForPreference(self.pad_token_id, self.args.pad_to_multiple_of)  # type: ignore[arg-type]

    def _prepared(self, dataset: Any, name: str) -> Any:
        args, tokenizer = self.args, self.processing_class
        older = {"chosen_input_ids": "chosen_ids", "rejected_input_ids": "rejected_ids"}
        for old in [old for old in older if old in column_names(dataset)]:
            dataset = dataset.rename_column(old, older[old])
        if not {"chosen_ids", "rejected_ids"} <= set(column_names(dataset)):
            require_columns(dataset, ["chosen", "rejected"], trainer=type(self).__name__)
            end = self.text_tokenizer.eos_token or ""

            def read(row: dict[str, Any]) -> dict[str, Any]:
                made = {}
                for side in ("chosen", "rejected"):
                    text = row[side]
                    if isinstance(text, str) and not text.endswith(end):
                        text = text + end
                    whole = row["prompt"] + text if "prompt" in row else text
                    options = template_options(row) if is_conversational({"messages": whole}) else {}
                    made[f"{side}_ids"] = token_ids(tokenizer, whole, **options)["input_ids"]
                return made

            drop = [column for column in column_names(dataset) if column not in self.columns]
            dataset = mapped(dataset, read, f"Tokenizing {name}", args.dataset_num_proc, remove_columns=drop)
        most = args.max_length
        if most is not None:

            def fits(row: dict[str, Any]) -> bool:
                return len(row["chosen_ids"]) <= most and len(row["rejected_ids"]) <= most

            dataset = kept(dataset, fits, "leaving out long texts", args.dataset_num_proc)
        return dataset

    def batch_loss(self, model: nn.Module, inputs: dict[str, Any]) -> Tensor:
        """Return the loss of a batch: chosen texts in its first half, rejected ones in its second."""
        ids, mask = inputs["input_ids"], inputs["attention_mask"]
        with self.packed(model, mask, ids.masked_fill(mask == 0, -100)):
            out = model(input_ids=ids, attention_mask=mask, use_cache=False)
        rewards = (out["logits"] if isinstance(out, dict) else out[0]).squeeze(-1)
        chosen, rejected = rewards.chunk(2)
        self.count_tokens(int(mask.sum()))
        self.measure(
            min_reward=rewards.min(),
            mean_reward=rewards,
            max_reward=rewards.max(),
            accuracy=(chosen > rejected).float(),
            margin=chosen - rejected,
        )
        return reward_loss(chosen, rejected, inputs.get("margin"), self.args.center_rewards_coefficient)
