"""Losses of preferences: of two answers, one is better; or an answer is good, or bad.

Shapes: B pairs; all functions return one loss a pair, (B,), or a scalar where they say so.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from enfold.errors import nearest

__all__ = [
    "DIVERGENCES",
    "PAIRED",
    "Pair",
    "cpo_loss",
    "dpo_loss",
    "f_scores",
    "odds_ratio_loss",
    "reward_loss",
    "unpaired_loss",
]

logsigmoid = F.logsigmoid


@dataclass
class Pair:
    """What a batch of preferences is judged by.

    Args:
        chosen, rejected: (B,), log-probability of each answer under the policy.
        ref_chosen, ref_rejected: (B,), under the reference.
        chosen_lengths, rejected_lengths: (B,), tokens of each answer.
        beta: how closely the policy is held to the reference.
        label_smoothing: share of pairs that are thought to be labelled the wrong way round.
        divergence: what is held small: a key of :data:`DIVERGENCES`.
        alpha: of the alpha divergence.
        tau: of DiscoPOP.
        chosen_nll: scalar, the mean loss of the chosen answers' tokens.
    """

    chosen: Tensor
    rejected: Tensor
    ref_chosen: Tensor
    ref_rejected: Tensor
    chosen_lengths: Tensor
    rejected_lengths: Tensor
    beta: float = 0.1
    label_smoothing: float = 0.0
    divergence: str = "reverse_kl"
    alpha: float = 0.5
    tau: float = 0.05
    chosen_nll: Tensor | None = None

    def __post_init__(self) -> None:
        self.better, self.worse = self.chosen - self.ref_chosen, self.rejected - self.ref_rejected
        self.chosen_score = f_scores(self.better, self.divergence, self.alpha)
        self.rejected_score = f_scores(self.worse, self.divergence, self.alpha)
        self.margin = self.chosen_score - self.rejected_score

    def margin_per_token(self) -> Tensor:
        """Return the margin of the scores' means over each answer's tokens."""
        return self.chosen_score / self.chosen_lengths.clamp(min=1) - self.rejected_score / self.rejected_lengths.clamp(
            min=1
        )

    def smoothed(self, margin: Tensor) -> Tensor:
        """Return the logistic loss of a margin, of which a share points the wrong way."""
        eps = self.label_smoothing
        return -logsigmoid(self.beta * margin) * (1 - eps) - logsigmoid(-self.beta * margin) * eps


# What a log-ratio log(π/π_ref) = log t counts for: f'(t) of the divergence (https://arxiv.org/abs/2309.16240).
DIVERGENCES: dict[str, Callable[[Tensor, float], Tensor]] = {
    "reverse_kl": lambda ratio, _: ratio,
    "forward_kl": lambda ratio, _: 1 - torch.exp(-ratio),
    "js_divergence": lambda ratio, _: math.log(2) + logsigmoid(ratio),
    "alpha_divergence": lambda ratio, alpha: _alpha_score(ratio, alpha),
}


def _alpha_score(ratio: Tensor, alpha: float) -> Tensor:
    if abs(alpha - 1) < 1e-6:
        return ratio  # the limit
    most = 11.0 if ratio.dtype == torch.float16 else 80.0  # e to it is still a number of the type
    power = ((alpha - 1) * ratio).float().clamp(max=most)
    return (torch.expm1(power) / (alpha - 1)).to(ratio.dtype)


def f_scores(ratio: Tensor, divergence: str = "reverse_kl", alpha: float = 0.5) -> Tensor:
    """Return what log-ratios count for under a divergence.

    Args:
        ratio: (B,), log π − log π_ref.
        divergence: a key of :data:`DIVERGENCES`.
        alpha: of the alpha divergence.
    """
    if divergence not in DIVERGENCES:
        raise ValueError(
            f"no such divergence {divergence!r}: {', '.join(DIVERGENCES)}{nearest(divergence, DIVERGENCES)}"
        )
    return DIVERGENCES[divergence](ratio, alpha)


def _sigmoid(pair: Pair) -> Tensor:
    """DPO: the pair's order is a coin that the margin of implicit rewards biases. https://arxiv.org/abs/2305.18290"""
    return -logsigmoid(pair.beta * pair.margin)


def _hinge(pair: Pair) -> Tensor:
    """SLiC: a margin of one is enough. https://arxiv.org/abs/2305.10425"""
    return torch.relu(1 - pair.beta * pair.margin)


