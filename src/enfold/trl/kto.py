"""Answers that are good or bad, without pairs: Kahneman-Tversky optimization, and binary classifier optimization."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from enfold.accelerate.operations import gather
from enfold.errors import nearest
from enfold.log import get_logger
from enfold.progress import Progress
from enfold.trl.base import ReferenceTrainer
from enfold.trl.collators import DataCollatorForUnpairedPreference
from enfold.trl.formats import (
    column_names,
    extract_prompt,
    is_conversational,
    maybe_unpair_preference_dataset,
    require_columns,
)
from enfold.trl.logprobs import Scores
from enfold.trl.losses.preference import unpaired_loss
from enfold.trl.preparing import AlignmentError, kept, mapped
from enfold.trl.settings import AlignmentConfig, settings
from enfold.trl.tokenizing import answers

__all__ = ["BCOConfig", "BCOTrainer", "KTOConfig", "KTOTrainer"]

logger = get_logger(__name__)
KINDS = ("kto", "apo_zero_unpaired")


@settings
class UnpairedConfig(AlignmentConfig):
    """What trainings on good and bad answers share.

    Args:
        beta: how closely the policy is held to the reference (0.1).
        precompute_ref_log_probs, precompute_ref_batch_size: ask the reference once, before training.
        sync_ref_model, ref_model_mixup_alpha, ref_model_sync_steps: let the reference follow the policy.
    """

    learning_rate: float = 1e-6
    beta: float = 0.1
    precompute_ref_log_probs: bool = False
    precompute_ref_batch_size: int | None = None
    sync_ref_model: bool = False
    ref_model_mixup_alpha: float = 0.6
    ref_model_sync_steps: int = 512


@settings
class KTOConfig(UnpairedConfig):
    """How a :class:`KTOTrainer` trains.

    Args:
        loss_type: ``"kto"`` or ``"apo_zero_unpaired"``.
        desirable_weight, undesirable_weight: of good and bad answers; their products with the counts should be alike.
        train_sampling_strategy: ``sequential``, so that a batch's mismatched answers are its own.
    """

    loss_type: str = "kto"
    desirable_weight: float = 1.0
    undesirable_weight: float = 1.0
    train_sampling_strategy: str = "sequential"

    def __post_init__(self) -> None:
        if self.loss_type not in KINDS:
            raise ValueError(
                f"loss_type is one of {', '.join(KINDS)}, not {self.loss_type!r}{nearest(self.loss_type, KINDS)}"
            )
        super().__post_init__()


class UnpairedTrainer(ReferenceTrainer):
    """What trainers on good and bad answers share: their rows, and asking both models."""

    args: Any
    columns = ("prompt_ids", "completion_ids", "KL_completion_ids", "label", "ref_logps", "ref_KL_logps")

    def __init__(self, *positional: Any, **kwargs: Any) -> None:
        super().__init__(*positional, **kwargs)
        if self.args.precompute_ref_log_probs:
            self.train_dataset = self._precomputed(self.train_dataset)
            rows = self.eval_dataset
            if isinstance(rows, dict):
                self.eval_dataset = {name: self._precomputed(part) for name, part in rows.items()}
            elif rows is not None:
                self.eval_dataset = self._precomputed(rows)

    def mismatches(self) -> bool:
        """Whether the loss reads answers after other prompts."""
        return False

    def _collator(self) -> Callable[..., Any]:
        return DataCollatorForUnpairedPreference(self.pad_token_id, self.args.max_length, self.args.pad_to_multiple_of)

    def _prepared(self, dataset: Any, name: str) -> Any:
        args, tokenizer, owner = self.args, self.processing_class, type(self).__name__
        if not {"prompt_ids", "completion_ids"} <= set(column_names(dataset)):
            require_columns(dataset, ["prompt", "completion", "label"], ["chosen", "rejected"], trainer=owner)
            if "prompt" not in column_names(dataset):
                dataset = mapped(dataset, extract_prompt, f"Finding prompts of {name}", args.dataset_num_proc)
            dataset = maybe_unpair_preference_dataset(dataset)
            end = self.text_tokenizer.eos_token or ""

            def read(row: dict[str, Any]) -> dict[str, Any]:
                text = row["completion"]
                if not is_conversational({"prompt": row["prompt"]}) and not text.endswith(end):
                    row = {**row, "completion": text + end}
                prompt, (answer,) = answers(tokenizer, row, "completion")
                return {"prompt_ids": prompt, "completion_ids": answer}

            drop = [column for column in column_names(dataset) if column not in self.columns]
            dataset = mapped(dataset, read, f"Tokenizing {name}", args.dataset_num_proc, remove_columns=drop)
        most = args.max_length
        if most is not None:
            dataset = kept(dataset, lambda row: len(row["prompt_ids"]) < most, "truncation", args.dataset_num_proc)
        if self.mismatches():

            def rotate(batch: dict[str, Any]) -> dict[str, Any]:
                given = list(batch["completion_ids"])
                return {"KL_completion_ids": [given[-1], *given[:-1]]}

            # Within a batch each prompt gets its neighbour's answer: the batch that estimates is the one that learns.
            dataset = dataset.map(rotate, batched=True, batch_size=args.per_device_train_batch_size)
        return dataset

    def _read(self, model: nn.Module, inputs: dict[str, Any], prefix: str = "") -> Scores:
        ids, mask = inputs[f"{prefix}input_ids"], inputs[f"{prefix}attention_mask"]
        return self.scored(model, ids, mask, ids.masked_fill(inputs[f"{prefix}completion_mask"] == 0, -100))

    def compute_ref_log_probs(self, inputs: dict[str, Any]) -> tuple[Tensor, Tensor | None]:
        """Return how likely the reference finds a batch's answers, and those after other prompts."""
        with self.reference() as model, self.compute_loss_context_manager():
            other = self._read(model, inputs, "KL_").per_row() if "KL_input_ids" in inputs else None
            return self._read(model, inputs).per_row(), other

    def _precomputed(self, dataset: Any) -> Any:
        if not hasattr(dataset, "add_column"):
            raise AlignmentError("precompute_ref_log_probs needs a table of rows, not a stream")
        size = self.args.precompute_ref_batch_size or self.args.per_device_eval_batch_size
        rows = DataLoader(dataset, batch_size=size, collate_fn=self.data_collator)
        found: dict[str, list[float]] = {"ref_logps": [], "ref_KL_logps": []}
        with Progress(len(rows), "Asking the reference") as shown:
            for inputs in rows:
                for name, values in zip(found, self.compute_ref_log_probs(self._prepare_inputs(inputs)), strict=True):
                    found[name] += [] if values is None else values.tolist()
                shown.advance()
        for name, column in found.items():
            dataset = dataset.add_column(name, column) if column else dataset
        return dataset

    def _report(self, found: Scores, ratio: Tensor, good: Tensor, tokens: int) -> None:
        """Note what belongs to good answers and to bad ones."""
        self.count_tokens(tokens)
        self.measure(entropy=found.mean(found.entropy))
        rewards = self.args.beta * ratio.detach()
        for name, rows in (("chosen", good), ("rejected", ~good)):
            if bool(rows.any()):
                part = Scores(*(item[rows] for item in found))
                self.measure(**{f"logits__{name}": part.mean(part.mean_logits)})
                self.measure(**{f"rewards__{name}": rewards[rows], f"logps__{name}": part.per_row()})
        if bool(good.any()) and not bool(good.all()):
            self.measure(rewards__margins=rewards[good].mean() - rewards[~good].mean())


