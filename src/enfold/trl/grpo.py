"""Group relative policy optimization: each completion is compared with the others of its prompt."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from enfold.accelerate.operations import gather
from enfold.errors import nearest
from enfold.trl.logprobs import Scores
from enfold.trl.losses.policy import (
    CLIPPED,
    LOSSES,
    PolicyTerms,
    group_advantages,
    high_entropy,
    masked_mean,
    policy_terms,
    reduced,
)
from enfold.trl.online import OnlineConfig, OnlineTrainer
from enfold.trl.settings import settings

__all__ = ["GRPOConfig", "GRPOTrainer"]

_CHOICES = {
    "loss_type": LOSSES,
    "scale_rewards": ("group", "batch", "none"),
    "importance_sampling_level": ("token", "sequence"),
    "multi_objective_aggregation": ("sum_then_normalize", "normalize_then_sum"),
}


@settings
class GRPOConfig(OnlineConfig):
    """How a :class:`GRPOTrainer` trains; what :class:`~enfold.trl.online.OnlineConfig` has, and

    Args:
        loss_type: one of :data:`enfold.trl.losses.policy.LOSSES` (``dapo``).
        scale_rewards: divide by the deviation of the ``"group"`` (also True), the ``"batch"``, or ``"none"`` (False).
        importance_sampling_level: ratios of ``"token"`` or of ``"sequence"`` (GSPO).
        multi_objective_aggregation: of several rewards, ``"sum_then_normalize"`` or ``"normalize_then_sum"``.
        delta: most that the ratio is let be.
        use_bias_correction_kl: multiply the penalty with the ratio.
        top_entropy_quantile: learn from this share of the tokens, those the policy was least sure of.
        entropy_coef: weight of the entropy, which is held up; with ``use_adaptive_entropy`` it moves by
            ``entropy_coef_delta`` towards ``entropy_target``, between ``entropy_coef_min`` and ``entropy_coef_max``.
        off_policy_mask_threshold: leave out worse completions that the policy has moved away from further than this.
        sapo_temperature_pos, sapo_temperature_neg, vespo_k_pos, vespo_lambda_pos, vespo_k_neg, vespo_lambda_neg: of
            those losses.

    Example:
        >>> GRPOConfig("out", per_device_train_batch_size=8, scale_rewards=False).scale_rewards
        'none'
    """

    loss_type: str = "dapo"
    scale_rewards: str | bool = "group"
    importance_sampling_level: str = "token"
    multi_objective_aggregation: str = "sum_then_normalize"
    delta: float | None = None
    use_bias_correction_kl: bool = True
    top_entropy_quantile: float = 1.0
    entropy_coef: float = 0.0
    use_adaptive_entropy: bool = False
    entropy_coef_min: float = 0.0
    entropy_coef_max: float = 1.0
    entropy_coef_delta: float = 0.005
    entropy_target: float = 0.2
    off_policy_mask_threshold: float | None = None
    sapo_temperature_pos: float = 1.0
    sapo_temperature_neg: float = 1.05
    vespo_k_pos: float = 2.0
    vespo_lambda_pos: float = 3.0
    vespo_k_neg: float = 3.0
    vespo_lambda_neg: float = 2.0
    max_tool_calling_iterations: int | None = None
    log_completions_hub_repo: str | None = None

    def __post_init__(self) -> None:
        self.scale_rewards = {True: "group", False: "none"}.get(self.scale_rewards, self.scale_rewards)  # type: ignore[arg-type]
        for name, known in _CHOICES.items():
            value = getattr(self, name)
            if value not in known:
                raise ValueError(f"{name} is one of {', '.join(known)}, not {value!r}{nearest(str(value), known)}")
        super().__post_init__()


class GRPOTrainer(OnlineTrainer):
    """Trains a policy on its own completions, by rewards compared within each prompt's group.

    Args:
        args, kwargs: as of :class:`~enfold.trl.online.OnlineTrainer`.

    Example:
        >>> from enfold.trl import GRPOTrainer
        >>> def short(completions, **kwargs):
        ...     return [-float(len(text)) for text in completions]
        >>> GRPOTrainer("gpt2", short, train_dataset=prompts).train()  # doctest: +SKIP

    Source: https://arxiv.org/abs/2402.03300
    """

    args: GRPOConfig
    config_class: ClassVar[type[Any]] = GRPOConfig
    method = "GRPO"

    def __init__(self, *positional: Any, **kwargs: Any) -> None:
        super().__init__(*positional, **kwargs)
        self.entropy_coef, self._last_entropy = self.args.entropy_coef, 0.0

    def rolled_out(self, rows: list[dict[str, Any]]) -> dict[str, Tensor]:
        """Return a batch of completions with advantages, and what older policy and reference say about them."""
        args, found = self.args, self._written(rows)
        batch = self._batch(found)
        if self.asks_old_policy():
            batch["old"] = self.read_in_parts(self.model, batch)
        if args.beta:
            with self.reference() as model:
                batch["reference"] = self.read_in_parts(model, batch)
        rewards = self._rewarded(rows, found)
        group = args.num_generations if self.mode == "train" else args.num_generations_eval or args.num_generations
        advantages, spread = group_advantages(
            rewards, self.rewards.weights, group, str(args.scale_rewards), args.multi_objective_aggregation
        )
        self.measure(frac_reward_zero_std=torch.isclose(spread, torch.zeros_like(spread)).float())
        batch["advantages"] = self._mine(advantages).to(args.device)[:, None]
        items = batch["completion_mask"][:, 1:].sum()
        items = gather(items.reshape(1)).sum() / args.world_size if args.world_size > 1 else items
        parts = args.steps_per_generation if self.mode == "train" else 1
        batch["items"] = items.clamp(min=1) / parts  # type: ignore[operator]
        return batch

    def batch_loss(self, model: nn.Module, inputs: dict[str, Any]) -> Tensor:
        """Return the loss of a batch of completions."""
        args, found = self.args, self.read(model, inputs)
        mask, advantages = inputs["completion_mask"][:, 1:], inputs["advantages"]
        high = args.epsilon if args.epsilon_high is None else args.epsilon_high
        chosen = None
        if args.top_entropy_quantile < 1:
            chosen = high_entropy(found.entropy.detach(), mask, args.top_entropy_quantile)
        terms = policy_terms(
            found.log_probs,
            inputs.get("old", found.log_probs.detach()),
            advantages,
            mask,
            args.loss_type,
            low=args.epsilon,
            high=high,
            delta=args.delta,
            level=args.importance_sampling_level,
            reference=inputs.get("reference"),
            beta=args.beta,
            correct_kl=args.use_bias_correction_kl,
            temperatures=(args.sapo_temperature_pos, args.sapo_temperature_neg),
            gamma=(args.vespo_k_pos, args.vespo_lambda_pos, args.vespo_k_neg, args.vespo_lambda_neg),
            threshold=args.off_policy_mask_threshold,
            chosen=chosen,
        )
        loss = reduced(terms.loss, mask, args.loss_type, args.max_completion_length, inputs["items"])
        if args.entropy_coef or args.use_adaptive_entropy:
            loss = self._held_up(loss, found, mask if chosen is None else mask * chosen)
        self._report(found, terms, mask, advantages, high)
        return loss

    def _held_up(self, loss: Tensor, found: Scores, counted: Tensor) -> Tensor:
        """Add the entropy to a loss, and move its weight."""
        args, entropy = self.args, masked_mean(found.entropy, counted)
        on = not args.use_adaptive_entropy or self._last_entropy <= args.entropy_target
        self.measure(policy_loss=loss, entropy_coef=self.entropy_coef)
        loss = loss - (self.entropy_coef if on else 0.0) * entropy
        if args.use_adaptive_entropy and self.mode == "train":
            self._last_entropy = float(entropy.detach())
            step = args.entropy_coef_delta if self._last_entropy <= args.entropy_target else -args.entropy_coef_delta
            self.entropy_coef = min(max(self.entropy_coef + step, args.entropy_coef_min), args.entropy_coef_max)
        return loss

    def _report(self, found: Scores, terms: PolicyTerms, mask: Tensor, advantages: Tensor, high: float) -> None:
        ratio, args = terms.ratio.detach(), self.args

        def mean(values: Tensor) -> Tensor:
            return values.mean() if values.shape[1] == 1 else masked_mean(values, mask)

        def rows(values: Tensor) -> Tensor:
            return values[:, 0] if values.shape[1] == 1 else (values * mask).sum(1) / mask.sum(1)

        self.measure(entropy=mean(found.entropy))
        if terms.kl is not None:
            self.measure(kl=mean(terms.kl.detach()))
        if args.loss_type in CLIPPED:
            below = ((ratio < 1 - args.epsilon) & (advantages < 0)).float()
            above = ((ratio > 1 + high) & (advantages > 0)).float()
            self.measure(
                clip_ratio__low_mean=mean(below),
                clip_ratio__high_mean=mean(above),
                clip_ratio__region_mean=mean(torch.max(below, above)),
                clip_ratio__low_min=rows(below).nan_to_num(torch.inf).min(),
                clip_ratio__high_max=rows(above).nan_to_num(-torch.inf).max(),
            )
        elif args.loss_type == "cispo":
            self.measure(cispo_clip_ratio=mean(((ratio > high) & (advantages > 0)).float()))
        elif terms.phi is not None:
            self.measure(vespo__phi_seq_mean=mean(terms.phi))
