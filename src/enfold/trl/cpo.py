"""Preferences without a reference: CPO with SimPO and AlphaPO, and ORPO."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from enfold.errors import nearest
from enfold.trl.base import AlignmentTrainer
from enfold.trl.collators import DataCollatorForPreference
from enfold.trl.losses.preference import cpo_loss, odds_ratio_loss
from enfold.trl.settings import AlignmentConfig, settings
from enfold.trl.tokenizing import tokenized_preferences

__all__ = ["CPOConfig", "CPOTrainer", "ORPOConfig", "ORPOTrainer"]

KINDS = ("sigmoid", "hinge", "ipo", "simpo")


@settings
class ORPOConfig(AlignmentConfig):
    """How an :class:`ORPOTrainer` trains.

    Args:
        beta: weight of the odds ratio, λ in the paper (0.1).
        max_prompt_length, max_length: longer prompts lose their beginnings, longer rows their ends.
        max_completion_length, generate_during_eval, padding_value: accepted.
    """

    learning_rate: float = 1e-6
    beta: float = 0.1
    max_prompt_length: int | None = None
    max_completion_length: int | None = None
    generate_during_eval: bool = False
    padding_value: int | None = None


@settings
class CPOConfig(ORPOConfig):
    """How a :class:`CPOTrainer` trains.

    Args:
        loss_type: ``"sigmoid"``, ``"hinge"``, ``"ipo"`` or ``"simpo"``.
        label_smoothing: share of pairs that are thought to be labelled the wrong way round.
        cpo_alpha: weight of the chosen answers' own loss (1.0; SimPO has none: set 0).
        simpo_gamma: margin that SimPO asks for.
        alpha: AlphaPO's bend of the reward (https://arxiv.org/abs/2501.03884); 0 leaves it straight.
    """

    loss_type: str = "sigmoid"
    label_smoothing: float = 0.0
    cpo_alpha: float = 1.0
    simpo_gamma: float = 0.5
    alpha: float = 0.0

    def __post_init__(self) -> None:
        self.loss_type = {"alphapo": "simpo"}.get(self.loss_type, self.loss_type)
        if self.loss_type not in KINDS:
            raise ValueError(
                f"loss_type is one of {', '.join(KINDS)}, not {self.loss_type!r}{nearest(self.loss_type, KINDS)}"
            )
        super().__post_init__()


class ORPOTrainer(AlignmentTrainer):
    """Trains a causal language model on texts and preferences at once.

    Args:
        args, kwargs: as of :class:`~enfold.trl.base.AlignmentTrainer`.

    Example:
        >>> from enfold.trl import ORPOTrainer
        >>> ORPOTrainer("gpt2", train_dataset=pairs).train()  # doctest: +SKIP

    Source: https://arxiv.org/abs/2403.07691
    """

    args: ORPOConfig
    config_class: ClassVar[type[Any]] = ORPOConfig
    columns = ("prompt_ids", "chosen_ids", "rejected_ids")
    method = "ORPO"
    always_ends: ClassVar[bool] = True  # the token at the end is an answer's last, whatever the template wrote
    learns_prompts: ClassVar[bool] = True

    def _prepared(self, dataset: Any, name: str) -> Any:
        return tokenized_preferences(self, dataset, name)

    def _collator(self) -> Callable[..., Any]:
        args = self.args
        return DataCollatorForPreference(
            self.pad_token_id, args.max_length, args.truncation_mode, args.pad_to_multiple_of  # type: ignore[arg-type]
        )  # fmt: skip

    def batch_loss(self, model: nn.Module, inputs: dict[str, Any]) -> Tensor:
        """Return the loss of a batch: chosen answers in its first half, rejected ones in its second."""
        ids, mask, answer = inputs["input_ids"], inputs["attention_mask"], inputs["completion_mask"].bool()
        half = len(ids) // 2
        counted = answer.clone()
        if self.learns_prompts:
            counted[:half] = mask[:half].bool()
        found = self.scored(model, ids, mask, ids.masked_fill(~counted, -100))
        nll = -found.log_probs[:half].sum() / found.mask[:half].sum().clamp(min=1)
        lengths = answer[:, 1:].sum(1).clamp(min=1)
        chosen, rejected = ((found.log_probs * answer[:, 1:]).sum(1) / lengths).chunk(2)
        shares = lengths.chunk(2)
        loss, rewards = self.pair_loss(chosen, rejected, nll, shares)
        self.count_tokens(int(mask.sum()))
        means = (found.mean_logits * answer[:, 1:]).sum(1) / lengths
        self.measure(
            rewards__chosen=rewards[0],
            rewards__rejected=rewards[1],
            rewards__accuracies=(rewards[0] > rewards[1]).float(),
            rewards__margins=rewards[0] - rewards[1],
            logits__chosen=means[:half],
            logits__rejected=means[half:],
            nll_loss=nll if getattr(self.args, "cpo_alpha", 1.0) else 0.0,
        )
        return loss

    def pair_loss(
        self, chosen: Tensor, rejected: Tensor, nll: Tensor, lengths: tuple[Tensor, ...]
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return the batch's loss and the answers' rewards.

        Args:
            chosen, rejected: (B,), mean log-probabilities of the answers' tokens.
            nll: scalar, the loss of the chosen texts.
            lengths: tokens of the chosen and of the rejected answers, (B,) each.
        """
        term, odds, ratio = odds_ratio_loss(chosen, rejected, self.args.beta)
        self.measure(log_odds_ratio=ratio, log_odds_chosen=odds, logps__chosen=chosen, logps__rejected=rejected)
        return nll - term.mean(), (self.args.beta * chosen.detach(), self.args.beta * rejected.detach())


class CPOTrainer(ORPOTrainer):
    """Trains a causal language model on preferences, without a reference.

    Args:
        args, kwargs: as of :class:`~enfold.trl.base.AlignmentTrainer`.

    Source: https://arxiv.org/abs/2401.08417; SimPO: https://arxiv.org/abs/2405.14734
    """

    args: CPOConfig
    config_class: ClassVar[type[Any]] = CPOConfig
    method = "CPO"
    learns_prompts = False

    def pair_loss(
        self, chosen: Tensor, rejected: Tensor, nll: Tensor, lengths: tuple[Tensor, ...]
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return the batch's loss and the answers' rewards; arguments as of :meth:`ORPOTrainer.pair_loss`."""
        args = self.args
        if args.loss_type not in ("simpo", "ipo"):
            chosen, rejected = chosen * lengths[0], rejected * lengths[1]
        self.measure(logps__chosen=chosen, logps__rejected=rejected)
        if args.alpha:
            chosen, rejected = ((1 - torch.exp(-args.alpha * part)) / args.alpha for part in (chosen, rejected))
        losses = cpo_loss(chosen, rejected, args.beta, args.loss_type, args.label_smoothing, args.simpo_gamma)
        loss = losses.mean() + (args.cpo_alpha * nll if args.cpo_alpha else 0.0)
        return loss, (args.beta * chosen.detach(), args.beta * rejected.detach())
