"""Direct preference optimization: a policy learns which of two answers is better, without a reward model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from enfold.errors import nearest
from enfold.progress import Progress
from enfold.trl.base import ReferenceTrainer
from enfold.trl.collators import DataCollatorForPreference
from enfold.trl.logprobs import Scores
from enfold.trl.losses.preference import DIVERGENCES, DIVERGENT, PAIRED, Pair, dpo_loss
from enfold.trl.preparing import AlignmentError
from enfold.trl.settings import AlignmentConfig, settings
from enfold.trl.tokenizing import tokenized_preferences

__all__ = ["DPOConfig", "DPOTrainer"]


@settings
class DPOConfig(AlignmentConfig):
    """How a :class:`DPOTrainer` trains.

    Args:
        beta: how closely the policy is held to the reference (0.1).
        loss_type: one of :data:`enfold.trl.losses.preference.PAIRED`, or several.
        loss_weights: of several losses; one each by default.
        label_smoothing: share of pairs that are thought to be labelled the wrong way round.
        f_divergence_type, f_alpha_divergence_coef: the divergence from the reference that is held small.
        ld_alpha: what the tokens count for that the longer answer has more (https://arxiv.org/abs/2409.06411).
        use_weighting: weigh pairs by how likely the policy finds them (https://arxiv.org/abs/2406.11827).
        rpo_alpha: weight of the chosen answers' own loss beside it (https://arxiv.org/abs/2404.19733).
        reference_free: compare with a reference that finds all answers equally likely.
        precompute_ref_log_probs, precompute_ref_batch_size: ask the reference once, before training.
        sync_ref_model, ref_model_mixup_alpha, ref_model_sync_steps: let the reference follow the policy.
        max_length, truncation_mode, max_prompt_length: longer rows are cut.
        reference_adapter: adapter that is the reference, of a model that has it.

    Example:
        >>> DPOConfig("out", loss_type="ipo").loss_type
        ['ipo']
    """

    learning_rate: float = 1e-6
    beta: float = 0.1
    loss_type: list[str] | str = field(default_factory=lambda: ["sigmoid"])
    loss_weights: list[float] | None = None
    label_smoothing: float = 0.0
    f_divergence_type: str = "reverse_kl"
    f_alpha_divergence_coef: float = 0.5
    discopop_tau: float = 0.05
    ld_alpha: float | None = None
    use_weighting: bool = False
    rpo_alpha: float | None = None
    reference_free: bool = False
    max_prompt_length: int | None = None
    padding_free: bool = False
    precompute_ref_log_probs: bool = False
    precompute_ref_batch_size: int | None = None
    sync_ref_model: bool = False
    ref_model_mixup_alpha: float = 0.6
    ref_model_sync_steps: int = 512
    policy_adapter: str | None = None
    reference_adapter: str | None = None

    def __post_init__(self) -> None:
        self.loss_type = [self.loss_type] if isinstance(self.loss_type, str) else list(self.loss_type)
        for kind in self.loss_type:
            if kind not in PAIRED:
                raise ValueError(f"loss_type is one of {', '.join(PAIRED)}, not {kind!r}{nearest(kind, PAIRED)}")
        if self.loss_weights is not None and len(self.loss_weights) != len(self.loss_type):
            raise ValueError(f"{len(self.loss_type)} losses have {len(self.loss_weights)} loss_weights")
        kind = str(getattr(self.f_divergence_type, "value", self.f_divergence_type))
        self.f_divergence_type = kind
        if kind not in DIVERGENCES:
            raise ValueError(
                f"f_divergence_type is one of {', '.join(DIVERGENCES)}, not {kind!r}{nearest(kind, DIVERGENCES)}"
            )
        unfit = [name for name in self.loss_type if name not in DIVERGENT]
        if kind != "reverse_kl" and unfit:
            raise ValueError(
                f"f_divergence_type={kind!r} goes with {', '.join(DIVERGENT)}, not with {', '.join(unfit)}"
            )
        if "exo_pair" in self.loss_type and self.label_smoothing <= 0:
            raise ValueError("exo_pair needs label_smoothing above 0; the paper uses 1e-3")
        if "robust" in self.loss_type and not 0 <= self.label_smoothing < 0.5:
            raise ValueError(f"robust needs label_smoothing between 0 and 0.5, not {self.label_smoothing}")
        if self.use_weighting and {"aot", "aot_unpaired"} & set(self.loss_type):
            raise ValueError("use_weighting weighs pairs, and aot sorts them apart: choose one")
        super().__post_init__()


class DPOTrainer(ReferenceTrainer):
    """Trains a causal language model on preferences.

    Args:
        ref_model: what the policy is compared with: by default itself as it is now; with a ``peft_config``, itself
            without the adapter.
        args, kwargs: as of :class:`~enfold.trl.base.AlignmentTrainer`.

    Example:
        >>> from enfold.trl import DPOTrainer
        >>> DPOTrainer("gpt2", train_dataset=pairs).train()  # doctest: +SKIP

    Source: https://arxiv.org/abs/2305.18290
    """

    args: DPOConfig
    config_class: ClassVar[type[Any]] = DPOConfig
    columns = ("prompt_ids", "chosen_ids", "rejected_ids", "ref_chosen_logps", "ref_rejected_logps")
    method = "DPO"

    def __init__(self, *positional: Any, **kwargs: Any) -> None:
        super().__init__(*positional, **kwargs)
        if self.args.reference_adapter is not None:
            self._start_adapter = self.args.reference_adapter
        self.loss_types, self.loss_weights = (
            self.args.loss_type,
            self.args.loss_weights or [1.0] * len(self.args.loss_type),
        )
        if self.args.precompute_ref_log_probs and not self.args.reference_free:
            if self.args.sync_ref_model:
                raise AlignmentError(
                    "precompute_ref_log_probs asks the reference once, sync_ref_model moves it: choose one"
                )
            self.train_dataset = self._precomputed(self.train_dataset)
            rows = self.eval_dataset
            if isinstance(rows, dict):
                self.eval_dataset = {name: self._precomputed(part) for name, part in rows.items()}
            elif rows is not None:
                self.eval_dataset = self._precomputed(rows)

    def needs_reference(self) -> bool:
        """Whether the loss reads a reference at all."""
        return not self.args.reference_free

    def _prepared(self, dataset: Any, name: str) -> Any:
        return tokenized_preferences(self, dataset, name)

    def _collator(self) -> Callable[..., Any]:
        args = self.args
        return DataCollatorForPreference(
            self.pad_token_id, args.max_length, args.truncation_mode, args.pad_to_multiple_of  # type: ignore[arg-type]
        )  # fmt: skip

    # --- the two models -------------------------------------------------------------------------------------------

    def _read(self, model: nn.Module, inputs: dict[str, Any]) -> Scores:
        ids, mask = inputs["input_ids"], inputs["attention_mask"]
        labels = ids.masked_fill(inputs["completion_mask"] == 0, -100)
        known = ("input_ids", "attention_mask", "completion_mask", "ref_chosen_logps", "ref_rejected_logps")
        return self.scored(model, ids, mask, labels, **{k: v for k, v in inputs.items() if k not in known})

    def _log_probs(self, found: Scores) -> tuple[Tensor, Tensor]:
        """Return how likely each chosen and each rejected answer is, (B,) each."""
        alpha = self.args.ld_alpha
        if alpha is None:
            chosen, rejected = found.per_row().chunk(2)
            return chosen, rejected
        place = found.mask.cumsum(1)
        shared = torch.minimum(*found.lengths().chunk(2)).repeat(2)[:, None]
        chosen, rejected = (found.log_probs * torch.where(place <= shared, 1.0, alpha)).sum(1).chunk(2)
        return chosen, rejected

    def compute_ref_log_probs(self, inputs: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Return how likely the reference finds the chosen and the rejected answers of a batch."""
        with self.reference() as model, self.compute_loss_context_manager():
            return self._log_probs(self._read(model, inputs))

    def _precomputed(self, dataset: Any) -> Any:
        if not hasattr(dataset, "add_column"):
            raise AlignmentError("precompute_ref_log_probs needs a table of rows, not a stream")
        args = self.args
        size = args.precompute_ref_batch_size or args.per_device_eval_batch_size
        rows = DataLoader(dataset, batch_size=size, collate_fn=self.data_collator)  # type: ignore[arg-type]
        found = []
        with Progress(len(rows), "Asking the reference") as shown:
            for inputs in rows:
                found.append(torch.stack(self.compute_ref_log_probs(self._prepare_inputs(inputs))).cpu())
                shown.advance()
        for name, values in zip(("ref_chosen_logps", "ref_rejected_logps"), torch.cat(found, 1).tolist(), strict=True):
            dataset = dataset.add_column(name, values)
        return dataset

    # --- loss -----------------------------------------------------------------------------------------------------

    def batch_loss(self, model: nn.Module, inputs: dict[str, Any]) -> Tensor:
        """Return the loss of a batch: chosen answers in its first half, rejected ones in its second."""
        args, found = self.args, self._read(model, inputs)
        chosen, rejected = self._log_probs(found)
        if args.reference_free:
            ref_chosen = ref_rejected = torch.zeros_like(chosen)
        elif "ref_chosen_logps" in inputs:
            ref_chosen, ref_rejected = inputs["ref_chosen_logps"], inputs["ref_rejected_logps"]
        else:
            ref_chosen, ref_rejected = self.compute_ref_log_probs(inputs)
        half = len(chosen)
        nll = -found.log_probs[:half].sum() / found.mask[:half].sum().clamp(min=1)
        of_chosen, of_rejected = inputs["completion_mask"].sum(1).chunk(2)
        pair = Pair(
            chosen, rejected, ref_chosen, ref_rejected, of_chosen, of_rejected, args.beta, args.label_smoothing,
            args.f_divergence_type, args.f_alpha_divergence_coef, args.discopop_tau, nll,
        )  # fmt: skip
        weights = self._weights(found) if args.use_weighting else 1.0
        loss = sum(
            (dpo_loss(pair, kind) * weights).mean() * share
            for kind, share in zip(self.loss_types, self.loss_weights, strict=True)
        )
        if args.rpo_alpha is not None:
            loss = loss + args.rpo_alpha * nll
        self._report(found, pair, int(inputs["attention_mask"].sum()))
        return loss  # type: ignore[return-value]

    def _weights(self, found: Scores) -> Tensor:
        with torch.no_grad():
            aligned = ((found.log_probs - found.log_squares) * found.mask).sum(1) / found.lengths().clamp(min=1)
            chosen, rejected = aligned.exp().chunk(2)
        return chosen * rejected

    def _report(self, found: Scores, pair: Pair, tokens: int) -> None:
        half = len(pair.chosen)
        first, second = (Scores(*(part[rows] for part in found)) for rows in (slice(half), slice(half, None)))
        up, down = pair.beta * pair.better.detach(), pair.beta * pair.worse.detach()
        self.count_tokens(tokens)
        self.measure(
            entropy=found.mean(found.entropy),
            mean_token_accuracy=first.mean(first.top1),
            logits__chosen=first.mean(first.mean_logits),
            logits__rejected=second.mean(second.mean_logits),
            logps__chosen=pair.chosen,
            logps__rejected=pair.rejected,
            rewards__chosen=up,
            rewards__rejected=down,
            rewards__accuracies=(up > down).float(),
            rewards__margins=up - down,
        )
