"""Losses of a policy that learns from rewards for what it wrote.

Shapes: B completions, T tokens, G completions of one prompt (B is a multiple of G).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = [
    "LOSSES",
    "PolicyTerms",
    "generalized_advantages",
    "group_advantages",
    "high_entropy",
    "leave_one_out_advantages",
    "masked_mean",
    "masked_whiten",
    "nan_std",
    "policy_terms",
    "reduced",
    "surrogate",
    "value_loss",
]

CLIPPED = ("grpo", "bnpo", "dr_grpo", "dapo", "luspo")
LOSSES = (*CLIPPED, "cispo", "sapo", "vespo")


def nan_std(values: Tensor, dim: int | None = None) -> Tensor:
    """Return the sample standard deviation of what is a number; not a number of fewer than two.

    Args:
        values: any shape.
        dim: over this dimension; over all by default.
    """
    over: tuple[int, ...] = tuple(range(values.ndim)) if dim is None else (dim,)
    count = (~values.isnan()).sum(over)
    spread = torch.nanmean((values - torch.nanmean(values, over, keepdim=True)) ** 2, over)
    return torch.sqrt(torch.where(count > 1, spread * count / (count - 1), torch.nan))


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Return the mean of values where the mask is set."""
    return (values * mask).sum() / mask.sum().clamp(min=1)


def masked_whiten(values: Tensor, mask: Tensor, shift: bool = True) -> Tensor:
    """Return values scaled to a variance of one, and a mean of zero if ``shift``, over where the mask is set."""
    count, mean = mask.sum(), masked_mean(values, mask)
    spread = masked_mean((values - mean) ** 2, mask) * count / (count - 1).clamp(min=1)
    whitened = (values - mean) * torch.rsqrt(spread + 1e-8)
    return whitened if shift else whitened + mean


# --- what a completion is worth ---------------------------------------------------------------------------------------


def group_advantages(
    rewards: Tensor, weights: Tensor, group: int, scale: str = "group", aggregation: str = "sum_then_normalize"
) -> tuple[Tensor, Tensor]:
    """Return how much better each completion is than those of the same prompt, and the spread it was divided by, (B,).

    Args:
        rewards: (B, F), one column a reward function; not a number where a function says nothing.
        weights: (F,).
        group: G.
        scale: divide by the standard deviation of the ``"group"``, of the ``"batch"``, or by ``"none"``
            (https://arxiv.org/abs/2503.20783).
        aggregation: ``"sum_then_normalize"`` (GRPO, https://arxiv.org/abs/2402.03300) or ``"normalize_then_sum"``
            (GDPO, https://arxiv.org/abs/2601.05242).
    """
    unknown = rewards.isnan().all(1)
    if aggregation == "normalize_then_sum":
        parts = rewards.view(-1, group, rewards.shape[1])
        spread = nan_std(parts, 1)[:, None] if group > 1 else torch.zeros_like(parts[:, :1])
        each = ((parts - parts.nanmean(1, keepdim=True)) / (spread + 1e-4)).view_as(rewards)
        total = (each * weights).nansum(1).masked_fill(unknown, torch.nan)
        over = nan_std(total).expand_as(total) if len(total) > 1 else torch.zeros_like(total)
        return torch.nan_to_num((total - total.nanmean()) / (over + 1e-4)), over
    total = (rewards * weights).nansum(1).masked_fill(unknown, torch.nan)
    groups = total.view(-1, group)
    if scale == "batch":
        over = nan_std(total).expand_as(total) if len(total) > 1 else torch.zeros_like(total)
    else:
        over = nan_std(groups, 1).repeat_interleave(group) if group > 1 else torch.zeros_like(total)
    better = total - groups.nanmean(1).repeat_interleave(group)
    return torch.nan_to_num(better if scale == "none" else better / (over + 1e-4)), over


def leave_one_out_advantages(rewards: Tensor, group: int, normalize: bool = False) -> tuple[Tensor, Tensor]:
    """Return how much better each completion is than the mean of the others of its prompt, and their spread, (B,).

    Args:
        rewards: (B,), the penalty for leaving the reference taken off; not a number where nothing is known.
        group: G.
        normalize: scale to a mean of zero and a deviation of one over the batch.

    Source: https://arxiv.org/abs/2402.14740
    """
    groups = rewards.view(-1, group)
    if group == 1:
        return torch.zeros_like(rewards), torch.zeros_like(rewards)
    known = (~groups.isnan()).sum(1, keepdim=True)
    others = (groups.nansum(1, keepdim=True) - groups) / (known - 1)
    better = rewards - others.view(-1)
    if normalize:
        better = (better - better.nanmean()) / (nan_std(better) + 1e-4)
    return torch.nan_to_num(better), nan_std(groups, 1)