def _ipo(pair: Pair) -> Tensor:
    """IPO: the margin, per token, is to be 1 / 2β. https://arxiv.org/abs/2310.12036"""
    return (pair.margin_per_token() - 1 / (2 * pair.beta)) ** 2


def _exo_pair(pair: Pair) -> Tensor:
    """EXO: the reverse KL to labels smoothed by ε > 0. https://arxiv.org/abs/2402.00856"""
    z, eps = pair.beta * pair.margin, pair.label_smoothing
    win, lose = logsigmoid(z), logsigmoid(-z)
    return win.exp() * (win - math.log1p(-eps)) + lose.exp() * (lose - math.log(eps))


def _nca_pair(pair: Pair) -> Tensor:
    """NCA: both answers against noise, so that the chosen one does not become less likely. arXiv:2402.05369"""
    up, down = pair.beta * pair.better, pair.beta * pair.worse
    return -logsigmoid(up) - 0.5 * (logsigmoid(-up) + logsigmoid(-down))


def _robust(pair: Pair) -> Tensor:
    """Robust DPO: unbiased under a share ε of flipped labels. https://arxiv.org/abs/2403.00409"""
    z, eps = pair.beta * pair.margin, pair.label_smoothing
    return (eps * logsigmoid(-z) - (1 - eps) * logsigmoid(z)) / (1 - 2 * eps)


def _bco_pair(pair: Pair) -> Tensor:
    """BCO: chosen answers are ones and rejected ones zeros of a classifier. https://arxiv.org/abs/2404.04656"""
    return -logsigmoid(pair.beta * pair.better) - logsigmoid(-pair.beta * pair.worse)


def _sppo_hard(pair: Pair) -> Tensor:
    """SPPO, where the chosen answer wins for certain. https://arxiv.org/abs/2405.00675"""
    return (pair.better - 0.5 / pair.beta) ** 2 + (pair.worse + 0.5 / pair.beta) ** 2


def _aot(pair: Pair) -> Tensor:
    """AOT: the margins of the batch, sorted, against the reference's. https://arxiv.org/abs/2406.05882"""
    ours, theirs = pair.chosen - pair.rejected, pair.ref_chosen - pair.ref_rejected
    return pair.smoothed(ours.sort().values - theirs.sort().values)


def _aot_unpaired(pair: Pair) -> Tensor:
    """AOT without pairs: the chosen answers' ratios, sorted, against the rejected ones'."""
    return pair.smoothed(pair.better.sort().values - pair.worse.sort().values)


def _apo_zero(pair: Pair) -> Tensor:
    """APO-zero: chosen answers up, rejected ones down. https://arxiv.org/abs/2408.06266"""
    return 1 - torch.sigmoid(pair.beta * pair.better) + torch.sigmoid(pair.beta * pair.worse)


def _apo_down(pair: Pair) -> Tensor:
    """APO-down: chosen answers down, rejected ones further. https://arxiv.org/abs/2408.06266"""
    return torch.sigmoid(pair.beta * pair.better) + 1 - torch.sigmoid(pair.beta * (pair.better - pair.worse))


def _discopop(pair: Pair) -> Tensor:
    """DiscoPOP: logistic or exponential, by the margin. https://arxiv.org/abs/2406.08414"""
    z = pair.beta * pair.margin
    share = torch.sigmoid(z / pair.tau)
    return -logsigmoid(z) * (1 - share) + torch.exp(-z) * share


def _sft(pair: Pair) -> Tensor:
    """The chosen answers' own loss, the same for every pair of the batch."""
    assert pair.chosen_nll is not None
    return pair.chosen_nll.expand(len(pair.chosen))


def _sigmoid_norm(pair: Pair) -> Tensor:
    """DPO on means over tokens, so that length counts for nothing."""
    return -logsigmoid(pair.beta * pair.margin_per_token())


PAIRED: dict[str, Callable[[Pair], Tensor]] = {
    "sigmoid": _sigmoid,
    "hinge": _hinge,
    "ipo": _ipo,
    "exo_pair": _exo_pair,
    "nca_pair": _nca_pair,
    "robust": _robust,
    "bco_pair": _bco_pair,
    "sppo_hard": _sppo_hard,
    "aot": _aot,
    "aot_unpaired": _aot_unpaired,
    "apo_zero": _apo_zero,
    "apo_down": _apo_down,
    "discopop": _discopop,
    "sft": _sft,
    "sigmoid_norm": _sigmoid_norm,
}
# Those whose margin is one of scores, to which a divergence other than the reverse KL applies.
DIVERGENT = ("sigmoid", "sigmoid_norm", "hinge", "ipo", "exo_pair", "robust", "discopop", "sft")