class KTOTrainer(UnpairedTrainer):
    """Trains a causal language model on good and bad answers.

    Args:
        args, kwargs: as of :class:`~enfold.trl.base.ReferenceTrainer`.

    Example:
        >>> from enfold.trl import KTOTrainer
        >>> KTOTrainer("gpt2", train_dataset=answers).train()  # doctest: +SKIP

    Source: https://arxiv.org/abs/2402.01306
    """

    args: KTOConfig
    config_class: ClassVar[type[Any]] = KTOConfig
    method = "KTO"

    def mismatches(self) -> bool:
        """Whether the loss reads answers after other prompts."""
        if self.args.loss_type == "kto" and self.args.per_device_train_batch_size < 2:
            raise AlignmentError("KTO compares the answers of a batch: per_device_train_batch_size must be at least 2")
        return self.args.loss_type == "kto"

    def batch_loss(self, model: nn.Module, inputs: dict[str, Any]) -> Tensor:
        """Return the mean loss of a batch's answers."""
        args, good = self.args, inputs["label"].bool()
        with torch.no_grad():
            moved = self._read(model, inputs, "KL_").per_row() if self.mismatches() else None
        found = self._read(model, inputs)
        if "ref_logps" in inputs:
            ref, ref_moved = inputs["ref_logps"], inputs.get("ref_KL_logps")
        else:
            ref, ref_moved = self.compute_ref_log_probs(inputs)
        baseline = torch.zeros(1)
        if moved is not None and ref_moved is not None:
            baseline = (moved - ref_moved).mean().detach().reshape(1)
            baseline = (gather(baseline) if args.world_size > 1 else baseline).mean().clamp(min=0)
        ratio = found.per_row() - ref
        weights = (args.desirable_weight, args.undesirable_weight)
        self.measure(kl=baseline)
        self._report(found, ratio, good, int(inputs["attention_mask"].sum()))
        return unpaired_loss(ratio, good, args.beta, baseline, args.loss_type, weights).mean()


@settings
class BCOConfig(UnpairedConfig):
    """How a :class:`BCOTrainer` trains.

    Args:
        prompt_sample_size, min_density_ratio, max_density_ratio: of weighing bad answers as the good ones' prompts are
            distributed; used with an ``embedding_func``.
    """

    learning_rate: float = 5e-7
    prompt_sample_size: int = 1024
    min_density_ratio: float = 0.5
    max_density_ratio: float = 10.0


class BCOTrainer(UnpairedTrainer):
    """Trains a causal language model to be a classifier of good and bad answers.

    Args:
        args, kwargs: as of :class:`~enfold.trl.base.ReferenceTrainer`.

    Source: https://arxiv.org/abs/2404.04656
    """

    args: BCOConfig
    config_class: ClassVar[type[Any]] = BCOConfig
    method = "BCO"
    _seen: float = 1e-24  # answers so far, of which `_delta` is the mean reward
    _delta: float = 0.0

    def batch_loss(self, model: nn.Module, inputs: dict[str, Any]) -> Tensor:
        """Return the mean loss of a batch's answers, compared with the mean reward so far."""
        args, good, found = self.args, inputs["label"].bool(), self._read(model, inputs)
        ref = inputs["ref_logps"] if "ref_logps" in inputs else self.compute_ref_log_probs(inputs)[0]
        ratio = found.per_row() - ref
        if model.training:
            rewards = (args.beta * ratio).detach()
            rewards = gather(rewards) if args.world_size > 1 else rewards
            total = self._seen + len(rewards)
            self._delta += float(rewards.mean() - self._delta) * len(rewards) / total
            self._seen = total
        self.measure(delta=self._delta)
        self._report(found, ratio, good, int(inputs["attention_mask"].sum()))
        return unpaired_loss(ratio, good, args.beta, self._delta / args.beta, "bco").mean()