def generalized_advantages(values: Tensor, rewards: Tensor, gamma: float, lam: float) -> tuple[Tensor, Tensor]:
    """Return the advantage of each token and what its value should have been, (B, T).

    Args:
        values: (B, T), what was expected.
        rewards: (B, T), what came.
        gamma: what a step later counts for.
        lam: how far ahead is looked.

    Source: https://arxiv.org/abs/1506.02438
    """
    length, last, backwards = values.shape[1], torch.zeros_like(values[:, 0]), []
    for step in reversed(range(length)):
        following = values[:, step + 1] if step < length - 1 else torch.zeros_like(last)
        last = rewards[:, step] + gamma * following - values[:, step] + gamma * lam * last
        backwards.append(last)
    advantages = torch.stack(backwards[::-1], 1)
    return advantages, advantages + values


# --- the loss ---------------------------------------------------------------------------------------------------------


@dataclass
class PolicyTerms:
    """The terms of a policy's loss, (B, T), or (B, 1) where one stands for a completion."""

    loss: Tensor
    ratio: Tensor
    kl: Tensor | None
    phi: Tensor | None = None


def policy_terms(
    log_probs: Tensor,
    old: Tensor,
    advantages: Tensor,
    mask: Tensor,
    kind: str = "dapo",
    *,
    low: float = 0.2,
    high: float = 0.2,
    delta: float | None = None,
    level: str = "token",
    reference: Tensor | None = None,
    beta: float = 0.0,
    correct_kl: bool = True,
    temperatures: tuple[float, float] = (1.0, 1.05),
    gamma: tuple[float, float, float, float] = (2.0, 3.0, 3.0, 2.0),
    threshold: float | None = None,
    chosen: Tensor | None = None,
    sampled: Tensor | None = None,
) -> PolicyTerms:
    """Return each token's loss.

    Args:
        log_probs: (B, T), under the policy.
        old: (B, T), under the policy that wrote them, without gradients.
        advantages: (B, 1).
        mask: (B, T), 1 where a token counts.
        kind: one of :data:`LOSSES`.
        low, high: how far the ratio of both counts, below and above 1.
        delta: most that the ratio is let be at all (https://arxiv.org/abs/2505.07291).
        level: whose ratio: ``"token"``, or ``"sequence"`` (GSPO, https://arxiv.org/abs/2507.18071).
        reference: (B, T), under the reference, for the penalty.
        beta: weight of that.
        correct_kl: multiply it with the ratio, which makes its gradient unbiased (https://arxiv.org/abs/2512.02556).
        temperatures: of SAPO, for better and for worse completions (https://arxiv.org/abs/2511.20347).
        gamma: of VESPO: k and λ for better, k and λ for worse completions (https://arxiv.org/abs/2602.10693).
        threshold: leave out worse completions that the policy has moved away from further than this.
        chosen: (B, T), True for the tokens that count towards the policy's term.
        sampled: (B, T), log-probabilities as of drawing, for ``threshold``.
    """
    moved = log_probs - old
    if level == "sequence":
        moved = ((moved * mask).sum(1) / mask.sum(1).clamp(min=1))[:, None]
    ratio, phi = moved.exp(), None
    bounded = ratio if delta is None else ratio.clamp(max=delta)
    if kind == "cispo":  # https://arxiv.org/abs/2506.13585
        loss = -ratio.clamp(max=high).detach() * advantages * log_probs
    elif kind == "sapo":
        bend = torch.where(advantages > 0, *temperatures)
        loss = -torch.sigmoid(bend * (ratio - 1)) * 4 / bend * advantages
    elif kind == "vespo":
        phi = _gamma_weights(log_probs - old, advantages, mask, gamma)
        loss = -phi * advantages * log_probs
    else:  # https://arxiv.org/abs/1707.06347
        ratio = bounded
        loss = -torch.min(ratio * advantages, moved.exp().clamp(1 - low, 1 + high) * advantages)
    if threshold is not None:  # https://arxiv.org/abs/2512.02556
        drift = torch.nan_to_num((old if sampled is None else sampled) - log_probs.detach())
        gone = (drift * mask).sum(1, keepdim=True) / mask.sum(1, keepdim=True).clamp(min=1)
        loss = loss * ((advantages >= 0) | (gone <= threshold))
    if chosen is not None:
        loss = loss * chosen
    kl = None
    if beta and reference is not None:
        apart = reference - log_probs  # http://joschu.net/blog/kl-approx.html, the third estimate
        kl = torch.exp(apart) - apart - 1
        kl = kl * moved.exp() if correct_kl else kl
        loss = loss + beta * kl
    return PolicyTerms(loss, ratio, kl, phi)