def dpo_loss(pair: Pair, kind: str = "sigmoid") -> Tensor:
    """Return the loss of each pair of a batch, (B,).

    Args:
        pair: the batch.
        kind: a key of :data:`PAIRED`.

    Example:
        >>> one, none = torch.ones(1), torch.zeros(1)
        >>> dpo_loss(Pair(one, none, none, none, one, one, beta=1.0), "hinge")
        tensor([0.])
    """
    if kind not in PAIRED:
        raise ValueError(f"loss_type is one of {', '.join(PAIRED)}, not {kind!r}{nearest(kind, PAIRED)}")
    return PAIRED[kind](pair)


def unpaired_loss(
    ratio: Tensor,
    good: Tensor,
    beta: float,
    baseline: Tensor | float = 0.0,
    kind: str = "kto",
    weights: tuple[float, float] = (1.0, 1.0),
) -> Tensor:
    """Return the loss of each answer that is good or bad, (B,).

    Args:
        ratio: (B,), log π − log π_ref of the answers.
        good: (B,), bool.
        beta: how closely the policy is held to the reference.
        baseline: what a neutral answer's ratio is: KTO's KL, BCO's running mean of rewards over β.
        kind: ``"kto"`` (https://arxiv.org/abs/2402.01306), ``"apo_zero_unpaired"``
            (https://arxiv.org/abs/2408.06266), ``"bco"`` (https://arxiv.org/abs/2404.04656).
        weights: of good and of bad answers.
    """
    sign = good.to(ratio.dtype) * 2 - 1
    value = sign * beta * (ratio - (0.0 if kind == "apo_zero_unpaired" else baseline))
    losses = -logsigmoid(value) if kind == "bco" else 1 - torch.sigmoid(value)
    return losses * torch.where(good, weights[0], weights[1])


def cpo_loss(
    chosen: Tensor,
    rejected: Tensor,
    beta: float,
    kind: str = "sigmoid",
    label_smoothing: float = 0.0,
    gamma: float = 0.0,
) -> Tensor:
    """Return the loss of pairs without a reference, (B,).

    Args:
        chosen, rejected: (B,), log-probabilities; for SimPO and IPO means over tokens.
        beta: scale of the margin.
        kind: ``"sigmoid"`` and ``"hinge"`` (CPO, https://arxiv.org/abs/2401.08417), ``"ipo"``, ``"simpo"``
            (https://arxiv.org/abs/2405.14734), ``"alphapo"`` (https://arxiv.org/abs/2501.03884).
        label_smoothing: share of pairs that are thought to be labelled the wrong way round.
        gamma: SimPO's margin that is asked for, in units of the scaled difference.
    """
    z = beta * (chosen - rejected)
    if kind == "hinge":
        return torch.relu(1 - z)
    if kind == "ipo":
        return (chosen - rejected - 1 / (2 * beta)) ** 2
    if kind in ("simpo", "alphapo"):
        z = z - gamma
    return -logsigmoid(z) * (1 - label_smoothing) - logsigmoid(-z) * label_smoothing


def odds_ratio_loss(chosen: Tensor, rejected: Tensor, beta: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return ORPO's term of each pair, the log odds ratio and its log-sigmoid, (B,) each.

    Args:
        chosen, rejected: (B,), mean log-probabilities per token.
        beta: weight of the term, λ in the paper.

    Source: https://arxiv.org/abs/2403.07691
    """
    odds = (chosen - rejected) - (torch.log1p(-chosen.exp()) - torch.log1p(-rejected.exp()))
    ratio = logsigmoid(odds)
    return beta * ratio, odds, ratio


def reward_loss(chosen: Tensor, rejected: Tensor, margin: Tensor | None = None, centre: float | None = None) -> Tensor:
    """Return the Bradley-Terry loss of a batch's rewards, a scalar.

    Args:
        chosen, rejected: (B,), rewards.
        margin: (B,), by how much the chosen one is better (https://arxiv.org/abs/2307.09288).
        centre: weight of the term that keeps rewards around zero (https://arxiv.org/abs/2312.09244).
    """
    loss = -logsigmoid(chosen - rejected - (0.0 if margin is None else margin)).mean()
    return loss if centre is None else loss + centre * ((chosen + rejected) ** 2).mean()
