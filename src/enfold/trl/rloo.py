"""REINFORCE with the other completions of a prompt as the baseline of each."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from enfold.trl.losses.policy import leave_one_out_advantages, masked_mean, surrogate
from enfold.trl.online import OnlineConfig, OnlineTrainer
from enfold.trl.settings import settings

__all__ = ["RLOOConfig", "RLOOTrainer"]


@settings
class RLOOConfig(OnlineConfig):
    """How an :class:`RLOOTrainer` trains; what :class:`~enfold.trl.online.OnlineConfig` has, and

    Args:
        num_generations: completions of a prompt (2).
        beta: what leaving the reference costs, per unit of log-probability (0.05).
        normalize_advantages: scale advantages to a deviation of one over the batch.
        reward_clip_range: rewards are held between these.
    """

    num_generations: int = 2
    beta: float = 0.05
    normalize_advantages: bool = False
    reward_clip_range: tuple[float, float] | None = None


class RLOOTrainer(OnlineTrainer):
    """Trains a policy on its own completions, each against the mean reward of the others.

    Args:
        args, kwargs: as of :class:`~enfold.trl.online.OnlineTrainer`.

    Source: https://arxiv.org/abs/2402.14740
    """

    args: RLOOConfig
    config_class: ClassVar[type[Any]] = RLOOConfig
    method = "RLOO"

    def rolled_out(self, rows: list[dict[str, Any]]) -> dict[str, Tensor]:
        """Return a batch of completions with advantages, and what the policy that wrote them says about them."""
        args, found = self.args, self._written(rows)
        batch = self._batch(found)
        mask = batch["completion_mask"][:, 1:]
        if args.beta or self.asks_old_policy():
            batch["old"] = (self.read_in_parts(self.model, batch) * mask).sum(1)
        parts = self._rewarded(rows, found)
        unknown = parts.isnan().all(1)
        rewards = (parts * self.rewards.weights).nansum(1).masked_fill(unknown, torch.nan)
        if args.reward_clip_range:
            rewards = rewards.clamp(*args.reward_clip_range)
        if args.beta:
            with self.reference() as model:
                apart = batch["old"] - (self.read_in_parts(model, batch) * mask).sum(1)
            self.measure(kl=apart.sum() / mask.sum().clamp(min=1))
            rewards = rewards - args.beta * self._everyones(apart)
        group = args.num_generations if self.mode == "train" else args.num_generations_eval or args.num_generations
        advantages, spread = leave_one_out_advantages(rewards, group, args.normalize_advantages)
        self.measure(frac_reward_zero_std=torch.isclose(spread, torch.zeros_like(spread)).float())
        batch["advantages"] = self._mine(advantages).to(args.device)
        return batch

    def _everyones(self, values: Tensor) -> Tensor:
        from enfold.accelerate.operations import gather

        return gather(values).cpu() if self.args.world_size > 1 else values.cpu()

    def batch_loss(self, model: nn.Module, inputs: dict[str, Any]) -> Tensor:
        """Return the loss of a batch of completions."""
        args, found, advantages = self.args, self.read(model, inputs), inputs["advantages"]
        now = found.per_row()
        high = args.epsilon if args.epsilon_high is None else args.epsilon_high
        losses, ratio = surrogate(now, inputs.get("old", now.detach()), advantages, args.epsilon, high)
        below = ((ratio < 1 - args.epsilon) & (advantages < 0)).float()
        above = ((ratio > 1 + high) & (advantages > 0)).float()
        self.measure(
            entropy=masked_mean(found.entropy, found.mask),
            clip_ratio__low_mean=below,
            clip_ratio__low_min=below.min(),
            clip_ratio__high_mean=above,
            clip_ratio__high_max=above.max(),
            clip_ratio__region_mean=torch.max(below, above),
        )
        return losses.mean()
