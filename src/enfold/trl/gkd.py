"""Generalized knowledge distillation: a student learns a teacher's distributions on texts that it wrote itself."""

from __future__ import annotations

import random
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from enfold.transformers.generation.config import GenerationConfig
from enfold.transformers.trainer.losses import bare_model
from enfold.trl.formats import column_names
from enfold.trl.logprobs import counted_logits
from enfold.trl.losses.distillation import generalized_jsd
from enfold.trl.preparing import AlignmentError, create_model_from_path, disable_dropout_in_model, mapped
from enfold.trl.rollouts import joined, write
from enfold.trl.settings import settings
from enfold.trl.sft import SFTConfig, SFTTrainer

__all__ = ["GKDConfig", "GKDTrainer"]


@settings
class GKDConfig(SFTConfig):
    """How a :class:`GKDTrainer` trains.

    Args:
        lmbda: share of the batches whose answers the student writes itself (0.5).
        beta: which divergence: 0 forward, 1 reverse (0.5).
        temperature, max_completion_length: of what is written (0.9; 128 tokens; ``max_new_tokens`` is accepted too).
        seq_kd: let the teacher write where the student does not.
        teacher_model_init_kwargs: for ``from_pretrained``, where the teacher is given by name.
    """

    temperature: float = 0.9
    lmbda: float = 0.5
    beta: float = 0.5
    max_completion_length: int = 128
    teacher_model_name_or_path: str | None = None
    teacher_model_init_kwargs: dict[str, Any] | str | None = None
    disable_dropout: bool = True
    seq_kd: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("lmbda", "beta"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} lies between 0 and 1, not at {getattr(self, name)}")


class GKDTrainer(SFTTrainer):
    """Trains a student on a teacher's distributions.

    Args:
        model: the student.
        teacher_model: the teacher, or its name; its vocabulary is the student's.
        args, kwargs: as of :class:`~enfold.trl.sft.SFTTrainer`; rows of prompts and completions, or conversations,
            of which the answers are learnt.

    Source: https://arxiv.org/abs/2306.13649
    """

    args: GKDConfig
    config_class: ClassVar[type[Any]] = GKDConfig
    method = "GKD"

    def __init__(self, model: Any = None, teacher_model: Any = None, args: Any = None, **kwargs: Any) -> None:
        super().__init__(model, args, **kwargs)
        teacher = teacher_model if teacher_model is not None else self.args.teacher_model_name_or_path
        if teacher is None:
            raise AlignmentError("GKDTrainer needs a teacher_model")
        if isinstance(teacher, str):
            options: Any = dict(self.args.teacher_model_init_kwargs or {})  # type: ignore[arg-type]
            teacher = create_model_from_path(teacher, **options)
        self.teacher_model: nn.Module = teacher.to(self.args.device).eval().requires_grad_(False)
        sizes = [bare_model(part).get_output_embeddings().weight.shape[0] for part in (self.model, teacher)]  # type: ignore[operator]
        if sizes[0] != sizes[1]:
            raise AlignmentError(
                f"the student has {sizes[0]} words and the teacher {sizes[1]}: they need one vocabulary"
            )
        if self.args.disable_dropout:
            disable_dropout_in_model(teacher)

    def _formatted(self, dataset: Any, name: str) -> Any:
        """Bring conversations into prompts and their last answers, which are what is learnt."""
        dataset = super()._formatted(dataset, name)
        if "messages" not in column_names(dataset):
            return dataset

        def apart(row: dict[str, Any]) -> dict[str, Any]:
            return {"prompt": row["messages"][:-1], "completion": row["messages"][-1:]}

        return mapped(dataset, apart, f"Splitting {name}", self.args.dataset_num_proc, remove_columns=["messages"])

    def _written(self, model: nn.Module, inputs: dict[str, Any]) -> dict[str, Any]:
        """Return a batch whose answers a model wrote."""
        tokenizer, mask = self.text_tokenizer, inputs["labels"] != -100
        first = torch.where(mask.any(1), mask.long().argmax(1), inputs["attention_mask"].sum(1)).clamp(min=1)
        prompts = [row[:length].tolist() for row, length in zip(inputs["input_ids"], first.tolist(), strict=True)]
        how = GenerationConfig(
            max_new_tokens=self.args.max_completion_length,
            temperature=self.args.temperature,
            do_sample=True,
            top_k=0,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
        batch = joined(prompts, write(model, prompts, how), self.pad_token_id)
        ids = batch["input_ids"]
        labels = ids.masked_fill(batch["completion_mask"] == 0, -100)
        made = {"input_ids": ids, "attention_mask": batch["attention_mask"], "labels": labels}
        return {name: value.to(self.args.device) for name, value in made.items()}

    def training_step(self, model: nn.Module, inputs: Any, num_items_in_batch: Any = None) -> Tensor:
        """Compute one batch's gradients and return its loss; sometimes of answers that were just written."""
        if random.random() <= self.args.lmbda:
            inputs = self._written(self.accelerator.unwrap_model(self.model), inputs)
        elif self.args.seq_kd:
            inputs = self._written(self.teacher_model, inputs)
        return super().training_step(model, inputs, num_items_in_batch)

    def batch_loss(self, model: nn.Module, inputs: dict[str, Any]) -> Tensor:
        """Return the mean divergence of the tokens that count."""
        ids, labels, mask = inputs["input_ids"], inputs["labels"], inputs["attention_mask"]
        with self.packed(model, mask, labels):
            student = counted_logits(model, ids, labels, mask)
        with torch.no_grad(), self.packed(self.teacher_model, mask, labels):
            teacher = counted_logits(self.teacher_model, ids, labels, mask)
        self.count_tokens(int(mask.sum()))
        return generalized_jsd(student, teacher, self.args.beta).sum() / max(len(student), 1)
