"""Mixtures of experts: every token goes through the few feed-forwards that its router chooses."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["balance_loss", "choose", "mix"]


def choose(logits: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the shares (N, k) and numbers (N, k) of the experts that a router chooses for each token.

    Args:
        logits: (N, E), of the router.
        count: k, how many experts a token gets; their shares add up to one.

    Example:
        >>> shares, experts = choose(torch.tensor([[0.0, 2.0, 1.0]]), 2)
        >>> experts.tolist(), shares.sum().item()
        ([[1, 2]], 1.0)
    """
    shares, experts = logits.softmax(-1, dtype=torch.float32).topk(count, dim=-1)
    return shares / shares.sum(-1, keepdim=True), experts


def mix(x: Tensor, shares: Tensor, chosen: Tensor, experts: Sequence[Callable[[Tensor], Tensor]]) -> Tensor:
    """Return each token's chosen experts' answers, weighed.

    Args:
        x: (N, D).
        shares, chosen: (N, k), of ``choose``.
        experts: E functions of (n, D).

    Returns:
        (N, D).

    Source: Shazeer et al., 2017, "Outrageously Large Neural Networks"; Jiang et al., 2024, "Mixtral of Experts".
    """
    shares = shares.to(x.dtype)
    if torch.compiler.is_compiling() or torch.jit.is_tracing():
        # A graph must not depend on who is chosen: every expert answers, and most answers count for nothing.
        every = torch.zeros(x.shape[0], len(experts), dtype=x.dtype, device=x.device).scatter(1, chosen, shares)
        return torch.stack([expert(x) for expert in experts], 1).mul(every[:, :, None]).sum(1)
    out = torch.zeros_like(x)
    for number in chosen.unique().tolist():
        token, place = torch.where(chosen == number)
        out.index_add_(0, token, experts[number](x[token]) * shares[token, place, None])
    return out


def balance_loss(routers: Sequence[Tensor], experts: int, count: int, attention_mask: Tensor | None = None) -> Tensor:
    """Return the loss that is least when every expert gets as many tokens as the others.

    Args:
        routers: logits (B·T, E) of each layer.
        experts: E.
        count: k, how many experts a token gets.
        attention_mask: (B, T), 0 for padding, which does not count.

    Source: Fedus et al., 2021, "Switch Transformers", equations 4 to 6.

    Example:
        >>> balance_loss([torch.zeros(4, 2)], experts=2, count=2).item()
        2.0
    """
    logits = torch.stack([router.float() for router in routers])  # (L, N, E)
    probabilities = logits.softmax(-1)
    gone = F.one_hot(probabilities.topk(count, dim=-1).indices, experts).sum(2).float()  # (L, N, E)
    weight = torch.ones(logits.shape[1], device=logits.device)
    if attention_mask is not None:
        weight = attention_mask.reshape(-1).to(logits)
    total = weight.sum() * len(routers)
    load = torch.einsum("lne,n->e", gone, weight) / total
    mass = torch.einsum("lne,n->e", probabilities, weight) / total
    return experts * (load * mass).sum()