@torch.no_grad()
def _gamma_weights(moved: Tensor, advantages: Tensor, mask: Tensor, gamma: tuple[float, float, float, float]) -> Tensor:
    """VESPO's weights (B, 1): a gamma density of the completion's ratio, one where the ratio is one."""
    log_ratio = (moved.clamp(-20, 20) * mask).sum(1, keepdim=True).clamp(math.log(1e-8), 20)
    better = advantages >= 0
    k, lam = torch.where(better, gamma[0], gamma[2]), torch.where(better, gamma[1], gamma[3]).clamp(min=1e-4)
    return torch.exp(lam + k * log_ratio - lam * log_ratio.exp()).nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)


def reduced(loss: Tensor, mask: Tensor, kind: str, longest: int, items: Tensor | float) -> Tensor:
    """Return the loss of a batch, a scalar.

    Args:
        loss: (B, T) or (B, 1).
        mask: (B, T).
        kind: one of :data:`LOSSES`: means over completions (``grpo``, ``sapo``), over the batch's tokens (``bnpo``),
            sums over a fixed length (``dr_grpo``, https://arxiv.org/abs/2503.20783), over the tokens of all batches of
            an update (``dapo``, https://arxiv.org/abs/2503.14476; ``cispo``, ``vespo``), sums of completions
            (``luspo``, https://arxiv.org/abs/2602.05261).
        longest: tokens that a completion may have.
        items: tokens of all batches of an update, divided by the number of batches.
    """
    counted = loss * mask
    if kind in ("grpo", "sapo"):
        return (counted.sum(1) / mask.sum(1).clamp(min=1)).mean()
    if kind == "bnpo":
        return counted.sum() / mask.sum().clamp(min=1)
    if kind == "dr_grpo":
        return counted.sum() / (len(loss) * longest)
    if kind == "luspo":
        return counted.sum(1).mean()
    return counted.sum() / items


def high_entropy(entropy: Tensor, mask: Tensor, share: float) -> Tensor:
    """Return which tokens are among the given share of those the policy was least sure of, (B, T).

    Source: https://arxiv.org/abs/2506.01939
    """
    counted = mask.bool()
    if not bool(counted.any()):
        return torch.zeros_like(counted)
    least = torch.quantile(entropy[counted].float(), 1 - share)
    return (entropy * mask >= least) & counted


def surrogate(log_probs: Tensor, old: Tensor, advantages: Tensor, low: float, high: float) -> tuple[Tensor, Tensor]:
    """Return PPO's clipped loss and the ratio, in the shape of the log-probabilities. arXiv:1707.06347"""
    ratio = torch.exp(log_probs - old)
    return -torch.min(ratio * advantages, ratio.clamp(1 - low, 1 + high) * advantages), ratio


def value_loss(values: Tensor, old: Tensor, returns: Tensor, mask: Tensor, clip: float) -> tuple[Tensor, Tensor]:
    """Return half the squared error of values, clipped around the old ones, and the share that was clipped.

    Args:
        values: (B, T), as predicted now.
        old: (B, T), as predicted when the completions were written.
        returns: (B, T), what they should have been.
        mask: (B, T).
        clip: how far a value may move.
    """
    held = torch.clamp(values, old - clip, old + clip)
    free, bound = F.mse_loss(values, returns, reduction="none"), F.mse_loss(held, returns, reduction="none")
    return 0.5 * masked_mean(torch.max(free, bound), mask), masked_mean((bound > free).float(), mask)
